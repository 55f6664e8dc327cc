# SPDX-License-Identifier: Apache-2.0
"""The demonstration's film."""

import threading

import cv2
import numpy as np

from vla_bringup.video import PERIOD_NS, EpisodeVideo

FRAME = np.zeros((120, 160, 3), np.uint8)


def frames_in(path):
    film = cv2.VideoCapture(str(path))
    count = 0
    while film.read()[0]:
        count += 1
    return count


def test_a_film_that_is_closed_stays_as_it_is(tmp_path):
    video = EpisodeVideo(tmp_path / "film.mp4")
    for number in range(5):
        video.add(number * PERIOD_NS, FRAME, [], 0.0)
    video.close()
    # A picture that was on its way would begin the file anew.
    video.add(9 * PERIOD_NS, FRAME, [], 0.0)
    video.close()
    assert frames_in(tmp_path / "film.mp4") == 5


def test_a_film_may_be_closed_while_a_picture_comes_in(tmp_path):
    for film in range(20):
        video = EpisodeVideo(tmp_path / f"{film}.mp4")
        begun = threading.Event()

        def pictures(video=video, begun=begun):
            for number in range(60):
                video.add(number * PERIOD_NS, FRAME, [], 0.0)
                begun.set()

        camera = threading.Thread(target=pictures)
        camera.start()
        begun.wait()
        video.close()
        camera.join()
        assert frames_in(tmp_path / f"{film}.mp4") >= 1
