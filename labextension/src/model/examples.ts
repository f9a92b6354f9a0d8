/** Queries to begin with, made from what an archive says about itself. */

import { IArchiveSchema, ITable } from '../api/types';

export interface IExample {
  readonly kind: 'rows' | 'cone' | 'count' | 'tables';
  /** Table that is asked; empty where the archive is asked about itself. */
  readonly table: string;
  readonly adql: string;
}

export const OWN = new Set(['tap_schema', 'uws', 'information_schema']);
const MOST = 6;

export function examples(schema: IArchiveSchema): ReadonlyArray<IExample> {
  const tables = schema.schemas
    .filter(each => !OWN.has(each.name.toLowerCase()))
    .flatMap(each => each.tables)
    .map((table, place) => ({ table, place }))
    // Tables with data behind them are what the main job begins with.
    .sort(
      (a, b) =>
        Number(hasData(b.table)) - Number(hasData(a.table)) || a.place - b.place
    )
    .map(each => each.table)
    .slice(0, MOST);
  const cone = tables.map(coneOf).find(each => each !== null);
  return [
    ...tables.map(table => ({
      kind: 'rows' as const,
      table: table.name,
      adql: `SELECT TOP 50 *\nFROM ${table.name}`
    })),
    ...(cone ? [cone] : []),
    ...tables.slice(0, 1).map(table => ({
      kind: 'count' as const,
      table: table.name,
      adql: `SELECT COUNT(*) AS n\nFROM ${table.name}`
    })),
    {
      kind: 'tables',
      table: '',
      adql: 'SELECT table_name, description\nFROM tap_schema.tables'
    }
  ];
}

function hasData(table: ITable): boolean {
  return table.columns.some(
    column =>
      column.name.toLowerCase() === 'access_url' ||
      column.ucd.toLowerCase().includes('meta.ref.url')
  );
}

function coneOf(table: ITable): IExample | null {
  const of = (ucd: string): string | undefined => {
    const found = table.columns.filter(column =>
      column.ucd.toLowerCase().startsWith(ucd)
    );
    return (found.find(column => /;meta\.main/i.test(column.ucd)) ?? found[0])
      ?.name;
  };
  const ra = of('pos.eq.ra');
  const dec = of('pos.eq.dec');
  if (!ra || !dec) {
    return null;
  }
  return {
    kind: 'cone',
    table: table.name,
    adql: [
      'SELECT TOP 50 *',
      `FROM ${table.name}`,
      `WHERE 1 = CONTAINS(POINT('ICRS', ${ra}, ${dec}),`,
      "                   CIRCLE('ICRS', 180.0, 0.0, 1.0))"
    ].join('\n')
  };
}
