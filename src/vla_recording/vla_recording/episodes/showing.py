# SPDX-License-Identifier: Apache-2.0
"""The services by which others see what is recorded: the list of episodes, and their videos."""

from __future__ import annotations

from rclpy.node import Node
from vla_msgs.msg import EpisodeInfo
from vla_msgs.srv import GetEpisodeVideo, ListEpisodes

from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.listing import ListedEpisode, listed, video_piece
from vla_recording.episodes.store import EpisodeFolder
from vla_recording.episodes.words import Mark

MOST_EPISODES = 500


class EpisodeShowing:
    """Answers who looks through the episodes of a folder. Changes nothing."""

    def __init__(self, node: Node, folder: EpisodeFolder) -> None:
        """Offer the services."""
        self._folder = folder
        node.create_service(ListEpisodes, "~/list_episodes", self._on_list)
        node.create_service(GetEpisodeVideo, "~/get_episode_video", self._on_video)

    def _on_list(
        self, request: ListEpisodes.Request, response: ListEpisodes.Response
    ) -> ListEpisodes.Response:
        names = self._folder.names()
        count = min(request.count or MOST_EPISODES, MOST_EPISODES)
        newest = listed(self._folder, names[: -count - 1 : -1])
        response.episodes, response.total = [info(each) for each in newest], len(names)
        return response

    def _on_video(
        self, request: GetEpisodeVideo.Request, response: GetEpisodeVideo.Response
    ) -> GetEpisodeVideo.Response:
        try:
            size, piece = video_piece(self._folder, request.episode, request.offset)
            response.size, response.data = size, piece
            response.success = True
        except (EpisodeError, OSError) as error:
            response.message = str(error)
        return response


def info(listed: ListedEpisode) -> EpisodeInfo:
    """Return what is told of an episode."""
    words, msg = listed.words, EpisodeInfo(name=listed.name, problem=listed.problem)
    msg.video_bytes = listed.video_bytes
    if words is None:
        return msg
    msg.task, msg.operator_name, msg.policy_id = words.task, words.operator, words.policy_id
    msg.mark, msg.started = Mark[words.mark].value, words.started
    msg.rows, msg.rows_intervened = words.rows, words.rows_intervened
    msg.duration, msg.message = words.rows / words.fps, words.message
    msg.ended = bool(words.reason)
    msg.episode_index = words.episode_index
    return msg
