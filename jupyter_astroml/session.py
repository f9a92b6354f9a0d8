"""The story, composed: query → samples → run → explanation → report.

The notebook, the sidebar, the shell and the tests all call these functions; this is the only place
that knows their order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.archives.archive import Archive
from jupyter_astroml.archives.archive import archive as _archive
from jupyter_astroml.archives.known import DEMO, Archives, Known, lookup
from jupyter_astroml.archives.known import archives as _archives
from jupyter_astroml.archives.rows import references
from jupyter_astroml.core.errors import DataError, ModelError, RunError, SettingsError
from jupyter_astroml.core.jobs import Engine, Job
from jupyter_astroml.core.manifest import MANIFEST, columns, table
from jupyter_astroml.core.records import (
    Attributions,
    LightCurves,
    Predictions,
    References,
    Samples,
)
from jupyter_astroml.core.settings import settings
from jupyter_astroml.core.units import angle
from jupyter_astroml.models import catalogue

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.compute.estimate import Estimate
    from jupyter_astroml.compute.places import Places
    from jupyter_astroml.compute.replay import Comparison
    from jupyter_astroml.compute.run import Progress, Run
    from jupyter_astroml.models.cards import Card
    from jupyter_astroml.models.evaluation import Evaluation

ENGINES = ("auto", "here", "dask")
# Cadences about the explained one that an explanation of a light curve shows.
WINDOW = 1000
# Objects whose data `check` holds at once.
_CHECKED = 64


def archives() -> Archives:
    """Return the archives that can be named: bundled ones, a site's and those of other packages.

    Returns
    -------
    Archives
        Shows itself as a table; each has ``name``, ``title``, ``url``, ``auth`` and more.
    """
    return _archives()


def find(**wanted: Any) -> Archives:
    """Search the registry of the Virtual Observatory for archives.

    Parameters
    ----------
    **wanted
        ``keywords``, ``waveband``, ``service``: see `jupyter_astroml.archives.registry.find`.

    Returns
    -------
    Archives
        `archive` takes each of them.
    """
    from jupyter_astroml.archives.registry import find as search

    return search(**wanted)


def login(name: str, *, credential: Any = None) -> Archive:
    """Return an archive that knows who asks; asks at the keyboard when no credential is found.

    What is returned says how one is logged in and until when.
    The credential goes to the archive's own hosts only; one that was asked for is known to the rest
    of this process too, and to no other: `logout` forgets it.

    Parameters
    ----------
    name : str
        Name of the archive.
    credential : Credential, optional
        Of `jupyter_astroml.archives.credentials`; by default from the environment,
        ``~/.config/jupyter_astroml/credentials.yaml``, or what other programs left.

    Raises
    ------
    ArchiveError
        If the name is unknown.
    SettingsError
        For a credential that cannot be used, or a file that others may read.
    """
    return _archive(name, credential=credential, ask=True)


def logout(name: str) -> None:
    """Forget in this process the login that was asked for; files and variables stay.

    Parameters
    ----------
    name : str
        Name of the archive.
    """
    from jupyter_astroml.archives.login import logout as forget

    forget(lookup(name))


def cite(*used: Any) -> Any:
    """Say what to cite and whom to thank for results.

    Parameters
    ----------
    *used : Table, Run or str
        Tables of archives, runs, or names of archives and models.

    Returns
    -------
    Citations
        BibTeX and acknowledgements, of every archive and model behind the results.
    """
    from jupyter_astroml.archives.cite import cite as say

    return say(*used, cards={entry.name: entry.card for entry in models()})


def locate(rows: Any, *, service: str, **options: Any) -> Table:
    """Say where the data of rows are, for services that answer without addresses.

    Parameters
    ----------
    rows : Table or SkyCoord
        What astroquery, a catalogue or a list of yours has.
    service : {"hips2fits", "sdss", "mast", "cadc"}
        See `jupyter_astroml.archives.locate.locate`.
    **options
        Of the service, such as ``survey``, ``width`` and ``size`` of ``"hips2fits"``.

    Returns
    -------
    Table
        For `samples`.

    Raises
    ------
    DataError
        If the rows lack what the service needs.
    """
    from jupyter_astroml.archives.locate import locate as find_files

    return find_files(rows, service=service, **options)


def to_votable(table: Table, path: Path | str) -> Path:
    """Write a table as a VOTable: units, UCDs, utypes, nulls, and where it came from.

    Parameters
    ----------
    table : Table
        Rows of a query, predictions as a table, or any other.
    path : Path or str
        File.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If a column has values that no VOTable can hold.
    """
    from jupyter_astroml.archives.export import to_votable as write

    return write(table, path)


def send(table: Table, *, to: str = "", name: str = "") -> tuple[str, ...]:
    """Show a table in TOPCAT, Aladin or another program on this machine (SAMP).

    Parameters
    ----------
    table : Table
        Rows of a query, predictions as a table, or any other.
    to : str
        Part of the name of a program; empty takes all that show tables.
    name : str
        Title of the table there.

    Returns
    -------
    tuple of str
        Names of the programs that took it.

    Raises
    ------
    ArchiveError
        If no program listens, or none took it.
    """
    from jupyter_astroml.archives.samp import send as give

    return give(table, to=to, name=name)


def receive(*, timeout: float = 300.0) -> Table:
    """Wait for the next table that another program on this machine sends (SAMP).

    In TOPCAT: *Interop*, *Send table to*, ``jupyter_astroml``.

    Parameters
    ----------
    timeout : float
        Seconds to wait.

    Raises
    ------
    ArchiveError
        If no program is there, or nothing comes in time.
    """
    from jupyter_astroml.archives.samp import receive as take

    return take(timeout=timeout)


def archive(name: str | Known = "") -> Archive:
    """Return an archive by name or by the URL of its TAP service.

    Parameters
    ----------
    name : str or Known
        Empty takes the archive of the settings, which is the demo sky unless a site or a user chose
        another; what `find` found is fine too.
        The demo sky is simulated; its archive runs on this machine and starts on first use.

    Raises
    ------
    ArchiveError
        If the name is unknown.
    """
    name = name or settings().archive
    if not isinstance(name, str) or lookup(name).name != DEMO:
        return _archive(name)
    from jupyter_astroml.embedded.serve import demo

    return _archive(DEMO, url=demo(progress=_say).tap)


def read(path: Path | str, *, columns: Sequence[str] | None = None) -> Table:
    """Read a table that ``archive.download`` or ``job.download`` wrote, or any other Parquet file.

    Parameters
    ----------
    path : Path or str
        The file.
    columns : sequence of str, optional
        Only these columns.

    Returns
    -------
    Table
        With units, UCDs, descriptions and, in ``meta["astroml"]``, where it came from.

    Raises
    ------
    ArchiveError
        If it is missing, not finished or damaged, or has no such column.
    """
    from jupyter_astroml.archives.tablefile import TableFile

    return TableFile(Path(path)).read(columns=columns)


def _say(text: str) -> None:
    """Tell what takes a while; standard output belongs to answers."""
    import sys

    sys.stderr.write(f"{text}\n")


def models() -> catalogue.Models:
    """Return all models that can be named; shows itself as a table in a notebook."""
    return catalogue.models()


def model(name: str) -> catalogue.Entry:
    """Return one model with its card.

    Raises
    ------
    ModelError
        If there is none of this name.
    """
    return catalogue.find(name)


def engines() -> Places:
    """Return where models can run from here, the preferred place first; starts nothing."""
    from jupyter_astroml.compute.places import places

    return places()


def engine(name: str = "", *, workers: int = 0, cluster: Any = None) -> Engine:
    """Return a place where models run.

    Parameters
    ----------
    name : {"", "auto", "here", "dask"}
        Empty takes the engine of the settings.
        ``"auto"`` is the cluster that Dask's configuration names, if it answers, and else this
        process; ``"here"`` is this process; ``"dask"`` a Dask cluster.
    workers : int
        Processes of a cluster of our own; 0 takes one for each core.
    cluster : str, Client or cluster, optional
        A Dask cluster that already runs, or the address of its scheduler.

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
        best = engines().best
        chosen, cluster, why = best.name, best.cluster or None, f"it is {best.note}"
    if chosen == "dask":
        from jupyter_astroml.compute.dask_engine import Dask

        return Dask(
            tasks.perform,
            prepare=tasks.prepare,
            cluster=cluster,
            workers=found.workers,
            window=found.window,
            why=why,
        )
    if chosen == "here":
        from jupyter_astroml.compute.here import Here

        return Here(tasks.perform, prepare=tasks.prepare, window=found.window, why=why)
    raise SettingsError(f"There is no engine {chosen!r}", remedy=f"use one of {', '.join(ENGINES)}")


