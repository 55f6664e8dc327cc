# SPDX-License-Identifier: Apache-2.0
"""The episodes that the recorder keeps: their list, and their videos, which pages ask for.

Both come through the graph, from the recorder: nothing is read from a disk here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.node import Node
from rclpy.task import Future
from vla_msgs.msg import EpisodeInfo, RecorderStatus
from vla_msgs.srv import GetEpisodeVideo, ListEpisodes

from vla_operator.calls import result_of
from vla_operator.core import told

# Takes the whole file, or None and why there is none. May be called in any thread.
VideoAnswer = Callable[[bytes | None, str], None]

MOST_EPISODES = 50
MOST_VIDEO_BYTES = 16 << 20
# What was fetched is kept for who looks next.
_MOST_KEPT_BYTES = 48 << 20
_MOST_WAITING = 16
# A list is asked for when the recorder says something new, and now and then: files may change.
_LIST_S, _SILENT_S = 5.0, 5.0
_NO_VIDEO = "the recorder does not hand this video out"
MARKS = {
    RecorderStatus.UNMARKED: "unmarked",
    RecorderStatus.SUCCESS: "success",
    RecorderStatus.FAILURE: "failure",
}


@dataclass
class _Fetch:
    """A video on its way."""

    name: str
    answer: VideoAnswer
    began_s: float
    found: bytearray = field(default_factory=bytearray)


class Episodes:
    """Knows what the recorder keeps."""

    def __init__(self, node: Node) -> None:
        """Connect; nobody needs to be there."""
        recorder = "episode_recorder"
        self._list = node.create_client(ListEpisodes, f"{recorder}/list_episodes")
        self._video = node.create_client(GetEpisodeVideo, f"{recorder}/get_episode_video")
        self._lock = threading.Lock()
        self._wanted: deque[tuple[str, VideoAnswer]] = deque()
        self._fetch: _Fetch | None = None
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._asked: tuple[Future, float] | None = None
        self._listed_s, self._about = float("-inf"), object()
        self._told: dict[str, Any] = {"type": "episodes", "episodes": [], "total": 0}
        self._new = True

    def news(self) -> dict[str, Any] | None:
        """Return what pages are told, None where that is what they were told last."""
        new, self._new = self._new, False
        return self._told if new else None

    def video(self, name: str, answer: VideoAnswer) -> None:
        """Ask for a video. In any thread."""
        with self._lock:
            if len(self._wanted) < _MOST_WAITING:
                self._wanted.append((name, answer))
                return
        answer(None, "too many videos are asked for")

    def changed(self) -> None:
        """Take note that the list may be another one by now."""
        self._listed_s = float("-inf")

    # -- in the node's thread ---------------------------------------------------------------------

    def look(self, about: object, watched: bool) -> None:
        """Ask for what is due; to be called again and again.

        Args:
            about: What the recorder says; where that is something new, the list may be too.
            watched: A page is open.
        """
        now_s = time.monotonic()
        self._look_for_list(about, watched, now_s)
        fetch = self._fetch
        if fetch is not None and not now_s - fetch.began_s <= _SILENT_S:
            self._end(fetch, None, "the recorder does not answer")
        while self._fetch is None:
            with self._lock:
                if not self._wanted:
                    return
                name, answer = self._wanted.popleft()
            self._begin(name, answer, now_s)

    def _look_for_list(self, about: object, watched: bool, now_s: float) -> None:
        if self._asked is not None:
            future, since_s = self._asked
            if now_s - since_s <= _SILENT_S:
                return
            self._list.remove_pending_request(future)
            self._asked = None
        due = about != self._about or not now_s - self._listed_s <= _LIST_S
        if not (watched and due and self._list.service_is_ready()):
            return
        self._about, self._listed_s = about, now_s
        future = self._list.call_async(ListEpisodes.Request(count=MOST_EPISODES))
        self._asked = future, now_s
        future.add_done_callback(self._on_list)

    def _on_list(self, future: Future) -> None:
        if self._asked is None or self._asked[0] is not future:
            return
        self._asked, reply = None, result_of(future)
        if reply is None:
            return
        episodes = [_shown(each) for each in reply.episodes[:MOST_EPISODES]]
        found = {"type": "episodes", "episodes": episodes, "total": int(reply.total)}
        if found != self._told:
            self._told, self._new = found, True

    def _begin(self, name: str, answer: VideoAnswer, now_s: float) -> None:
        sizes = {each["name"]: each["video_bytes"] for each in self._told["episodes"]}
        kept = self._kept.get(name)
        if kept is not None and sizes.get(name, len(kept)) == len(kept):
            self._kept.move_to_end(name)
            answer(kept, "")
        elif not self._video.service_is_ready():
            answer(None, "the recorder is not there")
        else:
            self._fetch = _Fetch(name, answer, now_s)
            self._ask(self._fetch)

    def _ask(self, fetch: _Fetch) -> None:
        request = GetEpisodeVideo.Request(episode=fetch.name, offset=len(fetch.found))
        future = self._video.call_async(request)
        future.add_done_callback(lambda done: self._on_piece(fetch, done))

    def _on_piece(self, fetch: _Fetch, future: Future) -> None:
        if self._fetch is not fetch:
            return  # it was given up
        reply = result_of(future)
        if reply is None or not reply.success:
            why = _NO_VIDEO if reply is None else told.text(reply.message)
            self._end(fetch, None, why)
            return
        fetch.found += bytes(reply.data)
        fetch.began_s = time.monotonic()
        if len(fetch.found) > MOST_VIDEO_BYTES or reply.size > MOST_VIDEO_BYTES:
            self._end(fetch, None, f"a video of {reply.size} bytes is not shown")
        elif len(fetch.found) == reply.size:
            self._keep(fetch.name, bytes(fetch.found))
            self._end(fetch, self._kept[fetch.name], "")
        elif not len(reply.data) or len(fetch.found) > reply.size:
            self._end(fetch, None, "the video was changed meanwhile; ask again")
        else:
            self._ask(fetch)

    def _keep(self, name: str, video: bytes) -> None:
        self._kept[name] = video
        self._kept.move_to_end(name)
        while sum(map(len, self._kept.values())) > _MOST_KEPT_BYTES:
            self._kept.popitem(last=False)

    def _end(self, fetch: _Fetch, video: bytes | None, why: str) -> None:
        self._fetch = None
        fetch.answer(video, why)


def _shown(msg: EpisodeInfo) -> dict[str, Any]:
    return {
        "name": told.text(msg.name),
        "task": told.text(msg.task),
        "operator": told.text(msg.operator_name),
        "policy": told.text(msg.policy_id),
        "mark": MARKS.get(int(msg.mark), "unmarked"),
        "started": told.text(msg.started),
        "rows": int(msg.rows),
        "rows_intervened": int(msg.rows_intervened),
        "duration_s": told.number(msg.duration, 1),
        "ended": bool(msg.ended),
        "message": told.text(msg.message),
        "index": int(msg.episode_index),
        "video_bytes": int(msg.video_bytes),
        "problem": told.text(msg.problem),
    }
