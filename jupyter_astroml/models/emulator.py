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
from jupyter_astroml.core.units import named
from jupyter_astroml.models.conversions import air, vacuum
from jupyter_astroml.models.reading import read_weights

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
# Pixels of the three detectors on the grid of APOGEE's combined spectra, log10 of angstroms in
# vacuum (Nidever et al. 2015, AJ 150, 173), as the Payne and the Cannon use them.
_APOGEE = np.r_[322:3242, 3648:6048, 6412:8306]
_APOGEE_START, _APOGEE_STEP = 4.179, 6e-6
_ARRAYS = ("w_array_0", "b_array_0", "w_array_1", "b_array_1", "x_min", "x_max")
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

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays of the network by their published names, and ``wavelength``."""
        weights = (self.hidden, self.hidden_bias, self.outer, self.outer_bias)
        single = [array.astype(np.float32) for array in weights]
        arrays = (*single, self.low, self.high)
        return {**dict(zip(_ARRAYS, arrays, strict=True)), "wavelength": self.wavelength}

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
            wave = (spectra.wavelength[i] * named(spectra.wave_unit)).to_value(u.AA)
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
    wavelength: Path | str | None = None,
    labels: Mapping[str, str] | None = None,
    medium: str = "vacuum",
) -> Emulator:
    """Return a spectral emulator from its published weights, or by its name in the catalogue.

    Parameters
    ----------
    path : Path or str
        ``.npz`` with ``w_array_0``, ``b_array_0``, ``w_array_1``, ``b_array_1``, ``x_min`` and
        ``x_max``, of which nothing is run; or the name of a model of the task ``emulate``, whose
        card tells the rest.
    wavelength : Path, optional
        ``.npz`` with ``wavelength``, angstroms; by default the grid of APOGEE, where the number of
        pixels is that of its three detectors.
    labels : mapping of str to str, optional
        Names and units; by default those of the network for APOGEE of El-Badry et al. 2018.
    medium : {"vacuum", "air"}
        Of the wavelengths.

    Raises
    ------
    ModelError
        If the files are not of this kind, or there is no such model.
    """
    if Path(path).suffix != ".npz" and not Path(path).is_file():
        return _of_catalogue(str(path))
    found = {**read_weights(path).tensors}
    if wavelength is not None:
        found |= {k: v for k, v in read_weights(wavelength).tensors.items() if k == "wavelength"}
    elif found.get("b_array_1", np.empty(0)).shape == _APOGEE.shape:
        if medium != "vacuum":
            raise ModelError(
                "The grid of APOGEE is in vacuum", remedy="give the wavelengths in air too"
            )
        found["wavelength"] = 10 ** (_APOGEE_START + _APOGEE_STEP * _APOGEE)
    labels = APOGEE_LABELS if labels is None else labels
    return _of_arrays(found, labels=labels, medium=medium, name=Path(path).name)


def is_emulator(tensors: Mapping[str, np.ndarray]) -> bool:
    """Tell whether arrays of a file are those of a spectral emulator."""
    return set(_ARRAYS) <= set(tensors)


def _of_catalogue(name: str) -> Emulator:
    from safetensors.numpy import load

    from jupyter_astroml.models.catalogue import find
    from jupyter_astroml.models.files import verified

    entry = find(name)
    if entry.card.task != "emulate" or entry.card.input.wavelength is None:
        raise ModelError(
            f"The model {name} is no emulator",
            cause=f"its task is {entry.card.task}",
            remedy="aml.models(task='emulate') lists those that are",
        )
    outputs = entry.card.outputs
    return _of_arrays(
        load(verified(entry.weights, entry.digest)),
        labels=dict(zip(outputs.names, outputs.units, strict=True)),
        medium=entry.card.input.wavelength.medium,
        name=name,
    )


def _of_arrays(
    found: Mapping[str, np.ndarray], *, labels: Mapping[str, str], medium: str, name: str
) -> Emulator:
    """Return the emulator whose arrays these are, if they fit to each other.

    Raises
    ------
    ModelError
    """
    try:
        wave, low, high = (
            np.asarray(found[key], dtype=np.float64) for key in ("wavelength", "x_min", "x_max")
        )
        hidden, hidden_bias, outer, outer_bias = (
            np.asarray(found[key], dtype=np.float64) for key in _ARRAYS[:4]
        )
    except (KeyError, ValueError) as err:
        raise ModelError(
            f"{name} holds no spectral emulator",
            cause=f"no {err}",
            remedy="give its wavelengths too: wavelength='….npz'",
        ) from err
    pixels, nodes = outer.shape if outer.ndim == 2 else (0, 0)
    shapes = tuple(a.shape for a in (wave, hidden, hidden_bias, outer_bias, low, high))
    k = len(labels)
    wanted = ((pixels,), (pixels, nodes, k), (pixels, nodes), (pixels,), (k,), (k,))
    good = shapes == wanted and (np.diff(wave) > 0).all() and (high > low).all()
    if not good or medium not in ("vacuum", "air"):
        raise ModelError(
            f"{name} does not fit its wavelengths or labels",
            cause=f"shapes {shapes}, for {k} labels",
            remedy="give the wavelengths that belong to it, and a name and unit for each label",
        )
    return Emulator(
        wavelength=wave,
        labels=dict(labels),
        low=low,
        high=high,
        hidden=hidden,
        hidden_bias=hidden_bias,
        outer=outer,
        outer_bias=outer_bias,
        medium=medium,
    )


def described(emulator: Emulator) -> dict[str, Any]:
    """Return what a card says of an emulator: task, spectra, labels and network.

    Raises
    ------
    ModelError
        If its pixels are on no even grid.
    """
    pixels, nodes = emulator.outer.shape
    ranges = (
        f"{name} {low:.4g} to {high:.4g} {unit}".strip()
        for (name, unit), low, high in zip(
            emulator.labels.items(), emulator.low, emulator.high, strict=True
        )
    )
    return {
        "task": "emulate",
        "input": {
            "kind": "spectra",
            "flux_unit": "continuum",
            "wavelength": _grid(emulator.wavelength) | {"medium": emulator.medium},
            "notes": f"Drawn for {', '.join(ranges)}. Resolution, and how the continuum was "
            "found: fill in.",
        },
        "outputs": {
            "axis": "parameter",
            "names": list(emulator.labels),
            "units": list(emulator.labels.values()),
        },
        "network": {
            "architecture": "emulator",
            "options": {"pixels": pixels, "nodes": nodes, "labels": len(emulator.labels)},
        },
    }


def _grid(wave: np.ndarray) -> dict[str, Any]:
    """Describe wavelengths as an even grid with gaps, in angstroms."""
    for spacing, axis in (("log", np.log10(wave)), ("linear", wave)):
        steps = np.diff(axis)
        step = float(np.median(steps))
        counts = np.rint(steps / step)
        even = axis[0] + step * np.concatenate([[0.0], np.cumsum(counts)])
        if (counts < 1).any() or not np.allclose(axis, even, rtol=0, atol=step / 20):
            continue
        # Half a pixel inside of the last pixel before a gap, and of the first one after it.
        inner = np.array([axis[:-1] + step / 2, axis[1:] - step / 2])[:, counts > 1]
        gaps = (10**inner if spacing == "log" else inner).T
        # The ends and a number, since what a step is rounded by adds up over a grid.
        ends = {"low": float(wave[0]), "high": float(wave[-1]), "unit": "Angstrom"}
        whole = int(counts.sum()) + 1
        return ends | {"pixels": whole, "spacing": spacing, "gaps": np.round(gaps, 3).tolist()}
    raise ModelError(
        "The wavelengths of the emulator are on no even grid",
        remedy="use it without a card: aml.emulator('….npz', wavelength='….npz')",
    )
