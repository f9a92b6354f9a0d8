"""How many real labels a network needs, with and without simulated galaxies before them.

Ghosh et al. 2020 (GaMorNet, ApJ 895, 112) taught a network simulated galaxies first and then few
real ones.  Here the same is done with the network, the simulator and the recipe of
`galaxy_morphology`, beside what `jupyter_astroml.finetune` does and beside a random forest.  Run

    python -m jupyter_astroml.zoo.galaxy_morphology.transfer --data DIR --work CACHE

which writes ``transfer.md`` and ``transfer.svg`` beside the weights.  Every answer is kept in the
cache as it comes: a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.models.evaluation import Interval
from jupyter_astroml.models.picture import PICTURE_BANDS
from jupyter_astroml.models.tuning import FEWEST, tune
from jupyter_astroml.zoo import forest
from jupyter_astroml.zoo.galaxy_morphology import baseline, curve, real, train
from jupyter_astroml.zoo.galaxy_morphology.evaluate import NAME
from jupyter_astroml.zoo.galaxy_morphology.simulate import CLASSES
from jupyter_astroml.zoo.reporting import span
from jupyter_astroml.zoo.training import Say

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

PAGE, PICTURE = "transfer.md", "transfer.svg"
# Mergers are one in sixty: too few for small samples of labels.
SHAPES = CLASSES[:3]
METHODS = {
    "forest": "random forest on measured shapes",
    "nothing": "network from nothing",
    "whole": "simulated first, then the whole network",
    "head": "simulated first, then `aml.finetune(…)`",
}
SIMULATED = "simulated only"
# Methods that teach all layers: minutes, where the others take seconds.
_SLOW = ("nothing", "whole")
_DRAWS = 2000


@dataclass(frozen=True)
class Study:
    """All choices.

    Attributes
    ----------
    counts : tuple of int
        Numbers of real labels.
    seeds : int
        How often labels, first weights and order are drawn.
    simulated, warm_up : int
        Simulated galaxies, and passes over them: those of the bundled model.
    batch : int
        Real galaxies in a batch, at most half of the labels.
    rise : float
        Exponent with which the steps rise with the labels: few are soon known by heart, and a
        network that starts from nothing needs more of them.
    steps : int
        Steps for one label, so to say: 445 for 150.  On other galaxies of the pool a
        network from nothing was still far from its best with 185.
    """

    counts: tuple[int, ...] = (20, 50, 150, 500)
    seeds: int = 3
    simulated: int = 6000
    warm_up: int = 3
    batch: int = 24
    rise: float = 0.4
    steps: int = 60

    def recipe(self, n: int, *, seed: int) -> train.Recipe:
        """Return how a whole network learns n real galaxies, wherever it starts from."""
        batch = min(self.batch, n // 2)
        epochs = round(self.steps * n**self.rise / (n // batch))
        return train.Recipe(seed=seed, batch=batch, epochs=epochs, composites=0)


@dataclass(frozen=True, eq=False)
class Found:
    """What was told right.

    Attributes
    ----------
    study : Study
    pool : int
        Number of galaxies that labels were drawn from.
    classes : ndarray of int, shape (n,)
        Of the galaxies put aside.
    simulated : ndarray of bool, shape (1, n)
        Which of them the network tells right that saw simulated galaxies only.
    unseen : ndarray of bool, shape (m,)
        The same for simulated galaxies that it did not see.
    right : mapping of (str, int) to ndarray of bool, shape (seeds, n)
        The same for a method and a number of labels, of those that were measured.
    """

    study: Study
    pool: int
    classes: np.ndarray
    simulated: np.ndarray
    unseen: np.ndarray
    right: Mapping[tuple[str, int], np.ndarray]


# Data ---------------------------------------------------------------------------------------------


def parted(folder: Path) -> tuple[train.Objects, train.Objects]:
    """Return the galaxies that labels are drawn from, and those put aside.

    No galaxy of the first lies on a survey frame of the second, or shows nearly the same picture:
    it is the split that the bundled model is trained and judged with.
    """
    import torch

    known, _ = train.training_objects(folder)
    table = real.labels(folder)
    aside = np.array([train.part(name) % train.PARTS == 0 for name in table["id"]])
    table = table[aside & np.isin(table["label"], SHAPES)]
    held = train.Objects(
        ids=np.asarray(table["id"]),
        pictures=torch.from_numpy(real.pictures(folder, table)),
        classes=torch.tensor([CLASSES.index(label) for label in table["label"]]),
        fold=np.zeros(len(table), dtype=int),
    )
    return known[np.flatnonzero(known.classes.numpy() < len(SHAPES))], held


def chosen(classes: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Draw the galaxies that have a label: a few of each class, the others as they come.

    Parameters
    ----------
    classes : ndarray of int, shape (m,)
        Of all that could be drawn.
    n : int
        How many; the same seed gives the same ones and more for a larger n.
    seed : int
        Of the draw.

    Raises
    ------
    DataError
        If there are not so many, or too few for `jupyter_astroml.models.tuning.tune`.
    """
    if not FEWEST * len(SHAPES) <= n <= len(classes):
        raise DataError(
            f"{n} labels cannot be drawn",
            cause=f"there are {len(classes)}, and a class needs {FEWEST}",
            remedy=f"ask for {FEWEST * len(SHAPES)} to {len(classes)}",
        )
    order = np.random.default_rng(seed).permutation(len(classes))
    few = [order[classes[order] == k][:FEWEST] for k in range(len(SHAPES))]
    first = np.concatenate(few)
    return np.concatenate([first, order[~np.isin(order, first)]])[:n]


