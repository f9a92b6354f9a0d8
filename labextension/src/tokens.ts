import { Token } from '@lumino/coreutils';
import { Widget } from '@lumino/widgets';

import { ArchivesModel } from './model/archives';
import { FormModel } from './model/form';
import { ModelsModel } from './model/models';
import { Preferences } from './model/preferences';
import { QueryModel } from './model/query';

/** Names of our commands; the argument of each is described where it is added. */
export const Commands = {
  open: 'jupyter-astroml:open',
  quickStart: 'jupyter-astroml:quick-start',
  query: 'jupyter-astroml:query',
  predict: 'jupyter-astroml:predict',
  inspect: 'jupyter-astroml:inspect',
  explain: 'jupyter-astroml:explain',
  refresh: 'jupyter-astroml:refresh'
} as const;

/** What the panels of the sidebar share: state and no DOM. */
export interface IAstroML {
  readonly archives: ArchivesModel;
  readonly models: ModelsModel;
  readonly query: QueryModel;
  readonly form: FormModel;
  readonly preferences: Preferences;
}

export const IAstroML = new Token<IAstroML>(
  'jupyter-astroml:IAstroML',
  'Archives, models and the query that is being written.'
);

/** Sections of the sidebar: ours come by this door, and so do a stranger's. */
export interface ISidebar {
  /**
   * Add a section; its title comes from the widget.
   *
   * @param rank - sections stand in this order, ours at 100, 200, 300 and 400
   * @param size - share of the height, beside the others
   */
  add(section: Widget, options: { rank: number; size: number }): void;
  /** Give a section another share of the height. */
  resize(section: Widget, size: number): void;
  /** Show the sidebar. */
  open(): void;
}

export const ISidebar = new Token<ISidebar>(
  'jupyter-astroml:ISidebar',
  'The Astro ML sidebar, to which sections can be added.'
);
