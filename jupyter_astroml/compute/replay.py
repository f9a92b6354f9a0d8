"""Do a run again and say whether the answers are the same, and where they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.compute.run import Progress, Run, provenance
from jupyter_astroml.core.jobs import Engine
from jupyter_astroml.core.manifest import MANIFEST, hashes_of
from jupyter_astroml.core.records import OK, Predictions

if TYPE_CHECKING:
    from astropy.table import Table

# Differences that are kept in memory and shown; all are counted.
KEPT = 1000
# What of the data of an object, told by the hash of the bytes that came.
SAME, OTHER, UNKNOWN = "same", "other", "unknown"


@dataclass(frozen=True)
class Difference:
    """An answer that is not what it was.

    Attributes
    ----------
    id : str
        Of the object.
    answer : str
        Name of the column or array, or ``"status"``.
    then, now : object
        Both answers; of an array, the two values that differ most.
    data : str
        Of the object: ``"same"`` bytes as then, ``"other"``, or ``"unknown"``.
    """

    id: str
    answer: str
    then: Any
    now: Any
    data: str = UNKNOWN


@dataclass(frozen=True)
class Comparison:
    """How the answers of a run compare with those of doing it again.

    Attributes
    ----------
    run : str
        Its folder.
    objects : int
        Objects that were done again: those that had been done.
    same : int
        Objects whose every answer is equal to the last bit.
    close : int
        Objects whose answers are within the tolerance, and not all equal.
    different : int
        Objects whose answers are others.
    failed : int
        Objects that had answers then and got none now, such as those that could not be fetched.
    largest : float
        Largest absolute difference of a number.
    differences : tuple of Difference
        Of the objects that are different, the first `KEPT`.
    same_data, other_data : int
        Objects for which the archive gave the same bytes as then, and other ones.
        For the rest one of the two is not known: they were not fetched, or did not come.
        An archive that writes the time into each file gives other bytes for the same pixels.
    other_data_ids : tuple of str
        Of the objects with other data, the first `KEPT`.
    altered : tuple of str
        Files of the run's own data that somebody changed since it was made.
    then, now : mapping
        Versions, Python and engine.
    """

    run: str
    objects: int
    same: int
    close: int
    different: int
    failed: int
    largest: float
    differences: tuple[Difference, ...] = ()
    same_data: int = 0
    other_data: int = 0
    other_data_ids: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    then: Mapping[str, Any] = field(default_factory=dict)
    now: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all was done again, on unchanged data of the run, and is within the tolerance."""
        return self.different == 0 and self.failed == 0 and not self.altered

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """What the run was made with that is another thing now, then and now."""
        names = sorted({*self.then, *self.now})
        return {
            name: (self.then.get(name), self.now.get(name))
            for name in names
            if self.then.get(name) != self.now.get(name)
        }

    def to_table(self) -> Table:
        """Return the differences as a table, numbers as text."""
        from astropy.table import Table

        names = ("id", "answer", "then", "now", "data")
        rows = [tuple(str(getattr(d, name)) for name in names) for d in self.differences]
        return Table(rows=rows or None, names=names, dtype=[str] * len(names))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "run": self.run,
            "objects": self.objects,
            "same": self.same,
            "close": self.close,
            "different": self.different,
            "failed": self.failed,
            "largest": self.largest,
            "passed": self.passed,
            "changed": {name: list(map(str, pair)) for name, pair in self.changed.items()},
            "same_data": self.same_data,
            "other_data": self.other_data,
            "other_data_ids": list(self.other_data_ids),
            "altered": list(self.altered),
            "differences": [
                {
                    "id": d.id,
                    "answer": d.answer,
                    "then": str(d.then),
                    "now": str(d.now),
                    "data": d.data,
                }
                for d in self.differences
            ],
        }

    def __str__(self) -> str:
        lines = [
            f"{self.objects} objects again: {self.same} the same to the last bit, "
            f"{self.close} within the tolerance, {self.different} different "
            f"(largest difference {self.largest:.2g})"
            + (f", {self.failed} could not be done again" if self.failed else "")
        ]
        if self.other_data:
            lines.append(
                f"{self.other_data} objects have other data than then, such as "
                f"{', '.join(self.other_data_ids[:3])}"
            )
        lines += [f"{name} was changed since the run was made" for name in self.altered]
        lines += [f"{n}: {a} then, {b} now" for n, (a, b) in self.changed.items()]
        lines += [
            f"{d.id}: {d.answer} {d.then} then, {d.now} now"
            + (f"; its data are {d.data}" if d.data != UNKNOWN else "")
            for d in self.differences[:10]
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(line)}</p>" for line in str(self).splitlines())


