"""What the pool refuses, with the HTTP status that says so."""

from __future__ import annotations

from jupyter_astroml.core.errors import AstroMLError


class PoolError(AstroMLError):
    """The pool refuses a request.

    Parameters
    ----------
    status : int
        Of the HTTP answer (RFC 9110, section 15).
    code : str
        One word that a program can compare.
    what, cause, remedy : str
        As for every `AstroMLError`.
    retry_after : float
        Seconds after which it makes sense to ask again; 0 when it never does.
    """

    def __init__(
        self,
        status: int,
        code: str,
        what: str,
        *,
        cause: str = "",
        remedy: str = "",
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(what, cause=cause, remedy=remedy)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        again = (self.status, self.code, self.what, self.cause, self.remedy, self.retry_after)
        return _rebuild, again


def _rebuild(
    status: int, code: str, what: str, cause: str, remedy: str, retry_after: float
) -> PoolError:
    return PoolError(status, code, what, cause=cause, remedy=remedy, retry_after=retry_after)
