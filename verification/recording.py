# SPDX-License-Identifier: Apache-2.0
"""Record one long episode in the simulation: rows lost, processor, memory; then replay it.

    python -m verification.recording [--minutes 30] [--take-over-s 30] [--replay-s 10]
        [--image 640x480] [--folder docs/measurements] [--launcher "ros2 launch"]

Launches `so101_sim.launch.py record:=...` at the pace of the host's clock, with two cameras in the
contract that is recorded: 34 MB a second on the disk at 640x480. A policy puts cubes away, in one
scene after the other; now and then a scripted operator takes the arm over, leads it for some
seconds and gives it back. All of it is one episode. The recorder's processor time and memory are
those that the system counts. Then the arm is led along the recorded actions again, by chunks as
any source sends them, and what is commanded is held against the recording. Writes recording.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from std_msgs.msg import String
from vla_msgs.action import RecordEpisode
from vla_msgs.msg import MonitorStatus, PolicyStatus
from vla_msgs.srv import ResetScene

from verification.hands import OPERATOR, START_S, TOP, Hands, HandsOn
from vla_recording.dataset import Dataset

CONTRACT = TOP / "config" / "policies" / "so101_smolvla_cubes.yaml"
INSTRUCTION = "put the red cube in the bin"
LED_S = 3.0
# How far a joint is from where it began before it counts as moving.
MOVED_RAD = 0.01
CHUNK_ROWS = 60
MEGABYTE = 1 << 20


class Recorded(HandsOn):
    """Carries the measurement out."""

    def __init__(self, hands: Hands, launched: subprocess.Popen[bytes], seconds: float) -> None:
        super().__init__(hands, launched)
        self._seconds = seconds
        self._scene = self.take_overs = 0
        self._pid = 0
        self.usage: list[tuple[float, float, float]] = []  # host's time s, processor s, memory MB

    def look(self) -> None:
        """Note once a second what the recorder takes."""
        now_s = time.monotonic()
        if self._pid and (not self.usage or now_s - self.usage[-1][0] >= 1.0):
            stat = Path(f"/proc/{self._pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks = os.sysconf("SC_CLK_TCK")
            pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
            memory = pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE
            self.usage.append((now_s, (int(stat[11]) + int(stat[12])) / ticks, memory))

    def find_recorder(self) -> None:
        """Find the recorder's process among those of the launch."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            # An executable of ROS 2, or an entry point where there is none.
            if any(word.split(b"=")[0].endswith(b"episode_recorder") for word in words[:5]):
                self._pid = int(entry.name)
                return
        raise RuntimeError("the recorder's process is not found")

    def take_over(self) -> None:
        """Take the arm over from whoever holds it, lift it a little, and give it back."""
        rest = np.zeros(0)

        def rows(since_s: float) -> NDArray[np.float64]:
            nonlocal rest
            # Not where it is: it would go back, and a gripper that closes would let go.
            rest = rest if len(rest) else self.hands.led()
            times = since_s + np.arange(CHUNK_ROWS) / 30.0
            found = np.tile(rest, (CHUNK_ROWS, 1))
            found[:, 1] -= 0.1 * np.clip(times, 0.0, LED_S)
            return found

        self.lead(rows, 1.0 / 30.0, LED_S)
        self.take_overs += 1

    def work(self) -> None:
        """Give an instruction; in a new scene where the arm has nothing to do."""
        if self.hands.policy_state == PolicyStatus.IDLE:
            self._scene += 1
            self.call(self.hands.reset, ResetScene.Request(seed=self._scene))
        self.hands.instruction.publish(String(data=INSTRUCTION))

    def run(self, take_over_s: float) -> RecordEpisode.Result:
        """Record for as long as was asked, and return the result."""
        hands = self.hands
        self.until(lambda: hands.monitor.state == MonitorStatus.READY, "READY", START_S)
        self.until(hands.record.server_is_ready, "recorder", START_S)
        self.find_recorder()
        self.work()
        goal = RecordEpisode.Goal(
            task=INSTRUCTION, operator_name=OPERATOR, max_duration=self._seconds
        )

        def heard(msg: Any) -> None:
            hands.feedback = msg.feedback

        sent = hands.record.send_goal_async(goal, heard)
        self.until(sent.done, "goal")
        result = sent.result().get_result_async()
        began_ns, next_s = hands.now_ns, take_over_s
        while not result.done() and hands.feedback.phase == RecordEpisode.Feedback.RECORDING:
            self.pass_s(0.5)
            self.goes_on()
            since_s = (hands.now_ns - began_ns) * 1e-9
            if take_over_s and since_s > next_s and since_s < self._seconds - 2.0 * LED_S:
                self.take_over()
                next_s = since_s + take_over_s
            if hands.policy_state == PolicyStatus.IDLE and not hands.holder:
                self.work()
        self.usage.append(self.usage[-1])
        self._pid = 0
        # Rows are being made of the bag now, in another process.
        self.until(result.done, "result", 20.0 * self._seconds + START_S)
        return result.result().result

    def replay(self, actions: NDArray[np.float64], fps: int) -> dict[str, float]:
        """Lead the arm along recorded actions; return how far what is commanded lies from them."""
        hands = self.hands
        hands.instruction.publish(String(data=""))
        self.until(lambda: not hands.holder, "end of the policy")
        self.pass_s(3.0)
        self.goes_on()
        start = np.array([hands.position[name] for name in hands.joints])

        def there(since_s: float) -> NDArray[np.float64]:
            share = np.clip((since_s + np.arange(CHUNK_ROWS) / 30.0) / 4.0, 0.0, 1.0)[:, None]
            return np.asarray(start + (actions[0] - start) * share)

        self.lead(there, 1.0 / 30.0, 6.0)
        self.pass_s(2.0)
        # What a plan does not follow at once lies in the past of the first chunk: it waits there.
        wait = round(0.5 * fps)
        whole = np.concatenate([np.tile(actions[0], (wait, 1)), actions])

        def along(since_s: float) -> NDArray[np.float64]:
            at = since_s + np.arange(2 * fps) / fps
            places = np.clip(at * fps, 0, len(whole) - 1)
            columns = [np.interp(places, np.arange(len(whole)), c) for c in whole.T]
            return np.stack(columns, axis=1)

        hands.seen = []
        began_ns = hands.now_ns
        self.lead(along, 1.0 / fps, len(whole) / fps)
        seen, hands.seen = hands.seen, None
        assert seen is not None
        times = (np.array([each[0] for each in seen]) - began_ns) * 1e-9
        where = np.array([each[1] for each in seen])
        inside = (times > 1.5) & (times < len(whole) / fps)
        lags = np.arange(0.0, 1.0, 0.01)
        # The arm follows a chunk a little later, as it does any: how much is told, too.
        errors = [
            np.abs(where - along_at(whole[:, : where.shape[1]], times - lag, fps))[inside]
            for lag in lags
        ]
        best = int(np.argmin([(each**2).mean() for each in errors]))
        return {
            "seconds": len(actions) / fps,
            "lag_s": float(lags[best]),
            "rms_rad": float(np.sqrt((errors[best] ** 2).mean())),
            "largest_rad": float(errors[best].max()),
            "range_rad": float(np.ptp(whole[:, : where.shape[1]], axis=0).max()),
        }


