# SPDX-License-Identifier: Apache-2.0
"""Units and orders that contradict the robot are refused, with what they look like."""

import math
from dataclasses import replace

import numpy as np
import pytest

from vla_contract.contract import ContractError, load_contract
from vla_contract.robot import load_robot
from vla_policies import Action, FeatureKind, FeatureSpec, PolicySpec
from vla_policies.training import training_span
from vla_policy_node.core.session import Termination
from vla_policy_node.core.training_check import check_training

STATE = "observation.state"
RAD, DEG = 1.0, math.pi / 180.0
# The SO-101: its published limits, and LeRobot's names and order.
SO101 = {
    "shoulder_pan": (-1.91986, 1.91986),
    "shoulder_lift": (-1.74533, 1.74533),
    "elbow_flex": (-1.69, 1.69),
    "wrist_flex": (-1.65806, 1.65806),
    "wrist_roll": (-2.74385, 2.84121),
    "gripper": (-0.174533, 1.74533),
}
JOINTS = tuple(SO101)
WIDE = {f"joint_{number}": (-2.0 * math.pi, 2.0 * math.pi) for number in range(6)}


def robot_of(tmp_path, ranges):
    *arm, grip = ranges
    rest = "velocity: 2.0, acceleration: 10.0, jerk: 100.0"
    rows = "".join(f"    {j}: {{position: {list(ranges[j])}, {rest}}}\n" for j in arm)
    path = tmp_path / "robot.yaml"
    path.write_text(
        "robot: r\nbase_frame: base\ntip_frame: tip\narm:\n  controller: arm_controller\n"
        f"  joints: [{', '.join(arm)}]\n  limits:\n{rows}"
        f"gripper: {{controller: g, joint: {grip}, velocity: 2.0, "
        f"position: {list(ranges[grip])}}}\n"
        f"home: {{{', '.join(f'{j}: {sum(ranges[j]) / 2}' for j in ranges)}}}\n"
        "encoder: {ticks_per_turn: 4096}\n"
    )
    return load_robot(path)


def contract_of(tmp_path, robot, check=""):
    joints = (*robot.limits.joint_names, robot.gripper.joint)
    path = tmp_path / "contract.yaml"
    path.write_text(
        f"policy: {{name: x, options: {{}}{check}}}\n"
        f"observation:\n  {STATE}: {{topic: joint_states, type: sensor_msgs/msg/JointState, "
        f"field: position, joints: [{', '.join(joints)}], units: rad, max_age_s: 0.2}}\n"
        f"action: {{joints: [{', '.join(joints)}], units: rad}}\n"
    )
    return load_contract(path, robot.limits.joint_names, robot.gripper.joint)


def demonstrations(seed, ranges, rows=3000):
    """Return what somebody might record, (rows, J) rad: some joints move far, some hardly."""
    random = np.random.default_rng(seed)
    low, high = np.array(list(ranges.values())).T
    width = high - low
    centre = low + width * random.uniform(0.15, 0.85, len(low))
    size = width * random.uniform(0.0, 0.45, len(low)) * (random.random(len(low)) < 0.8)
    phases, speeds = random.uniform(0.0, 6.0, (2, len(low)))
    times = np.linspace(0.0, 20.0, rows)[:, None]
    path = centre + size * np.sin(phases + speeds * times) + random.normal(0.0, 1e-3, (rows, 1))
    return np.clip(path, low, high)


def statistics(native, names=("mean", "std", "min", "max", "q01", "q99")):
    made = {
        "mean": native.mean(axis=0),
        "std": native.std(axis=0),
        "min": native.min(axis=0),
        "max": native.max(axis=0),
        "q01": np.quantile(native, 0.01, axis=0),
        "q99": np.quantile(native, 0.99, axis=0),
    }
    return {name: made[name] for name in names}


def percent(rad, ranges, gripper=True):
    """Return what LeRobot's SO-101 calls percent: bounded, the gripper's from 0 on."""
    low, high = np.array(list(ranges.values())).T
    made = np.clip(200.0 * (rad - low) / (high - low) - 100.0, -100.0, 100.0)
    if gripper:
        made[:, -1] = (made[:, -1] + 100.0) / 2.0
    return made


