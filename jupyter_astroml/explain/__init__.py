"""From a torch module and an array to maps of what moved the answer, and how far to trust them."""

from .methods import METHODS, attribute, quick
from .trust import Deletion, completeness, deletion, randomisation, verdict

__all__ = [
    "METHODS",
    "Deletion",
    "attribute",
    "completeness",
    "deletion",
    "quick",
    "randomisation",
    "verdict",
]
