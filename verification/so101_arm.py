# SPDX-License-Identifier: Apache-2.0
"""What the SO-101's driver does on the simulated servo bus, measured.

    python -m verification.so101_arm faults protection fuzz --frames 1000000 rate --seconds 30 \
        --folder docs/measurements

Each part (`corrections` too) writes its raw data. All but `rate` run in a time that
is given, the same on every computer; `rate` runs in real time, on a pseudo-terminal.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "src" / "so100_driver" / "test"))

from arm_rig import GRIPPER, LIFT, PERIOD_S, Rig  # noqa: E402

from so100_driver.core.orders import ArmLimits, ArmMode  # noqa: E402
from so100_driver.core.protection import ProtectionLimits  # noqa: E402
from verification.so101_corrections import corrections  # noqa: E402
from verification.so101_fuzz import fuzz  # noqa: E402
from verification.so101_rate import rate  # noqa: E402

# As without a driver that watches: nothing but the servos' own protection.
UNPROTECTED = ProtectionLimits(
    load=9.0, gripper_load=9.0, current_a=99.0, warm_c=999.0, hot_c=999.0, lower_c=999.0
)
SPEED_RAD_S = 0.5


def _write_rows(path: Path, head: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(list(head))
        writer.writerows(rows)
    print(f"written: {path}")


# -- faults ------------------------------------------------------------


def _silent(rig: Rig) -> None:
    rig.bus.faults.silent = {3}


def _corrupted(rig: Rig) -> None:
    rig.bus.faults.corrupted = 1.0


def _wrong_id(rig: Rig) -> None:
    rig.bus.faults.wrong_id = {3: 5}


def _twice(rig: Rig) -> None:
    rig.bus.servos[3].set("ID", 3)


def _restarts(rig: Rig) -> None:
    rig.bus.servos[LIFT].restart()


def _brown_out(rig: Rig) -> None:
    rig.bus.faults.supply_v = 3.0


def _bus_cable(rig: Rig) -> None:
    rig.bus.faults.unplugged = True


def _chain_cable(rig: Rig) -> None:
    rig.bus.faults.unpowered = {4, 5, 6}


def _usb_cable(rig: Rig) -> None:
    rig.wire.unplug()


def _stuck(rig: Rig) -> None:
    rig.plant.stuck.add(0)


def _hot(rig: Rig) -> None:
    rig.bus.servos[LIFT].temperature_c = 61.0


def _lost(rig: Rig) -> None:
    rig.bus.faults.lost = 0.05


def _mend(rig: Rig) -> None:
    faults = rig.bus.faults
    faults.silent, faults.wrong_id, faults.unpowered = set(), {}, set()
    faults.corrupted = faults.lost = 0.0
    faults.unplugged, faults.supply_v = False, 7.4
    rig.wire.cable_in = True
    rig.plant.stuck.clear()
    rig.bus.servos[3].set("ID", 4)
    rig.bus.servos[LIFT].temperature_c = 30.0


FAULTS: dict[str, Callable[[Rig], None]] = {
    "a servo falls silent": _silent,
    "every answer is damaged": _corrupted,
    "a servo answers with another's id": _wrong_id,
    "two servos have one id": _twice,
    "a servo restarts": _restarts,
    "brown-out of all servos, 50 ms": _brown_out,
    "the bus's cable is pulled": _bus_cable,
    "a cable in the chain is pulled": _chain_cable,
    "the USB cable is pulled": _usb_cable,
    "a joint is stuck": _stuck,
    "a servo is at 61 degrees C": _hot,
    "5 % of all answers are lost": _lost,
}


def faults(folder: Path) -> None:
    """Try each fault in a motion at 0.5 rad/s; then mend it."""
    rows = []
    for name, break_it in FAULTS.items():
        rig = Rig(seed=5).held()
        move = rig.moving("shoulder_pan", SPEED_RAD_S)
        rig.run(0.5, move)
        began_s = rig.now_s
        break_it(rig)
        held_s = None
        for cycle in range(300):
            move(rig)
            rig.step()
            if "brown-out" in name and cycle == 4:
                rig.bus.faults.supply_v = 7.4
            if held_s is None and rig.arm.mode is not ArmMode.FOLLOWING:
                held_s, mode, why = rig.now_s - began_s, rig.arm.mode, rig.arm.reason
                break
        stood = rig.run(1.0, move).angles
        _mend(rig)
        rig.run(3.0, move)
        jump = float(np.abs(rig.angles - stood).max()) if held_s is not None else float("nan")
        back = rig.arm.clear_faults(rig.now_s)
        again = back or rig.send()
        rows.append(
            (
                name,
                "" if held_s is None else f"{held_s:.2f}",
                "follows on" if held_s is None else mode.value,
                "" if held_s is None else why,
                "" if held_s is None else f"{jump:.3f}",
                "".join(map(str, rig.torque)),
                again or "follows",
            )
        )
        print(rows[-1], flush=True)
    head = (
        "fault",
        "arm holds after, s",
        "what it does",
        "reason said",
        "largest motion in 3 s once mended, rad",
        "torque of the servos after it",
        "a command near the pose after clearing",
    )
    _write_rows(folder / "so101_faults.csv", head, rows)


# -- protection ------------------------------------------------------------


def _stuck_pan(rig: Rig) -> tuple[int, Callable[[Rig], None]]:
    rig.plant.stuck.add(0)
    return 0, _ramp(rig, "shoulder_pan", 0.5, 0.45)


def _hand_in_gripper(rig: Rig) -> tuple[int, Callable[[Rig], None]]:
    rig.plant.low_rad[GRIPPER] = 0.45
    return GRIPPER, _ramp(rig, "gripper", -0.5, 0.5)


def _heavy_lift(rig: Rig) -> tuple[int, Callable[[Rig], None]]:
    # A servo that grows hot under a load that it just carries.
    rig.bus.servos[LIFT].temperature_c = 50.0
    rig.plant.external_nm[LIFT] = 1.4
    return LIFT, _ramp(rig, "shoulder_lift", 0.0, 0.0)


def _ramp(rig: Rig, joint: str, speed: float, far: float) -> Callable[[Rig], None]:
    target = dict(rig.arm.measured_rad)
    begin = target[joint]

    def each(rig: Rig) -> None:
        if abs(target[joint] - begin) < far:
            target[joint] += speed * PERIOD_S
        rig.arm.command(list(target), list(target.values()), rig.now_s)

    return each


SCENES = {
    "stuck joint": (_stuck_pan, 8.0),
    "hand in the gripper": (_hand_in_gripper, 8.0),
    "hot servo": (_heavy_lift, 240.0),
}


def protection(folder: Path) -> None:
    """Record torque and temperature with and without the driver's protection."""
    rows = []
    for scene, (begin, seconds) in SCENES.items():
        for protected in (False, True):
            limits = ArmLimits() if protected else ArmLimits(protection=UNPROTECTED)
            rig = Rig(limits=limits).held()
            index, each = begin(rig)
            every = 5 if seconds < 60 else 50
            for cycle in range(round(seconds / PERIOD_S)):
                each(rig)
                rig.step()
                if cycle % every == 0:
                    servo = rig.bus.servos[index]
                    rows.append(
                        (
                            scene,
                            "driver" if protected else "servo alone",
                            f"{cycle * PERIOD_S:.2f}",
                            f"{abs(servo.torque_nm):.3f}",
                            f"{servo.temperature_c:.2f}",
                            rig.arm.mode.name,
                        )
                    )
            print(scene, protected, rig.arm.mode.name, rig.arm.reason, flush=True)
    head = ("scene", "protection", "time, s", "torque, N m", "temperature, degrees C", "arm")
    _write_rows(folder / "so101_protection.csv", head, rows)
    _plot(rows, folder / "so101_protection.png")


