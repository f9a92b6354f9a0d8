"""Start the pool, keep it in order, and stop it without losing work."""

from __future__ import annotations

import asyncio
import getpass
import ipaddress
import logging
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyter_astroml.core.errors import MissingExtraError, SettingsError
from jupyter_astroml.pool.policy import Policy

if TYPE_CHECKING:
    from jupyter_astroml.pool.jobs import Jobs

log = logging.getLogger(__name__)

DEFAULT_PORT = 8790
TOKEN = "ASTROML_POOL_TOKEN"  # noqa: S105 - a name
_TIDY_SECONDS = 60.0
# A hub kills a service fifteen seconds after it told it to end, and connections get five of them.
_DRAIN_SECONDS = 8.0
_STOP_SECONDS = 30.0
# What a worker needs of the environment.  Everything else, tokens above all, stays away from it.
_KEPT = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "VIRTUAL_ENV", "CONDA_PREFIX",
    "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
_KEPT_BEGINNINGS = ("LANG", "LC_", "PYTHON", "OMP_", "MKL_", "CUDA", "NVIDIA_", "XDG_")
_SETTINGS = ("ASTROML_MODEL_PATH", "ASTROML_CACHE_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH")


@dataclass(frozen=True)
class Place:
    """Where the pool listens.

    Attributes
    ----------
    host, port
    prefix : str
        Path under which it is published.
    """

    host: str
    port: int
    prefix: str = "/"

    @property
    def url(self) -> str:
        """Address on this machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.prefix}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"


def place(host: str, port: int) -> Place:
    """Return where to listen: where a hub says, and else where the caller says."""
    told = os.environ.get("JUPYTERHUB_SERVICE_URL")
    if not told:
        return Place(host or "127.0.0.1", port or DEFAULT_PORT)
    parts = urlsplit(told)
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/")
    return Place(parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORT, prefix)


def serve(policy: Policy, where: Place, *, tell: Callable[[str], Any]) -> None:
    """Run the pool until it is told to stop.

    Parameters
    ----------
    policy : Policy
        What the administrator decided.
    where : Place
        Where to listen.
    tell : callable
        Gets lines for whoever started it.

    Raises
    ------
    SettingsError
        If users could not be told apart.
    ModelError
        If the models are not those of the policy.
    MissingExtraError
        Without the libraries of the extra ``pool``.
    """
    try:
        import uvicorn
    except ImportError as err:
        raise MissingExtraError(
            "The pool needs more libraries",
            cause=str(err),
            remedy="pip install 'jupyter_astroml[pool]'",
        ) from err
    app, jobs = _application(policy, where, tell)
    config = uvicorn.Config(
        app,
        host=where.host,
        port=where.port,
        access_log=False,
        log_level="warning",
        # Not httptools: it takes headers of any size, before anybody was asked for a token.
        http="h11",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        limit_concurrency=2000,
        server_header=False,
    )

    class Server(uvicorn.Server):
        """Answers while it finishes what is in work, and takes nothing new."""

        until = 0.0

        def handle_exit(self, sig: int, frame: Any) -> None:
            if jobs.draining:
                # Told twice: at once, and what is left is in the journal.
                super().handle_exit(sig, frame)
                return
            _end_in_time()
            self.until = time.monotonic() + _DRAIN_SECONDS
            jobs.draining = True

        async def on_tick(self, counter: int) -> bool:
            if jobs.draining and (jobs.idle or time.monotonic() > self.until):
                self.should_exit = True
            return await super().on_tick(counter)

    Server(config).run()


def _application(policy: Policy, where: Place, tell: Callable[[str], Any]) -> tuple[Any, Jobs]:
    from jupyter_astroml.pool.offers import Offers

    offers = Offers(policy.models)
    authenticator = _authenticator(policy, where, tell)
    # Before Dask is imported, which keeps what it finds there and hands it to its workers.
    _scrub_environment()
    from jupyter_astroml.pool.audit import Audit
    from jupyter_astroml.pool.dispatch import Dispatcher
    from jupyter_astroml.pool.jobs import Jobs
    from jupyter_astroml.pool.journal import Journal
    from jupyter_astroml.pool.metrics import Metrics
    from jupyter_astroml.pool.service import Service
    from jupyter_astroml.pool.strikes import Strikes
    from jupyter_astroml.pool.workers import Cluster

    dispatcher = Dispatcher(
        Cluster(policy.workers),
        unit_seconds=policy.unit_seconds,
        depth=policy.depth,
        merge=policy.merge,
        deadline=policy.deadline,
        share=lambda user: jobs.share(user),
        strikes=Strikes(lambda user: jobs.most_crashes(user)),
    )
    journal = Journal(policy.spool)
    audit = Audit(policy.spool)
    jobs = Jobs(journal, dispatcher, offers, policy, audit)
    service = Service(
        jobs,
        authenticator=authenticator,
        policy=policy,
        metrics=Metrics(dispatcher, journal),
        prefix=where.prefix,
    )

    @asynccontextmanager
    async def alive(_app: Any) -> AsyncIterator[None]:
        await dispatcher.start()
        found = jobs.recover()
        if found:
            tell(f"{found} chunks of the last time go on")
        tell(f"the pool is ready at {where.url}: {', '.join(offers)}")
        tidying = asyncio.ensure_future(_tidy(jobs))
        try:
            yield
        finally:
            tidying.cancel()
            await dispatcher.close()
            journal.close()
            audit.close()

    return service.app(lifespan=alive), jobs


def _end_in_time() -> None:
    """End this process if stopping takes too long; what matters is on disk, and workers follow.

    Dask may wait for workers that are just being replaced.
    """
    guard = threading.Timer(_STOP_SECONDS, os._exit, [0])
    guard.daemon = True
    guard.start()


async def _tidy(jobs: Jobs) -> None:
    while True:
        await asyncio.sleep(_TIDY_SECONDS)
        try:
            jobs.expire()
        except Exception:
            # Tomorrow's disk would be full of today's results.
            log.exception("old jobs could not be removed")


def _authenticator(policy: Policy, where: Place, tell: Callable[[str], Any]) -> Any:
    from jupyter_astroml.pool.auth import Hub, OpenId, Secret

    if policy.oidc is not None:
        return OpenId(policy.oidc)
    if os.environ.get("JUPYTERHUB_API_TOKEN"):
        return Hub()
    if not where.loopback:
        raise SettingsError(
            f"Nobody would check who asks the pool at {where.url}",
            remedy="start it from a JupyterHub, give 'oidc' in the policy, or listen on 127.0.0.1",
        )
    secret = os.environ.get(TOKEN)
    if not secret:
        secret = secrets.token_urlsafe(24)
        tell(f"export {TOKEN}={secret}")
    return Secret(secret, name=getpass.getuser())


def _scrub_environment() -> None:
    """Take out of the environment what workers must not see; this process has read it."""
    for name in list(os.environ):
        if not (name in (*_KEPT, *_SETTINGS) or name.startswith(_KEPT_BEGINNINGS)):
            del os.environ[name]
