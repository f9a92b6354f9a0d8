"""The sidebar's face: routes over `jupyter_astroml.session`."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any


def _load_jupyter_server_extension(server_app: Any) -> None:
    from jupyter_astroml.server.routes import routes

    server_app.web_app.add_handlers(".*$", routes(server_app.web_app.settings["base_url"]))
    # Kernels inherit it: their widgets learn that the page has BokehJS, and of which version.
    os.environ["JUPYTER_ASTROML_BOKEHJS"] = version("bokeh")
    server_app.log.info("jupyter_astroml answers under /jupyter-astroml/")