def samples(rows: Any, *, model: str = "", size: Any = None, **options: Any) -> References:
    """Turn rows into references to their data; nothing is fetched yet.

    Parameters
    ----------
    rows : Table
        Rows of a query.
    model : str, optional
        Cutouts are made as large as this model wants them, if the rows tell the pixel scale.
    size : Quantity, angle, optional
        Full width of the cutouts; beats `model`.
    **options
        As `jupyter_astroml.archives.rows.references`.

    Raises
    ------
    DataError
        If the rows do not say where their data are.
    """
    found = references(rows, size=size, **options)
    if size is None and model:
        card = catalogue.find(model).card
        scale = float(np.nanmedian(found.pixel_scale)) if _known(found.pixel_scale) else np.nan
        if card.kind == "cutouts" and np.isfinite(scale):
            found = replace(found, size_arcsec=card.input.size[-1] * scale)
    return found


def _known(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any())


def fetch(data: Any, *, ids: Iterable[str] | None = None) -> Any:
    """Get the pixels, cadences or spectra of a few objects.

    Parameters
    ----------
    data : Table, References or Run
        What was queried, referred to or run on.
    ids : iterable of str, optional
        Only these objects.

    Returns
    -------
    Cutouts, LightCurves or Spectra
        Of those that came; `manifest` tells of all.

    Raises
    ------
    DataError
        If none of the objects could be fetched; the cause is the first one's.

    Warns
    -----
    UserWarning
        If some of them could not.
    """
    from jupyter_astroml.archives.fetch import deliver
    from jupyter_astroml.compute.run import Run

    if isinstance(data, Run):
        data = data.select(ids if ids is not None else data.predictions(arrays=False).ids)
    elif isinstance(data, References | Samples):
        data = data if ids is None else data[_rows(data.ids, ids)]
    else:
        data = samples(data)
        data = data if ids is None else data[_rows(data.ids, ids)]
    if not isinstance(data, References):
        return data
    got = deliver(data)
    found, failures = got.samples, got.failures
    if found is None:
        first = next(iter(failures.values()), "there is no object")
        raise DataError("None of the objects could be fetched", cause=first)
    if failures:
        name, why = next(iter(failures.items()))
        warnings.warn(
            f"{len(failures)} of {len(data)} objects could not be fetched, such as {name}: {why}",
            stacklevel=2,
        )
    came: Any = found
    return replace(came, meta={**came.meta, MANIFEST: columns(got.manifest)})


