# SPDX-License-Identifier: Apache-2.0
"""Pick a cube by its colour and drop it into the bin: classical vision and inverse kinematics.

Not a learned model. It stands where a vision-language-action model will stand, with the same
inputs, outputs and habits (chunks, phases, retries), and needs no graphics card.
"""

from vla_policies.color_pick.policy import ColorPick, make

__all__ = ["ColorPick", "make"]
