"""What the routes take and answer: plain records, from which the TypeScript types are generated.

Texts that come from archives and cards are passed on as they are, never as HTML: the panel draws
them as text.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """The one shape of every answer that is not a success."""

    code: str
    what: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Status:
    """Who answers, and with which defaults.

    Attributes
    ----------
    version, bokeh : str
        Versions of this package and of the BokehJS that is served.
    user : str
        Name of the person that the server knows.
    archive, engine : str
        Site's or user's defaults, from `jupyter_astroml.core.settings`.
    """

    version: str
    bokeh: str
    user: str
    archive: str
    engine: str


@dataclass(frozen=True, slots=True)
class ArchiveInfo:
    """One archive that can be named in ``aml.archive(name)``."""

    name: str
    title: str
    url: str
    description: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, as the archive's TAP_SCHEMA describes it."""

    name: str
    datatype: str
    unit: str
    ucd: str
    description: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table, with its name as a query must spell it."""

    name: str
    description: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """A group of tables."""

    name: str
    description: str
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class ArchiveSchema:
    """All that can be queried in one archive."""

    archive: str
    schemas: tuple[Schema, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A query that is being written, and the number of characters before the cursor."""

    adql: str
    at: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is probably wrong in a query; line and column from 1, or 0 where nobody knows."""

    what: str
    line: int
    column: int
    nearest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mistakes:
    """All that a look through a query found."""

    found: tuple[Mistake, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """One thing that could be written where the cursor is."""

    text: str
    kind: str
    detail: str
    info: str


@dataclass(frozen=True, slots=True)
class Completions:
    """What could be written instead of all from `start` to the cursor, in characters."""

    start: int
    options: tuple[Completion, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a column in a form; a value that reads as a number is one."""

    column: str
    comparison: str
    value: str


@dataclass(frozen=True, slots=True)
class Form:
    """What was filled in to make a query; empty texts are left out, and `top` where it is 0."""

    table: str
    columns: tuple[str, ...]
    conditions: tuple[Condition, ...]
    position: str
    radius: str
    order: str
    top: int


@dataclass(frozen=True, slots=True)
class Composed:
    """The query that a form makes."""

    adql: str


@dataclass(frozen=True, slots=True)
class Measure:
    """The main metric of a model, with its interval and the baseline on the same objects."""

    name: str
    value: float
    low: float | None
    high: float | None
    sample: str
    baseline: str
    baseline_value: float | None
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Interval:
    """Allowed interval of a physical quantity."""

    low: float
    high: float
    unit: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What the data must be like."""

    kind: str
    bands: tuple[str, ...]
    flux_unit: str
    size: tuple[int, ...]
    wavelength: Interval | None
    pixel_scale: Interval | None
    cadence: Interval | None
    notes: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as a card in the panel shows it.

    Attributes
    ----------
    measure : Measure or None
        None where nobody has measured the model yet.
    """

    name: str
    title: str
    task: str
    version: str
    source: str
    description: str
    answers: tuple[str, ...]
    measure: Measure | None
    needs: Needs
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelDetail:
    """All of a card that a person reads before trusting the model.

    Attributes
    ----------
    trained_on : tuple of str
        Names of the data sets; simulated ones say so.
    """

    info: ModelInfo
    bias: str
    baseline: str
    licence: str
    citations: tuple[str, ...]
    trained_on: tuple[str, ...]
    digest: str


ANSWERS = (
    Problem,
    Status,
    ArchiveInfo,
    ArchiveSchema,
    Draft,
    Mistakes,
    Completions,
    Form,
    Composed,
    ModelInfo,
    ModelDetail,
)
