# SPDX-License-Identifier: Apache-2.0
"""Weights rounded by what their layer is fed."""

import pytest

pytest.importorskip("torch", reason="torch is not installed: smolvla[convert]")

import torch

from smolvla.rounding import STEPS, round_weights, rounded


@pytest.fixture
def random():
    return torch.Generator().manual_seed(0)


def alike(rows, size, random):
    """Inputs that have much in common, as a transformer's have."""
    common = torch.randn(rows, 4, generator=random) @ torch.randn(4, size, generator=random)
    return common + 0.1 * torch.randn(rows, size, generator=random) + 1.0


def nearest(weight):
    step = weight.abs().amax(dim=1, keepdim=True) / STEPS
    return (weight / step).round() * step


@pytest.mark.parametrize("size", [24, 300])
def test_the_output_changes_less_than_by_rounding_to_the_nearest_step(random, size):
    inputs = alike(1000, size, random)
    weight = torch.randn(40, size, generator=random)
    found = rounded(weight, inputs.T @ inputs)
    error = ((found - weight) @ inputs.T).square().mean()
    plain = ((nearest(weight) - weight) @ inputs.T).square().mean()
    assert error < 0.2 * plain


def test_every_weight_is_on_a_step_that_its_row_still_tells(random):
    inputs = alike(200, 30, random)
    weight = torch.randn(8, 30, generator=random)
    found = rounded(weight, inputs.T @ inputs)
    assert torch.equal(found.abs().amax(dim=1), weight.abs().amax(dim=1))
    steps = found / (found.abs().amax(dim=1, keepdim=True) / STEPS)
    assert (steps - steps.round()).abs().max() < 1e-3


def test_a_row_of_zeros_and_an_input_that_is_always_zero_do_no_harm(random):
    inputs = alike(100, 6, random)
    inputs[:, 2] = 0.0
    weight = torch.randn(4, 6, generator=random)
    weight[1] = 0.0
    found = rounded(weight, inputs.T @ inputs)
    assert torch.isfinite(found).all()
    assert not found[1].any()


def test_layers_are_rounded_in_place_by_what_they_are_fed(random):
    first, second, unused = (torch.nn.Linear(6, 6) for _ in range(3))
    before = [layer.weight.detach().clone() for layer in (first, second, unused)]
    inputs = alike(50, 6, random)
    layers = {"first": first, "second": second, "unused": unused}
    with torch.no_grad():
        round_weights(layers, lambda: second(first(inputs)))
    # The second is fed what the first made of the inputs before it was rounded.
    fed = torch.nn.functional.linear(inputs, before[0], first.bias).detach()
    assert torch.equal(first.weight, rounded(before[0], inputs.T @ inputs))
    assert torch.equal(second.weight, rounded(before[1], fed.T @ fed))
    assert torch.equal(unused.weight, before[2])
