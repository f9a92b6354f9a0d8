import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IProblem } from '../api/types';

/** What failed, why, and what to do about it. */
export function Problem(props: {
  problem: IProblem;
  trans: TranslationBundle;
  retry?: () => void;
}): JSX.Element {
  const { problem, retry, trans } = props;
  return (
    <div className="jp-AstroML-problem" role="alert">
      <p className="jp-AstroML-problem-what">{words(problem, trans)}</p>
      {problem.cause && <p>{problem.cause}</p>}
      {problem.remedy && (
        <p>
          {trans.__('To do:')} <code>{problem.remedy}</code>
        </p>
      )}
      {retry && (
        <button className="jp-AstroML-button" onClick={retry} type="button">
          {trans.__('Try again')}
        </button>
      )}
    </div>
  );
}

/** The panel's own failures in the user's language; the server's come in its words. */
function words(problem: IProblem, trans: TranslationBundle): string {
  switch (problem.code) {
    case 'network':
      return trans.__('The Jupyter server does not answer');
    case 'panel':
      return trans.__('The panel met an error that it did not expect');
    default:
      return problem.what;
  }
}

export function Busy(props: { children: string }): JSX.Element {
  return (
    <p className="jp-AstroML-busy" role="status">
      <span aria-hidden="true" className="jp-AstroML-spinner" />
      {props.children}
    </p>
  );
}
