"""Model cards: what a model is for, what it needs, how well it does, and where it fails.

A card is two files.
People write ``card.yaml`` (purpose, input contract, limits, licence, citation);
programs write ``facts.json`` (digest of the weights, calibration, training counts, metrics), so
that no figure on a card was typed by hand.
The layout follows an idea of the bioimage.io model description: axes with units, and stored test
tensors that anybody can replay.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.core.units import named

if TYPE_CHECKING:
    import numpy as np

CARD = "card.yaml"
FACTS = "facts.json"
WEIGHTS = "weights.safetensors"
REPLAY = "replay.npz"
FAMILIAR = "familiar.safetensors"
# A card is text for people: anything larger is not a card.
MAX_BYTES = 1_000_000
# No spectrograph gives more pixels than these.
_MOST_PIXELS = 1_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Strict):
    """Allowed interval of a physical quantity."""

    low: float
    high: float
    unit: str


def _unit(text: str) -> None:
    """Refuse what astropy does not know as a unit, and what it would read for minutes."""
    from astropy import units as u

    known = not isinstance(named(text), u.UnrecognizedUnit)
    if not known:
        raise ValueError(f"{text!r} is no unit that astropy knows")


class Wavelengths(_Strict):
    """Pixels on which a network takes spectra.

    Attributes
    ----------
    low, high : float
        Middle of the first pixel, and what that of the last one is or, by steps, does not exceed.
    unit : str
        A length that astropy knows.
    pixels : int, optional
    step : float, optional
        In `unit`, or in dex where `spacing` is ``log``; instead of `pixels`.
    spacing : str
        Of the middles: by equal differences, or by equal ratios.
    gaps : tuple of pairs of float
        Ranges in `unit` without pixels, such as those between detectors.
    medium : str
        What the wavelengths are measured in.
    frame : str
        ``observed``, or ``rest`` of the object; empty where the network does not mind.
    """

    low: float = Field(gt=0)
    high: float
    unit: str
    pixels: int | None = Field(default=None, ge=2, le=_MOST_PIXELS)
    step: float | None = Field(default=None, gt=0)
    spacing: Literal["linear", "log"] = "linear"
    gaps: tuple[tuple[float, float], ...] = Field(default=(), max_length=100)
    medium: Literal["vacuum", "air"]
    frame: Literal["", "observed", "rest"] = ""

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        from astropy import units as u

        _unit(self.unit)
        if not u.Unit(self.unit).is_equivalent(u.m):
            raise ValueError(f"{self.unit!r} is no length")
        if not self.low < self.high < math.inf:
            raise ValueError("the highest wavelength is not above the lowest one")
        if (self.pixels is None) == (self.step is None):
            raise ValueError("either 'pixels' or 'step' tells how fine the grid is")
        if not 2 <= self._count <= _MOST_PIXELS:
            raise ValueError(f"a grid has 2 to {_MOST_PIXELS} pixels, not {self._count}")
        if len(self) < 2:
            raise ValueError("the gaps leave no pixels")
        return self

    def __len__(self) -> int:
        """Number of pixels outside the gaps."""
        return int(self.keep.sum()) if self.gaps else self._count

    @property
    def _count(self) -> int:
        if self.pixels is not None:
            return self.pixels
        assert self.step is not None  # noqa: S101 - for the type checker
        low, high = self._scaled
        # A range of a whole number of steps may come out as a hair less.
        return int(min((high - low) / self.step + 1e-6, _MOST_PIXELS)) + 1

    @property
    def _scaled(self) -> tuple[float, float]:
        """The ends on the axis whose steps are equal."""
        if self.spacing == "linear":
            return self.low, self.high
        return math.log10(self.low), math.log10(self.high)

    @property
    def whole(self) -> np.ndarray:
        """Middles of the pixels and of those that would be in the gaps, in `unit`."""
        import numpy as np

        low, high = self._scaled
        if self.step is None:
            at: np.ndarray = np.linspace(low, high, self._count)
        else:
            at = low + self.step * np.arange(self._count)
        return at if self.spacing == "linear" else np.asarray(10.0**at)

    @property
    def keep(self) -> np.ndarray:
        """Mask of the pixels of `whole` that are in no gap."""
        import numpy as np

        middles = self.whole
        lost = [(middles > low) & (middles < high) for low, high in self.gaps]
        return ~np.any(lost, axis=0) if lost else np.ones(len(middles), dtype=bool)

    @property
    def middles(self) -> np.ndarray:
        """Middles of the pixels, shape (pixel,), in `unit`."""
        return self.whole[self.keep]

    @property
    def words(self) -> str:
        """The grid in a few words."""
        frame = f", {self.frame} frame" if self.frame else ""
        return (
            f"{self.low:g} to {self.high:g} {self.unit} in {self.medium}{frame}, "
            f"{len(self)} {'logarithmic ' if self.spacing == 'log' else ''}pixels"
            + (f" with {len(self.gaps)} gaps" if self.gaps else "")
        )


class InputContract(_Strict):
    """What the data must be like, in physics; for the task ``emulate``, what the model draws.

    Attributes
    ----------
    kind : str
        Record that the model takes.
    bands : tuple of str
        In the order of the band axis; for light curves the one filter; spectra have none.
    planes : str
        ``filters``: the bands together are one colour picture.
        ``images``: they are seen side by side, such as the images of an alert.
    fewest_bands : int, optional
        So many of the bands suffice, the others become planes of zeros; all are needed when absent.
    flux_unit : str
        Unit of the values that the network sees: ``picture``, ``relative`` (to the median; of
        spectra the flux per wavelength), ``continuum`` (a spectrum over its continuum), an astropy
        unit, or ``any`` for a network that divides the unit out.
    size : tuple of int
        Pixels (y, x), or the smallest number of cadences; of spectra the wavelengths tell it.
    wavelength : Wavelengths, optional
        The grid of spectra.
    pixel_scale, cadence : Range, optional
        arcsec per pixel; days between cadences.
    psf : Range, optional
        Full width at half maximum of a point in cutouts, arcsec.
    signal_to_noise : Range, optional
        Of a cadence, of a pixel of the grid, or of all pixels of a cutout together.
    convert : tuple of str
        Units that can be converted to `flux_unit`, such as ``nanomaggy`` to ``picture``.
    notes : str
        Normalisation, shape of the point spread function, extinction: what a number cannot say.
    """

    kind: Literal["cutouts", "light_curves", "spectra"]
    bands: tuple[str, ...] = ()
    planes: Literal["filters", "images"] = "filters"
    fewest_bands: int | None = Field(default=None, ge=1)
    flux_unit: str
    size: tuple[int, ...] = ()
    wavelength: Wavelengths | None = None
    pixel_scale: Range | None = None
    cadence: Range | None = None
    psf: Range | None = None
    signal_to_noise: Range | None = None
    convert: tuple[str, ...] = ()
    notes: str = ""

    @model_validator(mode="after")
    def _tells_what_its_kind_needs(self) -> Self:
        if (self.kind == "spectra") != (self.wavelength is not None):
            raise ValueError("the kind 'spectra' and 'wavelength' go together")
        axes = {"cutouts": 2, "light_curves": 1, "spectra": 0}[self.kind]
        if len(self.size) != axes or bool(self.bands) != bool(axes):
            wanted = f"{axes} sizes and the bands" if axes else "neither a size nor bands"
            raise ValueError(f"{self.kind.replace('_', ' ')} have {wanted}")
        if self.psf is not None and (self.kind != "cutouts" or self.psf.unit != "arcsec"):
            raise ValueError("only cutouts have a 'psf', and its unit is arcsec")
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one object as the network takes it; a light curve may be longer."""
        if self.wavelength is not None:
            return (len(self.wavelength),)
        return (len(self.bands), *self.size) if self.kind == "cutouts" else self.size

    @property
    def words(self) -> str:
        """What a model takes, in a few words."""
        unit = {"picture": "colour picture", "continuum": "flux over its continuum"}
        parts = [
            self.kind.replace("_", " "),
            self.wavelength.words if self.wavelength else " ".join(self.bands),
            unit.get(self.flux_unit, self.flux_unit),
        ]
        if self.size:
            count = "pixels" if self.kind == "cutouts" else "or more"
            parts.append(f"{' × '.join(map(str, self.size))} {count}")
        for span in (self.pixel_scale, self.cadence):
            if span is not None:
                parts.append(f"{span.low:g} to {span.high:g} {span.unit}")
        if self.psf is not None:
            parts.append(f"points {self.psf.low:g} to {self.psf.high:g} arcsec wide")
        return ", ".join(part for part in parts if part)


