"""The folder in which a pool keeps its jobs."""

import subprocess
import sys

import pytest

from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.pool.journal import Journal

HOLD = """
import sys
from pathlib import Path
from jupyter_astroml.pool.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_has_one_pool_until_that_ends(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SettingsError, match="Another pool keeps its jobs"):
            Journal(tmp_path)
        # As by the kernel's memory guard: nothing is cleaned up.
        other.kill()
    journal = Journal(tmp_path)
    assert journal.jobs() == []
    journal.close()
    Journal(tmp_path).close()
