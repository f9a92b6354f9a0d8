"""The galaxy network: exact symmetry, determinism, gradients, and what it refuses."""

import numpy as np
import pytest
import torch

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.galaxy_morphology.network import build, resampled
from jupyter_astroml.zoo.symmetry import ORDER


@pytest.fixture(scope="module")
def module():
    """Return a small network whose normalisations hold numbers as after a training."""
    torch.manual_seed(0)
    made = build(members=2, widths=(2, 3, 4), hidden=8, size=48)
    made.train()
    for _ in range(3):
        made(torch.rand(8, 3, 128, 128))
    return made.eval()


@pytest.fixture(scope="module")
def pictures():
    return torch.rand(5, 3, 128, 128, generator=torch.Generator().manual_seed(1))


def turned(x, quarter_turns, mirrored):
    x = torch.rot90(x, quarter_turns, (-2, -1))
    return torch.flip(x, (-1,)) if mirrored else x


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarter_turns", range(4))
def test_quarter_turns_and_mirrors_do_not_change_the_answer(
    module, pictures, quarter_turns, mirrored
):
    with torch.inference_mode():
        here, there = module(pictures), module(turned(pictures, quarter_turns, mirrored))
    assert float(here.std()) > 1e-3
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-4)


def test_a_shuffled_picture_does_change_the_answer(module, pictures):
    shuffled = pictures.flatten(2)[:, :, torch.randperm(128 * 128)].reshape(pictures.shape)
    with torch.inference_mode():
        assert float((module(shuffled) - module(pictures)).abs().max()) > 1e-2


def test_a_turned_filter_sees_a_turned_picture_as_the_filter_sees_the_picture(module, pictures):
    # Equivariance of the first layer: turning the input turns the maps and moves their order.
    lift = module.members[0].lift
    with torch.inference_mode():
        maps = lift(pictures).reshape(5, -1, ORDER, 64, 64)
        maps_of_turned = lift(turned(pictures, 1, False)).reshape(5, -1, ORDER, 64, 64)
    # Four quarter turns come first: element 0 of the picture is element 1 of the turned one.
    torch.testing.assert_close(
        maps_of_turned[:, :, 1], turned(maps[:, :, 0], 1, False), rtol=1e-4, atol=1e-4
    )


def test_every_member_answers_with_one_logit_a_class(module, pictures):
    with torch.inference_mode():
        logits = module(pictures)
    assert logits.shape == (2, 5, 4)
    assert not torch.equal(logits[0], logits[1])


def test_an_object_gets_the_same_answer_alone_and_in_company(module, pictures):
    with torch.inference_mode():
        torch.testing.assert_close(
            module(pictures[2:3])[:, 0], module(pictures)[:, 2], rtol=1e-5, atol=1e-5
        )
        assert torch.equal(module(pictures), module(pictures))


def test_the_gradient_reaches_the_pixels_that_are_looked_at_and_no_others(module, pictures):
    values = pictures.clone().requires_grad_(True)
    module(values)[:, :, 1].mean(dim=0).sum().backward()
    size = values.grad.abs().amax(dim=(0, 1))
    edge = (128 - 76) // 2
    assert float(size[:edge].max()) == 0.0
    assert float((size[edge:-edge, edge:-edge] > 0).float().mean()) > 0.99


def test_the_gradient_is_the_slope_of_the_score(module, pictures):
    double = build(members=1, widths=(2, 2), hidden=4, size=48, field=48).double().eval()
    values = pictures[:1, :, 40:88, 40:88].double().requires_grad_(True)
    score = double(values)[0, 0, 2]
    score.backward()
    step = torch.randn(values.shape, dtype=torch.float64) * 1e-7
    with torch.inference_mode():
        change = float(double(values + step)[0, 0, 2] - score)
    assert change == pytest.approx(float((values.grad * step).sum()), rel=1e-3, abs=1e-12)


def test_folding_the_normalisation_changes_nothing():
    torch.manual_seed(2)
    made = build(members=1, widths=(2, 3), dropout=0.0)
    layer = made.members[0].stages[0].first
    x = torch.rand(16, 16, 12, 12)
    with torch.no_grad():
        layer.gain.uniform_(0.5, 1.5)
        layer.shift.uniform_(-1, 1)
        for _ in range(400):
            trained = layer.train()(x)
        folded = layer.eval()(x)
    # The running variance is the unbiased one: n / (n - 1) with n = 16 · 8 · 144.
    torch.testing.assert_close(folded, trained, rtol=1e-3, atol=1e-3)


def test_resampling_keeps_a_flat_picture_flat_and_a_slope_a_slope():
    flat = torch.full((1, 3, 128, 128), 0.4)
    torch.testing.assert_close(
        resampled(flat, field=76, size=56), torch.full((1, 3, 56, 56), 0.4), rtol=1e-6, atol=0
    )
    slope = torch.arange(128.0).expand(1, 3, 128, 128)
    found = resampled(slope, field=76, size=38)[0, 0, 10]
    # New pixels are two old ones wide; the first inner one is centred at 26 + 2·k + 0.5.
    wanted = 26 + 2 * torch.arange(38.0) + 0.5
    torch.testing.assert_close(found[1:-1], wanted[1:-1], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    "shape", [(1, 3, 64, 64), (1, 3, 128, 100), (1, 3, 127, 127), (1, 4, 128, 128)]
)
def test_pictures_that_cannot_be_used_are_refused_in_words(module, shape):
    with pytest.raises(DataError, match="The network got"):
        module(torch.zeros(shape))


def test_weights_of_the_default_network_stay_small():
    stored = sum(v.numel() * v.element_size() for v in build().state_dict().values())
    assert stored < 5e6
    assert np.isfinite(stored)