# Columns that answers have beside those of the parameters.
_TAKEN = {"id", "ra", "dec", "status", "fit", "uncertainty", "disagreement"}


class Outputs(_Strict):
    """What the model answers.

    Attributes
    ----------
    axis : str
        What the outputs of the network stand for: classes, cadences, or parameters.
    names : tuple of str
        Of the classes, of what is detected, or of the parameters.
    units : tuple of str
        Of the parameters, as astropy writes them; empty where a number has none.
    description : str
    """

    axis: Literal["class", "time", "parameter"]
    names: tuple[str, ...]
    units: tuple[str, ...] = ()
    description: str = ""

    @model_validator(mode="after")
    def _names_columns_of_their_own(self) -> Self:
        if self.axis != "parameter":
            if self.units:
                raise ValueError("only parameters have units")
            return self
        if len(self.units) != len(self.names):
            raise ValueError(f"{len(self.units)} units for {len(self.names)} parameters")
        made = [name + end for name in self.names for end in ("", "_std", "_low", "_high")]
        taken = sorted(set(made) & _TAKEN) or sorted({n for n in made if made.count(n) > 1})
        if taken:
            raise ValueError(f"two columns of the answers would be called {taken[0]!r}")
        for unit in self.units:
            _unit(unit)
        return self


class Network(_Strict):
    """Which code makes the torch module: a name and plain options, never code of its own.

    Attributes
    ----------
    architecture : str
        Name of an entry point in the group ``jupyter_astroml.models``; its ``network.build`` is
        called with `options`.
    options : mapping
    """

    architecture: str = Field(pattern=r"^[a-z][a-z0-9_]{1,63}$")
    options: dict[str, Any] = {}


