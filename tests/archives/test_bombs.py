"""Small answers that would fill the memory or the day, each read in a process that is measured.

The processor's time counts, which a busy machine does not change, and the most memory that the
process ever held beyond what its imports took.
"""

import json
import subprocess
import sys

import pytest

SECONDS, MEGABYTES = 1.0, 300
# The promise stands in a table that nobody asked for: the first one is read.
READ_ALL_THE_SAME = {"rows of another table"}

READ = """
import bz2, gzip, io, json, resource, struct, sys, time
import numpy as np
import astropy.io.votable, astropy.io.fits, astropy.table, astropy.wcs
from jupyter_astroml.archives import decode, votables
from jupyter_astroml.core.errors import AstroMLError
from PIL import Image

def vot(fields, data, table=""):
    return (
        '<?xml version="1.0"?><VOTABLE version="1.4"><RESOURCE type="results">'
        f'<TABLE {table}>{fields}<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>'
    ).encode()

def field(kind="double", size="", name="x"):
    arraysize = f'arraysize="{size}"' if size else ""
    return f'<FIELD name="{name}" datatype="{kind}" {arraysize}/>'

def stream(data, form="BINARY2"):
    import base64
    letters = base64.b64encode(data).decode()
    return f'<{form}><STREAM encoding="base64">{letters}</STREAM></{form}>'

def header(*cards):
    text = "".join(card.ljust(80) for card in cards)
    return text.ljust(-(-len(text) // 2880) * 2880).encode()

def card(name, value):
    return f"{name:8}= {value:>20}"

FIRST = header("SIMPLE  =                    T", card("BITPIX", 8), card("NAXIS", 0),
               "EXTEND  =                    T", "END")
TABLE = ("XTENSION= 'BINTABLE'", card("BITPIX", 8), card("NAXIS", 2))

def fits_table(width, rows, form, *more, heap=0):
    return FIRST + header(*TABLE, card("NAXIS1", width), card("NAXIS2", rows), card("PCOUNT", heap),
                          card("GCOUNT", 1), card("TFIELDS", 1), "TTYPE1  = 'FLUX    '",
                          f"TFORM1  = '{form:8}'", *more, "END") + bytes(2880)

def picture():
    out = io.BytesIO()
    Image.new("RGB", (6_000, 6_000)).save(out, "PNG")
    return out.getvalue()

TILES = ("ZIMAGE  =                    T", card("ZBITPIX", -32), card("ZNAXIS", 2),
         card("ZNAXIS1", 60_000), card("ZNAXIS2", 60_000), "ZCMPTYPE= 'GZIP_1  '",
         card("ZTILE1", 60_000), card("ZTILE2", 60_000))

def tile(size, algorithm, column, more=b""):
    # An image of 10 x 10 pixels in one tile, which unpacks to `size` bytes, and then `more`.
    from astropy.io import fits
    packed = np.empty(1, dtype=object)
    packed[0] = np.frombuffer(gzip.compress(bytes(size)) + more, dtype="u1")
    none = np.empty(1, dtype=object)
    none[0] = np.zeros(0, "u1")
    columns = [fits.Column("COMPRESSED_DATA", "PB()", array=none)] if "GZIP" in column else []
    made = fits.BinTableHDU.from_columns([*columns, fits.Column(column, "PB()", array=packed)])
    made.header.update(ZIMAGE=True, ZBITPIX=16, ZNAXIS=2, ZNAXIS1=10, ZNAXIS2=10, ZTILE1=10,
                       ZTILE2=10, ZCMPTYPE=algorithm)
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), made]).writeto(file)
    return file.getvalue()

LAUGH = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))

TABLES = {
    "many rows are promised": lambda: vot(field(), "<TABLEDATA/>", 'nrows="2000000000"'),
    "rows are promised behind a sign": lambda: vot(
        field(), "<TABLEDATA/>", 'name="a>b" nrows="2000000000"'),
    "rows of one promised billion": lambda: vot(
        field(), "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>", 'nrows="1000000000"'),
    "rows of another table": lambda: vot(
        field(), "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>").replace(
        b"</RESOURCE>", b'<TABLE nrows="2000000000">' + field().encode()
        + b"<DATA><TABLEDATA/></DATA></TABLE></RESOURCE>"),
    "a wide text in text": lambda: vot(
        field("char", "1000000000"), "<TABLEDATA><TR><TD>a</TD></TR></TABLEDATA>"),
    "a wide array in text": lambda: vot(
        field("double", "40000x40000"), "<TABLEDATA><TR><TD>1 2</TD></TR></TABLEDATA>"),
    "a wide text": lambda: vot(field("char", "2000000000"), stream(b"\\0abc")),
    "a wide array": lambda: vot(field("double", "2000000000"), stream(b"\\0abc")),
    "an array of many axes": lambda: vot(field("int", "x".join(["999"] * 9)), stream(b"\\0abc")),
    "a long value": lambda: vot(
        field("double", "*"), stream(b"\\0" + struct.pack(">i", 2**31 - 1) + b"1234")),
    "a long value, the old way": lambda: vot(
        field("char", "*"), stream(struct.pack(">i", 2**31 - 1) + b"1234", "BINARY")),
    "rows of no bytes": lambda: vot("", stream(b"1234" * 1000, "BINARY")),
    "laughs": lambda: b'<?xml version="1.0"?><!DOCTYPE v [<!ENTITY l0 "ha">' + LAUGH.encode()
        + b"]><VOTABLE>&l9;</VOTABLE>",
    "deep": lambda: b'<VOTABLE version="1.4">' + b"<RESOURCE>" * 200_000,
    "a file of ours": lambda: vot(field(), '<BINARY2><STREAM href="file:///dev/zero"/></BINARY2>'),
    "a FITS file in it": lambda: vot(field(), '<FITS><STREAM href="file:///dev/zero"/></FITS>'),
}
FILES = {
    "a wide image": lambda: header("SIMPLE  =                    T", card("BITPIX", -64),
        card("NAXIS", 2), card("NAXIS1", 900_000), card("NAXIS2", 900_000), "END") + bytes(2880),
    "an image of many axes": lambda: header("SIMPLE  =                    T", card("BITPIX", 8),
        card("NAXIS", 999), *(card(f"NAXIS{i}", 2) for i in range(1, 1000)), "END"),
    "tiles": lambda: fits_table(8, 1, "1PB(20) ", *TILES, heap=100),
    "one packed tile": lambda: tile(500 << 20, "GZIP_1", "COMPRESSED_DATA"),
    "one packed tile, its bytes sorted": lambda: tile(500 << 20, "GZIP_2", "COMPRESSED_DATA"),
    "a tile that had better be packed": lambda: tile(
        500 << 20, "RICE_1", "GZIP_COMPRESSED_DATA"),
    "a packed tile in two parts": lambda: tile(
        200, "GZIP_1", "COMPRESSED_DATA", gzip.compress(bytes(500 << 20))),
    "many rows": lambda: fits_table(8, 2_000_000_000, "1D"),
    "a wide row": lambda: fits_table(2_000_000_000, 1, "250000000D"),
    "a long value on the heap": lambda: fits_table(8, 1, "1PE(2000000000)", heap=2_000_000_000),
    "a header without end": lambda: header("SIMPLE  =                    T",
        *(f"COMMENT {i}" for i in range(100_000))),
    "many extensions": lambda: FIRST + header("XTENSION= 'IMAGE   '", card("BITPIX", 8),
        card("NAXIS", 0), card("PCOUNT", 0), card("GCOUNT", 1), "END") * 20_000,
    "packed": lambda: gzip.compress(FIRST + bytes(200 << 20)),
    "packed in the other way": lambda: bz2.compress(FIRST + bytes(200 << 20)),
    "packed in many parts": lambda: gzip.compress(bytes(1 << 20)) * 200,
    "packed twice": lambda: gzip.compress(gzip.compress(FIRST + bytes(200 << 20))),
    "a picture": picture,
}

kind, name = sys.argv[1:]
body = (TABLES if kind == "table" else FILES)[name]()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
# A fresh peak: what made the bomb is not what reads it.
open("/proc/self/clear_refs", "w").write("5")
def high():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
def now():
    return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) / 1024
before, begin = now(), time.process_time()
try:
    found = votables.read([body]).table() if kind == "table" else decode.decode(body)
    said = f"read: {type(found).__name__}"
except AstroMLError as err:
    said = f"refused: {err}"
print(json.dumps({"said": said, "seconds": time.process_time() - begin, "grown": high() - before,
                  "bytes": len(body)}))
"""


def names(kind: str) -> list[str]:
    import re

    begin = READ.index(f"{kind} = {{")
    return re.findall(r'^    "([^"]+)":', READ[begin : READ.index("\n}", begin)], re.M)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured by /proc")
@pytest.mark.parametrize(
    ("kind", "name"),
    [("table", n) for n in names("TABLES")] + [("file", n) for n in names("FILES")],
)
def test_a_bomb_is_refused_soon_and_within_bounds(kind, name):
    done = subprocess.run(
        [sys.executable, "-c", READ, kind, name],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["said"].startswith("refused: ") or name in READ_ALL_THE_SAME, told
    assert told["seconds"] <= SECONDS, told
    assert told["grown"] <= MEGABYTES, told
