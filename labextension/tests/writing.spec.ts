import { IApi } from '../src/api';
import { ProblemError } from '../src/api/problems';
import { IArchiveSchema, IDraft, IForm } from '../src/api/types';
import { ArchivesModel } from '../src/model/archives';
import { FormModel } from '../src/model/form';
import { characters, place, placeOf, wordEnd } from '../src/model/places';
import { Preferences } from '../src/model/preferences';
import { QueryModel } from '../src/model/query';
import { ARCHIVE } from './archive';

const REFUSED = {
  code: 'query',
  what: 'top is -1',
  cause: '',
  remedy: 'give a positive number of rows'
};

/** A server that writes down what it is asked. */
function server() {
  const asked: { drafts: IDraft[]; forms: IForm[] } = { drafts: [], forms: [] };
  const api = {
    status: () => Promise.reject(new Error('no defaults')),
    archives: () =>
      Promise.resolve([
        { name: 'demo', title: 'demo', url: '', description: '' }
      ]),
    schema: (): Promise<IArchiveSchema> => Promise.resolve(ARCHIVE),
    check: (_: string, draft: IDraft) => {
      asked.drafts.push(draft);
      return Promise.resolve({
        found: [{ what: 'no idd', line: 2, column: 3, nearest: ['id'] }]
      });
    },
    complete: (_: string, draft: IDraft) => {
      asked.drafts.push(draft);
      return Promise.resolve({
        start: 2,
        options: [{ text: 'ra', kind: 'column', detail: '', info: '' }]
      });
    },
    compose: (_: string, form: IForm) => {
      asked.forms.push(form);
      return form.top < 0
        ? Promise.reject(new ProblemError(REFUSED))
        : Promise.resolve({
            adql: `SELECT ${form.columns.join()} FROM ${form.table}`
          });
    }
  } satisfies Partial<IApi>;
  return { api, asked };
}

async function opened() {
  const { api, asked } = server();
  const archives = new ArchivesModel(api, new Preferences());
  const query = new QueryModel(api, archives);
  const form = new FormModel(api, archives, query);
  await archives.open();
  return { asked, form, query };
}

describe('places in a text', () => {
  const text = 'a𝛼b\n"é𝛼" c';

  it('are counted in characters on the server', () => {
    expect(characters(text, 3)).toBe(2);
    expect(place(text, 2)).toBe(3);
    expect(text.slice(placeOf(text, 2, 5))).toBe(' c');
    expect(placeOf(text, 0, 0)).toBe(0);
    expect(placeOf(text, 99, 99)).toBe(text.length);
  });

  it('end with their word', () => {
    expect(wordEnd('SELECT idd FROM', 7)).toBe(10);
    expect(wordEnd('FROM demo.galaxie g', 5)).toBe(17);
    expect(wordEnd('FROM "J/A+A"."t" x', 5)).toBe(16);
    expect(wordEnd('a (', 2)).toBe(3);
    expect(wordEnd('a', 1)).toBe(1);
  });
});

describe('a query that is written', () => {
  it('is marked where the server finds a mistake', async () => {
    const { query } = await opened();
    expect(await query.check('𝛼\n  idd')).toEqual([
      { from: 5, to: 8, what: 'no idd', nearest: ['id'] }
    ]);
  });

  it('is completed at the place that the server means', async () => {
    const { asked, query } = await opened();
    const { from, options } = await query.complete('𝛼 r', 4);
    expect(asked.drafts).toEqual([{ adql: '𝛼 r', at: 3 }]);
    expect([from, options[0].text]).toEqual([3, 'ra']);
  });

  it('is left alone when nobody knows the tables', async () => {
    const { api, asked } = server();
    const query = new QueryModel(
      api,
      new ArchivesModel(api, new Preferences())
    );
    expect(await query.check('SELECT')).toEqual([]);
    expect((await query.complete('SELECT', 2)).options).toEqual([]);
    expect(asked.drafts).toEqual([]);
  });
});

describe('the form', () => {
  it('begins with a table that holds data', async () => {
    const { form } = await opened();
    expect(form.form.table).toBe('demo.truth');
    expect(form.tables[form.tables.length - 1].name).toBe('tap_schema.tables');
  });

  it('writes the query', async () => {
    const { form, query } = await opened();
    await form.fill({ table: 'demo.galaxies' });
    await form.fill({ columns: ['ra', 'dec'] });
    expect(query.query.adql).toBe('SELECT ra,dec FROM demo.galaxies');
  });

  it('forgets the columns of another table', async () => {
    const { asked, form } = await opened();
    await form.fill({ columns: ['energy'], order: 'energy' });
    await form.fill({ table: 'demo.galaxies' });
    expect(asked.forms[1]).toMatchObject({ columns: [], order: '' });
  });

  it('keeps a condition that is half filled in to itself', async () => {
    const { asked, form } = await opened();
    const half = { column: 'id', comparison: '<', value: ' ' };
    const whole = { column: 'energy', comparison: '>', value: '1e33' };
    await form.fill({ conditions: [half, whole] });
    expect(asked.forms[0].conditions).toEqual([whole]);
    expect(form.form.conditions).toHaveLength(2);
  });

  it('tells why there is no query, and keeps the last one', async () => {
    const { form, query } = await opened();
    await form.fill({ columns: ['id'] });
    const before = query.query.adql;
    await form.fill({ top: -1 });
    expect(form.problem).toEqual(REFUSED);
    expect(query.query.adql).toBe(before);
    await form.fill({ top: 5 });
    expect(form.problem).toBeNull();
  });
});
