"""Learn what usual pictures look like.

Run ``python -m jupyter_astroml.zoo.lens_finder.familiar --data DIR``.

The known ones are simulated fields and every second of the candidates; the limits are set by new
fields and by the other candidates. No network learned from either.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from jupyter_astroml.models.familiar import learn
from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo.lens_finder import real
from jupyter_astroml.zoo.lens_finder.evaluate import NAME
from jupyter_astroml.zoo.lens_finder.simulate import simulate

_KNOWN, _HELD_OUT, _SEED = 500, 200, 70


def main(arguments: list[str] | None = None) -> None:
    """Write the statistics beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of graded candidates")
    folder = parser.parse_args(arguments).data
    candidates = real.read(folder)[0].values
    rows = np.random.default_rng(_SEED).permutation(len(candidates))
    half = len(rows) // 2
    known, _ = simulate(_KNOWN, seed=_SEED)
    others, _ = simulate(_HELD_OUT, seed=_SEED + 1)
    learn(
        load(NAME),
        [known.values, candidates[rows[:half]]],
        held_out=[others.values, candidates[rows[half:]]],
        seed=_SEED,
    )


if __name__ == "__main__":
    main()
