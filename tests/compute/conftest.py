from __future__ import annotations

import compute_performs as performs
import pytest

from jupyter_astroml.compute.dask_engine import Dask
from jupyter_astroml.core.jobs import Block, Job

DIGEST = "sha256:" + "a" * 64


@pytest.fixture(scope="session")
def cluster_engine():
    """One engine on two worker processes for all tests; dead workers are replaced."""
    with Dask(performs.answers, workers=2) as engine:
        yield engine


@pytest.fixture
def make_job(tmp_path):
    log = tmp_path / "log"
    log.mkdir()

    def make(**options) -> Job:
        return Job("predict", "test/model", DIGEST, {"log": str(log), **options})

    return make


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def make_blocks():
    def make(n: int, size: int, data=None):
        data = performs.references(n) if data is None else data
        return [Block(i, data[s : s + size]) for i, s in enumerate(range(0, n, size))]

    return make
