"""A Dask cluster of processes on this machine, fitted to inference."""

from __future__ import annotations

import ast
import os
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Nanny
from distributed.deploy.cluster import Cluster
from distributed.security import Security

from jupyter_astroml.compute.allocator import ENVIRONMENT
from jupyter_astroml.core.errors import RunError

_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_WORKER = {
    f"distributed.nanny.pre-spawn-environ.{k}": v for k, v in {**ENVIRONMENT, **_THREADS}.items()
}
# Otherwise /metrics and /info are answered to everybody on the machine.
SILENT: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
# Dask watches itself: a stack sample every 10 ms, a tick every 20 ms, in each worker and again in
# this process.  On cores that are busy with a network it took a tenth of the time.
CALM = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.cycle": "5s",
    "distributed.admin.tick.limit": "10s",
    "distributed.admin.system-monitor.interval": "5s",
}


class InferenceNanny(Nanny):
    """A nanny whose workers keep freed memory and use one thread of torch.

    The settings are made here because a nanny that is replaced later must have them too.
    """

    def __init__(self, *args: Any, silent: bool = True, **kwargs: Any) -> None:
        with dask.config.set({**_WORKER, **(SILENT if silent else {}), **CALM}):
            super().__init__(*args, **kwargs)
            # What the worker process gets; it would share the dictionaries that are reset below.
            self.config = deepcopy(self.config)


class LastingCluster(LocalCluster):
    """A cluster that does not give up nannies.

    Dask looks 15 s after each death whether a worker of that name is there, and closes the nanny
    if not.  When deaths follow each other, as they do while poison is sought, it meets a worker
    that is just being replaced, kills it, and an innocent object is blamed.
    """

    def _update_worker_status(self, op: str, msg: Any) -> None:
        Cluster._update_worker_status(self, op, msg)


class OwnCluster:
    """Worker processes with one torch thread each, reached over TLS.

    TLS because whoever reaches a scheduler's port can run code as its owner, and on a hub or a
    login node the loopback is shared.

    Parameters
    ----------
    workers : int
        Number of processes; 0 takes one for each core that we may use.
    threads : int
        Of each process: one computes and the others fetch; 0 takes two.
    memory : str
        Of each process, such as ``"4 GiB"``, at which it is started anew; empty shares what the
        machine has.
    dashboard : bool
        Serve Dask's dashboard on a free port of the loopback.

    Raises
    ------
    RunError
        If the program that runs is a script that its workers would run once more.
    """

    def __init__(
        self, *, workers: int = 0, threads: int = 0, memory: str = "", dashboard: bool = False
    ) -> None:
        _refuse_scripts_without_guard()
        self.workers = workers or CPU_COUNT
        names = (*ENVIRONMENT, *_THREADS, "PYTHONHASHSEED", "__DASK_PARENT_PID")
        self._before = {name: os.environ.get(name) for name in names}
        # A cluster that was made before left Dask's own values here, and they would beat ours.
        for name in ENVIRONMENT:
            os.environ.pop(name, None)
        # Deaths are counted and blamed by us.
        blame = {"distributed.scheduler.allowed-failures": 0}
        try:
            with dask.config.set({**blame, **({} if dashboard else SILENT), **CALM}):
                self._cluster = LastingCluster(
                    n_workers=self.workers,
                    # The second thread fetches while the first computes.
                    threads_per_worker=threads or 2,
                    memory_limit=memory or "auto",
                    worker_class=InferenceNanny,
                    silent=not dashboard,
                    security=Security.temporary(),
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": dashboard},
                    # Dask logs every death; we report what came of it.
                    silence_logs="CRITICAL",
                )
        finally:
            self._restore()

    def client(self, *, patience: float = 60.0) -> Client:
        """Return a client that is not the default one of this process.

        Raises
        ------
        RunError
            If the workers do not come up within `patience` seconds.
        """
        # On one machine every worker can be asked for its answers without the scheduler between.
        client = Client(self._cluster, set_as_default=False, direct_to_workers=True)
        try:
            client.wait_for_workers(self.workers, timeout=patience)
        except TimeoutError as err:
            client.close()
            raise RunError(
                f"The {self.workers} Dask workers did not start on this machine",
                cause=f"{patience:.0f} s have passed",
                remedy="ask for fewer workers, or use engine='here'",
            ) from err
        return client

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


def _refuse_scripts_without_guard() -> None:
    """Refuse a script that begins anew in each of its workers.

    Processes that Python starts import the script or module they come from (`multiprocessing`,
    "Safe importing of main module"); packages that were started, notebooks and prompts they do not.
    """
    main = sys.modules.get("__main__")
    file, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    if not file or (spec is not None and spec.name.rpartition(".")[2] == "__main__"):
        return
    try:
        body = ast.parse(Path(file).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return
    guards = (line.test for line in body if isinstance(line, ast.If))
    if not any("__name__" in ast.unparse(test) for test in guards):
        raise RunError(
            f"Workers would run {Path(file).name} again, each from its first line",
            cause="they import the script that starts them",
            remedy="put what it does below the line: if __name__ == '__main__':",
        )
