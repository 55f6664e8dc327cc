# SPDX-License-Identifier: Apache-2.0
"""One instruction in one scene: the world, the policy behind its contract, what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_contract.contract import Contract, ContractError, load_contract
from vla_contract.observation import Assembled, ObservationBuffer
from vla_contract.robot import Robot, RobotConfigError, load_robot
from vla_policies import STATE, Action, Observation, Policy, check_action
from vla_sim.episode import TICK_S, Timing, run_episode
from vla_sim.executors import EXECUTORS
from vla_sim.world import CUBES, Renderer, RenderError, World, WorldError, sample_scene
from vla_sim.world.scene import BIN_CENTRE, BIN_INNER, CUBE_SIDE
from vla_training.errors import TrainingError
from vla_training.evaluation.loading import open_policy
from vla_training.evaluation.measures import MotionMeasures, measure
from vla_training.evaluation.perturb import instruction, named, perturbed
from vla_training.tabletop import rotation
from vla_training.teacher import Situation, TableLayout, Teacher

Array = NDArray[np.float64]

COLOURS: tuple[str, ...] = tuple(name.removesuffix("_cube") for name in CUBES)
TEACHER = "teacher"
TEACHER_ROWS, TEACHER_DT_S = 12, 0.1
MOVED_M = 0.004  # of a cube that was disturbed
STAYS_S = 3.0  # the cube in the bin for so long ends the episode of a policy that never says done
FILM, FILM_HZ = (160, 120), 10  # px, width and height; a picture each tenth of a second


@dataclass(frozen=True)
class TrialCase:
    """What is tried.

    Attributes:
        executor: One of `EXECUTORS`.
        latency_s: From a picture to the arrival of its chunk, least and most, s.
        perturbation: One of `PERTURBATIONS`.
        seed: Of the scene.
        colour: Of the cube that is to go into the bin.
    """

    executor: str
    latency_s: tuple[float, float]
    perturbation: str
    seed: int
    colour: str

    @property
    def latency(self) -> str:
        """The latency in words, such as 0.05-0.1."""
        low, high = self.latency_s
        return f"{low:g}" if low == high else f"{low:g}-{high:g}"


@dataclass(frozen=True)
class CaseResult:
    """What became of a case.

    Attributes:
        success: The named cube is in the bin, and no other was disturbed. Of several instructions
            in a row it is so of each; what else is said is of the last that was tried.
        delivered: The named cube is in the bin.
        disturbed: Names of other cubes that the gripper touched, or that moved by `MOVED_M`; not
            of those that lay in the bin and stayed there.
        ended: `done`, `delivered`, `timed out`, or what the policy complained of.
        duration_s: Simulated time until the cube was in the bin to stay; NaN where it is not.
        refused: Chunks that the executor could not follow.
        chunks: Answers of the policy.
        inference_s: Median computation time of an answer, s.
        measures: How the arm moved.
    """

    success: bool
    delivered: bool
    disturbed: tuple[str, ...]
    ended: str
    duration_s: float
    refused: int
    chunks: int
    inference_s: float
    measures: MotionMeasures


@dataclass(frozen=True, eq=False)
class _Motion:
    """What is measured.

    Attributes:
        inference_s: Computation times (N,), s.
        commands: (T, J), rad, tick by tick.
        joints: Where they were, likewise.
        judged: How many ticks are judged, from the first one on.
    """

    inference_s: Array
    commands: Array
    joints: Array
    judged: int

    def then(self, more: _Motion) -> _Motion:
        """Return this, and what came after it."""
        return _Motion(
            np.concatenate([self.inference_s, more.inference_s]),
            np.concatenate([self.commands, more.commands]),
            np.concatenate([self.joints, more.joints]),
            len(self.commands) + more.judged,
        )


@dataclass(frozen=True)
class TrialSetup:
    """Where cases are tried, and which policy: all that a worker process is told.

    Attributes:
        robot_file: Of the arm.
        contract_file: Of the policy; None for the teacher.
        checkpoint: In place of the contract's; None for that.
        limit_s: Of an episode, simulated, s.
        slower: How many times as far apart the rows of a chunk are taken to be; 1 is as it says.
    """

    robot_file: Path
    contract_file: Path | None
    checkpoint: Path | None = None
    limit_s: float = 40.0
    slower: float = 1.0


class TrialWorld:
    """A world with a policy before it. One thread owns it; to be closed."""

    film_hz = FILM_HZ
    film_size = FILM

    def __init__(
        self, bench: TrialSetup, opened: Callable[[Contract, Path | None], Policy] | None = None
    ) -> None:
        """Build the world and load the policy.

        Args:
            bench: Where cases are tried, and which policy.
            opened: Loads the policy of a contract; None for `open_policy`.

        Raises:
            TrainingError: One of them cannot be had.
        """
        self._bench = bench
        self._renderer: Renderer | None = None
        try:
            self.robot: Robot = load_robot(bench.robot_file)
            self.world = World(bench.robot_file)
            self.policy: Policy | None = None
            self.contract: Contract | None = None
            if bench.contract_file is not None:
                contract = load_contract(
                    bench.contract_file, self.robot.limits.joint_names, self.robot.gripper.joint
                )
                self.policy = (opened or open_policy)(contract, bench.checkpoint)
                self.contract = contract.narrowed_to(self.policy.spec)
        except (RobotConfigError, ContractError, WorldError) as error:
            self.close()
            raise TrainingError(str(error)) from None
        table = TableLayout(np.array(BIN_CENTRE), BIN_INNER, CUBE_SIDE, self.world.home)
        self._teacher = Teacher(table, rows=TEACHER_ROWS, dt_s=TEACHER_DT_S)

    @property
    def renderer(self) -> Renderer:
        """Made when a picture is wanted for the first time.

        Raises:
            TrainingError: No picture can be drawn here.
        """
        if self._renderer is None:
            try:
                self._renderer = Renderer(self.world)
            except RenderError as error:
                raise TrainingError(str(error)) from None
        return self._renderer

    def close(self) -> None:
        """End the policy and free the graphics context."""
        if getattr(self, "policy", None) is not None and self.policy is not None:
            self.policy.close()
        if self._renderer is not None:
            self._renderer.close()

    def run(
        self, case: TrialCase, film: Callable[[NDArray[np.uint8]], None] | None = None
    ) -> CaseResult:
        """Try a case; what comes of it is a function of the case and the policy.

        Args:
            case: What is tried.
            film: Given a picture (H, W, 3) ten times a second, of `FILM`.
        """
        world = self.world
        scene = sample_scene(case.seed, randomise=True)
        world.restart(perturbed(scene, case.perturbation, case.seed))
        first, *others = named(case.perturbation, case.colour, COLOURS, case.seed)
        result, motion = self._instruct(case, first, film, world.joint_readings()[0])
        for colour in others:
            if not result.success:
                break
            before = result
            # The arm goes on from where it was sent, not from where it hangs a little below that.
            result, more = self._instruct(case, colour, film, motion.commands[-1])
            motion = motion.then(more)
            result = replace(
                result,
                duration_s=before.duration_s + result.duration_s,
                refused=before.refused + result.refused,
                **self._measured(motion),
            )
        return result

    def _measured(self, motion: _Motion) -> dict[str, Any]:
        """Return what of a `CaseResult` comes of a motion."""
        limits, taken = self.robot.limits, motion.inference_s
        arm = len(limits.joint_names)
        commands, joints = motion.commands[: motion.judged], motion.joints[: motion.judged]
        measures = measure(
            limits.joint_names,
            commands[:, :arm],
            joints[:, :arm],
            self.world.tips(commands),
            TICK_S,
        )
        median_s = float(np.median(taken)) if taken.size else math.nan
        return {"chunks": len(taken), "inference_s": median_s, "measures": measures}

    def _instruct(
        self,
        case: TrialCase,
        colour: str,
        film: Callable[[NDArray[np.uint8]], None] | None,
        start: Array,
    ) -> tuple[CaseResult, _Motion]:
        """Let the policy carry out an instruction in the scene as it lies.

        Args:
            case: What is tried.
            colour: Of the cube.
            film: Given the pictures.
            start: Where the arm was sent last (J,), rad.
        """
        world = self.world
        task = instruction(case.perturbation, colour, COLOURS, case.seed)
        name = f"{colour}_cube"
        before = {each.name: each for each in world.objects()}
        executor = EXECUTORS[case.executor](self.robot, start)
        if self.policy is not None:
            self.policy.reset()
        in_bin = _InBin(world, name)

        def watch(now_ns: int) -> None:
            in_bin.look(now_ns)
            if film is not None:
                film(self._filmed())

        def drive(observation: Observation) -> Action:
            action = self._ask(observation, colour)
            # Said to be done, or done for a while: a policy may be of either kind.
            over = action.done or in_bin.since_s(observation.stamp_ns) >= STAYS_S
            return Action(
                action.positions, action.dt_s, action.joint_names, action.phase, done=over
            )

        course = run_episode(
            world,
            executor,
            look=lambda now_ns: self._look(task, now_ns),
            drive=drive,
            timing=Timing(latency_s=case.latency_s),
            rng=np.random.default_rng([case.seed, COLOURS.index(colour), 3]),
            limit_s=self._bench.limit_s,
            watch=watch,
        )
        there = {each.name: each for each in world.objects()}
        moved = {
            other
            for other, was in before.items()
            if float(np.linalg.norm(there[other].position - was.position)) > MOVED_M
        }
        # In the bin they lie on one another: there they may be touched, and shift.
        lay = {other for other, was in before.items() if was.in_bin and there[other].in_bin}
        disturbed = tuple(sorted((moved | course.touched) - lay - {name}))
        delivered = there[name].in_bin
        # What the arm does in the last half second, when all is over, is not judged.
        last = len(course.commands)
        if course.ended == "done":
            last = min(last, round(course.duration_s / TICK_S))
        motion = _Motion(course.inference_s, course.commands, course.joints, last)
        result = CaseResult(
            success=delivered and not disturbed,
            delivered=delivered,
            disturbed=disturbed,
            ended=course.ended,
            duration_s=in_bin.began_s if delivered else math.nan,
            refused=int(getattr(executor, "refused", 0)),
            **self._measured(motion),
        )
        return result, motion

    def _look(self, task: str, now_ns: int) -> Observation:
        """Return what the policy sees, by its contract."""
        joints = self.world.joint_readings()[0]
        if self.contract is None or self.policy is None:
            return Observation(now_ns, {}, {STATE: joints}, task)
        shapes = {f.name: f.shape for f in self.policy.spec.observation}
        buffer = ObservationBuffer(
            self.contract, {each.feature: shapes[each.feature] for each in self.contract.images}
        )
        snapshot = self.world.snapshot()
        for image in self.contract.images:
            camera = image.feature.rsplit(".", 1)[-1]
            try:
                buffer.image(image.feature, self.renderer.render(camera, snapshot), now_ns, now_ns)
            except RenderError as error:
                raise TrainingError(f"{self.contract.path}: {image.feature}: {error}") from None
        names = self.world.joint_names
        values = {"position": joints, "velocity": self.world.joint_readings()[1]}
        for state in self.contract.states:
            buffer.state(state.feature, names, values[state.field], now_ns, now_ns)
        seen = buffer.assemble(now_ns, now_ns, task)
        if not isinstance(seen, Assembled):
            raise TrainingError("; ".join(map(str, seen)))
        return seen.observation

    def _ask(self, observation: Observation, colour: str) -> Action:
        """Return the policy's chunk with its columns in the world's order, rad."""
        if self.policy is None or self.contract is None:
            now = Situation(
                observation.state[STATE],
                np.array([each.position for each in self.world.objects()]),
                np.array([rotation(each.quaternion) for each in self.world.objects()]),
                COLOURS.index(colour),
            )
            lesson = self._teacher.show(now)
            dt_s = TEACHER_DT_S * self._bench.slower
            return Action(lesson.chunk, dt_s, self.world.joint_names, lesson.phase)
        action = self.policy.infer(observation)
        check_action(action, self.policy.spec)
        positions = self.contract.action_unit.to_si(action.positions)
        columns = [self.contract.action_joints.index(name) for name in self.world.joint_names]
        dt_s = action.dt_s * self._bench.slower
        return Action(
            positions[:, columns], dt_s, self.world.joint_names, action.phase, action.done
        )

    def _filmed(self) -> NDArray[np.uint8]:
        picture = self.renderer.render("front", self.world.snapshot())
        rows, columns = picture.shape[0] // FILM[1], picture.shape[1] // FILM[0]
        small = picture.reshape(FILM[1], rows, FILM[0], columns, 3).mean(axis=(1, 3))
        return np.asarray(small, dtype=np.uint8)


class _InBin:
    """Since when the named cube is in the bin."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name
        self.began_s = math.nan

    def look(self, now_ns: int) -> None:
        there = any(each.in_bin for each in self._world.objects() if each.name == self._name)
        if not there:
            self.began_s = math.nan
        elif math.isnan(self.began_s):
            self.began_s = now_ns * 1e-9

    def since_s(self, now_ns: int) -> float:
        return 0.0 if math.isnan(self.began_s) else now_ns * 1e-9 - self.began_s
