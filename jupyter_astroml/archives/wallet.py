"""Where credentials are found: environment, files of ours and of other clients, the keyboard."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_astroml.archives.bundled import KNOWN, Known, origin, variable
from jupyter_astroml.archives.credentials import (
    MAX_BYTES,
    Basic,
    Bearer,
    Certificate,
    Cookie,
    Credential,
    Header,
    private,
)
from jupyter_astroml.core.errors import SettingsError

CREDENTIALS = Path(".config") / "jupyter_astroml" / "credentials.yaml"
PROXY = Path(".ssl") / "cadcproxy.pem"
CANFAR = Path(".canfar") / "config.yaml"
# Where a notebook on the Rubin Science Platform finds the token of its user.
RUBIN = Path("/opt/lsst/software/jupyterlab/environment/ACCESS_TOKEN")
_EXAMPLE = "write 'cadc: {token: …}' there, one line for each archive"


class ExpiredLoginWarning(UserWarning):
    """A credential that lies about has ended: the archive is asked without it."""


def given(entry: Known) -> Iterator[Credential]:
    """Yield the credentials that the user chose for an archive, the strongest first.

    Parameters
    ----------
    entry : Known
        The archive.
    """
    if token := os.environ.get(variable(entry.name)):
        yield as_token(entry, token)
    for name, make in _VARIABLES.get(entry.realm, ()):
        if value := os.environ.get(name):
            made = make(value)
            if made is not None:
                yield made
    found = _from_file(entry)
    if found is not None:
        yield found


def lying(entry: Known) -> Iterator[Credential]:
    """Yield the credentials that other programs left for an archive, if they have not ended.

    Warns
    -----
    ExpiredLoginWarning
        For those that have.
    """
    for path, find in _LEFT.get(entry.realm, ()):
        found = find(Path.home() / path)
        if found is None:
            continue
        if found.until and found.until <= datetime.now(UTC):
            warnings.warn(
                f"{found} in {Path.home() / path} ended on {found.until:%Y-%m-%d %H:%M} UTC: "
                f"{entry.title} is asked without it. To do: {_RENEW}",
                ExpiredLoginWarning,
                stacklevel=4,
            )
        else:
            yield found


_RENEW = "cadc-get-cert -u YOUR_NAME"


def renewal(entry: Known, credential: Credential) -> str:
    """Say how to get a new credential where an old one has ended."""
    if credential.certificate and entry.realm == "cadc":
        return _RENEW
    return f"aml.login({entry.name!r}) asks for a new one"


def asked(entry: Known) -> Credential:
    """Ask at the keyboard; a notebook asks below the cell.

    Raises
    ------
    SettingsError
        If nobody can be asked, or the archive lets everybody in.
    """
    from getpass import getpass

    if not entry.auth and entry in KNOWN:
        raise SettingsError(
            f"{entry.title} has no login that could be used here",
            cause=entry.note or "everything there is public",
            remedy=f"aml.archive({entry.name!r})",
        )
    try:
        if entry.login or ("basic" in entry.auth and "bearer" not in entry.auth):
            return Basic(input(f"User of {entry.title}: "), getpass("Password: "))
        if entry.auth == ("cookie",) and not entry.cookie:
            text = getpass(f"Cookie of {entry.title}, NAME=VALUE: ")
            return Cookie(*(text.split("=", 1) if "=" in text else ("", "")))
        return as_token(entry, getpass(f"Token of {entry.title}: ").strip())
    # ipykernel says NotImplementedError where its front end cannot ask.
    except (EOFError, NotImplementedError, OSError) as err:
        raise SettingsError(
            f"There is no keyboard to ask for the login at {entry.title}",
            remedy=f"set {variable(entry.name)}, or write it into ~/{CREDENTIALS}",
        ) from err


def as_token(entry: Known, token: str) -> Credential:
    """Return a token in the form in which an archive takes it."""
    return Cookie(entry.cookie, token) if entry.cookie else Bearer(token)


def _rubin(token: str) -> Credential | None:
    # Many programs call theirs ACCESS_TOKEN; those of the platform (Gafaelfawr) begin so.
    return Bearer(token.strip()) if token.startswith("gt-") else None


_VARIABLES: dict[str, tuple[tuple[str, Callable[[str], Credential | None]], ...]] = {
    "cadc": (
        ("CADC_TOKEN", Bearer),
        ("CADC_SSO", lambda value: Cookie("CADC_SSO", value)),
        ("CADC_CERT", lambda value: Certificate(Path(value).expanduser())),
    ),
    # As astroquery.mast has it.
    "mast": (("MAST_API_TOKEN", lambda value: Cookie("mast_token", value)),),
    "rubin": (("ACCESS_TOKEN", _rubin),),
}


def _from_file(entry: Known) -> Credential | None:
    path = Path.home() / CREDENTIALS
    if not path.exists():
        return None
    told = _mapping(private(path))
    if told is None:
        raise SettingsError(f"{path} is no YAML", remedy=_EXAMPLE)
    found = told.get(entry.name)
    return None if found is None else _described(entry, found, path)


def _mapping(text: str) -> dict[Any, Any] | None:
    """Read YAML, and say nothing of what is wrong in it: the parser would quote secrets."""
    import yaml

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else {}


def _described(entry: Known, given: Any, path: Path) -> Credential:
    match given:
        case {"token": str(token)} if len(given) == 1:
            return as_token(entry, token)
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


def _from_proxy(path: Path) -> Credential | None:
    return Certificate(path) if path.exists() else None


def _from_canfar(path: Path) -> Credential | None:
    """Read what the canfar client keeps: where its certificate is, or a token of CADC.

    Tokens of other identity providers, such as SRCNet's, are not for CADC.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    told = _mapping(text) or {}
    for each in _contexts(told):
        match each:
            case {"mode": "x509", "path": str(place)}:
                certificate = Path(place).expanduser()
                return Certificate(certificate) if certificate.exists() else None
            case {"mode": "oidc", "token": {"access": str(token)}} if token:
                private(path)
                return Bearer(token)
    return None


def _contexts(told: dict[Any, Any]) -> Iterator[Any]:
    """Yield the entries of CADC: a list since version 1 of that file, contexts by name before."""
    with suppress(TypeError, AttributeError):
        for each in told.get("authentication", ()):
            if each.get("idp") == "cadc":
                yield each
        for each in told.get("contexts", {}).values():
            server = each.get("server") or {}
            place = origin(str(server.get("url", "")))
            if place and place[1].endswith((".canfar.net", ".nrc-cnrc.gc.ca")):
                yield each


def _from_rubin(path: Path) -> Credential | None:
    # The platform mounts it, and its user cannot change its mode.
    try:
        return _rubin(path.read_text("utf-8", "replace")[:MAX_BYTES])
    except OSError:
        return None


_LEFT: dict[str, tuple[tuple[Path, Callable[[Path], Credential | None]], ...]] = {
    "cadc": ((PROXY, _from_proxy), (CANFAR, _from_canfar)),
    "rubin": ((RUBIN, _from_rubin),),
}
