"""Query archives, run models, and inspect every prediction: ``import jupyter_astroml as aml``."""

from __future__ import annotations
