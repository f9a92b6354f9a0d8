"""A Jupyter server with our extension, for this folder alone.

The fixtures are imported here and not by ``pytest_plugins`` at the root: the event loop that
pytest-jupyter keeps and the one of Playwright exclude one another.
"""

import pytest
from pytest_jupyter.jupyter_core import *  # noqa: F403
from pytest_jupyter.jupyter_server import *  # noqa: F403
from pytest_jupyter.pytest_tornasync import *  # noqa: F403


@pytest.fixture
def jp_server_config():
    return {
        "ServerApp": {
            "jpserver_extensions": {"jupyter_astroml": True},
            "allow_unauthenticated_access": False,
        }
    }
