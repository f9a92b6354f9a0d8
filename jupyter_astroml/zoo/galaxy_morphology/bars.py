"""The length of a bar, read off a saliency map, where the true length is known.

After Bhambra, Joachimi & Lahav 2022 (MNRAS 511, 5032): a network learns which galaxies have a bar;
no length is told to it.  SmoothGrad (Smilkov et al. 2017) of its answer lights up the bar, and the
extent of what is lit gives the length.  Beside it stands a network that learns lengths directly.

There the lengths came from volunteers.  Here the galaxies are **simulated**, so that length and
pixels of each bar are known.  Run

    python -m jupyter_astroml.zoo.galaxy_morphology.bars

which writes ``bars.md`` and ``bars.png`` beside the weights, from where the networks start.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.models.evaluation import Interval, bootstrap
from jupyter_astroml.models.picture import lupton
from jupyter_astroml.zoo import structure
from jupyter_astroml.zoo.galaxy_morphology.simulate import (
    PIXEL_SCALE,
    blurred,
    draw,
    noise,
    parameters,
)
from jupyter_astroml.zoo.scores import auc, softmax
from jupyter_astroml.zoo.training import Cycle, Say, fitted_on

if TYPE_CHECKING:
    import torch

    from jupyter_astroml.zoo.galaxy_morphology.network import Galaxies, Member

SEED, SIDE = 11, 128
TAUGHT, SCALED, JUDGED = 3000, 400, 400
# Lengths that somebody measured, from which lengths are learned.
FEW = (25, 100, 400)
# Bars that are drawn, from the longest to the shortest.
EXAMPLES = 5
_BANDS = ("g", "r", "i")
# Half-light radius of the discs, pixels: the scale of the pictures of Galaxy Zoo.
_RADIUS = 11.0
# Exponent of the generalised ellipses that bars are made of (Athanassoula et al. 1990): boxy.
_BOXY = 2.6
# Side of what the networks look at, pixels.
_FIELD = 76


@dataclass(frozen=True)
class Bars:
    """Simulated discs, every second one with a bar.

    Attributes
    ----------
    pictures : ndarray of uint8, shape (n, 3, 128, 128)
        Bands i, r, g, as `jupyter_astroml.models.picture.lupton` draws them.
    length : ndarray, shape (n,)
        From end to end on the sky, pixels; 0 without a bar.
    inside : ndarray of bool, shape (n, 128, 128)
        Pixels of the bar.
    """

    pictures: np.ndarray
    length: np.ndarray
    inside: np.ndarray

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, rows: np.ndarray) -> Bars:
        return Bars(self.pictures[rows], self.length[rows], self.inside[rows])


def simulate(n: int, *, seed: int) -> Bars:
    """Draw discs with arms and bulges, every second one with a bar of known length.

    Parameters
    ----------
    n : int
        Number of galaxies.
    seed : int
        The same seed gives the same galaxies.
    """
    truth = parameters(n, seed=seed, classes=("spiral",))
    rng = np.random.default_rng([seed, 3])
    pictures = np.empty((n, 3, SIDE, SIDE), dtype=np.uint8)
    length, inside = np.zeros(n), np.zeros((n, SIDE, SIDE), dtype=bool)
    for i, row in enumerate(truth):
        galaxy = dict(zip(truth.colnames, row, strict=True))
        r_e = _RADIUS * np.exp(0.2 * rng.normal())
        zoom = galaxy["r_e_arcsec"] / (r_e * PIXEL_SCALE)
        galaxy["mag_r"] += rng.uniform(-1.0, 0.3) + 5.0 * np.log10(zoom)
        for name in truth.colnames:
            if name.endswith("_arcsec"):
                galaxy[name] /= zoom
        galaxy["axis_ratio"] = rng.uniform(0.6, 1.0)
        galaxy["bulge_fraction"] = rng.uniform(0.03, 0.25)
        half = r_e * rng.uniform(0.45, 1.3)
        bar, within = _bar(half, q=rng.uniform(0.22, 0.45), angle=rng.uniform(0, np.pi))
        share = rng.uniform(0.08, 0.28) if i % 2 else 0.0
        pictures[i] = _seen(galaxy, bar, share, seeing=rng.uniform(1.0, 1.6), rng=rng)
        if i % 2:
            length[i], inside[i] = 2 * half, within
    return Bars(pictures, length, inside)


def _bar(half: float, *, q: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the light of a bar, of sum 1, and its pixels: Ferrers' profile, 1 - m² inside."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    along, across = y * np.cos(angle) + x * np.sin(angle), x * np.cos(angle) - y * np.sin(angle)
    m = (np.abs(along / half) ** _BOXY + np.abs(across / (q * half)) ** _BOXY) ** (1 / _BOXY)
    light = np.maximum(1.0 - m**2, 0.0)
    return (light / light.sum()).astype(np.float32), m < 1


def _seen(
    galaxy: dict[str, Any],
    bar: np.ndarray,
    share: float,
    *,
    seeing: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a picture of a galaxy whose bar has a share of the light in r."""
    total = 10 ** (0.4 * (22.5 - galaxy["mag_r"]))
    clean = (1.0 - share) * draw(galaxy, bands=_BANDS, shape=(SIDE, SIDE), seeing=seeing)
    # Bars are old: the colour of an elliptical galaxy.
    old = (10 ** (0.4 * np.array([-0.78, 0.0, 0.37], dtype=np.float32)))[:, None, None]
    clean = clean + blurred(
        share * total * old * bar, bands=_BANDS, seeing=seeing, pixel_scale=PIXEL_SCALE
    )
    values, _ = noise(clean, bands=_BANDS, rng=rng)
    return np.rint(255.0 * lupton(values, _BANDS)).astype(np.uint8)


