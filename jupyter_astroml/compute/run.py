"""A run: a directory in which answers land as they arrive, and from which a run is resumed.

::

    run.json          job, number of objects, block size, provenance
    data/             references or samples: resuming needs nothing else
    blocks/00012/     block.json with the hash of each file, columns.parquet, arrays.zarr,
                      fetched.parquet: how each object came
    lock              held by the process that drives the run
    paused            somebody wants it to wait, until it is resumed
    driver.log        what a process said that drives it on its own

A run appears whole by one rename, and so does each block, so that a process may be killed at any
moment.
Files are flushed to the disk when the run is made, and not for each block: should the machine lose
power, the hashes tell which of the last blocks are torn, and these are done again.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from jupyter_astroml.compute.store import (
    Data,
    plain_json,
    read_answers,
    read_fetched,
    read_json,
    read_manifest,
    whole,
    write_answers,
    write_data,
    write_json,
)
from jupyter_astroml.core.errors import RunError
from jupyter_astroml.core.jobs import Block, Job
from jupyter_astroml.core.joining import join
from jupyter_astroml.core.manifest import columns, hashes_of, table
from jupyter_astroml.core.records import Predictions, References, Samples

if TYPE_CHECKING:
    from astropy.table import Table

FORMAT = 1
RUN = "run.json"
DATA = "data"
BLOCKS = "blocks"
LOCK = "lock"
DRIVER = "driver.json"
LOG = "driver.log"
PAUSED = "paused"

# Looks at who drives a run, before whoever holds its lock is taken for one who does.
_LOOKS = 20
_BLOCK_NAME = re.compile(r"\d{5,10}")
_TASK = re.compile(r"[a-z][a-z_]{0,39}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{0,400}")
_PACKAGES = ("jupyter_astroml", "numpy", "torch", "astropy", "distributed")


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    done, total, failed : int
        Objects; a failed one is done too.
    seconds : float
        Time spent so far, over all sessions that drove the run.
    eta : float or None
        Seconds that are left at the pace of this session; None while nobody drives.
    note : str
        What is waited for, such as a turn in the pool.
    """

    done: int
    total: int
    failed: int
    seconds: float
    eta: float | None = None
    note: str = ""

    @property
    def finished(self) -> bool:
        """Whether nothing is missing."""
        return self.done >= self.total


