// Made by `python -m jupyter_astroml.server.types` from server/shapes.py: do not edit.

/** The one shape of every answer that is not a success. */
export interface IProblem {
  readonly code: string;
  readonly what: string;
  readonly cause: string;
  readonly remedy: string;
}

/** Who answers, and with which defaults. */
export interface IStatus {
  readonly version: string;
  readonly bokeh: string;
  readonly user: string;
  readonly archive: string;
  readonly engine: string;
}

/** One archive that can be named in ``aml.archive(name)``. */
export interface IArchiveInfo {
  readonly name: string;
  readonly title: string;
  readonly url: string;
  readonly description: string;
}

/** A column of a table, as the archive's TAP_SCHEMA describes it. */
export interface IColumn {
  readonly name: string;
  readonly datatype: string;
  readonly unit: string;
  readonly ucd: string;
  readonly description: string;
}

/** A table, with its name as a query must spell it. */
export interface ITable {
  readonly name: string;
  readonly description: string;
  readonly columns: ReadonlyArray<IColumn>;
}

/** A group of tables. */
export interface ISchema {
  readonly name: string;
  readonly description: string;
  readonly tables: ReadonlyArray<ITable>;
}

/** All that can be queried in one archive. */
export interface IArchiveSchema {
  readonly archive: string;
  readonly schemas: ReadonlyArray<ISchema>;
}

/** A query that is being written, and the number of characters before the cursor. */
export interface IDraft {
  readonly adql: string;
  readonly at: number;
}

/** What is probably wrong in a query; line and column from 1, or 0 where nobody knows. */
export interface IMistake {
  readonly what: string;
  readonly line: number;
  readonly column: number;
  readonly nearest: ReadonlyArray<string>;
}

/** All that a look through a query found. */
export interface IMistakes {
  readonly found: ReadonlyArray<IMistake>;
}

/** One thing that could be written where the cursor is. */
export interface ICompletion {
  readonly text: string;
  readonly kind: string;
  readonly detail: string;
  readonly info: string;
}

/** What could be written instead of all from `start` to the cursor, in characters. */
export interface ICompletions {
  readonly start: number;
  readonly options: ReadonlyArray<ICompletion>;
}

/** A comparison of a column in a form; a value that reads as a number is one. */
export interface ICondition {
  readonly column: string;
  readonly comparison: string;
  readonly value: string;
}

/** What was filled in to make a query; empty texts are left out, and `top` where it is 0. */
export interface IForm {
  readonly table: string;
  readonly columns: ReadonlyArray<string>;
  readonly conditions: ReadonlyArray<ICondition>;
  readonly position: string;
  readonly radius: string;
  readonly order: string;
  readonly top: number;
}

/** The query that a form makes. */
export interface IComposed {
  readonly adql: string;
}

/** The main metric of a model, with its interval and the baseline on the same objects. */
export interface IMeasure {
  readonly name: string;
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly sample: string;
  readonly baseline: string;
  readonly baseline_value: number | null;
  readonly higher_is_better: boolean;
}

/** Allowed interval of a physical quantity. */
export interface IInterval {
  readonly low: number;
  readonly high: number;
  readonly unit: string;
}

/** What the data must be like. */
export interface INeeds {
  readonly kind: string;
  readonly bands: ReadonlyArray<string>;
  readonly flux_unit: string;
  readonly size: ReadonlyArray<number>;
  readonly wavelength: IInterval | null;
  readonly pixel_scale: IInterval | null;
  readonly cadence: IInterval | null;
  readonly notes: string;
}

/** A model as a card in the panel shows it. */
export interface IModelInfo {
  readonly name: string;
  readonly title: string;
  readonly task: string;
  readonly version: string;
  readonly source: string;
  readonly description: string;
  readonly answers: ReadonlyArray<string>;
  readonly measure: IMeasure | null;
  readonly needs: INeeds;
  readonly limits: ReadonlyArray<string>;
}

/** All of a card that a person reads before trusting the model. */
export interface IModelDetail {
  readonly info: IModelInfo;
  readonly bias: string;
  readonly baseline: string;
  readonly licence: string;
  readonly citations: ReadonlyArray<string>;
  readonly trained_on: ReadonlyArray<string>;
  readonly digest: string;
}
