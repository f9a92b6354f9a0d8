"""A small archive on the loopback that serves what a test puts into it."""

import io
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from jupyter_astroml.core.records import References

DATALINK = "application/x-votable+xml;content=datalink"


class Served(BaseHTTPRequestHandler):
    """Sends `server.files[path]`: bytes, or a function of the parameters that returns bytes."""

    def do_GET(self):
        self.server.asked.append(self.path)
        parts = urlsplit(self.path)
        found = self.server.files.get(parts.path)
        body = found(parse_qs(parts.query)) if callable(found) else found
        self.send_response(404 if body is None else 200 if body else 204)
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    """Yield a server with `url`, `files` (bytes by path) and `asked` (paths, in their order)."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Served) as made:
        made.files, made.asked = {}, []
        made.url = f"http://127.0.0.1:{made.server_port}"
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def links(*rows, soda="", takes=(), size=""):
    """Return a DataLink document with rows of ID, access_url, service_def and error_message.

    `soda` is the address of a service that cuts, `takes` the parameters that it declares, `size`
    the content_length of all rows.
    """
    fields = (
        "".join(
            f'<FIELD name="{name}" datatype="char" arraysize="*"/>'
            for name in ("ID", "access_url", "service_def", "error_message", "semantics")
        )
        + '<FIELD name="content_length" datatype="long" unit="byte"/>'
    )
    cells = "".join(
        f"<TR>{''.join(f'<TD>{cell}</TD>' for cell in row)}<TD>#this</TD><TD>{size}</TD></TR>"
        for row in rows
    )
    inputs = "".join(
        f'<PARAM name="{name}" datatype="double" arraysize="2" value=""/>' for name in takes
    )
    service = f"""<RESOURCE type="meta" utype="adhoc:service" ID="soda">
        <PARAM name="standardID" datatype="char" arraysize="*"
               value="ivo://ivoa.net/std/SODA#sync-1.0"/>
        <PARAM name="accessURL" datatype="char" arraysize="*" value="{soda}"/>
        <GROUP name="inputParams">{inputs}</GROUP>
        </RESOURCE>"""
    return f"""<?xml version="1.0"?>
        <VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
        <RESOURCE type="results"><TABLE>{fields}
        <DATA><TABLEDATA>{cells}</TABLEDATA></DATA></TABLE></RESOURCE>
        {service if soda else ""}</VOTABLE>""".encode()


def written(*hdus):
    """Return the bytes of a FITS file with an empty primary HDU before those given."""
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(file)
    return file.getvalue()


def image(values, *, ra=150.0, dec=2.0, scale=0.4, **cards):
    """Return a FITS image whose middle is at a position; `scale` in arcsec per pixel."""
    values = np.asarray(values, dtype=np.float32)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(n + 1) / 2 for n in values.shape[:-3:-1]]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    header = wcs.to_header()
    header.update({"RADESYS": "ICRS", **{k.upper(): v for k, v in cards.items()}})
    return written(fits.ImageHDU(values, header))


def curve(time, flux, *, unit="d", flux_unit=None, more=(), **cards):
    """Return a light curve in the layout of TESS."""
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("TIME", "D", unit=unit, array=np.asarray(time, float)),
            fits.Column("FLUX", "E", unit=flux_unit, array=np.asarray(flux, float)),
            *more,
        ]
    )
    table.header.update({k.upper(): v for k, v in cards.items()})
    return written(table)


def references(urls, *, formats="", kind="", **changes):
    n = len(urls)
    given = {
        "ids": [f"o{i}" for i in range(n)],
        "urls": urls,
        "formats": [formats] * n,
        "kind": kind,
        "ra": np.full(n, 150.0),
        "dec": np.full(n, 2.0),
    }
    return References(**{**given, **changes})


def put(server, **files):
    """Serve files and return references to them, in order."""
    server.files |= {f"/{name}": body for name, body in files.items()}
    return [f"{server.url}/{name}" for name in files]
