import numpy as np
import pytest
import torch
from torch import nn

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.explain import attribute, completeness, deletion, randomisation


class Slope(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(torch.as_tensor(weights, dtype=torch.float64))

    def forward(self, values):
        return (values.flatten(1) @ self.weights)[None, :, None]


def test_deletion_by_the_true_weights_falls_first_by_the_largest():
    module = Slope([3.0, 1.0, 2.0, 0.0])
    values = np.ones((1, 4))
    maps = attribute(module, values, targets=0, method="gradient")
    found = deletion(module, values, maps, targets=0, steps=4, baseline=0)
    assert found.by_map.tolist() == [[6.0, 3.0, 1.0, 0.0, 0.0]]
    assert found.by_chance[0, [0, -1]].tolist() == [6.0, 0.0]
    assert found.fraction.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_a_good_map_gains_on_chance_and_its_opposite_loses():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=3 * 64)
    module = Slope(weights)
    values = np.ones((5, 3, 8, 8))
    maps = attribute(module, values, targets=0, method="integrated_gradients", steps=2)
    options = {"targets": 0, "steps": 8}
    assert (deletion(module, values, maps, **options).gain > 0).all()
    assert (deletion(module, values, -maps, **options).gain < 0).all()


def test_deletion_leaves_missing_values_missing():
    class Forgiving(Slope):
        def forward(self, values):
            self.missing = torch.isnan(values).sum().item()
            return super().forward(torch.where(torch.isnan(values), 0, values))

    module = Forgiving([1.0, 1.0, 1.0])
    values = np.array([[1.0, np.nan, 3.0]])
    deletion(module, values, np.zeros((1, 3)), targets=0, steps=1, batch=1)
    assert module.missing == 1


def test_completeness_is_exact_where_the_score_does_not_change():
    module = Slope([0.0, 0.0])
    values = np.ones((1, 2))
    assert completeness(module, values, np.zeros((1, 2)), targets=0).tolist() == [0.0]
    assert completeness(module, values, np.ones((1, 2)), targets=0).tolist() == [np.inf]


def test_randomisation_tells_a_map_of_the_data_from_a_map_of_the_model():
    rng = np.random.default_rng(2)
    learned = Slope(rng.normal(size=400))
    values = rng.normal(size=(2, 400))
    of_the_model = randomisation(learned, values, targets=0, method="gradient")
    assert (np.abs(of_the_model) < 0.2).all()

    class Edges(nn.Module):
        """Its slope is the data, whatever the weights: the case that Adebayo et al. warn of."""

        def __init__(self):
            super().__init__()
            self.weights = nn.Parameter(torch.ones(4, dtype=torch.float64))

        def forward(self, values):
            return (self.weights.sum() * (values**2).sum(1))[None, :, None]

    of_the_data = randomisation(Edges(), values, targets=0, method="gradient")
    np.testing.assert_allclose(of_the_data, 1.0)


def test_randomisation_leaves_the_module_alone():
    module = Slope([1.0, 2.0, 3.0])
    randomisation(module, np.ones((1, 3)), targets=0, method="gradient")
    assert module.weights.tolist() == [1.0, 2.0, 3.0]


def test_maps_of_other_data_are_refused():
    with pytest.raises(DataError, match="do not fit"):
        completeness(Slope([1.0, 1.0]), np.ones((1, 2)), np.ones((1, 3)), targets=0)
