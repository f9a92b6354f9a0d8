"""Who asks: a JupyterHub token, an OpenID Connect token, or one secret for a developer."""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from jupyter_astroml.core.errors import MissingExtraError, SettingsError
from jupyter_astroml.pool.errors import PoolError
from jupyter_astroml.pool.policy import Oidc

if TYPE_CHECKING:
    from jwt import PyJWKClient

# How long a revoked token still works; the Hub's own default is five minutes.
_CACHE_SECONDS = 30
# A hub that hangs must not make every request of a user hang with it.
_HUB_SECONDS = 10.0
_KEYS_SECONDS = 5.0
_KEYS_AGAIN_SECONDS = 15.0
# How services are told from users, as in the policy's list of administrators.
_SERVICE = "service:"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_HEADER = re.compile(r"(?:token|bearer) ([!-~]{8,8192})", re.IGNORECASE)
# Signatures with a public key only: with a shared secret, whoever checks could also sign.
_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]


@dataclass(frozen=True)
class User:
    """Who asks.

    Attributes
    ----------
    name : str
    groups : tuple of str
        As the hub or the provider names them.
    """

    name: str
    groups: tuple[str, ...] = ()


class Authenticator(Protocol):
    """From a token to a user."""

    async def user(self, token: str) -> User:
        """Return whose token it is.

        Raises
        ------
        PoolError
            401 for a token that nobody knows, 403 for one that is not for the pool, 503 if
            it cannot be checked now.
        """
        ...


def token_of(header: str) -> str:
    """Return the token of an ``Authorization`` header.

    Raises
    ------
    PoolError
        If there is none.
    """
    match = _HEADER.fullmatch(header.strip())
    if match is None:
        raise _unknown("the request has no token")
    return match[1]


class Hub:
    """Tokens of a JupyterHub, which started the pool as its service.

    A token needs the scope ``access:services!service=NAME`` (docs/pool.md).
    """

    def __init__(self) -> None:
        try:
            from jupyterhub.services.auth import HubAuth
        except ImportError as err:
            raise _missing(err) from err
        self._hub = HubAuth(cache_max_age=_CACHE_SECONDS)
        # It reads the environment when it needs something, and by then nothing is left there.
        self._hub.trait_values()

    async def user(self, token: str) -> User:
        """Ask the hub; an answer is remembered for half a minute."""
        from tornado.web import HTTPError

        try:
            async with asyncio.timeout(_HUB_SECONDS):
                found = await self._hub.user_for_token(token, use_cache=True, sync=False)
        except (HTTPError, OSError) as err:
            raise PoolError(
                503,
                "hub",
                "Your token cannot be checked now",
                cause="the hub does not answer",
                remedy="ask again in a moment",
                retry_after=5,
            ) from err
        if found is None:
            raise _unknown("the hub does not know it")
        scopes = self._hub.access_scopes
        if not scopes or not self._hub.check_scopes(scopes, found):
            wanted = " or ".join(sorted(scopes)) or "access to this service"
            raise PoolError(
                403,
                "scope",
                "Your token is not for the pool",
                cause=f"it lacks the scope {wanted}",
                remedy="ask the hub's administrator to add it to the role 'user' in "
                "c.JupyterHub.load_roles and to c.Spawner.server_token_scopes, as "
                "docs/pool/pool_config.py does; then restart your server",
            )
        name = str(found["name"])
        if found.get("kind") == "service":
            name = f"{_SERVICE}{name}"
        elif name.startswith(_SERVICE):
            # Where users choose their names, one could take that of a service in 'admins'.
            raise PoolError(
                403,
                "name",
                "Your name is one that only a service can have",
                cause=f"it begins with {_SERVICE}",
                remedy="ask the hub's administrator for another one",
            )
        return User(name, tuple(found.get("groups") or ()))


class OpenId:
    """Signed tokens of an OpenID Connect provider (JSON Web Tokens, RFC 7519)."""

    def __init__(self, provider: Oidc) -> None:
        try:
            import jwt  # noqa: F401
        except ImportError as err:
            raise _missing(err) from err
        parts = urlsplit(provider.keys)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise SettingsError(
                f"The keys at {provider.keys} could be replaced on their way",
                remedy="give an https address in oidc.keys",
            )
        self._provider = provider
        self._keys = _keys(provider.keys)
        # Of its own: a provider that hangs must not take the threads that others work in.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="astroml-keys")

    async def user(self, token: str) -> User:
        """Check the signature, the time and the names in the token."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._checked, token)

    def _checked(self, token: str) -> User:
        import jwt

        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._provider.audience,
                issuer=self._provider.issuer,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWKClientConnectionError as err:
            raise PoolError(
                503,
                "provider",
                "Your token cannot be checked now",
                cause="the identity provider does not answer",
                retry_after=5,
            ) from err
        except (jwt.PyJWTError, ValueError) as err:
            raise _unknown(f"it is not valid: {err}") from err
        name = claims.get(self._provider.user)
        if not isinstance(name, str) or not name:
            raise _unknown(f"it has no claim '{self._provider.user}'")
        groups = claims.get(self._provider.groups) or ()
        return User(name, tuple(g for g in groups if isinstance(g, str)))


def _keys(url: str) -> PyJWKClient:
    """Return the keys of a provider, which is left alone for a while when it did not answer.

    Keys are looked for one request after the other: anybody who sends tokens of keys that do not
    exist could make everybody wait for a provider that is away.
    """
    from jwt import PyJWKClient, PyJWKClientConnectionError

    class Keys(PyJWKClient):
        _again = float("-inf")

        def fetch_data(self) -> Any:
            if time.monotonic() < self._again:
                raise PyJWKClientConnectionError("it did not answer a moment ago")
            try:
                return super().fetch_data()
            except PyJWKClientConnectionError:
                self._again = time.monotonic() + _KEYS_AGAIN_SECONDS
                raise

    return Keys(url, cache_keys=True, lifespan=600, timeout=_KEYS_SECONDS)


class Secret:
    """One secret for one user: for development, on the loopback only."""

    def __init__(self, secret: str, *, name: str) -> None:
        self._secret = secret.encode()
        self._user = User(name)

    async def user(self, token: str) -> User:
        """Compare the token with the secret."""
        if not hmac.compare_digest(token.encode(), self._secret):
            raise _unknown("it is another one than the pool was started with")
        return self._user


def _unknown(cause: str) -> PoolError:
    return PoolError(
        401,
        "token",
        "The pool does not know who you are",
        cause=cause,
        remedy="send a token of this platform in the header Authorization",
    )


def _missing(err: ImportError) -> MissingExtraError:
    return MissingExtraError(
        "Tokens cannot be checked",
        cause=str(err),
        remedy="pip install 'jupyter_astroml[pool]'",
    )
