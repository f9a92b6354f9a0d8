"""The published stella network (Feinstein et al. 2020), for comparison only.

Its weights are not part of this package: they are read from the HDF5 file of the stella project
where a user has it.
The file is opened as an array store; no Keras code and no pickled object is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    import torch
    from astropy.table import Table

PATTERN = "stella_ensemble_*.h5"
_WINDOW = 200
# Layer: the shape that Keras stores, (width, in, out) for convolutions and (in, out) for dense.
_SHAPES = {
    "conv1d": (7, 1, 16),
    "conv1d_1": (3, 16, 64),
    "dense": (3200, 32),
    "dense_1": (32, 1),
}
_CHUNK = 2000


class Stella:
    """One published network in torch.

    Parameters
    ----------
    path : Path
        HDF5 file of Keras.

    Raises
    ------
    MissingExtraError
        If h5py is not installed.
    ModelError
        If the file is not that network.
    """

    def __init__(self, path: Path) -> None:
        import torch

        try:
            import h5py
        except ImportError as err:
            raise MissingExtraError(
                "Reading the published stella network needs h5py",
                cause=str(err),
                remedy="pip install h5py",
            ) from err
        self.name = path.stem
        self.weights: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        try:
            with h5py.File(path, "r") as file:
                for layer, shape in _SHAPES.items():
                    group = file["model_weights"][layer][layer]
                    kernel, bias = group["kernel:0"][()], group["bias:0"][()]
                    if kernel.shape != shape or bias.shape != shape[-1:]:
                        raise ModelError(f"{path.name}: {layer} has the shape {kernel.shape}")
                    # Keras: (width, in, out) and (in, out); torch: (out, in, width) and (out, in).
                    self.weights[layer] = (
                        torch.from_numpy(np.ascontiguousarray(kernel.T, dtype=np.float32)),
                        torch.from_numpy(bias.astype(np.float32)),
                    )
        except (OSError, KeyError) as err:
            raise ModelError(f"{path.name} is not a stella network", cause=str(err)) from err

    def probability(self, flux: np.ndarray) -> np.ndarray:
        """Probability of a flare at each cadence, as stella's own prediction makes it.

        Windows of 200 cadences in the order of the file (gaps are not filled), each divided by its
        median.

        Parameters
        ----------
        flux : ndarray, shape (t,)
            Relative flux, finite.

        Returns
        -------
        ndarray of float32, shape (t,)
        """
        import torch
        from torch.nn import functional

        values = torch.from_numpy(np.ascontiguousarray(flux, dtype=np.float32))
        half = _WINDOW // 2
        padded = functional.pad(values[None, None], (half, half - 1), mode="replicate")[0, 0]
        windows = padded.unfold(0, _WINDOW, 1)
        with torch.inference_mode():
            parts = [self._answer(part) for part in windows.split(_CHUNK)]
        return torch.cat(parts).numpy()

    def _answer(self, windows: torch.Tensor) -> torch.Tensor:
        import torch
        from torch.nn import functional

        w = self.weights
        x = (windows / windows.median(dim=1, keepdim=True).values)[:, None]
        x = functional.relu(functional.conv1d(x, *w["conv1d"], padding="same"))
        x = functional.max_pool1d(x, 2)
        x = functional.relu(functional.conv1d(x, *w["conv1d_1"], padding="same"))
        # Keras flattens (position, channel), torch (channel, position).
        x = functional.max_pool1d(x, 2).transpose(1, 2).flatten(1)
        x = functional.relu(functional.linear(x, *w["dense"]))
        return torch.sigmoid(functional.linear(x, *w["dense_1"]))[:, 0]


def find(folder: Path) -> list[Path]:
    """Look for published networks: in ``ASTROML_DATA``, else above the data folder.

    Parameters
    ----------
    folder : Path
        Of the light curves.

    Returns
    -------
    list of Path
        Empty where there are none.
    """
    import os

    places = [Path(folder).resolve().parent.parent / "weights", Path(folder) / "weights"]
    if os.environ.get("ASTROML_DATA"):
        places.insert(0, Path(os.environ["ASTROML_DATA"]) / "weights")
    for place in places:
        found = sorted(place.glob(PATTERN))
        if found:
            return found
    return []


# Numbers of stella's own search: cadences that are joined, half a window around a peak, the
# cadences of a peak that its local trend leaves out, and the width of its running median.
_JOIN, _AROUND, _LEFT_OUT, _MEDIAN = 4, 50, 2, 7


def own_events(
    ids: np.ndarray, time: np.ndarray, flux: np.ndarray, probability: np.ndarray
) -> Table:
    """Find events as stella's own search does (its class ``FitFlares``).

    Cadences with a probability of 0.5 or more are grouped when they are at most four apart.
    A group is kept when its brightest cadence stands out of its neighbours and of a local trend, is
    brighter than the cadence before it, and is followed by a bright one.
    The fit of a profile that follows there changes parameters, not the list, and is left out.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Names of the stars.
    time : ndarray, shape (n, t), days
        Padded cadences have no flux.
    flux, probability : ndarray, shape (n, t)
        NaN where nothing was measured.

    Returns
    -------
    Table
        One row an event: ``id, t_start, t_peak, t_stop`` (days).
    """
    from astropy.table import Table

    rows: list[tuple[str, float, float, float]] = []
    for i, name in enumerate(ids):
        good = np.isfinite(flux[i]) & np.isfinite(probability[i])
        t, f, p = time[i][good], flux[i][good], probability[i][good]
        above = np.flatnonzero(p >= 0.5)
        for group in np.split(above, np.flatnonzero(np.diff(above) > _JOIN) + 1):
            if len(group) and (peak := _peak(f, p, group)) is not None:
                rows.append((str(name), t[group[0]], t[peak], t[group[-1]]))
    return Table(
        rows=rows or None,
        names=("id", "t_start", "t_peak", "t_stop"),
        dtype=(np.asarray(ids, dtype=str).dtype, float, float, float),
    )


def _peak(flux: np.ndarray, probability: np.ndarray, group: np.ndarray) -> int | None:
    """Index of the peak of a group, or None if the group is no flare for stella."""
    from scipy.signal import medfilt

    near = np.arange(max(group[0] - _LEFT_OUT, 0), min(group[-1] + _LEFT_OUT, len(flux)))
    sure = near[probability[near] >= 0.5]
    peak = int(sure[np.argmax(flux[sure])])
    if flux[peak] <= np.median(flux[near]) + np.std(flux[near]):
        return None
    first = peak - _AROUND
    region = flux[max(first, 0) : peak + _AROUND]
    if first < 0 or len(region) < 2 * _AROUND:
        return None
    at = np.arange(2 * _AROUND)
    outside = np.abs(at - _AROUND + 0.5) > _LEFT_OUT
    flat = region / np.interp(at, at[outside], medfilt(region[outside], _MEDIAN))
    middle, spread = np.median(flat[outside]), np.std(flat[outside])
    keep = (
        flux[peak] > middle + 1.5 * spread
        and flat[_AROUND + 1] >= middle + spread
        and flat[_AROUND - 1] - 1 < (flux[peak] - 1) * 0.95
    )
    return peak if keep else None