class Dataset(_Strict):
    """Where training or test data come from."""

    name: str
    source: str
    licence: str
    simulated: bool = False
    description: str = ""


class Citation(_Strict):
    """A paper, with enough to find it."""

    text: str
    doi: str = ""
    arxiv: str = ""
    bibtex: str = ""


class Metric(_Strict):
    """A measured value with its interval, and the baseline's value on the same objects."""

    value: float
    low: float | None = None
    high: float | None = None
    baseline: float | None = None


class _Measured(BaseModel):
    """What a card must know of an evaluation to tell its main metric; there may be more."""

    metric: str
    value: float
    low: float | None
    high: float | None
    n: int


class Facts(_Strict):
    """What programs found out; written by ``train`` and ``evaluate``.

    Attributes
    ----------
    digest : str
        ``sha256:`` and the hash of the weights file.
    familiar : str
        The same of ``familiar.safetensors``, what the training objects look like; empty without.
    calibration : mapping
        Numbers that turn logits into answers; `jupyter_astroml.models.answers` names them.
    training : mapping
        Seed, number of objects, duration, versions.
    evaluation : mapping
        The JSON of `jupyter_astroml.models.evaluation.Evaluation` on held-out objects.
    """

    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    familiar: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    calibration: dict[str, float] = {}
    training: dict[str, Any] = {}
    evaluation: dict[str, Any] = {}

    @field_validator("evaluation")
    @classmethod
    def _tells_the_main_metric(cls, found: dict[str, Any]) -> dict[str, Any]:
        if found:
            _Measured.model_validate(found)
        return found


