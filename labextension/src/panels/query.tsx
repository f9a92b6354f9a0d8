import { CodeEditor, CodeEditorWrapper } from '@jupyterlab/codeeditor';
import { CodeMirrorEditor } from '@jupyterlab/codemirror';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { Panel } from '@lumino/widgets';
import * as React from 'react';

import { IExample } from '../model/examples';
import { FormModel } from '../model/form';
import { QueryModel } from '../model/query';
import { QueryForm } from './form';

export const ADQL_MIME = 'text/x-adql';

interface IOptions {
  readonly model: QueryModel;
  readonly form: FormModel;
  readonly trans: TranslationBundle;
  readonly editors: CodeEditor.Factory;
  /** Write the query in the notebook. */
  readonly run: () => void;
  /** The form wants room, or gives it back. */
  readonly room: (wanted: boolean) => void;
}

/** A place to write ADQL, with queries to begin with. */
export class QueryPanel extends Panel {
  constructor(options: IOptions) {
    super();
    const { editors, form, model, room, run, trans } = options;
    this.id = 'jupyter-astroml-query';
    this.title.label = trans.__('Query');
    this.addClass('jp-AstroML-section');
    this.addClass('jp-AstroML-query');
    this._model = model;
    this._text = new CodeEditor.Model({ mimeType: ADQL_MIME });
    this._editor = new CodeEditorWrapper({
      model: this._text,
      factory: editors,
      editorOptions: { config: { lineNumbers: false, lineWrap: true } }
    });
    this._editor.addClass('jp-AstroML-editor');
    // Tab leaves the editor: indentation means nothing in ADQL, and a keyboard must not be caught.
    this._editor.node.addEventListener('keydown', letTabLeave, true);
    this._editor.node
      .querySelector('.cm-content')
      ?.setAttribute('aria-label', trans.__('Query in ADQL'));
    this._text.sharedModel.changed.connect(this._written, this);
    model.changed.connect(this._changed, this);
    model.inserted.connect(this._insert, this);
    this.addWidget(
      ReactWidget.create(
        <UseSignal signal={model.changed}>
          {() => <Examples model={model} trans={trans} />}
        </UseSignal>
      )
    );
    const fields = ReactWidget.create(
      <UseSignal signal={form.changed}>
        {() => <QueryForm folded={room} model={form} trans={trans} />}
      </UseSignal>
    );
    fields.addClass('jp-AstroML-fields');
    this.addWidget(fields);
    this.addWidget(this._editor);
    this.addWidget(
      ReactWidget.create(
        <UseSignal signal={model.changed}>
          {() => <Run model={model} run={run} trans={trans} />}
        </UseSignal>
      )
    );
    this._changed();
    void this._help(trans);
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._editor.node.removeEventListener('keydown', letTabLeave, true);
    this._text.sharedModel.changed.disconnect(this._written, this);
    this._model.changed.disconnect(this._changed, this);
    this._model.inserted.disconnect(this._insert, this);
    super.dispose();
    this._text.dispose();
  }

  /** Add completions and marks, once what they need is loaded. */
  private async _help(trans: TranslationBundle): Promise<void> {
    const { editor } = this._editor;
    const { writing } = await import('./writing');
    // An editor of another kind has no such help, and works without.
    if (editor instanceof CodeMirrorEditor && !editor.isDisposed) {
      editor.injectExtension(
        writing({
          model: this._model,
          instead: name => trans.__('Write %1', name)
        })
      );
    }
  }

  private _written(): void {
    this._model.write(this._text.sharedModel.getSource());
  }

  private _changed(): void {
    const { adql } = this._model.query;
    if (adql !== this._text.sharedModel.getSource()) {
      this._text.sharedModel.setSource(adql);
    }
  }

  private _insert(_: QueryModel, name: string): void {
    const { editor } = this._editor;
    const selection = editor.getSelection();
    const [start, end] = [
      editor.getOffsetAt(selection.start),
      editor.getOffsetAt(selection.end)
    ].sort((a, b) => a - b);
    const source = this._text.sharedModel.getSource();
    const space = /[\w"]$/.test(source.slice(0, start)) ? ' ' : '';
    this._text.sharedModel.updateSource(start, end, space + name);
    const position = editor.getPositionAt(start + space.length + name.length);
    if (position) {
      editor.setCursorPosition(position);
    }
  }

  private readonly _editor: CodeEditorWrapper;
  private readonly _model: QueryModel;
  private readonly _text: CodeEditor.Model;
}

function letTabLeave(event: KeyboardEvent): void {
  if (event.key === 'Tab' && !event.ctrlKey && !event.altKey) {
    event.stopPropagation();
  }
}

function Examples(props: {
  model: QueryModel;
  trans: TranslationBundle;
}): JSX.Element {
  const { model, trans } = props;
  const { examples, query } = model;
  const place = examples.findIndex(each => each.adql === query.adql);
  return (
    <div className="jp-AstroML-bar">
      <select
        aria-label={trans.__('Example queries')}
        className="jp-AstroML-select"
        disabled={examples.length === 0}
        onChange={event =>
          model.write(examples[Number(event.target.value)].adql)
        }
        value={place}
      >
        <option disabled={true} value={-1}>
          {trans.__('Example queries')}
        </option>
        {examples.map((each, index) => (
          <option key={`${each.kind} ${each.table}`} value={index}>
            {titled(each, trans)}
          </option>
        ))}
      </select>
    </div>
  );
}

function titled(example: IExample, trans: TranslationBundle): string {
  switch (example.kind) {
    case 'rows':
      return trans.__('First rows of %1', example.table);
    case 'cone':
      return trans.__('Around a position in %1', example.table);
    case 'count':
      return trans.__('How many rows in %1', example.table);
    case 'tables':
      return trans.__('Tables of this archive');
  }
}

function Run(props: {
  model: QueryModel;
  run: () => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { model, run, trans } = props;
  const { archive } = model.query;
  return (
    <div className="jp-AstroML-bar jp-mod-row">
      <button
        className="jp-AstroML-button jp-mod-accept"
        disabled={!model.ready}
        onClick={run}
        title={trans.__('Write this query in the notebook')}
        type="button"
      >
        {trans.__('Insert query')}
      </button>
      <span className="jp-AstroML-note">
        {archive && trans.__('gives rows of %1', archive)}
      </span>
    </div>
  );
}
