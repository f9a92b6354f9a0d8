"""Cutouts to pictures: colours, stretch and orientation on the sky."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from jupyter_astroml.core.records import Cutouts

# Effective wavelengths of common filters in nanometres, to tell red from blue; by name in lower
# case (SDSS: Fukugita et al. 1996; 2MASS: Cohen et al. 2003; Johnson-Cousins: Bessell 2005).
_WAVELENGTHS = {
    "fuv": 153, "nuv": 231, "u": 355, "b": 440, "g": 477, "v": 550, "r": 623, "i": 762,
    "z": 913, "y": 1020, "j": 1235, "h": 1662, "k": 2159, "ks": 2159, "w1": 3353, "w2": 4603,
}  # fmt: skip
_COLOURS = {"red": 3, "green": 2, "blue": 1}


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a cutout lies on the sky.

    Attributes
    ----------
    scale : float
        Size of a pixel in `unit`.
    unit : str
        ``"arcsec"``, or ``"pixel"`` where the scale is unknown.
    mirrored : bool
        True where the columns must be mirrored for East to be on the left.
    aligned : bool
        True where rows and columns run along East and North within three degrees.
    east, north : tuple of float
        Unit vectors of both directions as drawn (x to the right, y upwards); (0, 0) if unknown.
    """

    scale: float
    unit: str
    mirrored: bool = False
    aligned: bool = False
    east: tuple[float, float] = (0.0, 0.0)
    north: tuple[float, float] = (0.0, 0.0)

    def labels(self) -> tuple[str, str]:
        """Labels of the two axes."""
        if self.aligned:
            return "East offset [arcsec]", "North offset [arcsec]"
        unit = "arcsec" if self.unit == "arcsec" else "pixels"
        return f"x offset [{unit}]", f"y offset [{unit}]"

    def note(self) -> str:
        """Say what is not known; empty when everything is."""
        if self.unit != "arcsec":
            return "scale and orientation unknown"
        return "" if self.east != (0.0, 0.0) else "orientation unknown"


def orientation(cutouts: Cutouts, row: int = 0) -> Orientation:
    """Return how one cutout lies on the sky, from its WCS and pixel scale.

    The directions are those at the centre; they survive cropping and rebinning of the pixels, so
    they hold for what a model saw too.
    """
    scale = float(cutouts.pixel_scale[row])
    text = "" if cutouts.wcs is None else str(cutouts.wcs[row] or "")
    found = _directions(text) if text else None
    if found is None:
        known = np.isfinite(scale) and scale > 0
        return Orientation(scale if known else 1.0, "arcsec" if known else "pixel")
    east, north, wcs_scale = found
    if not (np.isfinite(scale) and scale > 0):
        scale = wcs_scale
    tilt = np.cos(np.deg2rad(3.0))
    aligned = bool(north[1] > tilt and abs(east[0]) > tilt)
    mirrored = bool(aligned and east[0] > 0)
    if mirrored:
        east, north = east * (-1, 1), north * (-1, 1)
    return Orientation(
        scale,
        "arcsec",
        mirrored=mirrored,
        aligned=aligned,
        east=(float(east[0]), float(east[1])),
        north=(float(north[0]), float(north[1])),
    )


def _directions(header: str) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Return unit vectors of East and North in pixels, and the scale in arcsec."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            sep = "\n" if "\n" in header else ""
            wcs = WCS(fits.Header.fromstring(header, sep=sep)).celestial
            if wcs.naxis != 2:
                return None
            # Columns: change of (x, y) in pixels for one degree of longitude times cos(latitude),
            # and of latitude (Greisen & Calabretta 2002, section 2).
            inverse = np.linalg.inv(wcs.pixel_scale_matrix)
            scale = float(np.mean(proj_plane_pixel_scales(wcs)) * 3600)
        except (ValueError, KeyError, IndexError, np.linalg.LinAlgError):
            # A damaged header costs the compass, not the picture.
            return None
    east, north = inverse[:, wcs.wcs.lng], inverse[:, wcs.wcs.lat]
    lengths = np.hypot(*east), np.hypot(*north)
    if not (np.isfinite(lengths).all() and all(lengths) and scale > 0):
        return None
    return east / lengths[0], north / lengths[1], scale


def colour(cutouts: Cutouts, row: int = 0) -> np.ndarray:
    """Draw one cutout as the picture that an astronomer expects.

    Three planes or more give colours, reddest filter in red, with the stretch of Lupton et al.
    (2004, PASP 116, 133); one or two give grey.
    Values that are display values already are shown as they are.

    Returns
    -------
    ndarray of uint8, shape (y, x, 4)
        Red, green, blue, opacity; row 0 is the lowest.
        Missing pixels are transparent.
    """
    values = np.asarray(cutouts.values[row], dtype=np.float64)
    planes = values[_red_first(cutouts.bands)]
    missing = ~np.isfinite(planes).all(axis=0)
    planes = np.where(np.isfinite(planes), planes, 0)
    rgb = planes if cutouts.flux_unit == "picture" else _stretched(planes)
    pixels = np.empty((*values.shape[1:], 4), dtype=np.uint8)
    pixels[..., :3] = np.moveaxis(np.clip(rgb, 0, 1) * 255 + 0.5, 0, 2).astype(np.uint8)
    pixels[..., 3] = np.where(missing, 0, 255)
    return pixels


def _red_first(bands: tuple[str, ...]) -> list[int]:
    """Return the three planes that become red, green and blue."""
    names = [b.strip().lower() for b in bands]
    if len(names) < 3:
        return [0, 0, 0]
    if set(names) == {"r", "g", "b"}:
        # The letters of a picture, not of filters.
        return [names.index(c) for c in "rgb"]
    known = _COLOURS if set(names) <= set(_COLOURS) else _WAVELENGTHS
    if not set(names) <= set(known):
        return [0, 1, 2]
    order = sorted(range(len(names)), key=lambda i: -known[names[i]])
    return [order[0], order[len(order) // 2], order[-1]]


def _stretched(planes: np.ndarray) -> np.ndarray:
    """Stretch fluxes by asinh, with the sky black and one scale for all planes."""
    # Each filter is brought to the same noise-to-light range, else the deepest one tints the sky.
    floor = np.median(planes, axis=(1, 2), keepdims=True)
    light = planes - floor
    noise = 1.4826 * np.median(np.abs(light), axis=(1, 2), keepdims=True)
    top = np.percentile(light, 99.7, axis=(1, 2), keepdims=True)
    light = light / np.maximum(np.maximum(top, noise), np.finfo(float).tiny)
    grey = float(np.median(noise / np.maximum(top, np.finfo(float).tiny)))
    softening = 1 / max(2 * grey, 1e-3)
    mean = light.mean(axis=0, keepdims=True)
    bright = np.arcsinh(softening * np.maximum(mean, 0)) / np.arcsinh(softening)
    rgb = np.where(mean > 0, light * bright / np.where(mean > 0, mean, 1), 0)
    return rgb / np.maximum(rgb.max(axis=0, keepdims=True), 1)


def packed(pixels: np.ndarray) -> np.ndarray:
    """Return (y, x, 4) bytes as the (y, x) 32-bit words that Bokeh draws."""
    return np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
