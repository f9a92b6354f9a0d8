"""The pool's own Dask cluster: which workers there are, and an actor on each.

Nobody but the pool reaches it.  Whoever can speak to a Dask scheduler can read and change
everybody's work (see docs/pool.md), so all talk is over TLS and Dask's web pages are off.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import dask
from distributed import Client
from distributed.security import Security

from jupyter_astroml.compute.own_cluster import CALM, SILENT, InferenceNanny, LastingCluster
from jupyter_astroml.core.errors import MissingExtraError, SettingsError
from jupyter_astroml.pool.policy import Workers
from jupyter_astroml.pool.runner import Runner

_PATIENCE = 60.0
_REJOIN_PATIENCE = 4.0


class Cluster:
    """Workers of a `distributed` cluster of any make.

    Parameters
    ----------
    workers : Workers
        What the policy says.
    given : distributed cluster, optional
        One that is there already, such as a ``KubeCluster`` or a ``SLURMCluster``; it is left
        running at the end.
    """

    def __init__(self, workers: Workers, *, given: Any = None) -> None:
        self._policy = workers
        self._given = given
        self._own: Any = None
        self._client: Client | None = None

    async def start(self) -> None:
        """Start or join the cluster."""
        with dask.config.set({**SILENT, **CALM}):
            if self._given is None:
                self._own = await self._started()
            self._client = await self._join(_PATIENCE)

    async def _join(self, patience: float) -> Client:
        where = self._given if self._given is not None else self._own
        return await Client(
            where if where is not None else self._policy.address,
            asynchronous=True,
            set_as_default=True,
            direct_to_workers=True,
            security=_security(self._policy) if where is None else None,
            timeout=patience,
        )

    async def close(self) -> None:
        """Leave the cluster, and stop it if it is our own."""
        if self._client is not None:
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                await self._client.close()
        if self._own is not None:
            await self._own.close()

    @property
    def _joined(self) -> Client:
        if self._client is None:
            raise OSError("the cluster was not started")
        return self._client

    @property
    def shared(self) -> bool:
        """Whether the workers see the disk of this machine."""
        return self._given is None and self._policy.kind != "scheduler"

    async def addresses(self) -> set[str]:
        """Return the workers that the scheduler knows now.

        A client gives up a scheduler that is away for long.  Another one is made then, and for once
        no worker is known: what was given to them belongs to the client that is no more.

        Raises
        ------
        OSError, TimeoutError
            If the scheduler does not answer.
        """
        if self._own is not None:
            return set(self._own.scheduler.workers)
        if self._joined.status == "closed":
            self._client = await self._join(_REJOIN_PATIENCE)
            return set()
        scheduler = self._joined.scheduler
        if scheduler is None:
            raise OSError("the scheduler is gone")
        return set((await scheduler.identity(n_workers=-1))["workers"])

    async def actor(self, address: str) -> Any:
        """Put a `Runner` on a worker, and return it when it is ready with what it says of itself.

        Raises
        ------
        OSError, TimeoutError
            If the worker is gone.
        """
        actor = await asyncio.wait_for(
            self._joined.submit(
                Runner, actor=True, workers=[address], allow_other_workers=False, pure=False
            ),
            _PATIENCE,
        )
        return actor, await asyncio.wait_for(actor.start(), _PATIENCE)

    async def restart(self, address: str) -> None:
        """End a worker that hangs; its nanny brings another one."""
        with suppress(OSError, TimeoutError, ValueError):
            await self._joined.restart_workers([address], timeout=20, raise_for_error=False)

    async def _started(self) -> Any:
        if self._policy.kind == "scheduler":
            if not self._policy.address:
                raise SettingsError(
                    "The policy names no scheduler", remedy="give workers.address: tls://host:port"
                )
            return None
        options: dict[str, Any] = {
            "threads_per_worker": 1,
            "security": Security.temporary(),
            "protocol": "tls",
            "host": "127.0.0.1",
            "dashboard_address": "127.0.0.1:0",
            "scheduler_kwargs": {"dashboard": False},
            "memory_limit": self._policy.memory,
            "asynchronous": True,
            "silence_logs": "CRITICAL",
        }
        if self._policy.kind == "cuda":
            try:
                from dask_cuda import LocalCUDACluster
            except ImportError as err:
                raise MissingExtraError(
                    "Workers of the kind 'cuda' need dask-cuda",
                    cause=str(err),
                    remedy="pip install 'jupyter_astroml[gpu]'",
                ) from err
            return await LocalCUDACluster(**options)
        from dask.system import CPU_COUNT

        _fork_from_a_warm_process()
        return await LastingCluster(
            n_workers=self._policy.count or CPU_COUNT, worker_class=InferenceNanny, **options
        )


def _fork_from_a_warm_process() -> None:
    """Have new workers copied from a process that has imported everything and done nothing.

    A worker that died is replaced in a tenth of a second instead of the seconds that importing
    torch takes, and the libraries are in memory once.  For the whole of this process, because Dask
    asks for the method again whenever it replaces a worker.
    """
    from distributed.utils import get_mp_context

    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    # Dask names modules of its own the first time; ours replace them.
    get_mp_context().set_forkserver_preload(["distributed", "torch", "jupyter_astroml.pool.warm"])


def _security(workers: Workers) -> Security | None:
    if not workers.ca:
        return None
    return Security(
        tls_ca_file=workers.ca,
        tls_client_cert=workers.cert,
        tls_client_key=workers.key,
        require_encryption=True,
    )
