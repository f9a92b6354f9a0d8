import { TranslationBundle } from '@jupyterlab/translation';
import {
  addIcon,
  caretDownEmptyIcon,
  caretRightIcon,
  LabIcon,
  spreadsheetIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';

import { ArchivesModel } from '../model/archives';
import { IRow } from '../model/tree';

const KEYS = new Set([
  'ArrowDown',
  'ArrowUp',
  'ArrowLeft',
  'ArrowRight',
  'Home',
  'End',
  'Enter',
  ' '
]);

interface ITreeProps {
  readonly model: ArchivesModel;
  readonly trans: TranslationBundle;
  readonly insert: (name: string) => void;
}

/** Schemas, tables and columns, by mouse and by keyboard. */
export function Tree(props: ITreeProps): JSX.Element {
  const { insert, model, trans } = props;
  const node = React.useRef<HTMLUListElement>(null);
  const { rows, hidden } = model.shown;

  const choose = (id: string): void => {
    const row = model.row(id);
    if (row && row.kind !== 'schema') {
      insert(row.name);
    }
  };
  const press = (event: React.KeyboardEvent): void => {
    const plain = !(event.ctrlKey || event.metaKey || event.altKey);
    if (!plain || !(KEYS.has(event.key) || event.key.length === 1)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    const next = model.press(event.key);
    if (next && 'choose' in next) {
      choose(next.choose);
    } else if (next && 'focus' in next) {
      const row = node.current?.querySelector<HTMLElement>(
        `[data-id="${next.focus}"]`
      );
      row?.focus();
      row?.scrollIntoView({ block: 'nearest' });
    }
  };
  return (
    <>
      <ul
        aria-label={trans.__('Schemas, tables and columns')}
        className="jp-AstroML-tree"
        onKeyDown={press}
        ref={node}
        role="tree"
      >
        {rows.map(row => (
          <Row
            choose={() => choose(row.id)}
            focus={() => model.focus(row.id)}
            focused={row.id === model.focused}
            key={row.id}
            row={row}
            toggle={() => model.toggle(row.id)}
            trans={trans}
          />
        ))}
      </ul>
      {hidden > 0 && (
        <p className="jp-AstroML-note" role="status">
          {trans.__('%1 more: search to reach them', hidden)}
        </p>
      )}
    </>
  );
}

function Row(props: {
  row: IRow;
  focused: boolean;
  trans: TranslationBundle;
  focus: () => void;
  toggle: () => void;
  choose: () => void;
}): JSX.Element {
  const { choose, focus, focused, row, toggle, trans } = props;
  const open = row.kind !== 'column' && row.expanded;
  return (
    <li
      aria-expanded={row.kind === 'column' ? undefined : row.expanded}
      aria-label={spoken(row, trans)}
      aria-level={row.level}
      aria-posinset={row.position}
      aria-selected={focused}
      aria-setsize={row.siblings}
      className={`jp-AstroML-row jp-mod-${row.kind}`}
      data-id={row.id}
      onClick={row.kind === 'schema' ? toggle : choose}
      onFocus={focus}
      role="treeitem"
      tabIndex={focused ? 0 : -1}
      title={hint(row, trans)}
    >
      {row.kind === 'column' ? (
        <span className="jp-AstroML-caret" />
      ) : (
        <span
          className="jp-AstroML-caret"
          onClick={event => {
            event.stopPropagation();
            toggle();
          }}
        >
          <Icon icon={open ? caretDownEmptyIcon : caretRightIcon} />
        </span>
      )}
      {row.kind === 'table' && <Icon icon={spreadsheetIcon} />}
      <span className="jp-AstroML-name">{row.label}</span>
      {row.kind === 'column' && row.column.unit && (
        <span className="jp-AstroML-unit">{row.column.unit}</span>
      )}
      <span className="jp-AstroML-about">{row.description}</span>
      {row.kind !== 'schema' && (
        <span className="jp-AstroML-add">
          <Icon icon={addIcon} />
        </span>
      )}
    </li>
  );
}

function Icon(props: { icon: LabIcon }): JSX.Element {
  return (
    <props.icon.react
      aria-hidden="true"
      className="jp-AstroML-icon"
      height="14px"
      tag="span"
      width="14px"
    />
  );
}

function spoken(row: IRow, trans: TranslationBundle): string {
  switch (row.kind) {
    case 'schema':
      return trans.__('Schema %1', row.label);
    case 'table':
      return trans.__('Table %1', row.label);
    case 'column':
      return row.column.unit
        ? trans.__('Column %1 in %2', row.label, row.column.unit)
        : trans.__('Column %1', row.label);
  }
}

function hint(row: IRow, trans: TranslationBundle): string {
  return row.kind === 'schema'
    ? row.description
    : trans.__('Put %1 in the query', row.name);
}

/** All that the archive says about the row on which the keyboard stands. */
export function About(props: {
  row: IRow | undefined;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { row, trans } = props;
  if (!row) {
    return null;
  }
  const facts: ReadonlyArray<readonly [string, string]> =
    row.kind === 'column'
      ? [
          [trans.__('Unit'), row.column.unit],
          [trans.__('UCD'), row.column.ucd],
          [trans.__('Type'), row.column.datatype]
        ]
      : [];
  return (
    <div aria-live="polite" className="jp-AstroML-details">
      <p className="jp-AstroML-details-name">
        {row.kind === 'schema' ? row.label : row.name}
      </p>
      <p>
        {row.description || trans.__('The archive describes it no further.')}
      </p>
      {facts.some(([, value]) => value) && (
        <dl>
          {facts
            .filter(([, value]) => value)
            .map(([name, value]) => (
              <React.Fragment key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </React.Fragment>
            ))}
        </dl>
      )}
    </div>
  );
}