def along_at(
    rows: NDArray[np.float64], times_s: NDArray[np.float64], fps: int
) -> NDArray[np.float64]:
    """Return rows (T, J) of a rate at times (N,)."""
    at = np.clip(times_s * fps, 0, len(rows) - 1)
    return np.stack([np.interp(at, np.arange(len(rows)), column) for column in rows.T], axis=1)


def first_move(actions: NDArray[np.float64]) -> int:
    """Return the row of actions (T, J) from which on the arm moves.

    Raises:
        RuntimeError: It never does, so that a replay would show nothing.
    """
    away = np.abs(actions - actions[0]).max(axis=1) > MOVED_RAD
    if not away.any():
        raise RuntimeError("the arm does not move in the recording: give more minutes")
    return int(np.argmax(away))


def outcome(recorded: Recorded, result: RecordEpisode.Result, seconds: float) -> dict[str, Any]:
    """Return what was measured."""
    bag, usage = Path(result.bag), recorded.usage
    host_s = usage[-1][0] - usage[0][0]
    memory = [each[2] for each in usage]
    dataset = Dataset(result.dataset)
    fps, ages = dataset.fps, dataset.column("timing.age_s", int(result.episode_index))
    corrections = dataset.column("intervention", int(result.episode_index))
    names = list(dataset.features["timing.age_s"].names)
    return {
        "minutes": seconds / 60.0,
        "reason": int(result.reason),
        "message": result.message,
        "rows": int(result.rows),
        "rows_lost": round(seconds * fps) - int(result.rows),
        "messages": int(result.messages),
        "messages_dropped": int(result.messages_dropped),
        "rows_in_the_dataset": dataset.episodes[int(result.episode_index)].length,
        "problems": dataset.problems(),
        "take_overs": recorded.take_overs,
        "stopped_by_the_monitor": recorded.stopped,
        "rows_of_interventions": int(corrections.sum()),
        "age_s": {
            name: {
                "median": float(np.median(column)),
                "p99": float(np.quantile(column, 0.99)),
                "largest": float(column.max()),
            }
            for name, column in zip(names, ages.T, strict=True)
        },
        "bag_mb": sum(each.stat().st_size for each in bag.iterdir()) / MEGABYTE,
        "recorder_processor_share": (usage[-1][1] - usage[0][1]) / host_s,
        "recorder_memory_mb": {"after_1_minute": _at(usage, 60.0), "largest": max(memory)},
        "recorder_memory_mb_at_the_end": memory[-1],
        "simulated_over_host_time": seconds / host_s,
        "load_average": os.getloadavg()[0],
    }


