"""Tables of an archive: rows per second and memory, ours against astropy.

What is compared
----------------
A table of ten columns (a 64-bit integer, two double and four single precision numbers, two smaller
integers and a text of varying length, a tenth of some masked) in the forms that archives send:
TABLEDATA and BINARY2 of VOTable, and Parquet, which is read with and without what `query` adds.
The bytes lie in memory and come in pieces of 64 kB, as from a socket; the network is not measured.

`archives.votables.read` and astropy's parser read the same bytes in turn (A B A B); the ratio is
the median of the ratios of neighbours.  Each peak of memory is measured in a process of its own,
less what it held before the reading began (the bytes among them), as a multiple of the finished
table; Linux alone tells it.

Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

GOAL = 15.0
ROWS, COPIES, ROUNDS = 1_000_000, 10, 3
PIECE = 1 << 16
RESOURCE = b'<RESOURCE type="results">'
STATUS = b'<INFO name="QUERY_STATUS" value="OK"/>'


def simulated(n: int) -> Table:
    """A catalogue of `n` rows."""
    rng = np.random.default_rng(0)
    table = Table(masked=True)
    table["source_id"] = np.arange(n, dtype="i8") * 1_000_003
    table["ra"] = rng.uniform(0, 360, n)
    table["dec"] = rng.uniform(-90, 90, n)
    for name in ("parallax", "pm", "mag", "colour"):
        table[name] = rng.normal(size=n).astype("f4")
        table[name].mask = rng.random(n) < 0.1
    table["visits"] = rng.integers(0, 10_000, n).astype("i4")
    table["flags"] = rng.integers(0, 100, n).astype("i2")
    table["name"] = np.array([f"star {i}" for i in range(n)], dtype=object)
    table["ra"].unit = table["dec"].unit = "deg"
    return table


def write(table: Table, path: Path, form: str) -> None:
    """Write a table in one of the forms."""
    if form == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {
            name: pa.array(np.asarray(table[name]), mask=np.ma.getmaskarray(table[name]))
            for name in table.colnames
        }
        pq.write_table(pa.table(columns), path)
        return
    from astropy.io.votable.tree import VOTableFile

    VOTableFile.from_table(table).to_xml(str(path), tabledata_format=form)


def copied(small: Path, large: Path) -> None:
    """Write the rows of a table ten times, which astropy would take minutes for."""
    if small.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.concat_tables([pq.read_table(small)] * COPIES), large)
        return
    head, begin, rest = small.read_bytes().partition(b'encoding="base64">')
    stream, end, tail = rest.partition(b"</STREAM>")
    rows = base64.b64encode(base64.b64decode(stream) * COPIES)
    large.write_bytes(head + begin + rows + end + tail)


def pieces(data: bytes) -> Iterator[bytes]:
    view = memoryview(data)
    for at in range(0, len(data), PIECE):
        yield bytes(view[at : at + PIECE])


def ours(data: bytes) -> Table:
    from jupyter_astroml.archives.votables import read

    return read(pieces(data)).table()


def astropy(data: bytes) -> Table:
    from astropy.io.votable import parse

    return parse(io.BytesIO(data)).get_first_table().to_table(use_names_over_ids=True)


def hashed(data: bytes) -> Table:
    """As `query` reads BINARY2 or Parquet, the hash of the rows included."""
    from jupyter_astroml.archives.answer import tabled

    answer = data.replace(RESOURCE, RESOURCE + STATUS, 1)
    return tabled(pieces(answer), about={"archive": "here"})


def arrow(data: bytes) -> Table:
    import pyarrow.parquet as pq

    found = pq.read_table(io.BytesIO(data))
    return Table({name: found[name].to_numpy() for name in found.column_names}, copy=False)


READERS: dict[str, Callable[[bytes], Table]] = {
    "ours": ours,
    "astropy": astropy,
    "hashed": hashed,
    "arrow": arrow,
}


def seconds(reader: Callable[[bytes], Table], data: bytes) -> float:
    begin = time.perf_counter()
    reader(data)
    return time.perf_counter() - begin


def nbytes(table: Table) -> int:
    """Memory of the values, masks and texts of a table."""
    total = 0
    for column in table.itercols():
        total += column.nbytes + (column.mask.nbytes if hasattr(column, "mask") else 0)
        if column.dtype == object:
            total += sum(map(sys.getsizeof, column.tolist()))
    return total


def peak(reader: str, path: str, pipe: Any) -> None:
    """Tell the peak memory of one reading as a multiple of the table."""
    # Load what reading needs first.
    READERS[reader](Path(path).with_stem("tiny").read_bytes())
    data = Path(path).read_bytes()
    # The kernel forgets the peak so far, which is also that of the process before the spawn.
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    table = READERS[reader](data)
    pipe.send(((status("VmHWM") - before) / nbytes(table), nbytes(table)))


def status(name: str) -> int:
    """A size that Linux tells of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def memory(reader: str, path: Path) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=peak, args=(reader, str(path), there))
    process.start()
    times, size = here.recv()
    process.join()
    return {"peak_over_table": round(times, 2), "table_mib": round(size / 2**20, 1)}


def first_rows(data: bytes) -> float:
    """Seconds from the first bytes to the first rows."""
    from jupyter_astroml.archives.votables import read

    found: list[float] = []
    begin = time.perf_counter()

    def told(n: int) -> None:
        if n and not found:
            found.append(time.perf_counter() - begin)

    read(pieces(data), progress=told)
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        for form in ("tabledata", "binary2", "parquet"):
            for name, n in (("tiny", 10), ("small", given.rows // COPIES)):
                write(simulated(n), folder / f"{name}.{form}", form)
            say(f"{form} written")
        for form in ("binary2", "parquet"):
            copied(folder / f"small.{form}", folder / f"large.{form}")
        data = {p.suffix[1:]: p.read_bytes() for p in folder.glob("small.*")}
        rates: dict[str, list[float]] = {}
        pairs = []
        for _ in range(ROUNDS):
            a, b = seconds(ours, data["binary2"]), seconds(astropy, data["binary2"])
            pairs.append(b / a)
            for name, took in (
                ("ours BINARY2", a),
                ("astropy BINARY2", b),
                ("astropy TABLEDATA", seconds(astropy, data["tabledata"])),
                ("ours BINARY2, hashed", seconds(hashed, data["binary2"])),
                ("ours Parquet, hashed", seconds(hashed, data["parquet"])),
                ("pyarrow alone Parquet", seconds(arrow, data["parquet"])),
            ):
                rates.setdefault(name, []).append(given.rows // COPIES / took)
        whole = (folder / "large.binary2").read_bytes()
        report = {
            "name": "tables",
            "ratio": round(statistics.median(pairs), 2),
            "goal": GOAL,
            "ratios": [round(x, 2) for x in pairs],
            "rows_per_second": {k: round(statistics.median(v)) for k, v in rates.items()},
            "rows": given.rows // COPIES,
            "large_rows": given.rows,
            "large_seconds": round(seconds(ours, whole), 2),
            "bytes_on_the_way": {form: len(body) for form, body in sorted(data.items())},
            "first_rows_seconds": round(first_rows(whole), 4),
            "memory_goal": 2.0,
            "memory": {
                "ours BINARY2": memory("ours", folder / "large.binary2"),
                "ours Parquet, hashed": memory("hashed", folder / "large.parquet"),
                "pyarrow alone Parquet": memory("arrow", folder / "large.parquet"),
                "astropy BINARY2, fewer rows": memory("astropy", folder / "small.binary2"),
            },
            "load": round(os.getloadavg()[0], 1),
        }
    print(json.dumps(report))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