def spec_of(joints, action, state=None, factor=RAD, zero=0.0, state_factor=None):
    size = len(joints)

    def span(values, factor, where):
        columns = np.broadcast_to(factor, size), np.broadcast_to(zero, size)
        return None if values is None else training_span(values, *columns, where)

    return PolicySpec(
        "x 1",
        (
            FeatureSpec(
                STATE, FeatureKind.STATE, (size,), "rad",
                span=span(state, factor if state_factor is None else state_factor,
                          "policy.options.state_joints"),
            ),
        ),
        tuple(joints), "rad", 1 / 30, 50,
        span=span(action, factor, "policy.options.joints"),
    )  # fmt: skip


@pytest.fixture
def so101(tmp_path):
    return robot_of(tmp_path, SO101)


KNOWN = [
    ("mean", "std", "min", "max", "q01", "q99"),
    ("mean", "std", "min", "max"),
    ("mean", "std"),
    ("min", "max"),
    ("q01", "q99"),
]


@pytest.mark.parametrize("names", KNOWN)
def test_data_that_are_declared_right_are_never_refused(tmp_path, so101, names):
    contract = contract_of(tmp_path, so101)
    low, high = np.array(list(SO101.values())).T
    for seed in range(150):
        rad = demonstrations(seed, SO101)
        for native, factor, zero in (
            (rad, RAD, 0.0),
            (np.degrees(rad), DEG, 0.0),
            (percent(rad, SO101, gripper=False), (high - low) / 200.0, (low + high) / 2.0),
        ):
            made = statistics(native, names)
            spec = spec_of(JOINTS, made, made, factor, zero)
            assert check_training(contract, spec, so101) == ()


@pytest.mark.parametrize("names", KNOWN)
def test_degrees_that_are_declared_as_rad_are_refused_and_named(tmp_path, so101, names):
    contract, refused = contract_of(tmp_path, so101), 0
    for seed in range(150):
        made = statistics(np.degrees(demonstrations(seed, SO101)), names)
        spec = spec_of(JOINTS, made)
        with pytest.raises(ContractError) as caught:
            check_training(contract, spec, so101)
        text = str(caught.value)
        assert "contract.yaml: policy.options.joints: " in text
        assert "unit_check: warn" in text
        refused += "look like deg" in text
    assert refused >= 147, "degrees are named, not something else"


def test_percent_that_are_declared_as_rad_are_refused_and_named(tmp_path, so101):
    contract = contract_of(tmp_path, so101)
    for seed in range(50):
        rad = demonstrations(seed, SO101)
        rad[:10] = np.array(list(SO101.values()))[:, 1]
        made = statistics(percent(rad, SO101))
        with pytest.raises(ContractError, match=r"look like .*percent of the range"):
            check_training(contract, spec_of(JOINTS, made), so101)


def test_percent_that_are_declared_as_deg_are_refused_where_they_end_at_exactly_100(
    tmp_path, so101
):
    contract = contract_of(tmp_path, so101)
    rad = demonstrations(1, SO101)
    rad[0, 0] = SO101["shoulder_pan"][1]
    made = statistics(percent(rad, SO101))
    with pytest.raises(ContractError, match=r"shoulder_pan end at exactly 100.*percent.*not deg"):
        check_training(contract, spec_of(JOINTS, made, factor=DEG), so101)


def test_degrees_of_a_simulation_that_end_at_a_limit_of_100_degrees_pass(tmp_path, so101):
    contract = contract_of(tmp_path, so101)
    rad = demonstrations(1, SO101)
    rad[0] = [0.0, 1.745329252, 0.0, 0.0, 0.0, 1.745329252]
    made = statistics(np.degrees(rad))
    assert check_training(contract, spec_of(JOINTS, made, factor=DEG), so101) == ()


def test_radians_that_are_declared_as_deg_are_refused_and_named(tmp_path, so101):
    contract = contract_of(tmp_path, so101)
    made = statistics(demonstrations(3, SO101))
    with pytest.raises(ContractError, match="the numbers look like rad"):
        check_training(contract, spec_of(JOINTS, made, factor=DEG), so101)


@pytest.mark.parametrize("names", [("min", "max"), ("mean", "std")])
@pytest.mark.parametrize("factor", [RAD, DEG])
def test_normalised_data_are_refused_and_named(tmp_path, so101, names, factor):
    contract = contract_of(tmp_path, so101)
    ones = np.ones(6)
    made = {"min": -ones, "max": ones, "mean": 0.0 * ones, "std": ones}
    spec = spec_of(JOINTS, {name: made[name] for name in names}, factor=factor)
    with pytest.raises(ContractError, match="normalised \\(-1 to 1\\)"):
        check_training(contract, spec, so101)


