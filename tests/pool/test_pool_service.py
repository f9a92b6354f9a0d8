"""The pool over HTTP: who may do what, and what is refused."""

import hashlib
import io
import json
import pickle
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pools import SIDE

from jupyter_astroml.pool.service import Service

OPEN = {"/health", "/ready", "/"}
CANARY = "canary-3f9c1b7a5e"


@pytest.fixture
def ask(pool, provider):
    """Ask as a user, by hand."""

    def go(method, path, *, user="alice", token=None, service=pool, **more):
        headers = {"Authorization": f"Bearer {token or provider.token(user)}"}
        headers |= more.pop("headers", {})
        url = path if path.startswith("http") else f"{service.url}{path}"
        return requests.request(method, url, headers=headers, timeout=60, **more)

    return go


@pytest.fixture
def new_job(ask, job):
    def make(**more):
        about = {k: more.pop(k) for k in ("user", "service") if k in more}
        reply = ask("POST", "/v1/jobs", json=job(**more), **about)
        assert reply.status_code == 201, reply.text
        return reply.json()["job"]

    return make


def shape(values):
    return {"shape": ",".join(map(str, values.shape))}


def routes():
    """Every route of the application, with its methods."""
    service = Service(None, authenticator=None, policy=None, metrics=None)
    found = [
        (method, route.path.replace("{job}", "0" * 32).replace("{number}", "0"))
        for route in service.app().routes
        for method in route.methods - {"HEAD"}
        if "{name}" not in route.path
    ]
    assert len(found) > 12
    return found


def test_the_pool_computes_what_the_bundled_network_computes(ask, pool):
    from jupyter_astroml.models.catalogue import find
    from jupyter_astroml.models.loading import load

    entry = find("galaxy_morphology")
    with np.load(entry.folder / "replay.npz") as stored:
        values = stored["values"].astype("<f4")
    about = {"model": entry.name, "digest": entry.digest, **shape(values)}
    reply = ask("POST", "/v1/infer", params=about, data=values.tobytes())
    assert reply.status_code == 200, reply.text
    members = load(entry.name).logits(values)
    n = members.size
    got = np.frombuffer(reply.content, "<f4", count=n).reshape(len(values), *members[:, 0].shape)
    np.testing.assert_allclose(np.moveaxis(got, 1, 0), members, atol=1e-4)
    assert reply.content[4 * n :] == bytes(len(values))


@pytest.mark.parametrize(("method", "path"), routes())
def test_nobody_gets_in_without_a_valid_token(pool, provider, method, path):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = provider.token("alice")
    refused = {
        "none": {},
        "garbage": {"Authorization": "Bearer garbage-garbage"},
        "a cookie": {"Cookie": f"token={good}"},
        "basic": {"Authorization": f"Basic {good}"},
        "expired": {"Authorization": f"Bearer {provider.token('alice', seconds=-60)}"},
        "for others": {"Authorization": f"Bearer {provider.token('alice', aud='elsewhere')}"},
        "of others": {"Authorization": f"Bearer {provider.token('alice', iss='https://e.org')}"},
        "forged": {"Authorization": f"Bearer {provider.token('alice', key=other)}"},
        "unsigned": {"Authorization": f"Bearer {_unsigned(good)}"},
        "nameless": {"Authorization": f"Bearer {provider.token('')}"},
    }
    for what, headers in refused.items():
        reply = requests.request(method, pool.url + path, headers=headers, timeout=30)
        assert reply.status_code == (200 if path in OPEN else 401), f"{what}: {reply.text}"
        if path not in OPEN:
            assert set(reply.json()) == {"code", "what", "cause", "remedy"}
            assert good not in reply.text


def _unsigned(token):
    return "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + token.split(".")[1] + "."


