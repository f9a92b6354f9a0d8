"""The file ``archive.yaml``: what a folder is to look like as an archive."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from jupyter_astroml.core.errors import DataError

NAME = "archive.yaml"
_MAX_BYTES = 1 << 20
_NAME = r"^[a-z][a-z0-9_]{0,62}$"
# Schemas that the archive or its database use themselves.
TAKEN = frozenset(
    (
        "caom2",
        "information_schema",
        "internal",
        "ivoa",
        "main",
        "pg_catalog",
        "tap_schema",
        "tap_upload",
        "temp",
    )
)

SqlName = Annotated[str, Field(pattern=_NAME)]


class _Strict(BaseModel):
    # A misspelt option must not be ignored.
    model_config = ConfigDict(extra="forbid", frozen=True)


def _relative(path: str) -> str:
    """Refuse what leads out of the folder; links are looked at when the file is opened."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
        raise ValueError("must be a path inside the folder, with forward slashes")
    return path


class ColumnNote(_Strict):
    """What is known about a column of a file.

    Attributes
    ----------
    name : str
        Name in the archive; made from the one in the file when absent.
    unit, ucd, description : str
    """

    name: SqlName | None = None
    unit: str = Field("", max_length=60)
    ucd: str = Field("", max_length=200, pattern=r"^[A-Za-z0-9_.;:-]*$")
    description: str = Field("", max_length=1000)


class _TableBase(_Strict):
    description: str = Field("", max_length=2000)
    columns: dict[str, ColumnNote] = {}


class RowsTable(_TableBase):
    """A table without files."""

    kind: Literal["table"]
    rows: str

    _inside = field_validator("rows")(_relative)


class _FilesBase(_TableBase):
    """Files with, perhaps, a table that tells about them.

    Attributes
    ----------
    files : str
        A zip file, a folder, or a pattern such as ``*.fits``.
    rows : str or None
        A table with one row a file.
    file_column : str or None
        Column of `rows` that names the file; without it, `id` is the name without its ending.
    id : str or None
        Column of `rows` that names the object; without it, the name of the file does.
    id_pattern : str or None
        Regular expression whose first group, found in the file's name, is the id.
    ra, dec : str or None
        Columns of `rows` with positions, degrees, ICRS.
    """

    files: str
    rows: str | None = None
    file_column: str | None = None
    id: str | None = None
    id_pattern: str | None = Field(None, max_length=200)
    ra: str | None = None
    dec: str | None = None

    _inside = field_validator("files", "rows")(lambda v: v if v is None else _relative(v))

    @field_validator("id_pattern")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                groups = re.compile(value).groups
            except re.error as err:
                raise ValueError(f"is no regular expression: {err}") from err
            if groups != 1:
                raise ValueError("must have exactly one group, the id")
        return value

    @model_validator(mode="after")
    def _complete(self) -> _FilesBase:
        for name in ("file_column", "id", "ra", "dec"):
            if getattr(self, name) is not None and self.rows is None:
                raise ValueError(f"{name} names a column, so 'rows' must name a table")
        if (self.ra is None) != (self.dec is None):
            raise ValueError("ra and dec belong together")
        if self.rows is not None and self.file_column is None and self.id is None:
            raise ValueError("give 'file_column' or 'id', which lead from a row to its file")
        return self


class ImagesTable(_FilesBase):
    """Images: FITS, JPEG or PNG.

    Attributes
    ----------
    bands : list of str
        Name of each plane, where the files do not say; red, green and blue of a picture in order.
    flux_unit : str
        ``picture`` for JPEG and PNG, else a unit that astropy can parse.
    pixel_scale : float or None
        arcsec per pixel, where the files do not say.
    """

    kind: Literal["images"]
    bands: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.'-]{1,20}$")]] = []
    flux_unit: str = Field("", max_length=60)
    pixel_scale: float | None = Field(None, gt=0, lt=3600)


