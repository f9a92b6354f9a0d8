"""A spectral emulator: from the labels of a star to its spectrum, and back by least squares.

The Payne (Ting, Conroy, Rix & Cargile 2019, ApJ 879, 69) replaces the interpolation between model
spectra by one small network a pixel: a hidden layer of sigmoids on the labels, and a sum of them.
Weights of this kind are public as NumPy files (El-Badry et al. 2018, MNRAS 476, 528).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.models.conversions import air, vacuum
from jupyter_astroml.models.importing import read_weights

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.core.records import Spectra

# Names and units of the labels of El-Badry et al. 2018, in the order of their network.
APOGEE_LABELS = {
    "teff": "K",
    "logg": "dex(cm/s2)",
    "fe_h": "dex",
    "mg_fe": "dex",
    "v_macro": "km/s",
}
_SPEED_OF_LIGHT = 299792.458
# Parts of the range of each label where a fit starts; the best one is taken.
_STARTS = (0.5, 0.25, 0.75)
# Pixels that must overlap, and the largest velocity that is looked for, km/s.
_FEWEST, _FASTEST = 100, 600.0


@dataclass(frozen=True, eq=False)
class Emulator:
    """Spectra by their labels.

    Attributes
    ----------
    wavelength : ndarray, shape (pixel,), angstroms
        Rising, in `medium`.
    labels : mapping of str to str
        Names and units, in the order of the network.
    low, high : ndarray, shape (label,)
        Range of the labels that the network was trained on.
    hidden, hidden_bias : ndarray, shapes (pixel, node, label) and (pixel, node)
    outer, outer_bias : ndarray, shapes (pixel, node) and (pixel,)
    medium : str
        ``"vacuum"`` or ``"air"``.
    """

    wavelength: np.ndarray
    labels: Mapping[str, str]
    low: np.ndarray
    high: np.ndarray
    hidden: np.ndarray
    hidden_bias: np.ndarray
    outer: np.ndarray
    outer_bias: np.ndarray
    medium: str = "vacuum"

    def spectrum(self, **labels: float) -> np.ndarray:
        """Return the spectrum of a star, normalised to its continuum.

        Parameters
        ----------
        **labels : float
            All of them, in their units, such as ``teff=5800``.

        Returns
        -------
        ndarray, shape (pixel,)

        Raises
        ------
        DataError
            If a label is missing, unknown, or outside the range of the training.
        """
        if set(labels) != set(self.labels):
            raise DataError(
                f"A spectrum needs the labels {', '.join(self.labels)}",
                cause=f"{', '.join(labels) or 'none'} were given",
            )
        values = np.array([labels[name] for name in self.labels], dtype=np.float64)
        for name, value, low, high in zip(self.labels, values, self.low, self.high, strict=True):
            if not low <= value <= high:
                raise DataError(
                    f"{name} = {value:g} is outside what the emulator was trained on",
                    cause=f"it knows {low:.4g} to {high:.4g} {self.labels[name]}",
                )
        return self._drawn((values - self.low) / (self.high - self.low))

    def _drawn(self, part: np.ndarray) -> np.ndarray:
        """Return the spectrum at a place in the range of the labels, each 0 to 1."""
        from scipy.special import expit

        nodes = expit(self.hidden @ (part - 0.5) + self.hidden_bias)
        return np.asarray((self.outer * nodes).sum(axis=1) + self.outer_bias)

    def fit(self, spectra: Spectra) -> Table:
        """Find the labels and the velocity of stars by least squares.

        Parameters
        ----------
        spectra : Spectra
            Normalised to their continuum; air and vacuum are converted.

        Returns
        -------
        Table
            One row an object: ``id``; the labels and ``velocity`` (km/s, positive away from us),
            each with ``…_error`` (from the curvature of χ², enlarged where the fit is poor);
            ``rms`` of the residual, reduced ``chi2``, ``n_pixels``, and ``status``: ``ok``, or
            what is wrong.
        """
        from astropy.table import QTable

        names = [*self.labels, "velocity"]
        columns = [*names, *(f"{n}_error" for n in names), "rms", "chi2", "n_pixels"]
        rows = np.full((len(spectra), len(columns)), np.nan)
        status = []
        for i in range(len(spectra)):
            try:
                rows[i] = self._fitted(*self._pixels(spectra, i))
                edge = self._at_edge(rows[i])
                status.append(f"{edge} is at the edge of the training" if edge else "ok")
            except DataError as err:
                status.append(str(err.what))
        table = QTable({"id": spectra.ids})
        units = {**self.labels, "velocity": "km/s"}
        for j, name in enumerate(columns):
            unit = units.get(name.removesuffix("_error"), "")
            # A logarithm has no unit that errors could share with it.
            plain = "dex" in unit or not unit
            table[name] = rows[:, j] if plain else rows[:, j] * _unit(unit)
        table["status"] = status
        return table

    def _at_edge(self, row: np.ndarray) -> str:
        part = (row[: len(self.low)] - self.low) / (self.high - self.low)
        near = [n for n, p in zip(self.labels, part, strict=True) if min(p, 1 - p) < 1e-3]
        return near[0] if near else ""

    def _pixels(self, spectra: Spectra, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return wavelength in our medium, flux and error of the usable pixels of an object."""
        from astropy import units as u

        if spectra.medium not in ("vacuum", "air"):
            raise DataError("nobody knows whether its wavelengths are in air or in vacuum")
        try:
            wave = (spectra.wavelength[i] * u.Unit(spectra.wave_unit)).to_value(u.AA)
        except (u.UnitConversionError, ValueError, TypeError) as err:
            raise DataError(f"its wavelengths are in {spectra.wave_unit or 'no unit'}") from err
        if spectra.medium != self.medium:
            wave = vacuum(wave) if self.medium == "vacuum" else air(wave)
        flux = spectra.values[i].astype(np.float64)
        if spectra.errors is None:
            # A typical residual of such models; the errors are enlarged by the fit if it is poor.
            error = np.full(len(flux), 0.01)
        else:
            error = spectra.errors[i].astype(np.float64)
        margin = 1 + _FASTEST / _SPEED_OF_LIGHT
        usable = np.isfinite(flux) & np.isfinite(error) & (error > 0) & (error < 1)
        usable &= (wave > self.wavelength[0] * margin) & (wave < self.wavelength[-1] / margin)
        # Between detectors there is nothing to compare with.
        gap = np.diff(self.wavelength)
        after = np.clip(np.searchsorted(self.wavelength, wave), 1, len(gap)) - 1
        usable &= gap[after] < 5 * np.median(gap)
        if usable.sum() < _FEWEST:
            raise DataError(
                f"only {usable.sum()} usable pixels between {self.wavelength[0]:.0f} and "
                f"{self.wavelength[-1]:.0f} Å"
            )
        if not 0.3 < np.median(flux[usable]) < 1.5:
            raise DataError("its flux is not normalised to the continuum")
        return wave[usable], flux[usable], error[usable]

    def _fitted(self, wave: np.ndarray, flux: np.ndarray, error: np.ndarray) -> np.ndarray:
        from scipy.optimize import least_squares

        k = len(self.low)

        def seen(at: np.ndarray) -> np.ndarray:
            shift = 1 + at[k] * _FASTEST / _SPEED_OF_LIGHT
            return np.interp(wave / shift, self.wavelength, self._drawn(at[:k]))

        def residual(at: np.ndarray) -> np.ndarray:
            return (seen(at) - flux) / error

        # Lines are narrow beside the velocities of stars: look at all of them with a middling star.
        middle = self._drawn(np.full(k, 0.5))
        tried = np.arange(-_FASTEST, _FASTEST, 2.0)
        moved = [
            np.interp(wave / (1 + v / _SPEED_OF_LIGHT), self.wavelength, middle) for v in tried
        ]
        first = tried[np.argmin([np.abs((m - flux) / error).sum() for m in moved])] / _FASTEST
        bounds = ([0.0] * k + [-1.0], [1.0] * k + [1.0])
        tries = [
            least_squares(residual, [*[part] * k, first], bounds=bounds, x_scale=[1.0] * k + [0.01])
            for part in _STARTS
        ]
        best = min(tries, key=lambda found: float(found.cost))
        free = len(flux) - k - 1
        chi2 = 2 * float(best.cost) / free
        covariance = np.linalg.pinv(best.jac.T @ best.jac) * max(chi2, 1.0)
        scale = np.array([*(self.high - self.low), _FASTEST])
        zero = np.array([*self.low, 0.0])
        rms = float(np.sqrt(np.mean((seen(best.x) - flux) ** 2)))
        errors = np.sqrt(np.diag(covariance)) * scale
        return np.array([*(zero + best.x * scale), *errors, rms, chi2, len(flux)])


