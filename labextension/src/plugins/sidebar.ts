import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { CommandToolbarButton, Toolbar } from '@jupyterlab/ui-components';

import { addSidebarCommands } from '../commands';
import { Sidebar } from '../panels/sidebar';
import { Commands, IAstroML, ISidebar } from '../tokens';
import { DOMAIN } from './domain';

export const sidebar: JupyterFrontEndPlugin<ISidebar> = {
  id: 'jupyter-astroml:sidebar',
  description: 'The Astro ML sidebar, to which sections can be added.',
  autoStart: true,
  provides: ISidebar,
  requires: [IAstroML],
  optional: [ILayoutRestorer, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    shared: IAstroML,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    given: ITranslator | null
  ) => {
    const translator = given ?? nullTranslator;
    const trans = translator.load(DOMAIN);
    const widget = new Sidebar({
      translator,
      reveal: () => app.shell.activateById(widget.id)
    });
    addSidebarCommands(app, { sidebar: widget, shared, trans });
    const { toolbar } = widget;
    toolbar.addItem(
      'quick-start',
      new CommandToolbarButton({
        commands: app.commands,
        id: Commands.quickStart,
        label: trans.__('Quick start')
      })
    );
    toolbar.addItem('space', Toolbar.createSpacerItem());
    toolbar.addItem(
      'refresh',
      new CommandToolbarButton({
        commands: app.commands,
        id: Commands.refresh,
        label: ''
      })
    );
    app.shell.add(widget, 'left', { rank: 300, type: 'Astro ML' });
    restorer?.add(widget, widget.id);
    for (const command of [Commands.open, Commands.refresh]) {
      palette?.addItem({ command, category: trans.__('Astro ML') });
    }
    return widget;
  }
};
