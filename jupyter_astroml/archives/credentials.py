"""What proves who asks: tokens, passwords, cookies, headers and certificates, and when they end.

None of them shows its secret in its repr.
"""

from __future__ import annotations

import json
import os
import re
import stat
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from jupyter_astroml.core.errors import SettingsError

# What a header can carry (RFC 9110 section 5.5), without the blanks that only mistakes bring.
_WORD = re.compile(r"[\x21-\x7e]{1,16384}")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# Cookies end at these (RFC 6265 section 4.1.1).
_COOKIE_ENDS = frozenset('";,\\')
MAX_BYTES = 2**20


class Credential(Protocol):
    """What proves who asks."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""

    @property
    def certificate(self) -> str:
        """File of a client certificate, or empty."""

    @property
    def until(self) -> datetime | None:
        """When it ends, UTC; None where it does not say."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token (RFC 6750)."""

    token: str = field(repr=False)
    certificate: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        _word(self.token, "token")

    def __str__(self) -> str:
        return "a token"

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def until(self) -> datetime | None:
        """When it ends, UTC; None where it does not say."""
        return _end_of_token(self.token)


@dataclass(frozen=True, slots=True)
class Basic:
    """A user's name and password (RFC 7617)."""

    user: str = field(repr=False)
    password: str = field(repr=False)
    certificate: str = field(default="", init=False, repr=False)
    until: None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.user or not self.password or ":" in self.user:
            raise SettingsError("A user's name without a colon and a password are needed")

    def __str__(self) -> str:
        return "a user's name and password"

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        return {
            "Authorization": f"Basic {b64encode(f'{self.user}:{self.password}'.encode()).decode()}"
        }


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that stands for a login, such as CADC_SSO."""

    name: str
    value: str = field(repr=False)
    certificate: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        _name(self.name)
        _word(self.value.strip('"'), "cookie")
        if _COOKIE_ENDS & set(self.value.strip('"')):
            raise SettingsError("The cookie is not well formed", remedy="give NAME=VALUE, no more")

    def __str__(self) -> str:
        return f"the cookie {self.name}"

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        return {"Cookie": f"{self.name}={self.value}"}

    @property
    def until(self) -> datetime | None:
        """When it ends, UTC; None where it does not say."""
        return _end_of_token(self.value.strip('"'))


@dataclass(frozen=True, slots=True)
class Header:
    """A header of an archive's own, such as ``X-Auth-Token``."""

    name: str
    value: str = field(repr=False)
    certificate: str = field(default="", init=False, repr=False)
    until: None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        _name(self.name)
        _word(self.value, "header")

    def __str__(self) -> str:
        return f"the header {self.name}"

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        return {self.name: self.value}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate with its key in one PEM file, such as CADC's X.509 proxy."""

    path: Path = field(repr=False)

    def __post_init__(self) -> None:
        private(self.path)

    def __str__(self) -> str:
        return "a certificate"

    @property
    def certificate(self) -> str:
        """File of the certificate."""
        return str(self.path)

    @property
    def until(self) -> datetime | None:
        """When it ends, UTC; read again when the file was renewed.

        Raises
        ------
        SettingsError
            If the file has no certificate.
        """
        try:
            changed = self.path.stat().st_mtime_ns
        except OSError as err:
            raise SettingsError(f"{self.path} cannot be read", cause=err.strerror or "") from err
        return _end_of_certificate(self.path, changed)

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        return {}


def private(path: Path) -> str:
    """Return the text of a file that nobody else may read.

    Raises
    ------
    SettingsError
        If others may read or write it, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if stat.S_IMODE(about.st_mode) & 0o077 or about.st_uid != os.getuid():
                raise SettingsError(
                    f"{path} holds a secret that others may read or change",
                    remedy=f"chmod 600 {path}",
                )
            return file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError as err:
        raise SettingsError(f"{path} cannot be read", cause=err.strerror or "") from err


@lru_cache(maxsize=16)
def _end_of_certificate(path: Path, _changed: int) -> datetime:
    from cryptography import x509

    try:
        chain = x509.load_pem_x509_certificates(private(path).encode())
    # No cause: the file holds a key too, and nobody knows what a parser quotes.
    except ValueError:
        raise SettingsError(
            f"{path} holds no certificate", remedy="make a new one: cadc-get-cert -u YOUR_NAME"
        ) from None
    return min(each.not_valid_after_utc for each in chain)


def _end_of_token(token: str) -> datetime | None:
    """Return when a token says that it ends; whether that is true is the archive's affair.

    A JSON web token has ``exp`` in seconds (RFC 7519 section 4.1.4); OpenCADC's signed tokens have
    ``expirytime`` in milliseconds.
    """
    seconds: object = None
    # Whatever is of another form says nothing.
    with suppress(ValueError, RecursionError):
        if token.startswith("base64:"):
            said = re.search(rb"\bexpirytime=(\d{1,16})\b", b64decode(token[7:]))
            seconds = int(said[1]) / 1000 if said else None
        elif token.count(".") == 2:
            claims = token.split(".")[1]
            told = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            seconds = told.get("exp") if isinstance(told, dict) else None
    if not isinstance(seconds, int | float):
        return None
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds, UTC)
    return None


def _word(secret: str, what: str) -> None:
    # HTTP libraries quote a header that they refuse, so that a bad one must not reach them.
    if not _WORD.fullmatch(secret):
        raise SettingsError(f"The {what} is empty, or has blanks or letters that HTTP cannot carry")


def _name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingsError("The name of a header or a cookie is not well formed")
