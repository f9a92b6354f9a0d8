import { ISignal, Signal } from '@lumino/signaling';

import { IApi } from '../api';
import { problemOf } from '../api/problems';
import { ICondition, IForm, IProblem, ITable } from '../api/types';
import { ArchivesModel } from './archives';
import { OWN } from './examples';
import { QueryModel } from './query';

export const COMPARISONS = ['=', '<>', '<', '<=', '>', '>=', 'LIKE'];
export const CONDITION: ICondition = {
  column: '',
  comparison: '<',
  value: ''
};
const EMPTY: IForm = {
  table: '',
  columns: [],
  conditions: [],
  position: '',
  radius: '',
  order: '',
  top: 50
};

/** A form that writes the query, for those who do not know ADQL yet. */
export class FormModel {
  constructor(
    private readonly _api: Pick<IApi, 'compose'>,
    private readonly _archives: ArchivesModel,
    private readonly _query: QueryModel
  ) {
    _archives.changed.connect(this._follow, this);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get form(): IForm {
    return this._form;
  }

  /** Why there is no query, if there is none. */
  get problem(): IProblem | null {
    return this._problem;
  }

  /** Tables that can be asked, those of the archive about itself at the end. */
  get tables(): ReadonlyArray<ITable> {
    return this._tables;
  }

  /** The table that was chosen. */
  get table(): ITable | undefined {
    return this._tables.find(each => each.name === this._form.table);
  }

  /** Fill in a part; the query follows. */
  async fill(part: Partial<IForm>): Promise<void> {
    const other = part.table !== undefined && part.table !== this._form.table;
    // Columns belong to their table.
    this._form = {
      ...this._form,
      ...(other ? { columns: [], conditions: [], order: '' } : {}),
      ...part
    };
    this._changed.emit();
    await this._compose();
  }

  private async _compose(): Promise<void> {
    const form = this._form;
    // A condition that is half filled in says nothing yet.
    const conditions = form.conditions.filter(
      each => each.column && each.value.trim()
    );
    const asked = ++this._asked;
    try {
      const { adql } = await this._api.compose(this._archives.chosen, {
        ...form,
        conditions
      });
      if (asked === this._asked) {
        this._problem = null;
        this._query.write(adql);
      }
    } catch (reason) {
      if (asked === this._asked) {
        this._problem = problemOf(reason);
      }
    }
    if (asked === this._asked) {
      this._changed.emit();
    }
  }

  private _follow(): void {
    const { schema } = this._archives;
    const known = schema.state === 'ready' ? schema.value : null;
    if (known === this._known) {
      return;
    }
    this._known = known;
    const schemas = known?.schemas ?? [];
    const own = (name: string): boolean => OWN.has(name.toLowerCase());
    this._tables = [
      ...schemas.filter(each => !own(each.name)),
      ...schemas.filter(each => own(each.name))
    ].flatMap(each => each.tables);
    // An answer on its way belongs to another archive.
    this._asked++;
    this._problem = null;
    this._form = { ...EMPTY, table: this._tables[0]?.name ?? '' };
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _asked = 0;
  private _form: IForm = EMPTY;
  private _known: unknown = null;
  private _problem: IProblem | null = null;
  private _tables: ReadonlyArray<ITable> = [];
}
