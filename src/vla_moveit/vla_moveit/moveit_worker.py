# SPDX-License-Identifier: Apache-2.0
"""MoveIt in a process of its own: questions in, answers out, each a line of JSON.

Why apart: planning holds up whoever calls it, and moveit_py may crash where it is taken down
(moveit2 #3721); this process ends without taking it down. Why a remapping: a MoveItPy publishes
its whole planning scene when it starts, where everybody hears move_group's, and so empties the
scenes of others (moveit2 #2657, #3463); the topic's name is no parameter. It also offers a second
`get_planning_scene` unless told not to.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import tempfile
from typing import Any, TextIO

import yaml

from vla_moveit.core.moveit_parameters import REQUEST

NODE = "motion_planner_moveit"
# Where only this node publishes its idea of the scene.
SCENE_TOPIC = f"{NODE}/monitored_planning_scene"
# How often inverse kinematics are tried, each time from other joints.
_TRIES = 40
_TRY_S = 0.05


class MoveItWorker:
    """Answers questions with MoveIt."""

    def __init__(self, setup: dict[str, Any]) -> None:
        """Load MoveIt.

        Args:
            setup: `parameters`, `namespace`, `remappings`, `group`, `joints`, `tip`,
                `scene_service`.
        """
        from moveit.planning import MoveItPy, PlanRequestParameters

        with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
            # For a node of any namespace, which a dict given to MoveItPy is not.
            yaml.safe_dump({"/**": {"ros__parameters": setup["parameters"]}}, file)
        self._setup, self._group = setup, setup["group"]
        self._joints = list(setup["joints"])
        try:
            self._moveit = MoveItPy(
                node_name=NODE,
                name_space=setup["namespace"],
                launch_params_filepaths=[file.name],
                provide_planning_service=False,
                remappings={"monitored_planning_scene": SCENE_TOPIC, **setup["remappings"]},
            )
        finally:
            os.unlink(file.name)
        self._monitor = self._moveit.get_planning_scene_monitor()
        self._component = self._moveit.get_planning_component(self._group)
        self._arm = self._moveit.get_robot_model().get_joint_model_group(self._group)
        self._request = PlanRequestParameters(self._moveit, REQUEST)

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the points of a path, or the problem, in words."""
        service = self._setup["scene_service"]
        if service and not self._monitor.request_planning_scene_state(service):
            return {"points": [], "problem": f"{service} does not tell the planning scene"}
        if question["kind"] == "check":
            return {"points": [], "problem": self._check(question["points"])}
        return self._find(question)

    def _state(self, positions: list[float]) -> Any:
        with self._monitor.read_only() as scene:
            # A copy has what is attached to the arm, which moves with it.
            state = copy.copy(scene.current_state)
        state.joint_positions = dict(zip(self._joints, positions, strict=True))
        state.update()
        return state

    def _check(self, points: list[list[float]]) -> str:
        for number, positions in enumerate(points):
            state = self._state(positions)
            with self._monitor.read_only() as scene:
                if not scene.is_state_valid(state, self._group, False):
                    share = 100.0 * number / max(1, len(points) - 1)
                    return f"MoveIt's scene is in the way after {share:.0f} % of it"
        return ""

    def _find(self, question: dict[str, Any]) -> dict[str, Any]:
        start = self._state(question["start"])
        goal = question.get("goal") or self._reach(question)
        if goal is None:
            return {"points": [], "problem": "no posture that is clear brings the tool there"}
        self._component.set_start_state(robot_state=start)
        self._component.set_goal_state(robot_state=self._state(goal))
        found = self._component.plan(single_plan_parameters=self._request)
        if not found:
            code = getattr(found.error_code, "val", found.error_code)
            return {"points": [], "problem": f"MoveIt found no path (error code {code})"}
        way = found.trajectory.get_robot_trajectory_msg().joint_trajectory
        columns = [way.joint_names.index(joint) for joint in self._joints]
        rows = [[float(point.positions[column]) for column in columns] for point in way.points]
        return {"points": rows, "problem": ""}

    def _reach(self, question: dict[str, Any]) -> list[float] | None:
        """Return joints that bring the tool to its place and are clear, None for none."""
        from geometry_msgs.msg import Point, Pose, Quaternion

        x, y, z, w = question["orientation"]
        place = dict(zip("xyz", question["position"], strict=True))
        pose = Pose(position=Point(**place), orientation=Quaternion(x=x, y=y, z=z, w=w))
        state = self._state(question["start"])
        for _ in range(_TRIES):
            if state.set_from_ik(self._group, pose, self._setup["tip"], _TRY_S):
                state.update()
                with self._monitor.read_only() as scene:
                    if scene.is_state_valid(state, self._group, False):
                        known = state.joint_positions
                        return [float(known[joint]) for joint in self._joints]
            # The gripper stays as it is.
            state.set_to_random_positions(self._arm)
        return None


def serve(questions: TextIO, answers: TextIO) -> MoveItWorker | None:
    """Load MoveIt as the first line says, and answer the others until they end.

    Returns:
        What takes MoveIt down where it is let go; None where it could not be loaded.
    """

    def say(words: dict[str, Any]) -> None:
        answers.write(json.dumps(words) + "\n")
        answers.flush()

    try:
        worker = MoveItWorker(json.loads(questions.readline()))
    except Exception as error:
        say({"failed": f"{type(error).__name__}: {error}"})
        return None
    say({"ready": True})
    for line in questions:
        question = json.loads(line)
        try:
            answer = worker.answer(question)
        except Exception as error:
            answer = {"points": [], "problem": f"MoveIt failed: {type(error).__name__}: {error}"}
        say({"number": question["number"], **answer})
    return worker


def main() -> None:
    """Serve, and end without taking MoveIt down."""
    # What MoveIt's libraries print is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = serve(sys.stdin, answers)
    answers.flush()
    os._exit(0 if worker else 1)


if __name__ == "__main__":
    main()
