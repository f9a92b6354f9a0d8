"""Train the galaxies: ``python -m jupyter_astroml.zoo.galaxy_morphology.train --data DIR``.

1. A fifth of the objects, chosen by the SHA-256 of their id, is put aside; training never sees it.
   Objects on the same survey frame as one of them, or with nearly the same picture, are left out.
2. A network learns to tell simulated galaxies apart (`simulate`).
3. Five copies of it go on learning on real pictures, each without one fifth of them.
   Each fifth is then answered by the copy that did not see it.
4. They learn a second time, now halfway between the votes and those answers: votes are noisy, and
   what a network that never saw a galaxy says about it is a second opinion (distillation of Hinton,
   Vinyals & Dean 2015 with out-of-fold answers, as Northcutt, Jiang & Chuang 2021 find label
   errors).
   From the new answers come the temperature, the offsets and the conformal threshold
   (cross-conformal prediction, Vovk 2015).
5. Weights, replay, ids and facts are written, then the objects put aside are scored once.

Everything is seeded; on another processor the last digits of the weights may differ.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.cards import REPLAY, WEIGHTS, Facts, digest_of, read_card, write_facts
from jupyter_astroml.models.picture import lupton
from jupyter_astroml.zoo import forest, scores, training
from jupyter_astroml.zoo.galaxy_morphology import baseline, real
from jupyter_astroml.zoo.galaxy_morphology.evaluate import TRAINING_IDS, evaluate, worst
from jupyter_astroml.zoo.galaxy_morphology.report import write_report
from jupyter_astroml.zoo.galaxy_morphology.simulate import (
    CLASSES,
    PIXEL_SCALE,
    draw,
    noise,
    parameters,
    simulate,
)
from jupyter_astroml.zoo.training import Say

if TYPE_CHECKING:
    import torch

    from jupyter_astroml.zoo.galaxy_morphology.network import Galaxies, Member

# One object in five is put aside.
PARTS = 5
# Correlation of two thumbnails above which they show the same galaxy.
SAME = 0.997


@dataclass(frozen=True)
class Recipe:
    """All choices of a training.

    Attributes
    ----------
    seed : int
        Of everything.
    simulated : int
        Number of simulated galaxies.
    warm_up : int
        Passes over them.
    epochs, more_epochs : int
        Passes over the real pictures, the first and the second time.
    trust : float
        Weight of the second opinion in the second time.
    batch : int
        Real pictures in a batch.
    composites : int
        Pairs of real galaxies added to a batch, as mergers; as many others get a star beside them.
    rate, decay : float
        Peak step and weight decay of AdamW, one cycle (Smith & Topin 2019).
    smoothing : float
        Label smoothing in the first time, for the noise of votes.
    balance : float
        Rare classes are drawn more often, by this power of their rarity.
    average : float
        Decay of the moving average of the weights, which is what is kept.
    """

    seed: int = 0
    simulated: int = 6000
    warm_up: int = 3
    epochs: int = 12
    more_epochs: int = 20
    trust: float = 0.5
    batch: int = 48
    composites: int = 2
    rate: float = 3e-3
    decay: float = 0.03
    smoothing: float = 0.03
    balance: float = 0.2
    average: float = 0.99


@dataclass(frozen=True, eq=False)
class Objects:
    """Pictures in memory.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    pictures : Tensor of uint8, shape (n, 3, y, x)
    classes : Tensor of int64, shape (n,)
        Index into `CLASSES`.
    fold : ndarray of int, shape (n,)
        Which fifth an object belongs to.
    """

    ids: np.ndarray
    pictures: torch.Tensor
    classes: torch.Tensor
    fold: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: np.ndarray) -> Objects:
        import torch

        at = torch.from_numpy(rows)
        return Objects(self.ids[rows], self.pictures[at], self.classes[at], self.fold[rows])


def main(arguments: list[str] | None = None) -> int:
    """Train from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m jupyter_astroml.zoo.galaxy_morphology.train",
        description="Train the galaxy classifier on Galaxy Zoo pictures.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with labels and pictures")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="model folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    given = parser.parse_args(arguments)

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    train(given.data, given.out, recipe=Recipe(seed=given.seed), threads=given.threads, say=say)
    return 0


