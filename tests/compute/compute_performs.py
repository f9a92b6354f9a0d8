"""Functions that the tests of the engines run; workers import them by name, like real tasks."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from uuid import uuid4

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.core.records import Cutouts, Predictions, References


def references(n: int) -> References:
    names = [f"o{i:05d}" for i in range(n)]
    return References(
        ids=names,
        urls=[f"https://archive.example/{name}.fits" for name in names],
        formats=["image/fits"] * n,
        kind="cutouts",
        ra=np.linspace(0, 359, n),
        dec=np.linspace(-80, 80, n),
        size_arcsec=30.0,
        bands=("g", "r"),
        meta={"archive": "nowhere"},
    )


def cutouts(n: int, *, side: int = 8) -> Cutouts:
    rng = np.random.default_rng(5)
    return Cutouts(
        ids=[f"o{i:05d}" for i in range(n)],
        values=rng.normal(size=(n, 2, side, side)).astype(np.float32),
        bands=("g", "r"),
        ra=np.linspace(0, 359, n),
        dec=np.linspace(-80, 80, n),
        wcs=np.array([None if i % 3 else f"CRVAL1 = {i}" for i in range(n)], dtype=object),
        simulated=True,
    )


def number(name: str) -> int:
    return int(name[1:])


def answers(job, data) -> Predictions:
    """Answer by the name of the object; write down that this block was done, and by whom."""
    options = job.options
    if "log" in options:
        note = {"first": data.ids[0], "n": len(data), "pid": os.getpid(), "at": time.time()}
        name = "-".join(str(v) for v in (*note.values(), uuid4().hex[:6]))
        (Path(options["log"]) / name).touch()
    if "alive" in options:
        _enter(options["alive"])
    time.sleep(options.get("seconds", 0.0))
    for name in data.ids.tolist():
        if name in options.get("poison", ()):
            # A crash in native code: nothing in Python can catch it.
            os.kill(os.getpid(), signal.SIGSEGV)
        if name in options.get("crash_once", ()) and _first(options["log"], f"crash-{name}"):
            os._exit(7)
    if "wrong_digest" in options:
        raise ModelError("The weights are not those that were asked for", remedy="install them")
    if "bug" in options and options["bug"] in data.ids:
        raise ZeroDivisionError("a bug of ours")
    seeds = [number(name) for name in data.ids.tolist()]
    rows = np.array([np.random.default_rng(s).normal(size=5) for s in seeds])
    if hasattr(data, "values"):
        rows += data.values.mean(axis=(1, 2, 3))[:, None]
    bad = np.array([s % 10 == 9 for s in seeds])
    value = np.where(bad, np.nan, rows[:, 0])
    return Predictions(
        ids=data.ids,
        status=np.where(bad, "the file is no FITS file", "ok"),
        columns={"value": value, "label": np.where(bad, "", np.where(value > 0, "up", "down"))},
        arrays={"curve": rows.astype(np.float32)},
        ra=data.ra,
        dec=data.dec,
        meta={"model": job.model},
    )


def slow_prepare(job, data):
    """Stand for a download: waiting, no computing."""
    time.sleep(job.options["prepare_seconds"])
    return data


def shuffled(job, data) -> Predictions:
    return answers(job, data)[::-1]


def _first(folder: str, name: str) -> bool:
    try:
        (Path(folder) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _enter(folder: str) -> None:
    (Path(folder) / uuid4().hex).touch()


def notes(folder) -> list[dict]:
    """What `answers` wrote down: one entry for each block that was begun."""
    found = []
    for path in Path(folder).iterdir():
        if path.name.startswith("o"):
            first, n, pid, at, _ = path.name.split("-")
            found.append({"first": first, "n": int(n), "pid": int(pid), "at": float(at)})
    return found


def _bits(values):
    # The width of a text dtype is that of the longest text, which is no part of an answer.
    values = np.asarray(values)
    return values.tolist() if values.dtype.kind == "U" else (values.dtype, values.tobytes())


def same(a: Predictions, b: Predictions) -> bool:
    """Bit for bit, dtypes included."""
    return (
        list(a.columns) == list(b.columns)
        and list(a.arrays) == list(b.arrays)
        and all(
            _bits(x) == _bits(y)
            for x, y in [
                (a.ids, b.ids),
                (a.status, b.status),
                (a.ra, b.ra),
                (a.dec, b.dec),
                *((a.columns[k], b.columns[k]) for k in a.columns),
                *((a.arrays[k], b.arrays[k]) for k in a.arrays),
            ]
        )
    )


def _span(what: str, job, data) -> None:
    begin = time.monotonic()
    time.sleep(0.1)
    name = f"span-{what}-{data.ids[0]}-{os.getpid()}-{begin}-{time.monotonic()}"
    (Path(job.options["log"]) / name).touch()


def noted_prepare(job, data):
    _span("prepare", job, data)
    return data


def noted_perform(job, data) -> Predictions:
    _span("perform", job, data)
    return Predictions(ids=data.ids, status=np.full(len(data), "ok"), columns={})


def spans(folder) -> list[dict]:
    found = []
    for path in Path(folder).glob("span-*"):
        _, what, key, pid, t0, t1 = path.name.split("-")
        found.append({"what": what, "key": key, "pid": int(pid), "t0": float(t0), "t1": float(t1)})
    return found


def environment(job, data) -> Predictions:
    names = {"arena_max": "MALLOC_ARENA_MAX", "trim": "MALLOC_TRIM_THRESHOLD_"}
    columns = {k: np.full(len(data), os.environ.get(v, "")) for k, v in names.items()}
    columns["threads"] = np.full(len(data), os.environ.get("OMP_NUM_THREADS", ""))
    return Predictions(ids=data.ids, status=np.full(len(data), "ok"), columns=columns)
