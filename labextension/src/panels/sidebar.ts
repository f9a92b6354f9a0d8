import { ITranslator } from '@jupyterlab/translation';
import { SidePanel } from '@jupyterlab/ui-components';
import { AccordionPanel, Widget } from '@lumino/widgets';

import { ISidebar } from '../tokens';
import { galaxyIcon } from './icons';

interface ISection {
  readonly widget: Widget;
  readonly rank: number;
  readonly size: number;
}

/** The sidebar: sections in an accordion, each added by its own plugin. */
export class Sidebar extends SidePanel implements ISidebar {
  constructor(
    options: SidePanel.IOptions & {
      translator: ITranslator;
      reveal: () => void;
    }
  ) {
    super(options);
    const trans = options.translator.load('jupyter_astroml');
    this.id = 'jupyter-astroml-sidebar';
    this.title.icon = galaxyIcon;
    this.title.caption = trans.__('Astro ML');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Astro ML'));
    this.addClass('jp-AstroML-sidebar');
    this._reveal = options.reveal;
  }

  add(widget: Widget, place: { rank: number; size: number }): void {
    const index = this._sections.filter(s => s.rank <= place.rank).length;
    const later = this._sections.slice(index);
    // The layout appends to the document wherever it inserts, and Tab goes by the document: so
    // those that come later are added again.
    later.forEach(section => {
      section.widget.parent = null;
    });
    this._sections.splice(index, 0, { ...place, widget });
    this._sections.slice(index).forEach(each => this.addWidget(each.widget));
    this._share();
  }

  resize(widget: Widget, size: number): void {
    const at = this._sections.findIndex(each => each.widget === widget);
    if (at >= 0) {
      this._sections[at] = { ...this._sections[at], size };
      this._share();
    }
  }

  open(): void {
    this._reveal();
  }

  private _share(): void {
    (this.content as AccordionPanel).setRelativeSizes(
      this._sections.map(section => section.size)
    );
  }

  private readonly _sections: ISection[] = [];
  private readonly _reveal: () => void;
}
