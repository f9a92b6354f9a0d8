"""All settings in one frozen record: from the call, the environment, or Jupyter's files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from jupyter_astroml.core.errors import SettingsError

PREFIX = "ASTROML_"
CONFIG_NAME = "jupyter_astroml.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a site or a user may choose.

    Each field can be set by ``ASTROML_<FIELD>`` in the environment, or by a file
    ``jupyter_astroml.json`` in any of Jupyter's configuration folders
    (``jupyter --paths`` lists them; a site puts it beside its other Jupyter configuration).
    An argument of a function beats the environment, the environment beats the file.

    Attributes
    ----------
    archive : str
        Archive that is used when none is named.
    model_path : tuple of Path
        Folders with more models, in the order of search.
    run_dir : Path
        Where runs are written.
    cache_dir : Path
        Where the demo sky is kept, and what was downloaded.
    cache_size : float
        GiB of downloads that are kept; 0 keeps none.
    engine : str
        ``"auto"``, ``"here"``, ``"dask"`` or ``"pool"``: see `jupyter_astroml.session.engine`.
    pool : str
        Address of the hub's pool, such as ``https://hub.example.org/services/pool``; empty without.
    workers : int
        Number of workers of a local cluster; 0 takes one a core.
    block_seconds : float
        Time that a block should take: long enough to hide the scheduler, short enough to be fair.
    window : int
        Blocks in flight for each worker.
    """

    archive: str = "demo"
    model_path: tuple[Path, ...] = ()
    run_dir: Path = Path("runs")
    cache_dir: Path = field(default_factory=lambda: Path.home() / ".cache" / "jupyter_astroml")
    cache_size: float = 5.0
    engine: str = "auto"
    pool: str = ""
    workers: int = 0
    block_seconds: float = 0.3
    window: int = 2


def settings(**given: Any) -> Settings:
    """Return the settings in force, with `given` on top.

    Raises
    ------
    SettingsError
        For an unknown name or a value of the wrong kind; names the place that it came from.
    """
    found = Settings()
    for place, values in (*_from_files(), _from_environment()):
        found = _updated(found, values, place=place)
    return _updated(found, {k: v for k, v in given.items() if v is not None}, place="the call")


def _from_files() -> list[tuple[str, dict[str, Any]]]:
    from jupyter_core.paths import jupyter_config_path

    found = []
    # Jupyter lists the strongest folder first, and the last to be applied wins.
    for folder in reversed(jupyter_config_path()):
        path = Path(folder) / CONFIG_NAME
        try:
            text = path.read_text()
        except OSError:
            continue
        try:
            values = json.loads(text)
        except ValueError as err:
            raise SettingsError(f"{path} is no JSON", cause=str(err)) from err
        if not isinstance(values, dict):
            raise SettingsError(f"{path} holds no JSON object", remedy='write {"engine": "here"}')
        found.append((str(path), values))
    return found


def _from_environment() -> tuple[str, dict[str, str]]:
    names = {PREFIX + f.name.upper(): f.name for f in fields(Settings)}
    return "the environment", {names[k]: v for k, v in os.environ.items() if k in names and v != ""}


def _updated(old: Settings, values: Mapping[str, Any], *, place: str) -> Settings:
    kinds = get_type_hints(Settings)
    unknown = sorted(set(values) - set(kinds))
    if unknown:
        raise SettingsError(
            f"Unknown setting {unknown[0]!r} in {place}",
            remedy=f"use one of {', '.join(sorted(kinds))}",
        )
    return replace(old, **{k: _as(kinds[k], v, name=k, place=place) for k, v in values.items()})


def _as(kind: Any, value: Any, *, name: str, place: str) -> Any:
    try:
        if kind in (int, float, str):
            return kind(value)
        if kind is Path:
            return Path(value).expanduser()
        parts = value.split(os.pathsep) if isinstance(value, str) else value
        return tuple(Path(p).expanduser() for p in parts)
    # RuntimeError: a path that begins with the home of nobody, such as ~nobody/runs.
    except (TypeError, ValueError, RuntimeError) as err:
        raise SettingsError(
            f"The setting '{name}' from {place} is {value!r}",
            cause=str(err),
            remedy=f"give a value like {getattr(Settings(), name)!r}",
        ) from err