def replay(
    run: Run,
    engine: Engine,
    *,
    relative: float,
    absolute: float,
    progress: Callable[[Progress], Any] | None = None,
) -> Comparison:
    """Do the blocks of a run again, and compare; nothing of the run is changed.

    Parameters
    ----------
    run : Run
        Only blocks with answers are done again, each with the same objects as then.
    engine : Engine
        Where; another one than then is fine.
    relative, absolute : float
        Numbers are close within ``absolute + relative × |then|``.
    progress : callable, optional
        Called after each block.

    Raises
    ------
    AstroMLError
        If the job cannot be done any more: the weights are other ones, say.
    """
    counts = dict.fromkeys(("objects", "same", "close", "different", "failed"), 0)
    largest, kept, other = 0.0, [], []
    altered = tuple(run.altered())
    known = dict.fromkeys((SAME, OTHER, UNKNOWN), 0)
    results = engine.run(run.job, run.done())
    with closing(results):  # type: ignore[type-var]
        for block, now in results:
            then = run.answers(block.index)
            lost = then.ok & ~now.ok
            data = _data(then.ids, run.hashes(block.index), hashes_of(now.meta.get(MANIFEST, {})))
            for word in known:
                known[word] += int((data == word).sum())
            other += then.ids[data == OTHER].tolist()
            kept += [
                Difference(str(then.ids[row]), "status", OK, str(now.status[row]), data[row])
                for row in np.flatnonzero(lost)
            ]
            close, exact = np.ones(len(then), bool), np.ones(len(then), bool)
            for name, before, after in _pairs(then, now):
                alike, equal, off = _compared(before, after, relative=relative, absolute=absolute)
                largest = max(largest, off)
                for row in np.flatnonzero(~alike & ~lost):
                    told = _told(str(then.ids[row]), name, before[row], after[row])
                    kept.append(replace(told, data=data[row]))
                close &= alike
                exact &= equal
            del kept[KEPT:], other[KEPT:]
            counts["objects"] += len(then)
            counts["same"] += int(exact.sum())
            counts["close"] += int((close & ~exact).sum())
            counts["different"] += int((~close & ~lost).sum())
            counts["failed"] += int(lost.sum())
            if progress is not None:
                progress(Progress(counts["objects"], len(run), 0, 0.0))
    return Comparison(
        run=str(run.folder),
        **counts,
        largest=largest,
        differences=tuple(kept),
        same_data=known[SAME],
        other_data=known[OTHER],
        other_data_ids=tuple(other),
        altered=altered,
        then=_circumstances(run.meta),
        now=_circumstances({**provenance(), "engine": engine.name}),
    )


def _data(ids: np.ndarray, then: Mapping[str, str], now: Mapping[str, str]) -> np.ndarray:
    """Return for each object whether its data are the same as then."""
    pairs = [(then.get(name), now.get(name)) for name in ids.tolist()]
    return np.array(
        [UNKNOWN if not (a and b) else SAME if a == b else OTHER for a, b in pairs], dtype=object
    )


def _pairs(then: Predictions, now: Predictions) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each answer by name, as it was and as it is; one that is missing is of no value."""
    yield "status", then.status, now.status
    before, after = ({**p.columns, **p.arrays} for p in (then, now))
    for name in dict.fromkeys((*before, *after)):
        gone = np.full(len(then), "(no such answer)")
        yield name, np.asarray(before.get(name, gone)), np.asarray(after.get(name, gone))


def _compared(
    before: np.ndarray, after: np.ndarray, *, relative: float, absolute: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return for each object whether its answers are close, whether equal; and the largest gap."""
    n = len(before)
    if before.shape != after.shape:
        return np.zeros(n, bool), np.zeros(n, bool), 0.0
    if before.dtype.kind not in "biuf" or after.dtype.kind not in "biuf":
        alike = np.array([bool(np.all(a == b)) for a, b in zip(before, after, strict=True)], bool)
        return alike, alike, 0.0
    before, after = before.reshape(n, -1), after.reshape(n, -1)
    # Compared as they are: not every integer of 64 bits is a float.
    equal = (before == after) | (np.isnan(before) & np.isnan(after))
    a, b = before.astype(np.float64), after.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    with np.errstate(invalid="ignore"):
        gap = np.where(equal, 0.0, np.abs(a - b))
        # Nothing is near infinity but itself.
        close = equal | (finite & (gap <= absolute + relative * np.abs(a)))
    return close.all(axis=1), equal.all(axis=1), float(gap[finite].max(initial=0.0))


def _told(name: str, answer: str, then: Any, now: Any) -> Difference:
    if np.ndim(then) == 0:
        return Difference(name, answer, np.asarray(then).item(), np.asarray(now).item())
    if np.shape(then) != np.shape(now):
        return Difference(name, answer, f"shape {np.shape(then)}", f"shape {np.shape(now)}")
    off = np.nan_to_num(np.abs(np.asarray(then, float) - np.asarray(now, float)), nan=np.inf)
    place = np.unravel_index(int(off.argmax()), off.shape)
    return Difference(name, answer, float(then[place]), float(now[place]))


def _circumstances(meta: Mapping[str, Any]) -> dict[str, Any]:
    versions = meta.get("versions")
    return {
        **(versions if isinstance(versions, dict) else {}),
        **{name: meta.get(name) for name in ("python", "engine", "machine")},
    }
