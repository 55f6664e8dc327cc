# SPDX-License-Identifier: Apache-2.0
"""Run a weak policy, take over where it fails, record that, train on it, and count again.

    python -m verification.retrain_loop [--corrections 30] [--seeds 20] [--work out/retrain_loop]

The policy is the repository's own with noise on the weights of its action expert. It runs in the
launched simulation; a scripted operator takes the arm over by chunks where it fails, with the
teacher of `vla_training`, and gives it back. RecordEpisode records; `vla-train imitate
--interventions` learns from the rows in which he led. Success before and after is counted by
vla-eval in other scenes. The same command again goes on where it was. Writes
docs/measurements/retrain_loop.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from vla_msgs.action import RecordEpisode
from vla_msgs.msg import MonitorStatus, PolicyStatus, RecorderStatus, TaskState
from vla_msgs.srv import FinishEpisode, ResetScene

from node_kit import qos
from node_kit.tables import renew, rows
from verification.hands import LEAD_NS, OPERATOR, START_S, TOP, Hands, HandsOn, launched
from vla_contract.robot import load_robot
from vla_policies.kinematics import link_poses
from vla_recording.dataset import Dataset
from vla_sim.world.scene import BIN_CENTRE, BIN_INNER, CUBE_SIDE, PAN_AXIS
from vla_training.evaluation.cells import wilson
from vla_training.tabletop import rotation
from vla_training.teacher import Situation, TableLayout, Teacher

SHIPPED = TOP / "config" / "checkpoints" / "so101_smolvla_cubes"
CONTRACT = TOP / "config" / "policies" / "so101_smolvla_cubes.yaml"
ROBOTS = TOP / "config" / "robots"
PAGE = "retrain_loop.md"
COLOURS = ("red", "green", "blue")
# Scenes of the corrections; those of the counts begin at 0.
FIRST_SCENE = 700_000
# The operator's patience: a policy that works needs 6 to 8 s.
PATIENT_S, LED_S, TAKE_OVERS = 9.0, 25.0, 3
CHUNK_ROWS, CHUNK_DT_S, FPS, PICTURE, CAMERA = 12, 0.1, 10, "96x96", (320, 240)
LEAD_ROWS = round(LEAD_NS * 1e-9 / CHUNK_DT_S)
RESETS = 4
HOME_RAD, MOVED_M, REACH_M = 0.05, 0.004, (0.12, 0.26)
SETTINGS = {
    "steps": 800,
    "refer_steps": 0,
    "batch": 32,
    "draws": 2,
    "learning_rate": 0.0003,
    "warmup_steps": 50,
    "ema": 0.99,
    "near_weight": 2.0,
    "augmentation": 0.4,
    "train": "expert",
    "chunk_rows": CHUNK_ROWS,
    "relative": ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"],
}


class StuckError(Exception):
    """The arm stands against something: only a person, or a new start, gets it away there."""


class ScriptedOperator(HandsOn):
    """Lets the policy try, and shows it what would have been right where it fails."""

    def __init__(self, hands: Hands, launched: subprocess.Popen[bytes]) -> None:
        super().__init__(hands, launched)
        robot = load_robot(ROBOTS / "so101" / "robot.yaml")
        self._home = np.array([robot.home[name] for name in hands.joints])
        table = TableLayout(np.array(BIN_CENTRE), BIN_INNER, CUBE_SIDE, self._home)
        self._teacher = Teacher(table, rows=CHUNK_ROWS, dt_s=CHUNK_DT_S)
        self._task: Any = None
        # Measured: of jaws around a cube the reference says that they are closed.
        self._measured = dict.fromkeys(hands.joints, float("nan"))
        hands.create_subscription(JointState, "joint_states", self._on_joints, qos.SENSED)
        hands.create_subscription(TaskState, "vla_sim/task_state", self._on_task, qos.NEWEST)
        self._finish = hands.create_client(FinishEpisode, "episode_recorder/finish")
        hands.create_timer(0.01, hands.motion.acknowledge, clock=hands.motion.timers)

    def begin(self) -> None:
        """Wait for everything."""
        hands = self.hands
        self.until(lambda: hands.monitor.state == MonitorStatus.READY, "READY", START_S)
        self.until(hands.record.server_is_ready, "recorder", START_S)
        self.until(lambda: hands.policy_state == PolicyStatus.IDLE, "policy", START_S)
        self.until(lambda: self._task is not None, "task", START_S)

    def episode(self, scene: int) -> str:
        """Try one scene; return what became of it, in a word.

        Raises:
            StuckError: The arm could not be freed after the scene before.
        """
        colour = scene % len(COLOURS)
        name, words = f"{COLOURS[colour]}_cube", f"put the {COLOURS[colour]} cube in the bin"
        if not self._mend():
            raise StuckError(self.hands.monitor.waiting_for)
        self._lay_out(scene)
        before = self._cubes()
        goal = RecordEpisode.Goal(
            task=words, operator_name=OPERATOR, max_duration=120.0, convert_later=True
        )
        self.hands.feedback = RecordEpisode.Feedback()

        def heard(msg: Any) -> None:
            self.hands.feedback = msg.feedback

        sent = self.hands.record.send_goal_async(goal, heard)
        self.until(sent.done, "goal of the recorder")
        result = sent.result().get_result_async()
        self.until(lambda: self.hands.feedback.rows > 0 or result.done(), "first row")
        self.hands.instruction.publish(String(data=words))
        began_ns, failed = self.hands.now_ns, ""
        while not (failed or self._in_bin(name)):
            self.pass_s(0.1)
            since_s = (self.hands.now_ns - began_ns) * 1e-9
            idle = since_s > 2.0 and self.hands.policy_state == PolicyStatus.IDLE
            moved = [
                other
                for other, place in self._cubes().items()
                if other != name and float(np.linalg.norm(place - before[other])) > MOVED_M
            ]
            failed = (
                "was stopped" if self.hands.monitor.state != MonitorStatus.READY
                else "gave up" if idle else "moved another" if moved
                else "took too long" if since_s > PATIENT_S else ""
            )  # fmt: skip
        if failed:
            self._take_over(colour, name)
        good = self._in_bin(name)
        self._end(result, keep=bool(failed) and good)
        self._rest()
        if not failed:
            return "succeeded"
        kept = good and result.result().result.rows > 0
        return f"corrected: {failed}" if kept else "not corrected"

    def _take_over(self, colour: int, name: str) -> None:
        """Lead the arm until the cube is in the bin; after a stop, once more."""
        hands = self.hands
        for _ in range(TAKE_OVERS):
            if not (self._mend() and self._within_reach(name)):
                return
            self.lead(
                lambda _: self._shown(colour),
                CHUNK_DT_S,
                LED_S,
                lambda: (
                    self._done(name)
                    or hands.monitor.state != MonitorStatus.READY
                    or not self._within_reach(name)
                ),
            )
            if self._done(name) or hands.monitor.state == MonitorStatus.READY:
                return

    def _mend(self) -> bool:
        """Go on after a stop; say whether that was possible."""
        hands = self.hands
        self.until(lambda: hands.monitor.state != MonitorStatus.STOPPING, "end of the stop")
        for _ in range(RESETS):
            self.goes_on()
            if hands.monitor.state == MonitorStatus.READY:
                return True
        return False

    def _end(self, result: Any, keep: bool) -> None:
        if not result.done():
            mark = RecorderStatus.SUCCESS if keep else RecorderStatus.UNMARKED
            self.call(self._finish, FinishEpisode.Request(mark=mark, discard=not keep))
        self.until(result.done, "end of the recording")

    def _rest(self) -> None:
        """Have the arm at home, whoever moved it last."""
        self.hands.instruction.publish(String(data=""))
        ready = self._mend()
        self.until(lambda: not self.hands.holder, "end of the policy")
        if ready and not self._is_home():
            self.lead(lambda _: self._homewards(), CHUNK_DT_S, 8.0, self._is_home)
        self.pass_s(1.5)

    def _lay_out(self, scene: int) -> None:
        request = ResetScene.Request(seed=scene)
        self.until(lambda: self.call(self.hands.reset, request).success, "standstill")
        self.until(lambda: self._task.seed == scene, "new scene")
        self.pass_s(0.5)

    def _shown(self, target: int) -> NDArray[np.float64]:
        poses = self._task.object_poses
        places = [[p.position.x, p.position.y, p.position.z] for p in poses]
        turns = [rotation(np.array([q.w, q.x, q.y, q.z])) for q in (p.orientation for p in poses)]
        now = Situation(self._joints(), np.array(places), np.array(turns), target)
        # What is shown takes over a little later: it begins where the arm is led by then, with
        # what it holds. Jaws that press on something are led further than they are, so they begin
        # where they are.
        soon = self.hands.led()
        soon[-1] = now.joints[-1]
        if self._teacher.holds(now):
            was, will_be = (link_poses(joints[:-1])[-1] for joints in (now.joints, soon))
            moved = will_be @ np.linalg.inv(was)
            now.cubes[target] = moved[:3, :3] @ now.cubes[target] + moved[:3, 3]
            now.rotations[target] = moved[:3, :3] @ now.rotations[target]
        chunk = self._teacher.show(replace(now, joints=soon)).chunk
        rows = np.concatenate([np.repeat(soon[None], LEAD_ROWS, axis=0), chunk])
        rows[: len(chunk), -1], rows[len(chunk) :, -1] = chunk[:, -1], chunk[-1, -1]
        return np.asarray(rows, dtype=np.float64)

    def _homewards(self) -> NDArray[np.float64]:
        """Return rows from here to home in 4 s."""
        here = self._joints()
        share = np.arange(1, 41)[:, None] / 40.0
        return here + (self._home - here) * share

    def _joints(self) -> NDArray[np.float64]:
        return np.array([self._measured[name] for name in self.hands.joints])

    def _is_home(self) -> bool:
        return bool(np.max(np.abs(self._joints()[:-1] - self._home[:-1])) < HOME_RAD)

    def _within_reach(self, name: str) -> bool:
        """Say whether the arm can get at a cube: the policy may have pushed it away."""
        least, most = REACH_M
        cube = self._cubes()[name]
        if cube[2] > CUBE_SIDE:
            return True  # it is in the hand
        from_axis = cube[:2] - np.array(PAN_AXIS)
        return least <= float(np.hypot(*from_axis)) <= most

    def _done(self, name: str) -> bool:
        return self._in_bin(name) and self._is_home()

    def _in_bin(self, name: str) -> bool:
        inside = dict(zip(self._task.object_names, self._task.in_bin, strict=True))
        return bool(inside[name])

    def _cubes(self) -> dict[str, NDArray[np.float64]]:
        poses = [each.position for each in self._task.object_poses]
        return {
            name: np.array([p.x, p.y, p.z])
            for name, p in zip(self._task.object_names, poses, strict=True)
        }

    def _on_joints(self, msg: JointState) -> None:
        self._measured.update(zip(msg.name, msg.position, strict=True))

    def _on_task(self, msg: TaskState) -> None:
        self._task = msg


def configuration(work: Path, checkpoint: Path, python: Path) -> Path:
    """Write a folder like config/ in which the policy has another checkpoint."""
    contract = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    contract["policy"]["options"]["checkpoint"] = str(checkpoint)
    contract["policy"]["python"] = str(python)
    policies = work / "config" / "policies"
    policies.mkdir(parents=True, exist_ok=True)
    (policies / CONTRACT.name).write_text(
        yaml.safe_dump(contract, sort_keys=False), encoding="utf-8"
    )
    robots = work / "config" / "robots"
    if not robots.exists():
        robots.symlink_to(ROBOTS)
    return policies / CONTRACT.name


def evaluate(work: Path, name: str, checkpoint: Path, seeds: int) -> None:
    """Count successes in scenes of their own; what was tried is not tried again."""
    command = [sys.executable, "-m", "vla_training.evaluation.command", str(work / name)]
    command += ["--policy", "smolvla_cubes", "--config", str(work / "config"), "--films", "0"]
    command += ["--checkpoint", str(checkpoint), "--seeds", str(seeds), "--limit", "25"]
    subprocess.run(command, check=True)


def correct(work: Path, contract: Path, count: int) -> None:
    """Collect corrections on the launched simulation, as many as are missing."""
    ledger = work / "scenes.json"
    told: list[str] = json.loads(ledger.read_text()) if ledger.exists() else []
    while sum(each.startswith("corrected") for each in told) < count:
        _correct(work, contract, count, ledger, told)


def _correct(work: Path, contract: Path, count: int, ledger: Path, told: list[str]) -> None:
    """Launch the simulation and try scenes, until there are enough or the arm is stuck."""
    command = [
        *(sys.executable, "-m", "embedded_ros2.cli", "launch"),
        str(TOP / "launch" / "so101_sim.launch.py"),
        "real_time_factor:=0",
        f"contract_file:={contract}",
        f"record:={work / 'recorded'}",
        f"record_fps:={FPS}",
        f"record_picture_size:={PICTURE}",
        *(f"image_width:={CAMERA[0]}", f"image_height:={CAMERA[1]}"),
        f"black_box:={work / 'bags'}",
    ]
    log = work / "launch.log"
    process = launched(command, log)
    try:
        rclpy.init(args=["hands"])
        operator = ScriptedOperator(Hands(), process)
        operator.begin()
        while sum(each.startswith("corrected") for each in told) < count:
            told.append(operator.episode(FIRST_SCENE + len(told)))
            print(f"scene {len(told)}: {told[-1]}", flush=True)
            part = ledger.with_suffix(".part")
            part.write_text(json.dumps(told))
            part.replace(ledger)
    except StuckError as stuck:
        print(f"started anew: {stuck}", flush=True)
    except RuntimeError:
        print(log.read_text(errors="replace")[-3000:], file=sys.stderr)
        raise
    finally:
        rclpy.try_shutdown()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(120)


def train(work: Path, python: Path, weak: Path) -> Path:
    """Make rows of what was recorded, and go on training with them."""
    recorded = work / "recorded"
    convert = [sys.executable, "-m", "vla_recording.episodes.command", "convert", str(recorded)]
    subprocess.run(convert, check=True)
    settings = work / "settings.yaml"
    settings.write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    command = [str(python), "-m", "vla_training.cli", "imitate", str(work / "run")]
    command += [str(recorded / "dataset"), "--interventions", "--start", str(weak)]
    subprocess.run([*command, "--settings", str(settings)], check=True)
    return work / "run" / "checkpoint"


def successes(folder: Path) -> list[bool]:
    """Return what became of the cases of vla-eval."""
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return [row["success"] == "1" for row in csv.DictReader(file)]


def write_page(work: Path, page: Path, level: float) -> None:
    """Fill in the tables of the page."""
    told: list[str] = json.loads((work / "scenes.json").read_text())
    dataset = Dataset(work / "recorded" / "dataset")
    led = sum(
        int(dataset.column("intervention", episode).sum())
        for episode in range(len(dataset.episodes))
    )

    def made() -> str:
        day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        return (
            f"Measured on {day}, {os.cpu_count()} processor cores. Noise on the weights: "
            f"{level:g} deviations of each matrix. {SETTINGS['steps']} updates on the {led} rows "
            f"of {len(dataset.episodes)} episodes in which the operator led."
        )

    def counts() -> str:
        body = []
        for name, words in (("before", "weak"), ("after", "after the corrections")):
            found = successes(work / name)
            low, high = wilson(sum(found), len(found))
            body.append([words, f"{sum(found)} of {len(found)}", f"{low:.3f} to {high:.3f}"])
        return rows(["policy", "success", "95 % interval"], body)

    def scenes() -> str:
        body = [[words, str(count)] for words, count in Counter(told).most_common()]
        return rows(["what the operator saw", "scenes"], body)

    tables = {"made": made, "counts": counts, "scenes": scenes}
    page.write_text(renew(page.read_text(encoding="utf-8"), tables), encoding="utf-8")


def main() -> int:
    """Go round the loop once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corrections", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=20, help="scenes of a count, 3 cubes each")
    parser.add_argument("--level", type=float, default=0.35, help="of the noise")
    parser.add_argument("--work", type=Path, default=TOP / "out" / "retrain_loop")
    parser.add_argument("--python", type=Path, default=TOP / ".venv-policy" / "bin" / "python")
    parser.add_argument("--page", type=Path, default=TOP / "docs" / "measurements" / PAGE)
    given = parser.parse_args()
    work, weak = given.work.resolve(), given.work.resolve() / "weak"
    work.mkdir(parents=True, exist_ok=True)
    if not weak.exists():
        part = work / "weak.part"
        shutil.rmtree(part, ignore_errors=True)
        command = [
            str(given.python),
            "-m",
            "verification.weak_checkpoint",
            str(SHIPPED),
            str(part),
        ]
        subprocess.run([*command, "--level", str(given.level)], check=True)
        part.replace(weak)
    contract = configuration(work, weak, given.python)
    correct(work, contract, given.corrections)
    after = train(work, given.python, weak)
    for name, checkpoint in (("before", weak), ("after", after)):
        evaluate(work, name, checkpoint, given.seeds)
    write_page(work, given.page, given.level)
    return 0


if __name__ == "__main__":
    sys.exit(main())
