"""Small records that the tests of the plots draw."""

import numpy as np
from astropy.wcs import WCS

from jupyter_astroml.core.records import Attributions, Cutouts, LightCurves, Predictions


def header(*, cd, scale=0.5, side=16):
    """FITS header text of a WCS with the signs and rotation of `cd`, arcsec pixels."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = 180.0, 30.0
    wcs.wcs.crpix = (side + 1) / 2, (side + 1) / 2
    wcs.wcs.cd = np.array(cd) * scale / 3600
    return wcs.to_header_string()


def cutouts(*, wcs=None, scale=0.5, side=16, n=1):
    values = np.zeros((n, 3, side, side), dtype=np.float32)
    # One bright pixel at column 12, row 10: right of the middle and above it.
    values[:, :, 10, 12] = 1
    return Cutouts(
        ids=np.array([f"g{i}" for i in range(n)]),
        values=values,
        bands=("R", "G", "B"),
        pixel_scale=np.full(n, scale),
        wcs=None if wcs is None else np.array([wcs] * n, dtype=object),
    )


def explained(samples, maps, *, targets=0, signed=True, name="spiral"):
    n = len(samples)
    return Attributions(
        ids=samples.ids,
        maps=np.asarray(maps, dtype=np.float32),
        targets=np.full(n, targets),
        target_names=np.full(n, name),
        method="smoothgrad",
        samples=samples,
        signed=signed,
    )


def classified(n=6, *, ids=None, labels=None):
    p = np.linspace(0.55, 0.95, n)
    return Predictions(
        ids=np.array([f"g{i}" for i in range(n)]) if ids is None else np.asarray(ids),
        status=np.full(n, "ok"),
        columns={
            "label": np.where(np.arange(n) % 2, "merger", "spiral") if labels is None else labels,
            "p_spiral": p,
            "confidence": p,
            "uncertainty": 1 - p,
            "fit": np.full(n, "fits"),
        },
        meta={"model": "demo"},
    )


def curve(*, cadences=200):
    time = 1354.0 + np.arange(cadences) / 720
    flux = np.ones(cadences, dtype=np.float32)
    flux[100:105] = 1.5
    flux[20] = np.nan
    return LightCurves(
        ids=np.array(["star"]),
        time=time[None],
        values=flux[None],
        time_zero=2457000.0,
        flux_unit="relative",
    )


def detected(curves):
    p = np.where(np.nan_to_num(curves.values, nan=0) > 1.2, 0.9, 0.1)
    p[~np.isfinite(curves.values)] = np.nan
    return Predictions(
        ids=curves.ids,
        status=np.array(["ok"]),
        columns={
            "n_events": np.array([1]),
            "max_probability": np.array([0.9]),
            "uncertainty": np.array([0.2]),
            "t_max": curves.time[:, 100],
        },
        arrays={"probability": p, "probability_std": np.full(p.shape, 0.2)},
    )
