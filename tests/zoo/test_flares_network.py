"""The network of Feinstein et al. 2020, evaluated densely."""

import numpy as np
import pytest
import torch

from jupyter_astroml.zoo.flares.network import (
    AFTER,
    BEFORE,
    WINDOW,
    FlareNet,
    build,
    noise,
    running_median,
)


@pytest.fixture
def member():
    torch.manual_seed(3)
    return FlareNet().eval()


def _curve(n=700, sigma=2e-3, seed=0):
    rng = np.random.default_rng(seed)
    flux = 1 + 0.01 * np.sin(np.arange(n) / 150) + sigma * rng.standard_normal(n)
    return torch.from_numpy(flux.astype(np.float32))[None]


def test_dense_answer_equals_the_windows_one_by_one(member):
    series = torch.randn(2, 350 + BEFORE + AFTER)
    with torch.inference_mode():
        dense = member(series)
        each = member.windows(series.unfold(1, WINDOW, 1).reshape(-1, WINDOW)).reshape(2, 350)
    assert dense.shape == (2, 350)
    torch.testing.assert_close(dense, each, atol=1e-6, rtol=1e-5)


def test_windows_four_apart_equal_the_dense_answer_there(member):
    series = torch.randn(3, WINDOW + 4 * 15)
    with torch.inference_mode():
        torch.testing.assert_close(
            member.windows(series), member(series)[:, ::4], atol=1e-6, rtol=1e-5
        )


def test_layers_have_the_shapes_of_the_paper(member):
    assert [tuple(p.shape) for p in (member.first.weight, member.second.weight)] == [
        (16, 1, 7),
        (64, 16, 3),
    ]
    assert member.dense.weight.shape == (32, 64, 47)


def test_one_logit_for_each_member_star_and_cadence():
    module = build(members=3).eval()
    with torch.inference_mode():
        assert module(torch.cat([_curve(), _curve(seed=1)])).shape == (3, 2, 700)


def test_gradient_is_finite_and_confined_to_the_window():
    module = build(members=2).eval()
    values = _curve().requires_grad_(True)
    module(values).mean(dim=0)[0, 350].backward()
    touched = np.flatnonzero(values.grad[0].numpy())
    assert torch.isfinite(values.grad).all()
    assert len(touched) > 100
    assert touched.min() >= 350 - BEFORE
    assert touched.max() <= 350 + AFTER


def test_normalised_flux_does_not_depend_on_the_brightness_of_the_noise():
    module = build(members=1)
    one, ten = _curve(sigma=1e-3), _curve(sigma=1e-3)
    ten = 1 + (ten - 1) * 10
    torch.testing.assert_close(module.normalise(one), module.normalise(ten), atol=2e-3, rtol=2e-3)


def test_noise_sees_neither_spots_nor_flares_nor_bridged_gaps():
    values = _curve(n=4000)
    values[0, 500:540] += 0.3
    values[0, 1000:2400] = torch.linspace(1.0, 1.02, 1400)
    assert noise(values)[0].item() == pytest.approx(2e-3, rel=0.06)


def test_a_flat_light_curve_gives_finite_logits():
    module = build(members=1).eval()
    with torch.inference_mode():
        assert torch.isfinite(module(torch.ones(1, 400))).all()


def test_running_median_is_the_median_at_its_knots():
    values = _curve(n=600)
    found = running_median(values, width=193)
    for at in (200, 304, 400):
        expected = values[0, at - 96 : at + 97].median()
        assert found[0, at].item() == pytest.approx(expected.item(), abs=1e-7)


def test_options_that_make_no_network_are_refused():
    with pytest.raises(TypeError):
        build(members=0)
