"""Archives that can be named; any other is given by its TAP URL."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from urllib.parse import urlsplit

from jupyter_astroml.core.errors import ArchiveError

DEMO = "demo"


@dataclass(frozen=True)
class Known:
    """Where an archive is.

    Attributes
    ----------
    name : str
        Short name for code.
    title : str
        Name for people.
    url : str
        TAP service, without ``/sync``; empty for the demo, which has no fixed address.
    """

    name: str
    title: str
    url: str


KNOWN = (
    Known(DEMO, "Demo sky (simulated, on this machine)", ""),
    Known(
        "cadc",
        "CADC: Canadian Astronomy Data Centre, CAOM",
        "https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/argus",
    ),
    Known("gaia", "Gaia archive, ESA", "https://gea.esac.esa.int/tap-server/tap"),
    Known("vizier", "VizieR, CDS", "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"),
    Known("simbad", "SIMBAD, CDS", "https://simbad.cds.unistra.fr/simbad/sim-tap"),
    Known("mast", "MAST: CAOM of HST, TESS, Kepler", "https://mast.stsci.edu/vo-tap/api/v0.1/caom"),
    Known("irsa", "IRSA", "https://irsa.ipac.caltech.edu/TAP"),
    Known("datalab", "NOIRLab Astro Data Lab", "https://datalab.noirlab.edu/tap"),
)


def lookup(name: str) -> Known:
    """Return a known archive, or one made from a TAP URL.

    Raises
    ------
    ArchiveError
        If the name is unknown and no http(s) URL.
    """
    for known in KNOWN:
        if known.name == name:
            return known
    parts = urlsplit(name)
    if parts.scheme in ("http", "https") and parts.hostname:
        return Known(name=parts.hostname, title=name, url=name.rstrip("/"))
    names = [k.name for k in KNOWN]
    near = difflib.get_close_matches(name, names, n=2) or names
    raise ArchiveError(
        f"There is no archive {name!r}",
        remedy=f"use {', '.join(near)}, or the URL of a TAP service",
    )
