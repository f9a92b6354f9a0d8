import { ISignal, Signal } from '@lumino/signaling';

import { IApi } from '../api';
import { ICompletion } from '../api/types';
import { ArchivesModel } from './archives';
import { IQuery } from './code';
import { IExample, examples } from './examples';
import { characters, place, placeOf, wordEnd } from './places';

/** What is probably wrong, and where in the text. */
export interface IMark {
  readonly from: number;
  readonly to: number;
  readonly what: string;
  /** Names that may have been meant. */
  readonly nearest: ReadonlyArray<string>;
}

/** What could be written instead of the text from a place to the cursor. */
export interface IOffer {
  readonly from: number;
  readonly options: ReadonlyArray<ICompletion>;
}

/** The query that is being written. */
export class QueryModel {
  constructor(
    private readonly _api: Pick<IApi, 'check' | 'complete'>,
    private readonly _archives: ArchivesModel
  ) {
    _archives.changed.connect(this._follow, this);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** A name to put where the cursor stands. */
  get inserted(): ISignal<this, string> {
    return this._inserted;
  }

  get query(): IQuery {
    return { archive: this._archives.chosen, adql: this._adql };
  }

  get examples(): ReadonlyArray<IExample> {
    return this._examples;
  }

  get ready(): boolean {
    return this.query.archive !== '' && this._adql.trim() !== '';
  }

  write(adql: string): void {
    if (adql !== this._adql) {
      this._adql = adql;
      this._changed.emit();
    }
  }

  /**
   * Look for mistakes.
   *
   * Only in what belongs to an archive whose tables are known; a server that does not answer is
   * told of elsewhere, and is no mistake of the query.
   */
  async check(text: string): Promise<ReadonlyArray<IMark>> {
    if (!this._known || text.trim() === '') {
      return [];
    }
    const found = await this._api
      .check(this._archives.chosen, { adql: text, at: 0 })
      .then(answer => answer.found)
      .catch(() => []);
    return found.map(({ what, line, column, nearest }) => {
      const from = placeOf(text, line, column);
      const to = line > 0 ? wordEnd(text, from) : text.length;
      return { from: Math.min(from, to), to, what, nearest };
    });
  }

  /** Ask what could be written at a place. */
  async complete(text: string, at: number): Promise<IOffer> {
    const nothing = { from: at, options: [] };
    if (!this._known) {
      return nothing;
    }
    return this._api
      .complete(this._archives.chosen, {
        adql: text,
        at: characters(text, at)
      })
      .then(({ start, options }) => ({ from: place(text, start), options }))
      .catch(() => nothing);
  }

  insert(name: string): void {
    this._inserted.emit(name);
  }

  private _follow(): void {
    const { schema } = this._archives;
    const known = schema.state === 'ready' ? schema.value : null;
    if (known !== this._known) {
      const untouched =
        this._adql.trim() === '' ||
        this._examples.some(each => each.adql === this._adql);
      this._known = known;
      this._examples = known ? examples(known) : [];
      if (untouched && this._examples.length > 0) {
        this._adql = this._examples[0].adql;
      }
    }
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _inserted = new Signal<this, string>(this);
  private _known: unknown = null;
  private _adql = '';
  private _examples: ReadonlyArray<IExample> = [];
}