def _at(usage: list[tuple[float, float, float]], seconds: float) -> float:
    return next((m for t, _, m in usage if t - usage[0][0] >= seconds), usage[-1][2])


def main() -> int:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--take-over-s", type=float, default=30.0, help="0: nobody takes over")
    parser.add_argument("--replay-s", type=float, default=10.0, help="from where the arm moves on")
    parser.add_argument("--image", default="640x480", help="of each camera, WIDTHxHEIGHT, px")
    parser.add_argument("--folder", type=Path, default=TOP / "docs" / "measurements")
    parser.add_argument("--launcher", default=f"{sys.executable} -m embedded_ros2.cli launch")
    given = parser.parse_args()
    seconds = given.minutes * 60.0
    width, height = given.image.split("x")
    with tempfile.TemporaryDirectory() as scratch, open(f"{scratch}/launch.log", "w") as log:
        command = [
            *(*shlex.split(given.launcher), "vla_bringup", "so101_sim.launch.py"),
            *(f"record:={scratch}/recorded", f"record_contract:={CONTRACT}"),
            *(f"black_box:={scratch}/bags", f"image_width:={width}", f"image_height:={height}"),
        ]
        launched = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            rclpy.init(args=["hands"])
            recorded = Recorded(Hands(), launched, seconds)
            result = recorded.run(given.take_over_s)
            print(result.message, result.not_converted, flush=True)
            found = {"image": given.image, **outcome(recorded, result, seconds)}
            if given.replay_s:
                dataset = Dataset(result.dataset)
                actions = dataset.column("action", int(result.episode_index)).astype(np.float64)
                begun = first_move(actions)
                actions = actions[begun : begun + round(given.replay_s * dataset.fps)]
                found["replay"] = recorded.replay(actions, dataset.fps)
            text = json.dumps(found, indent=1)
            (given.folder / "recording.json").write_text(text + "\n")
            print(text, flush=True)
        except RuntimeError:
            print(Path(log.name).read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            if launched.poll() is None:
                launched.send_signal(signal.SIGINT)
                launched.wait(120)
            rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
