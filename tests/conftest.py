"""Settings of all tests: places of their own, and no skips where CI forbids them."""

import os
import shutil
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Every host name but the loopback one fails in the browser, so that nothing can lean on a content
# delivery network.
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn skips into failures where the machine is said to have everything."""
    report = yield
    if report.skipped and os.environ.get("ASTROML_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped where skips are forbidden: {report.longrepr[-1]}"
    return report


@pytest.fixture(scope="session")
def sky_data():
    """Folder of real labelled data, which are not part of the project."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ASTROML_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real sky data here: set ASTROML_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_places(tmp_path_factory):
    """Keep the user's runs, caches and archives out of the tests."""
    root = tmp_path_factory.mktemp("places")
    names = {
        "ASTROML_CACHE_DIR": root / "cache",
        "ASTROML_RUN_DIR": root / "runs",
        "JUPYTER_RUNTIME_DIR": root / "runtime",
        "JUPYTER_CONFIG_DIR": root / "config",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, path in names.items():
            path.mkdir(parents=True)
            patch.setenv(name, str(path))
        yield root


@pytest.fixture(scope="session")
def demo_archive(own_places):
    """The demo sky, the one that ``aml.archive("demo")`` finds in this test session."""
    from jupyter_astroml.embedded.serve import demo

    running = demo()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def sky(request):
    """Cache folder with the demo sky, kept between runs: to build it takes as long as all tests."""
    from jupyter_astroml.embedded import demo_sky

    cache = Path(request.config.cache.mkdir("demo_sky"))
    demo_sky.cached(cache)
    return cache


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    found = filter(None, map(shutil.which, BROWSERS))
    path = os.environ.get("ASTROML_CHROMIUM") or next(found, None)
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium, or set ASTROML_CHROMIUM")
    return {**browser_type_launch_args, "executable_path": path, "args": list(FLAGS)}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1440, "height": 1000}}
