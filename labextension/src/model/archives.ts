import { ISignal, Signal } from '@lumino/signaling';

import { IApi } from '../api';
import { IArchiveInfo, IArchiveSchema, IStatus } from '../api/types';
import { IDLE, LOADING, Loading, settled } from './loading';
import { Preferences } from './preferences';
import { IRow, IShown, Step, shown, step, toggled } from './tree';

// A browser draws some hundred rows at once; VizieR has a million columns.
const LIMIT = 500;
const NOTHING: IShown = { rows: [], hidden: 0 };

/** Which archives there are, which is open, and what of its tree is shown. */
export class ArchivesModel {
  constructor(
    private readonly _api: Pick<IApi, 'status' | 'archives' | 'schema'>,
    private readonly _preferences: Preferences
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get archives(): Loading<ReadonlyArray<IArchiveInfo>> {
    return this._archives;
  }

  get schema(): Loading<IArchiveSchema> {
    return this._schema;
  }

  /** Name of the archive that is open. */
  get chosen(): string {
    return this._chosen;
  }

  get filter(): string {
    return this._filter;
  }

  /** Row that the keyboard stands on. */
  get focused(): string {
    return this._focused;
  }

  get shown(): IShown {
    return this._shown;
  }

  /** The server's defaults, once it has answered. */
  get status(): IStatus | null {
    return this._status;
  }

  /** Ask for the archives, the first time that somebody looks. */
  async open(): Promise<void> {
    if (this._archives.state === 'idle') {
      await this.refresh();
    }
  }

  /** Ask again, for the tree too. */
  async refresh(): Promise<void> {
    this._archives = LOADING;
    this._changed.emit();
    const [status, archives] = await Promise.all([
      settled(this._api.status()),
      settled(this._api.archives())
    ]);
    this._status = status.state === 'ready' ? status.value : this._status;
    this._archives = archives;
    this._changed.emit();
    if (archives.state === 'ready') {
      await this.choose(this._chosen || this._first(archives.value));
    }
  }

  /** Open an archive; the demo archive may take some seconds to start. */
  async choose(name: string): Promise<void> {
    this._chosen = name;
    this._expanded = new Set();
    this._focused = '';
    this._schema = name ? LOADING : IDLE;
    this._draw();
    if (!name) {
      return;
    }
    const answer = await settled(this._api.schema(name));
    if (this._chosen !== name) {
      return; // another archive was chosen meanwhile
    }
    this._schema = answer;
    if (answer.state === 'ready') {
      this._expanded = firstOpen(answer.value);
    }
    this._draw();
  }

  search(filter: string): void {
    this._filter = filter;
    // What was closed by hand under the last filter says nothing about the next one.
    this._expanded = new Set(
      [...this._expanded].filter(id => !id.startsWith('-'))
    );
    this._draw();
  }

  toggle(id: string): void {
    const row = this.row(id);
    if (row && row.kind !== 'column') {
      this._expanded = toggled(this._expanded, row);
      this._focused = id;
      this._draw();
    }
  }

  focus(id: string): void {
    if (id !== this._focused) {
      this._focused = id;
      this._changed.emit();
    }
  }

  /** Follow a key; the answer says what is left to do for the panel, if anything. */
  press(key: string): Step | null {
    const next = step(this._shown.rows, this._focused, key);
    if (next && 'toggle' in next) {
      this.toggle(next.toggle);
    } else if (next && 'focus' in next) {
      this.focus(next.focus);
    }
    return next;
  }

  row(id: string): IRow | undefined {
    return this._shown.rows.find(row => row.id === id);
  }

  private _first(archives: ReadonlyArray<IArchiveInfo>): string {
    const wanted = this._preferences.value.archive || this._status?.archive;
    return wanted || archives[0]?.name || '';
  }

  private _draw(): void {
    this._shown =
      this._schema.state === 'ready'
        ? shown(this._schema.value.schemas, {
            filter: this._filter,
            expanded: this._expanded,
            limit: LIMIT
          })
        : NOTHING;
    if (!this.row(this._focused)) {
      this._focused = this._shown.rows[0]?.id ?? '';
    }
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _archives: Loading<ReadonlyArray<IArchiveInfo>> = IDLE;
  private _schema: Loading<IArchiveSchema> = IDLE;
  private _status: IStatus | null = null;
  private _chosen = '';
  private _filter = '';
  private _focused = '';
  private _expanded: ReadonlySet<string> = new Set();
  private _shown: IShown = NOTHING;
}

/** A small archive shows its tables at once; a large one its schemas. */
function firstOpen(schema: IArchiveSchema): ReadonlySet<string> {
  const first = schema.schemas[0];
  return new Set(first && first.tables.length <= 20 ? ['0'] : []);
}