def manifest(data: Any) -> Table:
    """Tell what became of each object of a fetch: it came, or there is a reason.

    Parameters
    ----------
    data : Run, or Cutouts, LightCurves or Spectra that `fetch` returned
        A run tells it of all objects that were fetched so far.

    Returns
    -------
    Table
        ``id``, ``status`` (``ok`` or the reason), ``url``, ``bytes``, ``sha256``, ``kept`` (it was
        here already, unchanged), ``tries`` and ``seconds``.

    Raises
    ------
    DataError
        If these data were not fetched.
    """
    from jupyter_astroml.compute.run import Run

    if isinstance(data, Run):
        return data.manifest()
    told = getattr(data, "meta", {}).get(MANIFEST)
    if told is None:
        raise DataError(
            "These data do not tell how they came",
            remedy="give a run, or what aml.fetch returned",
        )
    return table(told)


def _rows(have: np.ndarray, wanted: Iterable[str]) -> np.ndarray:
    place = {name: i for i, name in enumerate(have.tolist())}
    names = [str(w) for w in wanted]
    unknown = [name for name in names if name not in place]
    if unknown:
        raise DataError(f"There is no object {unknown[0]!r}", remedy="take an id from the rows")
    return np.array([place[name] for name in names], dtype=int)


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
        A Dask cluster that already runs: see `engine`.
    run : Path, optional
        Folder of the run; by default a new one in the run folder of the settings.
    size : Quantity, angle, optional
        Full width of cutouts that are still to be fetched; by default what the model wants, or what
        the references say.
    block : int
        Objects in a block; 0 fits it to the time that a few objects take.
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
    job, data = _prepared(data, model=model, size=size)
    folder = Path(run) if run is not None else _new_folder(job.model)
    if detach:
        return _detached(
            folder, job, data, block=block, engine=engine, workers=workers, cluster=cluster
        )
    place, owned = _engine(engine, workers=workers, cluster=cluster)
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
    from jupyter_astroml.compute.detached import start

    if not isinstance(engine, str) or not isinstance(cluster, str | None):
        raise SettingsError(
            "Another process cannot use an engine or a cluster of this one",
            remedy="name the engine ('here', 'dask'), and give the cluster's address as text",
        )
    name = "dask" if cluster else settings(engine=engine or None).engine
    if name == "auto":
        best = engines().best
        name, cluster = best.name, best.cluster or None
    # Objects cost the same everywhere, and no cluster has to start twice.
    fitted, _ = _engine("here", workers=0, cluster=None)
    made = _created(folder, job, data, block=block, fitted=fitted, engine=name)
    options = ["--engine", name, "--workers", str(workers)]
    start(made, arguments=(*options, *(["--cluster", cluster] if cluster else [])))
    return made


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

    made = open_run(run)
    tolerance = catalogue.find(made.job.model).card.tolerance
    place, owned = _engine(engine, workers=workers, cluster=cluster)
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
    return tried(tasks.perform, tasks.prepare, job, data, workers=workers)


