"""Credentials: where they are found, and the only places that they are sent to.

A credential belongs to an archive. It is added where a request leaves the process, one hop at a
time, so that no redirect, header or cookie can carry it to anybody else.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jupyter_astroml.archives.bundled import Known, origin
from jupyter_astroml.core.errors import SettingsError

# What a header can carry (RFC 9110 section 5.5), without the blanks that only mistakes bring.
_WORD = re.compile(r"[\x21-\x7e]{1,16384}")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# Cookies end at these (RFC 6265 section 4.1.1).
_COOKIE_ENDS = frozenset('";,\\')
_MAX_BYTES = 2**20
CREDENTIALS = Path(".config") / "jupyter_astroml" / "credentials.yaml"
PROXY = Path(".ssl") / "cadcproxy.pem"


class Credential(Protocol):
    """What proves who asks."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""

    @property
    def certificate(self) -> str:
        """File of a client certificate, or empty."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token (RFC 6750)."""

    token: str = field(repr=False)
    certificate: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        _word(self.token, "token")

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Basic:
    """A user's name and password (RFC 7617)."""

    user: str = field(repr=False)
    password: str = field(repr=False)
    certificate: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.user or not self.password or ":" in self.user:
            raise SettingsError("A user's name without a colon and a password are needed")

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        from base64 import b64encode

        text = b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {text}"}


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

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        return {"Cookie": f"{self.name}={self.value}"}


