"""One hub for all tests of this folder: proxy, three users, an administrator, the pool."""

import json
import os

import pytest
from hubs import Hub, proxy_command

from jupyter_astroml.compute.pool_client import PoolClient


@pytest.fixture(scope="session")
def make_hub(tmp_path_factory, sky):
    """Start a hub, and end it with the tests."""
    if not proxy_command():
        pytest.skip("no configurable-http-proxy here: run tests/hub/install.sh")
    made = []

    def make(*, more=(), apart=False, **policy):
        root = tmp_path_factory.mktemp("hub")
        home, settings = root / "home", root / "settings"
        _without_news(settings)
        environment = {
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            "ASTROML_CACHE_DIR": str(sky),
            "ASTROML_RUN_DIR": "runs",
            # All of them are one account here; the demo archive is one for each account.
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
        }
        environment = {name: value for name, value in environment.items() if value}
        one = Hub(home, policy=policy, environment=environment, more=more, apart=apart)
        made.append(one)
        return one.start()

    yield make
    for one in made:
        one.stop()


def _without_news(settings):
    """News and updates want the network."""
    folder = settings / "@jupyterlab" / "apputils-extension"
    folder.mkdir(parents=True)
    (folder / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )


@pytest.fixture(scope="session")
def hub(make_hub):
    return make_hub(workers={"count": 1})


@pytest.fixture
def client():
    """Speak to a pool with a token."""
    made = []

    def make(hub, token, *, patience=60.0):
        made.append(PoolClient(hub.pool, token=token, patience=patience))
        return made[-1]

    yield make
    for one in made:
        one.close()
