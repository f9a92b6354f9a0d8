"""hyrax's ``infer`` with the weights and the values of `engines.py`, in an environment of its own.

``engines.py --hyrax PYTHON`` starts this in the environment of that interpreter, which has hyrax
and the few libraries that build a network here (jupyter_core, safetensors).  Prints one JSON
object: objects a second of the second of two calls of ``infer``, as a user types it, with hyrax's
own defaults; it reads the values object by object, as its data sets do, and writes its results.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

# torchvision's compiled part may be made for another build of torch.  hyrax imports its transforms,
# which do without, and the import fails for the lack of these two declarations only.
for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        torch.library.define(f"torchvision::{_name}", "(Tensor a, Tensor b, float c) -> Tensor")

from hyrax import Hyrax  # noqa: E402
from hyrax.datasets import HyraxDataset  # noqa: E402
from hyrax.models import hyrax_model  # noqa: E402

VALUES, MODEL = "ASTROML_VALUES", "ASTROML_MODEL"


class Stored(HyraxDataset):
    """Rows of a memory map, as often as they are asked for."""

    def __init__(self, config: Any, data_location: str) -> None:
        self._values = np.load(os.environ[VALUES], mmap_mode="r")
        self._n = int(data_location)
        super().__init__(config)

    def __len__(self) -> int:
        return self._n

    def get_image(self, i: int) -> np.ndarray:
        """Return one object."""
        return np.array(self._values[i % len(self._values)])

    def get_object_id(self, i: int) -> str:
        """Return its name."""
        return str(i)


@hyrax_model
class Bundled(torch.nn.Module):
    """A network of ours in hyrax's clothes."""

    def __init__(self, config: Any, data_sample: Any = None) -> None:
        super().__init__()
        self.config = config
        self.network = network(os.environ[MODEL])

    def forward(self, batch: Any) -> Any:
        """Return the logits of the first member, for which all are computed."""
        return self.network(batch)[0]

    def infer_batch(self, batch: Any) -> Any:
        """Do the same: nothing is learned here."""
        with torch.inference_mode():
            return self(batch)

    @staticmethod
    def prepare_inputs(data: Any) -> Any:
        """Return the values of a batch."""
        return data["data"]["image"]


def network(name: str) -> torch.nn.Module:
    """Build a bundled network with its weights."""
    from safetensors.torch import load_file

    from jupyter_astroml.models.catalogue import find
    from jupyter_astroml.models.loading import build

    entry = find(name)
    made: torch.nn.Module = build(entry.card).eval()
    made.load_state_dict(load_file(entry.folder / "weights.safetensors"))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("values", type=Path)
    parser.add_argument("model")
    parser.add_argument("objects", type=int)
    given = parser.parse_args()
    os.environ.update({VALUES: str(given.values.resolve()), MODEL: given.model})
    with tempfile.TemporaryDirectory() as folder:
        rate = measure(Path(folder), given.objects)
    sys.stdout.write(json.dumps({"objects_per_second": rate}) + "\n")


def measure(folder: Path, objects: int) -> float:
    """Return the rate of a call of ``infer``, after one on few objects."""
    weights = folder / "weights.pth"
    took = 0.0
    for n in (64, objects):
        asked = Hyrax()
        asked.config["general"]["results_dir"] = str(folder)
        asked.config["model"]["name"] = "hyrax_infer.Bundled"
        asked.config["data_request"] = {
            "infer": {
                "data": {
                    "dataset_class": "hyrax_infer.Stored",
                    "data_location": str(n),
                    "fields": ["image"],
                    "primary_id_field": "object_id",
                }
            }
        }
        if not weights.exists():
            import hyrax_infer

            torch.save(hyrax_infer.Bundled(asked.config).state_dict(), weights)
        asked.config["infer"]["model_weights_file"] = str(weights)
        begin = time.perf_counter()
        asked.infer()
        took = time.perf_counter() - begin
    return objects / took


if __name__ == "__main__":
    # By its own name, by which hyrax finds the classes.
    import hyrax_infer

    hyrax_infer.main()