def _prepared(data: Any, *, model: str, size: Any) -> tuple[Job, References | Samples]:
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
    return Job(task="predict", model=entry.name, digest=entry.digest), data


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
) -> Run:
    """Do what is missing in a run, and only that.

    Parameters
    ----------
    run : Run or Path
        What `predict` returned, or its folder.
    engine, workers, cluster, progress, cancel
        As for `predict`; another engine than the first time is fine.

    Raises
    ------
    RunError
        If there is no run, or another process drives it.
    """
    made = open_run(run)
    place, owned = _engine(engine, workers=workers, cluster=cluster)
    try:
        return _drive(made, place, progress=progress, cancel=cancel)
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


def check(data: Any, *, model: str) -> Table:
    """Tell for each object whether it fits a model's input contract, before the model runs.

    Parameters
    ----------
    data : Table, References, Cutouts or LightCurves
        Fetched if it is not yet.
    model : str
        Name of the model.

    Returns
    -------
    Table
        ``id`` and ``fit``: ``fits``, ``converted: how``, ``outside: why`` or ``not fetched: why``.
    """
    from astropy.table import Table as AstropyTable

    card = catalogue.find(model).card
    if not isinstance(data, References | Samples):
        data = samples(data, model=model)
    words: list[str] = []
    for start in range(0, len(data), _CHECKED):
        words += _fits(card, data[start : start + _CHECKED])
    return AstropyTable({"id": data.ids, "fit": np.array(words, dtype=str)})


def _fits(card: Card, data: References | Samples) -> list[str]:
    """Say for each object of a block whether it fits, or why that is not known."""
    from jupyter_astroml.archives.fetch import fetch as get
    from jupyter_astroml.models.contract import check as compare

    found, failures = get(data) if isinstance(data, References) else (data, {})
    known = {name: f"not fetched: {why}" for name, why in failures.items()}
    if found is not None:
        known |= zip(found.ids.tolist(), compare(card, found).words().tolist(), strict=True)
    return [known[name] for name in data.ids.tolist()]


