"""Write simulated alerts as a folder in the layout of the alerts of a survey."""

import csv

import h5py
import numpy as np

from jupyter_astroml.zoo.real_bogus.simulate import simulate


def write_alerts(folder, *, n, seed, scores=None):
    """Write n alerts, of which scores of braai follow the truth; returns cutouts and truth."""
    folder.mkdir(parents=True, exist_ok=True)
    cutouts, truth = simulate(n, seed=seed)
    candid = 10**18 + np.arange(n)
    # The table is in another order than the stamps.
    with h5py.File(folder / "ztf_triplets.h5", "w") as file:
        file["candid"], file["triplet"] = candid[::-1], cutouts.values[::-1]
    with (folder / "ztf_meta.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ["candid", "objectId", "rb", "drb", "weak_label", "cdsxmatch", "braai_d6_m9_torch_port"]
        )
        for i, label in enumerate(truth["label"]):
            score = scores[i] if scores else (0.9 if label == "real" else 0.1)
            rule = "known_asteroid" if truth["kind"][i] == "moving" else "unlabelled"
            kind = "RRLyr" if truth["kind"][i] == "variable" else "Unknown"
            rows.writerow([candid[i], f"ZTF{i}", 0.5, score, rule, kind, score])
    return cutouts, truth