def test_jobs_of_others_do_not_exist(ask, new_job, objects):
    mine = new_job()
    values = objects(4)
    where = f"/v1/jobs/{mine}/chunks/0"
    assert ask("PUT", where, params=shape(values), data=values.tobytes()).status_code == 202
    walked = 0
    for method, path in routes():
        if "0" * 32 in path:
            body = {"params": shape(values), "data": values.tobytes()} if method == "PUT" else {}
            there = ask(method, path.replace("0" * 32, mine), user="bob", **body)
            nowhere = ask(method, path, user="bob", **body)
            assert there.status_code == nowhere.status_code == 404
            assert there.text == nowhere.text
            walked += 1
    assert walked >= 5
    assert ask("GET", f"{where}?wait=20").status_code == 200
    assert mine not in ask("GET", "/v1/jobs", user="bob").text
    for path in ("/v1/status", "/metrics"):
        assert ask("GET", path, user="bob").status_code == 403
        assert ask("GET", path, user="root").status_code == 200


def test_the_same_bytes_again_do_no_harm_and_others_are_refused(ask, new_job, objects):
    where = f"/v1/jobs/{new_job()}/chunks/3"
    values = objects(5)
    states = [
        ask("PUT", where, params=shape(values), data=values.tobytes()).status_code for _ in range(3)
    ]
    assert states == [202, 200, 200]
    other = ask("PUT", where, params=shape(values), data=(values + 1).tobytes())
    assert other.status_code == 409
    changed = ask(
        "PUT",
        where.replace("/3", "/4"),
        params=shape(values),
        data=values.tobytes(),
        headers={"X-SHA256": hashlib.sha256(b"other").hexdigest()},
    )
    assert (changed.status_code, changed.json()["code"]) == (422, "hash")
    assert ask("GET", where.replace("/3", "/4")).status_code == 404


def test_a_job_that_is_deleted_while_a_chunk_comes_is_gone(pool, ask, provider, new_job, objects):
    job, body = new_job(), objects(64).tobytes()
    token = provider.token("alice")
    with socket.create_connection(("127.0.0.1", pool.port), timeout=10) as line:
        line.sendall(
            f"PUT /v1/jobs/{job}/chunks/0?shape=64,1,{SIDE},{SIDE} HTTP/1.1\r\nHost: pool\r\n"
            f"Authorization: token {token}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        line.sendall(body[:1000])
        time.sleep(0.3)
        assert ask("DELETE", f"/v1/jobs/{job}").status_code == 204
        line.sendall(body[1000:])
        answer = line.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 404")
    assert "You have no such job" in answer


@pytest.mark.parametrize("number", ["9" * 5000, "²", "-1", "1e3"])
def test_chunks_have_numbers(ask, new_job, number):
    assert ask("GET", f"/v1/jobs/{new_job()}/chunks/{number}").status_code == 404


@pytest.mark.parametrize("name", ["\ud800", "a\nb", "x" * 201, ""])
def test_names_of_clients_are_lines(ask, job, name):
    reply = ask("POST", "/v1/jobs", data=json.dumps({**job(), "client_id": name}))
    assert reply.status_code == 400
    assert "client_id" in reply.json()["what"]


def test_a_job_is_made_once_for_each_name_of_the_client(ask, job):
    about = job()
    first, second = (ask("POST", "/v1/jobs", json=about).json()["job"] for _ in range(2))
    assert first == second
    assert ask("POST", "/v1/jobs", json=about, user="bob").json()["job"] != first


def test_lengths_must_fit_shapes_exactly(ask, new_job, objects):
    where = f"/v1/jobs/{new_job()}/chunks/0"
    values = objects(4)
    body = values.tobytes()
    refused = {
        "4,1,8,7": 422,
        "3,1,8,8": 422,
        "5,1,8,8": 422,
        "4,1,8": 422,
        "4,1,8,8,1": 400,
        "0,1,8,8": 400,
        "-4,1,8,8": 400,
        "4;1;8;8": 400,
        "99999999,99999999,99999999,9": 413,
        "": 400,
        "4,1,8,８": 400,
    }
    for text, code in refused.items():
        assert ask("PUT", where, params={"shape": text}, data=body).status_code == code, text
    chunked = ask("PUT", where, params=shape(values), data=iter([body]))
    assert (chunked.status_code, chunked.json()["code"]) == (411, "length")
    assert ask("GET", where).status_code == 404


def test_formats_that_can_carry_code_are_just_bytes_of_the_wrong_length(ask, new_job, objects):
    where = f"/v1/jobs/{new_job()}/chunks/0"
    values = objects(4)
    npy = io.BytesIO()
    np.save(npy, values)
    for body in (npy.getvalue(), pickle.dumps(values), b"PK\x03\x04" + values.tobytes()):
        reply = ask("PUT", where, params=shape(values), data=body)
        assert (reply.status_code, reply.json()["code"]) == (422, "length")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd", "..%2f..%2fetc", "poison/../slow", "/etc/passwd", "poison\x00",
        "hf://somebody/model", "https://e.org/model", "poison.pt", "file:///tmp/model", "",
        "POISON", "a" * 99, "poison'; DROP TABLE jobs; --", "${HOME}", "é",
    ],
)  # fmt: skip
def test_models_are_names_of_the_catalogue_and_nothing_else(ask, job, name):
    reply = ask("POST", "/v1/jobs", json=job(model=name))
    assert reply.status_code in (400, 404)
    assert reply.json()["code"] == "model"


