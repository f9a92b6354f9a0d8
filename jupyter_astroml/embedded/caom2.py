"""The tables of CAOM 2.4 that `astroquery.cadc` asks: one observation and one plane a dataset."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from .build import Builder
from .tables import Column, ForeignKey

# https://www.opencadc.org/caom2: name, type, unit, UCD, meaning, and the column of ObsCore that
# says it.
_OBSERVATION = (
    ("obsid", "text", "", "meta.id", "Key of the observation", ""),
    ("observationuri", "text", "", "meta.ref.uri", "Identifier of the observation", ""),
    ("collection", "text", "", "meta.id", "Collection", "obs_collection"),
    ("observationid", "text", "", "meta.id;meta.main", "Observation in its collection", "obs_id"),
    ("intent", "text", "", "meta.code", "science or calibration", ""),
    ("target_name", "text", "", "meta.id;src", "Object", "target_name"),
    ("targetposition_coordinates_cval1", "double", "deg", "pos.eq.ra", "Of the object", "s_ra"),
    ("targetposition_coordinates_cval2", "double", "deg", "pos.eq.dec", "Of the object", "s_dec"),
    ("telescope_name", "text", "", "meta.id;instr.tel", "Telescope", "facility_name"),
    ("instrument_name", "text", "", "meta.id;instr", "Instrument", "instrument_name"),
)
_PLANE = (
    ("planeid", "text", "", "meta.id", "Key of the plane", ""),
    ("obsid", "text", "", "meta.id", "Key of the observation", ""),
    ("publisherid", "text", "", "meta.ref.ivoid", "Dataset identifier", "obs_publisher_did"),
    ("productid", "text", "", "meta.id", "Product of the observation", "obs_id"),
    ("dataproducttype", "text", "", "meta.code.class", "Kind of data", "dataproduct_type"),
    ("calibrationlevel", "int", "", "meta.code;obs.calib", "Calibration, 0 to 4", "calib_level"),
    ("quality_flag", "text", "", "meta.code.qual", "junk, or nothing", ""),
    ("position_bounds", "region", "", "pos.outline;obs.field", "Outline, ICRS", "s_region"),
    ("position_resolution", "double", "arcsec", "pos.angResolution", "Of a star", "s_resolution"),
    ("position_dimension_naxis1", "long", "", "meta.number", "Pixels along x", "s_xel1"),
    ("position_dimension_naxis2", "long", "", "meta.number", "Pixels along y", "s_xel2"),
    ("energy_bounds_lower", "double", "m", "em.wl;stat.min", "Shortest wavelength", "em_min"),
    ("energy_bounds_upper", "double", "m", "em.wl;stat.max", "Longest wavelength", "em_max"),
    ("energy_resolvingpower", "double", "", "spect.resolution", "Resolving power", "em_res_power"),
    ("energy_emband", "text", "", "instr.bandpass", "Part of the spectrum", ""),
    ("time_bounds_lower", "double", "d", "time.start;obs.exposure", "Begin, MJD", "t_min"),
    ("time_bounds_upper", "double", "d", "time.end;obs.exposure", "End, MJD", "t_max"),
    ("time_exposure", "double", "s", "time.duration;obs.exposure", "Exposure", "t_exptime"),
)
# The names are CAOM's; where one part ends (upper end, metres) is a matter of taste.
_BANDS = (
    (1e-11, "Gamma-ray"),
    (1e-8, "X-ray"),
    (1e-7, "EUV"),
    (3e-7, "UV"),
    (1e-6, "Optical"),
    (1e-4, "Infrared"),
    (1e-3, "Millimeter"),
)


def write(builder: Builder, rows: Sequence[Mapping[str, Any]], *, description: str) -> None:
    """Add ``caom2.observation`` and ``caom2.plane`` to an archive.

    Parameters
    ----------
    builder : Builder
        Archive that is being written.
    rows : sequence of mapping
        As for `obscore.write`.
    description : str
        Of the tables.
    """
    # Names of keys in CAOM are UUIDs; these are the same in every build.
    told = [{**row, **_told(row)} for row in rows]
    builder.schema("caom2", "Datasets of this archive in the Common Archive Observation Model")
    _table(builder, "observation", _OBSERVATION, told, description=description, keys=())
    key = ForeignKey("caom2.observation", (("obsid", "obsid"),))
    _table(builder, "plane", _PLANE, told, description=description, keys=(key,))


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what CAOM says and ObsCore does not."""
    did = str(row["obs_publisher_did"])
    return {
        "obsid": str(uuid.uuid5(uuid.NAMESPACE_URL, did)),
        "planeid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{did}#plane")),
        "observationuri": f"caom:{row['obs_collection']}/{row['obs_id']}",
        "intent": "science",
        "energy_emband": _band(row),
    }


def _band(row: Mapping[str, Any]) -> str | None:
    low, high = row.get("em_min"), row.get("em_max")
    if low is None or high is None:
        return None
    middle = (low * high) ** 0.5
    return next((name for end, name in _BANDS if middle < end), "Radio")


def _table(
    builder: Builder,
    name: str,
    columns: Sequence[tuple[str, str, str, str, str, str]],
    rows: Sequence[Mapping[str, Any]],
    *,
    description: str,
    keys: tuple[ForeignKey, ...],
) -> None:
    import pyarrow as pa

    kinds = {
        "text": pa.string(),
        "int": pa.int32(),
        "long": pa.int64(),
        "double": pa.float64(),
        "region": pa.list_(pa.float64()),
    }
    builder.table(
        f"caom2.{name}",
        {
            column: pa.array([row.get(source or column) for row in rows], type=kinds[kind])
            for column, kind, _, _, _, source in columns
        },
        columns=[
            Column(
                column,
                unit=unit,
                ucd=ucd,
                description=text,
                xtype="adql:REGION" if kind == "region" else "",
                std=True,
            )
            for column, kind, unit, ucd, text, _ in columns
        ],
        description=description,
        keys=keys,
    )
