"""Images of strong lenses as the Hubble Space Telescope would take them, with a known mass.

All of it is simulated.
The light of the lens is taken off, as one does before modelling; its photon noise stays, and so
does a residual of half a per cent of it (one standard deviation), since no fit of it is perfect.

A folder of such images holds ``images.npz`` (array ``values`` of shape (n, 1, 64, 64),
electron / s) and ``truth.csv`` (a row an image: ``id`` and what `COLUMNS` names), written by

    python -m jupyter_astroml.zoo.lens_model.simulate --n 500 --seed 1 --out DIR
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.zoo import lensing
from jupyter_astroml.zoo.folder import rows
from jupyter_astroml.zoo.lensing import Camera, Lens, Priors

if TYPE_CHECKING:
    from astropy.table import Table

BAND, FLUX_UNIT = "F814W", "electron / s"
PIXEL_SCALE, SIZE = 0.1, 64
NAMES = ("theta_e", "e1", "e2", "x", "y")
# What a row of truth says beside them.
COLUMNS = (*NAMES, "gamma1", "gamma2", "slope", "snr", "seeing", "exposure")
# Ranges of the camera: that of the Advanced Camera for Surveys in F814W, 2×2 pixels joined.
SEEING, EXPOSURE, SKY = (0.08, 0.16), (500.0, 2500.0), (21.7, 22.5)
_ZERO_POINT, _READ_NOISE = 25.94, 16.0
# Part of the light of the lens that is left, one standard deviation.
RESIDUAL = 0.005
# Signal-to-noise ratio of the arcs below which nobody would model a lens.
LEAST_SNR = 20.0
PRIORS = Priors()
IMAGES, TRUTH = "images.npz", "truth.csv"


@dataclass(frozen=True, eq=False)
class Scene:
    """A lens, a camera, and the light that reaches it.

    Attributes
    ----------
    lens : Lens
    camera : Camera
    arcs, galaxy : ndarray, shape (64, 64), electron / s
        Without noise.
    """

    lens: Lens
    camera: Camera
    arcs: np.ndarray
    galaxy: np.ndarray

    @property
    def snr(self) -> float:
        """Signal-to-noise ratio of the arcs, all pixels together."""
        noise = lensing.noise_of(self.arcs + self.galaxy, self.camera)
        return float(np.sqrt((self.arcs**2 / noise**2).sum()))

    @property
    def truth(self) -> dict[str, float]:
        """What `COLUMNS` names."""
        mass = self.lens.mass
        said = {name: getattr(mass, name) for name in (*NAMES, "gamma1", "gamma2", "slope")}
        return {
            **said,
            "snr": self.snr,
            "seeing": self.camera.seeing,
            "exposure": self.camera.exposure,
        }


def scene(*, rng: np.random.Generator, priors: Priors = PRIORS) -> Scene:
    """Draw a lens that is bright enough to be modelled, and a camera.

    Parameters
    ----------
    rng : Generator
        Source of the draws.
    priors : Priors
        Where to draw from.
    """
    while True:
        lens = lensing.draw(priors, rng=rng)
        camera = Camera(
            pixel_scale=PIXEL_SCALE,
            size=SIZE,
            seeing=rng.uniform(*SEEING),
            exposure=rng.uniform(*EXPOSURE),
            zero_point=_ZERO_POINT,
            sky=rng.uniform(*SKY),
            read_noise=_READ_NOISE,
        )
        found = Scene(
            lens, camera, lensing.arcs_image(lens, camera), lensing.galaxy_image(lens, camera)
        )
        if found.snr >= LEAST_SNR:
            return found


def taken(found: Scene, *, rng: np.random.Generator) -> np.ndarray:
    """Return an image of a scene with noise, the light of the lens taken off but for a residual.

    Parameters
    ----------
    found : Scene
        What to look at.
    rng : Generator
        Source of the noise.

    Returns
    -------
    ndarray, shape (64, 64), electron / s
    """
    seen = lensing.observed(found.arcs + found.galaxy, found.camera, rng=rng)
    return seen - (1.0 + RESIDUAL * rng.standard_normal()) * found.galaxy


def simulate(
    n: int,
    *,
    seed: int,
    priors: Priors = PRIORS,
    without_lens: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Cutouts, Table]:
    """Make images with a known mass.

    Parameters
    ----------
    n : int
        Number of images.
    seed : int
        The same seed gives the same images.
    priors : Priors
        Where to draw lenses from.
    without_lens : bool
        The source as it is, brightened to the same signal, in the place of its images.
    progress : callable, optional
        Called with the number of images done and the total.

    Returns
    -------
    Cutouts
        Values of shape (n, 1, 64, 64), electron / s.
    Table
        ``id`` and `COLUMNS`.
    """
    from astropy.table import Table

    if n < 1:
        raise DataError(f"{n} images cannot be drawn")
    rng = np.random.default_rng(seed)
    values, truth = np.empty((n, 1, SIZE, SIZE), dtype=np.float32), []
    for i in range(n):
        found = scene(rng=rng, priors=priors)
        truth.append(found.truth)
        values[i, 0] = taken(_unlensed(found) if without_lens else found, rng=rng)
        if progress:
            progress(i + 1, n)
    names = np.array([f"sim{seed}-{i:05d}" for i in range(n)])
    table = Table({"id": names, **{c: [row[c] for row in truth] for c in COLUMNS}})
    table.meta = {"simulated": True, "seed": seed}
    return as_cutouts(names, values, seed=seed), table


def _unlensed(found: Scene) -> Scene:
    """Return a scene in which a larger galaxy stands where its images were."""
    whole, camera = found.lens.source[0], found.camera
    wide = replace(whole, radius=3 * whole.radius)
    image = lensing.galaxy_image(replace(found.lens, galaxy=wide), camera)
    return replace(found, arcs=image * found.arcs.sum() / image.sum())


def as_cutouts(ids: Sequence[str] | np.ndarray, values: np.ndarray, **about: object) -> Cutouts:
    """Return images of shape (n, 1, 64, 64), electron / s, as the record that models take."""
    return Cutouts(
        ids=np.asarray(ids),
        values=values,
        bands=(BAND,),
        pixel_scale=np.full(len(ids), PIXEL_SCALE),
        flux_unit=FLUX_UNIT,
        simulated=True,
        meta={"simulator": "jupyter_astroml.zoo.lens_model.simulate", **about},
    )


def write(folder: Path, cutouts: Cutouts, truth: Table) -> None:
    """Write images and their truth as a folder of the layout above."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / IMAGES, values=cutouts.values)
    truth.write(folder / TRUTH, format="ascii.csv", overwrite=True)


