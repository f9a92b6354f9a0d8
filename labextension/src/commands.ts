import { JupyterFrontEnd } from '@jupyterlab/application';
import { InputDialog, showErrorMessage } from '@jupyterlab/apputils';
import { NotebookActions, NotebookPanel } from '@jupyterlab/notebook';
import { TranslationBundle } from '@jupyterlab/translation';
import { refreshIcon } from '@jupyterlab/ui-components';
import { ReadonlyJSONObject } from '@lumino/coreutils';

import { explainCode, inspectCode, predictCode, queryCode } from './model/code';
import { quickStartCells } from './model/quickstart';
import { ready, CellWriter } from './notebook';
import { galaxyIcon } from './panels/icons';
import { Commands, IAstroML, ISidebar } from './tokens';

type Arguments = Record<string, { type: 'string'; description: string }>;

function described(properties: Arguments = {}): {
  args: ReadonlyJSONObject;
} {
  return { args: { type: 'object', properties, additionalProperties: false } };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Show the sidebar, and ask the server again. */
export function addSidebarCommands(
  app: JupyterFrontEnd,
  options: { sidebar: ISidebar; shared: IAstroML; trans: TranslationBundle }
): void {
  const { shared, sidebar, trans } = options;
  app.commands.addCommand(Commands.open, {
    label: trans.__('Show Astro ML'),
    caption: trans.__('Archives, models and results'),
    icon: galaxyIcon,
    describedBy: described(),
    execute: () => sidebar.open()
  });
  app.commands.addCommand(Commands.refresh, {
    label: trans.__('Refresh Archives and Models'),
    caption: trans.__('Ask the server for archives and models again'),
    icon: refreshIcon,
    describedBy: described(),
    execute: async () => {
      await Promise.all([shared.archives.refresh(), shared.models.refresh()]);
    }
  });
}

/** The steps of the main job, each of which writes a cell. */
export function addCellCommands(
  app: JupyterFrontEnd,
  options: { writer: CellWriter; shared: IAstroML; trans: TranslationBundle }
): void {
  const { shared, trans, writer } = options;
  const write = (code: string): Promise<void> =>
    writer
      .write(code, { run: shared.preferences.value.runInserted })
      .catch((reason: Error) =>
        showErrorMessage(trans.__('No cell could be written'), reason)
      );

  app.commands.addCommand(Commands.query, {
    label: trans.__('Insert Query'),
    caption: trans.__('Write the query of the sidebar in the notebook'),
    describedBy: described({
      archive: {
        type: 'string',
        description: trans.__('Archive; the one that is open by default')
      },
      adql: {
        type: 'string',
        description: trans.__('Query in ADQL; that of the sidebar by default')
      }
    }),
    execute: async args => {
      await shared.archives.open();
      const { query } = shared.query;
      const archive = text(args.archive) || query.archive;
      const adql = text(args.adql) || query.adql;
      if (archive && adql.trim()) {
        await write(queryCode({ archive, adql }));
      } else {
        await app.commands.execute(Commands.open);
      }
    }
  });
  app.commands.addCommand(Commands.predict, {
    label: args =>
      args.model
        ? trans.__('Predict with %1', text(args.model))
        : trans.__('Insert Prediction…'),
    caption: trans.__('Write a prediction for rows in the notebook'),
    describedBy: described({
      model: {
        type: 'string',
        description: trans.__('Name of the model; asked for by default')
      },
      engine: {
        type: 'string',
        description: trans.__('Where it runs; that of the settings by default')
      }
    }),
    execute: async args => {
      await shared.archives.open();
      const model = text(args.model) || (await askModel(shared, trans));
      if (model) {
        await write(
          predictCode({ model, engine: text(args.engine) || engine(shared) })
        );
      }
    }
  });
  app.commands.addCommand(Commands.inspect, {
    label: trans.__('Insert Inspector'),
    caption: trans.__('Linked plots of all objects in run'),
    describedBy: described(),
    execute: () => write(inspectCode())
  });
  app.commands.addCommand(Commands.explain, {
    label: trans.__('Insert Saliency'),
    caption: trans.__('Which pixels or times the answers rest on'),
    describedBy: described(),
    execute: () => write(explainCode())
  });
}

/** A notebook with the main job's first cells, which wait to be run. */
export function addQuickStart(
  app: JupyterFrontEnd,
  options: {
    create: (folder: string) => Promise<NotebookPanel>;
    folder: () => string;
    trans: TranslationBundle;
  }
): void {
  const { create, folder, trans } = options;
  app.commands.addCommand(Commands.quickStart, {
    label: trans.__('Astro ML Quick Start'),
    caption: trans.__(
      'A notebook that queries the demo sky, predicts and inspects'
    ),
    icon: galaxyIcon,
    describedBy: {
      // The launcher adds arguments of its own.
      args: {
        type: 'object',
        properties: {
          cwd: {
            type: 'string',
            description: trans.__('Folder of the new notebook')
          }
        }
      }
    },
    execute: async args => {
      const panel = await create(text(args.cwd) || folder());
      await ready(panel);
      const shared = panel.content.model?.sharedModel;
      shared?.transact(() => {
        shared.deleteCellRange(0, shared.cells.length);
        shared.insertCells(
          0,
          quickStartCells(trans).map(cell => ({ ...cell }))
        );
      });
      await NotebookActions.renderAllMarkdown(panel.content);
      panel.content.activeCellIndex = panel.content.widgets.findIndex(
        cell => cell.model.type === 'code'
      );
      return panel;
    }
  });
}

function engine(shared: IAstroML): string {
  return (
    shared.preferences.value.engine || shared.archives.status?.engine || 'here'
  );
}

async function askModel(
  shared: IAstroML,
  trans: TranslationBundle
): Promise<string> {
  await shared.models.open();
  const { models } = shared.models;
  const names =
    models.state === 'ready' ? models.value.map(model => model.name) : [];
  const answer = await InputDialog.getItem({
    title: trans.__('Predict with which model?'),
    items: names,
    editable: names.length === 0,
    okLabel: trans.__('Insert')
  });
  return answer.button.accept ? (answer.value ?? '') : '';
}