def test_weights_of_another_digest_are_refused(ask, job):
    reply = ask("POST", "/v1/jobs", json=job(digest="sha256:" + "0" * 64))
    assert reply.status_code == 404


@pytest.mark.timeout(200)
def test_ten_thousand_senseless_requests_are_refused_and_nothing_else_happens(
    pool, provider, new_job, digest
):
    mine = new_job()
    methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    text = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30)
    piece = st.one_of(st.sampled_from(["v1", "jobs", mine, "chunks", "0", "infer", ".."]), text)
    known = ["v1/jobs", f"v1/jobs/{mine}", f"v1/jobs/{mine}/chunks/0", "v1/infer", "v1/status"]
    paths = st.one_of(
        st.lists(piece, max_size=6), st.sampled_from(known).map(lambda path: path.split("/"))
    )
    keys = st.sampled_from(["shape", "model", "digest", "operation", "exact", "wait", "x"])
    values = st.one_of(text, st.sampled_from(["poison", digest, "1,1,8,8", "logits", "1e309"]))
    headers = st.one_of(
        st.just({}),
        st.fixed_dictionaries({"Content-Length": st.integers(-5, 300).map(str)}),
        st.fixed_dictionaries({"Transfer-Encoding": st.sampled_from(["chunked", "gzip", "x"])}),
        st.fixed_dictionaries({"X-SHA256": text, "Content-Type": text}),
    )
    service = psutil.Process(pool.process.pid)
    before = service.memory_info().rss
    seen = {}
    token = provider.token("fuzz")
    where = urlsplit(pool.url)

    @settings(
        max_examples=10_000,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        methods,
        paths,
        st.dictionaries(keys, values, max_size=4),
        headers,
        st.binary(max_size=300),
    )
    def sends(method, path, query, headers, body):
        target = "/" + "/".join(map(_quoted, path))
        target += "?" + "&".join(f"{k}={_quoted(v)}" for k, v in query.items())
        lines = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            headers = {**headers, "Content-Length": str(len(body))}
        lines += [f"{k}: {v}" for k, v in headers.items()]
        lines.append("Connection: close")
        with socket.create_connection((where.hostname, where.port), timeout=20) as door:
            door.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
            if "Transfer-Encoding" in headers or int(headers["Content-Length"]) > len(body):
                # The service would wait for the rest.
                door.shutdown(socket.SHUT_WR)
            reply = door.recv(4096)
        code = int(reply[9:12]) if reply else 0
        seen[code] = seen.get(code, 0) + 1
        if code >= 500:
            raise AssertionError((lines, body, reply))

    sends()
    print(seen)
    refused = sum(number for code, number in seen.items() if 400 <= code < 500)
    assert sum(seen.values()) >= 10_000
    assert refused >= 7000
    assert {400, 403, 404, 405, 422} <= set(seen)
    # A few come upon what everybody may ask.
    assert set(seen) - {0} <= {200, 204, *range(400, 500)}
    assert service.memory_info().rss - before < 50 << 20


