import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IEditorLanguageRegistry } from '@jupyterlab/codemirror';

import { ADQL_MIME } from '../panels/query';

export const language: JupyterFrontEndPlugin<void> = {
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
      load: async () => (await import('../adql')).adql()
    });
  }
};
