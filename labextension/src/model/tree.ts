/** The schema tree as a list of rows: which are shown, and where a key leads. */

import { IColumn, ISchema, ITable } from '../api/types';

interface IRowBase {
  /** Indices from the root, such as `0.2.5`. */
  readonly id: string;
  readonly level: 1 | 2 | 3;
  readonly label: string;
  readonly description: string;
  /** Place among its siblings that are shown, from 1. */
  readonly position: number;
  readonly siblings: number;
}

export interface ISchemaRow extends IRowBase {
  readonly kind: 'schema';
  readonly expanded: boolean;
}

export interface ITableRow extends IRowBase {
  readonly kind: 'table';
  readonly expanded: boolean;
  /** Name as a query spells it. */
  readonly name: string;
}

export interface IColumnRow extends IRowBase {
  readonly kind: 'column';
  readonly name: string;
  readonly column: IColumn;
}

export type IRow = ISchemaRow | ITableRow | IColumnRow;

export interface IShown {
  readonly rows: ReadonlyArray<IRow>;
  /** Rows beyond the limit; a filter makes them reachable. */
  readonly hidden: number;
}

export interface IView {
  readonly filter: string;
  readonly expanded: ReadonlySet<string>;
  readonly limit: number;
}

interface IFoundTable {
  readonly index: number;
  readonly table: ITable;
  /** The table itself fits the filter, not only some of its columns. */
  readonly fits: boolean;
  readonly columns: ReadonlyArray<{
    readonly index: number;
    readonly column: IColumn;
  }>;
}

/**
 * Rows to draw.
 *
 * While a filter is set, schemas are open, and tables are open where a column is what was found.
 */
export function shown(schemas: ReadonlyArray<ISchema>, view: IView): IShown {
  const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const filtered = words.length > 0;
  const rows: IRow[] = [];
  let hidden = 0;
  const add = (row: IRow): void => {
    if (rows.length < view.limit) {
      rows.push(row);
    } else {
      hidden += 1;
    }
  };
  const found = schemas
    .map((schema, index) => ({ schema, index, tables: find(schema, words) }))
    .filter(
      each =>
        !filtered || each.tables.length > 0 || fits(words, each.schema.name)
    );
  found.forEach(({ schema, index, tables }, place) => {
    const id = `${index}`;
    const expanded = filtered
      ? tables.length > 0 && !view.expanded.has(`-${id}`)
      : view.expanded.has(id);
    add({
      kind: 'schema',
      id,
      level: 1,
      label: schema.name,
      description: schema.description,
      position: place + 1,
      siblings: found.length,
      expanded
    });
    if (expanded) {
      tables.forEach((table, tablePlace) =>
        addTable(id, schema, table, tablePlace, tables.length)
      );
    }
  });
  return { rows, hidden };

  function addTable(
    schemaId: string,
    schema: ISchema,
    found: IFoundTable,
    place: number,
    siblings: number
  ): void {
    const id = `${schemaId}.${found.index}`;
    const byColumn = filtered && !found.fits;
    const expanded = byColumn
      ? !view.expanded.has(`-${id}`)
      : view.expanded.has(id);
    add({
      kind: 'table',
      id,
      level: 2,
      name: found.table.name,
      label: within(schema.name, found.table.name),
      description: found.table.description,
      position: place + 1,
      siblings,
      expanded
    });
    if (expanded) {
      found.columns.forEach(({ column, index }, columnPlace) =>
        add({
          kind: 'column',
          id: `${id}.${index}`,
          level: 3,
          name: column.name,
          label: column.name,
          description: column.description,
          column,
          position: columnPlace + 1,
          siblings: found.columns.length
        })
      );
    }
  }
}

function find(
  schema: ISchema,
  words: ReadonlyArray<string>
): ReadonlyArray<IFoundTable> {
  return schema.tables
    .map((table, index) => {
      const itself = fits(words, table.name, table.description, schema.name);
      const all = table.columns.map((column, place) => ({
        column,
        index: place
      }));
      const columns = itself
        ? all
        : all.filter(({ column }) =>
            fits(words, column.name, column.ucd, column.description)
          );
      return { index, table, fits: itself, columns };
    })
    .filter(found => found.fits || found.columns.length > 0);
}

function fits(
  words: ReadonlyArray<string>,
  ...texts: ReadonlyArray<string>
): boolean {
  const text = texts.join('\n').toLowerCase();
  return words.every(word => text.includes(word));
}

function within(schema: string, table: string): string {
  return table.startsWith(`${schema}.`)
    ? table.slice(schema.length + 1)
    : table;
}

/**
 * What a click or a key on a caret changes in the set of expanded ids.
 *
 * A filter opens rows by itself; those that its user closes are kept with a minus.
 */
export function toggled(
  expanded: ReadonlySet<string>,
  row: ISchemaRow | ITableRow
): ReadonlySet<string> {
  const next = new Set(expanded);
  if (row.expanded) {
    next.delete(row.id);
    next.add(`-${row.id}`);
  } else {
    next.add(row.id);
    next.delete(`-${row.id}`);
  }
  return next;
}

/** A step in the tree, after the tree view pattern of the ARIA Authoring Practices Guide. */
export type Step =
  | { readonly focus: string }
  | { readonly toggle: string }
  | { readonly choose: string };

export function step(
  rows: ReadonlyArray<IRow>,
  current: string,
  key: string
): Step | null {
  const index = rows.findIndex(row => row.id === current);
  const row = rows[index];
  if (!row) {
    return rows.length > 0 ? { focus: rows[0].id } : null;
  }
  const at = (place: number): Step | null =>
    rows[place] ? { focus: rows[place].id } : null;
  switch (key) {
    case 'ArrowDown':
      return at(index + 1);
    case 'ArrowUp':
      return at(index - 1);
    case 'Home':
      return at(0);
    case 'End':
      return at(rows.length - 1);
    case 'ArrowRight':
      if (row.kind === 'column') {
        return null;
      }
      return row.expanded ? inside(rows, index) : { toggle: row.id };
    case 'ArrowLeft':
      if (row.kind !== 'column' && row.expanded) {
        return { toggle: row.id };
      }
      return row.level > 1
        ? { focus: row.id.slice(0, row.id.lastIndexOf('.')) }
        : null;
    case ' ':
      return row.kind === 'column' ? { choose: row.id } : { toggle: row.id };
    case 'Enter':
      return row.kind === 'schema' ? { toggle: row.id } : { choose: row.id };
    default:
      return key.length === 1 ? typed(rows, index, key) : null;
  }
}

function inside(rows: ReadonlyArray<IRow>, index: number): Step | null {
  const next = rows[index + 1];
  return next && next.level > rows[index].level ? { focus: next.id } : null;
}

function typed(
  rows: ReadonlyArray<IRow>,
  index: number,
  key: string
): Step | null {
  const wanted = key.toLowerCase();
  const after = [...rows.slice(index + 1), ...rows.slice(0, index)];
  const found = after.find(row => row.label.toLowerCase().startsWith(wanted));
  return found ? { focus: found.id } : null;
}
