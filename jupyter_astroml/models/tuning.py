"""Teach a model one's own objects: a new head on its embedding, or its last blocks as well.

What a network has learned of galaxies in general serves other surveys and other classes; a few
hundred labels are enough to tell it which.  Ghosh et al. 2020 (GaMorNet, ApJ 895, 112) taught
simulated galaxies first, and then a small number of real ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError, ModelError, RunError
from jupyter_astroml.models.cards import (
    CARD,
    WEIGHTS,
    Card,
    Dataset,
    Facts,
    Lineage,
    digest_of,
    write_card,
    write_facts,
)
from jupyter_astroml.models.embedding import heads
from jupyter_astroml.models.fit import OUTSIDE

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jupyter_astroml.models.loading import Model

TRAINING_IDS = "training_ids.txt"
# Objects of a class without which nothing can be learned and judged of it.
FEWEST = 4
# Share of the objects that stop the training and set the temperature.
HELD = 0.3
_STEPS, _PATIENCE = 400, 40
_PASSES, _PATIENT_PASSES, _BATCH = 30, 5, 32
_AT_ONCE = 64
# Content that the prediction sets promise, and how many held objects that needs.
_LEVEL, _FEWEST_FOR_SETS = 0.9, 50


@dataclass(frozen=True)
class Tuned:
    """What came out of a fine-tuning.

    Attributes
    ----------
    module : torch.nn.Module
    card : Card
        With lineage, without facts.
    calibration : mapping of str to float
        As `jupyter_astroml.models.answers` names it.
    training : mapping
        Counts, seed, steps, and loss and accuracy on the held objects before and after.
    """

    module: nn.Module
    card: Card
    calibration: dict[str, float]
    training: dict[str, Any]


def tune(
    model: Model,
    samples: Any,
    labels: Sequence[str] | np.ndarray,
    *,
    name: str,
    blocks: int = 0,
    seed: int = 0,
    progress: Callable[[int, int], Any] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tuned:
    """Teach a copy of a classifier the classes of some objects.

    Parameters
    ----------
    model : Model
        A classifier.
    samples : Cutouts or LightCurves
        Objects; those outside the model's input contract are left out.
    labels : sequence of str, shape (n,)
        Their classes: those of the model, or others.
    name : str
        Id of the new model.
    blocks : int
        Layers before the head that learn too; 0 teaches the head only, in seconds.
    seed : int
        Of the split and of the order.
    progress : callable, optional
        Called with the number of steps done and their largest number.
    cancel : callable, optional
        Asked before every step; when it is true, the training ends with an error.

    Raises
    ------
    ModelError
        If the model is no classifier, or its network cannot have so many classes.
    DataError
        If there are too few objects of a class.
    RunError
        If it was cancelled.
    """
    import torch

    from jupyter_astroml.models.threads import one_thread

    if model.card.task != "classify":
        raise ModelError(f"{model.card.id} is no classifier", remedy="fine-tune a classifier")
    values, truth, names, left_out = _usable(model, samples, labels)
    learn, held = _split(truth, seed=seed)
    module, card = _with_head(model, names, name=name)
    batches = -(-len(values) // _AT_ONCE) + _STEPS * len(heads(module, card))
    batches += _PASSES * -(-len(learn) // _BATCH) if blocks else 0
    steps = _Steps(progress, cancel, total=batches)
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(seed)
        tensors = torch.from_numpy(values), torch.from_numpy(truth)
        before = _judged(_logits(model.module, tensors[0][held]), tensors[1][held], model, names)
        _teach_heads(module, card, *tensors, learn=learn, held=held, steps=steps)
        if blocks:
            _teach_blocks(
                module, card, *tensors, learn=learn, held=held, blocks=blocks, steps=steps
            )
        temperature = _cool(module, card, tensors[0][held], tensors[1][held])
        p = _mean_probability(_logits(module, tensors[0][held])).numpy()
    steps.finish()
    right = p[np.arange(len(held)), truth[held]]
    calibration = {"temperature": temperature}
    if len(held) >= _FEWEST_FOR_SETS:
        rank = min(int(np.ceil((len(held) + 1) * _LEVEL)), len(held)) - 1
        calibration |= {
            "conformal_threshold": float(np.sort(1 - right)[rank]),
            "conformal_level": _LEVEL,
        }
    training = {
        "seed": seed,
        "n_learned": len(learn),
        "n_held": len(held),
        "n_left_out": left_out,
        "blocks": blocks,
        "steps": steps.done,
        "held_loss": float(-np.log(np.clip(right, 1e-12, 1)).mean()),
        "held_accuracy": float((p.argmax(axis=1) == truth[held]).mean()),
    } | before
    lineage = Lineage(
        parent=model.card.id, digest=model.digest, n=len(truth), blocks=blocks, seed=seed
    )
    return Tuned(module, card.model_copy(update={"lineage": lineage}), calibration, training)


def write(tuned: Tuned, model: Model, samples: Any, *, folder: Path | str) -> Path:
    """Write a tuned model as a folder of the catalogue.

    Parameters
    ----------
    tuned : Tuned
        From `tune`.
    model : Model
        Its parent.
    samples : Samples
        What it was taught.
    folder : Path
        Where model folders are.

    Raises
    ------
    ModelError
        If there is one of this name already.
    """
    from safetensors.torch import save

    from jupyter_astroml.models.loading import Model as Loaded
    from jupyter_astroml.models.loading import store_replay

    home = Path(folder) / tuned.card.id
    if home.exists():
        raise ModelError(f"There is a model in {home} already", remedy="choose another name")
    home.mkdir(parents=True)
    state = {k: v.detach().contiguous().clone() for k, v in tuned.module.state_dict().items()}
    (home / WEIGHTS).write_bytes(save(state))
    digest = digest_of(home / WEIGHTS)
    # Whoever evaluates the new model must not score what it, or its parent, was taught.
    older = model.folder / TRAINING_IDS if model.folder else Path()
    taught = set(older.read_text().split()) if older.is_file() else set()
    (home / TRAINING_IDS).write_text("\n".join(sorted(taught | set(samples.ids.tolist()))) + "\n")
    write_card(home / CARD, tuned.card)
    write_facts(home, Facts(digest=digest, calibration=tuned.calibration, training=tuned.training))
    new = Loaded(card=tuned.card, digest=digest, module=tuned.module.eval(), folder=home)
    store_replay(new, new.prepare(samples[:4]).samples.values)
    return home


@dataclass
class _Steps:
    progress: Callable[[int, int], Any] | None
    cancel: Callable[[], bool] | None
    total: int
    done: int = 0

    def next(self) -> None:
        """Count a step, tell it, and stop if that is wanted."""
        if self.cancel is not None and self.cancel():
            raise RunError("The fine-tuning was cancelled", cause="nothing was written")
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)

    def finish(self) -> None:
        """Tell the end, which early stopping brings before the last step."""
        if self.progress is not None:
            self.progress(self.total, self.total)


def _usable(
    model: Model, samples: Any, labels: Sequence[str] | np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], int]:
    """Return values, classes and their names of the objects that suit the model."""
    given = np.asarray(labels, dtype=str)
    if given.shape != (len(samples),):
        raise DataError(f"{given.size} labels for {len(samples)} objects", remedy="give one each")
    prepared = model.prepare(samples)
    fits = (prepared.fit.status != OUTSIDE) & (given != "")
    given = given[fits]
    known = model.card.outputs.names
    # The order of the model's own classes is kept, so that answers can be compared.
    names = known if set(given) <= set(known) else tuple(sorted(set(given)))
    counts = {name: int((given == name).sum()) for name in names}
    present = {name: n for name, n in counts.items() if n}
    rare = [name for name, n in present.items() if n < FEWEST]
    if len(present) < 2 or rare:
        why = next((r for r in prepared.fit.reasons if r), [""])[-1] if not len(given) else ""
        raise DataError(
            f"A class needs {FEWEST} usable objects, and there must be two classes",
            cause=why or ", ".join(f"{n} × {name}" for name, n in counts.items()),
            remedy="label more objects; aml.check says which ones suit the model",
        )
    truth = np.array([names.index(label) for label in given], dtype=np.int64)
    values = np.ascontiguousarray(prepared.samples.values[fits], dtype=np.float32)
    return values, truth, names, int((~fits).sum())


def _split(truth: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that teach and those that are held, each class in its share."""
    rng = np.random.default_rng(seed)
    learn, held = [], []
    for k in np.unique(truth):
        rows = rng.permutation(np.flatnonzero(truth == k))
        count = max(1, round(HELD * len(rows)))
        held.append(rows[:count])
        learn.append(rows[count:])
    return np.sort(np.concatenate(learn)), np.sort(np.concatenate(held))