class Run:
    """A run that exists on disk; made by `create` or `open`.

    Attributes
    ----------
    folder : Path
    job : Job
    block_size : int
        Objects in a block.
        It is part of the run because the last bits of an answer may depend on what else was in
        the block.
    meta : dict
        Provenance: versions, date and what the caller gave.
    relocated : callable or None
        Turns addresses of data into those of today; the files keep the ones of then.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.job = _job(about.get("job"))
        self.block_size = whole(about.get("block_size"), "block_size", least=1)
        meta, data = about.get("meta"), about.get("data")
        if (
            about.get("format") != FORMAT
            or not isinstance(meta, dict)
            or not isinstance(data, dict)
        ):
            raise RunError(
                f"{folder} is no run of this version",
                remedy="open it with the version of jupyter_astroml that made it",
            )
        self.meta: dict[str, Any] = dict(meta)
        self._data = Data(folder / DATA, data, block_size=self.block_size)
        self._manifests: dict[int, dict[str, Any]] = {}
        self._last_add: float | None = None
        self.relocated: Callable[[np.ndarray], np.ndarray] | None = None
        if (folder / BLOCKS).is_symlink() or not (folder / BLOCKS).is_dir():
            raise RunError(f"{folder / BLOCKS} is no directory", remedy="copy the run again")

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        job: Job,
        data: References | Samples,
        block_size: int,
        meta: Mapping[str, Any] | None = None,
    ) -> Run:
        """Make a run directory.

        Parameters
        ----------
        folder : Path
            Must not exist, or be empty.
        job : Job
            What to do with each block.
        data : References or Samples
            Kept in the run.
        block_size : int
            Objects in a block.
        meta : mapping, optional
            Provenance: plain values, added to the versions and the date.

        Raises
        ------
        RunError
            If the folder is taken or cannot be written.
        DataError
            If the data are empty or an id stands twice.
        """
        # The path is kept whole: the caller may change the working directory.
        path = Path(folder).expanduser().absolute()
        size = whole(block_size, "block_size", least=1)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(
                f"{path} is taken",
                remedy="give another folder, or resume the run that is there",
            )
        draft = path.parent / f".{path.name}.{uuid4().hex[:8]}"
        try:
            (draft / DATA).mkdir(parents=True)
            (draft / BLOCKS).mkdir()
            about = {
                "format": FORMAT,
                "job": _job(plain_json(job.to_json())).to_json(),
                "data": write_data(draft / DATA, data, block_size=size),
                "block_size": size,
                "meta": {**provenance(), **plain_json(meta or {})},
            }
            write_json(draft / RUN, about)
            _flush(draft)
            draft.rename(path)
        except OSError as err:
            raise RunError(
                f"The run {path} cannot be made",
                cause=str(err),
                remedy="choose a folder on a disk with room, where you may write",
            ) from err
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return cls.open(path)

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """Open a run that exists.

        Raises
        ------
        RunError
            If there is no run, or its files are not what they should be.
        """
        path = Path(folder).expanduser().absolute()
        if not (path / RUN).is_file():
            raise RunError(f"There is no run in {path}", remedy="give the folder of a run")
        return cls(path, read_json(path / RUN))

    def __len__(self) -> int:
        return self._data.n

    @property
    def n_blocks(self) -> int:
        """Number of blocks, done or not."""
        return -(-len(self) // self.block_size)

    def block(self, index: int) -> Block:
        """Return one block with its data."""
        start, stop = self._span(index)
        return Block(index, self._rows(start, stop))

    def select(self, ids: Iterable[str]) -> References | Samples:
        """Return the references or samples of some objects, in the order of `ids`.

        Raises
        ------
        RunError
            If an id is not in this run.
        """
        wanted = [str(i) for i in ids]
        place = {name: i for i, name in enumerate(self._data.ids().tolist())}
        unknown = [name for name in wanted if name not in place]
        if unknown or not wanted:
            raise RunError(
                f"The run {self.folder.name} has no object {unknown[0]!r}"
                if unknown
                else "No object was named",
                remedy="take an id from the predictions of this run",
            )
        rows = [place[name] for name in wanted]
        picked = [self._rows(i, i + 1) for i in rows]
        return picked[0] if len(picked) == 1 else join(picked)

    def missing(self) -> Iterator[Block]:
        """Yield the blocks without answers, or with damaged ones; data are read block by block."""
        return map(self.block, self.missing_blocks())

    def missing_blocks(self, *, failed: bool = False) -> list[int]:
        """Return the numbers of the blocks without answers, or with damaged ones.

        Parameters
        ----------
        failed : bool
            Those with objects that failed too; their answers stay until there are new ones.
        """
        done = self._scan()
        again = {index for index, about in done.items() if failed and about["failed"]}
        return [index for index in range(self.n_blocks) if index not in done or index in again]

    def done(self) -> Iterator[Block]:
        """Yield the blocks that have answers, in order."""
        return (self.block(index) for index in sorted(self._scan()))

    def answers(self, index: int) -> Predictions:
        """Return the answers of one block that is done."""
        manifest = self._manifests.get(index) or self._scan().get(index)
        if manifest is None:
            raise RunError(f"The run {self.folder.name} has no answers of block {index}")
        return read_answers(self.folder / BLOCKS / f"{index:05d}", manifest)

    def add(self, block: Block, predictions: Predictions) -> None:
        """Keep the answers of a block.

        Raises
        ------
        RunError
            If they are not the answers of this block, or cannot be written.
        """
        start, stop = self._span(block.index)
        if not np.array_equal(predictions.ids, block.data.ids) or len(predictions) != stop - start:
            raise RunError(
                f"The answers of block {block.index} are not those of its objects, in its order",
                remedy="report this: an engine or a model mixed up its rows",
            )
        now = time.monotonic()
        about = {
            "index": block.index,
            "n": len(predictions),
            "failed": int((~predictions.ok).sum()),
            "seconds": now - self._last_add if self._last_add is not None else 0.0,
            "written": _now(),
        }
        blocks = self.folder / BLOCKS
        draft = blocks / f".{block.index:05d}.{uuid4().hex[:8]}"
        try:
            draft.mkdir()
            manifest = write_answers(draft, predictions, about)
            _put(draft, blocks / f"{block.index:05d}")
        except OSError as err:
            raise RunError(
                f"The answers of block {block.index} cannot be written to {self.folder}",
                cause=str(err),
                remedy="make room on the disk, then resume: blocks that were written are kept",
            ) from err
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self._last_add = now
        self._manifests[block.index] = manifest

    def predictions(self, *, arrays: bool = True) -> Predictions:
        """Return the answers that have arrived, in the order of the run's objects.

        Parameters
        ----------
        arrays : bool
            Read the dense answers too.
        """
        parts = []
        for index, manifest in sorted(self._scan().items()):
            folder = self.folder / BLOCKS / f"{index:05d}"
            parts.append(read_answers(folder, manifest, arrays=arrays))
        if not parts:
            return Predictions(ids=np.array([], str), status=np.array([], str), columns={})
        whole_run = join(parts)
        given = next((p.meta for p in parts if p.meta), {})
        return Predictions(
            ids=whole_run.ids,
            status=whole_run.status,
            columns=whole_run.columns,
            arrays=whole_run.arrays,
            ra=whole_run.ra,
            dec=whole_run.dec,
            meta={**self.meta, **self.job.to_json(), **given, "run": str(self.folder)},
        )

    def manifest(self) -> Table:
        """Return how the objects came that were fetched so far, one row for each.

        Returns
        -------
        astropy.table.Table
            The columns of `jupyter_astroml.core.manifest.Entry`; no row where the run was made of
            samples, or by a version that did not tell.
        """
        blocks = self.folder / BLOCKS
        parts = [read_fetched(blocks / f"{index:05d}") for index in sorted(self._scan())]
        told = columns([])
        for part in parts:
            for name in told:
                told[name] += part.get(name, [])
        return table(told)

    def hashes(self, index: int) -> dict[str, str]:
        """Return the SHA-256 of what was fetched for each object of a block, by id."""
        return hashes_of(read_fetched(self.folder / BLOCKS / f"{index:05d}"))

    def altered(self) -> list[str]:
        """Return the files of the run's own data that somebody changed since it was made."""
        return self._data.altered()

    def progress(self, *, without: Iterable[int] = ()) -> Progress:
        """Return how far the run is, by what is on disk now.

        Parameters
        ----------
        without : iterable of int
            Numbers of blocks that do not count, because they are to be done again.
        """
        left_out = set(without)
        manifests = [m for index, m in self._scan().items() if index not in left_out]
        return Progress(
            done=sum(m["n"] for m in manifests),
            total=len(self),
            failed=sum(m["failed"] for m in manifests),
            seconds=float(sum(m["seconds"] for m in manifests)),
        )

    @property
    def summary(self) -> dict[str, Any]:
        """A few plain values that tell what this run is and how far."""
        at = self.progress()
        return {
            "name": self.folder.name,
            "folder": str(self.folder),
            "task": self.job.task,
            "model": self.job.model,
            "digest": self.job.digest,
            "created": self.meta.get("created", ""),
            "total": at.total,
            "done": at.done,
            "failed": at.failed,
            "seconds": at.seconds,
            "state": self._state(at),
        }

    def _state(self, at: Progress) -> str:
        if at.finished:
            return "done"
        if self.driver():
            return "running"
        return "paused" if self.paused else "stopped"

    @property
    def paused(self) -> bool:
        """Whether somebody wants this run to wait until it is resumed."""
        return (self.folder / PAUSED).exists()

    def pause(self) -> None:
        """Ask whoever drives this run, wherever, to keep what is done and give back its workers.

        The wish stands in the folder, so that it outlives every process; a driver sees it at once
        and ends within a block.  Driving the run again takes it back.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        if self.progress().finished:
            return
        try:
            (self.folder / PAUSED).write_text(_now())
        except OSError as err:
            raise RunError(
                f"The run {self.folder.name} cannot be paused",
                cause=str(err),
                remedy="ask whoever may write into its folder",
            ) from err

    def waits(self) -> RunError:
        """Return what to tell whoever waits for a run that was paused."""
        at = self.progress()
        return RunError(
            f"The run {self.folder.name} is paused, with {at.done} of {at.total} objects done",
            cause="somebody asked for it",
            remedy=f"aml.resume({str(self.folder)!r}) goes on",
        )

    def __repr__(self) -> str:
        at = self.progress()
        failed = f", {at.failed} failed" if at.failed else ""
        return (
            f"<Run {self.folder.name}: {self.job.model}, {at.done} of {at.total} objects{failed}>"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>"
            for k, v in self.summary.items()
        )
        return f"<table>{rows}</table>"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that nobody else drives it.

        Raises
        ------
        RunError
            If another process or notebook drives this run, or the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        # Who asks whether somebody drives holds the lock for a moment.
        lock = FileLock(self.folder / LOCK, timeout=1)
        try:
            lock.acquire()
        except Timeout as err:
            raise RunError(
                f"The run {self.folder.name} is already being driven",
                cause=_driver(self.folder),
                remedy="wait for it (aml.watch), or stop it (aml.stop)",
            ) from err
        except (OSError, NotImplementedError) as err:
            raise RunError(
                f"The run {self.folder.name} cannot be locked",
                cause=str(err),
                remedy="use a folder where you may write",
            ) from err
        try:
            self._last_add = time.monotonic()
            with suppress(OSError):
                (self.folder / PAUSED).unlink()
            # Only a hint for the message above: a driver that cannot write it may still try.
            with suppress(OSError):
                write_json(
                    self.folder / DRIVER,
                    {
                        "pid": os.getpid(),
                        "host": socket.gethostname(),
                        "since": _now(),
                        # A notebook's kernel would end by the signal, with all its variables.
                        "stops": callable(signal.getsignal(signal.SIGTERM)),
                    },
                )
            self._tidy()
            yield
        finally:
            self._last_add = None
            with suppress(OSError):
                (self.folder / DRIVER).unlink()
            lock.release()

    def driver(self) -> dict[str, Any] | None:
        """Return process id, host and start of who drives this run, or None if nobody does.

        Where the folder is of somebody else, None too: nobody else can drive it.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / LOCK, timeout=0)
        for _ in range(_LOOKS):
            try:
                lock.acquire()
            except Timeout:
                with suppress(RunError):
                    return read_json(self.folder / DRIVER)
            except (OSError, NotImplementedError):
                return None
            else:
                lock.release()
                return None
            # It says no name: perhaps it only looks, as we do, and holds the lock for a moment.
            time.sleep(0.01)
        return {}

    def _rows(self, start: int, stop: int) -> References | Samples:
        found: References | Samples = self._data.rows(start, stop)
        if self.relocated is None or not isinstance(found, References):
            return found
        return replace(found, urls=self.relocated(found.urls))

    def _span(self, index: int) -> tuple[int, int]:
        if not 0 <= index < self.n_blocks:
            raise RunError(f"The run {self.folder.name} has no block {index}")
        start = index * self.block_size
        return start, min(start + self.block_size, len(self))

    def _scan(self) -> dict[int, dict[str, Any]]:
        """Look for blocks that arrived since the last look, perhaps from another process."""
        found = set()
        try:
            names = [path.name for path in (self.folder / BLOCKS).iterdir()]
        except OSError as err:
            raise RunError(f"The run {self.folder} cannot be read", cause=str(err)) from err
        for name in names:
            if not _BLOCK_NAME.fullmatch(name):
                continue
            index = int(name)
            if index in self._manifests or self._verified(index, name):
                found.add(index)
        self._manifests = {k: v for k, v in self._manifests.items() if k in found}
        return self._manifests

    def _verified(self, index: int, name: str) -> bool:
        manifest = read_manifest(self.folder / BLOCKS / name)
        if manifest is None or name != f"{index:05d}" or index >= self.n_blocks:
            return False
        start, stop = self._span(index)
        numbers = [manifest.get(k) for k in ("index", "n", "failed", "seconds")]
        if any(isinstance(v, bool) or not isinstance(v, int | float) for v in numbers):
            return False
        if manifest["index"] != index or manifest["n"] != stop - start:
            return False
        self._manifests[index] = manifest
        return True

    def _tidy(self) -> None:
        """Remove the drafts of drivers that were killed; call it only while holding the lock."""
        for draft in (self.folder / BLOCKS).glob(".*"):
            shutil.rmtree(draft, ignore_errors=True)


