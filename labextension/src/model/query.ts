import { ISignal, Signal } from '@lumino/signaling';

import { ArchivesModel } from './archives';
import { IQuery } from './code';
import { IExample, examples } from './examples';

/** The query that is being written. */
export class QueryModel {
  constructor(private readonly _archives: ArchivesModel) {
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
