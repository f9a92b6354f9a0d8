import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import { ISignal } from '@lumino/signaling';
import * as React from 'react';

/** What a section shows: it is asked of the server when it is opened. */
interface IOpened {
  readonly changed: ISignal<unknown, void>;
  open(): Promise<void>;
}

/** A part of the sidebar that asks the server when somebody looks, and not before. */
export abstract class Section extends ReactWidget {
  constructor(
    private readonly _shown: IOpened,
    name: string,
    label: string
  ) {
    super();
    this.id = `jupyter-astroml-${name}`;
    this.title.label = label;
    this.addClass('jp-AstroML-section');
    this.addClass(`jp-AstroML-${name}`);
  }

  render(): JSX.Element {
    return (
      <UseSignal signal={this._shown.changed}>{() => this.content()}</UseSignal>
    );
  }

  /** Draw what the model holds now. */
  protected abstract content(): JSX.Element;

  protected onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._look();
  }

  protected onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._look();
  }

  private _look(): void {
    if (this.isVisible) {
      void this._shown.open();
    }
  }
}
