"""Files of a model: read once, checked against their digest, and never from outside its folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from jupyter_astroml.core.errors import ModelError

MAX_BYTES = 2 << 30


def verified(path: Path, digest: str) -> bytes:
    """Return the content of a file whose hash was promised.

    What is hashed is what is returned: nobody can change the file between the two.

    Parameters
    ----------
    path : Path
        The file.
    digest : str
        ``sha256:`` and the hash.

    Raises
    ------
    ModelError
        If the file is missing, too large, or another one.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is too large", remedy=f"at most {MAX_BYTES} bytes are read")
        content = path.read_bytes()
    except OSError as err:
        raise ModelError(
            f"{path} cannot be read", cause=str(err), remedy="install the model again"
        ) from err
    found = "sha256:" + hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ModelError(
            f"The weights in {path} are not those of the card",
            cause=f"the card says {digest[:19]}…, the file has {found[:19]}…",
            remedy="install the model again; do not use a file that somebody changed",
        )
    return content
