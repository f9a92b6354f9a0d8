"""Imported once, in the process that all workers are copied from: what computing needs."""

from jupyter_astroml.models import answers, catalogue, contract, loading
from jupyter_astroml.pool import runner

__all__ = ["answers", "catalogue", "contract", "loading", "runner"]
