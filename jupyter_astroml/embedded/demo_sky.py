"""The demo sky: simulated fields of galaxies and simulated TESS light curves with flares.

Nothing in it was ever observed, and every table, header and title says so.
The galaxies are those of `jupyter_astroml.zoo.galaxy_morphology.simulate`, placed on a jittered
grid in fields as deep as one exposure of the Sloan Digital Sky Survey; the light curves are those
of `jupyter_astroml.zoo.flares.simulate`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import SettingsError

from .app import Archive
from .build import Builder, Product
from .caom2 import write as write_caom2
from .datalink import MEDIA, link
from .obscore import square
from .obscore import write as write_obscore
from .tables import Column, ForeignKey

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.wcs import WCS

Progress = Callable[[str], None]
BANDS = ("g", "r", "i")
PIXEL_SCALE = 0.396
CENTRE = (150.1, 2.2)
SIMULATED = "Simulated, not observed"
_AUTHORITY = "ivo://astroml.demo/sky"
# A TESS pixel, the patch of sky that a light curve comes from.
_TESS_PIXEL_DEG = 21.0 / 3600
_MJD_OF_BTJD = 2457000.0 - 2400000.5
EXAMPLES = (
    (
        "The ten brightest galaxies",
        "SELECT TOP 10 id, ra, dec, mag_r, true_class, access_url FROM demo.galaxies "
        "ORDER BY mag_r",
    ),
    (
        "Galaxies around a position",
        "SELECT id, ra, dec, mag_r FROM demo.galaxies WHERE 1 = CONTAINS("
        "POINT('ICRS', ra, dec), CIRCLE('ICRS', 150.1, 2.2, 0.1))",
    ),
    (
        "Stars with strong flares",
        "SELECT s.id, s.tmag, COUNT(*) AS strong FROM demo.stars AS s "
        "JOIN demo.flares AS f ON f.star_id = s.id WHERE f.snr > 20 "
        "GROUP BY s.id, s.tmag ORDER BY strong DESC",
    ),
    (
        "Everything that covers a position",
        "SELECT obs_publisher_did, dataproduct_type, access_url FROM ivoa.obscore "
        "WHERE 1 = CONTAINS(POINT('ICRS', 150.0, 2.13), s_region)",
    ),
)


@dataclass(frozen=True)
class Plan:
    """How large the demo sky is.

    Attributes
    ----------
    fields : int
    cells : int
        Galaxies along each side of a field.
    cell : int
        Distance of the grid, pixels.
    margin : int
        Pixels around the grid, so that the outer galaxies can be cut out whole.
    jitter : int
        Largest distance of a galaxy from its place in the grid along each axis, pixels.
    stamp : int
        Width of the square that a galaxy is drawn into, pixels.
    stars, cadences : int
    seed : int
    """

    fields: int = 8
    cells: int = 7
    cell: int = 128
    margin: int = 16
    jitter: int = 12
    stamp: int = 224
    stars: int = 300
    cadences: int = 2000
    seed: int = 20_26

    @property
    def side(self) -> int:
        """Width of a field, pixels."""
        return self.cells * self.cell + 2 * self.margin


def cached(folder: Path, *, progress: Progress | None = None, plan: Plan | None = None) -> Path:
    """Return the demo sky of this version, built when it is not there yet.

    Parameters
    ----------
    folder : Path
        Cache; the demo sky gets a folder of its own in it.
    progress : callable, optional
        Told what is being done.
    plan : Plan, optional
        How large it is to be.

    Returns
    -------
    Path
        Folder of the demo sky.

    Raises
    ------
    SettingsError
        When the cache cannot be written.
    """
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise SettingsError(
            f"The demo sky cannot be kept in {folder}",
            cause=str(err),
            remedy="set ASTROML_CACHE_DIR to a folder that can be written",
        ) from err
    target = folder / f"demo_sky-{fingerprint(plan)}"
    with FileLock(folder / "demo_sky.lock"):
        if (target / "manifest.json").is_file():
            return target
        made = Path(tempfile.mkdtemp(prefix="building-", dir=folder))
        try:
            build(made, progress=progress, plan=plan)
            # A half-built folder never gets the final name, whatever kills us.
            made.replace(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        for old in folder.glob("demo_sky-*"):
            if old != target and old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
    return target


def fingerprint(plan: Plan | None = None) -> str:
    """Return a short hash of the plan and of the programs that make the sky."""
    here = Path(__file__).parent
    sources = [
        here / f"{name}.py" for name in ("demo_sky", "obscore", "caom2", "build", "tables", "types")
    ]
    # Read as files: importing the simulators costs a third of a second at every start.
    zoo = here.parent / "zoo"
    sources += [zoo / name / "simulate.py" for name in ("flares", "galaxy_morphology")]
    digest = hashlib.sha256(json.dumps(asdict(plan or Plan())).encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def archive(folder: Path) -> Archive:
    """Return the archive in a folder that `build` filled."""
    return Archive(
        database=folder / "archive.duckdb",
        root=folder / "files",
        title=f"The demo sky of jupyter_astroml. {SIMULATED}.",
        examples=EXAMPLES,
    )


def build(folder: Path, *, progress: Progress | None = None, plan: Plan | None = None) -> Path:
    """Write the demo sky into an empty folder.

    Parameters
    ----------
    folder : Path
        Must be there and empty.
    progress : callable, optional
        Told what is being done.
    plan : Plan, optional
        How large it is to be.

    Returns
    -------
    Path
        The folder, which holds ``archive.duckdb``, ``files/`` and ``manifest.json``.
    """
    plan = plan or Plan()
    tell = progress or (lambda text: None)
    (folder / "files" / "fields").mkdir(parents=True)
    (folder / "files" / "light_curves").mkdir()
    builder = Builder(folder / "archive.duckdb")
    try:
        builder.schema("demo", f"The demo sky of jupyter_astroml. {SIMULATED}.")
        rows = _galaxies(folder / "files", builder, plan=plan, tell=tell)
        rows += _stars(folder / "files", builder, plan=plan, tell=tell)
        text = f"Fields and light curves of the demo sky. {SIMULATED}."
        write_obscore(builder, rows, description=text)
        write_caom2(builder, rows, description=text)
    finally:
        builder.close()
    manifest = {"simulated": True, "fingerprint": fingerprint(plan), "plan": asdict(plan)}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return folder


def _galaxies(files: Path, builder: Builder, *, plan: Plan, tell: Progress) -> list[dict[str, Any]]:
    """Write the fields and ``demo.galaxies``; return the rows for ObsCore."""
    from jupyter_astroml.zoo.galaxy_morphology.simulate import parameters

    each = plan.cells**2
    truth = parameters(plan.fields * each, seed=plan.seed)
    ra, dec = np.empty(len(truth)), np.empty(len(truth))
    rows = []
    for k in range(plan.fields):
        tell(f"drawing field {k + 1} of {plan.fields}")
        mine = slice(k * each, (k + 1) * each)
        wcs = _wcs(k, plan)
        rng = np.random.default_rng([plan.seed, 2, k])
        x, y = _places(rng, plan)
        ra[mine], dec[mine] = wcs.wcs_pix2world(x, y, 0)
        values, seeing = _draw(truth[mine], x, y, rng=rng, plan=plan)
        path = files / "fields" / f"field-{k:02d}.fits"
        _write_field(path, values, wcs, number=k, seeing=seeing, plan=plan)
        rows.append(_field_row(path, wcs, number=k, seeing=seeing, plan=plan))
    builder.products(
        Product(r["obs_publisher_did"], f"fields/{r['obs_id']}.fits", "", "application/fits",
                "cube", r["obs_title"], r["access_estsize"] * 1000)
        for r in rows
    )  # fmt: skip
    _galaxy_table(builder, truth, ra, dec, [r["obs_publisher_did"] for r in rows], plan=plan)
    return rows


def _wcs(number: int, plan: Plan) -> WCS:
    """Fields stand in two rows around the centre, a little apart."""
    from astropy.wcs import WCS

    step = 1.4 * plan.side * PIXEL_SCALE / 3600
    across = -(-plan.fields // 2)
    column, row = number % across, number // across
    dec = CENTRE[1] + (row - 0.5) * step
    ra = CENTRE[0] + (column - (across - 1) / 2) * step / np.cos(np.radians(dec))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [round(ra, 6), round(dec, 6)]
    wcs.wcs.crpix = [(plan.side + 1) / 2] * 2
    wcs.wcs.cdelt = [-PIXEL_SCALE / 3600, PIXEL_SCALE / 3600]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.pixel_shape = (plan.side, plan.side)
    return wcs


def _places(rng: np.random.Generator, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Return 0-based pixel coordinates of the galaxies of a field, shape (cells²,) each."""
    middle = plan.margin + plan.cell * (np.arange(plan.cells) + 0.5) - 0.5
    y, x = (g.ravel() for g in np.meshgrid(middle, middle, indexing="ij"))
    moved = rng.uniform(-plan.jitter, plan.jitter, (2, *x.shape))
    return x + moved[0], y + moved[1]


