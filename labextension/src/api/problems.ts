import { IProblem } from './types';

/** A failure that carries the one shape in which the server tells all of them. */
export class ProblemError extends Error {
  constructor(readonly problem: IProblem) {
    super(problem.what);
    this.name = 'ProblemError';
  }
}

const TEXTS = ['code', 'what', 'cause', 'remedy'] as const;

export function isProblem(value: unknown): value is IProblem {
  return (
    typeof value === 'object' &&
    value !== null &&
    TEXTS.every(
      name => typeof (value as Record<string, unknown>)[name] === 'string'
    )
  );
}

/** What went wrong, whatever was thrown. */
export function problemOf(reason: unknown): IProblem {
  if (reason instanceof ProblemError) {
    return reason.problem;
  }
  return {
    code: 'panel',
    what: 'The panel met an error that it did not expect',
    cause: reason instanceof Error ? reason.message : String(reason),
    remedy: ''
  };
}

/**
 * Read the body of an answer that is not a success.
 *
 * A proxy between browser and server answers in its own words, often HTML: these are not shown.
 */
export function problemFrom(
  status: number,
  statusText: string,
  body: string
): IProblem {
  try {
    const value: unknown = JSON.parse(body);
    if (isProblem(value)) {
      return value;
    }
  } catch {
    // not JSON, so not our server: told below
  }
  return {
    code: `http-${status}`,
    what: 'The server did not answer as expected',
    cause: `${status} ${statusText}`.trim(),
    remedy:
      status === 404
        ? 'enable the server extension: jupyter server extension enable jupyter_astroml'
        : 'reload the page'
  };
}