def runs(folder: Path | str) -> list[Run]:
    """Return the runs in a folder, oldest first.

    Warns
    -----
    UserWarning
        For each folder that holds a ``run.json`` which cannot be used.
    """
    found = []
    for path in sorted(Path(folder).expanduser().glob(f"*/{RUN}")):
        if path.parent.name.startswith("."):
            continue
        try:
            found.append(Run.open(path.parent))
        except RunError as err:
            warnings.warn(f"{path.parent} is left out: {err}", stacklevel=2)
    return sorted(found, key=lambda run: str(run.meta.get("created", "")))


def _job(given: Any) -> Job:
    """Return the job of a ``run.json``, whose values are not to be trusted."""
    if not isinstance(given, Mapping):
        raise RunError("run.json holds no job")
    task, model, digest = (given.get(k) for k in ("task", "model", "digest"))
    options = given.get("options", {})
    if not (
        isinstance(task, str)
        and _TASK.fullmatch(task)
        and all(isinstance(v, str) and _TEXT.fullmatch(v) for v in (model, digest))
        and isinstance(options, Mapping)
    ):
        raise RunError(
            "The job in run.json is not well formed",
            cause=json.dumps(plain_json({"task": task, "model": model, "digest": digest}))[:400],
            remedy="make the run anew",
        )
    return Job(task=task, model=str(model), digest=str(digest), options=dict(options))


def provenance() -> dict[str, Any]:
    """Return date, versions and machine, on which the last digits of an answer may depend."""
    versions = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "created": _now(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _put(draft: Path, place: Path) -> None:
    """Move a block to its place by one rename; a damaged one that is there gives way first."""
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        place.rename(draft.with_name(f"{draft.name}.old"))
    draft.rename(place)
    shutil.rmtree(draft.with_name(f"{draft.name}.old"), ignore_errors=True)


def _flush(folder: Path) -> None:
    """Have the disk hold a folder and all below it."""
    for path in (*folder.rglob("*"), folder):
        # Some file systems do not let a directory be flushed; their renames are safe as they are.
        with suppress(PermissionError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _driver(folder: Path) -> str:
    try:
        about = read_json(folder / DRIVER)
    except RunError:
        return "another process holds its lock"
    return "by process {} on {} since {}".format(
        *(str(about.get(k, "?"))[:80] for k in ("pid", "host", "since"))
    )
