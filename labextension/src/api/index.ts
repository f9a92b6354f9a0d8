import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { ProblemError, problemFrom } from './problems';
import {
  IArchiveInfo,
  IArchiveSchema,
  ICompletions,
  IComposed,
  IDraft,
  IForm,
  IMistakes,
  IModelDetail,
  IModelInfo,
  IStatus
} from './types';

/** What the models of the panel may ask. */
export interface IApi {
  status(): Promise<IStatus>;
  archives(): Promise<ReadonlyArray<IArchiveInfo>>;
  schema(archive: string): Promise<IArchiveSchema>;
  check(archive: string, draft: IDraft): Promise<IMistakes>;
  complete(archive: string, draft: IDraft): Promise<ICompletions>;
  compose(archive: string, form: IForm): Promise<IComposed>;
  models(): Promise<ReadonlyArray<IModelInfo>>;
  model(name: string): Promise<IModelDetail>;
}

const ROOT = 'jupyter-astroml';

/** The server extension, spoken to with the user's own credentials. */
export class Api implements IApi {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  status(): Promise<IStatus> {
    return this._ask(['status']);
  }

  archives(): Promise<ReadonlyArray<IArchiveInfo>> {
    return this._ask(['archives']);
  }

  schema(archive: string): Promise<IArchiveSchema> {
    return this._ask(['archives', archive, 'schema']);
  }

  check(archive: string, draft: IDraft): Promise<IMistakes> {
    return this._ask(['archives', archive, 'check'], draft);
  }

  complete(archive: string, draft: IDraft): Promise<ICompletions> {
    return this._ask(['archives', archive, 'complete'], draft);
  }

  compose(archive: string, form: IForm): Promise<IComposed> {
    return this._ask(['archives', archive, 'compose'], form);
  }

  models(): Promise<ReadonlyArray<IModelInfo>> {
    return this._ask(['models']);
  }

  model(name: string): Promise<IModelDetail> {
    return this._ask(['models', name]);
  }

  /** Ask an address; what is given goes along as the body. */
  private async _ask<T>(parts: string[], given?: object): Promise<T> {
    const url = URLExt.join(
      this._settings.baseUrl,
      ROOT,
      ...parts.map(encodeURIComponent)
    );
    const response = await ServerConnection.makeRequest(
      url,
      given ? { method: 'POST', body: JSON.stringify(given) } : {},
      this._settings
    ).catch((reason: unknown) => {
      throw new ProblemError({
        code: 'network',
        what: 'The Jupyter server does not answer',
        cause: reason instanceof Error ? reason.message : String(reason),
        remedy: 'check that it still runs, then try again'
      });
    });
    const body = await response.text();
    if (!response.ok) {
      throw new ProblemError(
        problemFrom(response.status, response.statusText, body)
      );
    }
    return JSON.parse(body) as T;
  }
}

/** Addresses of BokehJS on our own server, in the order in which they must run. */
export function bokehScripts(baseUrl: string, version: string): string[] {
  return ['bokeh', 'bokeh-widgets', 'bokeh-tables'].map(
    name =>
      `${URLExt.join(baseUrl, ROOT, 'bokehjs', `${name}.min.js`)}?v=${encodeURIComponent(version)}`
  );
}
