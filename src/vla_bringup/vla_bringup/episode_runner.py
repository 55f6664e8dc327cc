# SPDX-License-Identifier: Apache-2.0
"""Run episodes on a launched graph, show how they go, and write what was measured.

The node watches; it drives only through what every operator has: the RunPolicy action, the scene's
reset and the monitor's services.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import rclpy
from action_msgs.msg import GoalStatus
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.task import Future
from vla_msgs.action import RunPolicy
from vla_msgs.msg import MonitorStatus
from vla_msgs.srv import ResetScene

from node_kit.declare import declare
from node_kit.parameters import ParameterError, parameter
from node_kit.run import run
from vla_bringup.graph_watch import GraphWatch
from vla_bringup.recording import DemoEpisode
from vla_bringup.task import COLOURS, instruction_for, only_in_bin
from vla_contract.robot import RobotConfigError, load_robot

ADVERSARY_SMOOTH_S = 12.0
ADVERSARY_RAW_S = 6.0
# What counts as having moved, where there is no task.
LEAST_TRAVEL_RAD = 0.2
# A simulation that stands tells the time all the same. One on a busy host may take long to start.
NO_SIMULATION_S = 60.0
START_S = 60.0
REASONS = {
    getattr(RunPolicy.Result, name): name
    for name in (
        "DONE",
        "TIMED_OUT",
        "CANCELED",
        "STOPPED",
        "PREEMPTED",
        "POLICY_FAILED",
        "INPUT_LOST",
        "ARM_TAKEN",
    )
}


class Exit(IntEnum):
    """Exit codes of the demonstration."""

    OK = 0
    EPISODE_FAILED = 1
    BAD_INPUT = 2
    STOP_TRIPPED = 3


class GraphError(RuntimeError):
    """The launched graph lacks something that the demonstration needs."""


class _ToldToEndError(RuntimeError):
    """The process is to end."""


@dataclass(frozen=True)
class RunnerParameters:
    """Parameters with their defaults."""

    robot_file: str = parameter("", "Robot file.", required=True)
    episodes: int = parameter(3, "How many episodes.", "", 0, 1_000_000)
    seed: int = parameter(0, "Of the first scene; the others count on.", "", 0, 2**31 - 1)
    max_duration_s: float = parameter(45.0, "For one instruction.", "s", 0.1, 86_400.0)
    adversary: bool = parameter(False, "Run a hostile policy instead of episodes.")
    output_dir: str = parameter("out/demo", "Folder for figures, report and video.")


class EpisodeRunner(GraphWatch):
    """Watches the graph and carries out the demonstration, in a thread beside the callbacks.

    Attributes:
        failed: An `Exit`, which is that of an episode that failed until all is over.
    """

    def __init__(self) -> None:
        super().__init__("episode_runner")
        self.failed = Exit.EPISODE_FAILED
        self._given = declare(self, RunnerParameters)
        robot = load_robot(self._given.robot_file)
        output = Path(self._given.output_dir)
        output.mkdir(parents=True, exist_ok=True)
        self.output, self._robot_name = output, robot.name
        self.watch(robot, output / "episode.mp4")
        self._ending = threading.Event()
        self._work = threading.Thread(target=self._carry_out, name="episodes")

    def begin(self) -> None:
        """Begin the demonstration, which shuts ROS down when it is over."""
        self._work.start()

    def destroy_node(self) -> None:
        """Write what was seen, if something was begun, and leave the graph."""
        self._ending.set()
        if self._work.is_alive():
            self._work.join()
        # rclpy's own leaves an action client in the graph until the process ends.
        self.run_policy.destroy()
        super().destroy_node()

    # -- what is done -----------------------------------------------------------------------------

    def _carry_out(self) -> None:
        try:
            self.failed = self._demonstrate()
        except GraphError as error:
            self.failed = Exit.BAD_INPUT
            print(f"episode_runner: {error}", file=sys.stderr, flush=True)
        except _ToldToEndError:
            pass
        except Exception:
            # Once rclpy was shut down, what it raises of that says no more than that.
            if self.context.ok():
                raise
        finally:
            # Ends the spinning, and the process with it.
            rclpy.try_shutdown()

    def _demonstrate(self) -> Exit:
        self._await_graph()
        self._filming = True
        started_s, started_ns = time.monotonic(), self._now_ns()
        try:
            code = self._run_adversary() if self._given.adversary else self._run_episodes()
        finally:
            self._filming = False
            self.video.close()
            self._write(time.monotonic() - started_s, (self._now_ns() - started_ns) * 1e-9)
        return code

    def _await_graph(self) -> None:
        """Wait for processes to start, which takes the host's time and not simulated time."""
        for ready, what in (
            (self.reset_scene.service_is_ready, "~/reset of the simulation"),
            (self.run_policy.server_is_ready, "~/run_policy of the policy node"),
            (lambda: self._now_ns() > 0, "time on /clock"),
            (lambda: self.safety.permit, "permit of the monitor"),
            (self._policy_has_inputs, "complete inputs at the policy node"),
        ):
            self._until(ready, START_S, what, lambda: round(time.monotonic() * 1e9))

    def _policy_has_inputs(self) -> bool:
        return bool(self.status.policy_id) and not self.status.waiting_for

    def _run_episodes(self) -> Exit:
        first, count = self._given.seed, self._given.episodes
        for index in range(count):
            episode = self._episode(COLOURS[index % len(COLOURS)], first + index)
            self.recording.episodes.append(episode)
            verdict = "success" if episode.success else "FAILED"
            _say(
                f"episode {index + 1}/{count}  {episode.instruction}: {verdict} in "
                f"{episode.duration_s:.1f} s ({episode.termination}) {episode.message}"
            )
            if self.safety.state in (MonitorStatus.STOPPED_LATCHED, MonitorStatus.FAULT):
                return Exit.STOP_TRIPPED
        if self.recording.trips:
            return Exit.STOP_TRIPPED
        done = all(episode.success for episode in self.recording.episodes)
        return Exit.OK if done else Exit.EPISODE_FAILED

    def _episode(self, colour: str, seed: int) -> DemoEpisode:
        self._until(self._at_rest, 10.0, "rest before the episode")
        reply = self._result(self.reset_scene.call_async(ResetScene.Request(seed=seed)), 10.0)
        if not reply.success:
            raise GraphError(f"the simulation refused to lay out seed {seed}: {reply.message}")
        self._until(lambda: self.task is not None and self.task.seed == seed, 5.0, "a new scene")
        has_task = self.task is not None and bool(self.task.object_names)
        instruction = instruction_for(colour) if has_task else "move"
        if not has_task and not self.recording.episodes:
            _say("nothing lies on this robot's table: it only moves, as its policy pleases")
        started_ns, moved = self._now_ns(), len(self.recording.reference)
        result = self._run_instruction(instruction)
        duration = (self._now_ns() - started_ns) * 1e-9
        self._until(self._at_rest, 10.0, "rest after the episode")
        if has_task:
            success = only_in_bin(self.task, f"{colour}_cube")
        else:
            done = result.termination_reason == RunPolicy.Result.DONE
            with self._lock:
                success = done and _travel(self.recording.reference[moved:]) > LEAST_TRAVEL_RAD
        return DemoEpisode(
            instruction,
            seed,
            success,
            round(duration, 2),
            REASONS.get(result.termination_reason, "UNKNOWN"),
            "" if success else result.message,
        )

    def _run_instruction(
        self, instruction: str, until: Callable[[], bool] | None = None
    ) -> RunPolicy.Result:
        limit = self._given.max_duration_s
        goal = RunPolicy.Goal(instruction=instruction, max_duration=limit)
        handle = self._result(self.run_policy.send_goal_async(goal), 10.0)
        if not handle.accepted:
            raise GraphError(f"the policy node refused the instruction '{instruction}'")
        ended = handle.get_result_async()
        deadline_ns = self._now_ns() + round((limit + 10.0) * 1e9)
        shown = 0.0
        while not ended.done() and self._now_ns() < deadline_ns:
            self._look_for_the_simulation("the instruction's end")
            if time.monotonic() - shown > 0.5:
                shown = time.monotonic()
                self._show()
            if until is not None and until():
                handle.cancel_goal_async()
                until = None
            time.sleep(0.02)
        reply = self._result(ended, 1.0)
        if reply.status == GoalStatus.STATUS_UNKNOWN:
            raise GraphError("the policy node lost the goal; see its log above")
        return reply.result

    def _run_adversary(self) -> Exit:
        """Run a hostile policy behind the planner, then without: the monitor must stop that."""
        _say("act 1: a hostile policy behind the planner; nothing may exceed a limit or trip")
        end_ns = self._now_ns() + round(ADVERSARY_SMOOTH_S * 1e9)
        while self._now_ns() < end_ns and not self.recording.trips:
            # The node gives up after some useless chunks in a row; a hostile operator insists.
            self._run_instruction("behave badly", until=lambda: self._now_ns() > end_ns)
        if self.recording.trips:
            _say(f"tripped behind the planner: {self.recording.trips}")
            return Exit.EPISODE_FAILED
        _say("act 2: in mid-motion its chunks go out raw; the monitor must stop the arm and latch")
        began_ns = self._now_ns()
        switched = False

        def turn() -> bool:
            nonlocal switched
            moving = self._reference_speed() > 0.1
            since_s = (self._now_ns() - began_ns) * 1e-9
            if not switched and (moving or since_s > ADVERSARY_RAW_S):
                switched = True
                self._set_planner("raw")
            return since_s > 2 * ADVERSARY_RAW_S

        self._run_instruction("behave badly", until=turn)
        self._until(self._at_rest, 5.0, "rest after the stop")
        latched = self.safety.state == MonitorStatus.STOPPED_LATCHED
        _say(
            f"monitor: {'STOPPED_LATCHED' if latched else 'NOT LATCHED'}  cause: "
            f"{self.safety.first_cause}  {self.safety.first_cause_detail}"
        )
        return Exit.STOP_TRIPPED if latched else Exit.EPISODE_FAILED

    def _set_planner(self, planner: str) -> None:
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=planner)
        request = SetParameters.Request(parameters=[Parameter(name="planner", value=value)])
        reply = self._result(self.set_policy_parameters.call_async(request), 5.0)
        if not reply.results[0].successful:
            raise GraphError(
                f"vla_policy_node refused planner={planner}: {reply.results[0].reason}"
            )

    # -- helpers ----------------------------------------------------------------------------------

    def _until(
        self,
        ready: Callable[[], bool],
        timeout_s: float,
        what: str,
        now_ns: Callable[[], int] | None = None,
    ) -> None:
        """Wait for something, no longer than a time of a clock, ROS time as a rule."""
        now_ns = now_ns or self._now_ns
        deadline_ns = now_ns() + round(timeout_s * 1e9)
        while not ready():
            self._look_for_the_simulation(what)
            if now_ns() > deadline_ns:
                detail = list(self.safety.waiting_for) + list(self.status.waiting_for)
                raise GraphError(f"no {what} after {timeout_s:.0f} s {detail or ''}".rstrip())
            time.sleep(0.02)

    def _look_for_the_simulation(self, what: str) -> None:
        if self._ending.is_set() or not self.context.ok():
            raise _ToldToEndError
        silent_s = self._motion.silent_s
        if silent_s > NO_SIMULATION_S:
            raise GraphError(f"no {what}: nobody has told the time on /clock for {silent_s:.0f} s")

    def _result(self, future: Future, timeout_s: float) -> object:
        self._until(future.done, timeout_s, "answer")
        return future.result()

    def _show(self) -> None:
        joint = "-"
        with self._lock:
            if self.recording.command_jerk:
                jerk = self.recording.command_jerk[-1]
                worst = int(np.argmax(np.abs(jerk) / self.recording.jerk_limit))
                limit = self.recording.jerk_limit[worst]
                joint = f"{abs(jerk[worst]):5.1f} of {limit:.0f} rad/s^3 {self.arm_joints[worst]}"
        _say(
            f"  {self.status.phase or '-':<10} jerk {joint:<36} inference "
            f"{self.status.inference_latency * 1e3:4.0f} ms  plan "
            f"{self.status.plan_time * 1e3:4.1f} ms  permit {self.safety.permit}"
        )

    def _write(self, wall_s: float, ros_s: float) -> None:
        # Imported when it is needed: matplotlib takes a second, in which a signal would end in a
        # traceback.
        from vla_bringup.report import write_report

        if self.context.ok():
            self._motion.leave()
        with self._lock:
            summary = self.recording.write_summary(
                self.output / "summary.json",
                wall_s=round(wall_s, 1),
                ros_s=round(ros_s, 1),
                monitor_state=int(self.safety.state),
                first_cause=self.safety.first_cause,
                first_cause_detail=self.safety.first_cause_detail,
                plans_forwarded=int(self.safety.plans_forwarded),
                plans_rejected=int(self.safety.plans_rejected),
            )
            write_report(
                self.recording, self.output / "report.png", f"Episodes on {self._robot_name}"
            )
        _say(
            f"success rate {summary['success_rate']}  peak command jerk / limit "
            f"{summary['peak_command_jerk_ratio']:.6f}  trips {summary['trips']}  plan "
            f"{summary['plan_ms_p50']}/{summary['plan_ms_p99']} ms  inference "
            f"{summary['inference_ms_p50']}/{summary['inference_ms_p99']} ms (p50/p99)"
        )
        _say(f"written: {self.output}/summary.json, report.png, episode.mp4")


def _travel(reference: list[np.ndarray]) -> float:
    """Return how far the joint that went farthest was commanded in all, rad."""
    if len(reference) < 2:
        return 0.0
    steps = np.abs(np.diff(np.stack(reference), axis=0))
    return float(np.max(np.sum(steps, axis=0)))


def _say(text: str) -> None:
    print(text, flush=True)


def main(args: list[str] | None = None) -> int:
    """Entry point of the `episode_runner` node; returns an `Exit` code."""
    begun = []

    def begin() -> EpisodeRunner:
        node = EpisodeRunner()
        node.begin()
        begun.append(node)
        return node

    code = run("episode_runner", begin, (ParameterError, RobotConfigError), args)
    # Told to end while it began, it has done nothing of what it was asked for.
    return code if begun else code or Exit.EPISODE_FAILED


if __name__ == "__main__":
    sys.exit(main())
