"""Learn what usual alerts look like: ``python -m jupyter_astroml.zoo.real_bogus.familiar``.

Known are simulated alerts as in the training, and every fourth real one.
The limits are set by new simulated ones and every second of the real alerts, of which 98 % stay
within them: a limit from a few hundred is uncertain. The last quarter is left to test them.
The networks learned from none of the real ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.models.contract import OUTSIDE
from jupyter_astroml.models.familiar import learn
from jupyter_astroml.models.loading import from_folder
from jupyter_astroml.zoo.real_bogus import real
from jupyter_astroml.zoo.real_bogus.simulate import simulate

_KNOWN, _HELD_OUT, _LEVEL = 1500, 300, 0.98
# Trainings draw from seeds of which the parts end below a hundred, and from 1000 on.
_SEED, _NEW_SEED = 0, 500


def main(arguments: list[str] | None = None) -> None:
    """Write the statistics beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real alerts")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    given = parser.parse_args(arguments)
    model = from_folder(given.out)
    made, _ = simulate(_KNOWN, seed=_SEED)
    others, _ = simulate(_HELD_OUT, seed=_NEW_SEED)
    alerts, _ = real.read(given.data)

    def usual(some: Cutouts) -> np.ndarray:
        prepared = model.prepare(some)
        return np.asarray(prepared.samples.values[prepared.fit.status != OUTSIDE])

    learn(
        model,
        [usual(made), usual(alerts[1::4])],
        held_out=[usual(others), usual(alerts[::2])],
        seed=_SEED,
        level=_LEVEL,
    )


if __name__ == "__main__":
    main()
