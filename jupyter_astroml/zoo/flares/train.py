"""Train the flare networks on simulated stars: ``python -m jupyter_astroml.zoo.flares.train``.

No real star is used: not for the weights, not for the calibration, not for the thresholds.
Four simulated populations with different seeds do one thing each: training, calibration, choice of
the thresholds (of the network and of its baseline), and the figures of simulated stars on the card.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import (
    REPLAY,
    WEIGHTS,
    Facts,
    digest_of,
    read_card,
    write_facts,
)
from jupyter_astroml.models.events import Rule, detrended, events, longest_run, scatter
from jupyter_astroml.zoo.flares import baseline, matching, rules
from jupyter_astroml.zoo.flares.report import write_report
from jupyter_astroml.zoo.flares.simulate import (
    CADENCE_DAYS,
    SECTOR_START,
    Simulation,
    simulate_parts,
)

if TYPE_CHECKING:
    import torch
    from astropy.table import Table

    from jupyter_astroml.zoo.flares.network import FlareNet, Flares

Say = Callable[[str], None]

FLARE, QUIET, UNDECIDED = 1, 0, -1
# A flare below this signal-to-noise ratio (all of its cadences together) teaches nothing.
_WEAKEST = 7.0
# Three cadences at 3σ have a signal-to-noise ratio of 5.2.
_LISTED = 5.0
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
    sectors : int
        Whole sectors for the choice of the thresholds, and as many for the figures.
    """

    seed: int = 7
    stars: int = 5000
    cadences: int = 2400
    members: int = 5
    epochs: int = 7
    pieces: int = 30_000
    batch: int = 64
    rate: float = 1e-3
    trend: int = 193
    sectors: int = 60


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


def calibrate(module: Flares, simulation: Simulation) -> None:
    """Fit temperature and shift, so that the mean probability of the members is a frequency.

    Parameters
    ----------
    module : Flares
        Trained; its two buffers are set.
    simulation : Simulation
        Of stars that the training did not see.
        All of their decided cadences count, in the proportion in which they occur.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    logits, truth = decided(module, simulation)

    def cost(numbers: np.ndarray) -> float:
        p = np.clip(expit(logits / np.exp(numbers[0]) + numbers[1]).mean(axis=0), 1e-9, 1 - 1e-9)
        return -float(np.mean(np.where(truth, np.log(p), np.log1p(-p))))

    best = minimize(cost, [0.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-7})
    module.temperature.fill_(float(np.exp(best.x[0])))
    module.shift.fill_(float(best.x[1]))


def decided(module: Flares, simulation: Simulation) -> tuple[np.ndarray, np.ndarray]:
    """Return logits, shape (member, k), and truth, shape (k,), of the decided cadences."""
    marks = labels(simulation)
    known = marks != UNDECIDED
    return predict(module, simulation)[:, known], marks[known] == FLARE


def predict(module: Flares, simulation: Simulation) -> np.ndarray:
    """Run the ensemble on simulated stars: logits, shape (member, n, t)."""
    import torch

    values = torch.from_numpy(bridged(simulation.curves.values))
    with torch.inference_mode():
        return torch.cat([module(part) for part in values.split(2)], dim=1).numpy()


def findable(simulation: Simulation) -> Table:
    """Return the injected flares that a catalogue would list.

    Three cadences in a row of injected light above 3σ of the quiet star about its trend: the
    criterion with which Günther et al. 2020 (section 3.1) chose candidates.
    """
    curves = simulation.curves
    quiet = curves.values - simulation.flare_flux
    sigma = {}
    for i, name in enumerate(curves.ids):
        good = np.isfinite(quiet[i])
        sigma[name] = scatter(detrended(curves.time[i][good], quiet[i][good].astype(float)))
    row_of = {name: i for i, name in enumerate(curves.ids)}
    keep = []
    for flare in simulation.flares:
        i = row_of[flare["id"]]
        first, last = np.searchsorted(curves.time[i], (flare["t_start"], flare["t_stop"]))
        light = simulation.flare_flux[i, max(first - 1, 0) : last + 2]
        # A weak companion is not bright because the flare beside it is.
        keep.append(flare["snr"] >= _LISTED and longest_run(light > 3 * sigma[flare["id"]]) >= 3)
    return simulation.flares[np.array(keep, dtype=bool)]


def choose_rule(module: Flares, simulation: Simulation) -> tuple[Rule, np.ndarray]:
    """Choose what makes an event, on simulated sectors.

    The best F2 score: a user can look at an event and refuse it, but never sees a flare that was
    missed, so recall counts more.

    Parameters
    ----------
    module : Flares
        Calibrated.
    simulation : Simulation
        Not used before.

    Returns
    -------
    Rule
    ndarray of int, shape (block, 4)
        Counts under the rule, see `matching.counts`.
    """
    mean, std = probabilities(predict(module, simulation))
    truth = findable(simulation)
    best = max(
        (_tried(rule, mean, std, truth, simulation) for rule in rules.grid()),
        key=lambda tried: tried[0],
    )
    _, rule, _ = best
    middle = float(np.log(rule.threshold / (1 - rule.threshold)))
    between = [
        rules.at(logit, n_sigma=rule.n_sigma, in_a_row=rule.min_cadences)
        for logit in (middle - 0.5, middle + 0.5)
    ]
    finer = [_tried(rule, mean, std, truth, simulation) for rule in between]
    _, rule, counted = max((best, *finer), key=lambda tried: tried[0])
    return rule, counted


def _tried(
    rule: Rule, mean: np.ndarray, std: np.ndarray, truth: Table, simulation: Simulation
) -> tuple[float, Rule, np.ndarray]:
    counted = count_under(rule, mean, std, truth, simulation)
    return matching.f_score(counted, beta=2.0), rule, counted


def count_under(
    rule: Rule, mean: np.ndarray, std: np.ndarray, truth: Table, simulation: Simulation
) -> np.ndarray:
    """Count events and flares under a rule, see `matching.counts`."""
    curves = simulation.curves
    found = events(mean, std, curves.time, curves.values, curves.errors, ids=curves.ids, rule=rule)
    return matching.counts(found, truth, curves)


def probabilities(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the members, shape (n, t)."""
    members = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    return members.mean(axis=0), members.std(axis=0)


