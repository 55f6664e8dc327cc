# SPDX-License-Identifier: Apache-2.0
"""The episode recorder as a node: its action, its status and its parameters."""

from pathlib import Path

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
import rclpy
from vla_msgs.action import RecordEpisode
from vla_msgs.msg import RecorderStatus
from vla_msgs.srv import DeleteLast, EditEpisode, FinishEpisode

from node_kit.parameters import ParameterError
from verification.recorder_graph import CONTRACT_TEXT, DOMAIN, FRONT, POLICY, ROBOT_TEXT
from vla_recording.dataset import Dataset
from vla_recording.episodes.bag import EpisodeBag
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.node import EpisodeRecorderNode
from vla_recording.episodes.words import EndReason, Mark, read_words


def test_an_episode_is_recorded_marked_converted_retasked_and_taken_out_again(graph):
    robot = graph.robot
    handle, feedback = graph.begin()
    graph.step_until(graph.recording, "the begin")
    graph.step_until(lambda: any(f.rows >= 3 for f in feedback), "rows")
    newest = feedback[-1]
    assert newest.phase == RecordEpisode.Feedback.RECORDING
    assert list(newest.sources) == [FRONT, "observation.state", "action/arm", "action/gripper"]
    assert all(0.0 <= age < 0.2 for age in newest.ages)
    assert (newest.holder, list(newest.missing)) == (POLICY, [])
    other, _ = graph.begin()
    assert graph.result(other).reason == EndReason.REFUSED.value
    answer = graph.call(robot.finish, FinishEpisode.Request(mark=7))
    assert (answer.success, answer.message[:10]) == (False, "mark: is 7")
    assert graph.call(robot.finish, FinishEpisode.Request(mark=1)).success
    result = graph.result(handle)
    assert result.reason == EndReason.FINISHED.value
    assert (result.mark, result.not_converted, result.episode_index) == (1, "", 0)
    assert result.messages_dropped == 0
    dataset = Dataset(Path(result.dataset))
    assert len(dataset) == result.rows >= 3
    assert dataset.problems() == []
    words = read_words(Path(result.bag))
    assert (words.operator, words.policy_id) == ("Ada", POLICY)

    request = EditEpisode.Request(mark=EditEpisode.Request.AS_IT_IS, task="wave twice")
    assert graph.call(robot.edit, request).success
    assert Dataset(Path(result.dataset)).tasks[-1] == "wave twice"
    graph.until(lambda: robot.status.task == "wave twice", "the status")
    assert robot.status.episodes == 1
    answer = graph.call(robot.delete_last, DeleteLast.Request())
    assert answer.success, answer.message
    assert len(Dataset(Path(result.dataset)).episodes) == 0


def test_a_camera_that_stops_aborts_the_goal_with_source_and_row_and_what_there_was_is_kept(graph):
    handle, feedback = graph.begin(convert_later=True)
    graph.step_until(lambda: any(f.rows >= 3 for f in feedback), "rows")
    graph.robot.camera = False
    graph.step_until(lambda: not graph.recording(), "the end")
    result = graph.result(handle)
    assert result.reason == EndReason.INPUT_REFUSED.value
    assert result.message.startswith(f"row {result.rows}: {FRONT} (front): stale")
    assert read_words(Path(result.bag)).rows == result.rows
    assert result.dataset == ""
    assert "vla-record convert" in result.not_converted
    graph.until(lambda: any(FRONT in line for line in graph.robot.status.missing), "the status")


def test_a_simulation_waits_for_a_disk_that_is_behind_and_goes_on_when_it_is_not(
    graph, monkeypatch
):
    """Its time stands then, and no timer that follows it would ever say that it may go on."""
    handle, _ = graph.begin(convert_later=True)
    graph.step_until(graph.recording, "the begin")
    with monkeypatch.context() as slow:
        slow.setattr(EpisodeBag, "share", 0.9)
        graph.run(0.2)
        assert graph.robot.dealt_with_ns < graph.robot.now_ns
    graph.until(lambda: graph.robot.dealt_with_ns == graph.robot.now_ns, "the word to go on")
    graph.call(graph.robot.finish, FinishEpisode.Request())
    assert graph.result(handle).reason == EndReason.FINISHED.value


def test_a_goal_that_is_cancelled_keeps_what_was_recorded(graph):
    handle, feedback = graph.begin(convert_later=True)
    graph.step_until(lambda: any(f.rows >= 2 for f in feedback), "rows")
    cancelled = handle.cancel_goal_async()
    graph.until(cancelled.done, "the cancellation")
    result = graph.result(handle)
    assert result.reason == EndReason.CANCELED.value
    assert result.rows >= 2


def test_the_numbers_of_the_action_and_the_status_are_those_of_the_recorder():
    for reason in EndReason:
        assert getattr(RecordEpisode.Result, reason.name) == reason.value
    for mark in Mark:
        assert getattr(RecorderStatus, mark.name) == mark.value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "parameter folder: is not set"),
        ({"contract_file": "/none"}, "parameter contract_file: /none: No such file"),
        ({"robot_file": "/dev/null"}, "recorded robot.yaml: "),
        ({"folder": "/dev/null/x"}, "parameter folder: in /dev/null/x nothing can be written"),
        ({"picture_size": "96x"}, "parameter picture_size: is '96x'; write HEIGHTxWIDTH"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_in_one_line(tmp_path, given, said):
    for name, text in (("contract.yaml", CONTRACT_TEXT), ("robot.yaml", ROBOT_TEXT)):
        (tmp_path / name).write_text(text)
    files = {"contract_file": tmp_path / "contract.yaml", "robot_file": tmp_path / "robot.yaml"}
    values = {**files, **({"folder": tmp_path} if given else {}), **given}
    words = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    rclpy.init(args=["--ros-args", *words], domain_id=DOMAIN)
    try:
        with pytest.raises((ParameterError, EpisodeError), match=said):
            EpisodeRecorderNode()
    finally:
        rclpy.shutdown()
