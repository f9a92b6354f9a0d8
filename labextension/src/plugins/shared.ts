import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { Api } from '../api';
import { ArchivesModel } from '../model/archives';
import { FormModel } from '../model/form';
import { ModelsModel } from '../model/models';
import { Preferences } from '../model/preferences';
import { QueryModel } from '../model/query';
import { IAstroML } from '../tokens';

export const shared: JupyterFrontEndPlugin<IAstroML> = {
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
