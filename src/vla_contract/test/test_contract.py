# SPDX-License-Identifier: Apache-2.0
"""Every mistake in a contract is one line that names the file and the key."""

from dataclasses import replace

import numpy as np
import pytest

from vla_contract.contract import ContractError, load_contract
from vla_contract.units import UNITS
from vla_policies import FeatureKind, FeatureSpec

ARM = ("pan", "lift", "elbow")

MISTAKES = [
    (
        "  options: {}",
        "  options: {}\n  unit_check: off",
        "policy.unit_check",
        "one of refuse, warn",
    ),
    ("  options: {}", "  options: {}\n  process: mine", "policy.process", "one of shared, own"),
    ("  options: {}", "  options: {}\n  python: x", "policy.python", "write process: own, too"),
    (
        "  options: {}",
        "  options: {}\n  process: own\n  environment: {A: 1.5}",
        "policy.environment.A",
        "a text or a whole number",
    ),
    ("  options: {}", "  options: {}\n  process: own\n  python: 3", "policy.python", "a name"),
    (
        "  options: {}",
        "  options: {}\n  chunks: average",
        "policy.chunks",
        "one of continue, blend, replace, ensemble",
    ),
    ("  options: {}", "  options: {}\n  nam: x", "policy.nam", "unknown key"),
    ("policy:", "polizy:", "polizy", "unknown key"),
    ("  name: noise\n", "", "policy.name", "is missing"),
    ("  name: noise", "  name: 3", "policy.name", "write a name"),
    ("  options: {}", "  options: [1]", "policy.options", "mapping"),
    (
        "    max_age_s: 0.25",
        "    max_age: 0.25",
        "observation.observation.images.front.max_age",
        "unknown key",
    ),
    (
        "    frozen_after_s: 1.0\n",
        "",
        "observation.observation.images.front.frozen_after_s",
        "is missing",
    ),
    (
        "    frozen_after_s: 1.0",
        "    frozen_after_s: -1.0",
        "observation.observation.images.front.frozen_after_s",
        "above 0",
    ),
    (
        "    max_age_s: 0.25",
        "    max_age_s: .nan",
        "observation.observation.images.front.max_age_s",
        "is not a finite number",
    ),
    (
        "    max_age_s: 0.25",
        "    max_age_s: .inf",
        "observation.observation.images.front.max_age_s",
        "is not a finite number",
    ),
    (
        "    max_age_s: 0.25",
        "    max_age_s: 250",
        "observation.observation.images.front.max_age_s",
        "is 250 s; write seconds, 10 at the most",
    ),
    (
        "    frozen_after_s: 1.0",
        "    frozen_after_s: -.inf",
        "observation.observation.images.front.frozen_after_s",
        "is not a finite number",
    ),
    (
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/Imu",
        "observation.observation.images.front.type",
        "unknown",
    ),
    (
        "    max_age_s: 0.25",
        "    max_age_s: 0.25\n    encoding: yuv",
        "observation.observation.images.front.encoding",
        "unknown",
    ),
    ("    field: position", "    field: effort", "observation.observation.state.field", "unknown"),
    (
        "    joints: [pan, lift, elbow, gripper]",
        "    joints: [pan, lift, elbow, griper]",
        "observation.observation.state.joints",
        "'griper' is not a joint of the robot",
    ),
    (
        "    joints: [pan, lift, elbow, gripper]",
        "    joints: [pan, lift, lift, gripper]",
        "observation.observation.state.joints",
        "listed twice",
    ),
    ("    units: rad", "    units: turns", "observation.observation.state.units", "unknown"),
    (
        "\n  joints: [pan, lift, elbow, gripper]",
        "\n  joints: [pan, elbow, gripper]",
        "action.joints",
        "lacks lift",
    ),
    (
        "\n  joints: [pan, lift, elbow, gripper]",
        "\n  joints: pan",
        "action.joints",
        "list of joint names",
    ),
    ("\n  units: rad", "\n  units: grad", "action.units", "unknown"),
    ("action:", "actions:", "actions", "unknown key"),
]


