"""What this package opened is closed by it, and not left to the garbage collector."""

import gc
from urllib.parse import urlsplit

import psutil
import pytest

from jupyter_astroml.archives.archive import archive
from jupyter_astroml.archives.fetch import fetch

GALAXIES = "SELECT TOP 4 id, ra, dec, access_url, access_format FROM demo.galaxies"


@pytest.fixture
def open_to(demo_archive):
    """Count this process's connections to the archive, those of other tests let go of before."""
    gc.collect()
    port = urlsplit(demo_archive.tap).port

    def count() -> int:
        found = psutil.Process().net_connections("tcp")
        return sum(bool(c.raddr) and c.raddr.port == port for c in found)

    before = count()
    return lambda: count() - before


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_archive_that_is_closed_has_no_connection_left(demo_archive, open_to, mode):
    with archive(demo_archive.tap) as sky:
        sky.schema()
        assert len(sky.query(GALAXIES, mode=mode)) == 4
        assert open_to() > 0
    assert open_to() == 0


def test_a_fetch_leaves_no_connection(demo_archive, open_to):
    with archive(demo_archive.tap) as sky:
        rows = sky.samples(sky.query(GALAXIES))
    samples, failures = fetch(rows)
    assert len(samples) == 4
    assert not failures
    assert open_to() == 0
