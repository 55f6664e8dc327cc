# SPDX-License-Identifier: Apache-2.0
"""What statistics say: what was spanned, what stood still, and in which order the joints are."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from vla_policies.training import (
    STILL_RAD,
    StillJoints,
    check_dataset_names,
    plain_name,
    training_span,
)
from vla_policies.wire.codec import MessageLimits, decode, encode
from vla_policies.wire.messages import Description, describe, read_description

DEG = math.pi / 180.0
MODES = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}


def normalised(native, statistics, mode):
    """Return what LeRobot makes of values: (x - mean) / std, or -1 to 1."""
    first, second = (statistics[name] for name in MODES[mode])
    if mode == "MEAN_STD":
        return (native - first) / (second + 1e-8)
    width = np.where(second == first, 1e-8, second - first)
    return 2.0 * (native - first) / width - 1.0


def of(mode, centre, spread):
    centre, spread = np.array(centre), np.array(spread)
    if mode == "MEAN_STD":
        return {"mean": centre, "std": spread}
    first, second = MODES[mode]
    return {first: centre - 2.0 * spread, second: centre + 2.0 * spread}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [1.0, DEG, 0.0175])
@pytest.mark.parametrize("spread_rad", [0.0, 1e-6, 1e-3])
def test_a_joint_that_stood_still_is_never_shown_far_from_where_it_was(mode, factor, spread_rad):
    statistics = of(mode, [50.0, 10.0], [spread_rad / factor, 0.4 / factor])
    still = StillJoints.of(statistics, mode, np.full(2, factor))
    assert still is not None
    for off_rad in (1e-3, 0.02, -0.02, 1.0, -3.0):
        native = np.array([50.0 + off_rad / factor, 10.0])
        seen = normalised(still.shown(native), statistics, mode)
        at_rest = normalised(still.shown(np.array([50.0, 10.0])), statistics, mode)
        assert abs(seen[0] - at_rest[0]) <= 3.0001
        assert seen[1] == at_rest[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_milliradian_is_a_fraction_of_a_deviation_and_order_is_kept(mode):
    statistics = of(mode, [0.5], [1e-4])
    still = StillJoints.of(statistics, mode, np.ones(1))
    values = 0.5 + np.linspace(-0.01, 0.01, 21)[:, None]
    seen = normalised(still.shown(values), statistics, mode)[:, 0]
    assert (np.diff(seen) > 0.0).all()
    scale = 1.0 if mode == "MEAN_STD" else 2.0
    assert scale * (seen[11] - seen[10]) == pytest.approx(0.001 / STILL_RAD, rel=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_a_joint_that_moved_is_shown_to_the_last_bit(mode):
    statistics = of(mode, [0.5, -1.0], [STILL_RAD, 0.4])
    still = StillJoints.of(statistics, mode, np.ones(2))
    values = np.random.default_rng(0).normal(0.0, 2.0, (50, 2))
    assert (still.shown(values) == values).all()
    assert still.notes("observation.state", ("a", "b"), np.ones(2)) == ()


def test_what_stood_still_is_said_by_name_and_in_rad():
    still = StillJoints.of(of("MEAN_STD", [50.0, 10.0], [0.0, 20.0]), "MEAN_STD", np.full(2, DEG))
    (note,) = still.notes("observation.state", ("wrist_roll", "gripper"), np.full(2, DEG))
    assert note.startswith("observation.state: wrist_roll (0 rad) hardly moved in training")
    assert "gripper" not in note


def test_nothing_stands_still_where_nothing_is_normalised():
    assert StillJoints.of({}, "IDENTITY", np.ones(1)) is None
    assert StillJoints.of({}, "MEAN_STD", np.ones(1)) is None


def test_a_bad_sample_does_not_move_the_span():
    random = np.random.default_rng(0)
    data = random.uniform(-1.0, 1.0, (5000, 1))
    data[17] = -300.0
    statistics = {
        "mean": data.mean(axis=0), "std": data.std(axis=0),
        "min": data.min(axis=0), "max": data.max(axis=0),
    }  # fmt: skip
    quantiles = {"q01": np.quantile(data, 0.01, axis=0), "q99": np.quantile(data, 0.99, axis=0)}
    span = training_span({**statistics, **quantiles}, np.ones(1), np.zeros(1), "here")
    assert -1.0 <= span.low[0] < span.high[0] <= 1.0
    assert (span.least[0], span.declared_in) == (-300.0, "here")


@pytest.mark.parametrize(
    "statistics",
    [
        {},
        {"mean": [0.0, 0.0]},
        {"mean": [0.0], "std": [1.0]},
        {"mean": [0.0, math.nan], "std": [1.0, 1.0]},
        {"min": [1.0, 1.0], "max": [0.0, 0.0]},
    ],
)
def test_statistics_that_say_nothing_yield_no_span(statistics):
    assert training_span(statistics, np.ones(2), np.zeros(2), "here") is None


def test_a_span_names_and_notes_travel_to_the_client(spec):
    span = training_span({"min": [0.0, -1.0], "max": [1.0, 2.0]}, np.ones(2), np.zeros(2), "x")
    image, state = spec.observation
    told = replace(
        spec,
        observation=(image, replace(state, names=("a", "b"), span=span)),
        span=span,
        notes=("mind the wrist",),
    )
    message = decode(encode(describe(Description(told, continues=False))), MessageLimits())
    assert read_description(message).spec == told
    for key in ("span", "notes"):
        del message[key]
    for feature in message["features"]:
        del feature["names"], feature["span"]
    assert read_description(message).spec == spec, "a server that is older says none of it"


NAMES = ["shoulder_pan", "shoulder_lift", "gripper"]


@pytest.mark.parametrize(
    "names",
    [
        [f"{name}.pos" for name in NAMES],
        [f"main_{name}" for name in NAMES],
        {"motors": NAMES},
        [NAMES],
    ],
)
def test_the_order_of_a_datasets_names_is_held_against_the_declared_one(tmp_path, names):
    info = {"features": {"action": {"names": names}, "observation.state": {"names": None}}}
    (tmp_path / "info.json").write_text(json.dumps(info))
    statistics = tmp_path / "stats.json"
    assert check_dataset_names(statistics, "action", NAMES) == ""
    assert check_dataset_names(statistics, "observation.state", NAMES) == ""
    assert check_dataset_names(statistics, "action", ("pan", "lift", "grip")) == ""
    problem = check_dataset_names(statistics, "action", sorted(NAMES))
    assert problem.startswith(
        "gripper stands where the dataset has shoulder_pan; list shoulder_pan"
    )


def test_a_name_loses_what_lerobot_adds():
    assert [plain_name(name) for name in ("main_x", "x.pos", "x", "maintain")] == [
        "x", "x", "x", "maintain",
    ]  # fmt: skip