class Lineage(_Strict):
    """What a model was fine-tuned from.

    Attributes
    ----------
    parent, digest : str
        Id of the older model, and digest of its weights.
    n : int
        Number of labelled objects.
    blocks : int
        Layers before the head that learned too.
    seed : int
    """

    parent: str
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    n: int
    blocks: int = 0
    seed: int = 0


class Tolerance(_Strict):
    """How far a replayed output may be from the stored one."""

    relative: float = 1e-3
    absolute: float = 1e-3


class Card(_Strict):
    """The whole card of a model."""

    format: Literal[1]
    id: str = Field(pattern=r"^[a-z][a-z0-9_]{1,63}$")
    version: str
    title: str
    task: Literal["classify", "detect", "regress", "emulate"]
    description: str
    input: InputContract
    outputs: Outputs
    network: Network
    baseline: str
    datasets: tuple[Dataset, ...]
    limits: tuple[str, ...]
    bias: str = ""
    licence: str
    citations: tuple[Citation, ...]
    tolerance: Tolerance = Tolerance()
    lineage: Lineage | None = None
    facts: Facts | None = None

    @property
    def kind(self) -> str:
        """Kind of record that the model takes."""
        return self.input.kind

    @model_validator(mode="after")
    def _answers_what_its_task_says(self) -> Self:
        if (self.task in ("regress", "emulate")) != (self.outputs.axis == "parameter"):
            raise ValueError(
                "the tasks 'regress' and 'emulate' and outputs of the axis 'parameter' go together"
            )
        if self.task == "emulate" and self.kind != "spectra":
            raise ValueError("only spectra are emulated")
        if self.task == "detect" and self.kind == "spectra":
            raise ValueError("events are detected in light curves, not in spectra")
        return self

    @property
    def width(self) -> int:
        """How many numbers the network gives an object, or a cadence of it.

        For the task ``regress`` the values and the Cholesky factor of their covariance; see
        `jupyter_astroml.models.estimates`.  For ``emulate`` the pixels of a spectrum.
        """
        if self.task == "emulate":
            return self.input.shape[0]
        k = len(self.outputs.names)
        return k + k * (k + 1) // 2 if self.task == "regress" else k

    def must_answer(self) -> None:
        """Refuse a model that draws data instead of judging them.

        Raises
        ------
        ModelError
        """
        if self.task == "emulate":
            raise ModelError(
                f"{self.id} draws spectra from {', '.join(self.outputs.names)}",
                cause="it is an emulator, and gives no answers about data",
                remedy=f"fit it to your spectra: aml.emulator({self.id!r}).fit(spectra)",
            )

    @property
    def key_metric(self) -> str:
        """The main metric in words, or that there is none."""
        found = self.facts.evaluation if self.facts else {}
        if not found:
            return "not measured yet"
        span = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
        sample = found.get("sample") or f"{found['n']} objects"
        return f"{found['metric']} {found['value']:.3f}{span} on {sample}"

    @property
    def summary(self) -> str:
        """What a user gains and loses by the default answer, with figures; perhaps empty."""
        return str(self.facts.evaluation.get("summary", "")) if self.facts else ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return self.model_dump(mode="json") | {"key_metric": self.key_metric}

    def _repr_html_(self) -> str:
        rows = {
            "Task": f"{self.task} {', '.join(self.outputs.names)}",
            "Needs": self.input.words,
            "Measured": f"{self.key_metric}. {self.summary}".removesuffix(". "),
            "Baseline": self.baseline,
            "Fine-tuned from": f"{self.lineage.parent} with {self.lineage.n} labels"
            if self.lineage
            else "",
            "Limits": " · ".join(self.limits),
            "Licence": self.licence,
            "Please cite": "; ".join(c.text for c in self.citations),
        }
        body = "".join(
            f"<tr><th style='text-align:left;vertical-align:top'>{html.escape(k)}</th>"
            f"<td style='text-align:left'>{html.escape(v)}</td></tr>"
            for k, v in rows.items()
            if v
        )
        return (
            f"<h4>{html.escape(self.title)} <code>{html.escape(self.id)}</code></h4>"
            f"<p>{html.escape(self.description)}</p><table>{body}</table>"
        )


