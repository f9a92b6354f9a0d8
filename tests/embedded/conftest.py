"""A small hand-made archive for answers worked out by hand, and a running demo archive."""

import os
from pathlib import Path

import numpy as np
import pytest

from jupyter_astroml.embedded.build import Builder, masked
from jupyter_astroml.embedded.engine import Database
from jupyter_astroml.embedded.tables import Column


@pytest.fixture(scope="session")
def catalogue() -> dict:
    """Positions and brightnesses of 2000 made-up sources, some across right ascension 0."""
    rng = np.random.default_rng(11)
    n = 2000
    return {
        "id": 587722953303916935 + np.arange(n),
        "ra": np.concatenate([rng.uniform(149, 151, n - 400), rng.uniform(-0.5, 0.5, 400) % 360]),
        "dec": np.concatenate([rng.uniform(1, 3, n - 400), rng.uniform(88.5, 89.5, 400)]),
        "gmag": rng.normal(20, 1.5, n).astype(np.float32),
        "rmag": rng.normal(19.5, 1.5, n).astype(np.float32),
        "redshift": masked([None if i % 3 else 0.001 * i for i in range(n)], float),
        "objclass": np.array(["GALAXY", "STAR", "QSO", "O'Brien & <é>"] * (n // 4)),
        "count": np.arange(n, dtype=np.int32) % 7,
    }


@pytest.fixture(scope="session")
def database(catalogue, tmp_path_factory) -> Database:
    path = tmp_path_factory.mktemp("made") / "made.duckdb"
    builder = Builder(path)
    builder.schema("demo", "Made up")
    builder.table(
        "demo.sources",
        catalogue,
        columns=[
            Column("ra", unit="deg", ucd="pos.eq.ra;meta.main", description="Right ascension"),
            Column("dec", unit="deg", ucd="pos.eq.dec;meta.main"),
            Column("gmag", unit="mag", ucd="phot.mag;em.opt.B"),
        ],
        description="Sources",
    )
    builder.table(
        "demo.specz",
        {"id": catalogue["id"][:50], "z": np.linspace(0, 0.49, 50)},
    )
    builder.table(
        "demo.fields",
        {
            "name": ["a", "b"],
            "outline": [[149.5, 1.5, 150.5, 1.5, 150.5, 2.5, 149.5, 2.5], None],
            "access_url": ["files?ID=a", "files?ID=b"],
        },
        columns=[
            Column("outline", xtype="adql:REGION"),
            Column("access_url", link=True, ucd="meta.ref.url"),
        ],
    )
    builder.close()
    made = Database(path, base="http://127.0.0.1:1")
    yield made
    made.close()


@pytest.fixture(scope="session")
def ask(database):
    """Return the rows of a query as a list of tuples."""

    def rows(query: str, *, maxrec: int = 10_000, seconds: float = 20.0) -> list[tuple]:
        answer = database.run(database.plan(query, maxrec=maxrec), seconds=seconds)
        return list(zip(*(c.to_pylist() for c in answer.rows.columns), strict=True))

    return rows


@pytest.fixture(scope="session")
def surroundings(request, tmp_path_factory) -> dict[str, str]:
    """Environment in which archives of these tests start: nothing of the user's is touched.

    The demo sky is kept between runs in pytest's own cache, since it takes seconds to draw.
    """
    home = tmp_path_factory.mktemp("home")
    return {
        **os.environ,
        "ASTROML_CACHE_DIR": str(Path(request.config.cache.mkdir("demo_sky"))),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def demo_folder(surroundings) -> Path:
    from jupyter_astroml.embedded import demo_sky

    return demo_sky.cached(Path(surroundings["ASTROML_CACHE_DIR"]))


@pytest.fixture(scope="session")
def archive(surroundings, demo_folder):
    """Give the demo archive, running as a child process."""
    from jupyter_astroml.embedded import serve

    patch = pytest.MonkeyPatch()
    for name in ("ASTROML_CACHE_DIR", "JUPYTER_RUNTIME_DIR"):
        patch.setenv(name, surroundings[name])
    with serve.start() as running:
        yield running
    patch.undo()


@pytest.fixture(scope="session")
def tap(archive):
    import pyvo

    return pyvo.dal.TAPService(archive.tap)
