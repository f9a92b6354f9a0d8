"""A run is done again: the same to the last bit, or different and said where."""

import functools
import json
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

import jupyter_astroml as aml
from jupyter_astroml.archives.datalink import follow
from jupyter_astroml.archives.downloads import download
from jupyter_astroml.archives.http import Session
from jupyter_astroml.compute.replay import _compared
from jupyter_astroml.core.errors import ModelError

N = 6


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def files(demo_archive, tmp_path_factory):
    """Galaxies of the demo sky as files of a small web server, whose content can be changed."""
    folder = tmp_path_factory.mktemp("files")
    with aml.archive(demo_archive.tap) as sky:
        rows = sky.query(f"SELECT TOP {N} * FROM demo.galaxies ORDER BY id")
        wanted = sky.samples(rows, size=40 * u.arcsec)
    with Session() as session:
        links = follow(session, wanted.urls.tolist())
        for name, url, ra, dec in zip(wanted.ids, wanted.urls, wanted.ra, wanted.dec, strict=True):
            cut = f"{links[url].cut}&CIRCLE={ra}+{dec}+{25 / 3600}"
            (folder / f"{name}.fits").write_bytes(download(session, cut)[0])
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield (
            folder,
            replace(
                wanted,
                urls=np.array(
                    [f"http://127.0.0.1:{server.server_port}/{n}.fits" for n in wanted.ids]
                ),
                formats=np.full(N, "image/fits"),
            ),
        )
        server.shutdown()


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("done") / "run"
    return aml.predict(
        files[1], model="galaxy_morphology", run=folder, block=4, engine="here", progress=False
    )


def test_the_same_files_give_the_same_bits(done):
    assert done.predictions().ok.all()
    told = []
    found = aml.replay(done, engine="here", progress=told.append)
    assert (found.objects, found.same, found.close, found.different) == (N, N, 0, 0)
    assert (found.largest, found.passed, found.changed) == (0.0, True, {})
    assert [each.done for each in told] == [4, N]
    assert f"{N} the same to the last bit" in found._repr_html_()
    assert (found.same_data, found.other_data, found.altered) == (N, 0, ())


def test_another_engine_is_named_and_within_the_tolerance(done):
    found = aml.replay(done, engine="dask", workers=1, progress=False)
    assert found.passed
    assert found.changed == {"engine": ("here", "dask")}


def test_a_file_that_was_replaced_is_found(files, done):
    folder, wanted = files
    first, second = (folder / f"{name}.fits" for name in wanted.ids[:2])
    kept = first.read_bytes(), second.read_bytes()
    try:
        with fits.open(first, mode="update") as file:
            file[0].data = file[0].data[::-1].copy()
        second.unlink()
        found = aml.replay(done, engine="here", progress=False)
    finally:
        first.write_bytes(kept[0])
        second.write_bytes(kept[1])
    assert (found.different, found.failed, found.passed) == (1, 1, False)
    assert found.same + found.close == N - 2
    told = found.to_table()
    assert set(told["id"]) == set(wanted.ids[:2])
    status = told[(told["answer"] == "status") & (told["id"] == wanted.ids[1])]
    assert status["then"][0] == "ok"
    assert "404" in status["now"][0]
    # The archive gave another file for the one, and nothing for the other.
    assert (found.same_data, found.other_data) == (N - 2, 1)
    assert found.other_data_ids == (wanted.ids[0],)
    assert set(told["data"][told["id"] == wanted.ids[0]]) == {"other"}
    assert status["data"][0] == "unknown"
    assert f"1 objects have other data than then, such as {wanted.ids[0]}" in str(found)
    json.dumps(found.to_json(), allow_nan=False)


def test_only_what_was_done_is_done_again(files, tmp_path):
    part = aml.predict(
        files[1],
        model="galaxy_morphology",
        run=tmp_path / "run",
        block=2,
        progress=False,
        cancel=lambda: any((tmp_path / "run" / "blocks").glob("0*")),
    )
    done = part.progress().done
    assert 0 < done < N
    assert aml.replay(part, engine="here", progress=False).objects == done


def test_data_that_are_kept_in_the_run_and_were_changed_are_named(done, tmp_path):
    samples = aml.fetch(done)
    kept = aml.predict(
        samples, model="galaxy_morphology", run=tmp_path / "run", engine="here", progress=False
    )
    again = aml.replay(kept, engine="here", progress=False)
    assert (again.passed, again.same, again.same_data) == (True, N, 0)
    file = kept.folder / "data" / "values.npy"
    values = np.load(file)
    values[0] = values[0, :, ::-1]
    np.save(file, values)
    found = aml.replay(kept, engine="here", progress=False)
    assert (found.altered, found.passed) == (("values.npy",), False)
    assert {d.id for d in found.differences} <= {samples.ids[0]}
    assert "values.npy was changed" in str(found)


def test_a_run_tells_all_that_it_was_made_with(done):
    meta = done.meta
    card = aml.model("galaxy_morphology").card
    assert meta["card_version"] == card.version
    assert (meta["engine"], meta["batch"], meta["seed"]) == ("here", 64, None)
    assert {"numpy", "torch", "astropy", "jupyter_astroml"} <= set(meta["versions"])
    assert meta["query"]
    assert all(len(value) == 64 for value in aml.manifest(done)["sha256"])


def test_other_weights_are_no_replay(done, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(done.folder, copy)
    text = (copy / "run.json").read_text()
    (copy / "run.json").write_text(text.replace(done.job.digest[-6:], "000000"))
    with pytest.raises(ModelError, match="not those that were asked for"):
        aml.replay(copy, engine="here", progress=False)


def test_the_shell_ends_with_one_where_something_is_different(files, done):
    folder, wanted = files
    path = folder / f"{wanted.ids[0]}.fits"
    kept = path.read_bytes()

    def shell():
        command = [sys.executable, "-m", "jupyter_astroml", "replay", str(done.folder), "--json"]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
        return found.returncode, json.loads(found.stdout)

    assert shell()[0] == 0
    try:
        path.unlink()
        code, told = shell()
    finally:
        path.write_bytes(kept)
    assert (code, told["different"], told["failed"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        (np.inf, 5.0, "different"),
        (np.inf, -np.inf, "different"),
        (5.0, np.inf, "different"),
        (np.inf, np.inf, "same"),
        (np.nan, np.nan, "same"),
        (np.nan, 5.0, "different"),
        (1.0, 1.0 + 1e-9, "close"),
        (2**53, 2**53 + 1, "close"),
        (2**53, 2**53, "same"),
    ],
)
@pytest.mark.parametrize("relative", [0.0, 1e-3])
def test_two_answers_are_compared_as_they_are(then, now, expected, relative):
    alike, equal, off = _compared(
        np.array([then]), np.array([now]), relative=relative, absolute=2.0
    )
    found = "same" if equal[0] else "close" if alike[0] else "different"
    assert found == expected
    assert np.isfinite(off)
