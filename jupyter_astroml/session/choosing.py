"""Where models run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.core.jobs import Engine
from jupyter_astroml.core.settings import settings
from jupyter_astroml.models import catalogue

if TYPE_CHECKING:
    from jupyter_astroml.compute.places import Place, Places

ENGINES = ("auto", "here", "dask", "pool")


def engines(model: str = "") -> Places:
    """Return where models can run from here, the preferred place first; starts nothing.

    Parameters
    ----------
    model : str, optional
        A pool that does not offer it is not preferred.
    """
    from jupyter_astroml.compute.places import places

    return places(**_asked(model))


def _asked(model: str) -> dict[str, Any]:
    found = settings()
    digest = catalogue.find(model).digest if model else ""
    return {"pool": found.pool, "model": model, "digest": digest, "workers": found.workers}


def best(model: str) -> Place:
    """Return the place that is taken when none is named."""
    from jupyter_astroml.compute.places import places

    return places(**_asked(model), all_=False).best


def cluster(kind: str = "", *, workers: int = 0, **options: Any) -> Any:
    """Start a cluster of your own that several runs can use; close it to give its workers back.

    For one run it is enough to say ``aml.predict(…, cluster="slurm", workers=8)``.

    Parameters
    ----------
    kind : str
        ``"gateway"`` for Dask Gateway, or a batch system: ``"slurm"``, ``"pbs"``, ``"sge"``,
        ``"lsf"``, ``"htcondor"``, ``"oar"``, ``"moab"``; ``"shell"`` runs the jobs of a batch
        system as processes of this machine.
        Empty takes the kind of Dask's configuration.
    workers : int
        How many; 0 takes the setting, then Dask's configuration.
    **options
        Cluster options of the gateway; for a batch system ``section`` (of dask-jobqueue's
        configuration), ``threads`` and ``memory`` of a worker, and arguments of dask-jobqueue.

    Returns
    -------
    distributed.deploy.Cluster
        For ``aml.predict(…, cluster=…)``, and for whatever else you use Dask for.

    Raises
    ------
    SettingsError
        For an unknown kind, or if its package is not installed.
    RunError
        If the gateway or the batch system refuses.
    """
    from jupyter_astroml.compute.clusters import planned

    return planned(kind, workers=workers or settings().workers, **options).start()


def engine(name: str = "", *, model: str = "", workers: int = 0, cluster: Any = None) -> Engine:
    """Return a place where models run.

    Parameters
    ----------
    name : {"", "auto", "here", "dask", "pool"}
        Empty takes the engine of the settings.
        ``"auto"`` is the hub's pool if it answers and offers the model, else the cluster that
        Dask's configuration names, else this process; ``"here"`` is this process; ``"dask"`` a
        Dask cluster; ``"pool"`` the service that shares a hub's workers between its users.
    model : str, optional
        What is to run, for ``"auto"``.
    workers : int
        Of a cluster that is started; 0 takes the setting, then Dask's configuration, then one for
        each core.
    cluster : str, Client or cluster, optional
        A Dask cluster that already runs, the address of its scheduler, or a kind that is started
        for the run: see `cluster`.

    Returns
    -------
    Engine
        Its ``why`` says why it was taken; see `engines` for the others.

    Raises
    ------
    SettingsError
        For an unknown name.
    """
    from jupyter_astroml import tasks

    found = settings(engine=name or None, workers=workers or None)
    named, why = found.engine, "it was named"
    if cluster is not None:
        named, why = "dask", "a cluster was given"
    elif named == "auto":
        place = best(model)
        named, why = place.name, f"it is {place.note}"
        cluster = place.address
    if named == "pool":
        from jupyter_astroml.compute.pool_engine import Pool

        if not found.pool:
            raise SettingsError(
                "There is no pool here",
                cause="the setting 'pool' is empty",
                remedy="set ASTROML_POOL to its address, or use engine='here' or 'dask'",
            )
        return Pool(found.pool, ask=tasks.ask, why=why)
    if named == "dask":
        from jupyter_astroml.compute.clusters import KINDS, planned
        from jupyter_astroml.compute.dask_engine import Dask

        if cluster is None or (isinstance(cluster, str) and cluster in KINDS):
            cluster = planned(cluster or "", workers=found.workers)
        return Dask(
            tasks.perform,
            prepare=tasks.prepare,
            cluster=cluster,
            window=found.window,
            why=why,
        )
    if named == "here":
        from jupyter_astroml.compute.here import Here

        return Here(tasks.perform, prepare=tasks.prepare, window=found.window, why=why)
    raise SettingsError(f"There is no engine {named!r}", remedy=f"use one of {', '.join(ENGINES)}")


def chosen(given: Engine | str, *, model: str, workers: int, cluster: Any) -> tuple[Engine, bool]:
    """Return an engine, and whether it is ours to close."""
    if isinstance(given, str):
        return engine(given, model=model, workers=workers, cluster=cluster), True
    return given, False


def elsewhere(engine: Engine | str, *, model: str, cluster: Any) -> tuple[str, str | None]:
    """Return engine and cluster as another process can be told them."""
    if not isinstance(engine, str) or not isinstance(cluster, str | None):
        raise SettingsError(
            "Another process cannot use an engine or a cluster of this one",
            remedy="name the engine ('here', 'dask'), and give the cluster's address as text",
        )
    name = "dask" if cluster else settings(engine=engine or None).engine
    if name != "auto":
        return name, cluster
    place = best(model)
    return place.name, place.address
