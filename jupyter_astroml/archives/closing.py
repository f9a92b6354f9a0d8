"""A session for questions: each within its time, closed afterwards, and told without a secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from jupyter_astroml.archives.http import Session
from jupyter_astroml.archives.login import Login
from jupyter_astroml.core.errors import AstroMLError


class Closing(Session):
    """A session that closes what a library left open.

    pyvo asks for answers as streams, and does not read all of them to the end.
    """

    def __init__(self, *, limit: int, login: Login | None) -> None:
        super().__init__(limit=limit, login=login)
        # What a thread asked for is not closed by another that has its answer.
        self._mine = threading.local()

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request; what it answers is closed at the end of the question."""
        answer = super().request(method, url, **options)
        if open_ := getattr(self._mine, "open", None):
            open_[-1].append(answer)
        return answer

    @contextmanager
    def released(self) -> Iterator[None]:
        """Ask a question, and close its answers afterwards.

        Raises
        ------
        AstroMLError
            Without what proves who asks: some servers repeat in an error what they were sent.
        """
        answers: list[requests.Response] = []
        questions = self._mine.__dict__.setdefault("open", [])
        questions.append(answers)
        try:
            yield
        except AstroMLError as err:
            login = self.bounds.login
            if login is None:
                raise
            for name in ("what", "cause", "remedy"):
                setattr(err, name, login.hide(getattr(err, name)))
            err.args = (err.what, err.cause, err.remedy)
            # No chain: the error of the library quotes the server too.
            raise err from None
        finally:
            questions.pop()
            for answer in answers:
                answer.close()

    @contextmanager
    def within(
        self, seconds: float, *, patience: tuple[float, float] | None = None
    ) -> Iterator[None]:
        """Ask a question whose whole answer may take so long; see `released`.

        Parameters
        ----------
        seconds : float
            For each answer, as long as the question lasts.
        patience : tuple of float, optional
            Seconds to connect, and of silence.
        """
        before = self.bounds.seconds, self.patience
        self.bounds.seconds, self.patience = seconds, patience or self.patience
        try:
            with self.released():
                yield
        finally:
            self.bounds.seconds, self.patience = before