def explain(
    data: Any,
    *,
    model: str = "",
    digest: str = "",
    ids: Iterable[str] | str | None = None,
    target: str | float | None = None,
    method: str = "smoothgrad",
    window: int = WINDOW,
    progress: Callable[[int, int], Any] | None = None,
    **options: Any,
) -> Attributions:
    """Show what in the data moved the model's answer.

    Parameters
    ----------
    data : Run, Table, References, Cutouts or LightCurves
        A run brings its model with it.
    model : str
        Name of the model; not needed with a run.
    digest : str
        Refuse any other weights; a run brings the digest of those that answered.
    ids : str or iterable of str, optional
        Objects to explain; needed for a run or a long table, since each costs many passes.
    target : str or float, optional
        Classifier: name of a class, by default the predicted one.
        Detector: time in days on the axis of the light curve, by default the most probable cadence.
    method : str
        A key of `jupyter_astroml.explain.methods.METHODS`.
    window : int
        Detector: cadences shown about the explained one.
    progress : callable, optional
        Called with the numbers of passes done and to do; what it raises stops the work.
    **options
        As `jupyter_astroml.explain.methods.attribute`: ``samples``, ``steps``, ``seed``, ….

    Returns
    -------
    Attributions
        Maps in the axes of the data as the model saw them.

    Raises
    ------
    DataError
        For an unknown id, class or method, or data that could not be fetched.
    ModelError
        If there is no such model, or it is not the one that answered.
    """
    from jupyter_astroml.compute.run import Run
    from jupyter_astroml.explain import attribute, completeness
    from jupyter_astroml.explain.methods import settled
    from jupyter_astroml.models.loading import load
    from jupyter_astroml.models.threads import one_thread

    if isinstance(data, Run) and model in ("", data.job.model):
        model, digest = data.job.model, digest or data.job.digest
    if not model:
        raise ModelError("No model is named", remedy="write explain(…, model='…')")
    wanted = [ids] if isinstance(ids, str) else ids
    if not isinstance(data, Run | References | Samples):
        data = samples(data, model=model)
    loaded = load(model, digest or None)
    seen = loaded.prepare(fetch(data, ids=wanted)).samples
    with one_thread():
        targets = _targets(loaded, seen, target)
        if loaded.card.outputs.axis == "time":
            seen, targets, names = _about(seen, targets, window=window)
            if method == "smoothgrad":
                options.setdefault("noise", _own_noise(seen.values))
        else:
            names = np.asarray(loaded.card.outputs.names)[targets]
        maps = attribute(
            loaded.module, seen.values, targets=targets, method=method, progress=progress, **options
        )
        used = settled(method, seen.values.shape, **options)
        if method == "integrated_gradients" and used["signed"]:
            used["completeness"] = completeness(
                loaded.module, seen.values, maps, targets=targets, baseline=used["baseline"]
            )
    return Attributions(
        ids=seen.ids,
        maps=maps,
        targets=targets,
        target_names=names,
        method=method,
        samples=seen,
        signed=bool(options.get("signed", True)),
        meta={"model": model, "digest": loaded.digest, **used},
        ra=seen.ra,
        dec=seen.dec,
    )


def trust(attributions: Attributions) -> Table:
    """Test how far maps can be trusted, without labels.

    Parameters
    ----------
    attributions : Attributions
        What `explain` returned.

    Returns
    -------
    Table
        ``id``;
        ``deletion_gain``: how much faster the score falls when what the map calls important is
        deleted than when anything is, in units of the score (good: above 0);
        ``unlearned``: rank correlation with the map of the same network without its learning
        (good: near 0);
        ``completeness``: how far signed integrated gradients miss the change of the score (good:
        0.05 or less), NaN for other maps;
        ``verdict``: what the three numbers say, in words.

    Raises
    ------
    DataError
        If the maps do not tell which model they explain.
    """
    from astropy.table import Table as AstropyTable

    from jupyter_astroml.explain import deletion, randomisation, verdict
    from jupyter_astroml.models.loading import load
    from jupyter_astroml.models.threads import one_thread

    options = dict(attributions.meta)
    if not {"model", "digest"} <= set(options):
        raise DataError("These maps name no model", remedy="test what aml.explain returned")
    module = load(options.pop("model"), options.pop("digest")).module
    missed = options.pop("completeness", np.full(len(attributions), np.nan))
    values, targets = attributions.samples.values, attributions.targets
    with one_thread():
        fall = deletion(module, values, attributions.maps, targets=targets)
        alike = randomisation(
            module, values, targets=targets, method=attributions.method, **options
        )
    return AstropyTable(
        {
            "id": attributions.ids,
            "deletion_gain": fall.gain,
            "unlearned": alike,
            "completeness": missed,
            "verdict": [verdict(*each) for each in zip(fall.gain, alike, missed, strict=True)],
        }
    )


