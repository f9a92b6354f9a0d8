"""Downloads that are kept: whole ones until there is no room, parts until they are whole.

::

    downloads/            only its owner may look into it
      index/<address>     validators, media type and hash of what an address sent
      content/<sha256>    what was sent, once however many addresses sent it
      parts/<address>     the beginning of a large file whose download was interrupted

An address is named by its hash, since it may hold a key.  What is kept is taken only after the
archive said that it has not changed (RFC 9110 section 13.1), so that nothing old is mistaken for
new, nor given to somebody who may no longer see it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

from jupyter_astroml.core.settings import settings

# Files below this size are begun anew when they break off.
LARGE = 4 * 2**20
# Seconds after which a time of change tells one version from the next.
_SETTLED = 60
# Room is made down to this share of the limit.
_AFTER = 0.8


@dataclass(frozen=True)
class Known:
    """What an address sent.

    Attributes
    ----------
    etag, modified : str
        Validators, as the archive gave them; at least one.
    media : str
        Media type.
    sha256 : str
        Of the body; empty while it is not whole.
    """

    etag: str
    modified: str
    media: str
    sha256: str = ""

    def unless_changed(self) -> dict[str, str]:
        """Return headers by which the archive sends the body only if it is another one."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.modified}

    @property
    def exact(self) -> str:
        """The validator that stands for each byte; empty without one (RFC 9110 section 8.8.1)."""
        return self.modified if self.etag.startswith("W/") or not self.etag else self.etag


