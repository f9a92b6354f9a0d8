import { shown, step, toggled } from '../src/model/tree';
import { SCHEMAS } from './archive';

function labels(
  filter: string,
  expanded: string[] = [],
  limit = 100
): string[] {
  const view = { filter, expanded: new Set(expanded), limit };
  return shown(SCHEMAS, view).rows.map(row => row.label);
}

describe('the tree', () => {
  it('shows schemas until one is opened', () => {
    expect(labels('')).toEqual(['tap_schema', 'demo']);
    expect(labels('', ['1'])).toEqual([
      'tap_schema',
      'demo',
      'truth',
      'galaxies'
    ]);
  });

  it('opens tables to the columns that were searched', () => {
    expect(labels('energy')).toEqual(['demo', 'truth', 'energy']);
  });

  it('finds columns by their UCD, and wants every word', () => {
    expect(labels('POS.EQ meta.main')).toEqual([
      'demo',
      'galaxies',
      'ra',
      'dec'
    ]);
    expect(labels('pos.eq nonsense')).toEqual([]);
  });

  it('keeps a table closed that itself was searched', () => {
    expect(labels('galaxies')).toEqual(['demo', 'galaxies']);
  });

  it('names a table as a query spells it, and shows it without its schema', () => {
    const view = { filter: '', expanded: new Set(['1']), limit: 100 };
    const row = shown(SCHEMAS, view).rows[3];
    expect(row).toMatchObject({
      label: 'galaxies',
      name: 'demo.galaxies',
      level: 2,
      position: 2,
      siblings: 2
    });
  });

  it('counts what it does not draw', () => {
    const view = { filter: '', expanded: new Set(['1', '1.1']), limit: 5 };
    const found = shown(SCHEMAS, view);
    expect(found.rows).toHaveLength(5);
    expect(found.hidden).toBe(3);
  });

  it('keeps closed what was closed under a filter', () => {
    const view = { filter: 'energy', expanded: new Set<string>(), limit: 100 };
    const [demo, truth] = shown(SCHEMAS, view).rows;
    expect(truth.label).toBe('truth');
    if (truth.kind === 'column' || demo.kind === 'column') {
      throw new Error('no columns are here');
    }
    const closed = toggled(view.expanded, truth);
    expect(
      shown(SCHEMAS, { ...view, expanded: closed }).rows.map(row => row.label)
    ).toEqual(['demo', 'truth']);
    expect(
      shown(SCHEMAS, {
        ...view,
        expanded: toggled(new Set<string>(), demo)
      }).rows.map(row => row.label)
    ).toEqual(['demo']);
  });
});

describe('the keys of the tree', () => {
  const view = { filter: '', expanded: new Set(['1', '1.0']), limit: 100 };
  const { rows } = shown(SCHEMAS, view);

  it.each([
    ['0', 'ArrowDown', { focus: '1' }],
    ['0', 'ArrowUp', null],
    ['1', 'ArrowUp', { focus: '0' }],
    ['1.0.1', 'Home', { focus: '0' }],
    ['0', 'End', { focus: '1.1' }],
    ['0', 'ArrowRight', { toggle: '0' }],
    ['1', 'ArrowRight', { focus: '1.0' }],
    ['1.0.0', 'ArrowRight', null],
    ['1', 'ArrowLeft', { toggle: '1' }],
    ['1.0.1', 'ArrowLeft', { focus: '1.0' }],
    ['1.1', 'ArrowLeft', { focus: '1' }],
    ['0', 'ArrowLeft', null],
    ['0', 'Enter', { toggle: '0' }],
    ['1.0', 'Enter', { choose: '1.0' }],
    ['1.0', ' ', { toggle: '1.0' }],
    ['1.0.1', ' ', { choose: '1.0.1' }],
    ['1.0', 'e', { focus: '1.0.1' }],
    ['1.1', 'd', { focus: '1' }],
    ['1', 'z', null],
    ['1', 'Escape', null],
    ['gone', 'ArrowDown', { focus: '0' }]
  ])('from %s, %s', (from, key, wanted) => {
    expect(step(rows, from, key)).toEqual(wanted);
  });

  it('lead nowhere in an empty tree', () => {
    expect(step([], '', 'ArrowDown')).toBeNull();
  });
});