def events(predictions: Predictions, curves: LightCurves) -> Table:
    """List the events that a detector found in light curves, under the model's own rule.

    Parameters
    ----------
    predictions : Predictions
        Answers of a detector, of these light curves and perhaps of others.
    curves : LightCurves
        As the archive gave them: what `fetch` returns.

    Returns
    -------
    Table
        One row an event: see `jupyter_astroml.models.events.events`.

    Raises
    ------
    ModelError
        If the model that answered is not here.
    DataError
        If the answers are not those of a detector for these light curves.
    """
    from jupyter_astroml.models.events import events_of

    meta = predictions.meta
    entry = catalogue.find(str(meta.get("model", "")), meta.get("digest"))
    found = predictions[_rows(predictions.ids, curves.ids)]
    if "probability" not in found.arrays:
        raise DataError(
            f"The model {entry.name} finds no events",
            remedy="use a model for the task 'detect': aml.models()",
        )
    width = curves.values.shape[1]
    arrays = {name: _as_wide(found.arrays[name], width) for name in found.arrays}
    return events_of(entry.card, arrays, curves)


def _as_wide(values: np.ndarray, width: int) -> np.ndarray:
    """Cut or pad to a number of cadences: blocks and fetches pad to the longest of their own."""
    pad = max(0, width - values.shape[1])
    return np.pad(values[:, :width], ((0, 0), (0, pad)), constant_values=np.nan)


def _targets(loaded: Any, seen: Any, target: str | float | None) -> np.ndarray:
    """Return the index of the output to explain, for each object."""
    card: Card = loaded.card
    if card.outputs.axis == "class":
        names = list(card.outputs.names)
        if target is None:
            return loaded.logits(seen.values).mean(axis=0).argmax(axis=-1)
        if target not in names:
            raise DataError(
                f"The model {card.id} has no class {target!r}", remedy=f"use {', '.join(names)}"
            )
        return np.full(len(seen), names.index(str(target)))
    if target is None:
        return loaded.logits(seen.values).mean(axis=0).argmax(axis=-1)
    try:
        time = float(target)
    except ValueError as err:
        raise DataError(f"The target {target!r} is no time in days") from err
    return np.abs(seen.time - time).argmin(axis=1)


def _own_noise(values: np.ndarray) -> np.ndarray:
    """Return the noise of each light curve as a share of its range, for SmoothGrad.

    The usual share of the range would bury a quiet star that has one large flare.
    The noise is read from neighbouring cadences, between which a star hardly changes.
    """
    steps = np.abs(np.diff(values, axis=1))
    # Median absolute step of white noise with standard deviation 1: 0.954.
    noise = np.median(steps, axis=1) / 0.954
    return noise / np.maximum(np.ptp(values, axis=1), 1e-12)


