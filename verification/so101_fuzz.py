# SPDX-License-Identifier: Apache-2.0
"""Damaged answers to an SO-101 that holds, and random frames to one without torque."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import numpy as np

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "src" / "so100_driver" / "test"))

from arm_rig import Rig  # noqa: E402

from so100_driver.core.orders import ArmMode  # noqa: E402
from so100_driver.core.packets import Instruction, Packet  # noqa: E402
from so100_driver.sim_bus.bus import Answer  # noqa: E402


def _damaged(data: bytes, generator: random.Random) -> bytes:
    """Return an answer with bytes changed, cut, repeated or made up; its checksum may fit."""
    kind = generator.randrange(6)
    if kind == 0 or len(data) < 7:
        return generator.randbytes(generator.randrange(40))
    changed = bytearray(data)
    if kind == 1:
        return bytes(changed[: generator.randrange(len(changed))])
    if kind == 2:
        return bytes(changed) + bytes(changed[: generator.randrange(len(changed))])
    for _ in range(generator.randrange(1, 5)):
        changed[generator.randrange(2, len(changed))] = generator.randrange(256)
    if kind == 3:
        # A checksum that fits: the worst that noise can do.
        changed[-1] = ~sum(changed[2:-1]) & 0xFF
    if kind == 4:
        changed[2] = generator.randrange(256)
    return bytes(changed)


def fuzz(folder: Path, frames: int, seed: int) -> None:
    """Damage answers to a holding arm, and send random frames to one without torque."""
    generator = random.Random(seed)
    rig = Rig().held().run(1.0)
    receive = rig.bus.receive
    count = {"answers": 0}

    def damaging(data: bytes, now_s: float) -> list[Answer]:
        found = []
        for answer in receive(data, now_s):
            if generator.random() < 0.6:
                count["answers"] += 1
                found.append(Answer(_damaged(answer.data, generator), answer.due_s))
            else:
                found.append(answer)
        return found

    rig.bus.receive = damaging
    before, began_s, cycles, worst = rig.angles, time.monotonic(), 0, 0.0
    while count["answers"] < frames // 2:
        if rig.arm.mode is ArmMode.HOLDING and cycles % 50 == 0:
            rig.arm.clear_faults(rig.now_s)
        rig.step()
        cycles += 1
        rig.events.clear()
        worst = max(worst, float(np.abs(rig.angles - before).max()))
        if cycles % 5000 == 0:
            print(
                count["answers"], f"{worst:.4f}", f"{time.monotonic() - began_s:.0f} s", flush=True
            )
    held = rig.torque
    print("frames to servos without torque", flush=True)
    still = Rig()
    start = still.angles
    sent = 0
    while sent < frames - count["answers"]:
        stream = b""
        for _ in range(50):
            code = generator.choice((*Instruction, generator.randrange(256)))
            parameters = generator.randbytes(generator.randrange(14))
            if code in (Instruction.WRITE, Instruction.REG_WRITE, Instruction.SYNC_WRITE):
                # Not one that reaches Torque_Enable: that is a host's right.
                parameters = bytes((56,)) + parameters[1:]
            line = bytearray(Packet(generator.randrange(255), code, parameters).to_bytes())
            if generator.random() < 0.3:
                line[generator.randrange(len(line))] = generator.randrange(256)
            stream += bytes(line)
            sent += 1
        still.bus.receive(stream, 0.0)
    moved = float(np.abs(still.angles - start).max())
    outcome = {
        "seed": seed,
        "answers_damaged": count["answers"],
        "cycles": cycles,
        "largest_motion_of_a_holding_arm_rad": worst,
        "torque_at_the_end": held,
        "frames_sent_to_servos": sent,
        "motion_of_an_arm_without_torque_rad": moved,
    }
    path = folder / "so101_fuzz.json"
    path.write_text(json.dumps(outcome, indent=1) + "\n")
    print(json.dumps(outcome, indent=1))
