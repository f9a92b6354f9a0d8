"""From rows to data: references, pixels and cadences, and whether they suit a model."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.archives.rows import references
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.manifest import MANIFEST, columns, table
from jupyter_astroml.core.records import (
    References,
    Samples,
)
from jupyter_astroml.models import catalogue

from .awake import awake, awake_run

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.models.cards import Card


def samples(rows: Any, *, model: str = "", size: Any = None, **options: Any) -> References:
    """Turn rows into references to their data; nothing is fetched yet.

    Parameters
    ----------
    rows : Table
        Rows of a query.
    model : str, optional
        Cutouts are made as large as this model wants them, if the rows tell the pixel scale.
    size : Quantity, angle, optional
        Full width of the cutouts; beats `model`.
    **options
        As `jupyter_astroml.archives.rows.references`.

    Raises
    ------
    DataError
        If the rows do not say where their data are.
    """
    found = references(rows, size=size, **options)
    if size is None and model:
        card = catalogue.find(model).card
        scale = float(np.nanmedian(found.pixel_scale)) if _known(found.pixel_scale) else np.nan
        if card.kind == "cutouts" and np.isfinite(scale):
            found = replace(found, size_arcsec=card.input.size[-1] * scale)
    return found


def _known(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any())


def fetch(data: Any, *, ids: Iterable[str] | None = None) -> Any:
    """Get the pixels, cadences or spectra of a few objects.

    Parameters
    ----------
    data : Table, References or Run
        What was queried, referred to or run on.
    ids : iterable of str, optional
        Only these objects.

    Returns
    -------
    Cutouts, LightCurves or Spectra
        Of those that came; `manifest` tells of all.

    Raises
    ------
    DataError
        If none of the objects could be fetched; the cause is the first one's.

    Warns
    -----
    UserWarning
        If some of them could not.
    """
    from jupyter_astroml.archives.fetch import deliver
    from jupyter_astroml.compute.run import Run

    if isinstance(data, Run):
        data = awake_run(data).select(
            ids if ids is not None else data.predictions(arrays=False).ids
        )
    elif isinstance(data, References | Samples):
        data = data if ids is None else data[rows_of(data.ids, ids)]
    else:
        data = samples(data)
        data = data if ids is None else data[rows_of(data.ids, ids)]
    if not isinstance(data, References):
        return data
    got = deliver(awake(data))
    found, failures = got.samples, got.failures
    if found is None:
        first = next(iter(failures.values()), "there is no object")
        raise DataError("None of the objects could be fetched", cause=first)
    if failures:
        name, why = next(iter(failures.items()))
        warnings.warn(
            f"{len(failures)} of {len(data)} objects could not be fetched, such as {name}: {why}",
            stacklevel=2,
        )
    came: Any = found
    return replace(came, meta={**came.meta, MANIFEST: columns(got.manifest)})


def manifest(data: Any) -> Table:
    """Tell what became of each object of a fetch: it came, or there is a reason.

    Parameters
    ----------
    data : Run, or Cutouts, LightCurves or Spectra that `fetch` returned
        A run tells it of all objects that were fetched so far.

    Returns
    -------
    Table
        ``id``, ``status`` (``ok`` or the reason), ``url``, ``bytes``, ``sha256``, ``kept`` (it was
        here already, unchanged), ``tries`` and ``seconds``.

    Raises
    ------
    DataError
        If these data were not fetched.
    """
    from jupyter_astroml.compute.run import Run

    if isinstance(data, Run):
        return data.manifest()
    told = getattr(data, "meta", {}).get(MANIFEST)
    if told is None:
        raise DataError(
            "These data do not tell how they came",
            remedy="give a run, or what aml.fetch returned",
        )
    return table(told)


def rows_of(have: np.ndarray, wanted: Iterable[str]) -> np.ndarray:
    """Return the rows of the ids that are wanted, in their order; refuse an unknown one."""
    place = {name: i for i, name in enumerate(have.tolist())}
    names = [str(w) for w in wanted]
    unknown = [name for name in names if name not in place]
    if unknown:
        raise DataError(f"There is no object {unknown[0]!r}", remedy="take an id from the rows")
    return np.array([place[name] for name in names], dtype=int)


# Objects whose data `check` holds at once.
_CHECKED = 64


def check(data: Any, other: Any = None, *, model: str = "") -> Table:
    """Tell for each object whether it suits a model, before the model runs.

    The input contract of the model is compared with what the data say of themselves, as `predict`
    does too.  Where the model knows what its training objects look like, an object that is unlike
    all of them is outside as well, whatever it says of itself: that takes as long as a prediction.

    Parameters
    ----------
    data : Table, References, Cutouts, LightCurves or Spectra
        Fetched if it is not yet.
    other : str, optional
        The model, where it is not named; ``check(model, data)`` is understood too.
    model : str
        Name of the model.

    Returns
    -------
    Table
        ``id`` and ``fit``: ``fits``, ``converted: how``, ``outside: why`` or ``not fetched: why``.
    """
    from astropy.table import Table as AstropyTable

    if other is not None:
        model, data = (data, other) if isinstance(data, str) else (other, data)
    card = catalogue.find(model).card
    if not isinstance(data, References | Samples):
        data = samples(data, model=model)
    data = awake(data)
    words: list[str] = []
    for start in range(0, len(data), _CHECKED):
        words += _fits(model, card, data[start : start + _CHECKED])
    return AstropyTable({"id": data.ids, "fit": np.array(words, dtype=str)})


def _fits(model: str, card: Card, data: References | Samples) -> list[str]:
    """Say for each object of a block whether it fits, or why that is not known."""
    from jupyter_astroml.archives.fetch import fetch as get

    found, failures = get(data) if isinstance(data, References) else (data, {})
    known = {name: f"not fetched: {why}" for name, why in failures.items()}
    if found is not None:
        known |= zip(found.ids.tolist(), _compared(model, card, found).tolist(), strict=True)
    return [known[name] for name in data.ids.tolist()]


def _compared(model: str, card: Card, found: Samples) -> np.ndarray:
    from jupyter_astroml.models.contract import check as compare

    if card.facts is None or not card.facts.familiar:
        # Without a look at the weights: torch is slow to load.
        return compare(card, found).words()
    from jupyter_astroml.models.loading import load
    from jupyter_astroml.models.threads import one_thread

    with one_thread():
        return load(model, card.facts.digest).check(found).words()
