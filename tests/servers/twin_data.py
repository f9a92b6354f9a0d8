"""The data that two servers publish: a catalogue, images and spectra, all made up.

``python tests/servers/twin_data.py FOLDER`` writes them; the same seed gives the same bytes.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

SEED = 2026
SOURCES, IMAGES, SPECTRA = 600, 8, 6
SIDE, SCALE = 96, 1.0  # pixels, arcsec per pixel
RA, DEC, WIDTH = 150.0, 2.2, 1.0  # middle and half width of the field, degrees
CLASSES = ("STAR", "GALAXY", "O'Brien & <é>")

# How the embedded archive is told what DaCHS is told by twin.rd.
DESCRIPTION = """\
schema: twin
title: Twin of DaCHS
simulated: true
tables:
  sources:
    kind: table
    rows: sources.csv
    columns:
      id: {ucd: meta.id;meta.main}
      ra: {unit: deg, ucd: pos.eq.ra;meta.main}
      dec: {unit: deg, ucd: pos.eq.dec;meta.main}
      gmag: {unit: mag, ucd: phot.mag;em.opt.B}
  images: {kind: images, files: images, flux_unit: adu, bands: [g]}
  spectra: {kind: spectra, files: spectra, wave_unit: Angstrom}
"""


def make(folder: Path) -> None:
    """Write everything into a folder."""
    rng = np.random.default_rng(SEED)
    ra = RA + rng.uniform(-WIDTH, WIDTH, SOURCES)
    dec = DEC + rng.uniform(-WIDTH, WIDTH, SOURCES)
    for name in ("images", "spectra"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "archive.yaml").write_text(DESCRIPTION, encoding="utf-8")
    with (folder / "sources.csv").open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        write.writerow(["id", "ra", "dec", "gmag", "redshift", "objclass"])
        for i in range(SOURCES):
            # Identifiers of surveys need all of 64 bits.
            row = [587_722_953_303_916_935 + i, f"{ra[i]:.7f}", f"{dec[i]:.7f}"]
            redshift = "" if i % 3 == 0 else f"{rng.uniform(0, 2):.4f}"
            write.writerow([*row, f"{rng.normal(20, 1.5):.3f}", redshift, CLASSES[i % 3]])
    for i in range(IMAGES):
        _image(folder / "images" / f"field{i:02d}.fits", ra[i], dec[i], rng=rng, day=i + 1)
    for i in range(SPECTRA):
        _spectrum(folder / "spectra" / f"spec{i:02d}.fits", ra[i], dec[i], rng=rng, day=i + 1)


def _image(path: Path, ra: float, dec: float, *, rng: np.random.Generator, day: int) -> None:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(SIDE + 1) / 2] * 2
    wcs.wcs.cdelt = [-SCALE / 3600, SCALE / 3600]
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    values = 1000 * np.exp(-np.hypot(x, y) / 5) + rng.normal(10, 2, (SIDE, SIDE))
    header = wcs.to_header()
    header["OBJECT"], header["FILTER"], header["BUNIT"] = path.stem, "g", "adu"
    header["DATE-OBS"], header["EXPTIME"] = f"2020-03-{day:02d}T05:00:00", 300.0
    fits.PrimaryHDU(values.astype(np.float32), header).writeto(path, overwrite=True)


def _spectrum(path: Path, ra: float, dec: float, *, rng: np.random.Generator, day: int) -> None:
    wave = np.arange(3800.0, 9200.0, 4.0)
    flux = 1 + 0.3 * np.sin(wave / 900 + day) + rng.normal(0, 0.03, wave.size)
    header = fits.Header()
    header["CTYPE1"], header["CUNIT1"] = "WAVE", "Angstrom"
    header["CRVAL1"], header["CDELT1"], header["CRPIX1"] = 3800.0, 4.0, 1.0
    header["OBJECT"], header["RA"], header["DEC"] = path.stem, ra, dec
    header["DATE-OBS"], header["EXPTIME"] = f"2021-03-{day:02d}T05:00:00", 1200.0
    fits.PrimaryHDU(flux.astype(np.float32), header).writeto(path, overwrite=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
