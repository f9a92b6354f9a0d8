import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ICondition, ITable } from '../api/types';
import { COMPARISONS, CONDITION, FormModel } from '../model/form';
import { Problem } from './problem';

// More tables than a list can show are typed, with the tree above to look into.
const MOST = 500;

interface IProps {
  readonly model: FormModel;
  /** Called when the form is unfolded or folded. */
  readonly folded: (open: boolean) => void;
  readonly trans: TranslationBundle;
}

/** Fields that write the query below them. */
export function QueryForm(props: IProps): JSX.Element {
  const { folded, model, trans } = props;
  const { form, table, tables } = model;
  const columns = table?.columns.map(each => each.name) ?? [];
  return (
    <details
      className="jp-AstroML-form"
      onToggle={event => folded(event.currentTarget.open)}
    >
      <summary>{trans.__('Fill in a form')}</summary>
      <div className="jp-AstroML-bar">
        {tables.length > MOST ? (
          <Text
            label={trans.__('Table')}
            hint="schema.table"
            value={form.table}
            write={name => void model.fill({ table: name })}
          />
        ) : (
          <Field label={trans.__('Table')}>
            <Choice
              options={tables.map(each => each.name)}
              value={form.table}
              choose={name => void model.fill({ table: name })}
            />
          </Field>
        )}
        <Columns model={model} table={table} trans={trans} />
        <div className="jp-AstroML-pair">
          <Text
            label={trans.__('Around')}
            hint={trans.__('position or name')}
            value={form.position}
            write={position => void model.fill({ position })}
          />
          <Text
            label={trans.__('within')}
            hint="1 arcmin"
            value={form.radius}
            write={radius => void model.fill({ radius })}
          />
        </div>
        <Conditions model={model} columns={columns} trans={trans} />
        <div className="jp-AstroML-pair">
          <Field label={trans.__('Sorted by')}>
            <Choice
              none={trans.__('nothing')}
              options={columns}
              value={form.order}
              choose={order => void model.fill({ order })}
            />
          </Field>
          <Field label={trans.__('Most rows')}>
            <input
              className="jp-AstroML-select jp-mod-search"
              min={0}
              onChange={event =>
                void model.fill({
                  top: Math.max(0, Math.trunc(Number(event.target.value)))
                })
              }
              type="number"
              value={form.top}
            />
          </Field>
        </div>
        {model.problem && (
          <Problem
            problem={model.problem}
            retry={() => void model.fill({})}
            trans={trans}
          />
        )}
      </div>
    </details>
  );
}

function Columns(props: {
  model: FormModel;
  table: ITable | undefined;
  trans: TranslationBundle;
}): JSX.Element {
  const { model, table, trans } = props;
  const chosen = new Set(model.form.columns);
  const toggle = (name: string): void => {
    const columns = (table?.columns ?? [])
      .map(each => each.name)
      .filter(each => chosen.has(each) !== (each === name));
    void model.fill({ columns });
  };
  return (
    <fieldset className="jp-AstroML-columns">
      <legend>
        {chosen.size > 0
          ? trans.__('%1 columns', chosen.size)
          : trans.__('All columns')}
      </legend>
      {table?.columns.map(each => (
        <label key={each.name} title={each.description}>
          <input
            checked={chosen.has(each.name)}
            onChange={() => toggle(each.name)}
            type="checkbox"
          />
          {each.name}
          {each.unit && <span className="jp-AstroML-dim"> {each.unit}</span>}
        </label>
      ))}
    </fieldset>
  );
}

function Conditions(props: {
  model: FormModel;
  columns: ReadonlyArray<string>;
  trans: TranslationBundle;
}): JSX.Element {
  const { columns, model, trans } = props;
  const { conditions } = model.form;
  const write = (at: number, part: Partial<ICondition>): void =>
    void model.fill({
      conditions: conditions.map((each, place) =>
        place === at ? { ...each, ...part } : each
      )
    });
  return (
    <>
      {conditions.map((each, at) => (
        <div
          aria-label={trans.__('Condition %1', at + 1)}
          className="jp-AstroML-condition"
          key={at}
          role="group"
        >
          <Choice
            label={trans.__('Column')}
            none={trans.__('column')}
            options={columns}
            value={each.column}
            choose={column => write(at, { column })}
          />
          <select
            aria-label={trans.__('Comparison')}
            className="jp-AstroML-select"
            onChange={event => write(at, { comparison: event.target.value })}
            value={each.comparison}
          >
            {COMPARISONS.map(word => (
              <option key={word}>{word}</option>
            ))}
          </select>
          <input
            aria-label={trans.__('Value')}
            className="jp-AstroML-select jp-mod-search"
            onChange={event => write(at, { value: event.target.value })}
            value={each.value}
          />
          <button
            aria-label={trans.__('Remove condition %1', at + 1)}
            className="jp-AstroML-button"
            onClick={() =>
              void model.fill({
                conditions: conditions.filter((_, place) => place !== at)
              })
            }
            type="button"
          >
            ×
          </button>
        </div>
      ))}
      <div>
        <button
          className="jp-AstroML-button"
          onClick={() =>
            void model.fill({ conditions: [...conditions, CONDITION] })
          }
          type="button"
        >
          {trans.__('Add a condition')}
        </button>
      </div>
    </>
  );
}

function Choice(props: {
  label?: string;
  /** The words for no choice, where none need be made. */
  none?: string;
  options: ReadonlyArray<string>;
  value: string;
  choose: (value: string) => void;
}): JSX.Element {
  return (
    <select
      aria-label={props.label}
      className="jp-AstroML-select"
      onChange={event => props.choose(event.target.value)}
      value={props.value}
    >
      {props.none !== undefined && <option value="">{props.none}</option>}
      {props.options.map(each => (
        <option key={each} value={each}>
          {each}
        </option>
      ))}
    </select>
  );
}

function Text(props: {
  label: string;
  hint: string;
  value: string;
  write: (value: string) => void;
}): JSX.Element {
  const { hint, label, value, write } = props;
  const [text, type] = React.useState(value);
  React.useEffect(() => type(value), [value]);
  // A name is looked up in the world: once, when it is whole.
  const done = (): void => {
    if (text !== value) {
      write(text);
    }
  };
  return (
    <Field label={label}>
      <input
        className="jp-AstroML-select jp-mod-search"
        onBlur={done}
        onChange={event => type(event.target.value)}
        onKeyDown={event => {
          if (event.key === 'Enter') {
            done();
          }
        }}
        placeholder={hint}
        value={text}
      />
    </Field>
  );
}

function Field(props: {
  label: string;
  children: React.ReactNode;
}): JSX.Element {
  return (
    <label className="jp-AstroML-field">
      <span>{props.label}</span>
      {props.children}
    </label>
  );
}
