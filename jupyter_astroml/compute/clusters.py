"""Clusters of the user's own, made on demand and described in Dask's own configuration files."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from jupyter_astroml.core.errors import RunError, SettingsError
from jupyter_astroml.core.settings import settings

SECTION = "jupyter_astroml"
DEFAULTS = Path(__file__).with_name(f"{SECTION}.yaml")
LOCAL, GATEWAY = "local", "gateway"
# Kinds of dask-jobqueue, and where their classes are.
QUEUES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "htcondor": ("dask_jobqueue", "HTCondorCluster"),
        "lsf": ("dask_jobqueue", "LSFCluster"),
        "moab": ("dask_jobqueue", "MoabCluster"),
        "oar": ("dask_jobqueue", "OARCluster"),
        "pbs": ("dask_jobqueue", "PBSCluster"),
        "sge": ("dask_jobqueue", "SGECluster"),
        "shell": ("dask_jobqueue.local", "LocalCluster"),
        "slurm": ("dask_jobqueue", "SLURMCluster"),
    }
)
KINDS = (LOCAL, GATEWAY, *QUEUES)


@dataclass(frozen=True)
class Plan:
    """A cluster to be.

    Attributes
    ----------
    address : str
        Of a scheduler that already runs; empty to start a cluster.
    kind : str
        One of `KINDS`.
    section : str
        Of dask-jobqueue's configuration; empty for the one called like the kind.
    workers : int
        0 takes one for each core of this machine, and for another kind must be changed.
    threads : int
        Of each worker; 0 leaves them to the kind.
    memory : str
        Of each worker, such as ``"4 GiB"``; empty leaves it to the kind.
    options : mapping
        What else the kind takes.
    """

    address: str = ""
    kind: str = LOCAL
    section: str = ""
    workers: int = 0
    threads: int = 0
    memory: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.address:
            return self.address
        return f"{self.kind}, section {self.section}" if self.section else self.kind

    def ready(self) -> None:
        """Import what `start` needs: a run starts its cluster in a thread, which is too late.

        Raises
        ------
        SettingsError
            If it is not installed, or this is not the main thread.
        """
        if self.kind in QUEUES and not self.address:
            _queue_class(self.kind)

    def start(self) -> Any:
        """Start a cluster that is not of this machine's own, and ask for its workers.

        Returns
        -------
        distributed.deploy.Cluster
            Close it to give its workers back.

        Raises
        ------
        SettingsError
            If the plan is not whole, or what it needs is not installed.
        RunError
            If the gateway or the batch system refuses.
        """
        if self.workers < 1:
            raise SettingsError(
                f"How many workers the {self.kind} cluster shall have is not said",
                remedy="give workers=…, or set it in ~/.config/dask/jupyter_astroml.yaml",
            )
        made = self._of_gateway() if self.kind == GATEWAY else self._of_queue()
        with _refusals(self.kind):
            made.scale(self.workers)
        return made

    def _of_gateway(self) -> Any:
        with gateway() as door:
            # Refused here, where nothing has to be given back.
            name = door.submit(**self.options)
        from dask_gateway import GatewayCluster

        with _refusals(self.kind):
            # Not door.connect(): it would share its loop, and end with the door.
            return GatewayCluster.from_name(name, shutdown_on_close=True)

    def _of_queue(self) -> Any:
        import dask
        from distributed.security import Security

        if self.kind not in QUEUES:
            raise SettingsError(
                f"A {self.kind} cluster is started by its engine",
                remedy="use aml.engine('dask', workers=…)",
            )
        made = _queue_class(self.kind)
        section = self.section or (LOCAL if self.kind == "shell" else self.kind)
        asked: dict[str, Any] = {"config_name": section, "processes": 1}
        # Whoever reaches a scheduler's port can run code as its owner.
        asked["security"] = Security.temporary()
        if not dask.config.get(f"jobqueue.{section}.shared-temp-directory", None):
            asked["shared_temp_directory"] = str(_private_folder())
        if self.threads:
            asked["cores"] = self.threads
        if self.memory:
            asked["memory"] = self.memory
        with _refusals(self.kind):
            return made(**{**asked, **self.options})


def planned(kind: str = "", *, workers: int = 0, **options: Any) -> Plan:
    """Return what Dask's configuration says of our cluster, with what is given on top.

    Parameters
    ----------
    kind : str
        One of `KINDS`; empty takes that of the configuration.
        Another kind than the configuration's does not take over its options.
    workers : int
        0 takes those of the configuration.
    **options
        ``section``, ``threads``, ``memory``, and what else the kind takes.

    Raises
    ------
    SettingsError
        For an unknown key or kind, or a value of the wrong type.
    """
    plan = _configured()
    if kind and kind != plan.kind:
        plan = replace(_checked({"kind": kind}, place="the call"), workers=plan.workers)
    own = ("section", "threads", "memory")
    return _checked(
        {
            **{f.name: getattr(plan, f.name) for f in fields(Plan)},
            **({"address": ""} if kind else {}),
            **({"workers": workers} if workers else {}),
            **{name: value for name, value in options.items() if name in own},
            "options": {
                **plan.options,
                **{name: value for name, value in options.items() if name not in own},
            },
        },
        place="the call",
    )


def write_defaults() -> Path:
    """Put our file, with every key as a comment, where Dask looks for the user's configuration.

    Returns
    -------
    Path
        The file; one that is there already is left as it is.
    """
    import dask

    path = Path(dask.config.PATH)
    folder = path.parent if path.suffix in (".yaml", ".yml") else path
    dask.config.ensure_file(source=str(DEFAULTS), destination=str(folder), comment=True)
    return folder / DEFAULTS.name


@contextmanager
def gateway() -> Iterator[Any]:
    """Reach the Dask Gateway that Dask's configuration names.

    Raises
    ------
    SettingsError
        If there is none, or its client is not installed.
    RunError
        If it does not answer.
    """
    try:
        from dask_gateway import Gateway
    except ImportError as err:
        raise _not_installed("dask-gateway") from err
    try:
        door = Gateway()
    except ValueError as err:
        raise SettingsError(
            "There is no Dask Gateway here",
            cause=str(err),
            remedy="set gateway.address in Dask's configuration, or DASK_GATEWAY__ADDRESS",
        ) from err
    with _refusals(GATEWAY):
        yield door


def _configured() -> Plan:
    import dask

    given = dask.config.get(SECTION, None)
    if given is not None and not isinstance(given, Mapping):
        raise SettingsError(f"'{SECTION}' in Dask's configuration is no section")
    merged = dask.config.merge(_defaults(), {SECTION: given or {}})[SECTION]
    unknown = sorted(set(merged) - {"cluster"})
    if unknown or not isinstance(merged["cluster"], Mapping):
        raise SettingsError(
            f"Dask's configuration has '{SECTION}.{unknown[0]}'"
            if unknown
            else f"'{SECTION}.cluster' in Dask's configuration is no section",
            remedy=f"use {SECTION}.cluster.kind and its neighbours",
        )
    return _checked(merged["cluster"], place="Dask's configuration")


@cache
def _defaults() -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(DEFAULTS.read_text()))


def _checked(given: Mapping[str, Any], *, place: str) -> Plan:
    """Make a plan of values that somebody wrote by hand."""
    known = get_type_hints(Plan)
    # Dask takes - and _ for the same.
    values = {str(name).replace("-", "_"): value for name, value in given.items()}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingsError(
            f"Unknown key {unknown[0]!r} of the cluster in {place}",
            remedy=f"use one of {', '.join(known)}; what a kind takes goes into options",
        )
    wrong = [n for n, v in values.items() if v is not None and not _fits(known[n], v)]
    if wrong:
        raise SettingsError(
            f"The key '{wrong[0]}' of the cluster in {place} is {values[wrong[0]]!r}",
            remedy=f"see {DEFAULTS.name}: jupyter astroml engines --write",
        )
    plan = Plan(**{name: value for name, value in values.items() if value is not None})
    if plan.kind not in KINDS:
        raise SettingsError(
            f"There is no kind of cluster {plan.kind!r}, asked for by {place}",
            remedy=f"use one of {', '.join(KINDS)}",
        )
    return plan


def _fits(kind: Any, value: Any) -> bool:
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, str if kind is str else Mapping)


def _queue_class(kind: str) -> Any:
    module, name = QUEUES[kind]
    try:
        with _ctrl_c_kept():
            return getattr(import_module(module), name)
    except ImportError as err:
        raise _not_installed("dask-jobqueue") from err


@contextmanager
def _ctrl_c_kept() -> Iterator[None]:
    """Undo what dask-jobqueue 0.9 does when it is imported: Ctrl-C would end the process."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except ValueError as err:
        raise SettingsError(
            "dask-jobqueue can be loaded in the main thread only",
            cause=str(err),
            remedy="import dask_jobqueue there first",
        ) from err
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextmanager
def _refusals(kind: str) -> Iterator[None]:
    """Tell what a gateway or a batch system said, whatever class of error it chose."""
    try:
        yield
    except (RunError, SettingsError):
        raise
    except Exception as err:
        raise RunError(
            f"The {kind} cluster cannot be made",
            cause=str(err) or type(err).__name__,
            remedy="check its section in Dask's configuration, and the options given",
        ) from err


def _private_folder() -> Path:
    """Return a folder for the certificates that jobs read; homes are shared with their nodes."""
    folder = settings().cache_dir / "certificates"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _not_installed(package: str) -> SettingsError:
    return SettingsError(
        f"{package} is not installed", remedy="run: pip install 'jupyter_astroml[clusters]'"
    )


def close(cluster: Any) -> None:
    """Give a cluster back; one whose scheduler is gone already is no error."""
    with suppress(OSError, TimeoutError):
        cluster.close()