def _quoted(text):
    return "".join(f"%{ord(c):02X}" if not (c.isascii() and c.isalnum()) else c for c in text)


@pytest.mark.timeout(120)
def test_a_flood_is_stopped_before_memory_is_taken(pool, ask, new_job, objects):
    mine = new_job(model="slow")
    values = objects(12_000)  # 3 MB
    service = psutil.Process(pool.process.pid)
    before = service.memory_info().rss

    def send(number):
        where = f"/v1/jobs/{mine}/chunks/{number}"
        return ask("PUT", where, params=shape(values), data=values.tobytes())

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(send, range(160)))
    codes = [reply.status_code for reply in replies]
    assert codes.count(202) + codes.count(429) == 160
    assert 60 <= codes.count(202) <= 100
    full = next(reply for reply in replies if reply.status_code == 429)
    assert int(full.headers["Retry-After"]) >= 1
    assert service.memory_info().rss - before < 256 << 20
    begin = time.monotonic()
    assert ask("DELETE", f"/v1/jobs/{mine}").status_code == 204
    assert time.monotonic() - begin < 5
    few = objects(64)
    about = {"model": "poison", "digest": _digest(ask), **shape(few)}
    reply = ask("POST", "/v1/infer", params=about, data=few.tobytes(), user="bob")
    assert reply.status_code == 200


def test_headers_without_end_are_refused_before_they_fill_the_memory(pool):
    service = psutil.Process(pool.process.pid)
    before, sent = service.memory_info().rss, 0
    with socket.create_connection(("127.0.0.1", pool.port), timeout=20) as door:
        door.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Much: ")
        with suppress(OSError):
            while sent < 64 << 20:
                door.sendall(b"x" * (1 << 20))
                sent += 1 << 20
    assert sent < 32 << 20
    assert service.memory_info().rss - before < 16 << 20


def _digest(ask):
    models = ask("GET", "/v1/models").json()["models"]
    return next(model["digest"] for model in models if model["id"] == "poison")


@pytest.mark.timeout(120)
def test_slow_and_silent_clients_hold_up_nobody(pool, ask, provider, new_job, objects):
    mine = new_job()
    where = urlsplit(pool.url)
    doors = []
    head = (
        f"PUT /v1/jobs/{mine}/chunks/{{}}?shape=4000,1,8,8 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {provider.token('alice')}\r\nContent-Length: 1024000\r\n\r\n"
    )
    service = psutil.Process(pool.process.pid)
    before = service.memory_info().rss
    try:
        for number in range(500):
            door = socket.create_connection((where.hostname, where.port), timeout=20)
            doors.append(door)
            if number % 5 == 0:
                door.sendall(head.format(number).encode() + b"x" * 10_000)
        values = objects(16)
        about = {"model": "poison", "digest": _digest(ask), **shape(values)}
        for _ in range(5):
            reply = ask("POST", "/v1/infer", params=about, data=values.tobytes(), user="bob")
            assert reply.status_code == 200
        assert service.memory_info().rss - before < 128 << 20
    finally:
        for door in doors:
            door.close()
    time.sleep(1)
    used = ask("GET", "/v1/me").json()
    assert used["used"]["queued_bytes"] == 0


def test_who_goes_away_is_not_computed_for(pool, ask, provider, new_job, objects):
    values = objects(200)
    about = f"model=slow&digest={_digest(ask)}&shape=200,1,{SIDE},{SIDE}"
    where = urlsplit(pool.url)
    body = values.tobytes()
    for _ in range(20):
        with socket.create_connection((where.hostname, where.port), timeout=20) as door:
            door.sendall(
                f"POST /v1/infer?{about} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                f"Authorization: Bearer {provider.token('carol')}\r\n\r\n".encode()
                + body
            )
    end = time.monotonic() + 3
    while ask("GET", "/v1/status", user="root").json()["waiting_s"] and time.monotonic() < end:
        time.sleep(0.1)
    assert not ask("GET", "/v1/status", user="root").json()["waiting_s"]


