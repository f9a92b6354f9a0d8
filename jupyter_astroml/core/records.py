"""Records: what crosses the border between two rooms.

Each is a frozen dataclass of plain things (numbers, strings, numpy arrays), so that it can be
pickled to a worker, written to disk and compared by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from jupyter_astroml.core.errors import DataError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

OK = "ok"
# Key of the metadata of answers: units of their columns, by name.
UNITS = "units"


@runtime_checkable
class Samples(Protocol):
    """What every kind of data has, so that a model can be run on it without knowing the kind."""

    kind: ClassVar[str]
    ids: np.ndarray
    values: np.ndarray
    ra: np.ndarray
    dec: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Self: ...

    def axes(self) -> dict[str, str]:
        """Names and units of the axes of `values`."""
        ...


class _Rows:
    """Selection of rows for records whose first axis is the object."""

    ids: np.ndarray
    # Fields with one entry an object.
    _per_object: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Self:
        """Select objects by slice, index array or boolean mask; the axes stay as they are."""
        if isinstance(rows, int | np.integer):
            rows = slice(int(rows), int(rows) + 1 or None)
        picked = {
            name: getattr(self, name)[rows]
            for name in self._per_object
            if getattr(self, name) is not None
        }
        return replace(self, **picked)  # type: ignore[type-var]

    @property
    def positions(self) -> SkyCoord:
        """Positions of the objects, ICRS; NaN where the archive gave none."""
        from astropy import units as u
        from astropy.coordinates import SkyCoord

        return SkyCoord(self.ra, self.dec, unit=u.deg, frame="icrs")  # type: ignore[attr-defined]


def _floats(n: int) -> np.ndarray:
    return np.full(n, np.nan)


def _check_lengths(record: _Rows) -> None:
    n = len(record.ids)
    for name in record._per_object:
        value = getattr(record, name)
        if value is not None and len(value) != n:
            raise DataError(
                f"{type(record).__name__} got {len(value)} entries in '{name}' for {n} objects",
                remedy="give one entry for each id",
            )


def _settle(record: _Rows) -> None:
    """Turn ids and positions into arrays and check that every field has one entry an object."""
    put = object.__setattr__
    put(record, "ids", np.asarray(record.ids, dtype=str))
    for name in ("ra", "dec", "pixel_scale"):
        if name not in record._per_object:
            continue
        given = getattr(record, name)
        put(
            record,
            name,
            _floats(len(record.ids)) if given is None else np.asarray(given, dtype=np.float64),
        )
    _check_lengths(record)


@dataclass(frozen=True, eq=False)
class Cutouts(_Rows):
    """Small images, one stack of bands an object.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    values : ndarray of float32, shape (n, band, y, x), in `flux_unit`
    bands : tuple of str
        One name for each plane, in the order of the second axis.
    ra, dec : ndarray of float64, shape (n,), degrees, ICRS
        NaN where unknown.
    pixel_scale : ndarray of float64, shape (n,), arcsec per pixel
        NaN where unknown.
    flux_unit : str
        A unit that astropy can parse (``nanomaggy`` included), or ``"picture"`` for display values
        in 0..1 whose zero point and stretch are lost (JPEG, PNG).
    errors : ndarray of float32, shape (n, band, y, x), or None
        One standard deviation, in `flux_unit`.
    masks : ndarray of bool, shape (n, band, y, x), or None
        True where a pixel must not be used.
    wcs : ndarray of object, shape (n,), or None
        FITS header text of the celestial WCS of each cutout.
    simulated : bool
        True when these data were never observed.
    meta : mapping
        Provenance; ``zero_point`` is the AB magnitude of one count, for values in counts, and
        ``psf_fwhm`` the full width at half maximum of a point in all of them, arcsec.
    """

    kind: ClassVar[str] = "cutouts"
    _per_object: ClassVar[tuple[str, ...]] = (
        "ids",
        "values",
        "ra",
        "dec",
        "pixel_scale",
        "errors",
        "masks",
        "wcs",
    )

    ids: np.ndarray
    values: np.ndarray
    bands: tuple[str, ...]
    ra: np.ndarray = None  # type: ignore[assignment]
    dec: np.ndarray = None  # type: ignore[assignment]
    pixel_scale: np.ndarray = None  # type: ignore[assignment]
    flux_unit: str = "picture"
    errors: np.ndarray | None = None
    masks: np.ndarray | None = None
    wcs: np.ndarray | None = None
    simulated: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _settle(self)
        if self.values.ndim != 4 or self.values.shape[1] != len(self.bands):
            raise DataError(
                f"Cutouts of shape {self.values.shape} do not fit the bands {self.bands}",
                remedy="give values of shape (object, band, y, x) with one name a band",
            )

    def axes(self) -> dict[str, str]:
        """Names and units of the axes of `values`."""
        return {"object": "", "band": "", "y": "arcsec", "x": "arcsec"}


@dataclass(frozen=True, eq=False)
class LightCurves(_Rows):
    """Brightness against time, one series an object; shorter series are padded and masked.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    time : ndarray of float64, shape (n, t), days in `time_scale`, counted from `time_zero`
        Padding repeats the last time.
    values : ndarray of float32, shape (n, t), in `flux_unit`
        Padding and missing cadences are NaN.
    ra, dec : ndarray of float64, shape (n,), degrees, ICRS
    errors : ndarray of float32, shape (n, t), or None
        One standard deviation, in `flux_unit`.
    time_scale : str
        An astropy time scale, such as ``"tdb"``.
    time_zero : float
        Julian date that is time 0: 2457000 for TESS (BTJD).
    band : str
        Name of the filter; empty where unknown.
    flux_unit : str
        ``"relative"`` for flux divided by its median, else a unit that astropy can parse; empty
        where unknown.
    simulated : bool
    meta : mapping
    """

    kind: ClassVar[str] = "light_curves"
    _per_object: ClassVar[tuple[str, ...]] = ("ids", "time", "values", "ra", "dec", "errors")

    ids: np.ndarray
    time: np.ndarray
    values: np.ndarray
    ra: np.ndarray = None  # type: ignore[assignment]
    dec: np.ndarray = None  # type: ignore[assignment]
    errors: np.ndarray | None = None
    time_scale: str = "tdb"
    time_zero: float = 0.0
    band: str = ""
    flux_unit: str = "relative"
    simulated: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _settle(self)
        if self.values.ndim != 2 or self.time.shape != self.values.shape:
            raise DataError(
                f"Light curves with times {self.time.shape} and values {self.values.shape}",
                remedy="give time and values of the same shape (object, time)",
            )

    def axes(self) -> dict[str, str]:
        """Names and units of the axes of `values`."""
        return {"object": "", "time": "d"}

    def lengths(self) -> np.ndarray:
        """Number of cadences of each object before the padding, shape (n,)."""
        return _lengths(self.values)


@dataclass(frozen=True, eq=False)
class Spectra(_Rows):
    """Brightness against wavelength, one row of pixels an object; shorter ones are padded.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    wavelength : ndarray of float64, shape (n, pixel), in `wave_unit`
        Rising; every object has its own grid, padding repeats the last wavelength.
    values : ndarray of float32, shape (n, pixel), in `flux_unit`
        Padding, and pixels that must not be used, are NaN.
    ra, dec : ndarray of float64, shape (n,), degrees, ICRS
        NaN where unknown.
    errors : ndarray of float32, shape (n, pixel), or None
        One standard deviation, in `flux_unit`.
    wave_unit : str
        A length that astropy can parse, such as ``"Angstrom"``; empty where unknown.
    medium : str
        What the wavelengths were measured in: ``"vacuum"`` or ``"air"``; empty where unknown.
    frame : str
        ``"observed"``, or ``"rest"`` of the object; empty where unknown.
    flux_unit : str
        A unit that astropy can parse; empty where unknown.
    simulated : bool
    meta : mapping
    """

    kind: ClassVar[str] = "spectra"
    _per_object: ClassVar[tuple[str, ...]] = ("ids", "wavelength", "values", "ra", "dec", "errors")

    ids: np.ndarray
    wavelength: np.ndarray
    values: np.ndarray
    ra: np.ndarray = None  # type: ignore[assignment]
    dec: np.ndarray = None  # type: ignore[assignment]
    errors: np.ndarray | None = None
    wave_unit: str = "Angstrom"
    medium: str = ""
    frame: str = ""
    flux_unit: str = ""
    simulated: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _settle(self)
        if self.values.ndim != 2 or self.wavelength.shape != self.values.shape:
            raise DataError(
                f"Spectra with wavelengths {self.wavelength.shape} and values {self.values.shape}",
                remedy="give wavelengths and values of the same shape (object, pixel)",
            )

    def axes(self) -> dict[str, str]:
        """Names and units of the axes of `values`."""
        return {"object": "", "wavelength": self.wave_unit}

    def lengths(self) -> np.ndarray:
        """Number of pixels of each object before the padding, shape (n,)."""
        return _lengths(self.values)

    @property
    def grid(self) -> np.ndarray | None:
        """The wavelengths that all objects share, shape (pixel,); None if they differ."""
        first = self.wavelength[:1]
        return first[0] if len(first) and (self.wavelength == first).all() else None


def _lengths(values: np.ndarray) -> np.ndarray:
    """Return how many entries of each row come before its padding, which is NaN."""
    good = np.isfinite(values)
    return np.where(good.any(axis=1), good.shape[1] - good[:, ::-1].argmax(axis=1), 0)


@dataclass(frozen=True, eq=False)
class References(_Rows):
    """Where the data of each object are: addresses, not pixels.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    urls : ndarray of str, shape (n,)
        DataLink document, SODA service or file.
    formats : ndarray of str, shape (n,)
        Media type of what the URL answers, as ``access_format`` of ObsCore 1.1 section 4.8.
    kind : str
        Kind of record that the data become: ``"cutouts"``, ``"light_curves"`` or ``"spectra"``.
    ra, dec : ndarray of float64, shape (n,), degrees, ICRS
    size_arcsec : float or None
        Full width of the cutout around the position; None takes the whole image.
    wave_range : tuple of float, metres in vacuum, or None
        Shortest and longest wavelength that are wanted; None takes all.
    time_range : tuple of float, MJD in UTC, or None
        Begin and end that are wanted; None takes all.
    bands : tuple of str
        Names of the planes where the file does not say; empty when it does.
    flux_unit : str
        Unit of the values where the file does not say; empty when it does.
    pixel_scale : ndarray of float64, shape (n,), arcsec per pixel
        Used where the file has no WCS.
    meta : mapping
        Provenance: archive, service, query, date.
    """

    _per_object: ClassVar[tuple[str, ...]] = ("ids", "urls", "formats", "ra", "dec", "pixel_scale")

    ids: np.ndarray
    urls: np.ndarray
    formats: np.ndarray
    kind: str
    ra: np.ndarray = None  # type: ignore[assignment]
    dec: np.ndarray = None  # type: ignore[assignment]
    size_arcsec: float | None = None
    wave_range: tuple[float, float] | None = None
    time_range: tuple[float, float] | None = None
    bands: tuple[str, ...] = ()
    flux_unit: str = ""
    pixel_scale: np.ndarray = None  # type: ignore[assignment]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "urls", np.asarray(self.urls, dtype=str))
        put(self, "formats", np.asarray(self.formats, dtype=str))
        _settle(self)


@dataclass(frozen=True, eq=False)
class Predictions(_Rows):
    """Answers of a model: one row an object, in the order of the ids.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    status : ndarray of str, shape (n,)
        ``"ok"``, or the reason why this object has no answer.
    columns : mapping of str to ndarray, shape (n,)
        One value an object; NaN or an empty string where `status` is not ``"ok"``.
    arrays : mapping of str to ndarray, shape (n, ...)
        Dense answers, such as a probability for each cadence.
    meta : mapping
        Model, digest, engine and other provenance; `UNITS` holds the units of columns by name.
    """

    ids: np.ndarray
    status: np.ndarray
    columns: Mapping[str, np.ndarray]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    ra: np.ndarray = None  # type: ignore[assignment]
    dec: np.ndarray = None  # type: ignore[assignment]

    _per_object: ClassVar[tuple[str, ...]] = ("ids", "status", "ra", "dec")

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", np.asarray(self.status, dtype=str))
        _settle(self)
        for name, values in {**self.columns, **self.arrays}.items():
            if len(values) != len(self.ids):
                raise DataError(f"Column '{name}' has {len(values)} rows for {len(self)} objects")

    def __getitem__(self, rows: Any) -> Self:
        """Select objects, in columns and arrays too."""
        if isinstance(rows, int | np.integer):
            rows = slice(int(rows), int(rows) + 1 or None)
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in self._per_object},
            columns={k: v[rows] for k, v in self.columns.items()},
            arrays={k: v[rows] for k, v in self.arrays.items()},
        )

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the numbers that were measured: columns that have an error beside them."""
        return tuple(name for name in self.columns if f"{name}_std" in self.columns)

    @property
    def ok(self) -> np.ndarray:
        """Mask of the objects that have an answer, shape (n,)."""
        return self.status == OK

    def failures(self) -> dict[str, str]:
        """Reason by id, for the objects that have no answer."""
        bad = ~self.ok
        return dict(zip(self.ids[bad].tolist(), self.status[bad].tolist(), strict=True))

    def to_table(self) -> Table:
        """Return ids, positions, status and columns as an astropy table with provenance."""
        from astropy import units as u
        from astropy.table import Column, Table

        table = Table(
            [
                Column(self.ids, name="id"),
                Column(self.ra, name="ra", unit=u.deg),
                Column(self.dec, name="dec", unit=u.deg),
                Column(self.status, name="status"),
            ],
            meta={key: value for key, value in self.meta.items() if key != UNITS},
        )
        for name, values in self.columns.items():
            table[name] = values
            table[name].unit = dict(self.meta.get(UNITS) or {}).get(name)
        return table

    def _repr_html_(self) -> str:
        return self.to_table()._repr_html_()