def test_encoder_ticks_are_refused_and_named(tmp_path, so101):
    contract = contract_of(tmp_path, so101)
    ticks = np.rint(demonstrations(2, SO101) * 4096 / (2 * math.pi) + 2048)
    for factor in (RAD, DEG):
        with pytest.raises(ContractError, match="encoder ticks"):
            check_training(contract, spec_of(JOINTS, statistics(ticks), factor=factor), so101)


def test_a_gripper_alone_in_percent_is_refused_by_its_name(tmp_path, so101):
    contract = contract_of(tmp_path, so101)
    rad = demonstrations(4, SO101)
    native = np.column_stack([rad[:, :5], percent(rad, SO101)[:, 5]])
    native[::3, 5] = 95.0
    with pytest.raises(ContractError, match=r"gripper was mostly.*numbers of gripper look like"):
        check_training(contract, spec_of(JOINTS, statistics(native)), so101)


def test_columns_that_are_swapped_are_refused_where_the_ranges_tell(tmp_path):
    ranges = {**SO101, "shoulder_lift": (-3.07, -0.07), "elbow_flex": (0.5, 3.7)}
    robot = robot_of(tmp_path, ranges)
    contract = contract_of(tmp_path, robot)
    native = demonstrations(5, ranges)
    native[:, 1:3] = np.array([-2.0, 2.0]) + 0.3 * np.sin(np.arange(len(native)))[:, None]
    assert check_training(contract, spec_of(JOINTS, statistics(native)), robot) == ()
    swapped = statistics(native[:, [0, 2, 1, 3, 4, 5]])
    listed = r"\[shoulder_pan, elbow_flex, shoulder_lift, wrist_flex, wrist_roll, gripper\]"
    with pytest.raises(ContractError, match=listed):
        check_training(contract, spec_of(JOINTS, swapped), robot)


def test_another_zero_is_refused_with_the_way_to_declare_it(tmp_path, so101):
    # As LeRobot's SO-100 had it once: 0 to 190 degrees.
    contract = contract_of(tmp_path, so101)
    native = np.degrees(demonstrations(6, SO101)) * 0.1
    native[:, 1] = np.linspace(60.0, 190.0, len(native))
    with pytest.raises(ContractError, match=r"shoulder_lift was.*the zero is another.*native"):
        check_training(contract, spec_of(JOINTS, statistics(native), factor=DEG), so101)


def test_joints_in_two_orders_are_refused_where_the_data_are_in_one(tmp_path, so101):
    contract = contract_of(tmp_path, so101)
    native = np.array([0.0, -1.2, 1.0, 1.2, -1.5, 0.5]) + 0.2 * np.sin(np.arange(900))[:, None]
    made = statistics(native)
    assert check_training(contract, spec_of(JOINTS, made, made), so101) == ()
    states = (replace(contract.states[0], joints=tuple(sorted(JOINTS))),)
    with pytest.raises(ContractError, match=r"state\.joints: are in another order than action"):
        check_training(replace(contract, states=states), spec_of(JOINTS, made, made), so101)


def test_who_knows_better_is_only_told(tmp_path, so101):
    contract = contract_of(tmp_path, so101, ", unit_check: warn")
    made = statistics(np.degrees(demonstrations(0, SO101)))
    (said,) = check_training(contract, spec_of(JOINTS, made), so101)
    assert "look like deg" in said


def test_a_velocity_is_not_held_against_a_range_of_positions(tmp_path, so101):
    contract = contract_of(tmp_path, so101)
    states = (replace(contract.states[0], field="velocity"),)
    spec = spec_of(JOINTS, None, statistics(np.degrees(demonstrations(0, SO101))))
    assert check_training(replace(contract, states=states), spec, so101) == ()


def test_a_joint_that_hardly_moves_a_bad_sample_and_wide_ranges_pass(tmp_path, so101):
    contract = contract_of(tmp_path, so101)
    still = np.tile([0.3, -1.2, 1.0, 1.2, 0.0, 0.5], (900, 1))
    assert check_training(contract, spec_of(JOINTS, statistics(still)), so101) == ()
    wrap = np.degrees(demonstrations(7, SO101))
    wrap[5, 2] += 360.0
    for names in (KNOWN[0], KNOWN[1], KNOWN[4]):
        spec = spec_of(JOINTS, statistics(wrap, names), factor=DEG)
        assert check_training(contract, spec, so101) == ()
    robot = robot_of(tmp_path, WIDE)
    contract = contract_of(tmp_path, robot)
    for seed in range(100):
        rad = demonstrations(seed, WIDE)
        assert check_training(contract, spec_of(tuple(WIDE), statistics(rad)), robot) == ()


