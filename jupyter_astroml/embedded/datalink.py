"""DataLink 1.1: where the file of a dataset is, and which service cuts it."""

from __future__ import annotations

from urllib.parse import quote

from jupyter_astroml.core.errors import QueryError

from . import votable
from .build import Product
from .tables import Column
from .types import arrow_array
from .web import Endpoint, Service

MEDIA = "application/x-votable+xml;content=datalink"
STANDARD = "ivo://ivoa.net/std/DataLink#links-1.1"
MOST_IDS = 1_000
# DataLink 1.1 section 3.3.
_COLUMNS = tuple(
    Column(name, datatype=datatype, arraysize=arraysize, ucd=ucd, unit=unit)
    for name, datatype, arraysize, ucd, unit in (
        ("ID", "char", "*", "meta.id;meta.main", ""),
        ("access_url", "char", "*", "meta.ref.url", ""),
        ("service_def", "char", "*", "meta.ref", ""),
        ("error_message", "char", "*", "meta.code.error", ""),
        ("description", "char", "*", "meta.note", ""),
        ("semantics", "char", "*", "meta.code", ""),
        ("content_type", "char", "*", "meta.code.mime", ""),
        ("content_length", "long", "", "phys.size;meta.file", "byte"),
    )
)
Row = tuple[str, str | None, str | None, str | None, str | None, str, str | None, int | None]


def link(did: str) -> str:
    """Return the address of the links of a dataset, relative to the archive's."""
    return f"datalink?ID={quote(did, safe='')}"


def file_link(did: str) -> str:
    """Return the address of the file of a dataset, relative to the archive's."""
    return f"files?ID={quote(did, safe='')}"


class DataLink(Endpoint):
    """The resource ``/datalink``."""

    def get(self) -> None:
        """Answer with the links of one dataset or many."""
        import pyarrow as pa

        wanted = self.every("ID")
        if len(wanted) > MOST_IDS:
            raise QueryError(f"More than {MOST_IDS} IDs in one request")
        rows = [row for did in wanted for row in _rows(self.service, did)]
        limit = self.one("MAXREC")
        overflow = False
        if limit:
            if not (limit.isascii() and limit.isdigit() and len(limit) < 10):
                raise QueryError(f"MAXREC is {limit[:40]!r}", remedy="give a whole number from 0")
            overflow = len(rows) > int(limit)
            rows = rows[: int(limit)]
        arrays = [
            pa.array([row[i] for row in rows], type=pa.int64())
            if c.datatype == "long"
            else arrow_array(pa.array([row[i] for row in rows], type=pa.string()))
            for i, c in enumerate(_COLUMNS)
        ]
        table = pa.Table.from_arrays(arrays, names=[c.name for c in _COLUMNS])
        self.set_header("Content-Type", MEDIA)
        self.finish(
            votable.document(
                _COLUMNS,
                table,
                overflow=overflow,
                infos=[("standardID", STANDARD)],
                # A descriptor that no row refers to would be offered for every dataset.
                extra=_soda(self.service.base) if any(row[2] for row in rows) else "",
                named=True,
            )
        )

    post = get


def _rows(service: Service, did: str) -> list[Row]:
    product = service.database.product(did)
    if product is None:
        fault = f"NotFoundFault: {did[:200]}"
        return [(did, None, None, fault, None, "#this", None, None)]
    size = product.size if product.kind in ("cube", "file") else None
    url = f"{service.base}/{file_link(did)}"
    rows: list[Row] = [(did, url, None, None, product.title, "#this", product.media, size)]
    if cuttable(product):
        text = f"Cutout of {product.title}"
        rows.append((did, None, "soda", None, text, "#cutout", "application/fits", None))
    return rows


def cuttable(product: Product) -> bool:
    """Whether a cutout by position makes sense."""
    return product.kind == "cube"


def _soda(base: str) -> str:
    """Return the descriptor of the SODA service (DataLink 1.1 section 4, SODA 1.0 section 4)."""
    return (
        '<RESOURCE type="meta" ID="soda" utype="adhoc:service">\n'
        "<DESCRIPTION>Cutouts of images by position</DESCRIPTION>\n"
        '<PARAM name="standardID" datatype="char" arraysize="*" '
        'value="ivo://ivoa.net/std/SODA#sync-1.0"/>\n'
        f'<PARAM name="accessURL" datatype="char" arraysize="*" value="{base}/soda"/>\n'
        '<GROUP name="inputParams">\n'
        '<PARAM name="ID" datatype="char" arraysize="*" ucd="meta.id;meta.main" '
        'ref="ID" value=""/>\n'
        '<PARAM name="POS" datatype="char" arraysize="*" ucd="pos.outline;obs" value=""/>\n'
        '<PARAM name="CIRCLE" datatype="double" arraysize="3" xtype="circle" unit="deg" '
        'ucd="pos.outline;obs" value=""/>\n'
        '<PARAM name="POLYGON" datatype="double" arraysize="*" xtype="polygon" unit="deg" '
        'ucd="pos.outline;obs" value=""/>\n'
        "</GROUP>\n</RESOURCE>\n"
    )
