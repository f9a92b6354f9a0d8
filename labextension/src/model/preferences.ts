import { ISignal, Signal } from '@lumino/signaling';

export interface IPreferences {
  /** Archive that is open first; empty leaves it to the server's settings. */
  readonly archive: string;
  /** Engine in inserted cells; empty leaves it to the server's settings. */
  readonly engine: string;
  readonly runInserted: boolean;
}

/** What a user has chosen in the settings editor. */
export class Preferences {
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get value(): IPreferences {
    return this._value;
  }

  /** Take what the settings hold; a value of the wrong kind keeps the default. */
  update(found: Readonly<Record<string, unknown>>): void {
    const { archive, engine, runInsertedCells } = found;
    this._value = {
      archive: typeof archive === 'string' ? archive.trim() : '',
      engine: typeof engine === 'string' ? engine.trim() : '',
      runInserted:
        typeof runInsertedCells === 'boolean' ? runInsertedCells : true
    };
    this._changed.emit();
  }

  private _value: IPreferences = { archive: '', engine: '', runInserted: true };
  private readonly _changed = new Signal<this, void>(this);
}