def _with_head(model: Model, names: tuple[str, ...], *, name: str) -> tuple[nn.Module, Card]:
    """Return a copy of the network with as many outputs as classes, and its card."""
    from jupyter_astroml.models.loading import build

    old = model.card
    wanted = dict(old.network.options)
    if len(names) != len(old.outputs.names):
        if "layers" in wanted:
            raise ModelError(
                f"{old.id} is a list of layers for {len(old.outputs.names)} classes",
                remedy="label with its own classes, or bring a package with its network",
            )
        wanted["classes"] = len(names)
    card = _card(old, names, name=name, options=wanted)
    if wanted == old.network.options:
        return copy.deepcopy(model.module), card
    module = build(card)
    fresh = module.state_dict()
    # What fits is taken over; the calibration of the old classes is none of the new ones.
    same = {
        k: v
        for k, v in model.module.state_dict().items()
        if k in fresh and v.shape == fresh[k].shape
    }
    module.load_state_dict({**fresh, **same})
    return module.eval(), card


def _card(old: Card, names: tuple[str, ...], *, name: str, options: dict[str, Any]) -> Card:
    from pydantic import ValidationError

    mine = Dataset(name="objects of whoever fine-tuned it", source="fill in", licence="fill in")
    changes = {
        "id": name,
        "version": "1.0",
        "title": f"{old.title}, fine-tuned",
        "outputs": old.outputs.model_copy(update={"names": names}).model_dump(),
        "network": {"architecture": old.network.architecture, "options": options},
        "baseline": f"its parent {old.id}",
        "datasets": [d.model_dump() for d in (*old.datasets, mine)],
        "limits": [
            "Fine-tuned; what was held back stopped the training and set the temperature, so that "
            "its figures flatter a little.",
            *old.limits,
        ],
        "facts": None,
    }
    try:
        return Card.model_validate(old.model_dump() | changes)
    except ValidationError as err:
        first = err.errors()[0]
        raise ModelError(f"{name!r} is no name for a model", cause=first["msg"]) from err