def _draw(
    truth: Table, x: np.ndarray, y: np.ndarray, *, rng: np.random.Generator, plan: Plan
) -> tuple[np.ndarray, float]:
    """Return a field with noise, shape (band, y, x) in nanomaggy, and its seeing in arcsec."""
    from jupyter_astroml.zoo.galaxy_morphology.simulate import SEEING, draw, noise

    seeing = float(np.clip(SEEING * np.exp(0.1 * rng.standard_normal()), 1.1, 1.6))
    # Stamps reach over the edge of the field, so they are summed on a larger canvas.
    half = plan.stamp // 2
    canvas = np.zeros((len(BANDS), plan.side + 2 * half, plan.side + 2 * half), dtype=np.float32)
    for row, px, py in zip(truth, x, y, strict=True):
        # Pixel `left` of the canvas is the first of the stamp, whose middle is at stamp/2 - 1/2.
        left, low = int(np.floor(px)) + 1, int(np.floor(py)) + 1
        offset = (py + half - low - (plan.stamp - 1) / 2, px + half - left - (plan.stamp - 1) / 2)
        stamp = draw(row, bands=BANDS, shape=(plan.stamp, plan.stamp), seeing=seeing, offset=offset)
        canvas[:, low : low + plan.stamp, left : left + plan.stamp] += stamp
    clean = canvas[:, half:-half, half:-half]
    return noise(clean, bands=BANDS, rng=rng)[0], seeing


