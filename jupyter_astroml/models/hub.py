"""Models of the Hugging Face hub: ``hf://owner/name`` or ``hf://owner/name@revision``.

Card, facts, weights and stored inputs are taken, and nothing else of the repository: no code and no
pickle ever arrives.  The network that a card names must be installed here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from jupyter_astroml.core.errors import MissingExtraError, ModelError
from jupyter_astroml.models.cards import CARD, FACTS, FAMILIAR, REPLAY, WEIGHTS

PREFIX = "hf://"
_ADDRESS = re.compile(r"hf://([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@([\w.-]{1,64}))?")
_FILES = (CARD, FACTS, WEIGHTS, REPLAY, FAMILIAR)


# A worker asks for its model with every block; the hub is asked once.
@lru_cache(maxsize=64)
def snapshot(address: str) -> tuple[Path, Path]:
    """Return the folder of a model of the hub, fetched if it is not here.

    Without a network, or with ``HF_HUB_OFFLINE=1``, what was fetched before is taken.

    Parameters
    ----------
    address : str
        ``hf://owner/name``, perhaps with ``@revision`` (a branch, a tag or a commit).

    Returns
    -------
    tuple of Path
        The folder, and the part of the cache that its files may lead to.

    Raises
    ------
    MissingExtraError
        Without huggingface_hub.
    ModelError
        If the address is none, or the hub does not give the model.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or ".." in address:
        raise ModelError(
            f"{address!r} is no address of the Hugging Face hub",
            remedy="write hf://owner/name or hf://owner/name@revision",
        )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, HTTPError
    except ImportError as err:
        raise MissingExtraError(
            "Models of the Hugging Face hub need huggingface_hub",
            cause=str(err),
            remedy="pip install 'jupyter_astroml[hf]'",
        ) from err
    try:
        where = snapshot_download(found[1], revision=found[2], allow_patterns=list(_FILES))
    except (HTTPError, HFValidationError, OSError, ValueError) as err:
        raise ModelError(
            f"The hub does not give the model {address}",
            cause=str(err).strip().splitlines()[0],
            remedy="check owner, name and revision; log in with 'hf auth login' if it is private",
        ) from err
    folder = Path(where)
    if not (folder / CARD).exists():
        raise ModelError(
            f"{address} holds no {CARD}",
            cause="only models with a card of this package are taken",
            remedy="write one: docs/models.md",
        )
    # The cache keeps each file once, in blobs/; a snapshot is made of links to them.
    return folder, folder.parents[1]
