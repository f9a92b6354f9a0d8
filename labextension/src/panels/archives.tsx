import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IArchiveInfo } from '../api/types';
import { ArchivesModel } from '../model/archives';
import { QueryModel } from '../model/query';
import { Busy, Problem } from './problem';
import { Section } from './section';
import { About, Tree } from './tree';

interface IProps {
  readonly model: ArchivesModel;
  readonly query: QueryModel;
  readonly trans: TranslationBundle;
}

/** Archives and what can be queried in them. */
export class ArchivesPanel extends Section {
  constructor(private readonly _props: IProps) {
    super(_props.model, 'archives', _props.trans.__('Archives'));
  }

  protected content(): JSX.Element {
    return <Archives {...this._props} />;
  }
}

function Archives(props: IProps): JSX.Element {
  const { model, query, trans } = props;
  const { archives, schema } = model;
  const [said, say] = React.useState('');
  const insert = (name: string): void => {
    query.insert(name);
    say(trans.__('%1 is in the query', name));
  };
  if (archives.state === 'failed') {
    return (
      <Problem
        problem={archives.problem}
        retry={() => void model.refresh()}
        trans={trans}
      />
    );
  }
  if (archives.state !== 'ready') {
    return <Busy>{trans.__('Asking for the archives…')}</Busy>;
  }
  const chosen = archives.value.find(each => each.name === model.chosen);
  return (
    <>
      <div className="jp-AstroML-bar">
        <Choice archives={archives.value} model={model} trans={trans} />
        {chosen && chosen.description !== chosen.title && (
          <p className="jp-AstroML-note">{chosen.description}</p>
        )}
        {schema.state === 'ready' && (
          <input
            aria-label={trans.__('Search tables and columns')}
            className="jp-AstroML-select jp-mod-search"
            onChange={event => model.search(event.target.value)}
            placeholder={trans.__('Search tables and columns')}
            type="search"
            value={model.filter}
          />
        )}
      </div>
      {schema.state === 'loading' && (
        <Busy>{trans.__('Reading what %1 has…', model.chosen)}</Busy>
      )}
      {schema.state === 'failed' && (
        <Problem
          problem={schema.problem}
          retry={() => void model.choose(model.chosen)}
          trans={trans}
        />
      )}
      {schema.state === 'ready' && (
        <>
          <div className="jp-AstroML-scroll">
            <Tree insert={insert} model={model} trans={trans} />
            {model.shown.rows.length === 0 && (
              <p className="jp-AstroML-note" role="status">
                {model.filter
                  ? trans.__(
                      'Nothing has “%1” in its name or description.',
                      model.filter
                    )
                  : trans.__('This archive publishes no table.')}
              </p>
            )}
          </div>
          <About row={model.row(model.focused)} trans={trans} />
        </>
      )}
      <p className="jp-AstroML-spoken" role="status">
        {said}
      </p>
    </>
  );
}

function Choice(props: {
  archives: ReadonlyArray<IArchiveInfo>;
  model: ArchivesModel;
  trans: TranslationBundle;
}): JSX.Element {
  const { archives, model, trans } = props;
  const known = archives.some(each => each.name === model.chosen);
  return (
    <select
      aria-label={trans.__('Archive')}
      className="jp-AstroML-select"
      onChange={event => void model.choose(event.target.value)}
      title={archives.find(each => each.name === model.chosen)?.url}
      value={model.chosen}
    >
      {!known && <option value={model.chosen}>{model.chosen}</option>}
      {archives.map(each => (
        <option key={each.name} value={each.name}>
          {each.title || each.name}
        </option>
      ))}
    </select>
  );
}
