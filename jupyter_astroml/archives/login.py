"""Logins: a credential, the archive that it is for, and the only places that it is sent to.

It is added where a request leaves the process, one hop at a time, so that no redirect, header or
cookie can carry it to anybody else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jupyter_astroml.archives import wallet
from jupyter_astroml.archives.bundled import Known, origin
from jupyter_astroml.archives.credentials import Basic, Bearer, Cookie, Credential
from jupyter_astroml.core.errors import ArchiveError, SettingsError

# Logins that were asked for or bought with a password, for the rest of this process.
# By realm, or by the archive's places: two servers on one host must not share one.
_KEPT: dict[object, Credential] = {}
# What a login service refused: a thousand blocks with a mistyped password would lock the account.
_REFUSED: dict[object, Credential] = {}
_MAX_ANSWER = 2**16


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
    renew : str
        How to get a new one when it has ended.
    """

    archive: str
    credential: Credential
    origins: frozenset[tuple[str, str, int]] = field(repr=False)
    renew: str = field(default="", repr=False)

    def __str__(self) -> str:
        end = self.credential.until
        return f"{self.credential}{f' until {end:%Y-%m-%d %H:%M} UTC' if end else ''}"

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        end = self.credential.until
        return end is not None and end <= datetime.now(UTC)

    def checked(self) -> Login:
        """Return it while it can be used.

        Raises
        ------
        SettingsError
            If it has ended; says how to get a new one.
        """
        if self.over:
            end = self.credential.until
            raise SettingsError(
                f"The login at {self.archive} has ended",
                cause=f"{self.credential} was good until {end:%Y-%m-%d %H:%M} UTC",
                remedy=self.renew or "log in again",
            )
        return self

    def may_see(self, url: str, *, verify: object = True) -> bool:
        """Tell whether an address belongs to the archive, and nobody can listen on the way."""
        place = origin(url)
        if place is None or place not in self.origins:
            return False
        # Without a check of the server's certificate, anybody could stand at that name.
        return is_loopback(place[1]) or (place[0] == "https" and verify is not False)

    def hide(self, text: str) -> str:
        """Return text without the secret: some servers repeat in an error what they were sent."""
        given = [getattr(self.credential, name, "") for name in ("token", "password", "value")]
        coded = [value.split()[-1] for value in self.credential.headers().values()]
        for secret in filter(None, [*coded, *given]):
            text = text.replace(secret, "…")
        return text


def login(entry: Known, *, credential: Credential | None = None, ask: bool = False) -> Login | None:
    """Find the credential for an archive.

    The first of these is taken: the argument; what was asked for in this process; the environment
    (``ASTROML_TOKEN_<ARCHIVE>``; for CADC also ``CADC_TOKEN``, ``CADC_SSO`` and ``CADC_CERT``, for
    MAST ``MAST_API_TOKEN``, for Rubin ``ACCESS_TOKEN``);
    ``~/.config/jupyter_astroml/credentials.yaml``; what other programs left (for CADC
    ``~/.ssl/cadcproxy.pem`` and the login of the canfar client, for Rubin the token of a notebook
    on its platform); a prompt.

    Parameters
    ----------
    entry : Known
        The archive.
    credential : Credential, optional
        What to use, whatever else there is.
        A name and password are exchanged at once where the archive has a login service.
    ask : bool
        Ask at the keyboard when nothing is found; answers and arguments are kept until `logout`.

    Returns
    -------
    Login or None
        None where nothing is found: most archives are public.

    Raises
    ------
    SettingsError
        For a credential that has ended or cannot be used, or a file that others may read.
    ArchiveError
        If the archive does not take a name and password.
    """
    if credential is not None:
        made = _made(entry, credential, keep=ask).checked()
        if ask:
            _KEPT[_key(entry)] = made.credential
        return made
    for found in _found(entry):
        # Who is at the keyboard can give a new one.
        try:
            made = _made(entry, found)
        except ArchiveError:
            if not ask:
                raise
            continue
        if not (ask and made.over):
            return made.checked()
    if not ask:
        return None
    _REFUSED.pop(_key(entry), None)
    made = _made(entry, wallet.asked(entry)).checked()
    _KEPT[_key(entry)] = made.credential
    return made


