"""Train the flare networks on simulated stars: ``python -m jupyter_astroml.zoo.flares.train``.

No real star is used: not for the weights, not for the calibration, not for the thresholds.
Four simulated populations with different seeds do one thing each: training, calibration, choice of
the thresholds (of the network and of its baseline), and the figures of simulated stars on the card.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.zoo.flares.simulate import Simulation, simulate_parts

if TYPE_CHECKING:
    import torch

    from jupyter_astroml.zoo.flares.network import FlareNet, Flares

Say = Callable[[str], None]

FLARE, QUIET, UNDECIDED = 1, 0, -1
# A flare below this signal-to-noise ratio (all of its cadences together) teaches nothing.
_WEAKEST = 6.0
# The pools of the network halve twice, so windows four cadences apart share their convolutions.
_APART, _TOGETHER = 4, 16


@dataclass(frozen=True)
class Plan:
    """What to train, and for how long.

    Attributes
    ----------
    seed : int
        Of the simulation, the weights at the start and the order of the examples.
    stars, cadences : int
        Size of the training population.
    members : int
        Size of the ensemble.
    epochs : int
        Draws of `pieces`.
    pieces : int
        Pieces of an epoch, 16 windows each: half with a flare, a quarter anywhere, a quarter with
        a quiet cadence that the network held for a flare.
    batch : int
    rate : float
        Step of Adam at the start, as in the paper; it falls to zero along a cosine.
    trend : int
        Width of the running median, cadences.
    """

    seed: int = 7
    stars: int = 5000
    cadences: int = 2400
    members: int = 5
    epochs: int = 8
    pieces: int = 40_000
    batch: int = 64
    rate: float = 1e-3
    trend: int = 193


def bridged(values: np.ndarray) -> np.ndarray:
    """Fill missing cadences by straight lines, as the input contract asks.

    Parameters
    ----------
    values : ndarray of float32, shape (n, t)
        NaN where missing; the first and last value are repeated towards the ends.

    Returns
    -------
    ndarray of float32, shape (n, t)
    """
    filled = np.array(values, dtype=np.float32)
    at = np.arange(values.shape[1])
    for row in filled:
        known = np.isfinite(row)
        row[~known] = np.interp(at[~known], at[known], row[known])
    return filled


def labels(simulation: Simulation) -> np.ndarray:
    """Say for each cadence whether it is in a flare.

    Returns
    -------
    ndarray of int8, shape (n, t)
        `FLARE` where the injected light is above the white noise and belongs to a flare that can be
        found at all; `QUIET` where it is far below; `UNDECIDED` between, and where nothing was
        measured.
    """
    light = simulation.flare_flux
    sigma = np.asarray(simulation.stars["noise"], dtype=np.float32)[:, None]
    found = np.where(light < 0.3 * sigma, QUIET, UNDECIDED).astype(np.int8)
    row_of = {star: i for i, star in enumerate(simulation.curves.ids)}
    for flare in simulation.flares[np.asarray(simulation.flares["snr"]) >= _WEAKEST]:
        row = row_of[flare["id"]]
        first, last = np.searchsorted(
            simulation.curves.time[row], (flare["t_start"], flare["t_stop"])
        )
        part = slice(max(first - 1, 0), last + 1)
        bright = light[row, part] >= sigma[row]
        found[row, part][bright] = FLARE
    found[~np.isfinite(simulation.curves.values)] = UNDECIDED
    return found


class Examples:
    """Pieces of many stars: 16 windows each, four cadences apart.

    Sixteen windows together cost as much as five alone, because they share their convolutions.
    """

    def __init__(self, module: Flares, simulation: Simulation) -> None:
        import torch
        from torch.nn.functional import pad

        from jupyter_astroml.zoo.flares.network import AFTER, BEFORE, WINDOW

        marks = labels(simulation)
        self._n, self._cadences = marks.shape
        series = module.normalise(torch.from_numpy(bridged(simulation.curves.values)))
        self.series = pad(series, (BEFORE, AFTER))
        length = WINDOW + _APART * (_TOGETHER - 1)
        self._pieces = self.series.unfold(1, length, 1)
        self._truth = torch.from_numpy(marks).unfold(1, 1 + _APART * (_TOGETHER - 1), 1)
        self.flare = np.flatnonzero(marks == FLARE)
        self.quiet = np.flatnonzero(marks == QUIET)
        self._is_quiet = marks == QUIET
        self._flare_weight = _weights_of_runs(marks == FLARE)
        self.hard = self.quiet

    def mine(self, member: FlareNet, rng: np.random.Generator) -> None:
        """Find the quiet cadences of some stars that a network takes for flares most often."""
        import torch

        rows = np.sort(rng.choice(self._n, size=-(-self._n // 8), replace=False))
        with torch.inference_mode():
            scores = [member(self.series[part]) for part in torch.from_numpy(rows).split(20)]
        score = np.where(self._is_quiet[rows], torch.cat(scores).numpy(), -np.inf)
        worst = np.argpartition(score, -score.size // 100, axis=None)[-score.size // 100 :]
        self.hard = rows[worst // self._cadences] * self._cadences + worst % self._cadences

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw cadences around which pieces are cut, shape (n,), shuffled."""
        n_flare, n_hard = int(0.5 * n), int(0.25 * n)
        drawn = [
            rng.choice(self.flare, size=n_flare, p=self._flare_weight),
            rng.choice(self.hard, size=n_hard),
            rng.choice(self.quiet, size=n - n_flare - n_hard),
        ]
        # Each is somewhere in its piece, not always in the middle.
        place = np.concatenate(drawn)
        row, cadence = place // self._cadences, place % self._cadences
        span = _APART * (_TOGETHER - 1)
        first = np.clip(cadence - rng.integers(0, span + 1, size=n), 0, self._cadences - span - 1)
        return rng.permutation(row * self._cadences + first)

    def cut(self, places: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut the pieces that begin at some cadences: flux (n, 260), labels (n, 16)."""
        import torch

        row = torch.from_numpy(places // self._cadences)
        first = torch.from_numpy(places % self._cadences)
        return self._pieces[row, first], self._truth[row, first][:, ::_APART]


def _weights_of_runs(marks: np.ndarray) -> np.ndarray:
    """Weight of each marked cadence, so that a flare of 100 cadences counts 10 times one of 1."""
    flat = np.zeros((marks.shape[0], marks.shape[1] + 2), dtype=np.int8)
    flat[:, 1:-1] = marks
    edges = np.diff(flat, axis=1)
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    weight = np.repeat(1.0 / np.sqrt(lengths), lengths)
    return weight / weight.sum()


def fit(plan: Plan, *, say: Say = print) -> Flares:
    """Train the ensemble; same plan, same weights on the same kind of machine.

    Parameters
    ----------
    plan : Plan
        What to train.
    say : callable
        Gets a line now and then.

    Returns
    -------
    Flares
        In evaluation mode, not yet calibrated.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from jupyter_astroml.zoo.flares.network import build

    torch.manual_seed(plan.seed)
    module = build(members=plan.members, trend=plan.trend)
    start = time.monotonic()
    examples = Examples(
        module,
        simulate_parts(
            plan.stars, seed=plan.seed, cadences=plan.cadences, start_btjd=None, active=0.8
        ),
    )
    say(
        f"{plan.stars} stars, {len(examples.flare)} cadences in flares, "
        f"{time.monotonic() - start:.0f} s"
    )
    steps = plan.epochs * -(-plan.pieces // plan.batch)
    for k, member in enumerate(module.nets()):
        rng = np.random.default_rng([plan.seed, 1000 + k])
        optimiser = torch.optim.Adam(member.parameters(), lr=plan.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
        examples.hard = examples.quiet
        for epoch in range(plan.epochs):
            if epoch:
                member.eval()
                examples.mine(member, rng)
            member.train()
            places = examples.draw(rng, plan.pieces)
            total, count = 0.0, 0
            for at in range(0, plan.pieces, plan.batch):
                flux, truth = examples.cut(places[at : at + plan.batch])
                logits = member.windows(flux)
                decided = truth != UNDECIDED
                loss = binary_cross_entropy_with_logits(logits[decided], truth[decided].float())
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                total, count = total + float(loss.detach()), count + 1
            say(
                f"member {k + 1}/{plan.members} epoch {epoch + 1}/{plan.epochs} "
                f"loss {total / count:.4f} {time.monotonic() - start:.0f} s"
            )
        member.eval()
    return module.eval()