def train(folder: Path, out: Path, *, recipe: Recipe, threads: int, say: Say) -> None:
    """Train and write everything that a model's folder holds beside its hand-written files.

    Parameters
    ----------
    folder : Path
        Labelled data, in the layout of `real`.
    out : Path
        The model's folder; must hold ``card.yaml`` and ``README.md``.
    recipe : Recipe
        All choices.
    threads : int
        Threads of torch.
    say : callable
        Told about progress.

    Raises
    ------
    DataError
        If the data are not of the layout.
    ModelError
        If the card is missing or not valid.
    """
    import torch

    started = time.monotonic()
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    card = read_card(out)
    known, split = training_objects(folder)
    say(f"{len(known)} objects to learn from; {split}")
    module = network(card.network.options)
    warm = warmed_up(module, recipe, say)
    classes = known.classes.numpy()
    logits = learned(module, [warm] * len(module.members), known, recipe=recipe, say=say)
    first = cross_validated(module, logits, classes)
    calibrated(module, logits, classes)
    opinion = scores.softmax(_adjusted(module, logits))
    votes = np.eye(len(CLASSES))[classes]
    targets = (1.0 - recipe.trust) * votes + recipe.trust * opinion
    again = replace(recipe, epochs=recipe.more_epochs, smoothing=0.0, seed=recipe.seed + 100)
    members = [module.members[k] for k in range(len(module.members))]
    logits = learned(module, members, known, recipe=again, say=say, targets=targets)
    calibration = calibrated(module, logits, classes, lean=True)
    minutes = round((time.monotonic() - started) / 60, 1)

    about = {
        "recipe": asdict(recipe),
        "objects": len(known),
        "classes": dict(zip(CLASSES, np.bincount(classes).tolist(), strict=True)),
        "split": split,
        "minutes": minutes,
        **training.machine(threads),
        "cross_validation_first_time": first,
        "cross_validation": cross_validated(module, logits, classes),
    }
    write(out, module, known, calibration=calibration, training=about)
    say(f"trained in {minutes} minutes; scoring the objects put aside")
    training.judged(out, module, folder, evaluate=evaluate, worst=worst, seed=recipe.seed)
    write_report(out, folder)
    say(read_card(out).key_metric)


def learned(
    module: Galaxies,
    starts: Sequence[Any],
    known: Objects,
    *,
    recipe: Recipe,
    say: Say,
    targets: np.ndarray | None = None,
) -> np.ndarray:
    """Train every member without its fifth of the objects, and answer that fifth.

    Parameters
    ----------
    module : Galaxies
        Gets the members.
    starts : sequence of Member
        Where each member starts.
    known : Objects
        What to learn.
    recipe : Recipe
        All choices.
    say : callable
        Told about progress.
    targets : ndarray, shape (n, class), optional
        Probabilities to learn instead of the classes.

    Returns
    -------
    ndarray, shape (n, class)
        Raw logits, each from the member that did not see the object.
    """
    import torch

    logits = torch.empty(len(known), len(CLASSES))
    classes = known.classes.numpy()
    for k, start in enumerate(starts):
        inside, outside = np.flatnonzero(known.fold != k), np.flatnonzero(known.fold == k)
        member = fitted(
            start,
            known[inside],
            module=module,
            recipe=replace(recipe, seed=recipe.seed + k),
            say=say,
            targets=None if targets is None else torch.from_numpy(targets[inside]).float(),
        )
        module.members[k] = member
        logits[torch.from_numpy(outside)] = answered(module, member, known[outside].pictures)
        say(f"member {k}: {_line(logits.numpy()[outside], classes[outside])}")
    say(f"all members, each on objects that it did not see: {_line(logits.numpy(), classes)}")
    return logits.numpy().astype(np.float64)


