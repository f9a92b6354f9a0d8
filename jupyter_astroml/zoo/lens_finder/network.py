"""A residual network that looks at a candidate at two magnifications, however the sky is turned.

Lanusse et al. 2018 (MNRAS 473, 3895; CMU DeepLens) found lenses with a residual network of 46
layers on one band, trained on turned copies; Jacobs et al. 2017 (MNRAS 471, 167) searched CFHTLS
with an ensemble of convolutional networks on gri colour pictures.
Here a small residual network, or several, look at gri; turns and mirror images are in the filters
(`jupyter_astroml.zoo.symmetry`), so that fewer layers and fewer pictures do.
Arcs of a galaxy stand within 3 arcsec, those of a group at up to 8: the network looks at the middle
9 arcsec pixel by pixel and at the middle 18 arcsec in pixels twice as wide.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.ensemble import Ensemble
from jupyter_astroml.zoo.symmetry import ORDER
from jupyter_astroml.zoo.views import Member, magnified

# Side of each view in its own pixels, and the width of these in pixels of the picture.
SIDE, ZOOMS = 48, (1, 2)
PLANES = 3
# Usual level and scatter of the values in the middle of a picture.
_LEVEL, _SCALE = 0.1, 0.2


def build(
    *,
    members: int = 1,
    widths: Sequence[int] = (3, 4, 8, 16),
    hidden: int = 64,
    order: int = ORDER,
    dropout: float = 0.2,
) -> LensFinder:
    """Make the network with fresh weights.

    Parameters
    ----------
    members : int
        Number of networks.
    widths : sequence of int
        Number of filters of each stage; each stands for `order`.
    hidden : int
        Width of the dense layer.
    order : {8, 4, 1}
        Orientations of a filter: 8 with mirrors, 4 without, 1 for a plain network.
    dropout : float
        Used in training only.
    """
    return LensFinder(
        [
            Member(
                views=len(ZOOMS),
                planes=PLANES,
                classes=2,
                widths=widths,
                hidden=hidden,
                order=order,
                dropout=dropout,
            )
            for _ in range(members)
        ],
        classes=2,
    )


class LensFinder(Ensemble):
    """The networks, which share the views of a candidate."""

    def seen(self, values: Tensor) -> list[Tensor]:
        """Return the views of candidates.

        Parameters
        ----------
        values : Tensor, shape (n, 3, y, x), 0 to 1
            Colour pictures of `jupyter_astroml.zoo.lens_finder.picture`, the candidate in the
            middle; y and x are equal, even and not less than 96, the rest is cut off.
        """
        return views(values)


def views(values: Tensor) -> list[Tensor]:
    """Return the magnifications, the finest first, each of shape (n, 3, SIDE, SIDE).

    Parameters
    ----------
    values : Tensor, shape (n, 3, y, x), 0 to 1
        As for `LensFinder.seen`.

    Raises
    ------
    DataError
        If the pictures are not square, odd, or too small.
    """
    least = SIDE * max(ZOOMS)
    if values.ndim != 4 or values.shape[1] != PLANES:
        raise DataError(
            f"The network got values of shape {tuple(values.shape)}",
            remedy="give pictures of shape (n, 3, y, x)",
        )
    height, width = values.shape[2:]
    if height != width or height % 2 or height < least:
        raise DataError(
            f"The network got pictures of {width}×{height} pixels",
            remedy=f"give square pictures with an even side of {least} pixels or more",
        )
    return [(magnified(values, side=SIDE, zoom=z) - _LEVEL) / _SCALE for z in ZOOMS]
