"""Learn what usual pictures look like.

Run ``python -m jupyter_astroml.zoo.galaxy_morphology.familiar --data DIR``.

The known ones are pictures that the networks learned from, real and simulated.  The limits are set
by every second of the real galaxies that were put aside; the others are left to test them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from jupyter_astroml.models.familiar import learn
from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo.galaxy_morphology import real
from jupyter_astroml.zoo.galaxy_morphology.evaluate import NAME, training_ids
from jupyter_astroml.zoo.galaxy_morphology.train import simulated_pictures

_REAL, _SIMULATED, _SEED = 800, 400, 7


def put_aside(folder: Path | str) -> tuple[list[str], list[str]]:
    """Return the ids that set the limits, and those that test them, of a folder as `real` reads."""
    names = sorted(set(real.labels(folder)["id"].tolist()) - training_ids())
    return names[::2], names[1::2]


def main(arguments: list[str] | None = None) -> None:
    """Write the statistics beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="labelled pictures")
    folder = parser.parse_args(arguments).data
    model = load(NAME)
    taught = sorted(training_ids())
    chosen = np.random.default_rng(_SEED).permutation(len(taught))[:_REAL]
    known, _ = real.read(folder, ids=[taught[i] for i in chosen])
    simulated, _ = simulated_pictures(_SIMULATED, seed=_SEED)
    others, _ = real.read(folder, ids=put_aside(folder)[0])
    seen = [known.values, simulated.astype(np.float32) / np.float32(255.0)]
    learn(model, seen, held_out=[others.values], seed=_SEED)


if __name__ == "__main__":
    main()
