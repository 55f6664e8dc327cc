# SPDX-License-Identifier: Apache-2.0
"""Make a SmolVLA checkpoint weak on purpose: noise on the weights of its action expert.

.venv-policy/bin/python -m verification.weak_checkpoint CHECKPOINT FOLDER [--level 0.5]
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

EXPERT = ("lm_expert", "action_")


def main() -> int:
    """Write the weak checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--level", type=float, default=0.5, help="of the noise, deviations of each matrix"
    )
    given = parser.parse_args()
    shutil.copytree(given.checkpoint, given.folder)
    path = given.folder / "model.safetensors"
    weights = load_file(path)
    generator = torch.Generator().manual_seed(0)
    for name, matrix in sorted(weights.items()):
        if matrix.ndim == 2 and any(part in name for part in EXPERT):
            wide = matrix.float()
            noise = torch.randn(wide.shape, generator=generator)
            weights[name] = (wide + given.level * wide.std() * noise).to(matrix.dtype)
    save_file(weights, path, metadata={"format": "pt"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
