"""A Dask cluster of processes on this machine, fitted to inference."""

from __future__ import annotations

import os
from copy import deepcopy
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Nanny
from distributed.security import Security

from jupyter_astroml.compute.allocator import ENVIRONMENT

_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_WORKER = {
    f"distributed.nanny.pre-spawn-environ.{k}": v for k, v in {**ENVIRONMENT, **_THREADS}.items()
}
# Otherwise /metrics and /info are answered to everybody on the machine.
_SILENT: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


class _Nanny(Nanny):
    """A nanny whose workers keep freed memory and use one thread of torch.

    The settings are made here because a nanny that is replaced later must have them too.
    """

    def __init__(self, *args: Any, silent: bool, **kwargs: Any) -> None:
        with dask.config.set({**_WORKER, **(_SILENT if silent else {})}):
            super().__init__(*args, **kwargs)
            # What the worker process gets; it would share the dictionaries that are reset below.
            self.config = deepcopy(self.config)


class OwnCluster:
    """Worker processes with one torch thread each, reached over TLS.

    TLS because whoever reaches a scheduler's port can run code as its owner, and on a hub or a
    login node the loopback is shared.

    Parameters
    ----------
    workers : int
        Number of processes; 0 takes one for each core that we may use.
    dashboard : bool
        Serve Dask's dashboard on a free port of the loopback.
    """

    def __init__(self, *, workers: int = 0, dashboard: bool = False) -> None:
        self.workers = workers or CPU_COUNT
        names = (*ENVIRONMENT, *_THREADS, "PYTHONHASHSEED")
        self._before = {name: os.environ.get(name) for name in names}
        # Deaths are counted and blamed by us.
        settings = {"distributed.scheduler.allowed-failures": 0}
        try:
            with dask.config.set({**settings, **({} if dashboard else _SILENT)}):
                self._cluster = LocalCluster(
                    n_workers=self.workers,
                    # The second thread fetches while the first computes.
                    threads_per_worker=2,
                    worker_class=_Nanny,
                    silent=not dashboard,
                    security=Security.temporary(),
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": dashboard},
                    # Dask logs every death; we report what came of it.
                    silence_logs="CRITICAL",
                )
        finally:
            self._restore()

    def client(self) -> Client:
        """Return a client that is not the default one of this process."""
        client = Client(self._cluster, set_as_default=False)
        client.wait_for_workers(self.workers)
        return client

    def mend(self) -> None:
        """Replace what Dask gave up.

        A worker that happens to be absent 15 s after an earlier death is taken for lost, and its
        nanny is closed with it.
        """
        self._cluster.scale(self.workers)

    def close(self) -> None:
        """Stop the workers."""
        self._cluster.close()
        self._restore()

    def _restore(self) -> None:
        """Undo what Dask does to this process: it sets the variables of its workers here too."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
