"""Examine the installation: what works, what does not, and how to mend it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Floors below which a known hole or fault is open; DESIGN of the project names the reasons.
FLOORS = {
    "jupyterlab": "4.5.7",
    "jupyter_server": "2.20.0",
    "distributed": "2026.1.0",
    "bokeh": "3.8.2",
    "torch": "2.6",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what : str
        What was looked at.
    good : bool
    found : str
        What was seen.
    remedy : str
        What to do when it is not good.
    """

    what: str
    good: bool
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at versions, the front end, the models, the archive and the disk."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _versions,
        _front_end,
        _server,
        _models,
        _archive,
        _devices,
    )
    found: list[Finding] = []
    for check in checks:
        try:
            found += list(check())
        except Exception as err:  # noqa: BLE001 - a doctor reports what falls over, and goes on
            found.append(
                Finding(
                    what=check.__name__.strip("_").replace("_", " "),
                    good=False,
                    found=f"{type(err).__name__}: {err}",
                    remedy="install jupyter_astroml again in a clean environment",
                )
            )
    return found


def _versions() -> Iterator[Finding]:
    from packaging.version import Version

    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0], "use Python 3.11+")
    for name, floor in FLOORS.items():
        try:
            here = version(name)
        except PackageNotFoundError:
            yield Finding(
                name, good=False, found="not installed", remedy=f"pip install '{name}>={floor}'"
            )
            continue
        yield Finding(
            name, Version(here) >= Version(floor), here, f"pip install --upgrade '{name}>={floor}'"
        )


def _front_end() -> Iterator[Finding]:
    from jupyter_core.paths import jupyter_path

    places = [Path(p) / "jupyter-astroml" for p in jupyter_path("labextensions")]
    there = next((p for p in places if (p / "package.json").is_file()), None)
    built = there is not None and any((there / "static").glob("remoteEntry*"))
    yield Finding(
        "JupyterLab panel",
        built,
        f"version {json.loads((there / 'package.json').read_text())['version']}"
        if there
        else "absent",
        "install jupyter_astroml from a wheel, or run make install in its sources",
    )


def _server() -> Iterator[Finding]:
    from jupyter_core.paths import jupyter_config_path

    name = Path("jupyter_server_config.d") / "jupyter_astroml.json"
    enabled = any((Path(p) / name).is_file() for p in jupyter_config_path())
    yield Finding(
        "Jupyter server extension",
        enabled,
        "enabled" if enabled else "not enabled",
        "run: jupyter server extension enable jupyter_astroml",
    )


def _models() -> Iterator[Finding]:
    from jupyter_astroml.models.loading import replay
    from jupyter_astroml.session import models

    for entry in models():
        found = replay(entry.name)
        yield Finding(
            f"model {entry.name}",
            found.passed,
            f"replayed, largest difference {found.largest:.2g}",
            "its answers differ here: install torch and jupyter_astroml again",
        )


def _archive() -> Iterator[Finding]:
    from jupyter_astroml.session import archive

    rows = archive("demo").query("SELECT COUNT(*) AS n FROM demo.galaxies")
    n = int(rows["n"][0])
    yield Finding("demo archive", n > 0, f"{n} simulated galaxies", "run: make demo again")


def _devices() -> Iterator[Finding]:
    # A fresh process, since counting devices starts a CUDA context that holds memory.
    seen = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    n = int(seen.stdout.strip().splitlines()[-1])
    yield Finding("GPUs", good=True, found=f"{n} (models run on the CPU too)")