def _unit(name: str) -> Any:
    from astropy import units as u

    return u.Unit(name)


def emulator(
    path: Path | str,
    *,
    wavelength: Path | str,
    labels: Mapping[str, str] | None = None,
    medium: str = "vacuum",
) -> Emulator:
    """Read the published weights of a spectral emulator; nothing of the file is run.

    Parameters
    ----------
    path : Path
        ``.npz`` with ``w_array_0``, ``b_array_0``, ``w_array_1``, ``b_array_1``, ``x_min`` and
        ``x_max``.
    wavelength : Path
        ``.npz`` with ``wavelength``, angstroms.
    labels : mapping of str to str, optional
        Names and units; by default those of the network for APOGEE of El-Badry et al. 2018.
    medium : {"vacuum", "air"}
        Of the wavelengths.

    Raises
    ------
    ModelError
        If the files are not of this kind.
    """
    found = {**read_weights(path).tensors}
    grid = read_weights(wavelength).tensors
    labels = APOGEE_LABELS if labels is None else labels
    try:
        wave = np.asarray(grid["wavelength"], dtype=np.float64)
        hidden, outer = found["w_array_0"], found["w_array_1"]
        biases = found["b_array_0"], found["b_array_1"]
        low, high = (np.asarray(found[name], dtype=np.float64) for name in ("x_min", "x_max"))
    except KeyError as err:
        raise ModelError(
            f"{Path(path).name} holds no spectral emulator", cause=f"no {err}"
        ) from err
    pixels, nodes = outer.shape if outer.ndim == 2 else (0, 0)
    shapes = (wave.shape, hidden.shape, biases[0].shape, biases[1].shape, low.shape, high.shape)
    k = len(labels)
    wanted = ((pixels,), (pixels, nodes, k), (pixels, nodes), (pixels,), (k,), (k,))
    good = shapes == wanted and (np.diff(wave) > 0).all() and (high > low).all()
    if not good or medium not in ("vacuum", "air"):
        raise ModelError(
            f"{Path(path).name} does not fit its wavelengths or labels",
            cause=f"shapes {shapes}, for {k} labels",
            remedy="give the wavelengths that belong to it, and a name and unit for each label",
        )
    return Emulator(
        wavelength=wave,
        labels=dict(labels),
        low=low,
        high=high,
        hidden=hidden.astype(np.float64),
        hidden_bias=biases[0].astype(np.float64),
        outer=outer.astype(np.float64),
        outer_bias=biases[1].astype(np.float64),
        medium=medium,
    )
