# SPDX-License-Identifier: Apache-2.0
"""The policy: what it sees decides what it does next; it remembers little."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_policies.color_pick import arm as arms
from vla_policies.color_pick import config, motion, vision
from vla_policies.color_pick.instruction import colour_of
from vla_policies.color_pick.state import (
    PickDecision,
    PickIntent,
    PickMemory,
    PickPhase,
    PickView,
)
from vla_policies.protocol import (
    STATE,
    Action,
    FeatureKind,
    FeatureSpec,
    Observation,
    PolicyError,
    PolicySpec,
    check_observation,
)

Array = NDArray[np.float64]

ROWS = 30
DT_S = 1.0 / 30.0
_HORIZON = 45  # steps of the flow for a chunk: more than its rows, since pacing may skip some

# Of the small arm.
GRASP_POINT = arms.GRASP_POINT
GRIPPER_OPEN = arms.SMALL_ARM.jaws.open  # rad
GRIPPER_CLOSED = arms.SMALL_ARM.jaws.closed  # rad

GRASP_HEIGHT = 0.0145  # m of that point, so that the finger tips stay off the table
TRAVEL_HEIGHT = 0.065  # m with an empty hand over the cubes
CARRY_HEIGHT = 0.085  # m with a cube over the bin's walls
RELEASE_HEIGHT = 0.058  # m
BESIDE_HEIGHT = 0.040  # m of that point, at which the finger tips are over a cube's top
DOWN = 0.5 * math.pi  # rad, pitch of a hand that points down

_BESIDE = 0.005  # m, how far beside a cube the open jaws may come down
_TILT = 0.05  # rad that a hand around a cube may be off the vertical
_OVER_CUBE = 0.030  # m from the cube, within which the hand comes down
_OVER_BIN = 0.035  # m, likewise
_FAR = 0.08  # m from the cube, from which on the hand does not hide it
_IN_SIGHT = 0.90  # overlap with the expected outline that a cube in full view reaches
_IN_PART = 0.60  # what has to do when nothing better is to be seen
_FOLLOWING = 0.2  # rad, how far the arm may be off the way that the chunks lead
_LATE_NS = 1_000_000_000  # how late it may be on that way
_HOME_TOLERANCE = 0.03  # rad
_SEARCH_NS = 2_000_000_000
_DESCENT_NS = 2_500_000_000
_HIGH_HOME = 0.20  # m
_SETTLE_NS = 250_000_000
_GIVE_UP_NS = 1_000_000_000


class ColorPick:
    """Brings the cube of the colour that the instruction names into the bin."""

    def __init__(self, options: config.Config) -> None:
        """Use a calibrated camera, a bin and cubes as described by `options`."""
        self._config = options
        self._arm, self._hand, self._jaws = options.arm, options.arm.hand, options.arm.jaws
        self._memory = PickMemory()
        home = _place(self._hand.coordinates(options.home[:-1]))
        far = (0.04, max(home[2], CARRY_HEIGHT))
        if home[2] > _HIGH_HOME:
            # Straight up there would take long: it rises on its way.
            far = (_HIGH_HOME + home[2], _HIGH_HOME)
        self._home = motion.HandGoal(home, ((0.02, home[2]), far))
        camera = options.camera
        self._spec = PolicySpec(
            policy_id="color_pick 0.1.0",
            observation=(
                FeatureSpec(options.image, FeatureKind.IMAGE, (camera.height, camera.width, 3)),
                FeatureSpec(STATE, FeatureKind.STATE, (len(self._arm.joints),), "rad"),
            ),
            joint_names=self._arm.joints,
            units="rad",
            dt_s=DT_S,
            chunk_size=ROWS,
        )

    @property
    def spec(self) -> PolicySpec:
        """What it needs and returns."""
        return self._spec

    def reset(self) -> None:
        """Forget: a new instruction begins."""
        self._memory = PickMemory()

    def close(self) -> None:
        """Nothing is held."""

    def infer(self, observation: Observation) -> Action:
        """Look, decide and move on for a second.

        Raises:
            PolicyError: The observation does not fit the spec, the task does not name one colour,
                or the cube cannot be seen or reached.
        """
        check_observation(observation, self._spec)
        state = np.asarray(observation.state[STATE], dtype=np.float64)
        view = PickView(
            now_ns=observation.stamp_ns,
            joints=state[:-1],
            opening=float(state[-1]),
            here=self._hand.coordinates(state[:-1]),
            image=observation.images[self._config.image],
            colour=colour_of(observation.task, vision.HUES),
        )
        decision = self._decide(view)
        positions = self._chunk(view, decision)
        memory = self._memory
        memory.opening, memory.stamp_ns, memory.chunk = view.opening, view.now_ns, positions
        return Action(
            positions=positions,
            dt_s=DT_S,
            joint_names=self._spec.joint_names,
            phase=decision.phase.value,
            done=decision.phase is PickPhase.DONE,
        )

    # -- deciding ---------------------------------------------------------------------------------

    def _decide(self, view: PickView) -> PickDecision:
        memory = self._memory
        if memory.intent is None:
            first = PickIntent.BRING if self._holds_already(view) else PickIntent.FETCH
            memory.turn_to(first, view.now_ns)
        # An intent that is fulfilled or void passes on to the next, at most once around.
        for _ in PickIntent:
            intent = memory.intent
            if intent is PickIntent.FETCH:
                decision = self._fetch(view)
            elif intent is PickIntent.BRING:
                decision = self._bring(view)
            elif intent is PickIntent.LET_GO:
                decision = self._let_go(view)
            else:
                decision = self._return(view)
            if decision is not None:
                return decision
        return PickDecision(PickPhase.SEARCH, self._home, self._jaws.open)

    def _fetch(self, view: PickView) -> PickDecision | None:
        """Find the cube, come over it and down around it."""
        memory = self._memory
        if memory.cube is None or self._distance(memory.cube, view.here) > _FAR:
            seen = self._look(view)
            if seen is not None and self._in_bin(seen):
                memory.turn_to(PickIntent.RETURN, view.now_ns)
                return None
            if seen is not None and seen.in_sight >= self._sight_needed(view):
                memory.cube, memory.unseen_since_ns = seen, None
        if memory.cube is None:
            return self._search(view)
        goal = self._around(memory.cube, view.colour)
        along, up, turn = goal.distance(view.here)
        if along < 0.0035 and up < 0.003 and turn < 0.06 and view.opening > self._jaws.open_enough:
            memory.turn_to(PickIntent.BRING, view.now_ns)
            return None
        low = along < _OVER_CUBE and view.here[2] < TRAVEL_HEIGHT - 0.005
        if not low:
            memory.low_since_ns = view.now_ns
        elif view.now_ns - memory.low_since_ns > _DESCENT_NS:
            memory.cube = None  # something is in the way: look again
            return self._search(view)
        if not low and view.opening < self._jaws.open_enough:
            waiting = (*goal.place[:2], TRAVEL_HEIGHT, *goal.place[3:])
            goal = motion.HandGoal(_place(waiting), ((0.0, TRAVEL_HEIGHT),))
        return PickDecision(
            PickPhase.DESCEND if low else PickPhase.APPROACH, goal, self._jaws.open
        )

    def _search(self, view: PickView) -> PickDecision:
        """Clear the camera's view by going home, and give up after a while there."""
        memory = self._memory
        if not self._is_home(view):
            memory.unseen_since_ns = None
        elif memory.unseen_since_ns is None:
            memory.unseen_since_ns = view.now_ns
        elif view.now_ns - memory.unseen_since_ns > _SEARCH_NS:
            raise PolicyError(
                f"no {view.colour} cube is in full view of the camera; put one on the table"
            )
        return PickDecision(PickPhase.SEARCH, self._home, self._jaws.open)

    def _bring(self, view: PickView) -> PickDecision | None:
        """Close the jaws, make sure that something is between them, carry it over the bin."""
        memory = self._memory
        age_ns = view.now_ns - memory.since_ns
        at_rest = abs(view.opening - memory.opening) < self._jaws.still and age_ns >= _SETTLE_NS
        memory.closed = memory.closed or at_rest or age_ns >= _GIVE_UP_NS
        if memory.cube is not None and not memory.closed:
            goal = self._around(memory.cube, view.colour)
            return PickDecision(PickPhase.GRASP, goal, self._jaws.closed)
        if view.opening < self._jaws.empty:
            memory.cube = None
            memory.turn_to(PickIntent.FETCH, view.now_ns)
            return None
        over_bin = self._over_bin(view)
        along, up, _ = over_bin.distance(view.here)
        if along < 0.008 and up < 0.006:
            memory.turn_to(PickIntent.LET_GO, view.now_ns)
            return None
        low = view.here[2] < CARRY_HEIGHT - 0.015 and along > _OVER_BIN
        return PickDecision(
            PickPhase.LIFT if low else PickPhase.CARRY, over_bin, self._jaws.closed
        )

    def _let_go(self, view: PickView) -> PickDecision | None:
        """Open the jaws over the bin."""
        memory = self._memory
        if view.opening >= self._jaws.open_enough or view.now_ns - memory.since_ns > _GIVE_UP_NS:
            memory.turn_to(PickIntent.RETURN, view.now_ns)
            return None
        return PickDecision(PickPhase.RELEASE, self._over_bin(view), self._jaws.open)

    def _return(self, view: PickView) -> PickDecision | None:
        """Go home, and look whether the cube is where it belongs."""
        memory = self._memory
        if not self._is_home(view):
            high = view.here[2] > CARRY_HEIGHT - 0.015
            gripper = float(self._config.home[-1]) if high else self._jaws.open
            return PickDecision(PickPhase.HOME, self._home, gripper)
        seen = self._look(view)
        if seen is not None and not self._in_bin(seen) and seen.in_sight >= _IN_PART:
            memory.cube = None
            memory.turn_to(PickIntent.FETCH, view.now_ns)
            return None
        return PickDecision(PickPhase.DONE, self._home, float(self._config.home[-1]))

    # -- seeing -----------------------------------------------------------------------------------

    def _look(self, view: PickView, height: float | None = None) -> vision.Sighting | None:
        options = self._config
        return vision.find_cube(view.image, view.colour, options.camera, options.cube_side, height)

    def _holds_already(self, view: PickView) -> bool:
        """Whether the cube is in a hand that is off the table, seen by a fresh policy."""
        if (
            view.here[2] < GRASP_HEIGHT + 0.5 * self._config.cube_side
            or view.opening < self._jaws.empty
        ):
            return False
        seen = self._look(view, float(view.here[2]))
        return (
            seen is not None
            and view.opening < self._jaws.open_enough
            and self._distance(seen, view.here) < self._config.cube_side
        )

    def _distance(self, cube: vision.Sighting, here: Array) -> float:
        """Return how far the hand is from a cube along the table, m."""
        x, y = self._hand.axis_x + here[1] * math.cos(here[0]), here[1] * math.sin(here[0])
        return math.hypot(cube.x - x, cube.y - y)

    def _sight_needed(self, view: PickView) -> float:
        """Return the overlap that makes a sighting credible: less after a while of search."""
        since_ns = self._memory.unseen_since_ns
        patient = since_ns is None or view.now_ns - since_ns < _SEARCH_NS // 2
        return _IN_SIGHT if patient else _IN_PART

    def _in_bin(self, seen: vision.Sighting) -> bool:
        away = np.abs(np.array([seen.x, seen.y]) - self._config.bin_centre)
        return bool(np.max(away) < 0.5 * self._config.bin_side)

    def _is_home(self, view: PickView) -> bool:
        away = np.abs(view.joints - self._config.home[:-1])
        return bool(np.max(away) < _HOME_TOLERANCE)

    def _around(self, cube: vision.Sighting, colour: str) -> motion.HandGoal:
        """Return the goal with the open jaws around a cube, rolled to fit its sides.

        Raises:
            PolicyError: It is out of reach.
        """
        bearing = math.atan2(cube.y, cube.x - self._hand.axis_x)
        radius = math.hypot(cube.x - self._hand.axis_x, cube.y)
        straight = (bearing, radius, GRASP_HEIGHT, DOWN, 0.0)
        joints, _ = self._hand.joints(np.array(straight))
        # A cube looks the same after a quarter turn: take the one nearest to no roll.
        quarter = 0.5 * math.pi
        roll = (cube.yaw - float(self._hand.jaw_yaw(joints)) + 0.5 * quarter) % quarter
        place = (*straight[:4], roll - 0.5 * quarter)
        joints, reached = self._hand.joints(np.array(place))
        if not reached or abs(self._hand.coordinates(joints)[3] - DOWN) > _TILT:
            near, far = self._arm.reach
            raise PolicyError(
                f"the {colour} cube at x {cube.x:.3f} m, y {cube.y:.3f} m is out of reach; "
                f"put it between {near:.2f} m and {far:.2f} m from the pan axis"
            )
        beside, over = (_BESIDE, BESIDE_HEIGHT), (_OVER_CUBE, TRAVEL_HEIGHT)
        return motion.HandGoal(place, ((0.5 * _BESIDE, GRASP_HEIGHT), beside, over))

    def _over_bin(self, view: PickView) -> motion.HandGoal:
        """Return the goal over the bin, the same until the cube is let go."""
        memory = self._memory
        if memory.over_bin is None:
            x, y = self._free_spot(view)
            memory.over_bin = motion.HandGoal(
                (
                    math.atan2(y, x - self._hand.axis_x),
                    math.hypot(x - self._hand.axis_x, y),
                    RELEASE_HEIGHT,
                    DOWN,
                    0.0,
                ),
                ((0.008, RELEASE_HEIGHT), (_OVER_BIN, CARRY_HEIGHT)),
            )
        return memory.over_bin

    def _free_spot(self, view: PickView) -> tuple[float, float]:
        """Return the place in the bin, m, that is farthest from the cubes seen in it."""
        options = self._config
        others = [
            (seen.x, seen.y)
            for colour in vision.HUES
            if colour != view.colour
            and (seen := vision.find_cube(view.image, colour, options.camera, options.cube_side))
            and self._in_bin(seen)
        ]
        aside = 0.5 * options.bin_side - options.cube_side
        x, y = (float(value) for value in options.bin_centre)
        spots = [(x, y), *((x + dx * aside, y + dy * aside) for dx in (-1, 1) for dy in (-1, 1))]
        return max(
            spots, key=lambda spot: min((math.dist(spot, other) for other in others), default=0.0)
        )

    # -- moving -----------------------------------------------------------------------------------

    def _chunk(self, view: PickView, decision: PickDecision) -> Array:
        """Return the rows (ROWS, J + 1) from where the arm should be towards the goal."""
        joints, speed = self._start(view)
        way = motion.path(self._hand, joints, decision.goal, _HORIZON, DT_S)
        arm = motion.pace(way, DT_S, speed)[:ROWS]
        start = self._gripper_command(view)
        reach = self._jaws.rate * DT_S * np.arange(ROWS)
        gripper = np.clip(decision.gripper, start - reach, start + reach)
        return np.column_stack([arm, gripper])

    def _start(self, view: PickView) -> tuple[Array, float]:
        """Return where the arm should be now (J,), rad, and how fast its fastest joint is, rad/s.

        While the arm follows, that is what the previous chunk says. Beginning each chunk where the
        arm is measured would make a loop of the delay up to the chunk's execution, and swing. An
        arm that is late follows too: the slower the inference, the later it is.
        """
        memory = self._memory
        chunk = memory.chunk
        if chunk is None:
            return view.joints, 0.0
        elapsed = (view.now_ns - memory.stamp_ns) * 1e-9 / DT_S
        now, next_ = _row(chunk, elapsed), _row(chunk, elapsed + 1.0)
        late = _LATE_NS * 1e-9 / DT_S
        memory.trail += [
            (memory.stamp_ns + round(row * DT_S * 1e9), _row(chunk, row))
            for row in np.arange(max(0.0, elapsed - late), elapsed).tolist()
        ]
        memory.trail = [each for each in memory.trail if each[0] >= view.now_ns - _LATE_NS]
        way = np.array([now, *(joints for _, joints in memory.trail)])
        if not np.min(np.max(np.abs(way - view.joints), axis=1)) < _FOLLOWING:
            memory.trail.clear()
            return view.joints, 0.0
        return now, float(np.max(np.abs(next_ - now))) / DT_S

    def _gripper_command(self, view: PickView) -> float:
        """Return what the gripper is commanded now, according to the previous chunk."""
        chunk = self._memory.chunk
        if chunk is None:
            return view.opening
        elapsed = (view.now_ns - self._memory.stamp_ns) * 1e-9 / DT_S
        command = float(np.interp(elapsed, np.arange(ROWS), chunk[:, -1]))
        return command if abs(command - view.opening) < self._jaws.astray else view.opening


def make(options: Mapping[str, Any]) -> ColorPick:
    """Make the policy from its options.

    Raises:
        PolicyError: An option is missing, unknown or wrong.
    """
    return ColorPick(config.read(options))


def _row(chunk: Array, row: float) -> Array:
    """Return the arm's joints (J,), rad, at a row, between rows by a straight line."""
    return np.array([np.interp(row, np.arange(ROWS), column) for column in chunk[:, :-1].T])


def _place(values: Any) -> tuple[float, float, float, float, float]:
    bearing, radius, height, pitch, roll = (float(value) for value in values)
    return bearing, radius, height, pitch, roll
