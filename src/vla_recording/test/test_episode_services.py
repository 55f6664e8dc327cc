# SPDX-License-Identifier: Apache-2.0
"""The episode recorder's services: keep the last seconds, list what is kept, hand out videos."""

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
from vla_msgs.srv import EditEpisode, FinishEpisode, GetEpisodeVideo, KeepLast, ListEpisodes

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
