"""Run models: where, over what, and again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from jupyter_astroml.core.errors import DataError, ModelError, RunError, SettingsError
from jupyter_astroml.core.jobs import Engine, Job, together
from jupyter_astroml.core.records import (
    References,
    Samples,
)
from jupyter_astroml.core.settings import settings
from jupyter_astroml.core.units import angle
from jupyter_astroml.models import catalogue

from .awake import awake, awake_run
from .choosing import chosen, elsewhere, engines
from .fetching import fetch, samples

if TYPE_CHECKING:
    from jupyter_astroml.compute.estimate import Estimate
    from jupyter_astroml.compute.replay import Comparison
    from jupyter_astroml.compute.run import Progress, Run
    from jupyter_astroml.models.emulator import Emulator


# Objects that are looked at to choose models.
_TRIED = 8


def models(*, task: str = "", kind: str = "", fits: Any = None) -> catalogue.Models:
    """Return the models that can be named; shows itself as a gallery in a notebook.

    Parameters
    ----------
    task : str
        Only models of this task: ``"classify"``, ``"detect"``, ``"regress"`` or
        ``"emulate"``.
    kind : str
        Only those that take this kind of data: ``"cutouts"``, ``"light_curves"`` or
        ``"spectra"``.
    fits : Table, References, Cutouts, LightCurves or Spectra, optional
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
    wavelength: Path | str | None = None,
    labels: Mapping[str, str] | None = None,
    medium: str = "vacuum",
    about: Mapping[str, str] | None = None,
    card: Path | str | None = None,
) -> Path:
    """Make a model of published weights; see `jupyter_astroml.models.importing.import_model`.

    Parameters
    ----------
    path, name, bands, classes, flux_unit, normalise, wavelength, labels, medium, about, card
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
        folder=own_folder(folder),
        bands=tuple(bands),
        classes=tuple(classes),
        flux_unit=flux_unit,
        normalise=normalise,
        wavelength=wavelength,
        labels=labels,
        medium=medium,
        about=about,
        card=card,
    )


def read_network(path: Path | str) -> Any:
    """Return the network of a published file; see `jupyter_astroml.models.importing.read_network`.

    Parameters
    ----------
    path : Path
        Keras file, or the state dict of UPSILoN-T or SuperNNova.
    """
    from jupyter_astroml.models.importing import read_network as built

    return built(path)


def emulator(path: Path | str, *, wavelength: Path | str | None = None, **options: Any) -> Emulator:
    """Return a spectral emulator, such as the Payne; see `jupyter_astroml.models.emulator`.

    Parameters
    ----------
    path : Path or str
        Its weights, a NumPy file; or the name of a model of the task ``emulate``.
    wavelength : Path, optional
        Its wavelengths, a NumPy file; the grid of APOGEE needs none.
    **options
        ``labels`` and ``medium``.
    """
    from jupyter_astroml.models.emulator import emulator as built

    return built(path, wavelength=wavelength, **options)


def own_folder(folder: Path | str | None) -> Path | str:
    """Return the folder for models of a user's own: the one given, or that of the settings."""
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

    where = own_folder(folder)
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


@overload
def predict(data: Any, *, model: str, **options: Any) -> Run: ...


@overload
def predict(data: Any, *, model: list[str] | tuple[str, ...], **options: Any) -> list[Run]: ...


