/**
 * Load BokehJS from our own server.
 *
 * jupyter_bokeh needs `window.Bokeh`. From a content delivery network it fails offline, and inline
 * it adds 8 MB to the saved notebook.
 */
export function loadBokeh(scripts: ReadonlyArray<string>): void {
  // Somebody else's BokehJS stays: two would not share their models.
  if ('Bokeh' in window) {
    return;
  }
  for (const source of scripts) {
    const script = document.createElement('script');
    script.src = source;
    script.async = false; // the widgets and tables build on the first one
    document.head.appendChild(script);
  }
}
