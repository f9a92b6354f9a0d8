"""The archives that this package knows: each an entry of addresses and facts, and no code."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, get_type_hints
from urllib.parse import urlsplit

DEMO = "demo"
# How an archive lets people in; see `jupyter_astroml.archives.login`.
KINDS = frozenset(("bearer", "basic", "cookie", "certificate", "header"))


@dataclass(frozen=True)
class Known:
    """Where an archive is, and what to know before asking it.

    Attributes
    ----------
    name : str
        Short name for code.
    title : str
        Name for people.
    url : str
        TAP service, without ``/sync``; empty for the demo, which has no fixed address.
    sia2, ssa : str
        Services of images (SIA 2) and of spectra (SSA); empty where none is known.
    datalink : str
        IVOA identifier or address of its DataLink service; empty where rows say it themselves.
    auth : tuple of str
        Kinds of credentials that it takes, of `KINDS`; empty where everything is public.
    realm : str
        Archives of one realm share logins, and take those that other programs keep for it.
    login : str
        Service that exchanges a name and a password for a token or a cookie.
    cookie : str
        Cookie in which its tokens travel; empty where they go into ``Authorization: Bearer``.
    upload : str
        Service that keeps tables of users, where it is that of TAP+ and not of TAP itself.
    spaces : tuple of str
        Its VOSpaces, each with short name, identifier and address: ``arc ivo://cadc.nrc.ca/arc
        https://…``.
    hosts : tuple of str
        More hosts of its own, beside those of its addresses, that may be sent credentials.
    rows : int
        Most rows of an answer, for an archive that does not say it itself; see `Archive.limits`.
    note : str
        What a user should know, in a sentence.
    cite : tuple of str
        Keys of `jupyter_astroml.archives.cite.REFERENCES`.
    page : str
        Where the archive says how to acknowledge it, or its front page.
    """

    name: str
    title: str
    url: str
    sia2: str = ""
    ssa: str = ""
    datalink: str = ""
    auth: tuple[str, ...] = ()
    realm: str = ""
    login: str = ""
    cookie: str = ""
    upload: str = ""
    spaces: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    rows: int = 0
    note: str = ""
    cite: tuple[str, ...] = ()
    page: str = ""

    @property
    def origins(self) -> frozenset[tuple[str, str, int]]:
        """Scheme, host and port of whatever is the archive's own."""
        given = [
            self.url,
            self.sia2,
            self.ssa,
            self.datalink,
            self.login,
            self.upload,
            *(text.split()[-1] for text in self.spaces if text.strip()),
            *(f"https://{h}" for h in self.hosts),
        ]
        return frozenset(filter(None, map(origin, given)))


def origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an address of the web, or None for whatever is none.

    One with a name or a password in it is none: it would be shown and written down everywhere.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}[parts.scheme]


def variable(name: str) -> str:
    """Return the name of the environment variable that holds the token of an archive."""
    return f"ASTROML_TOKEN_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"


def checked(given: object) -> Known:
    """Return the entry that a mapping of a site's file describes.

    Raises
    ------
    ValueError
        If it does not describe one; says which part is wrong.
    """
    hints = get_type_hints(Known)
    names = [f.name for f in fields(Known)]
    if not isinstance(given, dict):
        raise ValueError("an archive is a mapping with name, title and url")  # noqa: TRY004
    for key in given:
        if key not in names:
            raise ValueError(f"there is no key {key!r}: use {', '.join(names)}")
    values = {key: _as(hints[key], value, key=key) for key, value in given.items()}
    for key in ("name", "url"):
        if not values.get(key):
            raise ValueError(f"{key} is missing")
    return _sound(Known(**{"title": values["name"], **values}))


def _as(kind: object, value: object, *, key: str) -> Any:
    if kind is str and isinstance(value, str):
        return value.strip()
    if kind is int and type(value) is int and value >= 0:
        return value
    if isinstance(value, list) and kind not in (str, int) and all(type(v) is str for v in value):
        return tuple(value)
    raise ValueError(f"{key} is {str(value)[:60]!r}")


def _sound(entry: Known) -> Known:
    if not entry.name.replace("-", "").replace("_", "").isalnum() or len(entry.name) > 40:
        raise ValueError(f"the name {entry.name[:60]!r} is no word")
    for key in ("url", "sia2", "ssa", "login", "upload", "page"):
        address = getattr(entry, key)
        if address and origin(address) is None:
            raise ValueError(f"{key} is no http(s) address: {address[:60]!r}")
    for text in entry.spaces:
        words = text.split()
        if len(words) != 3 or not words[1].startswith("ivo://") or not origin(words[2]):
            raise ValueError(f"spaces has {text[:60]!r}: give short name, ivo:// and http(s)://")
    for host in entry.hosts:
        if origin(f"https://{host}") != ("https", host, 443):
            raise ValueError(f"hosts has {host[:60]!r}, which is no name of a host")
    if unknown := set(entry.auth) - KINDS:
        raise ValueError(f"auth has {min(unknown)!r}: use {', '.join(sorted(KINDS))}")
    return entry


