"""The pool as a service of a real hub: who gets in, and what it tells whom."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import requests
from hubs import ACCESS, SHIPPED

from jupyter_astroml.core.errors import RunError
from jupyter_astroml.models.loading import load
from jupyter_astroml.pool.service import Service

MODEL = "galaxy_morphology"
CHUNK = "shape=2,3,128,128"


def asked(hub, path, token="", *, method="GET", pool="", **more):
    headers = {"Authorization": f"token {token}"} if token else {}
    return requests.request(
        method, f"{pool or hub.pool}/{path}", headers=headers, timeout=60, **more
    )


def job(client):
    (model,) = [m for m in client.get("models")["models"] if m["id"] == MODEL]
    return client.create(
        {"model": MODEL, "digest": model["digest"], "chunks": 4, "client_id": "of the test"}
    )


@pytest.fixture
def own_hub(make_hub):
    """A hub for one test, which may do it harm."""
    made = []

    def make(**about):
        made.append(make_hub(workers={"count": 1}, **about))
        return made[-1]

    yield make
    for hub in made:
        hub.stop()


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(1).random((4, 3, 128, 128), dtype=np.float32)


def test_a_token_of_a_user_gets_answers(hub, client, values):
    alice = client(hub, hub.token("alice")["token"])
    assert alice.get("me")["user"] == "alice"
    name = job(alice)
    alice.send(name, 0, values)
    got = alice.fetch(name, 0)
    alice.delete(name)
    assert not got.status.any()
    expected = np.moveaxis(load(MODEL).logits(values), 0, 1)
    np.testing.assert_allclose(got.outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("path", ["v1/models", "v1/me", "v1/jobs", "v1/status", "metrics"])
@pytest.mark.parametrize("token", ["", "x", "0123456789abcdef" * 2, "a" * 9000])
def test_who_has_no_token_of_the_hub_learns_nothing(hub, path, token):
    for pool in (hub.pool, hub.pool_itself):
        reply = asked(hub, path, token, pool=pool)
        assert reply.status_code == 401
        assert reply.json()["code"] == "token"


def test_a_token_in_a_cookie_or_in_the_address_is_none(hub):
    token = hub.token("alice")["token"]
    cookies = {"jupyterhub-services": token, "token": token}
    assert asked(hub, f"v1/me?token={token}", cookies=cookies).status_code == 401


def test_a_token_that_is_not_for_the_pool_is_told_its_missing_scope(hub):
    reply = asked(hub, "v1/me", hub.token("alice", scopes=["self"])["token"])
    told = reply.json()
    assert (reply.status_code, told["code"]) == (403, "scope")
    assert ACCESS in told["cause"]
    assert "load_roles" in told["remedy"]
    assert "server_token_scopes" in told["remedy"]


def test_the_token_of_another_service_is_refused_unless_it_may(hub):
    assert asked(hub, "v1/me", hub.services["other"]).status_code == 403
    # A service that the hub lets in has a name that no user can have.
    me = asked(hub, "v1/me", hub.services["prometheus"]).json()
    assert me["user"] == "service:prometheus"


def test_a_user_with_the_name_of_a_service_is_refused(hub):
    hub.ask("POST", "users/service:prometheus")
    token = hub.token("service:prometheus")["token"]
    for path in ("v1/me", "metrics"):
        reply = asked(hub, path, token)
        assert (reply.status_code, reply.json()["code"]) == (403, "name")


def test_a_revoked_token_is_refused_within_half_a_minute(hub):
    made = hub.token("alice")
    assert asked(hub, "v1/me", made["token"]).status_code == 200
    hub.ask("DELETE", f"users/alice/tokens/{made['id']}")
    hub.until(
        lambda: asked(hub, "v1/me", made["token"]).status_code == 401, "it is refused", seconds=35
    )


def test_only_administrators_of_the_policy_see_the_whole_pool(hub):
    for path in ("v1/status", "metrics"):
        assert asked(hub, path, hub.token("ada")["token"]).status_code == 200
        assert asked(hub, path, hub.services["prometheus"]).status_code == 200
        reply = asked(hub, path, hub.token("alice")["token"])
        assert (reply.status_code, reply.json()["code"]) == (403, "admin")


def test_the_page_of_the_pool_finds_its_parts_behind_the_proxy(hub):
    page = asked(hub, "")
    assert page.status_code == 200
    parts = re.findall(r'src="([^"]+)"', page.text)
    assert len(parts) == 3
    for part in parts:
        found = asked(hub, part)
        assert (found.status_code, found.headers["Content-Type"][:15]) == (200, "text/javascript")


def test_the_guide_names_metrics_that_there_are(hub):
    named = set(re.findall(r"`(pool_[a-z_]+)`", (SHIPPED.parent / "pool.md").read_text()))
    assert len(named) >= 5
    text = asked(hub, "metrics", hub.services["prometheus"]).text
    assert [name for name in named if f"# HELP {name} " not in text] == []


def test_groups_of_the_hub_give_a_share(hub):
    shares = {
        user: asked(hub, "v1/me", hub.token(user)["token"]).json() for user in ("ada", "alice")
    }
    assert (shares["ada"]["groups"], shares["ada"]["share"]) == (["teachers"], 4.0)
    assert (shares["alice"]["groups"], shares["alice"]["share"]) == ([], 1.0)


def routes_of_a_job():
    """Every route that names a job, with each of its methods."""
    found = Service(None, authenticator=None, policy=None, metrics=None).app().routes
    return [
        (method, route.path.removeprefix("/"))
        for route in found
        if "{job}" in route.path
        for method in sorted(route.methods)
    ]


def test_the_routes_of_a_job_are_the_known_ones():
    assert len(routes_of_a_job()) == 7


@pytest.mark.parametrize(("method", "path"), routes_of_a_job())
def test_a_job_is_not_there_for_another_user(hub, client, values, method, path):
    alice = client(hub, hub.token("alice")["token"])
    name = job(alice)
    alice.send(name, 0, values)
    alice.fetch(name, 0)
    place = re.sub("{number}", "0", path.replace("{job}", name))
    bob = hub.token("bob")["token"]
    reply = asked(hub, f"{place}?{CHUNK}", bob, method=method, data=values[:2].tobytes())
    nothing = place.replace(name, "0" * len(name))
    same = asked(hub, f"{nothing}?{CHUNK}", bob, method=method, data=values[:2].tobytes())
    # Bob cannot tell Alice's job from one that never was.
    assert reply.status_code == same.status_code == 404
    assert reply.content == same.content
    assert asked(hub, "v1/jobs", bob).json() == {"jobs": []}
    assert alice.get(f"jobs/{name}")["done"] == 1
    alice.delete(name)


def doctor(hub, user):
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_astroml", "pool", "doctor", "--json"],
        env=hub.server_environment(user),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_doctor_finds_nothing_wrong_in_a_user_server(hub):
    hub.start_server("alice")
    code, findings = doctor(hub, "alice")
    assert code == 0
    assert [finding["good"] for finding in findings] == [True] * 4
    assert "knows you as alice" in findings[2]["what"]


def test_the_doctor_names_the_line_that_a_hub_lacks(hub):
    hub.start_server("carol")
    code, findings = doctor(hub, "carol")
    hub.ask("DELETE", "users/carol/server")
    assert code == 1
    assert not findings[-1]["good"]
    assert ACCESS in findings[-1]["what"]
    assert "c.Spawner.server_token_scopes" in findings[-1]["remedy"]


def test_a_run_goes_on_when_the_service_is_killed(hub, demo_archive, tmp_path, monkeypatch, values):
    import jupyter_astroml as aml

    monkeypatch.setenv("ASTROML_POOL", hub.pool)
    monkeypatch.setenv("ASTROML_POOL_TOKEN", hub.token("alice")["token"])
    with aml.archive(demo_archive.tap) as sky:
        rows = sky.query("SELECT TOP 60 * FROM demo.galaxies ORDER BY id")
    killed = []

    def kill(at):
        if at.done and not killed:
            killed.append(hub.service_process())
            killed[0].kill()

    run = aml.predict(
        rows, model=MODEL, engine="pool", block=4, run=tmp_path / "pool", progress=kill
    )
    assert killed
    assert run.predictions().ok.all()
    # The hub started it again, and the log tells so.
    assert hub.service_process().pid != killed[0].pid
    assert "Service pool exited with status -9" in hub.log.read_text()


@pytest.mark.timeout(240)
def test_without_the_hub_nobody_gets_in(own_hub, client):
    own = own_hub()
    token, other = own.token("alice")["token"], own.token("alice")["token"]

    def refused(token):
        reply = asked(own, "v1/me", token, pool=own.pool_itself)
        assert (reply.status_code, reply.json()["code"]) == (503, "hub")
        assert int(reply.headers["Retry-After"]) > 0

    # It hangs, answers again, and ends without a word.
    own.process.suspend()
    refused(token)
    own.process.resume()
    assert asked(own, "v1/me", token, pool=own.pool_itself).status_code == 200
    own.kill()
    refused(other)
    assert asked(own, "health", pool=own.pool_itself).json() == {"alive": True}
    with pytest.raises(RunError, match="cannot be checked now"):
        client(own, other, patience=1).get("me")


def test_tokens_stay_out_of_logs_and_workers(hub, client, values):
    token = hub.token("alice")["token"]
    alice = client(hub, token)
    name = job(alice)
    alice.send(name, 0, values)
    alice.fetch(name, 0)
    alice.delete(name)
    written = [hub.log, *(hub.home / "spool").rglob("*")]
    assert len(written) > 3
    found = [path for path in written if path.is_file() and token.encode() in path.read_bytes()]
    assert found == []
    # The service itself had the hub's token from the hub; no process that runs models has.
    children = hub.service_process().children(recursive=True)
    assert len(children) >= 2
    for child in children:
        assert not [key for key in child.environ() if key.startswith("JUPYTERHUB")]


@pytest.mark.timeout(240)
def test_a_pool_of_its_own_goes_on_while_the_hub_is_restarted(own_hub, client):
    own = own_hub(apart=True)
    alice = client(own, own.token("alice")["token"])
    name = job(alice)
    own.process.terminate()
    own.process.wait(60)
    assert asked(own, "ready", pool=own.pool_itself).json() == {"ready": True}
    assert asked(own, "v1/me", "0123456789abcdef", pool=own.pool_itself).status_code == 503
    own.start()
    assert alice.get("jobs")["jobs"][0]["job"] == name
    assert own.pool_process.poll() is None
