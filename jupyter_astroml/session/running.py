"""Run models: where, over what, and again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_astroml.core.errors import DataError, ModelError, RunError, SettingsError
from jupyter_astroml.core.jobs import Engine, Job
from jupyter_astroml.core.records import (
    References,
    Samples,
)
from jupyter_astroml.core.settings import settings
from jupyter_astroml.core.units import angle
from jupyter_astroml.models import catalogue

from .awake import awake, awake_run
from .fetching import fetch, samples

if TYPE_CHECKING:
    from jupyter_astroml.compute.estimate import Estimate
    from jupyter_astroml.compute.places import Place, Places
    from jupyter_astroml.compute.replay import Comparison
    from jupyter_astroml.compute.run import Progress, Run

ENGINES = ("auto", "here", "dask", "pool")


# Objects that are looked at to choose models.
_TRIED = 8


def models(*, task: str = "", kind: str = "", fits: Any = None) -> catalogue.Models:
    """Return the models that can be named; shows itself as a gallery in a notebook.

    Parameters
    ----------
    task : str
        Only models of this task: ``"classify"`` or ``"detect"``.
    kind : str
        Only those that take this kind of data: ``"cutouts"`` or ``"light_curves"``.
    fits : Table, References, Cutouts or LightCurves, optional
        Only those to whose input contract the data can be brought; the first few objects are
        looked at.
    """
    if fits is not None:
        if not isinstance(fits, References | Samples):
            fits = samples(fits)
        fits = fetch(fits[:_TRIED])
    return catalogue.models(task=task, kind=kind, fits=fits)


def card_schema() -> dict[str, Any]:
    """Return the JSON Schema of a card, for editors and for other programs."""
    from jupyter_astroml.models.cards import schema

    return schema()


def model_page(folder: Path | str) -> Path:
    """Write a page in Markdown about the bundled models, with pictures, from their cards.

    Parameters
    ----------
    folder : Path
        Gets ``zoo.md`` and ``zoo/<name>.png``.
    """
    from jupyter_astroml.models.gallery import write_page

    ours = Path(catalogue.__file__).parents[1]
    bundled = [entry for entry in catalogue.models() if entry.folder.is_relative_to(ours)]
    return write_page(bundled, Path(folder))


def model(name: str) -> catalogue.Entry:
    """Return one model with its card.

    Raises
    ------
    ModelError
        If there is none of this name.
    """
    return catalogue.find(name)


def replay_model(name: str) -> Any:
    """Run a model on the inputs stored beside it; see `jupyter_astroml.models.loading.replay`."""
    from jupyter_astroml.models.loading import replay as again

    return again(name)


def import_model(
    path: Path | str,
    *,
    name: str,
    folder: Path | str | None = None,
    bands: Sequence[str] = (),
    classes: Sequence[str] = (),
    flux_unit: str = "relative",
    normalise: str = "none",
    about: Mapping[str, str] | None = None,
) -> Path:
    """Make a model of published weights; see `jupyter_astroml.models.importing.import_model`.

    Parameters
    ----------
    path, name, bands, classes, flux_unit, normalise, about
        As there.
    folder : Path, optional
        Folder of model folders; by default the first of the setting ``model_path``.

    Raises
    ------
    SettingsError
        If there is no such folder.
    """
    from jupyter_astroml.models.importing import import_model as made

    return made(
        path,
        name=name,
        folder=_own_folder(folder),
        bands=tuple(bands),
        classes=tuple(classes),
        flux_unit=flux_unit,
        normalise=normalise,
        about=about,
    )


def _own_folder(folder: Path | str | None) -> Path | str:
    where = folder or next(iter(settings().model_path), None)
    if where is None:
        raise SettingsError(
            "There is no folder for models of your own",
            remedy="give one, and set ASTROML_MODEL_PATH to it so that its models are found",
        )
    return where


def register(
    module: Any,
    card: Mapping[str, Any] | Path | str,
    *,
    folder: Path | str | None = None,
    samples: Any = None,
    calibration: Mapping[str, float] | None = None,
) -> catalogue.Entry:
    """Make a torch module of one's own a model that can be named, checked, run and explained.

    Parameters
    ----------
    module, card, samples, calibration
        As `jupyter_astroml.models.own.register`.
    folder : Path, optional
        Folder of model folders; by default the first of the setting ``model_path``.

    Returns
    -------
    Entry
        Of the new model.  Its network is known in this process only: use ``engine="here"``.

    Raises
    ------
    ModelError
        If the card is not valid, or another model has the name.
    SettingsError
        If there is no such folder, or its models are not found because of the settings.
    """
    from jupyter_astroml.models.own import register as keep

    where = _own_folder(folder)
    if Path(where) not in settings().model_path:
        raise SettingsError(
            f"Models in {where} are not found", remedy=f"set ASTROML_MODEL_PATH={where}"
        )
    made = keep(module, card, folder=where, samples=samples, calibration=calibration)
    entry = catalogue.find(made.name)
    if entry.folder != made:
        raise ModelError(
            f"There is a model {made.name!r} already, which comes first: {entry.folder}",
            remedy="give yours another id on its card",
        )
    return entry


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


def _best(model: str) -> Place:
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
    chosen, why = found.engine, "it was named"
    if cluster is not None:
        chosen, why = "dask", "a cluster was given"
    elif chosen == "auto":
        best = _best(model)
        chosen, why = best.name, f"it is {best.note}"
        cluster = best.address
    if chosen == "pool":
        from jupyter_astroml.compute.pool_engine import Pool

        if not found.pool:
            raise SettingsError(
                "There is no pool here",
                cause="the setting 'pool' is empty",
                remedy="set ASTROML_POOL to its address, or use engine='here' or 'dask'",
            )
        return Pool(found.pool, ask=tasks.ask, why=why)
    if chosen == "dask":
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
    if chosen == "here":
        from jupyter_astroml.compute.here import Here

        return Here(tasks.perform, prepare=tasks.prepare, window=found.window, why=why)
    raise SettingsError(f"There is no engine {chosen!r}", remedy=f"use one of {', '.join(ENGINES)}")


def predict(
    data: Any,
    *,
    model: str,
    engine: Engine | str = "",
    workers: int = 0,
    cluster: Any = None,
    run: Path | str | None = None,
    size: Any = None,
    block: int = 0,
    exact: bool = False,
    progress: Callable[[Progress], Any] | bool = True,
    cancel: Callable[[], bool] | None = None,
    detach: bool = False,
) -> Run:
    """Run a model over objects, and keep what it answers on disk as it arrives.

    Parameters
    ----------
    data : Table, References, Cutouts or LightCurves
        Rows of a query, or what was made of them.
    model : str
        Name of the model: `models` lists them.
    engine : Engine or str
        Where it runs: see `engine`.
    workers : int
        For the engine ``"dask"``: processes; 0 takes one for each core.
    cluster : str, Client or cluster, optional
        A Dask cluster that already runs, or the kind of one that is started: see `engine`.
    run : Path, optional
        Folder of the run; by default a new one in the run folder of the settings.
    size : Quantity, angle, optional
        Full width of cutouts that are still to be fetched; by default what the model wants, or what
        the references say.
    block : int
        Objects in a block; 0 fits it to the time that a few objects take.
    exact : bool
        Answers whose bits depend on the object alone, not on the size of its block or on what else
        runs in the pool: a little slower, and the same again on the same kind of machine.
    progress : callable or bool
        True shows a bar; a callable gets each `Progress`.
    cancel : callable, optional
        Asked often; when it returns True the run stops, and can be resumed.
    detach : bool
        Let a process of its own do the work and return at once: the run goes on when this
        notebook is closed. `watch` waits for it, `stop` ends it, `runs` finds it again.
        For an engine by name and a cluster by address.

    Returns
    -------
    Run
        Of which `Run.predictions` are the answers; interrupting the kernel leaves a run that
        `resume` completes.

    Raises
    ------
    ModelError
        If there is no such model.
    DataError
        If the data are of the wrong kind.
    RunError
        If the folder is taken, or the engine fails.
    """
    job, data = _prepared(data, model=model, size=size, exact=exact)
    folder = Path(run) if run is not None else _new_folder(job.model)
    if detach:
        return _detached(
            folder, job, data, block=block, engine=engine, workers=workers, cluster=cluster
        )
    place, owned = _engine(engine, model=job.model, workers=workers, cluster=cluster)
    try:
        made = _created(folder, job, data, block=block, fitted=place, engine=place.name)
        return _drive(made, place, progress=progress, cancel=cancel)
    finally:
        if owned:
            place.close()


def _created(
    folder: Path,
    job: Job,
    data: References | Samples,
    *,
    block: int,
    fitted: Engine,
    engine: str,
) -> Run:
    """Make a run whose blocks are fitted to an engine, unless their size is given."""
    from jupyter_astroml.compute.blocks import fit_block_size
    from jupyter_astroml.compute.run import Run

    seconds = settings().block_seconds
    return Run.create(
        folder,
        job=job,
        data=data,
        block_size=block or fit_block_size(fitted, job, data, seconds=seconds).objects,
        meta={"engine": engine, "query": dict(getattr(data, "meta", {}))},
    )


def _detached(
    folder: Path,
    job: Job,
    data: References | Samples,
    *,
    block: int,
    engine: Engine | str,
    workers: int,
    cluster: Any,
) -> Run:
    """Make a run and leave it to a process of its own."""
    name, address = _elsewhere(engine, model=job.model, cluster=cluster)
    # Objects cost the same everywhere, and no cluster has to start twice.
    fitted, _ = _engine("here", model="", workers=0, cluster=None)
    made = _created(folder, job, data, block=block, fitted=fitted, engine=name)
    _start(made, name, address, workers=workers)
    return made


def _elsewhere(engine: Engine | str, *, model: str, cluster: Any) -> tuple[str, str | None]:
    """Return engine and cluster as another process can be told them."""
    if not isinstance(engine, str) or not isinstance(cluster, str | None):
        raise SettingsError(
            "Another process cannot use an engine or a cluster of this one",
            remedy="name the engine ('here', 'dask'), and give the cluster's address as text",
        )
    name = "dask" if cluster else settings(engine=engine or None).engine
    if name != "auto":
        return name, cluster
    best = _best(model)
    return best.name, best.address


def _start(
    run: Run, engine: str, cluster: str | None, *, workers: int, more: tuple[str, ...] = ()
) -> None:
    from jupyter_astroml.compute.detached import start

    options = ("--engine", engine, "--workers", str(workers), *more)
    start(run, arguments=(*options, *(("--cluster", cluster) if cluster else ())))


def watch(run: Run | Path | str, *, progress: Callable[[Progress], Any] | bool = True) -> Run:
    """Wait for a run that another process drives, with its progress.

    Interrupting the kernel stops the watching; the run goes on.

    Parameters
    ----------
    run : Run, Path or str
        As for `open_run`.
    progress : callable or bool
        As for `predict`.

    Raises
    ------
    RunError
        If the run stopped before its end.
    """
    from jupyter_astroml.compute.detached import watch as wait

    made = open_run(run)
    if progress is True:
        with _Bar(made) as show:
            wait(made, progress=show)
    else:
        wait(made, progress=progress or None)
    return made


def replay(
    run: Run | Path | str,
    *,
    engine: Engine | str = "",
    workers: int = 0,
    cluster: Any = None,
    progress: Callable[[Progress], Any] | bool = True,
) -> Comparison:
    """Do a run again and say whether its answers are the same, and where they are not.

    The objects are fetched again, in the same blocks, and nothing of the run is changed.
    Other versions of the libraries, another engine or another machine may change the last digits;
    an archive may have replaced a file.

    Parameters
    ----------
    run : Run, Path or str
        As for `open_run`.
    engine, workers, cluster, progress
        As for `predict`.

    Returns
    -------
    Comparison
        Objects that are the same to the last bit, within the card's tolerance, and different;
        what differs then and now.

    Raises
    ------
    ModelError
        If the weights of then are not here.
    """
    from jupyter_astroml.compute.replay import replay as again

    made = awake_run(open_run(run))
    tolerance = catalogue.find(made.job.model).card.tolerance
    place, owned = _engine(engine, model=made.job.model, workers=workers, cluster=cluster)
    with ExitStack() as stack:
        if owned:
            stack.callback(place.close)
        show = stack.enter_context(_Bar(made)) if progress is True else progress or None
        return again(
            made,
            place,
            relative=tolerance.relative,
            absolute=tolerance.absolute,
            progress=show,
        )


def stop(run: Run | Path | str) -> Run:
    """Stop a run that another process of this machine drives; `resume` completes it.

    Raises
    ------
    RunError
        If it is driven on another machine or in this very notebook, or does not stop.
    """
    from jupyter_astroml.compute.detached import stop as end

    made = open_run(run)
    end(made)
    return made


def pause(run: Run | Path | str) -> Run:
    """Pause a run, wherever it is driven: its cores and workers are free after a block.

    What was done is kept, and `resume` goes on, in this notebook or in another one tomorrow.
    `stop` ends a process of this machine; a pause asks any driver, the cell of a notebook too,
    and `runs` lists the run as paused.

    Raises
    ------
    RunError
        If the folder cannot be written, or the driver does not come to the end of its block.
    """
    from jupyter_astroml.compute.detached import pause as wait

    made = open_run(run)
    wait(made)
    return made


def estimate(data: Any, *, model: str, workers: int = 0, size: Any = None) -> Estimate:
    """Tell what a run will take before it begins: eight objects are fetched and run here.

    Parameters
    ----------
    data, model, size
        As for `predict`.
    workers : int
        Processes of a cluster on this machine; 0 takes one for each core.

    Returns
    -------
    Estimate
        Objects, bytes, and seconds on each engine; shows itself as a table in a notebook.

    Raises
    ------
    ModelError, DataError
        As `predict`, which would fail for the same reason.
    """
    from jupyter_astroml import tasks
    from jupyter_astroml.compute.estimate import estimate as tried

    job, data = _prepared(data, model=model, size=size)
    found = tried(tasks.perform, tasks.prepare, job, data, workers=workers)
    pool = next((place for place in engines(job.model) if place.name == "pool"), None)
    if pool is None or pool.state != "ready":
        return found
    return replace(found, pool_workers=pool.workers, pool_waits=pool.waits)


def _prepared(
    data: Any, *, model: str, size: Any, exact: bool = False
) -> tuple[Job, References | Samples]:
    """Return the job of a prediction and the data that it is for."""
    entry = catalogue.find(model)
    if not isinstance(data, References | Samples):
        data = samples(data, model=model, size=size)
    elif size is not None:
        data = _sized(data, size)
    if data.kind and data.kind != entry.card.kind:
        raise DataError(
            f"The model {model} takes {entry.card.kind}, and these are {data.kind}",
            remedy="choose a model for this kind of data: aml.models()",
        )
    options = {"exact": True} if exact else {}
    job = Job(task="predict", model=entry.name, digest=entry.digest, options=options)
    return job, awake(data)


def _sized(data: References | Samples, size: Any) -> References:
    """Return references to cutouts of another size."""
    if not isinstance(data, References):
        raise DataError(
            "The size of data that are here already cannot be chosen",
            remedy="leave 'size' out, or give rows or references",
        )
    return replace(data, size_arcsec=angle(size, "arcsec", name="size"))


def resume(
    run: Run | Path | str,
    *,
    engine: Engine | str = "",
    workers: int = 0,
    cluster: Any = None,
    progress: Callable[[Progress], Any] | bool = True,
    cancel: Callable[[], bool] | None = None,
    failed: bool = False,
    detach: bool = False,
) -> Run:
    """Do what is missing in a run, and only that, whether it was cut off, stopped or paused.

    Parameters
    ----------
    run : Run or Path
        What `predict` returned, or its folder.
    engine, workers, cluster, progress, cancel
        As for `predict`; another engine than the first time is fine.
    failed : bool
        Try objects again that failed, such as those of an archive that was away for a while.
    detach : bool
        Let a process of its own do it, and return at once: see `predict`.

    Raises
    ------
    RunError
        If there is no run, or another process drives it.
    """
    made = awake_run(open_run(run))
    if detach:
        name, address = _elsewhere(engine, model=made.job.model, cluster=cluster)
        _start(made, name, address, workers=workers, more=("--failed",) if failed else ())
        return made
    place, owned = _engine(engine, model=made.job.model, workers=workers, cluster=cluster)
    try:
        return _drive(made, place, progress=progress, cancel=cancel, failed=failed)
    finally:
        if owned:
            place.close()


def open_run(run: Run | Path | str) -> Run:
    """Return a run by its folder, or by its name in the run folder of the settings.

    Raises
    ------
    RunError
        If there is none.
    """
    from jupyter_astroml.compute.run import Run

    if isinstance(run, Run):
        return run
    folder = Path(run)
    named = settings().run_dir / folder
    return Run.open(named if not folder.exists() and named.exists() else folder)


def runs(folder: Path | str | None = None) -> list[Run]:
    """Return the runs in a folder, by default in the run folder of the settings."""
    from jupyter_astroml.compute.run import runs as found

    return found(folder or settings().run_dir)


def _engine(given: Engine | str, *, model: str, workers: int, cluster: Any) -> tuple[Engine, bool]:
    """Return an engine, and whether it is ours to close."""
    if isinstance(given, str):
        return engine(given, model=model, workers=workers, cluster=cluster), True
    return given, False


def _new_folder(name: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    # An address of a model hub has slashes.
    short = name.rpartition("/")[2]
    root = settings().run_dir
    for number in range(1000):
        folder = root / (f"{short}-{stamp}" + (f"-{number}" if number else ""))
        if not folder.exists():
            return folder
    raise RunError(f"No free name for a run in {root}", remedy="give run='…'")


def _drive(
    run: Run,
    place: Engine,
    *,
    progress: Callable[[Progress], Any] | bool,
    cancel: Callable[[], bool] | None,
    failed: bool = False,
) -> Run:
    from jupyter_astroml.compute.drive import drive

    if progress is True:
        with _Bar(run) as show:
            drive(run, place, progress=show, cancel=cancel, failed=failed)
    else:
        drive(run, place, progress=progress or None, cancel=cancel, failed=failed)
    _warn_of_failure(run)
    return run


def _warn_of_failure(run: Run) -> None:
    """Say why when no object has an answer: such a run must not look like success."""
    at = run.progress()
    if not at.done or at.failed < at.done:
        return
    name, why = next(iter(run.predictions(arrays=False).failures().items()))
    todo = "" if "To do" in why else ". To do: see aml.check(rows, model=…)"
    warnings.warn(
        f"None of the {at.done} objects has an answer; the first, {name}: {why}{todo}",
        stacklevel=4,
    )


class _Bar:
    """A progress bar in a notebook or a terminal."""

    def __init__(self, run: Run) -> None:
        from tqdm.auto import tqdm

        self._bar = tqdm(total=len(run), desc=run.job.model, unit="object")

    def __enter__(self) -> Callable[[Progress], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _show(self, at: Progress) -> None:
        self._bar.n = at.done
        told = [f"{at.failed} failed"] if at.failed else []
        self._bar.set_postfix_str(", ".join([*told, at.note] if at.note else told), refresh=False)
        self._bar.refresh()