_CADC = "https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca"
_CADC_AUTH = ("certificate", "cookie", "bearer")
_CADC_LOGIN = "https://ws-cadc.canfar.net/ac/login"
_CDS_PAGE = "https://cds.unistra.fr/help/acknowledgement/"

KNOWN = (
    Known(DEMO, "Demo sky (simulated, on this machine)", "", note="No real stars: do not publish"),
    Known(
        "cadc",
        "CADC: Canadian Astronomy Data Centre, CAOM",
        f"{_CADC}/argus",
        sia2=f"{_CADC}/sia",
        datalink="ivo://cadc.nrc.ca/caom2ops",
        auth=_CADC_AUTH,
        realm="cadc",
        login=_CADC_LOGIN,
        spaces=(
            "vos ivo://cadc.nrc.ca/vault https://ws-cadc.canfar.net/vault",
            "arc ivo://cadc.nrc.ca/arc https://ws-uv.canfar.net/arc",
        ),
        note="Public without a login; proprietary data need one",
        page="https://www.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/",
    ),
    Known(
        "youcat",
        "CADC YouCat: tables of users",
        f"{_CADC}/youcat",
        auth=_CADC_AUTH,
        realm="cadc",
        login=_CADC_LOGIN,
        note="Address as other clients have it",
        page="https://www.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/",
    ),
    Known(
        "gaia",
        "Gaia archive, ESA",
        "https://gea.esac.esa.int/tap-server/tap",
        auth=("cookie",),
        login="https://gea.esac.esa.int/tap-server/login",
        upload="https://gea.esac.esa.int/tap-server/Upload",
        note="Public without a login, which keeps tables of your own",
        cite=("gaia2016", "gaia2023"),
        page="https://www.cosmos.esa.int/web/gaia-users/credits",
    ),
    Known(
        "vizier",
        "VizieR, CDS",
        "https://tapvizier.cds.unistra.fr/TAPVizieR/tap",
        note="Cite the paper of each catalogue too",
        cite=("vizier2000",),
        page=_CDS_PAGE,
    ),
    Known(
        "simbad",
        "SIMBAD, CDS",
        "https://simbad.cds.unistra.fr/simbad/sim-tap",
        cite=("simbad2000",),
        page=_CDS_PAGE,
    ),
    Known(
        "ned",
        "NED: NASA/IPAC Extragalactic Database",
        "https://ned.ipac.caltech.edu/tap",
        page="https://ned.ipac.caltech.edu/",
    ),
    Known(
        "mast",
        "MAST: CAOM of HST, TESS, Kepler",
        "https://mast.stsci.edu/vo-tap/api/v0.1/caom",
        auth=("cookie",),
        realm="mast",
        cookie="mast_token",
        note="Each collection has a service of its own; exclusive data need a token",
        page="https://archive.stsci.edu/publishing/mission-acknowledgements",
    ),
    Known(
        "irsa",
        "IRSA",
        "https://irsa.ipac.caltech.edu/TAP",
        sia2="https://irsa.ipac.caltech.edu/SIA",
        ssa="https://irsa.ipac.caltech.edu/SSA",
        page="https://irsa.ipac.caltech.edu/ack.html",
    ),
    Known(
        "datalab",
        "NOIRLab Astro Data Lab",
        "https://datalab.noirlab.edu/tap",
        note="Images are served by SIA 1, one service for each collection",
        page="https://datalab.noirlab.edu/",
    ),
    Known(
        "eso",
        "ESO Science Archive: raw data and products",
        "https://archive.eso.org/tap_obs",
        auth=("bearer",),
        hosts=("dataportal.eso.org",),
        note="Public without a login; proprietary data need a token",
        page="https://archive.eso.org/",
    ),
    Known(
        "heasarc",
        "HEASARC",
        "https://heasarc.gsfc.nasa.gov/xamin/vo/tap",
        page="https://heasarc.gsfc.nasa.gov/",
    ),
    Known(
        "alma",
        "ALMA Science Archive",
        "https://almascience.eso.org/tap",
        note="Public data; those under a proprietary period cannot be reached from here",
        page="https://almascience.eso.org/",
    ),
    Known(
        "rubin",
        "Rubin Science Platform",
        "https://data.lsst.cloud/api/tap",
        sia2="https://data.lsst.cloud/api/sia/dp1/query",
        auth=("bearer", "basic"),
        realm="rubin",
        note="Always needs a token; SIA is of Data Preview 1",
        page="https://data.lsst.cloud/",
    ),
    Known("gavo", "GAVO Data Center", "https://dc.g-vo.org/tap", page="https://dc.g-vo.org/"),
    Known(
        "casda",
        "CASDA: CSIRO ASKAP Science Data Archive",
        "https://data.csiro.au/casda_vo_proxy/vo/tap",
        sia2="https://casda.csiro.au/casda_vo_tools/sia2/query",
        note="Questions are public; the data need an OPAL login on its own site",
        page="https://research.csiro.au/casda/",
    ),
    Known(
        "exoplanets",
        "NASA Exoplanet Archive",
        "https://exoplanetarchive.ipac.caltech.edu/TAP",
        cite=("christiansen2025",),
        page="https://exoplanetarchive.ipac.caltech.edu/docs/acknowledge.html",
    ),
)