@dataclass(frozen=True, eq=False)
class Attributions(_Rows):
    """How much each value of a sample moved the model's answer.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    maps : ndarray of float32, same shape as the samples' values
        Positive where a larger value raises the score of the target, unless `signed` is False.
    targets : ndarray, shape (n,)
        Index of the explained output: a class, or a cadence.
    target_names : ndarray of str, shape (n,)
        The same in words.
    method : str
        ``"gradient"``, ``"smoothgrad"``, ``"integrated_gradients"`` or ``"occlusion"``.
    signed : bool
    samples : Samples
        The data as the model saw them, with their axes.
    meta : mapping
        Options of the method, model, digest, seed.
    """

    ids: np.ndarray
    maps: np.ndarray
    targets: np.ndarray
    target_names: np.ndarray
    method: str
    samples: Any
    signed: bool = True
    meta: Mapping[str, Any] = field(default_factory=dict)
    ra: np.ndarray = None  # type: ignore[assignment]
    dec: np.ndarray = None  # type: ignore[assignment]

    _per_object: ClassVar[tuple[str, ...]] = (
        "ids",
        "maps",
        "targets",
        "target_names",
        "samples",
        "ra",
        "dec",
    )

    def __post_init__(self) -> None:
        _settle(self)
        if self.maps.shape != self.samples.values.shape:
            raise DataError(
                f"Maps of shape {self.maps.shape} for samples of shape {self.samples.values.shape}"
            )
