import { ISessionContextDialogs } from '@jupyterlab/apputils';
import { isCodeCellModel } from '@jupyterlab/cells';
import {
  INotebookTracker,
  NotebookActions,
  NotebookPanel
} from '@jupyterlab/notebook';
import { ITranslator } from '@jupyterlab/translation';

import { ICellBefore, withImport } from './model/code';

interface IOptions {
  readonly tracker: INotebookTracker;
  readonly translator: ITranslator;
  readonly dialogs: ISessionContextDialogs | null;
  /** Make a notebook, in the folder that the user looks at. */
  readonly create: () => Promise<NotebookPanel>;
  readonly show: (panel: NotebookPanel) => void;
}

/** Writes cells in the notebook that the user works in, and runs them. */
export class CellWriter {
  constructor(private readonly _options: IOptions) {}

  /** Write below the active cell; two calls at once write one after the other. */
  write(code: string, options: { run: boolean }): Promise<void> {
    const written = this._last.then(() => this._write(code, options));
    // One failure must not bar the cells after it.
    this._last = written.catch(() => undefined);
    return written;
  }

  private async _write(code: string, options: { run: boolean }): Promise<void> {
    const panel = await this._panel();
    const { content: notebook, sessionContext } = panel;
    const { dialogs, show, translator } = this._options;
    show(panel);
    notebook.deselectAll();
    if (!isBlank(panel)) {
      NotebookActions.insertBelow(notebook);
    }
    const cell = notebook.activeCell;
    if (!cell) {
      return;
    }
    cell.model.sharedModel.setSource(withImport(code, before(panel)));
    // At the top, so that what it gives is in sight too.
    await notebook.scrollToCell(cell, 'start');
    if (options.run) {
      // Not awaited: a cell may take hours, and the next one can be written meanwhile.
      void NotebookActions.runCells(
        notebook,
        [cell],
        sessionContext,
        dialogs ?? undefined,
        translator
      );
    }
  }

  private async _panel(): Promise<NotebookPanel> {
    const current = this._options.tracker.currentWidget;
    if (current) {
      await ready(current);
      if (speaksPython(current)) {
        return current;
      }
    }
    const panel = await this._options.create();
    await ready(panel);
    return panel;
  }

  private _last: Promise<void> = Promise.resolve();
}

/** A notebook takes cells once its file is read, and runs them once its kernel is there. */
export async function ready(panel: NotebookPanel): Promise<void> {
  await panel.context.ready;
  await panel.sessionContext.ready;
}

function speaksPython(panel: NotebookPanel): boolean {
  const language = panel.content.model?.defaultKernelLanguage ?? '';
  // A notebook without a kernel names no language; the first run asks for one.
  return !panel.content.model?.readOnly && /^(i?python)?$/i.test(language);
}

/** Whether the user stands in a cell that nobody has written in. */
function isBlank(panel: NotebookPanel): boolean {
  const model = panel.content.activeCell?.model;
  return model?.type === 'code' && model.sharedModel.getSource().trim() === '';
}

function before(panel: NotebookPanel): ReadonlyArray<ICellBefore> {
  return panel.content.widgets.map(({ model }) => ({
    source: model.sharedModel.getSource(),
    executed: isCodeCellModel(model) && model.executionCount !== null
  }));
}
