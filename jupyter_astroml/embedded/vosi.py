"""VOSI 1.1: what the archive offers, whether it is up, its tables, and DALI's examples."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import tornado.web

from jupyter_astroml.core.errors import QueryError

from . import geometry, tap, uws, votable_reader
from .build import written
from .tables import Column, Table, delimited
from .votable import attribute, text
from .web import Endpoint, Service

_IVOA = "ivo://ivoa.net/std/"
_XML = "http://www.ivoa.net/xml/"
_XSI = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
_DATA = f' xmlns:vs="{_XML}VODataService/v1.1"{_XSI}'
# As CADC calls it; no standard has it yet.
_LOAD = "VOSI#table-load-1.x"
_OWN_FUNCTIONS = {
    "ivo_nocasematch(value VARCHAR(*), pattern VARCHAR(*)) -> INTEGER": (
        "1 when the value matches the LIKE pattern whatever the case, else 0"
    ),
    "ivo_hashlist_has(hashlist VARCHAR(*), item VARCHAR(*)) -> INTEGER": (
        "1 when the item is in the list, whose items are separated by #, else 0"
    ),
    "ivo_hasword(haystack VARCHAR(*), needle VARCHAR(*)) -> INTEGER": (
        "1 when the word occurs in the text, whatever the case, else 0"
    ),
}
# ADQL 2.1 appendix: optional features, and the forms that are offered of each.
_OPTIONAL = {
    "string": ("LOWER", "UPPER", "ILIKE"),
    "sets": ("UNION", "EXCEPT", "INTERSECT"),
    "common-table": ("WITH",),
    "type": ("CAST",),
    "offset": ("OFFSET",),
}


class Availability(Endpoint):
    """The resource ``/tap/availability``."""

    public = True

    def get(self) -> None:
        """Answer that the archive is up."""
        since = uws.stamp(datetime.fromtimestamp(self.service.started, UTC))
        self.xml(
            f'<vosi:availability xmlns:vosi="{_XML}VOSIAvailability/v1.0">'
            f"<vosi:available>true</vosi:available><vosi:upSince>{since}</vosi:upSince>"
            f"<vosi:note>{text(self.service.title)}</vosi:note></vosi:availability>"
        )


class Capabilities(Endpoint):
    """The resource ``/tap/capabilities``."""

    public = True

    def get(self) -> None:
        """Describe the service as TAPRegExt 1.0 and VODataService 1.1 do."""
        base = f"{self.service.base}/tap"
        models = beside = ""
        if "ivoa.obscore" in self.service.database.tables:
            models = (
                '<dataModel ivo-id="ivo://ivoa.net/std/ObsCore#core-1.1">ObsCore-1.1</dataModel>'
            )
            # The same archive speaks these too: whoever knows one address finds the others.
            beside = "".join(
                _capability(
                    standard,
                    f"{self.service.base}/{path}/query",
                    use="base",
                    security=_security(self.service),
                )
                for standard, path in (("SIA#query-2.0", "sia2"), ("SSA", "ssa"))
            )
        self.xml(
            f'<vosi:capabilities xmlns:vosi="{_XML}VOSICapabilities/v1.0" '
            f'xmlns:vr="{_XML}VOResource/v1.0" xmlns:tr="{_XML}TAPRegExt/v1.0"{_DATA}>'
            f'<capability standardID="{_IVOA}TAP" xsi:type="tr:TableAccess">'
            '<interface role="std" version="1.1" xsi:type="vs:ParamHTTP">'
            f'<accessURL use="base">{base}</accessURL>{_security(self.service)}</interface>'
            f"{models}{_language()}{_formats()}{_limits()}</capability>"
            + _capability("VOSI#capabilities", f"{base}/capabilities")
            + _capability("VOSI#availability", f"{base}/availability")
            + _capability("VOSI#tables-1.1", f"{base}/tables", version="1.1")
            + _capability("DALI#examples", f"{base}/examples", kind="vr:WebBrowser")
            + (_capability(_LOAD, f"{base}/load") if self.service.users else "")
            + beside
            + "</vosi:capabilities>"
        )


def _security(service: Service) -> str:
    """Return what an interface says about the token, in the way of the archives in Canada."""
    return '<securityMethod standardID="ivo://ivoa.net/sso#token"/>' if service.token else ""


class Simple(Endpoint):
    """The resource ``capabilities`` beside the queries of a simple protocol."""

    public = True

    def initialize(self, service: Service, standard: str = "") -> None:
        """Take the identifier of the protocol."""
        super().initialize(service)
        self._standard = standard.removeprefix(_IVOA)

    def get(self, name: str = "") -> None:
        """Describe the service."""
        here = f"{self.service.base}{self.request.path.removesuffix('/capabilities')}"
        self.xml(
            f'<vosi:capabilities xmlns:vosi="{_XML}VOSICapabilities/v1.0" '
            f'xmlns:vr="{_XML}VOResource/v1.0"{_DATA}>'
            + _capability(
                self._standard,
                here if name else f"{here}/query",
                use="base",
                security=_security(self.service),
            )
            + _capability("VOSI#capabilities", f"{here}/capabilities")
            + _capability("VOSI#availability", f"{here}/availability")
            + "</vosi:capabilities>"
        )


def _capability(
    standard: str,
    url: str,
    *,
    kind: str = "vs:ParamHTTP",
    version: str = "",
    use: str = "full",
    security: str = "",
) -> str:
    given = f' version="{version}"' if version else ""
    return (
        f'<capability standardID="{_IVOA}{standard}">'
        f'<interface xsi:type="{kind}" role="std"{given}>'
        f'<accessURL use="{use}">{text(url)}</accessURL>{security}</interface></capability>'
    )


def _features(kind: str, forms: Iterable[str]) -> str:
    listed = "".join(f"<feature><form>{form}</form></feature>" for form in forms)
    return f'<languageFeatures type="{_IVOA}TAPRegExt#features-{kind}">{listed}</languageFeatures>'


def _language() -> str:
    own = "".join(
        f"<feature><form>{text(form)}</form><description>{text(meaning)}</description></feature>"
        for form, meaning in _OWN_FUNCTIONS.items()
    )
    return (
        "<language><name>ADQL</name>"
        f'<version ivo-id="{_IVOA}ADQL#v2.0">2.0</version>'
        f'<version ivo-id="{_IVOA}ADQL#v2.1">2.1</version>'
        "<description>ADQL 2.0 and 2.1, in ICRS</description>"
        f'<languageFeatures type="{_IVOA}TAPRegExt#features-udf">{own}</languageFeatures>'
        + _features("adqlgeo", sorted(geometry.FUNCTIONS))
        + "".join(_features(f"adql-{kind}", forms) for kind, forms in _OPTIONAL.items())
        + "</language>"
    )


def _formats() -> str:
    """List what comes out, and how tables come in."""
    offered = (
        ("output-votable-td", "application/x-votable+xml", ("votable", "votable/td")),
        (
            "output-votable-binary2",
            "application/x-votable+xml;serialization=BINARY2",
            ("votable/b2",),
        ),
        ("", "text/csv;header=present", ("csv",)),
        ("", "application/vnd.apache.parquet", ("parquet",)),
    )
    # TAP 1.1 section 2.5 asks for both; by http, only results of this archive are taken.
    methods = "".join(
        f'<uploadMethod ivo-id="{_IVOA}TAPRegExt#upload-{way}"/>' for way in ("inline", "http")
    )
    listed = "".join(
        "<outputFormat"
        + (f' ivo-id="{_IVOA}TAPRegExt#{name}"' if name else "")
        + f"><mime>{media}</mime>"
        + "".join(f"<alias>{alias}</alias>" for alias in aliases)
        + "</outputFormat>"
        for name, media, aliases in offered
    )
    return listed + methods


def _limits() -> str:
    return (
        f"<retentionPeriod><default>{int(uws.LIFE.total_seconds())}</default>"
        f"<hard>{int(uws.MOST_LIFE.total_seconds())}</hard></retentionPeriod>"
        f"<executionDuration><default>{uws.DEFAULT_SECONDS}</default>"
        f"<hard>{uws.MOST_SECONDS}</hard></executionDuration>"
        f'<outputLimit><default unit="row">{tap.DEFAULT_ROWS}</default>'
        f'<hard unit="row">{tap.MOST_ROWS}</hard></outputLimit>'
        f'<uploadLimit><hard unit="row">{votable_reader.MOST_ROWS}</hard></uploadLimit>'
    )


class Tables(Endpoint):
    """The resources ``/tap/tables`` and ``/tap/tables/NAME``."""

    def get(self, name: str = "") -> None:
        """Describe all tables or one, as VODataService 1.1 does."""
        database = self.service.database
        if name:
            found = next(
                (t for t in database.tables.values() if name.lower() in (t.name, written(t.name))),
                None,
            )
            if found is None:
                raise tornado.web.HTTPError(404, "No such table")
            spaces = f' xmlns:vosi="{_XML}VOSITables/v1.0"{_DATA}'
            self.xml(_table(found, tag="vosi:table", spaces=spaces))
            return
        detail = self.one("DETAIL", "max").lower()
        if detail not in ("min", "max"):
            raise QueryError(f"DETAIL is {detail[:40]!r}", remedy="send min or max")
        listed = "".join(
            f"<schema><name>{text(delimited(schema))}</name>{_described(described)}"
            + "".join(
                _table(t, brief=detail == "min")
                for t in database.tables.values()
                if t.schema == schema
            )
            + "</schema>"
            for schema, described in database.schemas.items()
        )
        self.xml(
            f'<vosi:tableset xmlns:vosi="{_XML}VOSITables/v1.0"{_DATA}>{listed}</vosi:tableset>'
        )


def _described(value: str | None) -> str:
    return f"<description>{text(value)}</description>" if value else ""


def _table(table: Table, *, brief: bool = False, tag: str = "table", spaces: str = "") -> str:
    inner = "" if brief else "".join(_column(c) for c in table.columns) + _keys(table)
    utype = f"<utype>{text(table.utype)}</utype>" if table.utype else ""
    return (
        f"<{tag}{spaces}><name>{text(written(table.name))}</name>"
        f"{_described(table.description)}{utype}{inner}</{tag}>"
    )


def _column(column: Column) -> str:
    size = f" arraysize={attribute(column.arraysize)}" if column.arraysize else ""
    extended = f" extendedType={attribute(column.xtype)}" if column.xtype else ""
    return (
        f'<column std="{str(column.std).lower()}"><name>{text(delimited(column.name))}</name>'
        + _described(column.description)
        + "".join(
            f"<{tag}>{text(value)}</{tag}>"
            for tag, value in (("unit", column.unit), ("ucd", column.ucd), ("utype", column.utype))
            if value
        )
        + f'<dataType xsi:type="vs:VOTableType"{size}{extended}>{column.datatype}</dataType>'
        + ("<flag>indexed</flag>" if column.indexed else "")
        + ("<flag>principal</flag>" if column.principal else "")
        + "</column>"
    )


def _keys(table: Table) -> str:
    return "".join(
        f"<foreignKey><targetTable>{text(written(key.target))}</targetTable>"
        + "".join(
            f"<fkColumn><fromColumn>{text(delimited(a))}</fromColumn>"
            f"<targetColumn>{text(delimited(b))}</targetColumn></fkColumn>"
            for a, b in key.columns
        )
        + _described(key.description)
        + "</foreignKey>"
        for key in table.keys
    )


class Examples(Endpoint):
    """The resource ``/tap/examples`` (DALI 1.1 section 2.3)."""

    def get(self) -> None:
        """Show queries that run on this archive."""
        listed = "".join(
            f'<div typeof="example" id="example{i}" resource="#example{i}">'
            f'<h2 property="name">{text(name)}</h2>'
            f'<pre property="query">{text(query)}</pre></div>'
            for i, (name, query) in enumerate(self.service.examples, start=1)
        )
        # The vocabulary needs XHTML, and taplint looks at the type.
        self.set_header("Content-Type", "application/xhtml+xml")
        self.finish(
            '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Examples</title></head>'
            f'<body vocab="http://www.ivoa.net/rdf/examples#">{listed}</body></html>'
        )
