"""Starts archives: in the foreground, as a child that dies with us, or one for all of a user."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from jupyter_astroml.core.errors import ArchiveError, AstroMLError, SettingsError
from jupyter_astroml.core.settings import settings

IDLE_MINUTES = 30.0
SERVICE = "jupyter_astroml embedded archive"
# The demo sky takes some ten seconds to build on a fast machine.
START_SECONDS = 180.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Running:
    """An archive that serves.

    As a context manager it stops, at the end, an archive that `start` started; the demo archive,
    which others may use too, goes on.

    Attributes
    ----------
    url : str
        Address; TAP is at ``<url>/tap``.
    pid : int
        Process.
    """

    url: str
    pid: int
    _process: subprocess.Popen[str] | None = field(default=None, repr=False, compare=False)
    _instance: str = field(default="", repr=False, compare=False)

    @property
    def tap(self) -> str:
        """Address of the TAP service."""
        return f"{self.url}/tap"

    def stop(self) -> None:
        """End the archive; nothing happens when it has ended."""
        if self._process is not None:
            _end(self._process)
        elif _identity(self.url).get("instance") == self._instance:
            # Another program may have got the number of a process that ended, so ask first.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            _wait_until(lambda: not _identity(self.url), seconds=_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self.stop()


def start(
    folder: str | Path | None = None,
    *,
    port: int = 0,
    config: str | Path | None = None,
    token: str = "",
    user_tables: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Running:
    """Start an archive as a child process, which ends when this process does.

    Parameters
    ----------
    folder : path, optional
        What to publish; the demo sky when absent.
    port : int
        On loopback; 0 takes a free one.
    config : path, optional
        Description of the folder, instead of its ``archive.yaml``.
    token : str
        What every request for data must carry as ``Authorization: Bearer``; empty lets everybody
        on this computer in.
    user_tables : bool
        Let whoever may ask make tables too; they are in memory, and end with the archive.
    progress : callable, optional
        Told what is being done, such as building the demo sky for the first time.

    Returns
    -------
    Running

    Raises
    ------
    ArchiveError
        When it does not start; the cause is what the child said.
    SettingsError
        For a token that HTTP cannot carry.
    """
    command = [sys.executable, "-m", "jupyter_astroml.embedded", "--port", str(port), "--child"]
    if config is not None:
        command += ["--config", str(config)]
    if user_tables:
        command += ["--user-tables"]
    if folder is not None:
        command += ["--", str(folder)]
    # A file, and no pipe that would fill up and stop the child when nobody reads it.
    with tempfile.TemporaryFile("w+") as said, _kept(token) as secret:
        process = subprocess.Popen(
            [*command[:3], *secret, *command[3:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        told = _first_words(process, said, progress=progress)
    return Running(told["url"], told["pid"], process, told["instance"])


@contextlib.contextmanager
def _kept(token: str) -> Iterator[list[str]]:
    """Keep a token in a file of ours until the child has read it: everybody sees arguments."""
    if not token:
        yield []
        return
    _check_token(token)
    with tempfile.NamedTemporaryFile("w", prefix="astroml-", suffix=".token") as file:
        file.write(token)
        file.flush()
        yield ["--token-file", file.name]


def _check_token(token: str) -> str:
    # RFC 6750 section 2.1.
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{16,1000}=*", token):
        raise SettingsError(
            "The token of the archive cannot be used",
            cause="it has fewer than 16 characters, or others than letters, digits and ._~+/-",
            remedy="make one with: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    return token


def _token(path: str) -> str:
    """Read a file that holds a token and nothing else.

    Raises
    ------
    SettingsError
        When it cannot be read or holds something else.
    """
    try:
        with Path(path).open(encoding="ascii") as file:
            return _check_token(file.read(4_096).strip())
    except (OSError, UnicodeDecodeError) as err:
        raise SettingsError(
            f"The file {path} gives no token", cause=getattr(err, "strerror", "") or "no plain text"
        ) from err


def _first_words(
    process: subprocess.Popen[str], said: IO[str], *, progress: Callable[[str], None] | None
) -> dict[str, Any]:
    """Read what a child says until it serves: one JSON object a line; `said` is its complaints."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    late = threading.Timer(START_SECONDS, process.kill)
    late.start()
    try:
        for line in process.stdout:
            told = json.loads(line)
            if "url" in told:
                return dict(told)
            if "error" in told:
                _end(process)
                raise _again(told["error"])
            if progress is not None:
                progress(told["progress"])
    finally:
        late.cancel()
    _end(process)
    said.seek(0)
    last = said.read()[-400:].strip().split("\n")[-1]
    raise ArchiveError(
        "The archive did not start",
        cause=f"its process ended with code {process.returncode}: {last}",
        remedy="run python -m jupyter_astroml.embedded to see what it says",
    )


