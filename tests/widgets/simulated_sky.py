"""Simulated galaxies and light curves, and small torch modules that classify them."""

import numpy as np
import torch
from torch import nn

from jupyter_astroml.core.records import Attributions, Cutouts, LightCurves, Predictions
from jupyter_astroml.explain import attribute

CLASSES = ("round", "edge-on")


class Shape(nn.Module):
    """Two members that tell long from round light by moments about the centre."""

    def __init__(self, side):
        super().__init__()
        y, x = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
        self.long = nn.Parameter(x**2 - y**2)
        self.gain = nn.Parameter(torch.tensor([1500.0, 2500.0]))

    def forward(self, values):
        moment = (values.mean(1) * self.long).mean((1, 2)) - 0.001
        members = [torch.stack([-gain * moment, gain * moment], dim=1) for gain in self.gain]
        return torch.stack(members)


class Bump(nn.Module):
    """Two members whose logit at each cadence is the flux above 1, smoothed."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.tensor([[[1.0, 2.0, 1.0]]]) / 4)
        self.gain = nn.Parameter(torch.tensor([20.0, 30.0]))

    def forward(self, values):
        flux = torch.where(torch.isfinite(values), values, 1.0)[:, None] - 1
        smooth = nn.functional.conv1d(flux, self.kernel.to(flux), padding=1)[:, 0]
        return torch.stack([gain * (smooth - 0.05) for gain in self.gain])


def galaxies(n, *, side=24, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side)) - (side - 1) / 2
    width = rng.uniform(0.12, 0.3, size=n)[:, None, None] * side
    light = np.exp(-((x / width) ** 2 + (y / (0.12 * side)) ** 2) / 2)
    values = light[:, None] * np.array([0.9, 0.8, 0.6])[:, None, None]
    values = values + rng.normal(scale=0.02, size=values.shape)
    return Cutouts(
        ids=np.array([f"sim-{i}" for i in range(n)]),
        values=values.astype(np.float32),
        bands=("R", "G", "B"),
        pixel_scale=np.full(n, 0.5),
        simulated=True,
    )


def flaring_stars(n, *, cadences=400, seed=0):
    rng = np.random.default_rng(seed)
    flux = 1 + rng.normal(scale=0.002, size=(n, cadences))
    for row, height in zip(flux, rng.permutation(np.linspace(0.2, 0.5, n)), strict=True):
        for start in (60, 250):
            peak = height if start == 250 else 0.7 * height
            row[start : start + 8] += peak * np.exp(-np.arange(8) / 3)
    flux[:, 100:110] = np.nan
    return LightCurves(
        ids=np.array([f"star-{i}" for i in range(n)]),
        time=1354.0 + np.tile(np.arange(cadences) / 720, (n, 1)),
        values=flux.astype(np.float32),
        time_zero=2457000.0,
        simulated=True,
    )


def classified(module, cutouts):
    with torch.no_grad():
        members = module(torch.from_numpy(cutouts.values)).softmax(-1).numpy()
    p = members.mean(0)
    entropy = -(p * np.log(np.clip(p, 1e-12, 1))).sum(1)
    return Predictions(
        ids=cutouts.ids,
        status=np.full(len(cutouts), "ok"),
        columns={
            "label": np.array(CLASSES)[p.argmax(1)],
            **{f"p_{name}": p[:, i] for i, name in enumerate(CLASSES)},
            "confidence": p.max(1),
            "uncertainty": entropy / np.log(len(CLASSES)),
            "fit": np.full(len(cutouts), "fits"),
        },
    )


def detected(module, curves):
    with torch.no_grad():
        members = module(torch.from_numpy(curves.values)).sigmoid().numpy()
    p, std = members.mean(0), members.std(0)
    missing = ~np.isfinite(curves.values)
    p[missing], std[missing] = np.nan, np.nan
    best = np.nanargmax(p, axis=1)
    rows = np.arange(len(curves))
    above = np.nan_to_num(p) > 0.5
    return Predictions(
        ids=curves.ids,
        status=np.full(len(curves), "ok"),
        columns={
            "n_events": (np.diff(above.astype(int), axis=1, prepend=0) == 1).sum(1),
            "max_probability": p[rows, best],
            "uncertainty": std[rows, best],
            "t_max": curves.time[rows, best],
        },
        arrays={"probability": p, "probability_std": std},
    )


def explainer(module, *, samples=8):
    """Return what a session hands to the inspector, over a module."""

    def explain(sample, target, method, progress):
        if isinstance(sample, LightCurves):
            index = int(np.abs(sample.time[0] - target).argmin())
            start = max(0, index - 50)
            sample = LightCurves(
                ids=sample.ids,
                time=sample.time[:, start : index + 50],
                values=np.nan_to_num(sample.values[:, start : index + 50], nan=1.0),
                time_zero=sample.time_zero,
            )
            index, name = index - start, f"t = {target:.4f} d"
        else:
            index, name = CLASSES.index(target), target
        maps = attribute(
            module, sample.values, targets=index, method=method, samples=samples, progress=progress
        )
        return Attributions(
            ids=sample.ids,
            maps=maps,
            targets=np.array([index]),
            target_names=np.array([name]),
            method=method,
            samples=sample,
        )

    return explain
