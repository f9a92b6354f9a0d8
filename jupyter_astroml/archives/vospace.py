"""Files in a user's space (VOSpace 2.1): ``vos:`` and ``arc:`` names as addresses of the web.

CADC serves them under ``files``, beside the transfers of the standard: one request instead of
three, which a storage site is asked with by a redirect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from jupyter_astroml.archives.bundled import Known, origin
from jupyter_astroml.core.errors import DataError


@dataclass(frozen=True)
class Space:
    """A VOSpace of an archive.

    Attributes
    ----------
    archive : Known
        Whose login its files may need.
    short : str
        Scheme of its short names: ``arc`` for ``arc:home/me/a.fits``.
    identifier : str
        Authority and path of its IVOA identifier, such as ``cadc.nrc.ca/arc``.
    url : str
        Address of the service.
    """

    archive: Known
    short: str
    identifier: str
    url: str


def spaces(archives: Iterable[Known]) -> tuple[Space, ...]:
    """Return the spaces of archives; what does not describe one is passed over."""
    found = []
    for archive in archives:
        for text in archive.spaces:
            short, identifier, url = [*text.split(), "", "", ""][:3]
            if identifier.startswith("ivo://") and origin(url):
                found.append(
                    Space(archive, short, identifier.removeprefix("ivo://"), url.rstrip("/"))
                )
    return tuple(found)


def is_name(address: str) -> bool:
    """Tell whether an address is a name in a VOSpace, or may be one."""
    return not address.startswith(("http://", "https://")) and ":" in address[:40]


def located(name: str, known: Iterable[Space]) -> tuple[str, Space]:
    """Return where a file is on the web, and in which space.

    Parameters
    ----------
    name : str
        ``vos:me/a.fits``, ``arc:home/me/a.fits``, or in full ``vos://cadc.nrc.ca~vault/me/a.fits``
        (VOSpace 2.1 section 3.1; CADC writes ``~`` or ``!`` for the slash of the identifier).
    known : iterable of Space
        Those that there are.

    Raises
    ------
    DataError
        For a name of no known space, or one that leads out of it.
    """
    scheme, _, rest = name.partition(":")
    authority, path = "", rest
    if rest.startswith("//"):
        authority, _, path = rest[2:].partition("/")
    wanted = authority.replace("~", "/").replace("!", "/")
    for space in known:
        if wanted == space.identifier and scheme == "vos" if authority else scheme == space.short:
            return f"{space.url}/files/{_quoted(path, name)}", space
    raise DataError(
        f"Refused to fetch {name[:80]!r}", cause="it is no http(s) address and of no known VOSpace"
    )


def _quoted(path: str, name: str) -> str:
    parts = [unquote(part) for part in path.lstrip("/").split("/")]
    # An encoded slash or dot would be decoded by the server, and lead elsewhere.
    if not all(parts) or any(p in (".", "..") or "/" in p or not p.isprintable() for p in parts):
        raise DataError(f"Refused to fetch {name[:80]!r}", cause="it is no name of a file")
    return "/".join(quote(part, safe="") for part in parts)
