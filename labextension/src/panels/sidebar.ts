import { ITranslator } from '@jupyterlab/translation';
import { SidePanel } from '@jupyterlab/ui-components';
import { AccordionPanel, Widget } from '@lumino/widgets';

import { ISidebar } from '../tokens';
import { galaxyIcon } from './icons';

interface IPlace {
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

  add(section: Widget, place: IPlace): void {
    const index = this._places.filter(each => each.rank <= place.rank).length;
    this._places.splice(index, 0, place);
    this.insertWidget(index, section);
    (this.content as AccordionPanel).setRelativeSizes(
      this._places.map(each => each.size)
    );
  }

  open(): void {
    this._reveal();
  }

  private readonly _places: IPlace[] = [];
  private readonly _reveal: () => void;
}
