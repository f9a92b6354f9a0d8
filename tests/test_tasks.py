"""The whole chain of a worker: addresses on a real server, a real network, both engines.

The network has the architecture of a bundled model and untrained weights: its answers mean nothing
and are compared with those that torch gives by hand.
"""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from astropy.io import fits

from jupyter_astroml import tasks
from jupyter_astroml.compute.blocks import fit_block_size
from jupyter_astroml.compute.dask_engine import Dask
from jupyter_astroml.compute.drive import drive
from jupyter_astroml.compute.here import Here
from jupyter_astroml.compute.run import Run
from jupyter_astroml.core.errors import ModelError, RunError
from jupyter_astroml.core.jobs import Block, Job
from jupyter_astroml.core.records import Cutouts, Predictions, References
from jupyter_astroml.models.cards import Facts, digest_of, write_facts
from jupyter_astroml.models.catalogue import architecture, find

NAME = "untrained_shapes"
MISSING, GARBAGE, SECRET = 3, 6, 8


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder of a site: the bundled card and network, weights drawn at random."""
    from importlib import import_module

    from safetensors.torch import save_file

    root = tmp_path_factory.mktemp("models")
    folder = root / NAME
    folder.mkdir()
    bundled = find("galaxy_morphology")
    text = (bundled.folder / "card.yaml").read_text()
    (folder / "card.yaml").write_text(text.replace("id: galaxy_morphology", f"id: {NAME}"))
    torch.manual_seed(1)
    package = architecture(bundled.card.network.architecture)
    module = import_module(f"{package}.network").build(**bundled.card.network.options)
    save_file(module.state_dict(), folder / "weights.safetensors")
    write_facts(folder, Facts(digest=digest_of(folder / "weights.safetensors")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTROML_MODEL_PATH", str(root))
        yield find(NAME)


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(2)
    return rng.uniform(0, 1, size=(12, 3, 128, 128)).astype(np.float32)


@pytest.fixture(scope="module")
def address(tmp_path_factory, pixels):
    """A web server with one FITS cube an object, of which two cannot be had."""
    root = tmp_path_factory.mktemp("www")
    for i, cube in enumerate(pixels):
        write_cube(root, i, cube)
    (root / f"{MISSING}.fits").unlink()
    (root / f"{GARBAGE}.fits").write_bytes(b"SIMPLE  =  no, this is no FITS file")
    with served(root) as url:
        yield url


def write_cube(root, i, cube):
    header = fits.Header({"BUNIT": "picture", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    header.update({"CDELT1": -0.4 / 3600, "CDELT2": 0.4 / 3600, "CRVAL1": 10.0, "CRVAL2": 5.0})
    header.update({"CRPIX1": 64.5, "CRPIX2": 64.5})
    raw = io.BytesIO()
    fits.PrimaryHDU(cube, header).writeto(raw)
    (root / f"{i}.fits").write_bytes(raw.getvalue())


@contextmanager
def served(root):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=root)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def references(address):
    urls = [f"{address}/{i}.fits" for i in range(12)]
    urls[SECRET] = "file:///etc/hostname"
    return References(
        ids=[f"g{i}" for i in range(12)],
        urls=urls,
        formats=["image/fits"] * 12,
        kind="cutouts",
        ra=np.full(12, 10.0),
        dec=np.full(12, 5.0),
        bands=("i", "r", "g"),
        flux_unit="picture",
        pixel_scale=np.full(12, 0.4),
    )


@pytest.fixture
def job(model):
    return Job("predict", NAME, model.digest)


@pytest.fixture(scope="module")
def engines(model):
    """Both engines; the workers inherit the folder of models."""
    with Dask(tasks.perform, prepare=tasks.prepare, workers=1) as cluster:
        yield [Here(tasks.perform, prepare=tasks.prepare), cluster]


def test_every_object_has_a_row_in_order_and_failures_say_why(job, references):
    found = tasks.perform(job, references)
    assert found.ids.tolist() == references.ids.tolist()
    assert sorted(found.failures()) == [f"g{i}" for i in (MISSING, GARBAGE, SECRET)]
    why = found.failures()
    assert "404" in why[f"g{MISSING}"]
    assert "no http" in why[f"g{SECRET}"]
    assert found.columns["label"][MISSING] == ""
    assert np.isnan(found.columns["p_spiral"][MISSING])
    assert np.isfinite(found.columns["p_spiral"][found.ok]).all()
    assert found.ra[MISSING] == 10.0


def test_answers_are_those_of_the_network(job, references, pixels):
    from jupyter_astroml.models.loading import load

    found = tasks.perform(job, references)
    with torch.inference_mode():
        logits = load(NAME, job.digest).module(torch.from_numpy(pixels)).double()
    want = torch.softmax(logits, dim=-1).mean(dim=0).numpy()[:, 2]
    np.testing.assert_allclose(found.columns["p_spiral"][found.ok], want[found.ok], rtol=2e-5)


def test_a_block_of_which_nothing_came_has_a_reason_for_each(job, references):
    found = tasks.perform(job, references[[MISSING, SECRET]])
    assert not found.ok.any()
    assert found.ids.tolist() == [f"g{MISSING}", f"g{SECRET}"]
    assert "404" in found.status[0]


def test_samples_that_are_here_need_no_fetching(job, pixels):
    data = Cutouts(
        ids=[f"g{i}" for i in range(12)],
        values=pixels,
        bands=("i", "r", "g"),
        pixel_scale=np.full(12, 0.4),
    )
    found = tasks.perform(job, data)
    assert found.ok.all()
    assert found.meta["digest"] == job.digest


def test_here_and_dask_give_the_same_run_bit_for_bit(engines, job, references, tmp_path):
    runs = []
    for engine in engines:
        run = Run.create(tmp_path / engine.name, job=job, data=references, block_size=5)
        assert drive(run, engine).finished
        runs.append(Run.open(run.folder).predictions())
    here, there = runs
    assert here.status.tolist() == there.status.tolist()
    assert list(here.columns) == list(there.columns)
    for name, values in here.columns.items():
        if values.dtype.kind == "f":
            assert values.tobytes() == there.columns[name].tobytes(), name
        else:
            assert values.tolist() == there.columns[name].tolist(), name


def test_other_weights_than_those_asked_for_are_refused_on_every_engine(engines, references):
    wrong = Job("predict", NAME, "sha256:" + "0" * 64)
    for engine in engines:
        with pytest.raises(ModelError, match="not those that were asked for") as caught:
            list(engine.run(wrong, iter([Block(0, references[:1])])))
        assert caught.value.remedy


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"task": "os.system"}, "no task 'os.system'"),
        ({"task": ""}, "no task ''"),
        ({"digest": ""}, "names no digest"),
        ({"options": {"shell": "ls"}}, "no option 'shell'"),
    ],
)
def test_a_job_that_is_not_in_the_table_is_refused(job, pixels, changed, what):
    bad = Job(**{**job.to_json(), **changed})
    data = Cutouts(ids=["a"], values=pixels[:1], bands=("i", "r", "g"))
    with pytest.raises(RunError, match=what):
        tasks.perform(bad, data)


def test_nothing_is_fetched_for_a_task_that_does_not_exist(references):
    with pytest.raises(RunError, match="no task"):
        tasks.prepare(Job("steal", NAME, ""), references)


def test_the_table_of_tasks_is_closed():
    with pytest.raises(TypeError):
        tasks.TASKS["evil"] = print


def test_a_notebook_keeps_its_number_of_torch_threads(job, pixels, monkeypatch):
    data = Cutouts(ids=["a"], values=pixels[:1], bands=("i", "r", "g"))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        tasks.perform(job, data)
        assert torch.get_num_threads() == 3
        with pytest.raises(RunError):
            tasks.perform(Job("predict", NAME, ""), data)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def timed(job: Job, data: References) -> Predictions:
    import time

    time.sleep(0.3 + 0.01 * len(data))
    return Predictions(ids=data.ids, status=np.full(len(data), "ok"), columns={})


def test_the_block_size_fits_the_time_that_an_object_takes(references):
    many = References(
        ids=[f"x{i}" for i in range(200)],
        urls=["http://a.example"] * 200,
        formats=[""] * 200,
        kind="cutouts",
    )
    job = Job("predict", NAME, "")
    found = fit_block_size(Here(timed), job, many, seconds=0.4)
    # 0.4 s are 40 objects of 10 ms, whatever each block costs beside; a micro-batch is 64.
    # With the 0.3 s of each block in it, an object would seem to take 22 ms or more.
    # A busy machine may stretch each time, so the bounds are wide.
    assert 0.005 < found.seconds_per_object < 0.018
    assert 20 <= found.objects <= 64
    assert fit_block_size(Here(timed), job, many, seconds=0.1).objects < found.objects
    assert 1 <= fit_block_size(Here(timed), job, many[:3]).objects <= 3


def gone(job: Job, data: References) -> Predictions:
    return Predictions(ids=data.ids, status=np.full(len(data), "404 Not Found"), columns={})


def test_objects_that_fail_at_once_do_not_make_blocks_large(references):
    job = Job("predict", NAME, "")
    assert fit_block_size(Here(gone), job, references).objects <= 64


def instant(job: Job, data: Cutouts) -> Predictions:
    return Predictions(ids=data.ids, status=np.full(len(data), "ok"), columns={})


def test_blocks_of_samples_that_travel_stay_small(pixels):
    values = np.tile(pixels, (8, 1, 1, 1))
    data = Cutouts(ids=[f"x{i}" for i in range(96)], values=values, bands=("i", "r", "g"))
    found = fit_block_size(Here(instant), Job("predict", NAME, ""), data)
    assert found.objects * values[0].nbytes <= 8 << 20


def test_objects_that_failed_are_tried_again_when_that_is_asked_for(
    job, references, pixels, tmp_path
):
    """The files of two objects come only after the first try."""
    root = tmp_path / "www"
    root.mkdir()
    for i in (0, 2, 3, 5):
        write_cube(root, i, pixels[i])
    with served(root) as url:
        ours = replace(references[:6], urls=[f"{url}/{i}.fits" for i in range(6)])
        run = Run.create(tmp_path / "run", job=job, data=ours, block_size=2)
        place = Here(tasks.perform, prepare=tasks.prepare)
        drive(run, place)
        first = run.predictions()
        assert first.ok.tolist() == [True, False, True, True, False, True]
        for i in (1, 4):
            write_cube(root, i, pixels[i])
        assert drive(run, place).finished
        assert not run.predictions().ok.all()
        told = []
        drive(run, place, progress=told.append, failed=True)
        assert (told[0].done, told[-1].done, told[-1].failed) == (2, 6, 0)
        second = run.predictions()
    assert second.ok.all()
    before, after = (found.columns["confidence"][first.ok] for found in (first, second))
    np.testing.assert_allclose(before, after, atol=1e-6)