def choose_criteria(simulation: Simulation) -> tuple[baseline.Criteria, np.ndarray]:
    """Tune the baseline on the same stars, by the same score as `choose_rule`."""
    truth = findable(simulation)
    best: tuple[float, baseline.Criteria, np.ndarray] | None = None
    prepared: dict[int, list[tuple[np.ndarray, ...]]] = {}
    for criteria in baseline.grid():
        if criteria.trend not in prepared:
            prepared[criteria.trend] = baseline.heights(simulation.curves, trend=criteria.trend)
        found = baseline.search_heights(
            simulation.curves, prepared[criteria.trend], criteria=criteria
        )
        counted = matching.counts(found, truth, simulation.curves)
        score = matching.f_score(counted, beta=2.0)
        if best is None or score > best[0]:
            best = (score, criteria, counted)
    if best is None:
        raise ModelError("No criteria were tried")
    return best[1], best[2]


def reliability(module: Flares, simulation: Simulation, *, bins: int = 10) -> dict[str, Any]:
    """Compare probabilities with frequencies on stars that were not used before.

    Parameters
    ----------
    module : Flares
        Calibrated.
    simulation : Simulation
        Not used before.
    bins : int
        Of equal width in probability.

    Returns
    -------
    dict
        ``brier`` score; ``expected_calibration_error`` (weighted by cadences) and the same among
        cadences with a probability above 1 %; for each of the ``bins`` the mean ``probability``,
        the ``frequency`` and ``n``; ``disagreement_right`` and ``disagreement_wrong``: mean
        standard deviation over the members where the answer (at 0.5) is right and where it is
        wrong.
    """
    logits, truth = decided(module, simulation)
    mean, std = probabilities(logits)

    def error(rows: np.ndarray) -> tuple[float, list[dict[str, float]]]:
        place = np.minimum((mean[rows] * bins).astype(int), bins - 1)
        table, total = [], 0.0
        for b in np.unique(place):
            inside = place == b
            p, f = float(mean[rows][inside].mean()), float(truth[rows][inside].mean())
            table.append({"probability": p, "frequency": f, "n": int(inside.sum())})
            total += inside.mean() * abs(p - f)
        return float(total), table

    everything, table = error(np.ones(len(truth), dtype=bool))
    wrong = (mean >= 0.5) != truth
    return {
        "n_cadences": len(truth),
        "brier": float(np.mean((mean - truth) ** 2)),
        "expected_calibration_error": everything,
        "expected_calibration_error_above_1_percent": error(mean > 0.01)[0],
        "disagreement_right": float(std[~wrong].mean()),
        "disagreement_wrong": float(std[wrong].mean()),
        "bins": table,
    }


