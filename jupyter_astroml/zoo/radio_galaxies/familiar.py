"""Learn what usual sources look like: ``python -m jupyter_astroml.zoo.radio_galaxies.familiar``.

Known are the sources of MiraBest of three folds; those of the other two set the limits. The other
collection, whose noise is cut off and whose unit is lost, is not what an archive gives.
Four of the five networks learned from any of them, so that new sources may look a little less usual
than they should.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from jupyter_astroml.models.familiar import learn
from jupyter_astroml.models.loading import from_folder
from jupyter_astroml.zoo import folds
from jupyter_astroml.zoo.radio_galaxies import real
from jupyter_astroml.zoo.radio_galaxies.evaluate import TAUGHT

_KNOWN = (0, 1, 2)


def main(arguments: list[str] | None = None) -> None:
    """Write the statistics beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled sources")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    given = parser.parse_args(arguments)
    model = from_folder(given.out)
    cutouts, table = real.read(given.data)
    ra, dec = np.asarray(table["ra"]), np.asarray(table["dec"])
    fold = folds.at_positions(given.out / TAUGHT, ra, dec, within_arcsec=real.SAME_ARCSEC)
    values, known = model.prepare(cutouts).samples.values, np.isin(fold, _KNOWN)
    whole = np.asarray(table["origin"] == "mirabest")
    learn(model, [values[whole & known]], held_out=[values[whole & ~known]])


if __name__ == "__main__":
    main()
