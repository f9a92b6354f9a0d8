"""Sets of simulated fields to learn from and to be judged by, kept on disk while they grow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.zoo.lens_finder.borrowed import Galaxies
from jupyter_astroml.zoo.lens_finder.real import CLASSES
from jupyter_astroml.zoo.lens_finder.simulate import simulate
from jupyter_astroml.zoo.training import Say

if TYPE_CHECKING:
    from astropy.table import Table

# Fields that are drawn and written together.
CHUNK = 250


@dataclass(frozen=True, eq=False)
class Fields:
    """Labelled pictures.

    Attributes
    ----------
    pictures : ndarray of uint8, shape (n, 3, 128, 128)
    truth : Table
        Columns of `simulate.COLUMNS`.
    """

    pictures: np.ndarray
    truth: Table

    @property
    def classes(self) -> np.ndarray:
        """Index into `CLASSES`, shape (n,)."""
        return np.array([CLASSES.index(label) for label in self.truth["label"]])

    def split(self, n: int) -> tuple[Fields, Fields]:
        """Return the first n fields, and the others."""
        return Fields(self.pictures[:n], self.truth[:n]), Fields(self.pictures[n:], self.truth[n:])

    def values(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return pictures with values 0 to 1, float32."""
        return self.pictures[rows].astype(np.float32) / np.float32(255.0)


@dataclass(frozen=True)
class Wanted:
    """Which fields a set holds.

    Attributes
    ----------
    n : int
    seed : int
        Sets of different seeds share no field.
    lenses, borrowed : float
        Share of lenses, and of fields around an observed galaxy.
    """

    n: int
    seed: int
    lenses: float = 0.5
    borrowed: float = 0.25


def made(wanted: Wanted, *, galaxies: Galaxies | None, cache: Path | None, say: Say) -> Fields:
    """Simulate a set, or read what was simulated before.

    Parameters
    ----------
    wanted : Wanted
        What the set holds.
    galaxies : Galaxies, optional
        Observed galaxies; without them all are drawn.
    cache : Path, optional
        Folder for what is done, so that a killed training goes on where it was.
    say : callable
        Told about progress.
    """
    from astropy.table import vstack

    pictures, truths = [], []
    for start in range(0, wanted.n, CHUNK):
        n = min(CHUNK, wanted.n - start)
        about = f"{wanted.seed}-{start}-{n}-{wanted.lenses}-{wanted.borrowed}-{galaxies is None}"
        path = cache / f"fields-{about}.npz" if cache else None
        found = _read(path) if path and path.exists() else None
        if found is None:
            cutouts, truth = simulate(
                n,
                seed=1_000_000 * wanted.seed + start,
                lenses=wanted.lenses,
                galaxies=galaxies,
                borrowed=wanted.borrowed,
            )
            found = np.round(255.0 * cutouts.values).astype(np.uint8), truth
            if path:
                _write(path, *found)
            say(f"  {start + n} of {wanted.n} fields of set {wanted.seed}")
        pictures.append(found[0])
        truths.append(found[1])
    return Fields(np.concatenate(pictures), vstack(truths, metadata_conflicts="silent"))


def _write(path: Path, pictures: np.ndarray, truth: Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {name: np.asarray(truth[name]) for name in truth.columns}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, pictures=pictures, **columns)
    part.replace(path)


def _read(path: Path) -> tuple[np.ndarray, Table]:
    from astropy.table import Table

    with np.load(path, allow_pickle=False) as stored:
        columns = {name: stored[name] for name in stored.files if name != "pictures"}
        return stored["pictures"], Table(columns)
