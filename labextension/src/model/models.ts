import { ISignal, Signal } from '@lumino/signaling';

import { IApi } from '../api';
import { IModelDetail, IModelInfo } from '../api/types';
import { IDLE, LOADING, Loading, settled } from './loading';

/** The models that can be named, and the cards that somebody has opened. */
export class ModelsModel {
  constructor(private readonly _api: Pick<IApi, 'models' | 'model'>) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get models(): Loading<ReadonlyArray<IModelInfo>> {
    return this._models;
  }

  detail(name: string): Loading<IModelDetail> {
    return this._details.get(name) ?? IDLE;
  }

  async open(): Promise<void> {
    if (this._models.state === 'idle') {
      await this.refresh();
    }
  }

  async refresh(): Promise<void> {
    this._models = LOADING;
    this._details.clear();
    this._changed.emit();
    this._models = await settled(this._api.models());
    this._changed.emit();
  }

  /** Ask for the whole card. */
  async read(name: string): Promise<void> {
    const { state } = this.detail(name);
    if (state === 'ready' || state === 'loading') {
      return;
    }
    this._details.set(name, LOADING);
    this._changed.emit();
    this._details.set(name, await settled(this._api.model(name)));
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _details = new Map<string, Loading<IModelDetail>>();
  private _models: Loading<ReadonlyArray<IModelInfo>> = IDLE;
}

/** A measured value with as many digits as its interval justifies, and at least two. */
export function spelled(
  value: number,
  low: number | null,
  high: number | null
): { value: string; low: string; high: string } {
  const width = low !== null && high !== null ? high - low : 0;
  const digits =
    width > 0 ? Math.min(4, Math.max(2, 1 - Math.floor(Math.log10(width)))) : 3;
  const text = (x: number | null): string =>
    x === null ? '' : x.toFixed(digits);
  return { value: text(value), low: text(low), high: text(high) };
}