def _plot(rows: Sequence[tuple[str, ...]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(SCENES), figsize=(12, 6), squeeze=False)
    for column, scene in enumerate(SCENES):
        for who, colour in (("servo alone", "tab:red"), ("driver", "tab:blue")):
            own = [row for row in rows if row[0] == scene and row[1] == who]
            times = [float(row[2]) for row in own]
            axes[0][column].plot(times, [float(row[3]) for row in own], colour, label=who)
            axes[1][column].plot(times, [float(row[4]) for row in own], colour, label=who)
        axes[0][column].set_title(scene)
        axes[0][column].set_ylabel("torque, N m")
        axes[1][column].set_ylabel("temperature, degrees C")
        axes[1][column].set_xlabel("time, s")
        axes[0][column].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    print(f"written: {path}")


def main() -> int:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("faults", "protection", "corrections", "fuzz", "rate")
    parser.add_argument("parts", nargs="+", choices=parts)
    parser.add_argument("--folder", type=Path, default=TOP / "docs" / "measurements")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    for part in given.parts:
        if part == "faults":
            faults(given.folder)
        elif part == "protection":
            protection(given.folder)
        elif part == "corrections":
            corrections(given.folder, given.seed)
        elif part == "fuzz":
            fuzz(given.folder, given.frames, given.seed)
        else:
            rate(given.folder, given.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