def part(name: str) -> int:
    """Return a number from 0 to 24 that depends on the object's id alone; 0 to 4 is put aside."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % (PARTS * PARTS)


def training_objects(folder: Path) -> tuple[Objects, str]:
    """Read the objects that may be learned from, and say in words what was left out.

    Raises
    ------
    DataError
        If a class is missing.
    """
    import torch

    table = real.labels(folder)
    unsure = int((table["label"] == "").sum())
    table = table[table["label"] != ""]
    names = np.asarray(table["id"])
    parts = np.array([part(n) for n in names])
    aside = parts % PARTS == 0
    pictures = real.pictures(folder, table)
    neighbours = _same_frame(names, aside)
    twins = same_picture(pictures, aside)
    kept = ~aside & ~neighbours & ~twins
    classes = np.array([CLASSES.index(c) for c in table["label"]])
    if len(set(classes[kept].tolist())) < len(CLASSES):
        raise DataError("The labelled data lack a class", remedy=f"give all of {CLASSES}")
    split = (
        f"{int(aside.sum())} put aside by the SHA-256 of their id; left out: "
        f"{int(neighbours.sum())} on a survey frame of one of those, {int(twins.sum())} with "
        f"nearly the same picture, {unsure} that the volunteers could not name"
    )
    known = Objects(
        ids=names[kept],
        pictures=torch.from_numpy(pictures[kept]),
        classes=torch.from_numpy(classes[kept]),
        fold=parts[kept] // PARTS,
    )
    return known, split


def _same_frame(names: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """Mark objects whose picture may overlap that of an object put aside.

    The upper 48 bits of a survey id name the frame (run, camera column, field).
    """
    frames = np.array([int(n) >> 16 if n.isdigit() else -1 - i for i, n in enumerate(names)])
    return ~aside & np.isin(frames, frames[aside])


def same_picture(pictures: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """Mark objects that show nearly the same picture as an object put aside.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, 3, y, x)
        All objects.
    aside : ndarray of bool, shape (n,)
        Objects put aside; they are never marked.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    n, _, side, _ = pictures.shape
    edge = side // 4
    middle = pictures[:, :, edge : side - edge, edge : side - edge].mean(axis=1)
    cells = middle.shape[-1] // 2
    thumbs = middle.reshape(n, cells, 2, cells, 2).mean(axis=(2, 4)).reshape(n, -1)
    thumbs -= thumbs.mean(axis=1, keepdims=True)
    thumbs /= np.linalg.norm(thumbs, axis=1, keepdims=True) + 1e-9
    closest = (thumbs @ thumbs[aside].T).max(axis=1, initial=-1.0)
    return ~aside & (closest > SAME)


def network(options: dict[str, Any]) -> Galaxies:
    """Make the network of the card with fresh weights."""
    from jupyter_astroml.zoo.galaxy_morphology.network import build

    return build(**options)


def warmed_up(module: Galaxies, recipe: Recipe, say: Say) -> Member:
    """Teach one member simulated galaxies."""
    import torch

    pictures, classes = simulated_pictures(recipe.simulated, seed=recipe.seed)
    say(f"{len(classes)} galaxies simulated")
    nobody = np.zeros(len(classes), dtype=int)
    objects = Objects(nobody.astype(str), torch.from_numpy(pictures), classes, nobody)
    plain = replace(recipe, epochs=recipe.warm_up, composites=0, balance=0.0, rate=4e-3)
    return fitted(member_of(module), objects, module=module, recipe=plain, say=say)


def member_of(module: Galaxies) -> Member:
    """Return the first member, where every member starts from."""
    from jupyter_astroml.zoo.galaxy_morphology.network import Member

    first = module.members[0]
    assert isinstance(first, Member)  # noqa: S101 - for the type checker
    return first


