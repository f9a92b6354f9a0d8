"""Alerts of the Zwicky Transient Facility, with what others say of them; nobody knows the truth.

A folder holds ``ztf_triplets.h5`` (arrays ``triplet`` of shape (n, 3, 63, 63), DN, in the order
science, template, difference, NaN where there is no value; and ``candid``) and ``ztf_meta.csv``
(columns ``candid``, ``objectId``, ``rb``, ``drb``, ``weak_label``, and perhaps ``cdsxmatch`` and
``braai_d6_m9_torch_port``, the score of the published network of Duev et al. 2019).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.zoo.folder import MAX_OBJECTS, hdf5, plain, rows
from jupyter_astroml.zoo.real_bogus.scene import SIZE
from jupyter_astroml.zoo.real_bogus.simulate import BANDS, PIXEL_SCALE

if TYPE_CHECKING:
    from astropy.table import Table

TRIPLETS, ABOUT = "ztf_triplets.h5", "ztf_meta.csv"
_BRAAI = "braai_d6_m9_torch_port"
ASTEROID, VARIABLE = "asteroid", "variable"
# Types of SIMBAD that say that a star varies, by the words they hold.
_VARIES = ("RRLyr", "EB*", "EllipVar", "PulsV", "deltaCep", "LongPeriodV", "OrionV", "V*", "Mira")
_BURSTS = ("Nova", "Eruptive", "Erupt", "Symbiotic", "CataclyV")


def read(folder: Path | str) -> tuple[Cutouts, Table]:
    """Read alerts.

    Parameters
    ----------
    folder : Path
        Of the layout above.

    Returns
    -------
    Cutouts
        Values of shape (n, 3, 63, 63), DN; NaN where there is no value.
    Table
        Columns ``id`` (candid), ``object``; ``braai``, ``drb`` and ``rb`` (scores, 0 to 1, NaN
        where there is none); ``rule`` (``asteroid`` for a known one, ``variable`` for a star that
        SIMBAD calls variable, else empty).

    Raises
    ------
    DataError
        If a file is missing, too large or broken, or an alert is in one of them only.
    MissingExtraError
        If h5py is not installed.
    """
    from astropy.table import Table

    folder = Path(folder)
    found = rows(folder / ABOUT, columns=("candid", "objectId", "weak_label"), beside=TRIPLETS)
    with hdf5(folder / TRIPLETS) as file:
        names, values = plain(file, "candid"), plain(file, "triplet")
        if names.ndim != 1 or not 0 < len(names) <= MAX_OBJECTS:
            raise ValueError(f"candid has the shape {names.shape}")
        if values.shape != (len(names), len(BANDS), SIZE, SIZE):
            raise ValueError(f"triplet has the shape {values.shape}")
        place = {str(name): i for i, name in enumerate(names[()])}
        stamps = np.asarray(values[()], dtype=np.float32)
    absent = [r["candid"] for r in found if r["candid"] not in place]
    if absent:
        raise DataError(
            f"{TRIPLETS} has no alert {absent[0]}", remedy=f"fetch {TRIPLETS} and {ABOUT} again"
        )
    ids = np.array([r["candid"] for r in found])
    cutouts = Cutouts(
        ids=ids,
        values=stamps[[place[name] for name in ids]],
        bands=BANDS,
        pixel_scale=np.full(len(ids), PIXEL_SCALE),
        flux_unit="DN",
        meta={"survey": "ZTF", "folder": folder.name},
    )
    table = Table(
        {
            "id": ids,
            "object": [r["objectId"] for r in found],
            "braai": _scores(found, _BRAAI),
            "drb": _scores(found, "drb"),
            "rb": _scores(found, "rb"),
            "rule": [_rule(r) for r in found],
        }
    )
    return cutouts, table


def _scores(found: list[dict[str, str]], column: str) -> np.ndarray:
    try:
        return np.array([float(row.get(column) or "nan") for row in found])
    except ValueError as err:
        raise DataError(f"{ABOUT} has a {column!r} that is no number", cause=str(err)) from err


def _rule(row: dict[str, Any]) -> str:
    """Say what a catalogue knows at this place that should send a real alert."""
    if row["weak_label"] == "known_asteroid":
        return ASTEROID
    kind = row.get("cdsxmatch") or ""
    return VARIABLE if any(word in kind for word in (*_VARIES, *_BURSTS)) else ""
