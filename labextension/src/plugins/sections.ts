import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IEditorServices } from '@jupyterlab/codeeditor';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { ArchivesPanel } from '../panels/archives';
import { ModelsPanel } from '../panels/models';
import { QueryPanel } from '../panels/query';
import { ResultsPanel } from '../panels/results';
import { Commands, IAstroML, ISidebar } from '../tokens';
import { DOMAIN } from './domain';

export const archives: JupyterFrontEndPlugin<void> = {
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

export const query: JupyterFrontEndPlugin<void> = {
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

export const models: JupyterFrontEndPlugin<void> = {
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

export const results: JupyterFrontEndPlugin<void> = {
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
