import { createServer, IncomingMessage, Server, ServerResponse } from 'http';
import { AddressInfo } from 'net';

import { ServerConnection } from '@jupyterlab/services';

import { Api, bokehScripts } from '../src/api';
import { ProblemError, problemFrom, problemOf } from '../src/api/problems';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

describe('the api', () => {
  let server: Server;
  let answer: Answer;
  let api: Api;

  beforeEach(async () => {
    server = createServer((request, response) => answer(request, response));
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    api = new Api(
      ServerConnection.makeSettings({
        baseUrl: `http://127.0.0.1:${port}/user/ada/`,
        token: 'abc'
      })
    );
  });

  afterEach(() => {
    server.closeAllConnections();
    return new Promise(done => server.close(done));
  });

  it('asks below the base address with the token of the user', async () => {
    let seen = '';
    answer = (request, response) => {
      seen = `${request.url?.split('?')[0]} ${request.headers.authorization}`;
      response.end('{"archive": "a/b", "schemas": []}');
    };
    expect(await api.schema('a/b')).toEqual({ archive: 'a/b', schemas: [] });
    expect(seen).toBe(
      '/user/ada/jupyter-astroml/archives/a%2Fb/schema token abc'
    );
  });

  it('tells a failure in the words of the server', async () => {
    const problem = { code: 'model', what: 'None', cause: 'so', remedy: 'do' };
    answer = (_, response) => {
      response.statusCode = 404;
      response.end(JSON.stringify(problem));
    };
    const failure = await api
      .model('nobody')
      .catch((reason: unknown) => reason);
    expect(failure).toBeInstanceOf(ProblemError);
    expect(problemOf(failure)).toEqual(problem);
  });

  it('shows no page of a proxy', async () => {
    answer = (_, response) => {
      response.statusCode = 503;
      response.statusMessage = 'Service Unavailable';
      response.end('<html><script>alert(1)</script></html>');
    };
    const failure = await api.models().catch(problemOf);
    expect(failure).toMatchObject({
      code: 'http-503',
      cause: '503 Service Unavailable'
    });
    expect(JSON.stringify(failure)).not.toContain('script');
  });

  it('says when nobody answers', async () => {
    answer = request => request.socket.destroy();
    expect(await api.status().catch(problemOf)).toMatchObject({
      code: 'network'
    });
  });
});

describe('a problem', () => {
  it('names the server extension where our routes are missing', () => {
    expect(problemFrom(404, 'Not Found', 'nothing').remedy).toContain(
      'jupyter server extension enable'
    );
  });

  it('is made of anything that was thrown', () => {
    expect(problemOf(new Error('oh')).cause).toBe('oh');
    expect(problemOf('oh').cause).toBe('oh');
  });
});

describe('BokehJS', () => {
  it('comes from our own server, the base first', () => {
    expect(bokehScripts('/user/ada/', '3.9.2')).toEqual([
      '/user/ada/jupyter-astroml/bokehjs/bokeh.min.js?v=3.9.2',
      '/user/ada/jupyter-astroml/bokehjs/bokeh-widgets.min.js?v=3.9.2',
      '/user/ada/jupyter-astroml/bokehjs/bokeh-tables.min.js?v=3.9.2'
    ]);
  });
});
