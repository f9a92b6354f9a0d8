"""Learn what usual light curves look like: ``python -m jupyter_astroml.zoo.flares.familiar``.

Known are simulated stars as in the training, with another seed for those that set the limits: the
networks saw no real star, and none is needed here either.
"""

from __future__ import annotations

import numpy as np

from jupyter_astroml.models.familiar import learn
from jupyter_astroml.models.fit import OUTSIDE
from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo.flares.simulate import simulate
from jupyter_astroml.zoo.flares.train import Plan

CADENCES = 800
_KNOWN, _OTHERS = 1000, 400


def main() -> None:
    """Write the statistics beside the weights."""
    model = load("flares")

    def usual(n: int, seed: int) -> np.ndarray:
        curves, _ = simulate(n, seed=seed, cadences=CADENCES, start_btjd=None)
        prepared = model.prepare(curves)
        return np.asarray(prepared.samples.values[prepared.fit.status != OUTSIDE])

    seed = Plan().seed
    learn(model, [usual(_KNOWN, seed)], held_out=[usual(_OTHERS, seed + 1000)], seed=seed)


if __name__ == "__main__":
    main()
