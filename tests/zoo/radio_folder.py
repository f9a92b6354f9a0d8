"""Write simulated radio galaxies as folders in the layout of MiraBest and of FIRST's collection."""

import csv
import io
import zipfile

import h5py
import numpy as np
from astropy.io import fits

from jupyter_astroml.zoo.radio_galaxies.real import CLASSES
from jupyter_astroml.zoo.radio_galaxies.simulate import simulate

FR = {"fr1": ("FRI", "100"), "fr2": ("FRII", "200"), "bent": ("FRI", "102")}


def write_mirabest(folder, *, n, seed, contents=None):
    """Write n simulated sources; returns the cutouts and their true classes."""
    folder.mkdir(parents=True, exist_ok=True)
    cutouts, labels = simulate(n, seed=seed, classes=tuple(FR))
    with (folder / "mirabest_labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "code", "fr_class", "confidence", "ra", "dec"])
        for name, label, ra, dec in zip(cutouts.ids, labels, cutouts.ra, cutouts.dec, strict=True):
            fr, code = FR[label]
            rows.writerow([f"{name}.fits.fz", code, fr, "confident", ra, dec])
    with zipfile.ZipFile(folder / "mirabest_fits.zip", "w") as archive:
        for i, name in enumerate(cutouts.ids):
            content = contents[i] if contents else _fits(cutouts.values[i, 0])
            archive.writestr(f"{name}.fits.fz", content)
    return cutouts, labels


def write_first(folder, cutouts, labels):
    """Write sources as the other collection has them."""
    folder.mkdir(parents=True, exist_ok=True)
    light = np.clip(cutouts.values[:, 0], 0, None)
    images = np.zeros((len(light), 300, 300), dtype=np.uint8)
    images[:, 75:225, 75:225] = 255 * light / light.max(axis=(1, 2), keepdims=True)
    with h5py.File(folder / "first_images.h5", "w") as file:
        file["image"] = images
        file["label"] = np.array([CLASSES.index(label) for label in labels], dtype=np.int8)
        file["ra"], file["dec"] = cutouts.ra, cutouts.dec
        file["key"] = [f"data_{i}" for i in range(len(light))]


def _fits(image):
    stream = io.BytesIO()
    packed = fits.CompImageHDU(image, compression_type="RICE_1", quantize_level=16)
    packed.header["BUNIT"] = "Jy/beam"
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(stream)
    return stream.getvalue()