def predict(  # type: ignore[misc] # the options of both are those below
    data: Any,
    *,
    model: str | list[str] | tuple[str, ...],
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
) -> Run | list[Run]:
    """Run a model over objects, and keep what it answers on disk as it arrives.

    Parameters
    ----------
    data : Table, References, Cutouts, LightCurves or Spectra
        Rows of a query, or what was made of them.
    model : str or list of str
        Name of the model: `models` lists them.
        Of several, each gets a run of its own, and the data are fetched and decoded once; in the
        pool they follow each other. Cutouts are as large as the one wants them that wants most.
    engine : Engine or str
        Where it runs: see `engine`.
    workers : int
        For the engine ``"dask"``: processes; 0 takes one for each core.
    cluster : str, Client or cluster, optional
        A Dask cluster that already runs, or the kind of one that is started: see `engine`.
    run : Path, optional
        Folder of the run, or of a folder for each model; by default a new one in the run folder of
        the settings.
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
    Run, or a list of them in the order of the models
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
    if not isinstance(model, str):
        if detach:
            raise SettingsError(
                "Several models in one pass cannot be detached",
                remedy="detach a run for each, or leave 'detach' out",
            )
        jobs, data = _several(data, model, size=size, exact=exact)
        folders = [Path(run) / job.model if run else _new_folder(job.model) for job in jobs]
        place, owned = chosen(engine, model=jobs[0].model, workers=workers, cluster=cluster)
        with ExitStack() as stack:
            if owned:
                stack.callback(place.close)
            return _one_pass(
                jobs, data, folders, place, block=block, progress=progress, cancel=cancel
            )
    job, data = _prepared(data, model=model, size=size, exact=exact)
    folder = Path(run) if run is not None else _new_folder(job.model)
    if detach:
        return _detached(
            folder, job, data, block=block, engine=engine, workers=workers, cluster=cluster
        )
    place, owned = chosen(engine, model=job.model, workers=workers, cluster=cluster)
    try:
        made = _created(folder, job, data, block=block, fitted=place, engine=place.name)
        return _drive([made], place, progress=progress, cancel=cancel)
    finally:
        if owned:
            place.close()


def _one_pass(
    jobs: list[Job],
    data: References | Samples,
    folders: list[Path],
    place: Engine,
    *,
    block: int,
    progress: Callable[[Progress], Any] | bool,
    cancel: Callable[[], bool] | None,
) -> list[Run]:
    """Make a run for each job and drive them together, where the place can do that."""
    # The pool computes for one model at a time.
    alone = place.name == "pool"
    if not block:
        block = _fitted(place, jobs[0] if alone else together(jobs), data)
    names = {"together": [job.model for job in jobs]}
    made = [
        _created(folder, job, data, block=block, fitted=place, engine=place.name, more=names)
        for folder, job in zip(folders, jobs, strict=True)
    ]
    rest = made
    if not alone:
        _drive(made, place, progress=progress, cancel=cancel)
        # What a worker's death took from the others, but nothing after a cancel.
        whole = made[0].progress().finished
        rest = [run for run in made[1:] if whole and not run.progress().finished]
    for run in rest:
        _drive([run], place, progress=progress, cancel=cancel)
    return made


def _fitted(place: Engine, job: Job, data: References | Samples) -> int:
    from jupyter_astroml.compute.blocks import fit_block_size

    return fit_block_size(place, job, data, seconds=settings().block_seconds).objects


def _created(
    folder: Path,
    job: Job,
    data: References | Samples,
    *,
    block: int,
    fitted: Engine,
    engine: str,
    more: Mapping[str, Any] | None = None,
) -> Run:
    """Make a run whose blocks are fitted to an engine, unless their size is given."""
    from jupyter_astroml.compute.run import Run

    return Run.create(
        folder,
        job=job,
        data=data,
        block_size=block or _fitted(fitted, job, data),
        meta={
            "engine": engine,
            "query": dict(getattr(data, "meta", {})),
            **_of_model(job, engine),
            **(more or {}),
        },
    )


def _of_model(job: Job, engine: str) -> dict[str, Any]:
    """Return what of a model is worth a record beside its digest."""
    from jupyter_astroml.models.loading import micro_batch

    card = catalogue.find(job.model, job.digest).card
    # The pool puts batches together as its users come.
    batch = {} if engine == "pool" else {"batch": micro_batch(card)}
    # Nothing in a prediction is random: there is no seed to keep.
    return {"card_version": card.version, "seed": None, **batch}


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
    name, address = elsewhere(engine, model=job.model, cluster=cluster)
    # Objects cost the same everywhere, and no cluster has to start twice.
    fitted, _ = chosen("here", model="", workers=0, cluster=None)
    made = _created(folder, job, data, block=block, fitted=fitted, engine=name)
    _start(made, name, address, workers=workers)
    return made


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
    place, owned = chosen(engine, model=made.job.model, workers=workers, cluster=cluster)
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
    entry.card.must_answer()
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


def _several(
    data: Any, models: Sequence[str], *, size: Any, exact: bool
) -> tuple[list[Job], References | Samples]:
    """Return a job for each model, and the data that do for all."""
    if not models or len(set(models)) < len(models):
        raise SettingsError(
            "No model was named" if not models else "A model is named twice",
            remedy="name each model once: aml.models()",
        )
    prepared = [_prepared(data, model=name, size=size, exact=exact) for name in models]
    widest = max(prepared, key=lambda each: getattr(each[1], "size_arcsec", None) or 0.0)
    return [job for job, _ in prepared], widest[1]


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
        name, address = elsewhere(engine, model=made.job.model, cluster=cluster)
        _start(made, name, address, workers=workers, more=("--failed",) if failed else ())
        return made
    place, owned = chosen(engine, model=made.job.model, workers=workers, cluster=cluster)
    try:
        return _drive([made], place, progress=progress, cancel=cancel, failed=failed)
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
    runs: list[Run],
    place: Engine,
    *,
    progress: Callable[[Progress], Any] | bool,
    cancel: Callable[[], bool] | None,
    failed: bool = False,
) -> Run:
    from jupyter_astroml.compute.drive import drive_together

    if progress is True:
        with _Bar(runs[0]) as show:
            drive_together(runs, place, progress=show, cancel=cancel, failed=failed)
    else:
        drive_together(runs, place, progress=progress or None, cancel=cancel, failed=failed)
    for run in runs:
        _warn_of_failure(run)
    return runs[0]


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