# Kinds of simulated stars whose own light changes slowly enough not to look like flares.
_CALM = ("quiet", "spots", "fast_rotator")


def completeness(
    rule: Rule, mean: np.ndarray, std: np.ndarray, simulation: Simulation
) -> list[dict[str, float]]:
    """Share of the injected flares that are found, by signal-to-noise ratio and kind of star.

    Flares whose brightest cadence was not measured do not count: nobody could find them.
    """
    curves, flares = simulation.curves, simulation.flares
    found, _ = matching.matched(
        events(mean, std, curves.time, curves.values, curves.errors, ids=curves.ids, rule=rule),
        flares,
    )
    row_of = {name: i for i, name in enumerate(curves.ids)}
    row = np.array([row_of[name] for name in flares["id"]], dtype=int)
    peak = np.rint((np.asarray(flares["t_peak"]) - curves.time[row, 0]) / CADENCE_DAYS).astype(int)
    measured = np.isfinite(curves.values[row, np.clip(peak, 0, curves.values.shape[1] - 1)])
    calm = np.isin(np.asarray(simulation.stars["kind"])[row], _CALM)
    snr = np.asarray(flares["snr"], dtype=float)
    edges = (0.0, 5.0, 8.0, 12.0, 20.0, 50.0, np.inf)
    rows = []
    for low, high in itertools.pairwise(edges):
        inside = (snr >= low) & (snr < high) & measured
        line: dict[str, float] = {"snr_from": low}
        for name, kind in (("calm", calm), ("variable", ~calm)):
            line[f"n_{name}"] = int((inside & kind).sum())
            if (inside & kind).any():
                line[f"found_{name}"] = float(found[inside & kind].mean())
        rows.append(line)
    return rows


def _summary(counted: np.ndarray) -> dict[str, float]:
    return {
        "recall": matching.recall(counted),
        "precision": matching.precision(counted),
        "f1": matching.f1(counted),
        "n_flares": int(counted.sum(axis=0)[matching.FLARES]),
    }


def train(folder: Path, *, plan: Plan, say: Say = print) -> None:
    """Train, calibrate, choose and write weights, replay and facts into a folder.

    Parameters
    ----------
    folder : Path
        Of the model; holds the card.
    plan : Plan
        What to train.
    say : callable
        Gets a line now and then.
    """
    began = time.monotonic()
    module = fit(plan, say=say)
    finish(folder, module, plan=plan, minutes=(time.monotonic() - began) / 60, say=say)


