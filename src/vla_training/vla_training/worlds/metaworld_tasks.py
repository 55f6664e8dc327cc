# SPDX-License-Identifier: Apache-2.0
"""Instructions and groups of Meta-World's fifty tasks.

Instructions: the descriptions in Meta-World's appendix (arXiv 1910.10897), without the sentence
on what is randomised; LeRobot's dataset ``metaworld_mt50`` and its environment tell policies the
same words. Two tasks share theirs: push and push-back.

Difficulty: the groups of Seo et al., "Masked world models for visual control" (arXiv 2206.14244,
appendix F), by which SmolVLA reports (arXiv 2506.01844, table 2). MT10: the ten tasks of
Meta-World's smaller multi-task benchmark.
"""

from __future__ import annotations

EASY, MEDIUM, HARD, VERY_HARD = "easy", "medium", "hard", "very_hard"
MT10 = frozenset(
    (
        "reach", "push", "pick-place", "door-open", "drawer-open", "drawer-close",
        "button-press-topdown", "peg-insert-side", "window-open", "window-close",
    )
)  # fmt: skip

# Name without its version: instruction, difficulty.
TASKS: dict[str, tuple[str, str]] = {
    "assembly": ("Pick up a nut and place it onto a peg", HARD),
    "basketball": ("Dunk the basketball into the basket", MEDIUM),
    "bin-picking": ("Grasp the puck from one bin and place it into another bin", MEDIUM),
    "box-close": ("Grasp the cover and close the box with it", MEDIUM),
    "button-press": ("Press a button", EASY),
    "button-press-topdown": ("Press a button from the top", EASY),
    "button-press-topdown-wall": ("Bypass a wall and press a button from the top", EASY),
    "button-press-wall": ("Bypass a wall and press a button", EASY),
    "coffee-button": ("Push a button on the coffee machine", EASY),
    "coffee-pull": ("Pull a mug from a coffee machine", MEDIUM),
    "coffee-push": ("Push a mug under a coffee machine", MEDIUM),
    "dial-turn": ("Rotate a dial 180 degrees", EASY),
    "disassemble": ("Pick a nut out of a peg", VERY_HARD),
    "door-close": ("Close a door with a revolving joint", EASY),
    "door-lock": ("Lock the door by rotating the lock clockwise", EASY),
    "door-open": ("Open a door with a revolving joint", EASY),
    "door-unlock": ("Unlock the door by rotating the lock counter-clockwise", EASY),
    "drawer-close": ("Push and close a drawer", EASY),
    "drawer-open": ("Open a drawer", EASY),
    "faucet-close": ("Rotate the faucet clockwise", EASY),
    "faucet-open": ("Rotate the faucet counter-clockwise", EASY),
    "hammer": ("Hammer a screw on the wall", MEDIUM),
    "hand-insert": ("Insert the gripper into a hole", HARD),
    "handle-press": ("Press a handle down", EASY),
    "handle-press-side": ("Press a handle down sideways", EASY),
    "handle-pull": ("Pull a handle up", EASY),
    "handle-pull-side": ("Pull a handle up sideways", EASY),
    "lever-pull": ("Pull a lever down 90 degrees", EASY),
    "peg-insert-side": ("Insert a peg sideways", MEDIUM),
    "peg-unplug-side": ("Unplug a peg sideways", EASY),
    "pick-out-of-hole": ("Pick up a puck from a hole", HARD),
    "pick-place": ("Pick and place a puck to a goal", HARD),
    "pick-place-wall": ("Pick a puck, bypass a wall and place the puck", VERY_HARD),
    "plate-slide": ("Slide a plate into a cabinet", EASY),
    "plate-slide-back": ("Get a plate from the cabinet", EASY),
    "plate-slide-back-side": ("Get a plate from the cabinet sideways", EASY),
    "plate-slide-side": ("Slide a plate into a cabinet sideways", EASY),
    "push": ("Push the puck to a goal", HARD),
    "push-back": ("Push the puck to a goal", HARD),
    "push-wall": ("Bypass a wall and push a puck to a goal", MEDIUM),
    "reach": ("Reach a goal position", EASY),
    "reach-wall": ("Bypass a wall and reach a goal", EASY),
    "shelf-place": ("Pick and place a puck onto a shelf", VERY_HARD),
    "soccer": ("Kick a soccer into the goal", MEDIUM),
    "stick-pull": ("Grasp a stick and pull a box with the stick", VERY_HARD),
    "stick-push": ("Grasp a stick and push a box using the stick", VERY_HARD),
    "sweep": ("Sweep a puck off the table", MEDIUM),
    "sweep-into": ("Sweep a puck into a hole", MEDIUM),
    "window-close": ("Push and close a window", EASY),
    "window-open": ("Push and open a window", EASY),
}