class Kept:
    """What was downloaded before, in a folder that several processes may share.

    Parameters
    ----------
    folder : Path
        Made when it is needed.
    limit : int
        Most bytes of whole files; those that were not needed for longest go first.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._unseen = limit
        self._lock = threading.Lock()

    def find(self, url: str) -> tuple[Known, bytes] | None:
        """Return what an address sent, whole and unchanged; None if it is not here."""
        known = _read(self._place("index", url))
        if known is None or not known.sha256.isalnum():
            return None
        path = self._folder / "content" / known.sha256
        try:
            body = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        if hashlib.sha256(body).hexdigest() == known.sha256:
            return known, body
        # Its place is needed for the file as it should be.
        with suppress(OSError):
            path.unlink()
        return None

    def keep(self, url: str, known: Known, body: bytes) -> None:
        """Keep what an address sent; a full disk is no reason to fail."""
        if len(body) > self._limit * _AFTER:
            return
        path = self._folder / "content" / known.sha256
        with suppress(OSError):
            if not path.exists():
                _write(path, body)
                self._make_room(len(body))
            _write(self._place("index", url), json.dumps(asdict(known)).encode())

    @contextmanager
    def part(self, url: str) -> Iterator[Part | None]:
        """Hold the part of a file; None while another holds it, or where none can be written."""
        from filelock import FileLock, Timeout

        place = self._place("parts", url)
        lock = FileLock(f"{place}.lock", blocking=False, mode=0o600)
        try:
            _private(place.parent)
            lock.acquire()
        except (Timeout, OSError, NotImplementedError):
            yield None
            return
        part = Part(place)
        try:
            yield part
        finally:
            part.close()
            lock.release()

    def has_part(self, url: str) -> bool:
        """Tell whether the download of an address was interrupted."""
        return self._place("parts", url).exists()

    def _place(self, kind: str, url: str) -> Path:
        return self._folder / kind / hashlib.sha256(url.encode()).hexdigest()

    def _make_room(self, more: int) -> None:
        # Looking through the folder takes a while: once, and then whenever a tenth was added.
        with self._lock:
            self._unseen += more
            if self._unseen < self._limit / 10:
                return
            self._unseen = 0
        found = []
        for place in ("content", "parts"):
            with suppress(OSError), os.scandir(self._folder / place) as entries:
                for entry in entries:
                    # The lock of a part would be another one for whoever comes next.
                    if entry.name.endswith(".lock"):
                        continue
                    with suppress(OSError):
                        about = entry.stat()
                        found.append((about.st_mtime, about.st_size, Path(entry.path)))
        left = sum(size for _, size, _ in found)
        if left <= self._limit:
            return
        for _, size, path in sorted(found):
            with suppress(OSError):
                path.unlink()
            left -= size
            if left <= self._limit * _AFTER:
                break


class Part:
    """The beginning of a file that is being downloaded.

    Parameters
    ----------
    path : Path
        Of its bytes; what is known of the file stands beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._about = path.with_suffix(".json")
        self._file: IO[bytes] | None = None

    def headers(self) -> dict[str, str]:
        """Return headers that ask for the rest, if the file is still the same; else none."""
        exact, size = self.exact, self.size
        if not exact or not size:
            return {}
        # A range of what is compressed on the way would be one of other bytes.
        return {
            "Range": f"bytes={size}-",
            "If-Range": exact,
            "Accept-Encoding": "identity",
        }

    @property
    def exact(self) -> str:
        """What tells the file, of which this is the beginning, from any other; else empty."""
        known = _read(self._about)
        return known.exact if known else ""

    @property
    def size(self) -> int:
        """Bytes that are here."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def begin(self, known: Known | None) -> None:
        """Begin anew, unless nothing is known by which the rest could be asked for.

        A disk that is full, or may only be read, ends the part and not the download.
        """
        self.drop()
        if known is None:
            return
        with suppress(OSError):
            _write(self._about, json.dumps(asdict(known)).encode())
            self._file = _opened(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def resume(self) -> bytes:
        """Return what is here, and go on behind it; nothing where it cannot be read."""
        self.close()
        try:
            body = self._path.read_bytes()
            self._file = _opened(self._path, os.O_WRONLY | os.O_APPEND)
        except OSError:
            return b""
        return body

    def write(self, piece: bytes) -> None:
        """Add what arrived; a full disk ends the part, not the download."""
        if self._file is not None:
            try:
                self._file.write(piece)
            except OSError:
                self.drop()

    def drop(self) -> None:
        """Forget the part: the file is whole, or another one."""
        self.close()
        for path in (self._path, self._about):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def kept() -> Kept | None:
    """Return what is kept of downloads by the settings; None where nothing shall be."""
    found = settings()
    limit = int(found.cache_size * 2**30)
    return Kept(found.cache_dir / "downloads", limit=limit) if limit > 0 else None


def validators(headers: Mapping[str, str], *, sha256: str = "") -> Known | None:
    """Return what an answer says of its body; None if it cannot be asked about again."""
    known = Known(
        etag=headers.get("ETag", ""),
        modified=_settled(headers),
        media=headers.get("Content-Type", ""),
        sha256=sha256,
    )
    secret = "no-store" in headers.get("Cache-Control", "").lower()
    # Asked whether a file of a DataLink service has changed, DaCHS 2.7 does not answer at all.
    mute = headers.get("Server", "").startswith("DaCHS/")
    return None if secret or mute or not (known.etag or known.modified) else known


def _settled(headers: Mapping[str, str]) -> str:
    """Return Last-Modified if nothing can have changed since without changing it.

    It counts seconds: a file that was written a moment ago may be written again within the same
    one (RFC 9110 section 8.8.2.2).
    """
    modified = headers.get("Last-Modified", "")
    if not modified:
        return ""
    try:
        age = parsedate_to_datetime(headers.get("Date", "")) - parsedate_to_datetime(modified)
    except (ValueError, TypeError):
        return ""
    return modified if age.total_seconds() >= _SETTLED else ""


def _read(path: Path) -> Known | None:
    try:
        told = json.loads(path.read_bytes())
        return Known(**{key: str(value) for key, value in told.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _write(path: Path, body: bytes) -> None:
    """Write a file that appears whole."""
    _private(path.parent)
    draft = path.with_name(f".{uuid4().hex}")
    try:
        with _opened(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            file.write(body)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _opened(path: Path, flags: int) -> IO[bytes]:
    """Open a file for writing that only its owner may read: data may be proprietary."""
    return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)


def _private(folder: Path) -> None:
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.parent.chmod(0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