@pytest.mark.parametrize(("old", "new", "key", "problem"), MISTAKES)
def test_a_mistake_names_its_file_and_key(write_contract, old, new, key, problem):
    path = write_contract(old, new)
    with pytest.raises(ContractError) as caught:
        load_contract(path, ARM, "gripper")
    line = str(caught.value)
    assert line.startswith(f"{path}: {key}: ")
    assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "name", ["front camera", "front-camera", "bild_ä", "camera/", "a//b", "2nd"]
)
def test_a_topic_that_ros_would_not_take_is_refused_with_its_file_and_key(write_contract, name):
    path = write_contract("    topic: front_camera/image_raw", f"    topic: {name}")
    with pytest.raises(ContractError, match=r"images\.front\.topic: .* is no name in ROS"):
        load_contract(path, ARM, "gripper")


@pytest.mark.parametrize("name", ["/camera/image_raw", "~/image", "a1/b_2", "{ns}/image"])
def test_whatever_name_ros_takes_is_one_of_a_topic(write_contract, name):
    path = write_contract("    topic: front_camera/image_raw", f"    topic: '{name}'")
    assert load_contract(path, ARM, "gripper").images[0].topic == name


def test_a_camera_whose_pictures_are_alike_can_be_left_unjudged(write_contract):
    """As a simulated one without noise, whose pictures are bit-identical while nothing moves."""
    path = write_contract("    frozen_after_s: 1.0", "    frozen_after_s: .inf")
    assert load_contract(path, ARM, "gripper").images[0].frozen_after_s == np.inf


def test_a_key_written_twice_is_refused(write_contract):
    path = write_contract("  name: noise", "  name: noise\n  name: other")
    with pytest.raises(ContractError, match="'name' is written twice"):
        load_contract(path, ARM, "gripper")


def test_a_file_that_is_not_there_or_not_yaml_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"none\.yaml: cannot be read"):
        load_contract(tmp_path / "none.yaml", ARM, "gripper")
    broken = tmp_path / "broken.yaml"
    broken.write_text("policy: {name: [")
    with pytest.raises(ContractError, match=r"broken\.yaml: is not YAML") as caught:
        load_contract(broken, ARM, "gripper")
    assert "\n" not in str(caught.value)
    broken.write_text("")
    with pytest.raises(ContractError, match="write a mapping"):
        load_contract(broken, ARM, "gripper")


def test_the_contract_is_read_as_written(contract):
    image, state = contract.sources
    assert (image.topic, image.max_age_s, image.frozen_after_s) == (
        "front_camera/image_raw",
        0.25,
        1.0,
    )
    assert (state.topic, state.field, state.joints) == (
        "joint_states",
        "position",
        contract.action_joints,
    )
    assert contract.policy_name == "noise"


def test_units_can_be_undone():
    values = np.array([0.1, -2.0, 3.0])
    for unit in UNITS.values():
        np.testing.assert_allclose(unit.from_si(unit.to_si(values)), values, rtol=1e-15)
    assert UNITS["deg"].to_si(np.array([180.0]))[0] == pytest.approx(np.pi)


def test_a_feature_that_the_policy_does_not_need_is_left_out(contract, spec):
    narrow = contract.narrowed_to(replace(spec, observation=spec.observation[1:]))
    assert [source.feature for source in narrow.sources] == ["observation.state"]


def _wrist(spec):
    wrist = FeatureSpec("observation.images.wrist", FeatureKind.IMAGE, (None, None, 3))
    return replace(spec, observation=(*spec.observation, wrist))


def _with_state(spec, **changes):
    front, state = spec.observation
    return replace(spec, observation=(front, replace(state, **changes)))