def _write_field(
    path: Path, values: np.ndarray, wcs: WCS, *, number: int, seeing: float, plan: Plan
) -> None:
    from astropy.io import fits

    header = wcs.to_header()
    header["SIMULATD"] = (True, SIMULATED)
    header["OBJECT"] = (f"simulated field {number}", SIMULATED)
    header["BUNIT"] = ("nanomaggy", "AB, zero point 22.5 mag")
    header["BANDS"] = (",".join(BANDS), "planes of the third axis")
    header["WCSAXES"] = 3
    header["CTYPE3"] = ("BAND", "filter, see BANDS")
    header["CRPIX3"], header["CRVAL3"], header["CDELT3"] = 1.0, 1.0, 1.0
    header["PIXSCALE"] = (PIXEL_SCALE, "[arcsec] per pixel")
    header["SEEING"] = (round(seeing, 4), "[arcsec] FWHM of a star in r")
    header["SEED"] = (plan.seed, "of the simulation")
    header["ORIGIN"] = ("jupyter_astroml.embedded.demo_sky", SIMULATED)
    primary = fits.PrimaryHDU()
    primary.header["SIMULATD"] = (True, SIMULATED)
    # Steps of half the noise add 2 per cent to its variance (Pence et al. 2009, PASP 121, 414).
    # The seed of the dither is fixed, since that of the clock would make every build another.
    image = fits.CompImageHDU(
        values,
        header,
        name="SCI",
        compression_type="RICE_1",
        quantize_level=2.0,
        quantize_method=1,
        dither_seed=number + 1,
    )
    fits.HDUList([primary, image]).writeto(path)


