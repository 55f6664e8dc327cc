# SPDX-License-Identifier: Apache-2.0
# mypy: warn_return_any=False
"""Round weights to 8 bits so that the layers' outputs, not the weights, change least.

What a weight loses by rounding is made up for by those of the same output that are not rounded
yet, as far as the inputs that the layer really gets allow. Inputs of a transformer's layers have
much in common, so that is far: what remains of the error is a fraction of that of rounding each
weight to its nearest step.

Source: Frantar et al., GPTQ, arXiv 2210.17323.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

# Steps on either side of zero, as NNCF places them for symmetric 8 bit weights.
STEPS = 127
# Of the mean squared input, added to each so that those which are always zero can be solved for.
DAMPING = 0.01
BLOCK = 128


def round_weights(layers: Mapping[str, nn.Linear], run: Callable[[], object]) -> None:
    """Round the weights of linear layers, in place; their type stays.

    The largest weight of each output is kept, so that whoever looks for the scale of the steps
    finds the same.

    Args:
        layers: Which, by any name.
        run: Computes the model on observations that are like those it will see.
    """
    products: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(_collect(products, name)) for name, layer in layers.items()
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    for name, layer in layers.items():
        product = products.pop(name, None)
        # Nothing reads the output of a layer that was not used.
        if product is not None:
            layer.weight.data = rounded(layer.weight.data, product).to(layer.weight.dtype)


def rounded(weight: Tensor, product: Tensor) -> Tensor:
    """Return weights on 8 bit steps.

    Args:
        weight: (N, K).
        product: (K, K), sum of the inputs' outer products.
    """
    left = weight.to(torch.float32).clone()
    step = left.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / STEPS
    kept = left.abs() >= STEPS * step * (1 - 1e-6)
    moments = product.to(torch.float64)
    moments.diagonal().add_(DAMPING * moments.diagonal().mean().clamp(min=1e-12))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    upper = torch.linalg.cholesky(inverse, upper=True).to(torch.float32)
    size = left.shape[1]
    for begin in range(0, size, BLOCK):
        end = min(begin + BLOCK, size)
        lost = torch.zeros(left.shape[0], end - begin)
        for column in range(begin, end):
            here = left[:, column : column + 1]
            found = (here / step).round().clamp(-STEPS, STEPS) * step
            original = weight[:, column : column + 1].to(torch.float32)
            found = torch.where(kept[:, column : column + 1], original, found)
            error = (here - found) / upper[column, column]
            left[:, column + 1 : end] -= error * upper[column, column + 1 : end]
            left[:, column : column + 1] = found
            lost[:, column - begin : column - begin + 1] = error
        left[:, end:] -= lost @ upper[begin:end, end:]
    return left


def _collect(products: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any], None]:
    def hook(_: nn.Module, inputs: Any) -> None:
        rows = inputs[0].detach().flatten(0, -2).to(torch.float32)
        product = rows.T @ rows
        products[name] = products[name] + product if name in products else product

    return hook