def _about(
    seen: LightCurves, targets: np.ndarray, *, window: int
) -> tuple[LightCurves, np.ndarray, np.ndarray]:
    """Cut light curves to the cadences about their targets."""
    width = min(window, seen.values.shape[1])
    starts = np.clip(targets - width // 2, 0, seen.values.shape[1] - width)
    columns = starts[:, None] + np.arange(width)
    time = np.take_along_axis(seen.time, columns, axis=1)
    cut = replace(seen, time=time, values=np.take_along_axis(seen.values, columns, axis=1))
    inner = targets - starts
    names = np.array([f"t = {t:.4f} d" for t in time[np.arange(len(seen)), inner]])
    return cut, inner, names


def evaluate(
    model: str,
    *,
    data: Path | str,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a model on labelled data that it was not trained on, with its baseline beside it.

    Parameters
    ----------
    model : str
        Name of the model.
    data : Path
        Folder in the layout that the model's README names.
    seed : int
        Of the bootstrap.
    progress : callable, optional
        Called with the number of objects done and the total.

    Raises
    ------
    ModelError
        If the model brings no evaluation.
    DataError
        If the folder does not have the layout, or holds no unseen object.
    """
    from importlib import import_module
    from importlib.util import find_spec

    from jupyter_astroml.models.loading import load

    folder = Path(data)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}", remedy="give the folder of labelled data")
    package = catalogue.architecture(catalogue.find(model).card.network.architecture)
    if find_spec(f"{package}.evaluate") is None:
        raise ModelError(f"The model {model} brings no evaluation")
    found: Evaluation = import_module(f"{package}.evaluate").evaluate(
        folder, model=load(model), seed=seed, progress=progress
    )
    return found


def _engine(given: Engine | str, *, workers: int, cluster: Any) -> tuple[Engine, bool]:
    """Return an engine, and whether it is ours to close."""
    if isinstance(given, str):
        return engine(given, workers=workers, cluster=cluster), True
    return given, False


def _new_folder(name: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    root = settings().run_dir
    for number in range(1000):
        folder = root / (f"{name}-{stamp}" + (f"-{number}" if number else ""))
        if not folder.exists():
            return folder
    raise RunError(f"No free name for a run in {root}", remedy="give run='…'")


def _drive(
    run: Run,
    place: Engine,
    *,
    progress: Callable[[Progress], Any] | bool,
    cancel: Callable[[], bool] | None,
) -> Run:
    from jupyter_astroml.compute.drive import drive

    if progress is True:
        with _Bar(run) as show:
            drive(run, place, progress=show, cancel=cancel)
    else:
        drive(run, place, progress=progress or None, cancel=cancel)
    return run


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
        if at.failed:
            self._bar.set_postfix_str(f"{at.failed} failed", refresh=False)
        self._bar.refresh()


def replay_model(name: str) -> Any:
    """Run a model on the inputs stored beside it; see `jupyter_astroml.models.loading.replay`."""
    from jupyter_astroml.models.loading import replay as again

    return again(name)


def describe(attributions: Attributions) -> list[str]:
    """Say in words what each map shows: for people who cannot or need not see it."""
    from jupyter_astroml.plots.describe import attribution

    return [attribution(attributions, row) for row in range(len(attributions))]


def report(
    runs: Run | Iterable[Run],
    path: Path | str,
    *,
    objects: int = 12,
    truth: np.ndarray | None = None,
    title: str = "",
) -> Path:
    """Write what a run answered, with pictures and saliency maps, as one file for a browser.

    Parameters
    ----------
    runs : Run or iterable of Run
        Several runs become tabs of one page.
    path : Path
        File to write; it needs no network to be read.
    objects : int
        Objects that are shown with their maps, the least sure ones first.
    truth : ndarray of str, shape (n,), optional
        True classes of one run, for a reliability diagram.
    title : str
        Heading.

    Returns
    -------
    Path
        The file.
    """
    from jupyter_astroml.compute.run import Run
    from jupyter_astroml.plots.book import book

    many = [runs] if isinstance(runs, Run) else list(runs)
    path = Path(path)
    if len(many) == 1:
        return _page(many[0], path, objects=objects, truth=truth, title=title)
    pages = {}
    for made, tab in zip(many, _tabs(many), strict=True):
        part = path.with_name(f".{path.stem}-{made.folder.name}.html")
        pages[tab] = _page(made, part, objects=objects, truth=None, title="").read_text("utf-8")
        part.unlink()
    return book(path, pages, title=title or "Predictions")


def _tabs(runs: list[Run]) -> list[str]:
    """Return a name for each run: its model, and its folder where that alone is not unique."""
    for name in (
        lambda r: r.job.model,
        lambda r: f"{r.job.model}, {r.folder.name}",
        lambda r: f"{r.job.model}, {r.folder}",
    ):
        names = [str(name(r)) for r in runs]
        if len(set(names)) == len(names):
            break
    return names


def _page(run: Run, path: Path, *, objects: int, truth: np.ndarray | None, title: str) -> Path:
    from jupyter_astroml.plots.report import report as write

    found = run.predictions()
    chosen = least_sure(found, n=objects)
    shown: Any = fetch(run, ids=chosen) if chosen else None
    # Blocks may pad light curves differently: each object is explained on its own.
    maps = [
        explain(shown[i], model=run.job.model, digest=run.job.digest, samples=16)
        for i in range(0 if shown is None else len(shown))
    ]
    entry = catalogue.find(run.job.model)
    return write(
        path,
        predictions=found,
        samples=shown,
        attributions=maps,
        events=events(found, shown) if isinstance(shown, LightCurves) else None,
        truth=truth,
        title=title or entry.card.title,
        meta=run.meta,
    )


def least_sure(predictions: Predictions, *, n: int) -> list[str]:
    """Return the ids of the objects of which a model is least sure, the worst first.

    Objects without an answer are not among them.
    """
    rows = np.flatnonzero(predictions.ok)
    if not rows.size:
        return []
    doubt = np.nan_to_num(predictions.columns["uncertainty"][rows], nan=-1.0)
    return [str(i) for i in predictions.ids[rows[np.argsort(-doubt, kind="stable")[:n]]]]