SPECS = [
    (_wrist, "observation.observation.images.wrist", "noise 1 needs it"),
    (
        lambda spec: replace(
            spec,
            observation=(
                FeatureSpec("observation.images.top", FeatureKind.IMAGE, (None, None, 3)),
                spec.observation[1],
            ),
        ),
        "observation.observation.images.top",
        "if observation.images.front shows the same, write observation.images.top in its place",
    ),
    (
        lambda spec: _with_state(spec, kind=FeatureKind.IMAGE),
        "observation.observation.state.type",
        "needs kind image",
    ),
    (
        lambda spec: _with_state(spec, shape=(6,)),
        "observation.observation.state.joints",
        "the policy needs 6",
    ),
    (
        lambda spec: _with_state(spec, units="deg"),
        "observation.observation.state.units",
        "write deg",
    ),
    (
        lambda spec: _with_state(spec, names=("elbow", "gripper", "lift", "pan")),
        "observation.observation.state.joints",
        "pan stands where the policy needs elbow; write [elbow, gripper, lift, pan]",
    ),
    (
        lambda spec: _with_state(spec, names=("lift.pos", "pan.pos", "elbow.pos", "gripper.pos")),
        "observation.observation.state.joints",
        "pan stands where the policy needs lift; write [lift, pan, elbow, gripper]",
    ),
    (
        lambda spec: replace(
            spec, joint_names=("main_lift", "main_pan", "main_elbow", "main_gripper")
        ),
        "action.joints",
        "pan stands where the policy returns lift",
    ),
    (lambda spec: replace(spec, units="deg"), "action.units", "write deg"),
    (lambda spec: replace(spec, joint_names=("a", "b")), "action.joints", "returns 2 columns"),
    (
        lambda spec: replace(spec, joint_names=("lift", "pan", "elbow", "gripper")),
        "action.joints",
        "write [lift, pan, elbow, gripper]",
    ),
]


@pytest.mark.parametrize(("change", "key", "problem"), SPECS)
def test_a_policy_that_needs_something_else_names_the_key(contract, spec, change, key, problem):
    with pytest.raises(ContractError) as caught:
        contract.narrowed_to(change(spec))
    line = str(caught.value)
    assert line.startswith(f"{contract.path}: {key}: ")
    assert problem in line


def test_a_policy_may_have_words_of_its_own_for_the_joints(contract, spec):
    theirs = tuple(f"{name}.pos" for name in spec.joint_names)
    assert (
        contract.narrowed_to(replace(spec, joint_names=theirs)).action_joints == spec.joint_names
    )


def test_a_policy_may_have_a_process_with_an_environment_of_its_own(write_contract):
    own = "  options: {}\n  process: own\n  python: /p\n  environment: {OMP_NUM_THREADS: 2}"
    contract = load_contract(write_contract("  options: {}", own), ARM, "gripper")
    assert (contract.policy_process, contract.policy_python) == ("own", "/p")
    assert contract.policy_environment == {"OMP_NUM_THREADS": "2"}
    plain = load_contract(write_contract(), ARM, "gripper")
    assert (plain.policy_process, plain.policy_python) == ("shared", "")


def test_a_policy_may_say_how_its_chunks_follow_one_another(write_contract):
    said = write_contract("  options: {}", "  options: {}\n  chunks: replace")
    assert load_contract(said, ARM, "gripper").chunks == "replace"
    assert load_contract(write_contract(), ARM, "gripper").chunks is None


def test_a_path_that_begins_with_a_dot_is_one_from_the_contracts_folder(write_contract, tmp_path):
    given = (
        "  options: {model: ../models/cubes, mask: ./a.png, name: .hidden, rows: 3, out: out/x}"
    )
    path = write_contract("  options: {}", given)
    options = load_contract(path, ARM, "gripper").policy_options
    assert options == {
        "model": str(tmp_path.parent / "models/cubes"),
        "mask": str(tmp_path / "a.png"),
        "name": ".hidden",
        "rows": 3,
        "out": "out/x",
    }
