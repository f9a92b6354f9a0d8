"""From the session's records to the answers of the routes."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jupyter_astroml.core.errors import ArchiveError
from jupyter_astroml.core.settings import settings
from jupyter_astroml.server.shapes import (
    ArchiveInfo,
    ArchiveSchema,
    Column,
    Completion,
    Completions,
    Composed,
    Draft,
    Form,
    Interval,
    Measure,
    Mistake,
    Mistakes,
    ModelDetail,
    ModelInfo,
    Needs,
    Schema,
    Status,
    Table,
)

if TYPE_CHECKING:
    from jupyter_astroml.archives.archive import Archive
    from jupyter_astroml.models.cards import Card

# A schema of thousands of tables takes an archive many seconds, and seldom changes.
_SCHEMA_SECONDS = 600


def status(*, user: str) -> Status:
    """Versions and defaults.

    Parameters
    ----------
    user : str
        Name of the person who asks.
    """
    from importlib.metadata import version

    found = settings()
    return Status(
        version=version("jupyter_astroml"),
        bokeh=version("bokeh"),
        user=user,
        archive=found.archive,
        engine=found.engine,
    )


def archives() -> tuple[ArchiveInfo, ...]:
    """Archives that have a name, the demo sky first."""
    from jupyter_astroml import session

    return tuple(
        ArchiveInfo(
            name=each.name,
            title=each.title,
            url=each.url,
            description=each.note or each.title,
        )
        for each in session.archives()
    )


def schema(name: str) -> ArchiveSchema:
    """Schemas, tables and columns of an archive.

    Parameters
    ----------
    name : str
        Name of the archive.

    Raises
    ------
    ArchiveError
        If it is neither listed nor the archive of the settings, or does not answer.
    """
    return _schema(_open(name))


def _open(name: str) -> Archive:
    """Return a listed archive whose schema is known."""
    from jupyter_astroml import session

    listed = [each.name for each in session.archives()]
    # A page of another site may make a browser ask us, but not make us ask whom it likes.
    if name not in {*listed, settings().archive}:
        raise ArchiveError(
            f"The panel lists no archive {name!r}", remedy=f"use {', '.join(listed)}"
        )
    found = session.archive(name)
    return _opened(name, found.url, int(time.time() // _SCHEMA_SECONDS))


@lru_cache(maxsize=32)
def _opened(name: str, url: str, period: int) -> Archive:
    """Read an archive's schema once in a period; the demo has another URL after each start.

    Nothing else is asked of the archive, so that several threads may look things up in it.
    """
    from jupyter_astroml import session

    with session.archive(name) as found:
        found.schema()
    return found


@lru_cache(maxsize=32)
def _schema(archive: Archive) -> ArchiveSchema:
    return ArchiveSchema(
        archive=archive.name,
        schemas=tuple(
            Schema(
                name=each.name,
                description=_text(each.description),
                tables=tuple(
                    Table(
                        name=table.name,
                        description=_text(table.description),
                        columns=tuple(_column(column) for column in table.columns),
                    )
                    for table in each.tables
                ),
            )
            for each in archive.schema()
        ),
    )


def check(name: str, *, given: Draft) -> Mistakes:
    """Look for mistakes in a query, without sending it; errors as `schema`."""
    return Mistakes(
        tuple(
            Mistake(each.what, each.line, each.column, each.nearest)
            for each in _open(name).check(given.adql)
        )
    )


def complete(name: str, *, given: Draft) -> Completions:
    """Say what could be written where the cursor is; errors as `schema`."""
    found = _open(name).complete(given.adql, given.at)
    return Completions(
        found.start,
        tuple(Completion(each.text, each.kind, each.detail, each.info) for each in found.options),
    )


def compose(name: str, *, given: Form) -> Composed:
    """Write the query of a form.

    Raises
    ------
    QueryError, DataError
        For what cannot stand in a query; and errors as `schema`.
    """
    place: dict[str, Any] = {}
    if given.position.strip():
        place = {"position": given.position, "radius": given.radius or "1 arcmin"}
    return Composed(
        _open(name).compose(
            given.table,
            columns=given.columns or ("*",),
            where=[(c.column, c.comparison, _value(c.value)) for c in given.conditions],
            order=given.order,
            top=given.top or None,
            **place,
        )
    )


def _value(text: str) -> float | int | str:
    """Return the number that somebody typed, else the text."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def models() -> tuple[ModelInfo, ...]:
    """Every model that can be named in ``aml.predict``."""
    from jupyter_astroml import session

    return tuple(_info(entry) for entry in session.models())


def model(name: str) -> ModelDetail:
    """One model's card.

    Parameters
    ----------
    name : str
        Name of the model.

    Raises
    ------
    ModelError
        If there is no model of this name.
    """
    from jupyter_astroml import session

    return _detail(session.model(name))


def _text(value: Any) -> str:
    # TAP_SCHEMA leaves a description, a unit or a UCD NULL where there is none.
    return "" if value is None else str(value)


def _column(column: Any) -> Column:
    return Column(
        name=column.name,
        datatype=_text(column.datatype),
        unit=_text(column.unit),
        ucd=_text(column.ucd),
        description=_text(column.description),
    )


def _info(entry: Any) -> ModelInfo:
    card = entry.card
    return ModelInfo(
        name=entry.name,
        title=card.title,
        task=card.task,
        version=card.version,
        source=entry.source,
        description=card.description,
        answers=card.outputs.names,
        measure=_measure(card),
        needs=_needs(card),
        limits=card.limits,
    )


def _detail(entry: Any) -> ModelDetail:
    card = entry.card
    return ModelDetail(
        info=_info(entry),
        bias=card.bias,
        baseline=card.baseline,
        licence=card.licence,
        citations=tuple(each.text for each in card.citations),
        trained_on=tuple(
            f"{each.name} (simulated)"
            if each.simulated and "simulat" not in each.name.lower()
            else each.name
            for each in card.datasets
        ),
        digest=card.facts.digest if card.facts else "",
    )


def _measure(card: Card) -> Measure | None:
    found = card.facts.evaluation if card.facts else {}
    if not found:
        return None
    return Measure(
        name=found["metric"],
        value=found["value"],
        low=found.get("low"),
        high=found.get("high"),
        sample=_text(found.get("sample")) or f"{found['n']} objects of {found.get('data')}",
        baseline=_text(found.get("baseline")),
        baseline_value=found.get("baseline_value"),
        higher_is_better=found.get("higher_is_better", True),
    )


def _needs(card: Card) -> Needs:
    asked = card.input
    return Needs(
        kind=asked.kind,
        bands=asked.bands,
        flux_unit=asked.flux_unit,
        # Of spectra the grid tells it.
        size=asked.size or asked.shape,
        wavelength=_interval(asked.wavelength),
        pixel_scale=_interval(asked.pixel_scale),
        cadence=_interval(asked.cadence),
        notes=asked.notes,
    )


def _interval(found: Any) -> Interval | None:
    return found and Interval(low=found.low, high=found.high, unit=found.unit)
