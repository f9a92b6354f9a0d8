"""Learn what usual cutouts look like: ``python -m jupyter_astroml.zoo.star_galaxy.familiar``.

Known are the real cutouts of three folds of fields, and simulated ones in any one to five bands;
the cutouts of the other fields and some new simulated ones set the limits, which are wide, since
few fields tell little of other ones.
Four of the five networks learned from any of the real ones, so that new fields may look a little
less usual than they should.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from jupyter_astroml.models.familiar import learn
from jupyter_astroml.models.loading import from_folder
from jupyter_astroml.zoo.star_galaxy import real
from jupyter_astroml.zoo.star_galaxy.evaluate import taught_folds
from jupyter_astroml.zoo.star_galaxy.simulate import BANDS, simulate

_KNOWN, _SIMULATED, _NEW, _SEED, _LEVEL = (0, 1, 2), 1000, 300, 90, 0.985


def main(arguments: list[str] | None = None) -> None:
    """Write the statistics beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled cutouts")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    given = parser.parse_args(arguments)
    model = from_folder(given.out)
    cutouts, table = real.read(given.data)
    values = model.prepare(cutouts).samples.values
    known = np.isin(taught_folds(given.out, np.asarray(table["field"])), _KNOWN)
    learn(
        model,
        [values[known], in_some_bands(_SIMULATED, seed=_SEED)],
        held_out=[values[~known], in_some_bands(_NEW, seed=_SEED + 1)],
        level=_LEVEL,
    )


def in_some_bands(n: int, *, seed: int) -> np.ndarray:
    """Return simulated objects in the planes of the network, each in one to five bands.

    Parameters
    ----------
    n : int
        Number of objects.
    seed : int
        Of the objects and their bands.

    Returns
    -------
    ndarray of float32, shape (n, 6, 64, 64)
        0 in planes that were not observed.
    """
    rng = np.random.default_rng(seed)
    rank = rng.permuted(np.tile(np.arange(len(BANDS)), (n, 1)), axis=1)
    observed = rank < rng.integers(1, len(BANDS) + 1, (n, 1))
    made = simulate(n, seed=seed)[0].values
    values = np.zeros((n, len(real.BANDS), real.SIZE, real.SIZE), dtype=np.float32)
    values[:, [real.BANDS.index(band) for band in BANDS]] = made * observed[..., None, None]
    return values


if __name__ == "__main__":
    main()
