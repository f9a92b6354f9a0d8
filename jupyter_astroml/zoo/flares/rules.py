"""Rules for events: those among which training chooses, and with which evaluation compares."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from jupyter_astroml.models.events import Rule


def grid() -> Iterator[Rule]:
    """Yield rules from trusting to strict: thresholds, heights and cadences in a row."""
    for logit in np.arange(-4.0, 2.1, 1.0):
        for n_sigma, in_a_row in product((2.5, 3.0, 3.5), (1, 2, 3)):
            yield at(float(logit), n_sigma=n_sigma, in_a_row=in_a_row)


def at(logit: float, *, n_sigma: float, in_a_row: int) -> Rule:
    """Return a rule with its threshold given as a logit.

    Parameters
    ----------
    logit : float
        Of the threshold: ln p / (1 - p).
    n_sigma : float
        Height of an outlier, in units of the scatter.
    in_a_row : int
        Outliers that an event needs.
    """
    threshold = round(float(1 / (1 + np.exp(-logit))), 4)
    return Rule(threshold=threshold, n_sigma=n_sigma, min_cadences=in_a_row)
