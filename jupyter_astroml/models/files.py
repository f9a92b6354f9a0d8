"""Files of a model: read once, checked against their digest, and never from outside its folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from jupyter_astroml.core.errors import ModelError

MAX_BYTES = 2 << 30


# What libraries write that may carry code, or lead to other files.
UNSAFE = {
    ".pkl": "a pickle runs code when it is read",
    ".pickle": "a pickle runs code when it is read",
    ".joblib": "a pickle runs code when it is read",
    ".bin": "a pickle runs code when it is read",
    ".ckpt": "a pickle runs code when it is read",
    ".pt": "a pickle may run code when it is read",
    ".pth": "a pickle may run code when it is read",
    ".pt2": "an exported program carries code",
    ".mar": "an archive of a model server carries code",
    ".onnx": "it may name data in any other file of this machine",
    ".keras": "its layers may carry code",
}


def only_inside(folder: Path, root: Path) -> None:
    """Refuse a model folder whose files lead out of the place that it was found in.

    Parameters
    ----------
    folder : Path
        Of one model.
    root : Path
        Links may lead anywhere in here, such as to a store of files beside the models.

    Raises
    ------
    ModelError
        If a file, or the folder itself, is a link to somewhere else.
    """
    home = root.resolve()
    try:
        for path in (folder, *folder.iterdir()):
            if not path.resolve().is_relative_to(home):
                raise ModelError(
                    f"{path} leads out of {root}",
                    cause="a file of a model must not be a link to a file elsewhere",
                    remedy="copy the file instead of linking it",
                )
    except (OSError, RuntimeError) as err:
        raise ModelError(f"{folder} cannot be read", cause=str(err)) from err


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
    others = [p.name for p in _siblings(path) if p.suffix.lower() in UNSAFE]
    if not path.exists() and others:
        raise ModelError(
            f"{path.parent.name} holds {others[0]}, but no {path.name}",
            cause=UNSAFE[Path(others[0]).suffix.lower()],
            remedy="store the weights as safetensors; aml.import_model reads some other files",
        )
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


def _siblings(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir()) if path.parent.is_dir() else []
