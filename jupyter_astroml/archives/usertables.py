"""Tables of a user on an archive: made, filled and dropped where the archive keeps them.

CADC's YouCat and the embedded archive take them in the way that pyvo speaks; Gaia has its own
(TAP+), as astroquery speaks it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests

from jupyter_astroml.archives.bundled import Known
from jupyter_astroml.archives.export import document, fitted
from jupyter_astroml.archives.http import Session
from jupyter_astroml.core.errors import ArchiveError, DataError, QueryError

if TYPE_CHECKING:
    from astropy.table import Table

_PART = r"[A-Za-z][A-Za-z0-9_]{0,62}"
_PLAIN = re.compile(_PART)
_FULL = re.compile(rf"{_PART}\.{_PART}")
# Words of HTTP for an archive that has no such door.
_NO_DOOR = {404, 405, 501}
_JOB_SECONDS = 300.0


def keep(known: Known, table: Table, *, name: str, session: Session) -> str:
    """Make a table of this name and fill it; what is half made is dropped again.

    Parameters
    ----------
    known : Known
        The archive; `Known.upload` says where TAP+ takes tables.
    table : astropy.table.Table
        Numbers and texts, for TAP+ arrays too; nulls are kept.
    name : str
        ``schema.table``; for TAP+ the table alone, which goes into the user's schema.
    session : Session
        Of who is logged in.

    Returns
    -------
    str
        What queries call it.

    Raises
    ------
    DataError
        If the archive could not hold a column.
    ArchiveError
        If the archive refuses, or keeps no tables of users.
    """
    _check(known, name)
    if known.upload:
        _upload(known, table, name, session)
        return f"user_YOUR_NAME.{name}"
    from pyvo.dal import TAPService

    made = fitted(table)
    rows = _csv(made)
    with _doors(known.name):
        service = TAPService(known.url, session=session)
        service.create_table(name, io.BytesIO(document(made[:0])), format="VOTable")
        try:
            service.load_table(name, io.BytesIO(rows), format="csv")
        except requests.RequestException:
            # Why the rows were refused is what the user must know.
            with suppress(requests.RequestException):
                service.remove_table(name)
            raise
    return name


def _upload(known: Known, table: Table, name: str, session: Session) -> None:
    from pyvo.dal import AsyncTAPJob

    told = {"TASKID": "-1", "TABLE_NAME": name, "TABLE_DESC": "", "FORMAT": "votable"}
    file = (f"{name}.vot", document(table), "application/x-votable+xml")
    with _doors(known.name):
        answer = session.post(known.upload, data=told, files={"FILE": file}, allow_redirects=False)
        answer.raise_for_status()
        if answer.status_code == requests.codes.see_other:
            # Large tables are taken in by a job of the archive, which it starts itself.
            place = urljoin(known.upload, answer.headers.get("Location", ""))
            job = AsyncTAPJob(place, session=session, delete=False)
            job.wait(timeout=_JOB_SECONDS)
            job.raise_if_error()


def drop(known: Known, *, name: str, session: Session) -> None:
    """Drop a table that was kept, by the name that was given to `keep`.

    Raises
    ------
    ArchiveError
        If the archive refuses, or there is no such table of the user's.
    """
    from pyvo.dal import TAPService

    _check(known, name)
    with _doors(known.name):
        if known.upload:
            told = {"TABLE_NAME": name, "DELETE": "TRUE", "FORCE_REMOVAL": "FALSE"}
            session.post(known.upload, data=told, allow_redirects=False).raise_for_status()
        else:
            TAPService(known.url, session=session).remove_table(name)


def _check(known: Known, name: str) -> None:
    form, words = (_PLAIN, "table") if known.upload else (_FULL, "schema.table")
    if not form.fullmatch(name):
        raise QueryError(
            f"A table cannot be kept as {name[:80]!r}",
            remedy=f"name it {words}, of letters, digits and '_'",
        )


def _csv(table: Table) -> bytes:
    """Return the rows as text; empty cells are nulls."""
    for name in table.colnames:
        if table[name].ndim > 1 or table[name].dtype.kind == "O":
            raise DataError(
                f"The column '{name}' holds arrays, which this archive does not keep",
                remedy=f"leave it out: table.remove_column({name!r})",
            )
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.colnames)
    columns = [[_cell(value) for value in table[name].tolist()] for name in table.colnames]
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value).lower() if isinstance(value, bool) else value


@contextmanager
def _doors(archive: str) -> Iterator[None]:
    """Open what pyvo calls a prototype, and say its errors in our words and the archive's."""
    from pyvo.dal import DALQueryError, DALServiceError
    from pyvo.utils import prototype

    feature = prototype.features["cadc-tb-upload"]
    before, feature.on = feature.on, True
    try:
        yield
    except requests.HTTPError as err:
        raise _refused(archive, err.response) from err
    except (DALServiceError, DALQueryError, OSError) as err:
        raise ArchiveError(f"{archive} did not take the table", cause=str(err)) from err
    finally:
        feature.on = before


def _refused(archive: str, answer: requests.Response) -> ArchiveError:
    code = answer.status_code
    said = " ".join(re.sub(r"<[^>]*>", " ", answer.text[:4000]).split())[:300]
    if code in (401, 403):
        return ArchiveError(
            f"{archive} lets only its users keep tables",
            cause=said or str(code),
            remedy=f"aml.login({archive!r}), and name the table in a schema of yours",
        )
    if code in _NO_DOOR:
        return ArchiveError(
            f"{archive} does not keep tables of users",
            cause=said or str(code),
            remedy="send the table along with each query: query(…, upload={…})",
        )
    return ArchiveError(f"{archive} did not take the table", cause=f"{code} {said}".strip())