def finish(folder: Path, module: Flares, *, plan: Plan, minutes: float, say: Say = print) -> None:
    """Calibrate a trained ensemble, choose the thresholds, and write everything; see `train`.

    Parameters
    ----------
    folder : Path
        Of the model; holds the card.
    module : Flares
        From `fit`.
    plan : Plan
        That it was trained with.
    minutes : float
        That the training took.
    say : callable
        Gets a line now and then.
    """
    calibrate(module, _stars(plan, 1, stars=400))
    say(f"temperature {module.temperature:.3f}, shift {module.shift:.3f}")
    sectors = _sectors(plan, 2)
    rule, chosen = choose_rule(module, sectors)
    criteria, tuned = choose_criteria(sectors)
    say(f"{rule}: {_summary(chosen)}; baseline {criteria}: {_summary(tuned)}")
    fresh = _sectors(plan, 3)
    truth = findable(fresh)
    mean, std = probabilities(predict(module, fresh))
    classical = matching.counts(
        baseline.search(fresh.curves, criteria=criteria), truth, fresh.curves
    )
    simulated = {
        "sectors": len(fresh.curves),
        "model": _summary(count_under(rule, mean, std, truth, fresh)),
        "baseline": _summary(classical),
        "completeness": completeness(rule, mean, std, fresh),
        "reliability": reliability(module, _stars(plan, 4, stars=400)),
    }
    write(
        folder,
        module,
        calibration={
            **asdict(rule),
            "temperature": float(module.temperature),
            "shift": float(module.shift),
            "baseline_n1": criteria.n1,
            "baseline_n3": criteria.n3,
            "baseline_trend": criteria.trend,
        },
        training={
            "plan": asdict(plan),
            "real_stars": 0,
            "minutes": round(minutes, 1),
            "versions": _versions(),
            "chosen_on_simulation": {"model": _summary(chosen), "baseline": _summary(tuned)},
            "unseen_simulation": simulated,
        },
        seed=plan.seed,
    )


def _stars(plan: Plan, number: int, *, stars: int) -> Simulation:
    """Short light curves of another population."""
    seed = plan.seed + 1000 * number
    return simulate_parts(stars, seed=seed, cadences=plan.cadences, start_btjd=None)


def _sectors(plan: Plan, number: int) -> Simulation:
    """Whole sectors of another population."""
    seed = plan.seed + 1000 * number
    return simulate_parts(
        plan.sectors, seed=seed, cadences=19_740, start_btjd=SECTOR_START, active=0.7
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "numpy", "scipy", "astropy")}


def write(
    folder: Path,
    module: Flares,
    *,
    calibration: dict[str, float],
    training: dict[str, Any],
    seed: int,
) -> None:
    """Write ``weights.safetensors``, ``replay.npz`` and ``facts.json``.

    Parameters
    ----------
    folder : Path
        Of the model.
    module : Flares
        Trained and calibrated.
    calibration, training : dict
        For the facts.
    seed : int
        Of the replayed light curves.
    """
    import torch
    from safetensors.torch import save_file

    weights = {k: v.contiguous() for k, v in module.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    # safetensors makes files that only their owner can read.
    (folder / WEIGHTS).chmod(0o644)
    values = bridged(simulate_parts(3, seed=seed + 5000, cadences=800, active=1.0).curves.values)
    with torch.inference_mode():
        logits = module(torch.from_numpy(values)).numpy()
    np.savez_compressed(folder / REPLAY, values=values, logits=logits)
    facts = Facts(
        digest=digest_of(folder / WEIGHTS),
        calibration=calibration,
        training=training,
        evaluation={},
    )
    write_facts(folder, facts)


def judge(folder: Path, data: Path, *, seed: int = 0) -> None:
    """Evaluate on a folder of real stars, and write the result into the facts and the README."""
    from jupyter_astroml.models.loading import from_folder
    from jupyter_astroml.zoo.flares.evaluate import evaluate
    from jupyter_astroml.zoo.flares.worst import worst

    facts = read_card(folder).facts
    if facts is None:
        raise ModelError("The model has no facts yet", remedy="train it first")
    model = from_folder(folder)
    found = evaluate(data, model=model, seed=seed).to_json()
    about = {**facts.training, "worst": worst(data, model)}
    write_facts(folder, facts.model_copy(update={"evaluation": found, "training": about}))


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="real stars to evaluate on; never trained on")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--keep-weights", action="store_true", help="only evaluate again")
    given = parser.parse_args(arguments)
    folder = Path(__file__).parent
    if not given.keep_weights:
        import torch

        # One thread is the fastest for kernels of this size, and makes the sums repeatable.
        torch.set_num_threads(1)
        train(folder, plan=Plan(seed=given.seed), say=_say)
    if given.data:
        judge(folder, given.data)
    write_report(folder, given.data)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
