"""Simple Spectral Access 1.1: the spectra of ``ivoa.obscore``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tornado.web

from jupyter_astroml.core.errors import QueryError

from . import dal
from .datalink import file_link
from .engine import Answer
from .tables import Column
from .web import Service

STANDARD = "ivo://ivoa.net/std/SSA"
# Section 4.1.1.2: what a service takes when SIZE is missing is its own choice.
_DEFAULT_SIZE_DEG = 1.0
_FITS = frozenset(("all", "compliant", "native", "fits", "application/fits", "image/fits"))
_MJD_EPOCH = np.datetime64("1858-11-17T00:00:00")
_WANTED = (
    "obs_title obs_collection obs_publisher_did target_name access_estsize instrument_name "
    "s_ra s_dec s_fov em_min em_max em_xel t_min t_max o_ucd"
)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Part:
    """A column of the answer: its name in the data model, and how it comes from ObsCore."""

    utype: str
    value: Callable[[Row], Any]
    kind: str = "string"
    unit: str = ""
    ucd: str = ""

    def column(self) -> Column:
        number = self.kind.startswith("double")
        return Column(
            self.utype.replace(".", "_").lower(),
            datatype={"int": "long"}.get(self.kind, "double" if number else "char"),
            arraysize="2" if self.kind == "double2" else "" if self.kind != "string" else "*",
            unit=self.unit,
            ucd=self.ucd,
            utype=f"ssa:{self.utype}",
        )


def _middle(low: str, high: str) -> Callable[[Row], float | None]:
    return lambda row: None if None in (row[low], row[high]) else (row[low] + row[high]) / 2


def _width(low: str, high: str) -> Callable[[Row], float | None]:
    return lambda row: None if None in (row[low], row[high]) else row[high] - row[low]


def _place(row: Row) -> list[float] | None:
    return None if None in (row["s_ra"], row["s_dec"]) else [row["s_ra"], row["s_dec"]]


def _date(row: Row) -> str | None:
    if row["t_min"] is None:
        return None
    return str(_MJD_EPOCH + np.timedelta64(round(row["t_min"] * 86_400), "s"))


_PLACE = "Char.SpatialAxis.Coverage"
_WAVE = "Char.SpectralAxis.Coverage"
_TIME = "Char.TimeAxis.Coverage"
# Section 4.2.5 and Appendix D: what is mandatory, and what pyvo and SPLAT read.
_PARTS = (
    _Part("Access.Reference", lambda r: r["url"], ucd="meta.ref.url"),
    _Part("Access.Format", lambda r: r["media"], ucd="meta.code.mime"),
    _Part("Access.Size", lambda r: r["access_estsize"], "int", "kbyte", "phys.size;meta.file"),
    _Part("DataID.Title", lambda r: r["obs_title"], ucd="meta.title;meta.dataset"),
    _Part("DataID.Collection", lambda r: r["obs_collection"], ucd="meta.id"),
    _Part("DataID.Instrument", lambda r: r["instrument_name"], ucd="meta.id;instr"),
    _Part("DataID.Date", _date, ucd="time;meta.dataset"),
    _Part("Curation.Publisher", lambda r: "jupyter_astroml", ucd="meta.curation"),
    _Part("Curation.PublisherDID", lambda r: r["obs_publisher_did"], ucd="meta.ref.ivoid"),
    _Part("Dataset.DataModel", lambda r: "Spectrum-1.0"),
    _Part("Dataset.Type", lambda r: "Spectrum"),
    _Part("Dataset.Length", lambda r: r["em_xel"], "int", ucd="meta.number"),
    _Part("Target.Name", lambda r: r["target_name"], ucd="meta.id;src"),
    _Part("Target.Pos", _place, "double2", "deg", "pos.eq;src"),
    _Part(f"{_PLACE}.Location.Value", _place, "double2", "deg", "pos.eq"),
    _Part(f"{_PLACE}.Bounds.Extent", lambda r: r["s_fov"], "double", "deg", "instr.fov"),
    _Part(f"{_WAVE}.Location.Value", _middle("em_min", "em_max"), "double", "m", "instr.bandpass"),
    _Part(f"{_WAVE}.Bounds.Extent", _width("em_min", "em_max"), "double", "m", "instr.bandwidth"),
    _Part(f"{_WAVE}.Bounds.Start", lambda r: r["em_min"], "double", "m", "em.wl;stat.min"),
    _Part(f"{_WAVE}.Bounds.Stop", lambda r: r["em_max"], "double", "m", "em.wl;stat.max"),
    _Part(f"{_TIME}.Location.Value", _middle("t_min", "t_max"), "double", "d", "time.epoch"),
    _Part(f"{_TIME}.Bounds.Extent", _width("t_min", "t_max"), "double", "d", "time.duration"),
    _Part("Char.FluxAxis.Ucd", lambda r: r["o_ucd"], ucd="meta.ucd"),
)


class Query(dal.Dal):
    """The resource ``/ssa/query``."""

    refused = 200

    async def get(self) -> None:
        """Answer with the spectra that fit all parameters."""
        if "ivoa.obscore" not in self.service.database.tables:
            raise tornado.web.HTTPError(404, "This archive has no spectra")
        if (self.one("REQUEST") or "queryData").lower() != "querydata":
            raise QueryError(f"REQUEST is {self.one('REQUEST')[:40]!r}", remedy="send queryData")
        form = self.one("FORMAT", "all").lower()
        columns = ", ".join(_WANTED.split())
        answer = await self.rows(
            f"SELECT {columns} FROM ivoa.obscore WHERE {conditions(self.one)}",  # noqa: S608
            maxrec=0 if form == "metadata" else self.maxrec(),
        )
        offered = bool(_FITS & {f.strip() for f in form.split(",")})
        made = _answer(self.service, answer, empty=not offered)
        self.table(
            made,
            made.columns,
            infos=[("SERVICE_PROTOCOL", "1.1")],
            params=_INPUTS if form == "metadata" else "",
        )

    post = get


# Section 8.6: what FORMAT=METADATA tells about the parameters.
_INPUTS = "".join(
    f'<PARAM name="INPUT:{name}" datatype="char" arraysize="*" value=""{unit}/>\n'
    for name, unit in (
        ("POS", ""),
        ("SIZE", ' unit="deg"'),
        ("BAND", ' unit="m"'),
        ("TIME", ""),
        ("FORMAT", ""),
        ("TARGETNAME", ""),
        ("PUBDID", ""),
        ("COLLECTION", ""),
        ("MAXREC", ""),
    )
)


def _answer(service: Service, answer: Answer, *, empty: bool) -> Answer:
    import pyarrow as pa

    kinds = {
        "string": pa.string(),
        "int": pa.int64(),
        "double": pa.float64(),
        "double2": pa.list_(pa.float64()),
    }
    names = [c.name for c in answer.columns]
    listed = [] if empty else zip(*(c.to_pylist() for c in answer.rows.columns), strict=True)
    rows = [_with_file(service, dict(zip(names, row, strict=True))) for row in listed]
    arrays = [pa.array([part.value(row) for row in rows], type=kinds[part.kind]) for part in _PARTS]
    columns = tuple(part.column() for part in _PARTS)
    table = pa.Table.from_arrays(arrays, names=[c.name for c in columns])
    return Answer(columns, table, answer.overflow and not empty)


def _with_file(service: Service, row: dict[str, Any]) -> dict[str, Any]:
    """Add the address of the file itself: clients of this protocol know no links."""
    did = row["obs_publisher_did"]
    product = service.database.product(did)
    media = product.media if product else None
    return {**row, "url": f"{service.base}/{file_link(did)}", "media": media}


def conditions(one: Callable[[str], str]) -> str:
    """Return what the parameters ask for, in ADQL.

    Parameters
    ----------
    one : callable
        Returns the value of a parameter, or an empty string.

    Raises
    ------
    QueryError
        For a value that the standard does not allow, or this service does not know.
    """
    wanted = ["dataproduct_type = 'spectrum'"]
    if one("POS"):
        wanted.append(_around(one("POS"), one("SIZE")))
    if one("BAND"):
        wanted.append(_ranges(one("BAND"), "em_min", "em_max", read=_metres))
    if one("TIME"):
        wanted.append(_ranges(one("TIME"), "t_min", "t_max", read=_mjd))
    for name, column in (
        ("TARGETNAME", "target_name"),
        ("PUBDID", "obs_publisher_did"),
        ("COLLECTION", "obs_collection"),
    ):
        if one(name):
            wanted.append(f"{column} = {dal.literal(one(name))}")
    return " AND ".join(wanted)


def _around(text: str, size: str) -> str:
    place, _, frame = text.partition(";")
    if frame.strip().upper() not in ("", "ICRS"):
        raise QueryError(f"POS is in the frame {frame[:20]!r}", remedy="send ICRS")
    numbers = [dal.number(part, name="POS") for part in place.split(",")]
    if len(numbers) != 2:
        raise QueryError(f"POS is {text[:40]!r}", remedy="send ra,dec in degrees")
    diameter = dal.number(size, name="SIZE") if size else _DEFAULT_SIZE_DEG
    if not 0 <= diameter <= 180:
        raise QueryError(f"SIZE is {size[:40]!r}", remedy="send the diameter, 0 to 180 degrees")
    return dal.circle(*dal.position(*numbers), diameter / 2)


def _ranges(text: str, low: str, high: str, *, read: Callable[[str], tuple[float, float]]) -> str:
    """Read a list of ranges such as ``a/b,c/``, where ``a`` alone is a value (section 8.7.2)."""
    found = []
    for part in text.partition(";")[0].split(","):
        first, slash, last = (p.strip() for p in part.partition("/"))
        if not (first or last):
            raise QueryError(f"{text[:40]!r} holds an empty range")
        begin = read(first)[0] if first else -math.inf
        end = read(last)[1] if last else math.inf if slash else read(first)[1]
        found.append(dal.overlap(low, high, (begin, end)))
    return dal.either(*found)


def _metres(text: str) -> tuple[float, float]:
    value = dal.number(text, name="BAND")
    return value, value


def _mjd(text: str) -> tuple[float, float]:
    """Return begin and end of a time such as ``2004`` or ``2004-03-01T12:00:00``, MJD."""
    try:
        begin = np.datetime64(text.removesuffix("Z"))
    except ValueError as err:
        raise QueryError(f"TIME is {text[:40]!r}", remedy="send 2004-01-01/2005-01-01") from err
    if np.isnat(begin):
        raise QueryError(f"TIME is {text[:40]!r}", remedy="send 2004-01-01/2005-01-01")
    day = np.timedelta64(1, "D").astype("m8[s]")
    return tuple(  # type: ignore[return-value]
        float((moment.astype("M8[s]") - _MJD_EPOCH) / day) for moment in (begin, begin + 1)
    )