def _field_row(path: Path, wcs: WCS, *, number: int, seeing: float, plan: Plan) -> dict[str, Any]:
    centre = (plan.side - 1) / 2
    ra, dec = (float(v) for v in wcs.wcs_pix2world(centre, centre, 0))
    outline = wcs.calc_footprint()
    return {
        "dataproduct_type": "image",
        "calib_level": 3,
        "obs_collection": "jupyter_astroml demo sky (simulated)",
        "obs_id": path.stem,
        "obs_title": f"Simulated field {number} in g, r and i",
        "obs_publisher_did": f"{_AUTHORITY}?{path.stem}",
        "access_estsize": -(-path.stat().st_size // 1000),
        "target_name": f"simulated field {number}",
        "s_ra": ra,
        "s_dec": dec,
        "s_fov": plan.side * PIXEL_SCALE / 3600,
        "s_region": [float(v) for v in outline.ravel()],
        "s_resolution": seeing,
        "s_xel1": plan.side,
        "s_xel2": plan.side,
        "t_exptime": 53.9,
        # SDSS g to i: where the transmission is a tenth of its peak.
        "em_min": 3.8e-7,
        "em_max": 8.4e-7,
        "em_xel": len(BANDS),
        "o_ucd": "phot.flux.density;em.opt",
        "facility_name": "simulation",
        "instrument_name": "SDSS-like camera (simulated)",
    }


def _galaxy_table(
    builder: Builder,
    truth: Table,
    ra: np.ndarray,
    dec: np.ndarray,
    dids: list[str],
    *,
    plan: Plan,
) -> None:
    from jupyter_astroml.zoo.galaxy_morphology.simulate import COLUMNS

    field = np.arange(len(truth)) // plan.cells**2
    values: dict[str, Any] = {
        "id": truth["id"],
        "ra": ra,
        "dec": dec,
        "mag_g": truth["mag_r"] + truth["g_r"],
        "mag_r": truth["mag_r"],
        "mag_i": truth["mag_r"] - truth["r_i"],
        "true_class": truth["label"],
    }
    told = {
        "id": Column("id", ucd="meta.id;meta.main", description="Name", indexed=True),
        "ra": Column("ra", unit="deg", ucd="pos.eq.ra;meta.main", description="Right ascension"),
        "dec": Column("dec", unit="deg", ucd="pos.eq.dec;meta.main", description="Declination"),
        "true_class": Column(
            "true_class", ucd="src.morph.type", description="Class that was simulated"
        ),
    }
    for band, ucd in (("g", "em.opt.B"), ("r", "em.opt.R"), ("i", "em.opt.I")):
        text = f"True total {band} magnitude, AB"
        told[f"mag_{band}"] = Column(
            f"mag_{band}", unit="mag", ucd=f"phot.mag;{ucd}", description=text
        )
    for name, (unit, text) in COLUMNS.items():
        if name in ("id", "label", "mag_r", "g_r", "r_i", "texture"):
            continue
        values[name] = truth[name]
        told[name] = Column(name, unit=unit, ucd=_UCDS.get(name, ""), description=f"True: {text}")
    own = [dids[k] for k in field]
    values |= {
        "field": field.astype(np.int32),
        **_access(own),
        "bands": [",".join(BANDS)] * len(truth),
        "flux_unit": ["nanomaggy"] * len(truth),
        "pixel_scale": np.full(len(truth), PIXEL_SCALE),
    }
    told |= {
        "field": Column("field", ucd="meta.id;obs.field", description="Number of the field"),
        "bands": Column("bands", ucd="meta.id;instr.filter", description="Planes of the image"),
        "flux_unit": Column("flux_unit", ucd="meta.unit", description="Unit of the image"),
        "pixel_scale": Column(
            "pixel_scale", unit="arcsec", ucd="instr.pixel", description="Width of a pixel"
        ),
        **_access_columns("the field that shows the galaxy"),
    }
    builder.table(
        "demo.galaxies",
        values,
        columns=list(told.values()),
        description=f"Galaxies with the truth that they were drawn from. {SIMULATED}.",
        keys=(ForeignKey("ivoa.obscore", (("obs_publisher_did", "obs_publisher_did"),)),),
    )


_UCDS = {
    "r_e_arcsec": "phys.angSize",
    "axis_ratio": "phys.size.axisRatio",
    "position_angle_deg": "pos.posAng",
    "companion_separation_arcsec": "pos.angDistance",
    "companion_angle_deg": "pos.posAng",
    "companion_r_e_arcsec": "phys.angSize",
}


def _access(dids: list[str]) -> dict[str, list[str]]:
    return {
        "obs_publisher_did": dids,
        "access_url": [link(did) for did in dids],
        "access_format": [MEDIA] * len(dids),
    }


def _access_columns(what: str) -> dict[str, Column]:
    return {
        "obs_publisher_did": Column(
            "obs_publisher_did", ucd="meta.ref.ivoid", description=f"Identifier of {what}"
        ),
        "access_url": Column(
            "access_url", ucd="meta.ref.url", description=f"Links of {what}", link=True
        ),
        "access_format": Column(
            "access_format", ucd="meta.code.mime", description="Media type behind access_url"
        ),
    }


def _stars(files: Path, builder: Builder, *, plan: Plan, tell: Progress) -> list[dict[str, Any]]:
    """Write the light curves, ``demo.stars`` and ``demo.flares``; return the rows for ObsCore."""
    from jupyter_astroml.zoo.flares.simulate import simulate

    tell(f"simulating {plan.stars} light curves")
    curves, flares = simulate(
        plan.stars, seed=plan.seed, cadences=plan.cadences, start_btjd=None, prefix="star"
    )
    facts = flares.meta["stars"]
    rng = np.random.default_rng([plan.seed, 3])
    ra = CENTRE[0] + rng.uniform(-0.5, 0.5, plan.stars) / np.cos(np.radians(CENTRE[1]))
    dec = CENTRE[1] + rng.uniform(-0.5, 0.5, plan.stars)
    # Photon noise falls by a factor ten in five magnitudes; one part in a thousand at Tmag 10.
    tmag = 10.0 + 5 * np.log10(np.asarray(facts["noise"]) / 1e-3)
    tell(f"writing {plan.stars} light curves")
    rows = []
    for i, name in enumerate(curves.ids):
        path = files / "light_curves" / f"{name}.fits"
        place = (float(ra[i]), float(dec[i]))
        _write_curve(path, curves, i, place=place, tmag=float(tmag[i]))
        rows.append(_curve_row(path, str(name), curves.time[i], place=place))
    builder.products(
        Product(r["obs_publisher_did"], f"light_curves/{r['obs_id']}.fits", "",
                "application/fits", "file", r["obs_title"], r["access_estsize"] * 1000)
        for r in rows
    )  # fmt: skip
    _star_table(builder, facts, ra, dec, tmag, [r["obs_publisher_did"] for r in rows])
    _flare_table(builder, flares)
    return rows


def _write_curve(
    path: Path, curves: Any, i: int, *, place: tuple[float, float], tmag: float
) -> None:
    """Write a light curve in the layout of TESS (Twicken et al. 2020, section 5)."""
    from astropy.io import fits

    time = curves.time[i]
    primary = fits.PrimaryHDU()
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("TIME", "D", unit="d", array=time),
            fits.Column("FLUX", "E", array=curves.values[i]),
            fits.Column("FLUX_ERR", "E", array=curves.errors[i]),
        ],
        name="LIGHTCURVE",
    )
    step = float(np.median(np.diff(time)))
    for header in (primary.header, table.header):
        header["SIMULATD"] = (True, SIMULATED)
        header["OBJECT"] = (str(curves.ids[i]), SIMULATED)
        header["TELESCOP"] = ("TESS (simulated)", SIMULATED)
        header["FILTER"] = "TESS"
        header["RA_OBJ"] = (place[0], "[deg] ICRS")
        header["DEC_OBJ"] = (place[1], "[deg] ICRS")
        header["TESSMAG"] = (round(tmag, 3), "[mag]")
    table.header["TIMEREF"] = ("SOLARSYSTEM", "barycentric correction applied to times")
    table.header["TIMESYS"] = ("TDB", "time system is Barycentric Dynamical Time")
    table.header["BJDREFI"] = (2457000, "integer part of BTJD reference date")
    table.header["BJDREFF"] = (0.0, "fraction of the day in BTJD reference date")
    table.header["TIMEUNIT"] = ("d", "time unit for TIME, TSTART and TSTOP")
    table.header["TSTART"] = (float(time[0] - step / 2), "start of the observation in BTJD")
    table.header["TSTOP"] = (float(time[-1] + step / 2), "end of the observation in BTJD")
    table.header["TIMEDEL"] = (step, "[d] time resolution of data")
    fits.HDUList([primary, table]).writeto(path)