def test_exact_answers_do_not_depend_on_what_else_runs(pool, client, job, objects):
    from jupyter_astroml.models.catalogue import find

    entry = find("galaxy_morphology")
    with np.load(entry.folder / "replay.npz") as stored:
        values = stored["values"].astype("<f4")
    about = {"model": entry.name, "digest": entry.digest, "exact": True}
    ready = client(pool)

    def answers(parts):
        name = ready.create(job(**about))
        for number, part in enumerate(parts):
            ready.send(name, number, part)
        return np.concatenate([ready.fetch(name, i).outputs for i in range(len(parts))])

    alone = answers([values])
    with ThreadPoolExecutor(4) as threads:
        noise = [
            threads.submit(ready.fetch, name, 0)
            for name in [ready.create(job(model="slow"))]
            if ready.send(name, 0, objects(500)) is None
        ]
        for parts in (np.split(values, len(values)), [values[:2], values[2:]]):
            np.testing.assert_array_equal(answers(parts), alone)
        assert all(not found.result().status.any() for found in noise)


def test_a_user_of_a_group_has_its_limits_while_it_lasts(make_pool, ask, provider, job):
    pool = make_pool(
        "class",
        groups={
            "lesson": {"share": 4, "ends": "2999-01-01T00:00:00Z", "limits": {"running_jobs": 9}},
            "over": {"share": 50, "ends": "2020-01-01T00:00:00Z"},
        },
        workers=1,
    )
    for groups, share, running in ((["lesson", "over"], 4.0, 9), (["over"], 1.0, 2), ([], 1.0, 2)):
        token = provider.token("tess", groups=groups)
        me = ask("GET", "/v1/me", service=pool, token=token).json()
        assert (me["share"], me["limits"]["running_jobs"]) == (share, running)


def test_tokens_stay_out_of_everything_that_others_may_read(make_pool, ask, provider, objects):
    pool = make_pool("canary", environment={"SOME_TOKEN": CANARY, "JPY_API_TOKEN": CANARY})
    token = provider.token("alice", note=CANARY)
    for path in ("/v1/me", "/v1/jobs/nothing", "/v1/status", "/metrics", "/nowhere"):
        reply = ask("GET", path, service=pool, token=token)
        assert token not in reply.text
    ask("POST", "/v1/jobs", service=pool, token=token, data=b"{" + token.encode())
    for process in pool.workers:
        assert CANARY.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes()
    metrics = ask("GET", "/metrics", service=pool, user="root").text
    assert "pool_requests_total" in metrics
    for text in (pool.log.read_text(), metrics):
        assert CANARY not in text
        assert token.split(".")[2] not in text


def test_nothing_but_the_service_can_be_spoken_to(pool):
    family = [psutil.Process(pool.process.pid)]
    family += family[0].children(recursive=True)
    doors = {
        (found.laddr.ip, found.laddr.port)
        for process in family
        for found in process.net_connections(kind="inet")
        if found.status == psutil.CONN_LISTEN
    }
    assert ("127.0.0.1", pool.port) in doors
    others = doors - {("127.0.0.1", pool.port)}
    assert len(others) >= 3
    for host, port in others:
        assert host in ("127.0.0.1", "::1"), f"{host}:{port} can be reached from other machines"
        for path in ("/", "/metrics", "/status", "/info/main/workers.html", "/json/counts.json"):
            try:
                reply = requests.get(f"http://{host}:{port}{path}", timeout=3)
            except requests.RequestException:
                # It speaks TLS, and only with the pool's own certificate.
                continue
            assert reply.status_code == 404, f"{port}{path}"
            assert not re.search("worker|dask", reply.text, re.IGNORECASE)