# -- chunks of policies that say nothing of their training ----------------------------------------


@pytest.fixture
def follows(noise_policy):
    """Make a policy that moves on from where the arm is, in numbers that are spoiled."""

    def make(spoil):
        class Follows(noise_policy):
            def infer(self, observation):
                ramp = 0.2 * np.arange(50)[:, None] / 30 * np.array([1.0, 1.0, -1.0, 0.5])
                rows = observation.state[STATE] + ramp
                return Action(spoil(rows), 1 / 30, self.spec.joint_names)

        return Follows()

    return make


THREE = np.array([[-1.9, 1.9], [-1.7, 1.7], [-1.6, 1.6], [-0.2, 1.7]])
LOW, WIDTH = THREE[:, 0], THREE[:, 1] - THREE[:, 0]
SPOILED = {
    "deg": np.degrees,
    "percent": lambda rows: (rows - LOW) / WIDTH * [200, 200, 200, 100] - [100, 100, 100, 0],
    "normalised": lambda rows: 2.0 * (rows - LOW) / WIDTH - 1.0,
    "encoder ticks": lambda rows: rows * 4096 / (2 * math.pi) + 2048,
    "[pan, elbow, lift, gripper]": lambda rows: rows[:, [0, 2, 1, 3]],
    "[elbow, gripper, pan, lift]": lambda rows: rows[:, [2, 3, 0, 1]],
    "[lift, elbow, gripper, pan]": lambda rows: rows[:, [1, 2, 3, 0]],
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_first_chunk_in_other_units_or_another_order_moves_nothing(make_world, follows, what):
    world = make_world(policy=follows(SPOILED[what]), max_failures=3)
    # Away from zero, where all units are alike.
    pose = [1.4, -0.8, 0.7]
    world.running = replace(world.running, positions=np.array([pose]))
    world.gripper_running = (world.gripper_running[0], np.zeros(1, np.int64), np.array([0.1]))
    world.run(0.1)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(3.0)
    assert world.plans == []
    assert world.ended[0].termination is Termination.POLICY_FAILED
    assert what in world.ended[0].message
    assert "unit_check: warn" in world.ended[0].message


@pytest.mark.parametrize("pose", [[0.0, 0.0, 0.0], [1.0, -0.8, 0.9], [-1.8, 1.6, -1.5]])
def test_a_first_chunk_in_the_right_units_moves_the_arm(make_world, follows, pose):
    world = make_world(policy=follows(lambda rows: rows))
    world.running = replace(world.running, positions=np.array([pose]))
    world.run(0.1)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(2.0)
    assert len(world.plans) > 3
    assert world.runner.status(world.now_ns).statistics.plans_refused == 0


def test_a_first_chunk_that_begins_elsewhere_moves_the_arm_there(make_world, noise_policy):
    """A policy may want another pose: only a coincidence with another unit or order is refused."""
    random = np.random.default_rng(0)
    for _ in range(30):
        pose = random.uniform(THREE[:, 0], THREE[:, 1])

        class Goes(noise_policy):
            def infer(self, observation, pose=pose):
                return Action(np.tile(pose, (50, 1)), 1 / 30, self.spec.joint_names)

        world = make_world(policy=Goes())
        world.runner.begin("anything", 60.0, world.now_ns)
        world.run(0.6)
        assert len(world.plans) >= 1, pose


def test_a_chunk_far_out_of_the_range_later_on_moves_nothing_either(make_world, noise_policy):
    class Turns(noise_policy):
        count = 0

        def infer(self, observation):
            self.count += 1
            rows = np.tile(observation.state[STATE], (50, 1))
            return Action(rows + (self.count > 3) * 80.0, 1 / 30, self.spec.joint_names)

    world = make_world(policy=Turns(), max_failures=3)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(4.0)
    assert "the robot's range is" in world.ended[0].message
    assert np.ptp(np.array(world.commands), axis=0).max() < 0.01


def test_a_contract_that_says_warn_lets_the_chunk_pass_and_the_status_say_so(
    make_world, contract, follows
):
    told = replace(contract, unit_check="warn")
    world = make_world(policy=follows(np.degrees), contract=told)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(2.0)
    assert len(world.plans) > 3
    assert any("deg" in each for each in world.runner.status(world.now_ns).remarks)
