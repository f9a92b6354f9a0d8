import { bokeh } from './plugins/bokeh';
import { cells } from './plugins/cells';
import { language } from './plugins/language';
import { archives, models, query, results } from './plugins/sections';
import { shared } from './plugins/shared';
import { sidebar } from './plugins/sidebar';

export default [
  shared,
  sidebar,
  archives,
  query,
  models,
  results,
  cells,
  language,
  bokeh
];