class TimeNote(_Strict):
    """What the times of a light curve count.

    Attributes
    ----------
    scale : str
        Time scale.
    zero : int or float
        Julian date that is time 0; 2457000 for TESS.
    """

    scale: Literal["tdb", "tt", "utc", "tai", "tcb"] = "tdb"
    zero: float


class LightCurvesTable(_FilesBase):
    """Light curves, one a file, of any lengths.

    Files are FITS tables with TIME and FLUX, CSV or ECSV with a time and a flux or magnitude, or
    ``.npy`` of three rows: time, flux, error.

    Attributes
    ----------
    time : TimeNote or None
        For ``.npy``, CSV and ECSV; FITS says it in its header.
    band : str
        Filter, where the files do not say.
    flux_unit : str
        ``relative`` for flux divided by its median.
    key : str or None
        Publishes the id as a whole number too, in a column of this name, for joins.
    """

    kind: Literal["light_curves"]
    time: TimeNote | None = None
    band: str = Field("", max_length=40)
    flux_unit: str = Field("", max_length=60)
    key: SqlName | None = None


class SpectraTable(_FilesBase):
    """Spectra: FITS tables or images of few rows, CSV or ECSV with wavelength and flux.

    Attributes
    ----------
    wave_unit : str
        Unit of the wavelengths, where the files do not say.
    medium : str
        What the wavelengths were measured in.
    flux_unit : str
        Where the files do not say.
    """

    kind: Literal["spectra"]
    wave_unit: str = Field("", max_length=20)
    medium: Literal["vacuum", "air"] = "vacuum"
    flux_unit: str = Field("", max_length=60)

    @field_validator("wave_unit")
    @classmethod
    def _of_light(cls, value: str) -> str:
        from astropy import units as u

        unit = u.Unit(value, parse_strict="silent") if value else u.m
        if not unit.is_equivalent(u.m, u.spectral()):
            raise ValueError("is no unit of wavelength, such as Angstrom or nm")
        return value


FilesTable = ImagesTable | LightCurvesTable | SpectraTable
AnyTable = Annotated[RowsTable | FilesTable, Field(discriminator="kind")]


class Config(_Strict):
    """A whole ``archive.yaml``.

    Attributes
    ----------
    schema_name : str
        Written ``schema``: the first part of the tables' names in a query.
    title, description : str
    simulated : bool
        Whether the data were never observed; the archive then says so everywhere.
    tables : dict
        By name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_name: SqlName = Field(alias="schema")
    title: str = Field("", max_length=200)
    description: str = Field("", max_length=2000)
    simulated: bool = False
    tables: dict[SqlName, AnyTable] = Field(min_length=1, max_length=200)

    @field_validator("schema_name")
    @classmethod
    def _free(cls, value: str) -> str:
        if value in TAKEN:
            raise ValueError(f"{value} belongs to the archive itself")
        return value


def load(path: Path) -> Config:
    """Read and check a description.

    Raises
    ------
    DataError
        Names each line of the description that is wrong.
    """
    import yaml

    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path.name} is larger than a megabyte")
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise DataError(f"{path} cannot be read", cause=err.strerror or str(err)) from err
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as err:
        raise DataError(f"{path.name} is no YAML", cause=str(err)[:400]) from err
    return check(told, name=path.name)


def check(told: Any, *, name: str = NAME) -> Config:
    """Return the checked description.

    Parameters
    ----------
    told : object
        As YAML gives it.
    name : str
        Of the file, for the error.

    Raises
    ------
    DataError
        Names each entry that is wrong.
    """
    try:
        return Config.model_validate(told)
    except ValidationError as err:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in e['loc']) or 'the whole'}: "
            f"{e['msg'].removeprefix('Value error, ')}"
            for e in err.errors(include_url=False, include_input=False)[:6]
        )
        raise DataError(
            f"{name} does not describe an archive",
            cause=wrong,
            remedy="see docs/archive-folder.md for all entries",
        ) from err


def dump(config: Config) -> str:
    """Return a description as YAML that `load` reads."""
    import yaml

    told = config.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    for name, table in config.tables.items():
        told["tables"][name] = {"kind": table.kind, **told["tables"][name]}
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