# Networks -----------------------------------------------------------------------------------------


def start(outputs: int) -> Galaxies:
    """Return one network of the bundled model with a fresh last layer."""
    import torch

    from jupyter_astroml.models.loading import load
    from jupyter_astroml.zoo.galaxy_morphology.evaluate import NAME
    from jupyter_astroml.zoo.galaxy_morphology.train import network

    bundled = load(NAME)
    options = dict(bundled.card.network.options)
    torch.manual_seed(SEED)
    made = network({**options, "members": 1, "classes": outputs})
    first: Any = bundled.module.members
    known = first[0].state_dict()
    fresh = made.members[0].state_dict()
    made.members[0].load_state_dict({k: fresh[k] if "last" in k else v for k, v in known.items()})
    return made


def taught(
    module: Galaxies, pictures: np.ndarray, targets: np.ndarray, *, epochs: int, say: Say
) -> Galaxies:
    """Teach a network whether there is a bar (two outputs) or how long it is (one)."""
    import torch
    from torch.nn import functional

    seen = _resampled(module, pictures)
    wanted = torch.from_numpy(targets)

    def loss(member: Member, some: torch.Tensor, _: torch.Generator) -> torch.Tensor:
        found = member(seen[some])
        if wanted.dtype == torch.int64:
            return functional.cross_entropy(found, wanted[some])
        return functional.smooth_l1_loss(found[:, 0], wanted[some])

    batch = min(32, max(4, len(targets) // 8))
    cycle = Cycle(epochs=epochs, batch=batch, rate=2e-3)
    rows = np.arange(len(targets))
    first: Any = module.members[0]
    module.members[0] = fitted_on(first, rows, loss, cycle=cycle, seed=SEED, say=say)
    return module.eval()


def _resampled(module: Galaxies, pictures: np.ndarray) -> torch.Tensor:
    import torch

    with torch.inference_mode():
        parts = [
            module.seen(torch.from_numpy(pictures[i : i + 64]).float() / 255.0)
            for i in range(0, len(pictures), 64)
        ]
    return torch.cat(parts).clone()


def answers(module: Galaxies, pictures: np.ndarray) -> np.ndarray:
    """Return the outputs of the only member, shape (n, outputs)."""
    import torch

    with torch.inference_mode():
        found = module.members[0](_resampled(module, pictures))
    return found.double().numpy()


def maps_of(module: Galaxies, pictures: np.ndarray) -> np.ndarray:
    """Return the magnitude of SmoothGrad of the answer "bar", of all colours together: (n, y, x).

    What raises the answer in one colour and lowers it in another does not count: a bar is light.
    """
    from jupyter_astroml.explain.methods import attribute

    values = pictures.astype(np.float32) / 255.0
    found = attribute(module, values, targets=1, method="smoothgrad", samples=16)
    return np.abs(found.sum(axis=1))


# Lengths ------------------------------------------------------------------------------------------


def extent(maps: np.ndarray, *, level: float) -> np.ndarray:
    """Measure what is lit on each map.

    Parameters
    ----------
    maps : ndarray, shape (n, y, x)
        Magnitudes.
    level : float
        Share of the peak above which a pixel is lit.

    Returns
    -------
    ndarray, shape (n,)
        Standard deviation along the major axis of the brightest connected region, pixels.
    """
    from scipy import ndimage

    found = np.empty(len(maps))
    for i, one in enumerate(maps):
        smooth = ndimage.gaussian_filter(one, 1.0)
        parts, n = ndimage.label(smooth >= level * smooth.max())
        weights = ndimage.sum_labels(smooth, parts, np.arange(1, n + 1))
        y, x = np.nonzero(parts == 1 + int(np.argmax(weights)))
        found[i] = structure.shape(y, x, smooth[y, x])[1] if len(y) > 1 else 0.0
    return found


def line(measured: np.ndarray, length: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the straight line that turns what was measured into lengths."""
    slope, offset = np.polyfit(measured, length, 1)
    return lambda values: slope * values + offset


def judged(length: np.ndarray, found: np.ndarray) -> dict[str, Interval]:
    """Return correlation and root mean square error in pixels, with intervals of 95 %."""
    return {
        "r": bootstrap(lambda a, b: float(np.corrcoef(a, b)[0, 1]), length, found, seed=SEED),
        "rmse": bootstrap(
            lambda a, b: float(np.sqrt(np.mean((a - b) ** 2))), length, found, seed=SEED
        ),
    }


def study(say: Say) -> dict[str, Any]:
    """Train, measure and compare; returns what the page says, and the examples of the picture."""
    bars = simulate(TAUGHT + 2 * (SCALED + JUDGED), seed=SEED)
    say(f"{len(bars)} discs simulated")
    school, rest = bars[np.arange(TAUGHT)], bars[np.arange(TAUGHT, len(bars))]
    has = (school.length > 0).astype(np.int64)
    finder = taught(start(2), school.pictures, has, epochs=4, say=say)
    logits = answers(finder, rest.pictures)
    found_bars = auc((rest.length > 0).astype(int), softmax(logits))

    barred = rest[np.flatnonzero(rest.length > 0)]
    maps = maps_of(finder, barred.pictures)
    say(f"{len(maps)} maps computed")
    scaling, test = np.arange(SCALED), np.arange(SCALED, len(barred))
    methods: dict[str, list[dict[str, Interval]]] = {name: [] for name in _NAMES}
    for few in FEW:
        known = scaling[:few]
        # The level is chosen where lengths are known, never on what is judged.
        levels = np.arange(0.15, 0.75, 0.05)
        level = max(levels, key=partial(_agreement, maps[known], barred.length[known]))
        lit = extent(maps, level=level)
        by_map = line(lit[known], barred.length[known])(lit[test])
        direct = _direct(barred[known], barred[test], say=say)
        by_size = _by_size(barred[known], barred[test])
        for name, lengths in (("map", by_map), ("direct", direct), ("size", by_size)):
            methods[name].append(judged(barred.length[test], lengths))
    share = (maps * barred.inside).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))
    middle = slice((SIDE - _FIELD) // 2, (SIDE + _FIELD) // 2)
    area = barred.inside[:, middle, middle].mean(axis=(1, 2))
    examples = test[np.argsort(barred.length[test])[:: len(test) // EXAMPLES]][:EXAMPLES]
    return {
        "methods": methods,
        "auc": found_bars,
        "share_inside": float(np.median(share[test])),
        "area_inside": float(np.median(area[test])),
        "scatter": float(barred.length[test].std()),
        "examples": (barred[examples], maps[examples]),
    }


def _agreement(maps: np.ndarray, length: np.ndarray, level: float) -> float:
    """Return the correlation of extents and lengths; -1 where nothing is lit."""
    lit = extent(maps, level=level)
    return float(np.corrcoef(lit, length)[0, 1]) if lit.std() > 0 else -1.0


def _direct(known: Bars, others: Bars, *, say: Say) -> np.ndarray:
    """Return lengths by a network that learned them, from the same weights as the finder."""
    level, spread = known.length.mean(), known.length.std()
    wanted = ((known.length - level) / spread).astype(np.float32)
    # As many steps for few lengths as for many, within reason.
    epochs = min(60, max(12, 4800 // len(wanted)))
    module = taught(start(1), known.pictures, wanted, epochs=epochs, say=say)
    return answers(module, others.pictures)[:, 0] * spread + level


def _by_size(known: Bars, others: Bars) -> np.ndarray:
    """Return lengths by the size of the galaxy alone: what knowing nothing of bars gives."""
    sizes = [extent(b.pictures[:, 1].astype(float), level=0.2) for b in (known, others)]
    return line(sizes[0], known.length)(sizes[1])


# The page -----------------------------------------------------------------------------------------

_NAMES = {
    "map": "extent of the SmoothGrad map, one straight line",
    "direct": "network that learns the lengths",
    "size": "size of the galaxy, one straight line",
}


def page(found: dict[str, Any]) -> str:
    """Return the study as Markdown."""

    def cell(found: Interval) -> str:
        return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"

    lines = [
        "# The length of bars, from saliency",
        "",
        "**Simulated** discs with arms, every second one with a bar of known length and pixels.",
        f"One network of `galaxy_morphology` learned on {TAUGHT} of them which have a bar (area "
        f"under the curve {found['auc']:.3f} on others); no length was told to it.",
        "SmoothGrad of its answer gives a map, and the extent of what is lit a length (Bhambra, "
        "Joachimi & Lahav 2022), once a straight line was fitted to bars that somebody measured.",
        "",
        f"![{EXAMPLES} bars: picture, map, true bar](bars.png)",
        "",
        f"{JUDGED} other bars, intervals of 95 %; root mean square error in pixels of "
        f"{PIXEL_SCALE} arcsec; the true lengths scatter by {found['scatter']:.1f}:",
        "",
        "| measured lengths to learn from | method | correlation | error |",
        "|---|---|---|---|",
    ]
    for i, few in enumerate(FEW):
        for name, told in _NAMES.items():
            one = found["methods"][name][i]
            lines.append(f"| {few} | {told} | {cell(one['r'])} | {cell(one['rmse'])} |")
    lines += [
        "",
        f"Of the map, {found['share_inside']:.2f} lies inside the bar (median), which covers "
        f"{found['area_inside']:.2f} of what the network sees.",
        "",
        "Written by `python -m jupyter_astroml.zoo.galaxy_morphology.bars`; the figures of the "
        "paper belong to its own galaxies.",
    ]
    return "\n".join(lines) + "\n"


def picture(bars: Bars, maps: np.ndarray) -> Any:
    """Return a sheet: a row of pictures, their maps, and the true bars."""
    from PIL import Image
    from scipy import ndimage

    middle = slice((SIDE - _FIELD) // 2, (SIDE + _FIELD) // 2)
    columns = []
    for colours, one, inside in zip(bars.pictures, maps, bars.inside, strict=True):
        seen = colours[:, middle, middle].transpose(1, 2, 0)
        smooth = ndimage.gaussian_filter(one, 1.0)[middle, middle]
        lit = 255 * np.clip(smooth / np.quantile(smooth, 0.998), 0, 1)
        grey = np.repeat(lit.astype(np.uint8)[..., None], 3, axis=2)
        edge = inside ^ ndimage.binary_erosion(inside)
        truth = seen.copy()
        truth[edge[middle, middle]] = (255, 210, 0)
        columns.append(np.concatenate([seen, grey, truth]))
    sheet = np.concatenate(columns, axis=1)
    return Image.fromarray(np.kron(sheet, np.ones((2, 2, 1), dtype=np.uint8)))


def main() -> int:
    """Write the page and the picture."""

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    found = study(say)
    folder = Path(__file__).parent
    (folder / "bars.md").write_text(page(found), encoding="utf-8")
    picture(*found["examples"]).save(folder / "bars.png", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
