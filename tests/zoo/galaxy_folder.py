"""Write simulated galaxies as a folder of labelled pictures, in the layout of the real ones."""

import csv
import io
import zipfile

import numpy as np
from PIL import Image

from jupyter_astroml.models.picture import lupton
from jupyter_astroml.zoo.galaxy_morphology.simulate import simulate

VOTES = {
    "elliptical": ["elliptical"],
    "edge_on": ["spiral_edge_on"],
    "spiral": ["spiral_clockwise", "spiral_anticlockwise"],
    "merger": ["merger"],
}


def jpeg(picture):
    """Encode values 0 to 1 of shape (3, y, x)."""
    stream = io.BytesIO()
    levels = np.rint(255 * picture).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(levels).save(stream, format="JPEG", quality=88)
    return stream.getvalue()


def write_folder(folder, *, n, seed, ids=None, classes=None):
    """Write n simulated galaxies; returns their true classes."""
    cutouts, truth = simulate(n, seed=seed, classes=classes)
    pictures = lupton(cutouts.values, cutouts.bands)
    # Each object on a survey frame of its own: the lower 16 bits count the objects of a frame.
    names = list(ids) if ids is not None else [str((10_000 * seed + i) << 16) for i in range(n)]
    rows = [
        (name, VOTES[label][i % len(VOTES[label])], f"{name}.jpg")
        for i, (name, label) in enumerate(zip(names, truth["label"], strict=True))
    ]
    write_parts(folder, rows, [jpeg(p) for p in pictures])
    return truth["label"].tolist()


def write_parts(folder, rows, contents):
    """Write labels and pictures as given, sound or not."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["objid", "class_name", "file"])
        writer.writerows(rows)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for (_, _, name), content in zip(rows, contents, strict=False):
            archive.writestr(name, content)