def logout(entry: Known) -> None:
    """Forget what was asked for in this process; files and variables stay."""
    _KEPT.pop(_key(entry), None)
    _REFUSED.pop(_key(entry), None)


def _found(entry: Known) -> Iterator[Credential]:
    kept = _KEPT.get(_key(entry))
    if kept is not None:
        if not (kept.until and kept.until <= datetime.now(UTC)):
            yield kept
        else:
            logout(entry)
    yield from wallet.given(entry)
    yield from wallet.lying(entry)


def _key(entry: Known) -> object:
    return entry.realm or entry.origins


def _made(entry: Known, credential: Credential, *, keep: bool = True) -> Login:
    """Return the login of a credential, which is exchanged first if it is a password for that."""
    if isinstance(credential, Basic) and entry.login:
        if _REFUSED.get(_key(entry)) == credential:
            raise ArchiveError(
                f"{entry.title} did not take the name and password",
                cause="they were refused before, and are not tried again in this process",
                remedy="correct them where they are kept, or aml.login(…)",
            )
        credential = admitted(entry, credential)
        if keep:
            _KEPT[_key(entry)] = credential
    return Login(entry.name, credential, entry.origins, wallet.renewal(entry, credential))


def admitted(entry: Known, basic: Basic) -> Credential:
    """Exchange a name and a password at an archive's login service for what it gives.

    CADC answers with a token, Gaia with a cookie.

    Parameters
    ----------
    entry : Known
        The archive; `Known.login` is the address.
    basic : Basic
        Sent there and nowhere else, as a form.

    Raises
    ------
    ArchiveError
        If the archive refuses, or cannot be reached; the password is not in the error.
    """
    import requests

    # http.py needs this module.
    from jupyter_astroml.archives.http import Session

    mine = Login(entry.name, basic, entry.origins)
    if not mine.may_see(entry.login):
        raise ArchiveError(
            f"A password is not sent to {entry.login}", cause="it is no https of the archive's own"
        )
    form = {"username": basic.user, "password": basic.password}
    try:
        with Session(limit=_MAX_ANSWER, seconds=60) as session:
            answer = session.post(
                entry.login,
                data=form,
                headers={"Accept": "text/plain"},
                # A redirect would carry the form on.
                allow_redirects=False,
            )
            text, cookies = answer.text.strip(), answer.cookies.get_dict()
    # No chain: the error of the library holds the request, and that the password.
    except requests.RequestException as err:
        raise ArchiveError(
            f"The login service of {entry.title} could not be reached",
            cause=type(err).__name__,
            remedy="try again later",
        ) from None
    if answer.status_code != requests.codes.ok:
        _REFUSED[_key(entry)] = basic
        raise ArchiveError(
            f"{entry.title} did not take the name and password",
            cause=mine.hide(f"{answer.status_code} {answer.reason} {text[:200]}".strip()),
            remedy="check them on its web page",
        )
    if "bearer" in entry.auth:
        return Bearer(text)
    for name, value in cookies.items():
        return Cookie(name, value or "")
    raise ArchiveError(f"{entry.title} took the password and gave no login")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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

    Raises
    ------
    SettingsError
        If the login has ended.
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
    login.checked()
    for name, value in login.credential.headers().items():
        before = made.headers.get(name, "") if name == "Cookie" else ""
        # A session that the archive began for nobody must not stand beside the one it knows us by.
        same = value.split("=", 1)[0]
        others = [c for c in before.split("; ") if c and c.split("=", 1)[0] != same]
        made.headers[name] = "; ".join([*others, value])
    if login.credential.certificate:
        options = {**options, "cert": login.credential.certificate}
    return made, options
