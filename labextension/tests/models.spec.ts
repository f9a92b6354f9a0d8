import { IApi } from '../src/api';
import { ProblemError } from '../src/api/problems';
import { IArchiveSchema } from '../src/api/types';
import { ArchivesModel } from '../src/model/archives';
import { examples } from '../src/model/examples';
import { spelled } from '../src/model/models';
import { Preferences } from '../src/model/preferences';
import { quickStartCells } from '../src/model/quickstart';
import { QueryModel } from '../src/model/query';
import { ARCHIVE } from './archive';

const STATUS = {
  version: '1',
  bokeh: '3',
  user: 'ada',
  archive: 'demo',
  engine: 'here'
};
const GONE = { code: 'archive', what: 'No answer', cause: 'cut', remedy: '' };

/** What is not asked here. */
const HELP = {
  check: () => Promise.reject(new Error('not asked')),
  complete: () => Promise.reject(new Error('not asked'))
};

/** A server of two archives, whose schemas are answered when the test says so. */
function server(): {
  api: Pick<IApi, 'status' | 'archives' | 'schema'>;
  asked: Record<string, (answer: IArchiveSchema | Error) => void>;
} {
  const asked: Record<string, (answer: IArchiveSchema | Error) => void> = {};
  return {
    asked,
    api: {
      status: () => Promise.resolve(STATUS),
      archives: () =>
        Promise.resolve(
          ['demo', 'gaia'].map(name => ({
            name,
            title: name,
            url: '',
            description: ''
          }))
        ),
      schema: name =>
        new Promise((resolve, reject) => {
          asked[name] = answer =>
            answer instanceof Error ? reject(answer) : resolve(answer);
        })
    }
  };
}

async function opened(preferences = new Preferences()) {
  const { api, asked } = server();
  const model = new ArchivesModel(api, preferences);
  const done = model.open();
  while (Object.keys(asked).length === 0) {
    await Promise.resolve();
  }
  return { model, asked, done };
}

describe('the archives', () => {
  it('open the one of the settings first', async () => {
    const preferences = new Preferences();
    preferences.update({ archive: ' gaia ' });
    const { asked, model } = await opened(preferences);
    expect(model.chosen).toBe('gaia');
    expect(Object.keys(asked)).toEqual(['gaia']);
  });

  it('show the tables of a small archive at once', async () => {
    const { asked, done, model } = await opened();
    expect(model.schema.state).toBe('loading');
    asked.demo(ARCHIVE);
    await done;
    expect(model.shown.rows.map(row => row.label)).toEqual([
      'tap_schema',
      'tables',
      'demo'
    ]);
    expect(model.focused).toBe('0');
  });

  it('forget a late answer about an archive that was left', async () => {
    const { asked, done, model } = await opened();
    const second = model.choose('gaia');
    asked.gaia({ archive: 'gaia', schemas: [] });
    await second;
    asked.demo(ARCHIVE);
    await done;
    expect(model.chosen).toBe('gaia');
    expect(model.shown.rows).toEqual([]);
  });

  it('keep what went wrong in the words of the server', async () => {
    const { asked, done, model } = await opened();
    asked.demo(new ProblemError(GONE));
    await done;
    expect(model.schema).toEqual({ state: 'failed', problem: GONE });
  });

  it('keep the keyboard on a row that is shown', async () => {
    const { asked, done, model } = await opened();
    asked.demo(ARCHIVE);
    await done;
    model.press('End');
    expect(model.row(model.focused)?.label).toBe('demo');
    model.press('ArrowRight');
    model.press('ArrowDown');
    expect(model.row(model.focused)?.label).toBe('truth');
    model.search('table_name');
    expect(model.row(model.focused)).toBeDefined();
    expect(model.press('End')).toEqual({ focus: '0.0.0' });
    expect(model.press('Enter')).toEqual({ choose: '0.0.0' });
  });
});

describe('the query', () => {
  it('begins with an example and leaves what somebody wrote', async () => {
    const { asked, done, model } = await opened();
    const query = new QueryModel(HELP, model);
    asked.demo(ARCHIVE);
    await done;
    expect(query.query).toEqual({
      archive: 'demo',
      adql: 'SELECT TOP 50 *\nFROM demo.galaxies'
    });
    expect(query.ready).toBe(true);
    query.write('SELECT mine');
    const second = model.choose('gaia');
    asked.gaia(ARCHIVE);
    await second;
    expect(query.query).toEqual({ archive: 'gaia', adql: 'SELECT mine' });
  });
});

describe('the examples', () => {
  it('begin with tables that have data behind them', () => {
    expect(examples(ARCHIVE).map(each => [each.kind, each.table])).toEqual([
      ['rows', 'demo.galaxies'],
      ['rows', 'demo.truth'],
      ['cone', 'demo.galaxies'],
      ['count', 'demo.galaxies'],
      ['tables', '']
    ]);
  });

  it('take the main position of a table, not its first', () => {
    const cone = examples(ARCHIVE).find(each => each.kind === 'cone');
    expect(cone?.adql).toContain("POINT('ICRS', ra, dec)");
  });

  it('leave an empty archive with its own tables', () => {
    expect(
      examples({ archive: 'x', schemas: [] }).map(each => each.kind)
    ).toEqual(['tables']);
  });
});

describe('the preferences', () => {
  it('keep their defaults where a setting is of the wrong kind', () => {
    const preferences = new Preferences();
    preferences.update({ archive: 3, engine: null, runInsertedCells: 'yes' });
    expect(preferences.value).toEqual({
      archive: '',
      engine: '',
      runInserted: true
    });
  });

  it('can leave inserted cells alone', () => {
    const preferences = new Preferences();
    preferences.update({ runInsertedCells: false });
    expect(preferences.value.runInserted).toBe(false);
  });
});

describe('a measured value', () => {
  it.each([
    [0.93214, 0.9211, 0.9421, '0.932', '0.921', '0.942'],
    [0.9, 0.5, 1, '0.90', '0.50', '1.00'],
    [0.5, null, null, '0.500', '', ''],
    [0.99999, 0.99998, 1, '1.0000', '1.0000', '1.0000']
  ])('%s in [%s, %s]', (value, low, high, ...wanted) => {
    expect(Object.values(spelled(value, low, high))).toEqual(wanted);
  });
});

describe('the quick start', () => {
  it('says before the first cell that its sky is simulated', () => {
    const cells = quickStartCells({ __: text => text });
    expect(cells[0].cell_type).toBe('markdown');
    expect(cells[0].source).toContain('simulated');
    expect(cells[1].source).toBe('import jupyter_astroml as aml');
  });
});
