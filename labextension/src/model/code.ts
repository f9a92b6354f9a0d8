/**
 * Python cells, made of what was chosen in the panel.
 *
 * The notebook is the record, so a cell must read as if its author had written it.
 */

export const IMPORT = 'import jupyter_astroml as aml';

const IMPORTED = /^import jupyter_astroml as aml\b/m;

// Characters that Python's source does not keep: it reads a carriage return as a line feed, and
// refuses NUL. Half a surrogate pair cannot be saved as UTF-8.
// eslint-disable-next-line no-control-regex
const UNKEPT = /[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]|\p{Surrogate}/gu;

// IPython takes lines that begin so for pasted prompts, also inside a string, and cuts the prompt.
const PROMPT = /^\s*(>>>|\.\.\.|In \[\d+\]:)/m;

/** A Python literal that means exactly `text`. */
export function pythonString(text: string): string {
  const body = text.replace(/\\/g, '\\\\').replace(UNKEPT, escape);
  const wantsLines = /["\n]/.test(text) && !PROMPT.test(text);
  if (!wantsLines) {
    return `"${body
      .replace(/"/g, '\\"')
      .replace(/\n/g, '\\n')
      .replace(/\t/g, '\\t')}"`;
  }
  // Three quotes end the literal wherever they stand, and so does one before the closing three.
  return `"""${body.replace(/"(?="")/g, '\\"').replace(/"$/, '\\"')}"""`;
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

export interface IQuery {
  readonly archive: string;
  readonly adql: string;
}

export interface IPrediction {
  readonly model: string;
  readonly engine: string;
}

export function queryCode(query: IQuery): string {
  const adql = query.adql.trim();
  // Lines of their own keep the query as its author laid it out.
  const text = adql.includes('\n') ? `\n${adql}\n` : adql;
  return [
    `rows = aml.archive(${pythonString(query.archive)}).query(${pythonString(text)})`,
    'rows'
  ].join('\n');
}

export function predictCode(prediction: IPrediction): string {
  return [
    `run = aml.predict(rows, model=${pythonString(prediction.model)}, engine=${pythonString(prediction.engine)})`,
    'run.predictions()'
  ].join('\n');
}

export function inspectCode(): string {
  return 'aml.inspect(run)';
}

/** One object: each costs many passes through the network. */
export function explainCode(): string {
  return [
    'maps = aml.explain(run, ids=run.predictions().ids[:1])',
    'aml.show(maps)'
  ].join('\n');
}

export interface ICellBefore {
  readonly source: string;
  /** Whether the cell has been run, as far as its number tells. */
  readonly executed: boolean;
}

/** The code with the import before it, unless the notebook has already run that. */
export function withImport(
  code: string,
  before: ReadonlyArray<ICellBefore>
): string {
  return before.some(cell => cell.executed && IMPORTED.test(cell.source))
    ? code
    : `${IMPORT}\n\n${code}`;
}
