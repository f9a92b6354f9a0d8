import numpy as np
import pytest
import torch
from torch import nn

from jupyter_astroml.core.errors import AstroMLError, DataError, ModelError
from jupyter_astroml.explain import METHODS, attribute, completeness, quick
from jupyter_astroml.explain.methods import settled


class Weighted(nn.Module):
    """Logit of output j is the sum of weights[j] * values ** power; one member for each scale."""

    def __init__(self, weights, *, power=1, members=(1.0,)):
        super().__init__()
        self.weights = nn.Parameter(torch.as_tensor(weights, dtype=torch.float64))
        self.power = power
        self.members = members

    def forward(self, values):
        flat = values.flatten(1) ** self.power
        logits = flat @ self.weights.flatten(1).T
        return torch.stack([scale * logits for scale in self.members])


class Net(nn.Module):
    """A small network with what real ones have: convolution, batch norm, dropout, pooling."""

    def __init__(self, *, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3),
            nn.BatchNorm2d(6),
            nn.Softplus(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 8, 3),
        )
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 4)

    def forward(self, values):
        return self.head(self.drop(self.body(values).relu().mean((2, 3))))[None]


class Single(nn.Module):
    """The first member alone, which is what Captum explains."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, values):
        return self.module(values)[0]


@pytest.fixture
def pictures():
    return np.random.default_rng(1).normal(size=(3, 3, 16, 16)).astype(np.float32)


def test_gradient_of_a_weighted_sum_is_its_weights():
    module = Weighted([[2.0, -3.0], [0.5, 1.0]])
    values = np.ones((2, 2))
    maps = attribute(module, values, targets=np.array([0, 1]), method="gradient")
    assert maps.tolist() == [[2.0, -3.0], [0.5, 1.0]]
    assert maps.dtype == np.float32


@pytest.mark.parametrize("method", METHODS)
def test_the_settled_options_give_the_same_map_again(pictures, method):
    values = pictures[:1]
    options = settled(method, values.shape, **quick(method, values.shape))
    assert None not in [options.get("patch", 0), options.get("stride", 0)]
    net = Net()
    maps = [
        attribute(net, values, targets=1, method=method, **given)
        for given in (quick(method, values.shape), options)
    ]
    np.testing.assert_array_equal(*maps)


def test_the_score_is_the_mean_over_the_members():
    module = Weighted([[2.0, -3.0]], members=(1.0, 2.0, 6.0))
    maps = attribute(module, np.ones((1, 2)), targets=0, method="gradient")
    assert maps.tolist() == [[6.0, -9.0]]


def test_smoothgrad_of_a_straight_line_is_its_slope():
    maps = attribute(Weighted([[2.0, -3.0]]), np.array([[1.0, 5.0]]), targets=0, samples=3)
    np.testing.assert_allclose(maps, [[2.0, -3.0]], rtol=1e-6)


def test_smoothgrad_of_a_square_is_the_slope_at_the_mean_of_the_copies():
    # d/dx (x^2) = 2x, so the average over copies x + e is 2x + 2 mean(e), and the noise scales with
    # the range of the values: here 4, so that 0.25 of it is 1.
    values = np.array([[1.0, 5.0]])
    maps = attribute(
        Weighted([[1.0, 1.0]], power=2), values, targets=0, samples=4, noise=0.25, seed=3
    )
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randn((16, 2), generator=generator)[:4]
    np.testing.assert_allclose(maps, 2 * values + 2 * drawn.mean(0).numpy(), rtol=1e-6)


def test_each_object_can_have_its_own_noise():
    values = np.array([[1.0, 5.0], [1.0, 5.0]])
    module = Weighted([[1.0, 1.0]], power=2)
    options = {"targets": 0, "samples": 4, "seed": 3}
    both = attribute(module, values, noise=np.array([0.25, 0.0]), **options)
    np.testing.assert_array_equal(both[:1], attribute(module, values[:1], noise=0.25, **options))
    np.testing.assert_allclose(both[1], 2 * values[1])


def test_integrated_gradients_of_a_square_are_the_square():
    # Integral of 2(b + a(x-b)) da times (x-b) is x^2 - b^2.
    values = np.array([[3.0, -2.0]])
    module = Weighted([[1.0, 10.0]], power=2)
    maps = attribute(
        module, values, targets=0, method="integrated_gradients", baseline=1.0, steps=4
    )
    np.testing.assert_allclose(maps, [[8.0, 30.0]], rtol=1e-6)


def test_occlusion_gives_the_fall_of_the_score_by_hand():
    # Light curve 1 2 3 4 with median 2.5; covering two cadences of a plain sum changes it by
    # (1+2-5), (2+3-5), (3+4-5) = -2, 0, 2; each cadence takes the mean of its patches.
    module = Weighted([[1.0, 1.0, 1.0, 1.0]])
    maps = attribute(
        module,
        np.array([[1.0, 2.0, 3.0, 4.0]]),
        targets=0,
        method="occlusion",
        patch=2,
        stride=1,
    )
    np.testing.assert_allclose(maps, [[-2.0, -1.0, 1.0, 2.0]])


def test_default_baselines_are_nothing_for_images_and_the_median_for_light_curves():
    module = Weighted(np.ones((1, 4)))
    ig = {"targets": 0, "method": "integrated_gradients", "steps": 2}
    curve = attribute(module, np.array([[1.0, 2.0, 3.0, 10.0]]), **ig)
    np.testing.assert_allclose(curve, [[-1.5, -0.5, 0.5, 7.5]], rtol=1e-6)
    image = attribute(module, np.arange(4.0).reshape(1, 1, 2, 2), **ig)
    np.testing.assert_allclose(image, np.arange(4.0).reshape(1, 1, 2, 2), rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_magnitudes_are_the_absolute_value_of_the_signed_map(method, pictures):
    options = {"targets": 1, "method": method, "samples": 4, "steps": 4}
    signed = attribute(Net(), pictures, **options)
    assert (signed < 0).any()
    np.testing.assert_array_equal(
        attribute(Net(), pictures, signed=False, **options), np.abs(signed)
    )


@pytest.mark.parametrize("batch", [1, 4, 7, 32])
@pytest.mark.parametrize("method", METHODS)
def test_an_object_gets_the_same_map_alone_and_from_any_batch(method, batch, pictures):
    options = {"method": method, "samples": 37, "steps": 5, "seed": 7}
    targets = np.array([0, 3, 1])
    together = attribute(Net(), pictures, targets=targets, batch=batch, **options)
    alone = attribute(Net(), pictures[1:2], targets=3, batch=64, **options)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)


def test_the_seed_decides_the_noise(pictures):
    first = attribute(Net(), pictures, targets=0, samples=4, seed=1)
    assert np.array_equal(first, attribute(Net(), pictures, targets=0, samples=4, seed=1))
    assert not np.array_equal(first, attribute(Net(), pictures, targets=0, samples=4, seed=2))


def test_global_random_state_is_neither_used_nor_changed(pictures):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    attribute(Single(Net()).module, pictures, targets=0, samples=2)
    torch.manual_seed(5)
    assert torch.equal(before, torch.random.get_rng_state())


def test_integrated_gradients_equal_captum(pictures):
    from captum.attr import IntegratedGradients

    module = Net().eval()
    theirs = IntegratedGradients(Single(module)).attribute(
        torch.from_numpy(pictures), target=2, n_steps=20
    )
    ours = attribute(module, pictures, targets=2, method="integrated_gradients", steps=20)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-6)


def test_gradient_equals_captum_saliency(pictures):
    from captum.attr import Saliency

    module = Net().eval()
    inputs = torch.from_numpy(pictures).requires_grad_()
    theirs = Saliency(Single(module)).attribute(inputs, target=2, abs=False)
    ours = attribute(module, pictures, targets=2, method="gradient")
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-7)


@pytest.mark.parametrize(("patch", "stride"), [(4, 4), (4, 2), (5, 3), (16, 16)])
def test_occlusion_equals_captum(pictures, patch, stride):
    from captum.attr import Occlusion

    module = Net().eval()
    theirs = Occlusion(Single(module)).attribute(
        torch.from_numpy(pictures),
        sliding_window_shapes=(3, patch, patch),
        strides=(3, stride, stride),
        target=2,
        baselines=0,
    )
    ours = attribute(module, pictures, targets=2, method="occlusion", patch=patch, stride=stride)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


def test_integrated_gradients_add_up_to_the_change_of_the_score(pictures):
    options = {"targets": np.array([0, 1, 2])}
    maps = attribute(Net(), pictures, method="integrated_gradients", steps=64, **options)
    # The goal of Sundararajan et al. 2017, section 5.
    assert completeness(Net(), pictures, maps, **options).max() < 0.05
    # Half of a map adds up to half of the change.
    half = completeness(Net(), pictures, maps / 2, **options)
    np.testing.assert_allclose(half, 0.5, atol=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_missing_cadences_get_no_attribution_and_hide_no_other(method):
    class Forgiving(Weighted):
        def forward(self, values):
            return super().forward(torch.where(torch.isfinite(values), values, 0))

    module = Forgiving([[1.0, 2.0, 3.0, 4.0]])
    values = np.array([[1.0, np.nan, 3.0, 5.0]])
    maps = attribute(module, values, targets=0, method=method, patch=1, samples=3, steps=3)
    assert maps[0, 1] == 0
    assert np.isfinite(maps).all()
    expected = {
        "gradient": [1, 0, 3, 4],
        "smoothgrad": [1, 0, 3, 4],
        # Distance from the median 3 times the weight.
        "integrated_gradients": [-2, 0, 0, 8],
        "occlusion": [-2, 0, 0, 8],
    }[method]
    np.testing.assert_allclose(maps[0], expected, atol=1e-5)


def test_a_score_that_is_no_number_is_an_error_that_names_the_object():
    values = np.array([[1.0, 2.0], [np.nan, 2.0]])
    with pytest.raises(DataError, match="not a number for object 1") as caught:
        attribute(Weighted([[1.0, 1.0]]), values, targets=0)
    assert "missing values" in caught.value.remedy


@pytest.mark.parametrize("stop", [False, True])
def test_the_module_is_given_back_as_it_was(pictures, stop):
    module = Net().train()
    module.body[1].eval()
    module.head.bias.requires_grad_(False)
    modes = [part.training for part in module.modules()]
    needs = [weight.requires_grad for weight in module.parameters()]
    running = module.body[1].running_mean.clone()

    def refuse(done, total):
        raise KeyboardInterrupt

    if stop:
        with pytest.raises(KeyboardInterrupt):
            attribute(module, pictures, targets=0, samples=2, progress=refuse)
    else:
        attribute(module, pictures, targets=0, samples=2)
    assert [part.training for part in module.modules()] == modes
    assert [weight.requires_grad for weight in module.parameters()] == needs
    assert all(weight.grad is None for weight in module.parameters())
    assert torch.equal(module.body[1].running_mean, running)


def test_progress_counts_passes_up_to_their_number(pictures):
    seen = []
    attribute(
        Net(), pictures, targets=0, samples=5, batch=4, progress=lambda *now: seen.append(now)
    )
    assert seen == [(4, 15), (8, 15), (12, 15), (15, 15)]


def test_an_exception_of_progress_stops_the_work(pictures):
    calls = []

    def stop(done, total):
        calls.append(done)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        attribute(Net(), pictures, targets=0, method="occlusion", progress=stop, batch=8)
    assert calls == [8]


def test_no_object_gives_no_map():
    assert attribute(Net(), np.zeros((0, 3, 16, 16)), targets=0).shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"targets": 4}, "Target 4 is not among the model's 4 outputs"),
        ({"targets": -1}, "negative"),
        ({"targets": np.array([0, 1])}, "do not fit 3 objects"),
        ({"targets": 0.5}, "do not fit 3 objects"),
        ({"method": "magic"}, "no attribution method 'magic'"),
        ({"samples": 0}, "'samples' is 0"),
        ({"noise": -0.1}, "'noise' is -0.1"),
        ({"noise": float("nan")}, "'noise' is nan"),
        ({"noise": np.array([0.1, 0.2])}, "'noise' is"),
        ({"batch": 2.5}, "'batch' is 2.5"),
        ({"method": "occlusion", "patch": 17}, "does not fit in data of size 16"),
        ({"method": "occlusion", "patch": 2, "stride": 3}, "leaves gaps"),
        ({"method": "occlusion", "baseline": np.zeros(5)}, "does not fit data of shape"),
        ({"method": "integrated_gradients", "baseline": np.nan}, "baseline has missing"),
    ],
)
def test_wrong_arguments_are_named_with_a_remedy(pictures, change, words):
    with pytest.raises(DataError, match=words) as caught:
        attribute(Net(), pictures, **{"targets": 0, **change})
    assert caught.value.remedy


@pytest.mark.parametrize("values", [np.zeros((2, 3, 4)), np.array([["a"]]), np.zeros(3)])
def test_data_of_another_shape_are_refused(values):
    with pytest.raises(DataError, match="cannot be explained"):
        attribute(Net(), values, targets=0)


def test_a_model_without_members_or_gradient_is_named():
    class Flat(Weighted):
        def forward(self, values):
            return super().forward(values)[0]

    class Cut(Weighted):
        def forward(self, values):
            return super().forward(values.detach())

    with pytest.raises(ModelError, match="answered with shape"):
        attribute(Flat([[1.0, 2.0]]), np.ones((1, 2)), targets=0)
    with pytest.raises(ModelError, match="no gradient") as caught:
        attribute(Cut([[1.0, 2.0]]), np.ones((1, 2)), targets=0)
    assert "occlusion" in caught.value.remedy
    assert isinstance(caught.value, AstroMLError)
    maps = attribute(Cut([[1.0, 2.0]]), np.ones((1, 2)), targets=0, method="occlusion", baseline=0)
    assert maps.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 1000)])
def test_quick_options_take_few_passes(method, shape):
    class Mean(nn.Module):
        def forward(self, values):
            return values.flatten(1).mean(1)[None, :, None]

    seen = []
    attribute(
        Mean(),
        np.ones(shape),
        targets=0,
        method=method,
        progress=lambda done, total: seen.append(total),
        **quick(method, shape),
    )
    assert seen[-1] <= 65
