# SPDX-License-Identifier: Apache-2.0
"""Episodes: what is recorded, which inputs end one, and that a bag yields what was seen live."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
from episode_scenes import GOAL, WALL_NS, Scene
from rosbags.rosbag2 import Reader

from verification.recorder_graph import FRONT, MS, POLICY, STATE, picture, posture
from vla_contract.observation import ObservationBuffer
from vla_recording.dataset import Dataset, observation
from vla_recording.episodes.convert import Stored, convert
from vla_recording.episodes.recorder import EpisodeGoal
from vla_recording.episodes.words import EndReason, Mark, read_words

PNG = Stored("image")


def converted(ended, dataset: Path) -> Dataset:
    said = []
    convert(ended.bag, dataset, PNG, said.append)
    found = Dataset(dataset)
    assert found.problems() == []
    return found


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "recorded")


def recorded(scene, seconds=1.0, mark=Mark.SUCCESS):
    """Record an episode of so long."""
    scene.begin()
    scene.run(seconds)
    assert scene.recorder.finish(mark, False, scene.now_ns) == ""
    return scene.finished()


def test_an_episode_is_a_bag_and_its_rows_are_in_a_dataset(scene, tmp_path):
    ended = recorded(scene)
    assert ended.reason is EndReason.FINISHED
    words = ended.words
    assert (words.task, words.operator, words.mark) == (GOAL.task, "Ada", "SUCCESS")
    assert words.policy_id == POLICY
    assert words.rows == 20
    with Reader(ended.bag) as reader:
        topics = {connection.topic: connection.msgcount for connection in reader.connections}
    assert topics["/joint_states"] >= 100
    assert topics["/front"] >= 33
    dataset = converted(ended, tmp_path / "set")
    assert (len(dataset), dataset.fps, dataset.tasks) == (20, 20, (GOAL.task,))
    assert dataset.features["action"].names == ["shoulder.pos", "elbow.pos", "jaw.pos"]
    assert read_words(ended.bag).episode_index == 0


def test_the_policys_observation_and_the_recorded_row_are_the_same_bytes(scene, tmp_path):
    """What the policy node does with the same messages: its buffer, its conversions."""
    convert_of_the_node = pytest.importorskip("vla_policy_node.convert")
    ended = recorded(scene)
    contract = scene.recorder.sources.contract
    buffer = ObservationBuffer(contract, {FRONT: (64, 96, 3)})
    due_ns = [ended.words.begin_ns + row * 50 * MS for row in range(ended.words.rows)]
    seen = []
    for name, msg, now_ns in scene.heard:
        while len(seen) < len(due_ns) and due_ns[len(seen)] <= now_ns:
            at_ns = due_ns[len(seen)]
            seen.append(buffer.assemble(at_ns, at_ns, GOAL.task).observation)
        if name == "front":
            stamp_ns = convert_of_the_node.to_ns(msg.header.stamp)
            pixels = convert_of_the_node.to_pixels(msg, None)
            buffer.image(FRONT, pixels, stamp_ns, now_ns)
        elif name == "joint_states":
            stamp_ns = convert_of_the_node.to_ns(msg.header.stamp)
            buffer.state(STATE, msg.name, np.array(msg.position), stamp_ns, now_ns)
    dataset = converted(ended, tmp_path / "set")
    assert len(seen) == len(dataset) == 20
    for index, policy_saw in enumerate(seen):
        row = observation(dataset, index)
        assert row.task == policy_saw.task
        assert row.images[FRONT].tobytes() == policy_saw.images[FRONT].tobytes()
        assert (
            np.float32(row.state[STATE]).tobytes() == np.float32(policy_saw.state[STATE]).tobytes()
        )


def test_the_rows_of_the_bag_are_those_that_were_judged_live(scene, tmp_path):
    scene.begin()
    live = []
    rows = scene.recorder.current.rows
    make = rows.until
    rows.until = lambda now_ns: live.extend(made := make(now_ns)) or made
    scene.run(1.0)
    scene.recorder.finish(Mark.UNMARKED, False, scene.now_ns)
    ended = scene.finished()
    dataset = converted(ended, tmp_path / "set")
    assert len(live) == len(dataset) == 20
    for row in live:
        kept = observation(dataset, row.index)
        assert kept.images[FRONT].tobytes() == row.assembled.observation.images[FRONT].tobytes()
        assert np.array_equal(
            kept.state[STATE], np.float32(row.assembled.observation.state[STATE])
        )
    actions = np.array([row.action for row in live])
    assert np.array_equal(dataset.column("action"), np.float32(actions))


def test_the_action_is_what_was_commanded_at_the_moment_of_the_observation(scene, tmp_path):
    ended = recorded(scene)
    dataset = converted(ended, tmp_path / "set")
    ages = dataset.column("timing.age_s")[:, 0]  # of the picture, which says the moment
    begin_s = (ended.words.begin_ns - 1_000_000 * MS) * 1e-9
    moments = begin_s + dataset.column("timing.time_s")[:, 0] - ages
    wanted = np.degrees([posture(t) for t in moments])
    # Between two commands, 10 ms apart, the row has what lies between them.
    assert dataset.column("action") == pytest.approx(wanted, abs=2e-3)
    measured = np.degrees([posture(t - 0.018) for t in moments])[:, [2, 1, 0]]
    assert dataset.column(STATE) == pytest.approx(measured, abs=2e-3)


def test_age_and_skew_of_each_source_stand_beside_each_row(scene, tmp_path):
    dataset = converted(recorded(scene), tmp_path / "set")
    ages = dataset.column("timing.age_s")
    assert dataset.features["timing.age_s"].names == [FRONT, STATE]
    assert ((ages >= 0.025 - 1e-6) & (ages <= 0.066)).all()
    assert (dataset.column("timing.skew_s") >= 0.0).all()
    assert dataset.column("timing.time_s")[:, 0] == pytest.approx(np.arange(20) * 0.05)


# -- inputs that are refused ---------------------------------------------------------------------


def test_a_camera_that_repeats_its_picture_ends_the_episode_where_it_froze(scene, tmp_path):
    scene.begin()
    scene.run(1.0)
    last = scene.frame
    scene.frozen_picture = True
    scene.run(2.0)
    ended = scene.finished()
    assert ended.reason is EndReason.INPUT_REFUSED
    assert ended.message.startswith(f"row {ended.words.rows}: {FRONT} (front): frozen")
    assert ended.words.rows_cut >= 8, "half a second, in which nobody could know"
    dataset = converted(ended, tmp_path / "set")
    assert len(dataset) == ended.words.rows
    pictures = list(dataset.pictures(FRONT, episode=0))
    assert any(np.array_equal(pictures[-1], picture(n)) for n in (last - 1, last))
    assert len({pixels.tobytes() for pixels in pictures}) == len(pictures), "and none twice"


def test_a_camera_that_stops_ends_the_episode_once_its_picture_is_too_old(scene, tmp_path):
    scene.begin()
    scene.run(1.0)
    scene.camera = False
    scene.run(1.0)
    ended = scene.finished()
    assert ended.reason is EndReason.INPUT_REFUSED
    assert f"row {ended.words.rows}: {FRONT} (front): stale: 0.2" in ended.message
    dataset = converted(ended, tmp_path / "set")
    assert dataset.column("timing.age_s")[:, 0].max() <= 0.25


def test_joint_states_that_freeze_while_the_arm_moves_end_the_episode_where_they_froze(
    scene, tmp_path
):
    scene.begin()
    scene.run(1.0)
    scene.frozen_joints = True
    scene.run(1.5)
    ended = scene.finished()
    assert ended.reason is EndReason.INPUT_REFUSED
    assert f"{STATE} (joint_states): frozen: the joints are identical" in ended.message
    states = converted(ended, tmp_path / "set").column(STATE)
    assert len(np.unique(states, axis=0)) == len(states), "no row repeats another one's joints"


def test_joints_that_rest_are_no_frozen_ones_not_even_while_the_jaws_press(scene):
    """An encoder shows no noise; what is held keeps the jaws from where they are sent."""
    scene.begin()
    scene.run(0.5)
    scene.resting = True
    for _ in range(100):
        scene.step()
        scene.closing -= 0.004
    scene.recorder.finish(Mark.SUCCESS, False, scene.now_ns)
    assert scene.finished().words.rows == 30


def test_joints_that_stay_while_an_arm_that_presses_is_led_back_are_no_frozen_ones(scene):
    scene.begin()
    scene.pressing = 0.12
    scene.run(0.5)
    scene.resting = True
    for _ in range(50):
        scene.step()
        scene.pressing -= 0.0024
    scene.recorder.finish(Mark.SUCCESS, False, scene.now_ns)
    assert scene.finished().words.rows == 20


def test_a_command_that_is_not_heard_any_more_ends_the_episode(scene):
    scene.begin()
    scene.run(0.5)
    scene.command = False
    scene.run(0.5)
    ended = scene.finished()
    assert "action/arm (arm_controller/controller_state): stale" in ended.message


@pytest.mark.parametrize("topic", ["front", "joint_states"])
def test_stamps_that_go_backwards_end_the_episode(scene, topic):
    scene.begin()
    scene.run(0.5)
    scene.stamp_offset_ns[topic] = -100 * MS
    scene.run(0.5)
    ended = scene.finished()
    assert ended.reason is EndReason.INPUT_REFUSED
    assert f"({topic}): its stamp went back by" in ended.message
    assert ended.words.rows >= 10


def test_bytes_that_are_no_message_end_the_episode_by_name(scene):
    scene.begin()
    scene.run(0.5)
    scene.recorder.hear("/joint_states", b"\0\1\0\0nonsense", scene.now_ns, scene.now_ns)
    scene.run(0.2)
    assert f"{STATE} (joint_states): cannot be read" in scene.finished().message


def test_a_clock_that_is_set_back_ends_the_episode(scene):
    scene.begin()
    scene.run(0.5)
    scene.now_ns -= 200 * MS
    scene.run(0.5)
    assert "the clock was set back" in scene.finished().message


def test_an_episode_without_its_inputs_never_begins_and_says_what_is_missing(scene):
    scene.camera = False
    scene.run(0.2)
    assert scene.recorder.begin(GOAL, scene.now_ns, WALL_NS) == ""
    scene.run(1.0)
    ended = scene.finished()
    assert (ended.words, ended.reason) == (None, EndReason.INPUT_REFUSED)
    assert ended.message == f"row 0: {FRONT} (front): no message yet"
    assert scene.folder.names() == []
    scene.camera = True
    scene.run(0.2)
    assert recorded(scene).words.rows == 20, "and the next one is recorded"


def test_a_stamp_that_went_back_before_an_episode_is_nothing_to_it(scene):
    scene.run(0.3)
    scene.stamp_offset_ns["front"] = -100 * MS
    scene.run(0.15)
    scene.begin()
    scene.run(0.5)
    scene.recorder.finish(Mark.SUCCESS, False, scene.now_ns)
    ended = scene.finished()
    assert (ended.reason, ended.words.rows) == (EndReason.FINISHED, 10)


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (replace(GOAL, task=" "), "task: is empty"),
        (replace(GOAL, task="x" * 10_001), "task: write at most 10000"),
        (replace(GOAL, operator="\x07"), "operator: write"),
        (replace(GOAL, fps=2000), "fps: is 2000"),
        (replace(GOAL, max_duration_s=float("nan")), "max_duration: is nan s"),
        (replace(GOAL, max_duration_s=-1.0), "max_duration: is -1 s"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused_by_its_field(scene, goal, said):
    assert said in scene.recorder.begin(goal, scene.now_ns, WALL_NS)


def test_one_episode_at_a_time(scene):
    scene.begin()
    assert "finish it first" in scene.recorder.begin(GOAL, scene.now_ns, WALL_NS)


def test_an_episode_ends_by_itself_with_exactly_its_rows(scene):
    scene.begin(EpisodeGoal("wave", fps=20, max_duration_s=0.5))
    scene.run(1.0)
    ended = scene.finished()
    assert (ended.reason, ended.words.rows) == (EndReason.TIMED_OUT, 10)


def test_an_episode_that_is_discarded_leaves_nothing(scene):
    scene.begin()
    scene.run(0.3)
    scene.recorder.finish(Mark.FAILURE, True, scene.now_ns)
    ended = scene.finished()
    assert (ended.reason, ended.bag) == (EndReason.DISCARDED, None)
    assert list(scene.folder.bags.iterdir()) == []
