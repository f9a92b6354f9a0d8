/** Help for those who write ADQL: completions, and marks under what is probably wrong. */

import {
  autocompletion,
  CompletionContext,
  CompletionResult
} from '@codemirror/autocomplete';
import { Diagnostic, linter } from '@codemirror/lint';
import { Extension } from '@codemirror/state';
import { EditorView, tooltips } from '@codemirror/view';

import { IMark, QueryModel } from '../model/query';

/** Milliseconds without a key before a query is looked through. */
const REST = 500;

// CodeMirror's pictures for what an option is.
const PICTURE: Readonly<Record<string, string>> = {
  column: 'property',
  table: 'class',
  schema: 'namespace',
  alias: 'variable',
  function: 'function',
  keyword: 'keyword'
};

interface IOptions {
  readonly model: QueryModel;
  /** The words for “write this instead”. */
  readonly instead: (name: string) => string;
}

export function writing(options: IOptions): Extension {
  const { model, instead } = options;
  return [
    autocompletion({
      override: [context => offered(model, context)],
      // The server has put the likeliest first.
      compareCompletions: () => 0
    }),
    linter(
      async (view): Promise<Diagnostic[]> => {
        const text = view.state.doc.toString();
        const found = await model.check(text);
        // Marks for what was written since would stand in wrong places.
        return view.state.doc.toString() === text
          ? found.map(mark => diagnostic(mark, instead))
          : [];
      },
      { delay: REST }
    ),
    // A panel of the lab cuts off what is larger than itself.
    tooltips({ parent: document.body })
  ];
}

async function offered(
  model: QueryModel,
  context: CompletionContext
): Promise<CompletionResult | null> {
  const { pos, state, explicit } = context;
  const written = context.matchBefore(/[\w".]+$/);
  if (!explicit && !written) {
    return null;
  }
  const { from, options } = await model.complete(state.doc.toString(), pos);
  return context.aborted || options.length === 0
    ? null
    : {
        from,
        options: options.map(({ text, kind, detail, info }) => ({
          label: text,
          type: PICTURE[kind],
          detail,
          info: info || undefined
        })),
        // What the server left out because it began otherwise may fit a shorter beginning.
        validFor: /^"?\w+"?$/
      };
}

function diagnostic(
  mark: IMark,
  instead: (name: string) => string
): Diagnostic {
  return {
    from: mark.from,
    to: mark.to,
    severity: 'warning',
    message: mark.what,
    actions: mark.nearest.map(name => ({
      name: instead(name),
      apply: (view: EditorView, from: number, to: number) =>
        view.dispatch({ changes: { from, to, insert: name } })
    }))
  };
}
