"""Query archives, run models, and inspect every prediction: ``import jupyter_astroml as aml``."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

# Public names and where they live.
# They are loaded on first use (PEP 562), so that the import costs nothing and brings neither torch
# nor bokeh.
_PUBLIC = {
    "archive": "session",
    "archives": "session",
    "card_schema": "session",
    "check": "session",
    "cite": "session",
    "cluster": "session",
    "cluster_form": "widgets.cluster_form",
    "emulator": "session",
    "engine": "session",
    "engines": "session",
    "estimate": "session",
    "evaluate": "session",
    "events": "session",
    "explain": "session",
    "fetch": "session",
    "find": "session",
    "finetune": "session",
    "locate": "session",
    "login": "session",
    "logout": "session",
    "manifest": "session",
    "model": "session",
    "import_model": "session",
    "models": "session",
    "monitor": "widgets.monitor",
    "open_run": "session",
    "pause": "session",
    "predict": "session",
    "receive": "session",
    "read": "session",
    "read_network": "session",
    "register": "session",
    "replay": "session",
    "report": "session",
    "resume": "session",
    "runs": "session",
    "samples": "session",
    "send": "session",
    "settings": "core.settings",
    "stop": "session",
    "watch": "session",
    "to_votable": "session",
    "trust": "session",
    "describe": "session",
    "inspect": "widgets.inspect",
    "show": "widgets.show",
    "Attributions": "core.records",
    "AstroMLError": "core.errors",
    "Cutouts": "core.records",
    "LightCurves": "core.records",
    "Spectra": "core.records",
    "Predictions": "core.records",
    "References": "core.records",
    "__version__": "_version",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


class _Package(ModuleType):
    """A package in which public functions stand before rooms of the same name.

    The import system binds the rooms ``models`` and ``explain`` to the package as soon as anything
    imports them, and would hide ``aml.models()`` and ``aml.explain(…)``.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


def load_ipython_extension(shell: Any) -> None:
    """Register ``%%adql``: ``%load_ext jupyter_astroml``."""
    from jupyter_astroml.widgets.magics import load_ipython_extension as load

    load(shell)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-astroml"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "jupyter_astroml.server"}]
