"""The administrators' page: charts that fill themselves from ``/v1/status``.

The page itself holds no facts and is open; the token that the status needs is typed into it, stays
in the browser's tab, and goes nowhere but into the header of requests to the pool.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

# Nothing from elsewhere, nothing inline, and in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #24292f; max-width: 70rem; margin: 1rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.4rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem; }
#facts { display: flex; flex-wrap: wrap; gap: 2rem; margin-top: 1rem; }
table { border-collapse: collapse; align-self: start; }
caption { font-weight: 600; text-align: left; padding: 0.2rem 0; }
th, td { border: 1px solid #d0d7de; padding: 0.15rem 0.6rem; text-align: left; }
"""


@lru_cache(maxsize=1)
def parts() -> tuple[str, str]:
    """Return the page and the script of its charts."""
    from bokeh.embed import components

    from jupyter_astroml.plots.pool import charts

    script, places = components(charts())
    drawn = "".join(places.values())
    page = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>The pool</title><style>{_STYLE}</style></head>
<body>
<h1>The pool</h1>
<form id="who"><label>Token of an administrator
<input name="token" type="password" autocomplete="off" required></label>
<button>Show</button></form>
<p id="told" role="status"></p>
<div class="charts">{drawn}</div>
<div id="facts"></div>
<script src="page/bokeh.js"></script>
<script src="page/charts.js"></script>
<script src="page/page.js"></script>
</body>
</html>
"""
    return page, re.sub(r"</?script[^>]*>", "", script)


def own_script() -> Path:
    """Return the script that asks the pool."""
    return Path(__file__).with_name("page.js")


def bokeh_script() -> Path:
    """Return Bokeh's own script, as its package brings it."""
    import bokeh

    return Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
