import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, ISessionContextDialogs } from '@jupyterlab/apputils';
import { IEditorServices } from '@jupyterlab/codeeditor';
import { IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { CommandToolbarButton, Toolbar } from '@jupyterlab/ui-components';

import { Api, bokehScripts } from './api';
import { loadBokeh } from './bokeh';
import { addCellCommands, addQuickStart, addSidebarCommands } from './commands';
import { ArchivesModel } from './model/archives';
import { FormModel } from './model/form';
import { ModelsModel } from './model/models';
import { Preferences } from './model/preferences';
import { QueryModel } from './model/query';
import { CellWriter } from './notebook';
import { ArchivesPanel } from './panels/archives';
import { ModelsPanel } from './panels/models';
import { ADQL_MIME, QueryPanel } from './panels/query';
import { ResultsPanel } from './panels/results';
import { Sidebar } from './panels/sidebar';
import { Commands, IAstroML, ISidebar } from './tokens';

const DOMAIN = 'jupyter_astroml';

const shared: JupyterFrontEndPlugin<IAstroML> = {
  id: 'jupyter-astroml:plugin',
  description: 'What the panels share: archives, models, the query, settings.',
  autoStart: true,
  provides: IAstroML,
  optional: [ISettingRegistry],
  activate: (app: JupyterFrontEnd, registry: ISettingRegistry | null) => {
    const api = new Api(app.serviceManager.serverSettings);
    const preferences = new Preferences();
    const archives = new ArchivesModel(api, preferences);
    const models = new ModelsModel(api);
    void registry?.load(shared.id).then(settings => {
      const update = (): void => preferences.update(settings.composite);
      settings.changed.connect(update);
      update();
    });
    const query = new QueryModel(api, archives);
    const form = new FormModel(api, archives, query);
    return { archives, form, models, preferences, query };
  }
};

const sidebar: JupyterFrontEndPlugin<ISidebar> = {
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

const cells: JupyterFrontEndPlugin<void> = {
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

const archives: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-astroml:archives',
  description: 'Archives and what can be queried in them.',
  autoStart: true,
  requires: [IAstroML, ISidebar],
  optional: [ITranslator],
  activate: (
    _: JupyterFrontEnd,
    shared: IAstroML,
    sidebar: ISidebar,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const panel = new ArchivesPanel({
      model: shared.archives,
      query: shared.query,
      trans
    });
    sidebar.add(panel, { rank: 100, size: 0.37 });
  }
};

const query: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-astroml:query',
  description: 'A place to write ADQL.',
  autoStart: true,
  requires: [IAstroML, ISidebar, IEditorServices],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    shared: IAstroML,
    sidebar: ISidebar,
    editors: IEditorServices,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const size = 0.22;
    const panel = new QueryPanel({
      model: shared.query,
      form: shared.form,
      trans,
      editors: editors.factoryService.newInlineEditor,
      run: () => void app.commands.execute(Commands.query),
      room: wanted => sidebar.resize(panel, wanted ? 1.4 : size)
    });
    sidebar.add(panel, { rank: 200, size });
  }
};

const models: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-astroml:models',
  description: 'Cards of the models that can be named.',
  autoStart: true,
  requires: [IAstroML, ISidebar],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    shared: IAstroML,
    sidebar: ISidebar,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const panel = new ModelsPanel({
      model: shared.models,
      trans,
      predict: model => void app.commands.execute(Commands.predict, { model })
    });
    sidebar.add(panel, { rank: 300, size: 0.3 });
  }
};

const results: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-astroml:results',
  description: 'What to do with a run.',
  autoStart: true,
  requires: [ISidebar],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    sidebar: ISidebar,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const panel = new ResultsPanel({
      trans,
      inspect: () => void app.commands.execute(Commands.inspect),
      explain: () => void app.commands.execute(Commands.explain)
    });
    sidebar.add(panel, { rank: 400, size: 0.11 });
  }
};

const language: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-astroml:adql',
  description: 'Colours for ADQL, in the sidebar and in .adql files.',
  autoStart: true,
  requires: [IEditorLanguageRegistry],
  activate: (_: JupyterFrontEnd, languages: IEditorLanguageRegistry) => {
    languages.addLanguage({
      name: 'adql',
      displayName: 'ADQL',
      mime: ADQL_MIME,
      extensions: ['adql'],
      load: async () => (await import('./adql')).adql()
    });
  }
};

const bokeh: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-astroml:bokehjs',
  description: 'BokehJS from this server, for plots that need no network.',
  autoStart: true,
  activate: (app: JupyterFrontEnd) => {
    const { serverSettings } = app.serviceManager;
    void app.restored
      .then(() => new Api(serverSettings).status())
      .then(status =>
        loadBokeh(bokehScripts(serverSettings.baseUrl, status.bokeh))
      )
      .catch(reason => console.warn('Astro ML loads no BokehJS:', reason));
  }
};

export default [
  shared,
  sidebar,
  archives,
  query,
  models,
  results,
  cells,
  language,
  bokeh
];