def read_card(folder: Path) -> Card:
    """Read and check the card of a model; once for each change of its files.

    Parameters
    ----------
    folder : Path
        Has ``card.yaml`` and, once the model is trained, ``facts.json``.

    Raises
    ------
    ModelError
        If the card is absent, too large, no YAML, or not valid; names the first bad field.
    """
    return _read(folder, version(folder / CARD), version(folder / FACTS))


def version(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


# A worker asks for its model with every block, and YAML is slow.
@lru_cache(maxsize=256)
def _read(folder: Path, _card: object, _facts: object) -> Card:
    return card_of(folder / CARD, facts=folder / FACTS)


def card_of(path: Path, *, facts: Path | None = None) -> Card:
    """Read and check a card that need not stand in the folder of a model.

    Parameters
    ----------
    path : Path
        Of the YAML.
    facts : Path, optional
        What a training added to it, where there is such a file.

    Raises
    ------
    ModelError
        As `read_card`.
    """
    import yaml

    try:
        values = yaml.safe_load(_text(path))
    # Beside its own errors the reader lets through those of dates that do not exist, and of depth.
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise ModelError(f"{path} is no YAML", cause=str(err)) from err
    if not isinstance(values, dict):
        raise ModelError(f"{path} is no card", remedy="start it with 'format: 1'")
    if facts is not None and facts.exists():
        try:
            values["facts"] = json.loads(_text(facts))
        except (ValueError, RecursionError) as err:
            raise ModelError(f"{facts} is no JSON", cause=str(err)) from err
    return card_from(values, name=str(path))


def card_from(values: Mapping[str, Any], *, name: str) -> Card:
    """Check what a card says.

    Parameters
    ----------
    values : mapping
        As the YAML has it.
    name : str
        Of the card, for the error.

    Raises
    ------
    ModelError
        If it is not valid; names the first bad field.
    """
    try:
        return Card.model_validate(values)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            f"{name} is not a valid card",
            cause=f"'{where}': {first['msg']}",
            remedy="compare it with docs/models.md",
        ) from err


def schema() -> dict[str, Any]:
    """Return the JSON Schema of ``card.yaml`` in this version of the format."""
    found = Card.model_json_schema()
    # Programs write the facts, into a file of their own.
    found["properties"].pop("facts", None)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$comment": "card format 1"}
    return head | found


def write_card(path: Path, card: Card) -> None:
    """Write a card that a program made, for a person to go on with; without its facts."""
    import yaml

    plain = card.model_dump(mode="json", exclude={"facts"}, exclude_none=True)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text, encoding="utf-8")


def write_facts(folder: Path, facts: Facts) -> Path:
    """Write the machine's half of a card, with one rename, so that it is never half a file."""
    path = folder / FACTS
    new = path.with_suffix(".new")
    new.write_text(json.dumps(facts.model_dump(mode="json"), indent=2, sort_keys=True) + "\n")
    new.replace(path)
    return path


def digest_of(path: Path) -> str:
    """Return ``sha256:`` and the hash of a file."""
    import hashlib

    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is too large for a card", remedy=f"keep it < {MAX_BYTES} B")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ModelError(f"{path} cannot be read", cause=str(err)) from err