def _again(told: dict[str, str]) -> AstroMLError:
    kinds = {kind.code: kind for kind in AstroMLError.__subclasses__()}
    kind = kinds.get(told["code"], ArchiveError)
    return kind(told["what"], cause=told["cause"], remedy=told["remedy"])


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def demo(*, progress: Callable[[str], None] | None = None) -> Running:
    """Return the demo archive of this user; start it when it does not run.

    It is one process for all notebooks of a user, and ends by itself after half an hour without a
    request.

    Parameters
    ----------
    progress : callable, optional
        Told what is being done.

    Returns
    -------
    Running

    Raises
    ------
    ArchiveError
        When it does not start.
    """
    from filelock import FileLock

    folder = _runtime()
    with FileLock(folder / "demo.lock"):
        return _known(folder) or _launch(folder, progress=progress)


def _runtime() -> Path:
    from jupyter_core.paths import jupyter_runtime_dir

    folder = Path(jupyter_runtime_dir()) / "jupyter_astroml"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _state(folder: Path) -> Path:
    """Return where the demo archive of this version notes its address.

    Each version has its own: another one may be in use by a notebook of another environment, and
    ends by itself when it is not.
    """
    return folder / f"demo-{version()}.json"


def _preferred(folder: Path) -> int:
    """Return the port that the demo archive of a user takes if it is free.

    Rows, runs and files name addresses, which should hold tomorrow too; below 32768, from where
    systems hand out ports to whoever asks for any.
    """
    import hashlib

    digest = hashlib.sha256(str(folder).encode()).digest()
    return 20_000 + int.from_bytes(digest[:4]) % 10_000


def serves(url: str) -> bool:
    """Whether an archive of ours answers at an address."""
    return _identity(url).get("service") == SERVICE