@dataclass(frozen=True, slots=True)
class Header:
    """A header of an archive's own, such as ``X-Auth-Token``."""

    name: str
    value: str = field(repr=False)
    certificate: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        _name(self.name)
        _word(self.value, "header")

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        return {self.name: self.value}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate with its key in one PEM file, such as CADC's X.509 proxy."""

    path: Path = field(repr=False)

    def __post_init__(self) -> None:
        _read(self.path)

    @property
    def certificate(self) -> str:
        """File of the certificate."""
        return str(self.path)

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry it."""
        return {}


@dataclass(frozen=True, slots=True)
class Login:
    """A credential, and the places that it is for.

    Attributes
    ----------
    archive : str
        Name of the archive.
    credential : Credential
        What proves who asks.
    origins : frozenset of (scheme, host, port)
        Places that may see it.
    """

    archive: str
    credential: Credential
    origins: frozenset[tuple[str, str, int]] = field(repr=False)

    def may_see(self, url: str, *, verify: object = True) -> bool:
        """Tell whether an address belongs to the archive, and nobody can listen on the way."""
        place = origin(url)
        if place is None or place not in self.origins:
            return False
        # Without a check of the server's certificate, anybody could stand at that name.
        return _is_loopback(place[1]) or (place[0] == "https" and verify is not False)

    def hide(self, text: str) -> str:
        """Return text without the secret: some servers repeat in an error what they were sent."""
        given = [getattr(self.credential, name, "") for name in ("token", "password", "value")]
        coded = [value.split()[-1] for value in self.credential.headers().values()]
        for secret in filter(None, [*coded, *given]):
            text = text.replace(secret, "…")
        return text


def login(entry: Known, *, credential: Credential | None = None, ask: bool = False) -> Login | None:
    """Find the credential for an archive.

    The first of these is taken: the argument; the environment (``ASTROML_TOKEN_<ARCHIVE>``; for
    CADC also ``CADC_TOKEN``, ``CADC_SSO`` and ``CADC_CERT``);
    ``~/.config/jupyter_astroml/credentials.yaml``; for CADC ``~/.ssl/cadcproxy.pem``; a prompt.

    Parameters
    ----------
    entry : Known
        The archive.
    credential : Credential, optional
        What to use, whatever else there is.
    ask : bool
        Ask at the keyboard when nothing is found.

    Returns
    -------
    Login or None
        None where nothing is found: most archives are public.

    Raises
    ------
    SettingsError
        For a credential that cannot be used, or a file that others may read.
    """
    found = credential or _from_environment(entry) or _from_file(entry) or _from_proxy(entry)
    if found is None and ask:
        found = _from_prompt(entry)
    return Login(entry.name, found, entry.origins) if found else None


def _from_environment(entry: Known) -> Credential | None:
    if token := os.environ.get(f"ASTROML_TOKEN_{re.sub(r'[^A-Z0-9]', '_', entry.name.upper())}"):
        return Bearer(token)
    if not _is_cadc(entry):
        return None
    if token := os.environ.get("CADC_TOKEN"):
        return Bearer(token)
    if cookie := os.environ.get("CADC_SSO"):
        return Cookie("CADC_SSO", cookie)
    if path := os.environ.get("CADC_CERT"):
        return Certificate(Path(path).expanduser())
    return None


def _from_file(entry: Known) -> Credential | None:
    import yaml

    path = Path.home() / CREDENTIALS
    if not path.exists():
        return None
    try:
        given = yaml.safe_load(_read(path))
    # No cause: the parser's message quotes the line, and the line holds the secret.
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SettingsError(f"{path} is no YAML", remedy=_EXAMPLE) from None
    found = given.get(entry.name) if isinstance(given, dict) else None
    return None if found is None else _described(found, path)


_EXAMPLE = "write 'cadc: {token: …}' there, one line for each archive"


def _described(given: Any, path: Path) -> Credential:
    match given:
        case {"token": str(token)} if len(given) == 1:
            return Bearer(token)
        case {"user": str(user), "password": str(password)} if len(given) == 2:
            return Basic(user, password)
        case {"cookie": str(text)} if len(given) == 1 and "=" in text:
            return Cookie(*text.split("=", 1))
        case {"header": str(text)} if len(given) == 1 and ":" in text:
            name, value = text.split(":", 1)
            return Header(name, value.strip())
        case {"certificate": str(place)} if len(given) == 1:
            return Certificate(Path(place).expanduser())
    raise SettingsError(f"{path} holds a credential of no known form", remedy=_EXAMPLE)


def _from_proxy(entry: Known) -> Credential | None:
    path = Path.home() / PROXY
    return Certificate(path) if _is_cadc(entry) and path.exists() else None


def _from_prompt(entry: Known) -> Credential:
    from getpass import getpass

    if "basic" in entry.auth and "bearer" not in entry.auth:
        return Basic(input(f"User of {entry.title}: "), getpass("Password: "))
    if entry.auth == ("cookie",):
        text = getpass(f"Cookie of {entry.title}, NAME=VALUE: ")
        return Cookie(*(text.split("=", 1) if "=" in text else ("", "")))
    return Bearer(getpass(f"Token of {entry.title}: ").strip())


def _is_cadc(entry: Known) -> bool:
    return entry.name in ("cadc", "youcat")


def _read(path: Path) -> str:
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
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError as err:
        raise SettingsError(f"{path} cannot be read", cause=err.strerror or "") from err


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _word(secret: str, what: str) -> None:
    # HTTP libraries quote a header that they refuse, so that a bad one must not reach them.
    if not _WORD.fullmatch(secret):
        raise SettingsError(f"The {what} is empty, or has blanks or letters that HTTP cannot carry")


def _name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingsError("The name of a header or a cookie is not well formed")


def signed(
    request: Any, login: Login | None, options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return a request and the options of its sending with the credential, where it may be seen.

    Parameters
    ----------
    request : requests.PreparedRequest
        Left as it is: requests copies it for the next hop, with all its headers.
    login : Login, optional
        What to add.
    options : dict
        As an adapter's ``send`` takes them.
    """
    if login is None:
        return request, options
    made = request.copy()
    if not login.may_see(request.url, verify=options.get("verify")):
        # A cookie that the archive set while it knew us is as good as a login, and the jar knows
        # no ports: a stranger beside the archive would get it.
        for name in ("Authorization", "Cookie"):
            made.headers.pop(name, None)
        return made, options
    for name, value in login.credential.headers().items():
        before = made.headers.get(name) if name == "Cookie" else None
        made.headers[name] = f"{before}; {value}" if before else value
    if login.credential.certificate:
        options = {**options, "cert": login.credential.certificate}
    return made, options
