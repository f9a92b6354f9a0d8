"""One family of errors: what failed, why, and one thing to do about it."""

from __future__ import annotations

from typing import Any


class AstroMLError(Exception):
    """An error that a user can act on.

    Parameters
    ----------
    what : str
        What failed, in the user's words.
    cause : str, optional
        Why it failed.
        It travels as text because pickle drops ``__cause__``: an error that is raised on a worker
        would otherwise reach the user without its reason.
    remedy : str, optional
        One thing to do.
    """

    code = "error"

    def __init__(self, what: str, *, cause: str = "", remedy: str = "") -> None:
        super().__init__(what, cause, remedy)
        self.what = what
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        parts = [self.what]
        if self.cause:
            parts.append(f"because {self.cause}")
        text = ": ".join(parts)
        return f"{text}. To do: {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.what, self.cause, self.remedy)

    def to_json(self) -> dict[str, str]:
        """Return the one shape in which every server and every ``--json`` reports an error."""
        return {
            "code": self.code,
            "what": self.what,
            "cause": self.cause or (str(self.__cause__) if self.__cause__ else ""),
            "remedy": self.remedy,
        }


def as_cause(err: BaseException) -> str:
    """Return an error as the cause of another one, which has a remedy of its own."""
    if isinstance(err, AstroMLError):
        return f"{err.what}: {err.cause}" if err.cause else err.what
    return f"{type(err).__name__}: {err}"


def reason(err: BaseException) -> str:
    """Return why nothing was answered, in the system's words where it has some.

    What requests and urllib3 say of it names their own objects, and tries that nobody asked for.
    """
    found: BaseException | None = err
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror.lower()
        found = found.__cause__ or found.__context__
    return str(err)


def _rebuild(kind: type[AstroMLError], what: str, cause: str, remedy: str) -> AstroMLError:
    return kind(what, cause=cause, remedy=remedy)


class ArchiveError(AstroMLError):
    """An archive did not answer, or answered something that cannot be used."""

    code = "archive"


class QueryError(ArchiveError):
    """The archive refused a query."""

    code = "query"


class DataError(AstroMLError):
    """Bytes, a table or a file are not what they should be."""

    code = "data"


class ModelError(AstroMLError):
    """A model, its card or its weights cannot be used."""

    code = "model"


class RunError(AstroMLError):
    """A run, its directory or its engine cannot go on."""

    code = "run"


class SettingsError(AstroMLError):
    """A setting has a value that makes no sense."""

    code = "settings"


class MissingExtraError(AstroMLError):
    """An optional library is not installed."""

    code = "extra"
