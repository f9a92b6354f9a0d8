"""The table ``ivoa.obscore`` of ObsCore 1.1: one row for each dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .build import Builder
from .datalink import MEDIA, link
from .tables import Column

# ObsCore 1.1 tables 1 and 6: name, type, unit, UCD, utype (after "obscore:"), meaning.
_SPATIAL, _TIME, _SPECTRAL = "Char.SpatialAxis", "Char.TimeAxis", "Char.SpectralAxis"
_LOCATION = f"{_SPATIAL}.Coverage.Location.Coord.Position2D.Value2"
_COLUMNS: tuple[tuple[str, str, str, str, str, str], ...] = (
    (
        "dataproduct_type",
        "text",
        "",
        "meta.code.class",
        "ObsDataset.dataProductType",
        "Kind of data",
    ),
    (
        "calib_level",
        "int",
        "",
        "meta.code;obs.calib",
        "ObsDataset.calibLevel",
        "Calibration, 0 to 4",
    ),
    ("obs_collection", "text", "", "meta.id", "DataID.collection", "Collection"),
    ("obs_id", "text", "", "meta.id", "DataID.observationID", "Observation"),
    ("obs_title", "text", "", "meta.title;obs", "DataID.title", "Title"),
    (
        "obs_publisher_did",
        "text",
        "",
        "meta.ref.ivoid",
        "Curation.publisherDID",
        "Dataset identifier",
    ),
    ("access_url", "link", "", "meta.ref.url", "Access.reference", "Where the data are"),
    (
        "access_format",
        "text",
        "",
        "meta.code.mime",
        "Access.format",
        "Media type behind access_url",
    ),
    ("access_estsize", "long", "kbyte", "phys.size;meta.file", "Access.size", "Size of the file"),
    ("target_name", "text", "", "meta.id;src", "Target.name", "Object"),
    ("s_ra", "double", "deg", "pos.eq.ra", f"{_LOCATION}.C1", "Right ascension, ICRS"),
    ("s_dec", "double", "deg", "pos.eq.dec", f"{_LOCATION}.C2", "Declination, ICRS"),
    (
        "s_fov",
        "double",
        "deg",
        "phys.angSize;instr.fov",
        f"{_SPATIAL}.Coverage.Bounds.Extent.diameter",
        "Diameter of the field",
    ),
    (
        "s_region",
        "region",
        "",
        "pos.outline;obs.field",
        f"{_SPATIAL}.Coverage.Support.Area",
        "Outline of the field, ICRS",
    ),
    (
        "s_resolution",
        "double",
        "arcsec",
        "pos.angResolution",
        f"{_SPATIAL}.Resolution.Refval.value",
        "Width of a star",
    ),
    ("s_xel1", "long", "", "meta.number", f"{_SPATIAL}.numBins1", "Pixels along the first axis"),
    ("s_xel2", "long", "", "meta.number", f"{_SPATIAL}.numBins2", "Pixels along the second axis"),
    (
        "t_min",
        "double",
        "d",
        "time.start;obs.exposure",
        f"{_TIME}.Coverage.Bounds.Limits.StartTime",
        "Begin, MJD",
    ),
    (
        "t_max",
        "double",
        "d",
        "time.end;obs.exposure",
        f"{_TIME}.Coverage.Bounds.Limits.StopTime",
        "End, MJD",
    ),
    (
        "t_exptime",
        "double",
        "s",
        "time.duration;obs.exposure",
        f"{_TIME}.Coverage.Support.Extent",
        "Exposure",
    ),
    (
        "t_resolution",
        "double",
        "s",
        "time.resolution",
        f"{_TIME}.Resolution.Refval.value",
        "Smallest step in time",
    ),
    ("t_xel", "long", "", "meta.number", f"{_TIME}.numBins", "Samples in time"),
    (
        "em_min",
        "double",
        "m",
        "em.wl;stat.min",
        f"{_SPECTRAL}.Coverage.Bounds.Limits.LoLimit",
        "Shortest wavelength, vacuum",
    ),
    (
        "em_max",
        "double",
        "m",
        "em.wl;stat.max",
        f"{_SPECTRAL}.Coverage.Bounds.Limits.HiLimit",
        "Longest wavelength, vacuum",
    ),
    (
        "em_res_power",
        "double",
        "",
        "spect.resolution",
        f"{_SPECTRAL}.Resolution.ResolPower.refVal",
        "Resolving power",
    ),
    ("em_xel", "long", "", "meta.number", f"{_SPECTRAL}.numBins", "Samples in wavelength"),
    ("o_ucd", "text", "", "meta.ucd", "Char.ObservableAxis.ucd", "What was measured"),
    (
        "pol_states",
        "text",
        "",
        "meta.code;phys.polarization",
        "Char.PolarizationAxis.stateList",
        "Polarisation states",
    ),
    ("pol_xel", "long", "", "meta.number", "Char.PolarizationAxis.numBins", "Polarisation samples"),
    (
        "facility_name",
        "text",
        "",
        "meta.id;instr.tel",
        "Provenance.ObsConfig.Facility.name",
        "Telescope",
    ),
    (
        "instrument_name",
        "text",
        "",
        "meta.id;instr",
        "Provenance.ObsConfig.Instrument.name",
        "Instrument",
    ),
)


def write(builder: Builder, rows: Sequence[Mapping[str, Any]], *, description: str) -> None:
    """Add ``ivoa.obscore`` to an archive.

    Parameters
    ----------
    builder : Builder
        Archive that is being written.
    rows : sequence of mapping
        By column; what is absent is null.
        ``access_url`` and ``access_format`` are filled in with the DataLink address of
        ``obs_publisher_did``.
        ``s_region`` is a list ``[ra, dec, ra, dec, ...]`` in degrees, ICRS.
    description : str
        Of the table.
    """
    import pyarrow as pa

    complete = [
        {**row, "access_url": link(row["obs_publisher_did"]), "access_format": MEDIA}
        for row in rows
    ]
    kinds = {
        "text": pa.string(),
        "link": pa.string(),
        "int": pa.int32(),
        "long": pa.int64(),
        "double": pa.float64(),
        "region": pa.list_(pa.float64()),
    }
    values = {
        name: pa.array([row.get(name) for row in complete], type=kinds[kind])
        for name, kind, *_ in _COLUMNS
    }
    builder.schema("ivoa", "Datasets of this archive in the common model of observations")
    builder.table(
        "ivoa.obscore",
        values,
        columns=[
            Column(
                name,
                unit=unit,
                ucd=ucd,
                utype=f"obscore:{utype}",
                description=text,
                xtype="adql:REGION" if kind == "region" else "",
                indexed=name == "obs_publisher_did",
                std=True,
                link=kind == "link",
            )
            for name, kind, unit, ucd, utype, text in _COLUMNS
        ],
        description=description,
        utype="ivo://ivoa.net/std/ObsCore#core-1.1",
    )


def square(ra: float, dec: float, *, side: float) -> list[float]:
    """Return the corners of a small square on the sky.

    Parameters
    ----------
    ra, dec : float
        Centre, degrees, ICRS.
    side : float
        Full width, degrees.

    Returns
    -------
    list of float
        ``[ra, dec, ra, dec, ...]``, degrees, from the south-west through the south-east.
    """
    half = side / 2
    wide = half / np.cos(np.radians(dec))
    corners = [(ra - wide, dec - half), (ra + wide, dec - half)]
    corners += [(ra + wide, dec + half), (ra - wide, dec + half)]
    return [float(x) for corner in corners for x in corner]