def _logits(module: nn.Module, values: Tensor) -> Tensor:
    import torch

    with torch.inference_mode():
        return torch.cat([module(part) for part in values.split(_AT_ONCE)], dim=1)


def _mean_probability(logits: Tensor) -> Tensor:
    return logits.softmax(dim=-1).mean(dim=0)


def _surprise(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the mean over members and objects of −log p of the true class."""
    from torch.nn import functional

    members = logits.shape[0]
    return functional.cross_entropy(logits.flatten(0, 1), truth.repeat(members))


def _judged(
    logits: Tensor, truth: Tensor, model: Model, names: tuple[str, ...]
) -> dict[str, float]:
    """Return the accuracy of the parent, where it knows the classes."""
    if names != model.card.outputs.names:
        return {}
    best = _mean_probability(logits).argmax(dim=1)
    return {"parent_accuracy": float((best == truth).float().mean())}


def _teach_heads(
    module: nn.Module,
    card: Card,
    values: Tensor,
    truth: Tensor,
    *,
    learn: np.ndarray,
    held: np.ndarray,
    steps: _Steps,
) -> None:
    """Fit the heads to what they read, which is computed once."""
    import torch
    from torch import nn

    from jupyter_astroml.models.embedding import overheard

    k = len(card.outputs.names)
    layers = {n: v for n, v in heads(module, card).items() if isinstance(v, nn.Linear)}
    if not layers or any(layer.out_features != k for layer in layers.values()):
        raise ModelError(
            f"The head of {card.id} is no dense layer with one output a class",
            remedy="use another model",
        )
    parts: list[dict[str, Tensor]] = []
    with overheard(layers) as given, torch.no_grad():
        for part in values.split(_AT_ONCE):
            steps.next()
            module(part)
            parts.append({k: v.clone() for k, v in given.items()})
    for name, layer in layers.items():
        read = torch.cat([part[name] for part in parts])
        # Numbers of one size learn at one pace; the head gets them back in its own units.
        centre, scale = read[learn].mean(0), read[learn].std(0).clamp_min(1e-6)
        head = _fitted((read - centre) / scale, truth, layer.out_features, learn, held, steps)
        with torch.no_grad():
            weight = head.weight / scale
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.copy_(head.bias - weight @ centre)
    for buffer, plain in (("temperature", 1.0), ("offset", 0.0)):
        # The calibration of the old heads.
        if buffer in dict(module.named_buffers()):
            module.get_buffer(buffer).fill_(plain)


def _fitted(
    read: Tensor, truth: Tensor, outputs: int, learn: np.ndarray, held: np.ndarray, steps: _Steps
) -> nn.Linear:
    import torch
    from torch import nn
    from torch.nn import functional

    head = nn.Linear(read.shape[1], outputs)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimiser = torch.optim.AdamW(head.parameters(), lr=0.02, weight_decay=0.05)
    best, kept, waited = float("inf"), copy.deepcopy(head), 0
    for _ in range(_STEPS):
        steps.next()
        optimiser.zero_grad()
        functional.cross_entropy(head(read[learn]), truth[learn]).backward()
        optimiser.step()
        with torch.no_grad():
            loss = float(functional.cross_entropy(head(read[held]), truth[held]))
        if loss < best - 1e-4:
            best, kept, waited = loss, copy.deepcopy(head), 0
        elif (waited := waited + 1) >= _PATIENCE:
            break
    return kept


def _teach_blocks(
    module: nn.Module,
    card: Card,
    values: Tensor,
    truth: Tensor,
    *,
    learn: np.ndarray,
    held: np.ndarray,
    blocks: int,
    steps: _Steps,
) -> None:
    """Go on with the last blocks of each member; moments of normalisations stay."""
    import torch

    for parameter in module.parameters():
        parameter.requires_grad = False
    chosen = [p for layer in _last(module, card, blocks) for p in layer.parameters()]
    for parameter in chosen:
        parameter.requires_grad = True
    optimiser = torch.optim.AdamW(chosen, lr=5e-4, weight_decay=0.01)
    best, kept, waited = float("inf"), copy.deepcopy(module.state_dict()), 0
    for _ in range(_PASSES + 1):
        loss = float(_surprise(_logits(module, values[held]), truth[held]))
        if loss < best - 1e-4:
            best, kept, waited = loss, copy.deepcopy(module.state_dict()), 0
        elif (waited := waited + 1) >= _PATIENT_PASSES:
            break
        for rows in torch.from_numpy(learn)[torch.randperm(len(learn))].split(_BATCH):
            steps.next()
            optimiser.zero_grad()
            _surprise(module(values[rows]), truth[rows]).backward()
            optimiser.step()
    module.load_state_dict(kept)


def _last(module: nn.Module, card: Card, blocks: int) -> list[nn.Module]:
    """Return the heads and the blocks before each of them."""
    from torch import nn

    found: list[nn.Module] = []
    for name in heads(module, card):
        member = module.get_submodule(name.rpartition(".")[0])
        parts: list[nn.Module] = []
        for child in member.children():
            lists = isinstance(child, nn.ModuleList | nn.Sequential)
            parts += list(child.children()) if lists else [child]
        learning = [part for part in parts if any(True for _ in part.parameters())]
        found += learning[-blocks - 1 :]
    return found


def _cool(module: nn.Module, card: Card, values: Tensor, truth: Tensor) -> float:
    """Divide the heads by the temperature that suits held objects best (Guo et al. 2017)."""
    import torch
    from scipy.optimize import minimize_scalar

    logits = _logits(module, values).double()

    def surprise(log_t: float) -> float:
        p = _mean_probability(logits / float(np.exp(log_t)))
        return float(-p[torch.arange(len(truth)), truth].clamp_min(1e-12).log().mean())

    best = minimize_scalar(surprise, bounds=(-1.5, 3.0), method="bounded").x
    temperature = float(np.exp(best))
    with torch.no_grad():
        for layer in heads(module, card).values():
            for parameter in layer.parameters():
                parameter.div_(temperature)
    return temperature