def _cutouts(objects: train.Objects) -> Cutouts:
    return Cutouts(
        ids=objects.ids,
        values=objects.pictures.numpy().astype(np.float32) / np.float32(255.0),
        bands=PICTURE_BANDS,
        flux_unit="picture",
    )


# Networks -----------------------------------------------------------------------------------------


def model(state: Mapping[str, Any] | None, *, seed: int) -> Model:
    """Return the architecture of the bundled model with one network.

    Parameters
    ----------
    state : mapping or None
        Weights; fresh ones when absent.
    seed : int
        Of fresh weights.
    """
    import torch

    from jupyter_astroml.models.catalogue import find
    from jupyter_astroml.models.loading import Model, build

    card = find(NAME).card
    options = dict(card.network.options) | {"members": 1}
    alone = card.network.model_copy(update={"options": options})
    card = card.model_copy(update={"network": alone, "facts": None})
    torch.manual_seed(seed)
    module = build(card)
    if state is not None:
        module.load_state_dict(dict(state))
    return Model(card=card, digest="sha256:" + "0" * 64, module=module.eval())


def _beginning(study: Study, work: Path, say: Say) -> dict[str, Any]:
    """Return the weights after simulated galaxies, as the bundled model learns them."""
    from safetensors.torch import load_file, save_file

    path = work / f"simulated-{study.simulated}-{study.warm_up}.safetensors"
    if not path.exists():
        module: Any = model(None, seed=0).module
        recipe = train.Recipe(simulated=study.simulated, warm_up=study.warm_up)
        module.members[0] = train.warmed_up(module, recipe, say)
        state = {k: v.contiguous() for k, v in module.state_dict().items()}
        save_file(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return load_file(path)


def _whole(parent: Model, labelled: train.Objects, recipe: train.Recipe) -> None:
    """Teach the whole network with the recipe of the bundled one."""
    module: Any = parent.module
    start = train.member_of(module)
    module.members[0] = train.fitted(
        start, labelled, module=module, recipe=recipe, say=lambda _: None
    )


def _answers(parent: Model, objects: train.Objects) -> np.ndarray:
    logits = parent.logits(_cutouts(objects).values)[0]
    return logits[:, : len(SHAPES)].argmax(axis=1)


def taught(
    method: str,
    labelled: train.Objects,
    held: train.Objects,
    *,
    start: Mapping[str, Any],
    recipe: train.Recipe,
    measured: np.ndarray,
) -> np.ndarray:
    """Teach by one method; return the class that each held galaxy gets.

    Parameters
    ----------
    method : str
        Of `METHODS`.
    labelled, held : Objects
        What to learn from and what to answer.
    start : mapping
        Weights after simulated galaxies.
    recipe : Recipe
        For the whole network; its seed is that of everything.
    measured : ndarray, shape (held, column)
        What the forest reads of the held galaxies.
    """
    if method == "forest":
        known = _measured(labelled), labelled.classes.numpy()
        return forest.grown(*known, measured, k=len(SHAPES)).argmax(axis=1)
    parent = model(None if method == "nothing" else start, seed=recipe.seed)
    if method in ("nothing", "whole"):
        _whole(parent, labelled, recipe)
        return _answers(parent, held)
    labels = np.array(CLASSES)[labelled.classes.numpy()]
    tuned = tune(parent, _cutouts(labelled), labels, name="taught", seed=recipe.seed)
    return _answers(replace(parent, module=tuned.module.eval()), held)


def _measured(objects: train.Objects) -> np.ndarray:
    parts = [part.numpy().astype(np.float32) / 255 for part in objects.pictures.split(256)]
    return np.concatenate([baseline.measure(part) for part in parts])


def measure(folder: Path, study: Study, *, work: Path, say: Say, kept_only: bool = False) -> Found:
    """Teach by every method with every number of labels.

    Parameters
    ----------
    folder : Path
        Labelled pictures, as `real` reads them.
    study : Study
        All choices.
    work : Path
        Keeps the weights and the answers, for these data and these choices.
    say : callable
        Told about progress.
    kept_only : bool
        Teach nothing more; a number of labels that lacks a seed is left out.
    """
    from jupyter_astroml.models.threads import one_thread

    pool, held = parted(folder)
    # Neither more labels nor more draws change an answer that is there.
    about = repr((replace(study, counts=(), seeds=0), pool.ids.tolist(), held.ids.tolist()))
    home = work / hashlib.sha256(about.encode()).hexdigest()[:12]
    home.mkdir(parents=True, exist_ok=True)
    truth = held.classes.numpy()
    say(f"{len(pool)} galaxies to draw labels from, {len(held)} put aside; answers in {home}")
    right: dict[tuple[str, int], list[np.ndarray]] = {}
    with one_thread():
        start = _beginning(study, work, say)
        parent = model(start, seed=0)
        before = _kept(home / "simulated.npy", partial(_answers, parent, held)) == truth
        unseen = _kept(home / "unseen.npy", partial(_unseen, parent, study))
        sizes = _kept(home / "measured.npy", partial(_measured, held))
        for method, n, seed in sorted(
            product(METHODS, study.counts, range(study.seeds)), key=_cost
        ):
            path = home / f"{method}-{n}-{seed}.npy"
            if kept_only and not path.exists():
                continue
            labelled = pool[chosen(pool.classes.numpy(), n, seed=seed)]
            recipe = study.recipe(n, seed=seed)
            one = partial(
                taught, method, labelled, held, start=start, recipe=recipe, measured=sizes
            )
            right.setdefault((method, n), []).append(_kept(path, one) == truth)
            say(f"{n} labels, seed {seed}, {method}: {right[method, n][-1].mean():.3f}")
    return Found(
        study=study,
        pool=len(pool),
        classes=truth,
        simulated=before[None],
        unseen=unseen,
        right={key: np.array(rows) for key, rows in right.items() if len(rows) == study.seeds},
    )


def _cost(task: tuple[str, int, int]) -> tuple[bool, int, int]:
    method, n, seed = task
    return method in _SLOW, n, seed


def _unseen(parent: Model, study: Study) -> np.ndarray:
    """Return which of other simulated galaxies, mergers left out, are told right."""
    import torch

    pictures, classes = train.simulated_pictures(study.simulated // 15, seed=1)
    shapes = np.flatnonzero(classes.numpy() < len(SHAPES))
    names = np.arange(len(classes)).astype(str)
    objects = train.Objects(names, torch.from_numpy(pictures), classes, names)[shapes]
    return _answers(parent, objects) == objects.classes.numpy()


def _kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what a file holds, which is written whole or not at all."""
    if not path.exists():
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, make())
        part.replace(path)
    return np.load(path, allow_pickle=False)


# Scores -------------------------------------------------------------------------------------------


def judged(right: np.ndarray, classes: np.ndarray) -> dict[str, Interval]:
    """Return accuracy and mean recall of the classes, with intervals of 95 %.

    Galaxies and seeds are drawn again, both (a crossed bootstrap, Owen 2007): another sample of
    galaxies would give other figures, and so would other labels.

    Parameters
    ----------
    right : ndarray, shape (seeds, n)
        1 where a galaxy was told right; the difference of two such arrays gives the difference of
        the scores, whose interval knows that both saw the same galaxies and labels.
    classes : ndarray of int, shape (n,)
        True classes.
    """
    of = (classes[:, None] == np.unique(classes)).astype(float)
    (seeds, n), rng = right.shape, np.random.default_rng(0)
    # How often each seed and each galaxy is drawn; the first row is the sample as it is.
    times, weight = (
        np.vstack([np.ones(size), rng.multinomial(size, np.full(size, 1 / size), size=_DRAWS)])
        for size in (seeds, n)
    )
    each = weight * (times @ right.astype(float) / seeds)
    with np.errstate(invalid="ignore"):
        recall = (each @ of / (weight @ of)).mean(axis=1)
    found = {}
    for name, drawn in {"accuracy": each.mean(axis=1), "recall": recall}.items():
        low, high = np.nanquantile(drawn[1:], [0.025, 0.975])
        found[name] = Interval(float(drawn[0]), float(low), float(high))
    return found


def gains(found: Found, method: str) -> dict[int, dict[str, Interval]]:
    """Return by how much a method is better than a network from nothing with the same labels."""
    return {
        n: judged(found.right[method, n].astype(int) - found.right["nothing", n], found.classes)
        for n in found.study.counts
        if {(method, n), ("nothing", n)} <= set(found.right)
    }


# The page -----------------------------------------------------------------------------------------


def page(found: Found) -> str:
    """Return the study as Markdown."""
    study = found.study
    counts = np.bincount(found.classes, minlength=len(SHAPES))
    before = judged(found.simulated, found.classes)
    own = judged(found.unseen[None], np.zeros(len(found.unseen), dtype=int))["accuracy"]
    lines = [
        "# Simulate, then transfer: how many real labels it takes",
        "",
        f"{len(found.classes)} galaxies of Galaxy Zoo 1 put aside ("
        + ", ".join(f"{n} {_word(s)}" for s, n in zip(SHAPES, counts, strict=True))
        + f"; mergers are too few for this), labels drawn from {found.pool} others: none of them "
        "is one of those put aside, lies on a survey frame of one, or shows nearly the same "
        "picture.",
        f"Labels were drawn {study.seeds} times, {FEWEST} of each class first, the others as they "
        "come; all methods get the same ones.",
        f"The simulated galaxies are {study.simulated}, seen {study.warm_up} times, those of the "
        f"bundled model; of others like them the network tells {span(own._asdict())} right.",
        "",
        f"![Learning curves]({PICTURE})",
        "",
        "Intervals of 95 % over galaxies and draws of labels together.",
        "The gain is the mean recall less that of the network from nothing with the same labels.",
        "",
        "| real labels | method | accuracy | mean recall | gain |",
        "|---|---|---|---|---|",
        f"| 0 | the commonest class | {counts.max() / counts.sum():.3f} "
        f"| {1 / len(SHAPES):.3f} | |",
        _row(0, SIMULATED, before, ""),
    ]
    better = {method: gains(found, method) for method in METHODS if method != "nothing"}
    for n in study.counts:
        for method, words in METHODS.items():
            if (method, n) in found.right:
                gain = better[method][n]["recall"] if n in better.get(method, {}) else None
                told = judged(found.right[method, n], found.classes)
                lines.append(_row(n, words, told, span(gain._asdict()) if gain else ""))
    lines += ["", "Against the network from nothing:", ""]
    lines += [_verdict(METHODS[method], gain) for method, gain in better.items() if gain]
    lines += [f"- {words}: not measured with {n} labels." for words, n in _absent(found).items()]
    return "\n".join([*lines, "", *_NOTES])


def _absent(found: Found) -> dict[str, str]:
    absent = {
        words: [n for n in found.study.counts if (method, n) not in found.right]
        for method, words in METHODS.items()
    }
    return {words: _listed(counts) for words, counts in absent.items() if counts}


def _row(n: int, words: str, told: Mapping[str, Interval], gain: str) -> str:
    cells = [str(n), words, *(span(told[s]._asdict()) for s in ("accuracy", "recall")), gain]
    return f"| {' | '.join(cells)} |"


def _word(label: str) -> str:
    return label.replace("_", "-")


def _verdict(words: str, gain: Mapping[int, Mapping[str, Interval]]) -> str:
    """Say where the interval of a difference leaves no room for chance."""
    told = []
    for score, name in (("recall", "mean recall"), ("accuracy", "accuracy")):
        at = {n: found[score] for n, found in gain.items()}
        parts = [
            ("better", [n for n, g in at.items() if g.low > 0]),
            ("worse", [n for n, g in at.items() if g.high < 0]),
            ("no difference seen", [n for n, g in at.items() if g.low <= 0 <= g.high]),
        ]
        told.append(f"{name} " + ", ".join(f"{w} with {_listed(c)}" for w, c in parts if c))
    return f"- {words}: {'; '.join(told)} labels."


def _listed(counts: Sequence[int]) -> str:
    words = [str(n) for n in counts]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


_NOTES = (
    "A network from nothing and one that saw simulated galaxies go on in the same way, with all "
    "their layers, the same number of steps, and pictures that are turned, shifted and zoomed at "
    "random: the recipe of `train.py`.",
    "`aml.finetune` varies no picture, and holds back three labels in ten to know when to stop.",
    "The simulated galaxies come in equal shares of the classes, and most real ones are "
    "elliptical: who calls too few galaxies so loses accuracy, who calls too many so mean recall.",
    "The forest weighs the classes alike, the networks hardly.",
    "",
    "What the intervals do not hold: the simulated galaxies were learned once, with one seed.",
    "Few draws of labels tell their scatter roughly, and of many intervals one in twenty misses.",
    "The recipe, its length and the simulator were made with more labels of this survey in sight "
    "than the curve counts.",
    "",
    "Written by `python -m jupyter_astroml.zoo.galaxy_morphology.transfer`; the figures of the "
    "paper (Ghosh et al. 2020) belong to its own galaxies and its own, much larger, network.",
    "",
)


def curves(found: Found) -> str:
    """Return the learning curves as SVG: accuracy, and mean recall."""
    start = judged(found.simulated, found.classes)
    told = {key: judged(right, found.classes) for key, right in found.right.items()}
    panels = {
        words: curve.Panel(
            start=start[score],
            lines={
                name: {n: told[method, n][score] for n in found.study.counts if (method, n) in told}
                for method, name in METHODS.items()
            },
        )
        for score, words in (("accuracy", "accuracy"), ("recall", "mean recall of the classes"))
    }
    return curve.draw(panels, counts=found.study.counts, start=SIMULATED)


def main(arguments: list[str] | None = None) -> int:
    """Write the page and the picture."""
    usual = Study()
    parser = argparse.ArgumentParser(
        prog="python -m jupyter_astroml.zoo.galaxy_morphology.transfer",
        description="Measure how many real labels galaxy_morphology needs.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with labels and pictures")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="for the page")
    parser.add_argument("--work", type=Path, help="keeps answers, so that a run can go on")
    parser.add_argument("--counts", type=int, nargs="+", default=usual.counts, help="real labels")
    parser.add_argument("--seeds", type=int, default=usual.seeds, help="draws of labels")
    parser.add_argument("--simulated", type=int, default=usual.simulated, help="galaxies")
    parser.add_argument("--steps", type=int, default=usual.steps, help="more of them learn longer")
    parser.add_argument(
        "--kept-only", action="store_true", help="write the page of the answers that are there"
    )
    given = parser.parse_args(arguments)

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    study = Study(
        counts=tuple(given.counts),
        seeds=given.seeds,
        simulated=given.simulated,
        steps=given.steps,
    )
    with TemporaryDirectory() as nowhere:
        work = given.work or Path(nowhere)
        found = measure(given.data, study, work=work, say=say, kept_only=given.kept_only)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / PAGE).write_text(page(found), encoding="utf-8")
    (given.out / PICTURE).write_text(curves(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