def _known(folder: Path) -> Running | None:
    """Return the demo archive of this version, if it runs."""
    try:
        state = json.loads(_state(folder).read_text())
        found = Running(state["url"], int(state["pid"]), None, state["instance"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    told = _identity(found.url)
    if not told or told.get("instance") != found._instance:
        return None
    return found if told.get("version") == version() else None


def _launch(folder: Path, *, progress: Callable[[str], None] | None) -> Running:
    """Start the demo archive; it builds the demo sky itself, so that the caller stays free."""
    state = _state(folder)
    state.unlink(missing_ok=True)
    command = [sys.executable, "-m", "jupyter_astroml.embedded", "--state", str(state)]
    log = folder / "demo.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [*command, "--prefer", str(_preferred(folder)), "--idle-minutes", f"{IDLE_MINUTES:g}"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    # When it ends, somebody must take note, or it stays in the list of processes.
    threading.Thread(target=process.wait, daemon=True).start()
    with log.open() as words:
        _follow(process, state, words, progress=progress)
    found = _known(folder)
    if found is None:
        raise ArchiveError(
            "The demo archive did not start",
            cause=log.read_text()[-400:].strip(),
            remedy="run python -m jupyter_astroml.embedded to see what it says",
        )
    return found


def _follow(
    process: subprocess.Popen[bytes],
    state: Path,
    words: IO[str],
    *,
    progress: Callable[[str], None] | None,
) -> None:
    """Wait until an archive has written its state, and pass on what it says meanwhile.

    It is ended when it says nothing for longer than a start may take.
    """
    deadline = time.monotonic() + START_SECONDS
    line = ""
    while True:
        over = state.exists() or process.poll() is not None or time.monotonic() > deadline
        while part := words.readline():
            line += part
            if line.endswith("\n"):
                _pass_on(line, progress)
                line, deadline = "", time.monotonic() + START_SECONDS
        if over:
            break
        time.sleep(0.05)
    if not state.exists() and process.poll() is None:
        process.kill()
        process.wait()


def _pass_on(line: str, progress: Callable[[str], None] | None) -> None:
    try:
        told = json.loads(line)
    except ValueError:
        return  # a warning of some library, which stays in the log
    if isinstance(told, dict) and "error" in told:
        raise _again(told["error"])
    if isinstance(told, dict) and "progress" in told and progress is not None:
        progress(told["progress"])


def _wait_until(true: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _identity(url: str) -> dict[str, Any]:
    """Return what the archive at an address says about itself, or nothing."""
    import urllib.error
    import urllib.request

    # A proxy of the environment must not be asked about loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/", timeout=5) as answer:
            told = json.load(answer)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def version() -> str:
    """Return a hash of the programs of the archive: equal ones may share a process."""
    import hashlib

    from . import demo_sky

    digest = hashlib.sha256(demo_sky.fingerprint().encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve in the foreground; print the address of TAP as soon as it answers.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m jupyter_astroml.embedded",
        description="Serve the demo sky, or a folder, as a Virtual Observatory archive.",
    )
    parser.add_argument("folder", nargs="?", metavar="DIR", help="what to publish")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--config", help="description of DIR, instead of DIR/archive.yaml")
    parser.add_argument(
        "--token-file", help="file with the token that requests must carry as Authorization: Bearer"
    )
    parser.add_argument(
        "--user-tables", action="store_true", help="let users make tables, in memory"
    )
    parser.add_argument("--idle-minutes", type=float, default=0.0, help="end when nobody asks")
    parser.add_argument("--prefer", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--state", help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    say = _to_parent if given.child or given.state else _to_reader
    try:
        with tempfile.TemporaryDirectory(prefix="astroml-archive-") as scratch:
            asyncio.run(_serve(given, Path(scratch), say))
    except AstroMLError as err:
        say("error", err.to_json() if say is _to_parent else str(err))
        return 1
    return 0


def _to_parent(kind: str, value: Any) -> None:
    print(json.dumps(value if kind == "ready" else {kind: value}), flush=True)


def _to_reader(kind: str, value: Any) -> None:
    if kind == "ready":
        print(f"{value['url']}/tap", flush=True)
        print(
            f'Ctrl-C stops it. In a notebook: aml.archive("{value["url"]}/tap").schema()',
            file=sys.stderr,
            flush=True,
        )
    else:
        print(value, file=sys.stderr, flush=True)


async def _serve(given: argparse.Namespace, scratch: Path, say: Callable[[str, Any], None]) -> None:
    from . import app

    def tell(text: str) -> None:
        say("progress", text)

    token = _token(given.token_file) if given.token_file else ""

    if given.folder is None:
        from . import demo_sky

        archive = demo_sky.archive(demo_sky.cached(settings().cache_dir, progress=tell))
    else:
        from .folder import publish

        archive = publish(
            Path(given.folder),
            config=Path(given.config) if given.config else None,
            scratch=scratch,
            tell=tell,
        )
    parent = os.getppid()
    orphaned = threading.Event()
    if given.child:
        threading.Thread(target=_listen, args=(orphaned,), daemon=True).start()

    def ended(service: Any) -> bool:
        if given.child and (orphaned.is_set() or os.getppid() != parent):
            return True
        return given.idle_minutes > 0 and app.idle(service, seconds=60 * given.idle_minutes)

    def ready(about: dict[str, Any]) -> None:
        if given.state:
            _write_state(Path(given.state), about)
        say("ready", about)

    about = {"version": version() if given.state else "", "pid": os.getpid()}
    try:
        await app.serve(
            archive,
            port=given.port or (given.prefer if app.free(given.prefer) else 0),
            ready=ready,
            until=ended,
            about=about,
            token=token,
            users=given.user_tables,
        )
    finally:
        if given.state:
            Path(given.state).unlink(missing_ok=True)


def _listen(orphaned: threading.Event) -> None:
    """Notice that the parent closed our input, which the system does when it dies."""
    while sys.stdin.read(1):
        continue
    orphaned.set()


def _write_state(path: Path, about: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(about))
    new.chmod(0o600)
    new.replace(path)