def simulated_pictures(n: int, *, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """Draw galaxies at the scale of Galaxy Zoo, whose pictures are zoomed to the galaxy's size.

    Returns
    -------
    ndarray of uint8, shape (n, 3, 128, 128)
    Tensor of int64, shape (n,)
    """
    import torch

    bands = ("g", "r", "i")
    truth = parameters(n, seed=seed)
    rng = np.random.default_rng([seed, 2])
    pictures = np.empty((n, 3, real.SIZE, real.SIZE), dtype=np.uint8)
    for i, row in enumerate(truth):
        galaxy = dict(zip(truth.colnames, row, strict=True))
        galaxy["mag_r"] += rng.uniform(0.0, 1.0)
        zoom = galaxy["r_e_arcsec"] / (9.0 * PIXEL_SCALE) * np.exp(0.2 * rng.normal())
        # The galaxy is shrunk or grown to the survey's pixels; its surface brightness stays.
        galaxy["mag_r"] += 5.0 * np.log10(zoom)
        for name in truth.colnames:
            if name.endswith("_arcsec"):
                galaxy[name] /= zoom
        clean = draw(galaxy, seeing=rng.uniform(1.0, 1.6), offset=tuple(rng.normal(0.0, 0.7, 2)))
        values, _ = noise(clean, bands=bands, rng=rng)
        pictures[i] = np.rint(255.0 * lupton(values, bands)).astype(np.uint8)
    classes = torch.tensor([CLASSES.index(c) for c in truth["label"]])
    return pictures, classes


def fitted(
    start: Member,
    objects: Objects,
    *,
    module: Galaxies,
    recipe: Recipe,
    say: Say,
    targets: torch.Tensor | None = None,
) -> Member:
    """Train one member and return the moving average of its weights.

    Parameters
    ----------
    start : Member
        Where to start; stays as it is.
    objects : Objects
        What to learn.
    module : Galaxies
        Says what members see of a picture.
    recipe : Recipe
        All choices.
    say : callable
        Told about progress.
    targets : Tensor, shape (n, class), optional
        Probabilities to learn instead of the classes of the objects.
    """
    import torch
    from torch.nn import functional

    random = torch.Generator().manual_seed(recipe.seed)
    torch.manual_seed(recipe.seed)  # of the dropout
    if targets is None:
        targets = functional.one_hot(objects.classes, len(CLASSES)).float()
    passes = len(objects) // recipe.batch
    count = torch.bincount(objects.classes, minlength=len(CLASSES)).clamp(min=1).float()
    weight = (count.max() / count)[objects.classes] ** recipe.balance
    single = torch.nonzero(objects.classes != CLASSES.index("merger")).squeeze(1)
    order = torch.empty(0, dtype=torch.int64)

    def loss(member: Member) -> torch.Tensor:
        nonlocal order
        if len(order) < recipe.batch:
            order = torch.multinomial(
                weight, len(weight), replacement=recipe.balance > 0, generator=random
            )
        rows, order = order[: recipe.batch], order[recipe.batch :]
        pictures, wanted = objects.pictures[rows], targets[rows]
        if recipe.composites:
            pictures, wanted = _with_company(
                pictures, wanted, objects.pictures, single, n=recipe.composites, random=random
            )
        seen = _seen(pictures, module=module, random=random)
        return functional.cross_entropy(member(seen), wanted, label_smoothing=recipe.smoothing)

    return training.fitted(
        start,
        loss,
        steps=recipe.epochs * passes,
        rate=recipe.rate,
        decay=recipe.decay,
        average=recipe.average,
        say=say,
        every=4 * passes,
    )


def _with_company(
    pictures: torch.Tensor,
    wanted: torch.Tensor,
    everything: torch.Tensor,
    single: torch.Tensor,
    *,
    n: int,
    random: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add pairs of galaxies, which are mergers, and put stars beside the first few galaxies."""
    import torch

    from jupyter_astroml.zoo.galaxy_morphology.augment import pairs, with_star

    two = single[torch.randint(len(single), (2, n), generator=random)]
    added = pairs(everything[two[0]], everything[two[1]], random=random)
    label = torch.zeros(n, len(CLASSES))
    label[:, CLASSES.index("merger")] = 1.0
    starred = with_star(pictures[:n], random=random)
    return torch.cat([starred, pictures[n:], added]), torch.cat([wanted, label])


def _seen(
    pictures: torch.Tensor, *, module: Galaxies, random: torch.Generator | None
) -> torch.Tensor:
    """Return what a member sees of pictures: varied when a source of draws is given."""
    from jupyter_astroml.zoo.galaxy_morphology.augment import varied
    from jupyter_astroml.zoo.galaxy_morphology.network import resampled

    if random is None:
        return resampled(pictures.float() / 255.0, field=module.field, size=module.size)
    changed = varied(pictures, field=module.field, random=random)
    return resampled(changed, field=module.field, size=module.size)


def answered(module: Galaxies, member: Member, pictures: torch.Tensor) -> torch.Tensor:
    """Return the raw logits of one member, shape (n, class)."""
    import torch

    with torch.inference_mode():
        return torch.cat([member(_seen(p, module=module, random=None)) for p in pictures.split(64)])


def calibrated(
    module: Galaxies, logits: np.ndarray, classes: np.ndarray, *, lean: bool = False
) -> dict[str, float]:
    """Set the module's temperature and offsets, and return the calibration of the card.

    Temperature and offsets make the classes that were seen as likely as possible (vector scaling
    with one common scale, Guo et al. 2017), since training saw rare classes more often than the
    sky shows them.

    Parameters
    ----------
    module : Galaxies
        Gets the numbers.
    logits : ndarray, shape (n, class)
        Raw, each from a member that did not see the object.
    classes : ndarray of int, shape (n,)
        What the volunteers said.
    lean : bool
        Then move the offsets a little towards the rare classes, as far as the sum of accuracy and
        macro-F1 grows: the most likely class of a rare kind is otherwise hardly ever answered.
    """
    import torch

    temperature, offset = scores.scaled(logits, classes)
    module.temperature.copy_(torch.tensor(temperature))
    if lean:
        offset = offset + leaning(logits / temperature + offset, classes)
    module.offset.copy_(torch.from_numpy(offset))
    right = scores.softmax(_adjusted(module, logits))[np.arange(len(classes)), classes]
    return {
        "conformal_threshold": scores.conformal_threshold(right, level=scores.LEVEL),
        "conformal_level": scores.LEVEL,
        "temperature": float(module.temperature),
    }


def leaning(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the offsets on a coarse grid that make accuracy + macro-F1 largest.

    Parameters
    ----------
    logits : ndarray, shape (n, class)
        Calibrated.
    classes : ndarray of int, shape (n,)
        True classes.

    Returns
    -------
    ndarray, shape (class,)
        0 for the first class; of equal ones the smallest.
    """
    steps = np.arange(0.0, 1.25, 0.25)
    best, found = -np.inf, np.zeros(logits.shape[1])
    for given in product(steps, repeat=logits.shape[1] - 1):
        offset = np.array([0.0, *given])
        p = scores.softmax(logits + offset)
        score = scores.accuracy(classes, p) + scores.macro_f1(classes, p)
        if score > best:
            best, found = score, offset
    return found


def _adjusted(module: Galaxies, logits: np.ndarray) -> np.ndarray:
    return logits / module.temperature.numpy() + module.offset.numpy()


def cross_validated(module: Galaxies, logits: np.ndarray, classes: np.ndarray) -> dict[str, Any]:
    """Return the figures of single members on the objects that each did not see."""
    p = scores.softmax(_adjusted(module, logits))
    return {
        "accuracy": scores.accuracy(classes, p),
        "macro_f1": scores.macro_f1(classes, p),
        "negative_log_likelihood": scores.surprise(classes, p),
    }


def _line(logits: np.ndarray, classes: np.ndarray) -> str:
    p = scores.softmax(logits)
    return f"accuracy {scores.accuracy(classes, p):.3f}, macro-F1 {scores.macro_f1(classes, p):.3f}"


def write(
    out: Path,
    module: Galaxies,
    known: Objects,
    *,
    calibration: dict[str, float],
    training: dict[str, Any],
) -> None:
    """Write weights, replay, training ids, baseline and facts."""
    import torch
    from safetensors.torch import save_file

    module.eval()
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, out / WEIGHTS)
    cutouts, _ = simulate(6, seed=1)
    values = np.rint(255 * lupton(cutouts.values, cutouts.bands)).astype(np.float32) / 255
    # Half precision keeps the file small; the logits are those of the rounded values.
    values = values.astype(np.float16)
    with torch.inference_mode():
        logits = module(torch.from_numpy(values.astype(np.float32))).numpy()
    np.savez_compressed(out / REPLAY, values=values, logits=logits)
    (out / TRAINING_IDS).write_text("\n".join(sorted(known.ids.tolist())) + "\n")
    measured = baseline.measure(known.pictures.numpy().astype(np.float32) / 255)
    forest.save(
        out / forest.FILE,
        features=measured,
        classes=known.classes.numpy(),
        names=CLASSES,
        columns=baseline.FEATURES,
    )
    write_facts(
        out,
        Facts(digest=digest_of(out / WEIGHTS), calibration=calibration, training=training),
    )


if __name__ == "__main__":
    sys.exit(main())