def read(folder: Path | str) -> tuple[Cutouts, Table]:
    """Read a folder of the layout above.

    Parameters
    ----------
    folder : Path
        What `write` wrote.

    Raises
    ------
    DataError
        If a file is missing or broken, or images and truth are not of one length.
    """
    from astropy.table import Table

    folder = Path(folder)
    found = rows(folder / TRUTH, columns=("id", *NAMES), beside=IMAGES)
    try:
        with np.load(folder / IMAGES, allow_pickle=False) as stored:
            values = np.asarray(stored["values"], dtype=np.float32)
    except (OSError, ValueError, KeyError, EOFError) as err:
        raise DataError(
            f"The images {IMAGES} cannot be read", cause=str(err), remedy="simulate them again"
        ) from err
    if values.shape != (len(found), 1, SIZE, SIZE):
        raise DataError(
            f"{IMAGES} has images of shape {values.shape} for {len(found)} rows of {TRUTH}",
            remedy=f"give arrays of shape (n, 1, {SIZE}, {SIZE})",
        )
    columns: dict[str, object] = {"id": [row["id"] for row in found]}
    try:
        columns |= {c: [float(row[c]) for row in found] for c in COLUMNS if c in found[0]}
    except (TypeError, ValueError) as err:
        raise DataError(f"{TRUTH} holds a value that is no number", cause=str(err)) from err
    ids = np.array(columns["id"])
    return as_cutouts(ids, values, folder=folder.name), Table(columns)


def main(arguments: list[str] | None = None) -> int:
    """Write a folder from the command line."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_astroml.zoo.lens_model.simulate")
    parser.add_argument("--n", type=int, default=500, help="number of images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    given = parser.parse_args(arguments)
    write(given.out, *simulate(given.n, seed=given.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