def _curve_row(
    path: Path, name: str, time: np.ndarray, *, place: tuple[float, float]
) -> dict[str, Any]:
    return {
        "dataproduct_type": "timeseries",
        "calib_level": 3,
        "obs_collection": "jupyter_astroml demo sky (simulated)",
        "obs_id": name,
        "obs_title": f"Simulated TESS light curve of {name}",
        "obs_publisher_did": f"{_AUTHORITY}?{name}",
        "access_estsize": -(-path.stat().st_size // 1000),
        "target_name": name,
        "s_ra": place[0],
        "s_dec": place[1],
        "s_fov": _TESS_PIXEL_DEG,
        "s_region": square(*place, side=_TESS_PIXEL_DEG),
        "t_min": float(time[0]) + _MJD_OF_BTJD,
        "t_max": float(time[-1]) + _MJD_OF_BTJD,
        "t_exptime": 120.0 * len(time),
        "t_resolution": 120.0,
        "t_xel": len(time),
        # The TESS band (Ricker et al. 2015, JATIS 1, 014003).
        "em_min": 6.0e-7,
        "em_max": 1.0e-6,
        "em_xel": 1,
        "o_ucd": "phot.flux;em.opt.I",
        "facility_name": "simulation",
        "instrument_name": "TESS-like camera (simulated)",
    }


def _star_table(
    builder: Builder, facts: Table, ra: np.ndarray, dec: np.ndarray, tmag: np.ndarray,
    dids: list[str],
) -> None:  # fmt: skip
    period = np.ma.masked_invalid(np.asarray(facts["period_days"]))
    values = {
        "id": facts["id"],
        "ra": ra,
        "dec": dec,
        "tmag": tmag,
        "kind": facts["kind"],
        "period": period,
        "variability": facts["variability"],
        "noise": facts["noise"],
        "n_flares": np.asarray(facts["n_flares"]).astype(np.int32),
        **_access(dids),
        "flux_unit": ["relative"] * len(dids),
    }
    told = [
        Column("id", ucd="meta.id;meta.main", description="Name", indexed=True),
        Column("ra", unit="deg", ucd="pos.eq.ra;meta.main", description="Right ascension"),
        Column("dec", unit="deg", ucd="pos.eq.dec;meta.main", description="Declination"),
        Column(
            "tmag", unit="mag", ucd="phot.mag;em.opt.I", description="TESS magnitude of the noise"
        ),
        Column("kind", ucd="src.class", description="True: kind of variability"),
        Column("period", unit="d", ucd="src.var;time.period", description="True: period"),
        Column("variability", ucd="src.var.amplitude", description="True: relative semi-amplitude"),
        Column(
            "noise", ucd="stat.stdev;phot.flux", description="True: relative noise of a cadence"
        ),
        Column("n_flares", ucd="meta.number", description="True: number of injected flares"),
        *_access_columns("the light curve").values(),
        Column("flux_unit", ucd="meta.unit", description="Unit of the light curve"),
    ]
    builder.table(
        "demo.stars",
        values,
        columns=told,
        description=f"Stars with TESS-like light curves at 2 minutes. {SIMULATED}.",
        keys=(ForeignKey("ivoa.obscore", (("obs_publisher_did", "obs_publisher_did"),)),),
    )


def _flare_table(builder: Builder, flares: Table) -> None:
    values: dict[str, Any] = {"star_id": flares["id"]}
    names = ("t_peak", "t_start", "t_stop", "amplitude", "peak_flux", "fwhm_days", "snr")
    values |= {name: flares[name] for name in names}
    values["outburst"] = np.asarray(flares["outburst"]).astype(np.int32)
    told = [
        Column("star_id", ucd="meta.id;meta.main", description="Star that flares", indexed=True),
        Column("t_peak", unit="d", ucd="time.epoch", description="Peak, BTJD (TDB)"),
        Column("t_start", unit="d", ucd="time.start", description="Begin, BTJD (TDB)"),
        Column("t_stop", unit="d", ucd="time.end", description="End, BTJD (TDB)"),
        Column("amplitude", ucd="src.var.amplitude", description="Peak of the template, relative"),
        Column("peak_flux", ucd="phot.flux;stat.max", description="Brightest cadence, relative"),
        Column("fwhm_days", unit="d", ucd="time.duration", description="Width at half maximum"),
        Column("snr", ucd="stat.snr", description="Signal over noise of all cadences together"),
        Column("outburst", ucd="meta.id", description="Flares of one outburst share the number"),
    ]
    builder.table(
        "demo.flares",
        values,
        columns=told,
        description=f"The flares that were put into the light curves of demo.stars. {SIMULATED}.",
        keys=(ForeignKey("demo.stars", (("star_id", "id"),)),),
    )
