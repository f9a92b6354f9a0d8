"""Query archives, run models, and inspect every prediction: ``import jupyter_astroml as aml``."""

from __future__ import annotations


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-astroml"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "jupyter_astroml.server"}]
