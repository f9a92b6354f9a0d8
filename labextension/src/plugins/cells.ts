import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, ISessionContextDialogs } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { addCellCommands, addQuickStart } from '../commands';
import { CellWriter } from '../notebook';
import { Commands, IAstroML } from '../tokens';
import { DOMAIN } from './domain';

export const cells: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-astroml:cells',
  description: 'Commands that write and run the steps of the main job.',
  autoStart: true,
  requires: [IAstroML, INotebookTracker],
  optional: [
    ICommandPalette,
    ILauncher,
    IDefaultFileBrowser,
    ISessionContextDialogs,
    ITranslator
  ],
  activate: (
    app: JupyterFrontEnd,
    shared: IAstroML,
    tracker: INotebookTracker,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    browser: IDefaultFileBrowser | null,
    dialogs: ISessionContextDialogs | null,
    given: ITranslator | null
  ) => {
    const translator = given ?? nullTranslator;
    const trans = translator.load(DOMAIN);
    const folder = (): string => browser?.model.path ?? '';
    const create = async (cwd: string): Promise<NotebookPanel> => {
      await app.serviceManager.kernelspecs.ready;
      return app.commands.execute('notebook:create-new', {
        cwd,
        kernelName: app.serviceManager.kernelspecs.specs?.default,
        activate: true
      }) as Promise<NotebookPanel>;
    };
    const writer = new CellWriter({
      tracker,
      translator,
      dialogs,
      create: () => create(folder()),
      show: panel => app.shell.activateById(panel.id)
    });
    addCellCommands(app, { writer, shared, trans });
    addQuickStart(app, { create, folder, trans });
    for (const command of [
      Commands.quickStart,
      Commands.query,
      Commands.predict,
      Commands.inspect,
      Commands.explain
    ]) {
      palette?.addItem({ command, category: trans.__('Astro ML') });
    }
    launcher?.add({
      command: Commands.quickStart,
      category: trans.__('Other'),
      rank: 50
    });
  }
};
