"""Simulated lenses: a folder of candidates as of Space Warps, and a lens without its arcs."""

import csv
import io
import zipfile

import numpy as np
from PIL import Image

from jupyter_astroml.zoo.lens_finder import scenes
from jupyter_astroml.zoo.lens_finder import simulate as simulation
from jupyter_astroml.zoo.lens_finder.picture import drawn
from jupyter_astroml.zoo.lens_finder.simulate import simulate


def write_candidates(folder, *, n, seed, apart_deg=0.1):
    """Write candidates along a circle of declination; returns the pictures and their grades."""
    folder.mkdir(parents=True, exist_ok=True)
    cutouts, truth = simulate(n, seed=seed)
    grades = np.where(truth["label"] == "lens", 2.3, 0.3)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "sw_id", "ra", "dec", "grade"])
        for i, grade in enumerate(grades):
            rows.writerow([f"{i}.png", f"ASW{i}", 30 + apart_deg * i, -5.0, grade])
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for i, values in enumerate(cutouts.values):
            # A file begins with the upper row, an image in memory with the lower one.
            levels = np.round(255 * values[:, ::-1]).astype(np.uint8).transpose(1, 2, 0)
            stream = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(levels)).save(stream, format="PNG")
            archive.writestr(f"{i}.png", stream.getvalue())
    return cutouts.values, grades


def lens_with_and_without_arcs(seed):
    """Return two pictures of one field, alike but for the arcs, and where these are."""
    rng = np.random.default_rng(seed)
    while True:
        found = scenes.scene("lens", rng=rng)
        light, arcs = (simulation.blurred(part, seeing=0.65) for part in (found.light, found.arcs))
        if found.theta_e > 1.3 and simulation.visible(arcs, light, noise=simulation.NOISE) > 60:
            break
    pictures = [
        drawn(simulation.noisy(part, noise=simulation.NOISE, rng=np.random.default_rng(seed)))
        for part in (light + arcs, light)
    ]
    return pictures[0], pictures[1], arcs[2] > 3 * simulation.NOISE[2]
