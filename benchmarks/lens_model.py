"""The lens model against maximum-likelihood fits with lenstronomy, of the same simulated lenses.

Both measure every lens, in turn (A B A B), on one thread.
The fit starts from a guess that a look at the image gives; it is told the point spread function and
the noise of each pixel, which the network has to see for itself.

Prints one JSON object last.  ``--quick`` is good for a look only; ``--into FOLDER`` notes the
result in the facts and the README of a model; ``--fits FILE`` keeps the fits for a comparison with
other weights, whose time is then not taken in turn with theirs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

# Lenses that neither training nor evaluation draws.
SEED = 9_000_000
# A fit of the right model has 1 a pixel; far above it the search ended in another minimum.
WELL = 1.2


def compare(*, n: int, kept: Path | None) -> dict[str, Any]:
    """Measure lenses with both, and return typical errors and times."""
    from jupyter_astroml.models.loading import load
    from jupyter_astroml.models.threads import one_thread
    from jupyter_astroml.zoo.lens_model.evaluate import typical
    from jupyter_astroml.zoo.lens_model.fitting import fitted
    from jupyter_astroml.zoo.lens_model.simulate import NAMES, as_cutouts, scene, taken

    rng = np.random.default_rng(SEED)
    model = load("lens_model")
    off: dict[str, list[list[float]]] = {"network": [], "fit": []}
    times: dict[str, list[float]] = {"network": [], "fit": []}
    fits: list[dict[str, float]] = json.loads(kept.read_text()) if kept and kept.exists() else []
    with one_thread():
        for i in range(n):
            lens = scene(rng=rng)
            image = taken(lens, rng=rng)
            cutout = as_cutouts([f"lens-{i}"], image[None, None])
            if not i:
                model.predict(cutout)  # the first answer of a process is slower
            started = time.perf_counter()
            answer = model.predict(cutout).columns
            times["network"].append(time.perf_counter() - started)
            if i >= len(fits):
                started = time.perf_counter()
                found = fitted(image, lens)
                fits.append({**found, "seconds": time.perf_counter() - started})
                if kept:
                    kept.write_text(json.dumps(fits))
            times["fit"].append(fits[i]["seconds"])
            off["network"].append([float(answer[p][0]) - lens.truth[p] for p in NAMES])
            off["fit"].append([fits[i][p] - lens.truth[p] for p in NAMES])
            sys.stderr.write(f"{i + 1}/{n} {times['fit'][-1]:.1f} s, {fits[i]['chi2']:.2f}\n")
    errors = {k: np.array(v) for k, v in off.items()}
    seconds = {k: statistics.median(v) for k, v in times.items()}
    return {
        "n": n,
        **{k: {p: typical(v[:, i]) for i, p in enumerate(NAMES)} for k, v in errors.items()},
        "well": sum(fit["chi2"] < WELL for fit in fits[:n]),
        "well_below": WELL,
        "network_s": seconds["network"],
        "fit_s": seconds["fit"],
        "ratio": seconds["fit"] / seconds["network"],
        "digest": model.digest,
    }


def note(folder: Path, found: dict[str, Any]) -> None:
    """Write the comparison into the facts and the README of a model."""
    from jupyter_astroml.models.cards import read_card, write_facts
    from jupyter_astroml.zoo.lens_model.report import measured
    from jupyter_astroml.zoo.reporting import write_measured

    facts = read_card(folder).facts
    if facts is None or facts.digest != found["digest"]:
        raise SystemExit(f"{folder} holds another model than the one that was measured")
    about = {**facts.training, "fits": found}
    write_facts(folder, facts.model_copy(update={"training": about}))
    write_measured(folder, measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=24, help="lenses")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fits", type=Path, help="file that keeps the fits")
    parser.add_argument("--into", type=Path, help="folder of the model")
    given = parser.parse_args()
    found = compare(n=2 if given.quick else given.n, kept=given.fits)
    if given.into:
        note(given.into, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
