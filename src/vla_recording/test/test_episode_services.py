# SPDX-License-Identifier: Apache-2.0
"""The episode recorder's services: keep the last seconds, list what is kept, hand out videos."""

import signal
from pathlib import Path

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
from vla_msgs.srv import EditEpisode, FinishEpisode, GetEpisodeVideo, KeepLast, ListEpisodes

from vla_recording.dataset import Dataset
from vla_recording.episodes import listing, preview
from vla_recording.episodes.words import EndReason, Mark, read_words


def test_the_last_seconds_are_kept_with_the_task_that_the_policy_had(graph):
    graph.run(1.0)
    request = KeepLast.Request(operator_name="Ada", mark=2, convert_later=True)
    answer = graph.call(graph.robot.keep_last, request)
    assert answer.success, answer.message
    graph.until(lambda: not graph.recorder._recorder.unfinished, "the bag")
    words = read_words(graph.root / "bags" / answer.episode)
    assert (words.task, words.mark, words.operator) == ("wave", Mark.FAILURE.name, "Ada")


def test_episodes_are_listed_newest_first_and_their_videos_are_handed_out(graph, monkeypatch):
    robot = graph.robot
    for number in range(2):
        handle, feedback = graph.begin(task="" if number else "wave twice")
        graph.step_until(lambda f=feedback: any(each.rows >= 4 for each in f), "rows")
        graph.call(robot.finish, FinishEpisode.Request(mark=number))
        assert graph.result(handle).not_converted == ""
    answer = graph.call(robot.list, ListEpisodes.Request())
    newest, oldest = answer.episodes
    assert answer.total == 2
    assert [each.task for each in answer.episodes] == ["wave", "wave twice"]
    assert [each.episode_index for each in answer.episodes] == [1, 0]
    assert (newest.mark, newest.ended, newest.message) == (1, True, "finished as success")
    (one,) = graph.call(robot.list, ListEpisodes.Request(count=1)).episodes
    assert one == newest

    monkeypatch.setattr(listing, "PIECE_BYTES", 700)
    found = b""
    while True:
        request = GetEpisodeVideo.Request(episode=oldest.name, offset=len(found))
        piece = graph.call(robot.video, request)
        assert piece.success, piece.message
        assert piece.size == oldest.video_bytes
        if not piece.data:
            break
        found += bytes(piece.data)
    assert found == (graph.root / "bags" / oldest.name / preview.FILE).read_bytes()
    refused = graph.call(robot.video, GetEpisodeVideo.Request(episode="../../x"))
    assert not refused.success
    assert "has no episode '../../x'" in refused.message


def held_conversion(graph):
    """Record an episode, and have its conversion stand in the middle; return both."""
    handle, feedback = graph.begin()
    graph.step_until(lambda: any(each.rows >= 4 for each in feedback), "rows")
    graph.call(graph.robot.finish, FinishEpisode.Request(mark=1))
    conversions = graph.recorder._conversions
    graph.step_until(lambda: conversions._running, "the conversion")
    bag, process, _ = conversions._running
    process.send_signal(signal.SIGSTOP)
    return handle, bag, process


def test_what_is_changed_while_an_episode_is_converted_is_written_when_that_is_over(graph):
    handle, bag, process = held_conversion(graph)
    edit = graph.robot.edit
    for request in (
        EditEpisode.Request(episode=bag.name, mark=Mark.FAILURE.value),
        EditEpisode.Request(
            episode=bag.name, mark=EditEpisode.Request.AS_IT_IS, task="wave twice"
        ),
    ):
        answer = graph.call(edit, request)
        assert answer.success
        assert answer.message == f"rows are being made; {bag.name} is changed when that is over"
    refused = graph.call(edit, EditEpisode.Request(episode=bag.name, mark=1, task="\x07"))
    assert (refused.success, refused.message[:5]) == (False, "task:")
    process.send_signal(signal.SIGCONT)
    result = graph.result(handle)
    assert (result.not_converted, result.mark) == ("", 2)
    words = read_words(bag)
    assert (words.mark, words.task, words.episode_index) == ("FAILURE", "wave twice", 0)
    assert Dataset(Path(result.dataset)).tasks[-1] == "wave twice"


def test_another_episode_is_changed_when_the_conversion_under_way_is_over_and_before_the_next(
    graph,
):
    """Its task stands in the rows of the dataset, which a conversion holds."""
    handle, feedback = graph.begin()
    graph.step_until(lambda: any(each.rows >= 4 for each in feedback), "rows")
    graph.call(graph.robot.finish, FinishEpisode.Request(mark=1))
    first = Path(graph.result(handle).bag)
    second, bag, process = held_conversion(graph)
    third, feedback = graph.begin()
    graph.step_until(lambda: any(each.rows >= 4 for each in feedback), "rows")
    graph.call(graph.robot.finish, FinishEpisode.Request(mark=1))
    graph.until(lambda: graph.recorder._conversions.count == 2, "another that waits")
    as_it_is = EditEpisode.Request.AS_IT_IS
    for mark, task in ((Mark.FAILURE.value, "wave twice"), (Mark.SUCCESS.value, "")):
        request = EditEpisode.Request(episode=first.name, mark=mark, task=task)
        answer = graph.call(graph.robot.edit, request)
        assert answer.success
        assert answer.message == f"rows are being made; {first.name} is changed when that is over"
    request = EditEpisode.Request(episode=first.name, mark=as_it_is, task="\x07")
    assert not graph.call(graph.robot.edit, request).success
    assert read_words(first).task == "wave"
    process.send_signal(signal.SIGCONT)
    result = graph.result(second)
    assert (read_words(first).task, read_words(first).mark) == ("wave twice", "SUCCESS")
    assert Dataset(Path(result.dataset)).episodes[0].tasks == ("wave twice",)
    assert (graph.result(third).not_converted, read_words(bag).task) == ("", "wave")
    assert [e.tasks for e in Dataset(Path(result.dataset)).episodes] == [
        ("wave twice",),
        ("wave",),
        ("wave",),
    ]


def test_what_was_to_be_changed_after_a_conversion_is_written_when_the_recorder_ends(graph):
    _, bag, _ = held_conversion(graph)
    assert graph.call(graph.robot.edit, EditEpisode.Request(mark=Mark.FAILURE.value)).success
    graph.recorder.destroy_node()
    assert read_words(bag).mark == "FAILURE"


def test_an_episode_that_waits_for_its_inputs_is_ended_by_finish(graph):
    # Else what was missed could be what had not come yet, a picture that is under way among it.
    graph.step_until(lambda: not graph.robot.status.missing, "all inputs")
    graph.robot.camera = False
    graph.step_until(lambda: graph.robot.status.missing, "a camera that is missed")
    handle, _ = graph.begin()
    assert graph.call(graph.robot.finish, FinishEpisode.Request()).success
    result = graph.result(handle)
    assert result.reason == EndReason.REFUSED.value
    assert result.message == "was ended before its inputs were there"
    edited = graph.call(graph.robot.edit, EditEpisode.Request(task="x"))
    assert edited.message == "there is no episode yet"
