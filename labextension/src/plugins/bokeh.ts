import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';

import { Api, bokehScripts } from '../api';
import { loadBokeh } from '../bokeh';

export const bokeh: JupyterFrontEndPlugin<void> = {
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
