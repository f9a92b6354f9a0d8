from uuid import uuid4

import numpy as np
import pytest
from pools import SIDE, Provider, Service, poison_model

from jupyter_astroml.compute.pool_client import PoolClient


@pytest.fixture(scope="session")
def provider():
    made = Provider()
    yield made
    made.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Folder of a site's models."""
    folder = tmp_path_factory.mktemp("site")
    poison_model(folder)
    poison_model(folder, "slow", milliseconds=1.0)
    return folder


@pytest.fixture(scope="session")
def digest(site):
    """Of the site's models, which have the same weights."""
    from jupyter_astroml.models.cards import digest_of

    return digest_of(site / "poison" / "weights.safetensors")


@pytest.fixture(scope="module")
def make_pool(provider, site, tmp_path_factory):
    """Start pools; all of them have ended when the module has."""
    made = []

    def make(name="pool", *, environment=(), workers=2, where=None, **policy):
        service = Service(
            tmp_path_factory.mktemp(name),
            models=site,
            policy={
                "oidc": provider.policy(),
                "workers": where or {"count": workers, "memory": "1GiB"},
                "admins": ["root"],
                **policy,
            },
            environment=environment,
        )
        made.append(service)
        return service.start()

    yield make
    for service in made:
        service.stop()


@pytest.fixture(scope="module")
def pool(make_pool):
    """A pool that most tests of a module share."""
    return make_pool()


@pytest.fixture
def client(provider):
    """Make clients, each test with users of its own; closed at the end."""
    made, own = [], uuid4().hex[:6]

    def make(service, user="alice", **options):
        user = user if user == "root" else f"{user}-{own}"
        found = PoolClient(service.url, token=provider.token(user, **options), connections=32)
        made.append(found)
        return found

    yield make
    for one in made:
        one.close()


@pytest.fixture
def objects():
    """Make objects of the poison model that do no harm."""

    def make(n, *, seed=0):
        return np.random.default_rng(seed).random((n, 1, SIDE, SIDE), dtype=np.float32)

    return make


@pytest.fixture
def job(digest):
    """Describe a job."""

    def make(model="poison", **more):
        about = {"model": model, "digest": digest, "chunks": 10**6}
        return {**about, "client_id": uuid4().hex, **more}

    return make
