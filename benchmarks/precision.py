"""Half precision and another order in memory against float32, on one core of this machine.

A way counts only where it stays within the tolerance of the model's card on the stored inputs, and
is faster in turn (A B A B, medians).  What was found is told in docs/architecture.md.

Prints one JSON object last.  ``--quick`` is good for a look only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

MODELS = ("galaxy_morphology", "flares")


def ways() -> dict[str, tuple[Callable[[], AbstractContextManager[Any]], Any]]:
    """Return each way as a context and a memory format."""
    import torch

    return {
        "float32": (nullcontext, None),
        "channels_last": (nullcontext, torch.channels_last),
        "bfloat16": (lambda: torch.autocast("cpu", torch.bfloat16), None),
        "bfloat16_channels_last": (
            lambda: torch.autocast("cpu", torch.bfloat16),
            torch.channels_last,
        ),
    }


def compare(name: str, *, seconds: float, rounds: int) -> dict[str, Any]:
    """Time every way on the stored inputs of a model, and compare its logits."""
    import torch

    from jupyter_astroml.models.catalogue import find
    from jupyter_astroml.models.loading import build, load, micro_batch

    entry = find(name)
    with np.load(entry.folder / "replay.npz", allow_pickle=False) as stored:
        values, expected = stored["values"].astype(np.float32), stored["logits"]
    tolerance = entry.card.tolerance
    limit = tolerance.absolute + tolerance.relative * np.abs(expected)
    n = micro_batch(entry.card)
    batch = torch.from_numpy(values[np.arange(n) % len(values)])
    state = load(name).module.state_dict()
    chosen = {}
    for way, (context, order) in ways().items():
        if order is not None and entry.card.kind != "cutouts":
            continue
        module = build(entry.card).eval()
        module.load_state_dict(state)
        for weight in module.parameters() if order is not None else ():
            # Filters of an equivariant network have more axes, which know no other order.
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=order)
        chosen[way] = (module, context, order)

    def run(way: str, data: torch.Tensor) -> np.ndarray:
        module, context, order = chosen[way]
        ready = data if order is None else data.contiguous(memory_format=order)
        with torch.inference_mode(), context():
            return module(ready).float().numpy()

    off = {w: np.abs(run(w, torch.from_numpy(values)) - expected) for w in chosen}
    times: dict[str, list[float]] = {way: [] for way in chosen}
    for _ in range(rounds):
        for way in chosen:
            begin, done = time.perf_counter(), 0
            while time.perf_counter() - begin < seconds:
                run(way, batch)
                done += n
            times[way].append(done / (time.perf_counter() - begin))
    base = times["float32"]
    return {
        way: {
            "speed": round(statistics.median(a / b for a, b in zip(found, base, strict=True)), 3),
            "largest_difference": float(off[way].max()),
            "within_tolerance": bool((off[way] <= limit).all()),
        }
        for way, found in times.items()
    }


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    found = {m: compare(m, seconds=0.5 if quick else 2.0, rounds=3 if quick else 7) for m in MODELS}
    worth = [
        f"{model}: {way}"
        for model, ways_ in found.items()
        for way, told in ways_.items()
        if way != "float32" and told["within_tolerance"] and told["speed"] > 1.05
    ]
    print(
        json.dumps(
            {
                "name": "precision",
                "quick": quick,
                "bfloat16_instructions": torch.cpu._is_avx512_bf16_supported()
                if hasattr(torch.cpu, "_is_avx512_bf16_supported")
                else None,
                "models": found,
                "worth_it": worth,
            }
        )
    )


if __name__ == "__main__":
    main()
