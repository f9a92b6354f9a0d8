"""Looking at the middle of a picture in larger pixels."""

import pytest
import torch

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.zoo.views import magnified


def test_larger_pixels_are_means_of_the_middle():
    light = torch.arange(64.0).reshape(1, 1, 8, 8)
    seen = magnified(light, side=2, zoom=2)
    assert seen.tolist() == [[[[22.5, 24.5], [38.5, 40.5]]]]


def test_a_picture_that_is_too_small_is_refused():
    with pytest.raises(ModelError, match="looks at 10"):
        magnified(torch.zeros(1, 1, 8, 8), side=5, zoom=2)
