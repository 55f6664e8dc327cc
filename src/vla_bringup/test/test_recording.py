# SPDX-License-Identifier: Apache-2.0
"""The figures of a run, from samples whose truth is known."""

import json

import cv2
import numpy as np
import pytest

from vla_bringup.recording import ChunkArrival, DemoEpisode, GraphRecording
from vla_bringup.report import write_report
from vla_bringup.video import EpisodeVideo

TICK_NS = 10_000_000


def cubic_recording(jerk: float, limit: float = 100.0) -> GraphRecording:
    recording = GraphRecording(("a", "b"), np.array([limit, limit]))
    for tick in range(200):
        time = tick * TICK_NS * 1e-9
        recording.add_reference(tick * TICK_NS, np.array([jerk * time**3 / 6, 0.0]))
    return recording


def test_the_peak_jerk_of_a_cubic_is_its_jerk():
    assert cubic_recording(50.0).peak_command_jerk_ratio() == pytest.approx(0.5, abs=1e-6)


def test_a_larger_peak_seen_by_the_monitor_counts():
    recording = cubic_recording(50.0)
    recording.add_monitor(0, 1, np.array([]), np.array([75.0, 0.0]))
    assert recording.peak_command_jerk_ratio() == pytest.approx(0.75)


def test_no_samples_is_not_a_peak_of_zero():
    recording = GraphRecording(("a",), np.array([100.0]))
    assert np.isnan(recording.peak_command_jerk_ratio())


def test_the_summary_counts_episodes_and_writes_percentiles_in_ms(tmp_path):
    recording = cubic_recording(50.0)
    recording.episodes.append(
        DemoEpisode("put the red cube in the bin", 0, True, 10.0, "DONE", "")
    )
    recording.episodes.append(DemoEpisode("put the blue cube in the bin", 1, False, 45.0, "", "x"))
    recording.chunks += [ChunkArrival(0, 0, 1.0, 0.004), ChunkArrival(1, 0, 1.0, 0.006)]
    recording.plan_time_s.append(0.003)
    recording.write_summary(tmp_path / "summary.json", wall_s=1.0)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["success_rate"] == 0.5
    assert summary["episodes"][1]["seed"] == 1
    assert summary["inference_ms_p50"] == 5.0
    assert summary["plan_ms_p99"] == 3.0
    assert summary["trips"] == []
    assert summary["wall_s"] == 1.0


def test_the_report_is_a_picture_of_the_run(tmp_path):
    recording = cubic_recording(50.0)
    recording.add_measurement(0, np.zeros(2))
    recording.add_measurement(TICK_NS, np.zeros(2))
    for tick in range(5):
        recording.add_monitor(tick * TICK_NS, 1, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    recording.chunks.append(ChunkArrival(TICK_NS, 0, 1.0, 0.01))
    recording.phases.append((TICK_NS, "descend"))
    write_report(recording, tmp_path / "report.png", "A run")
    picture = cv2.imread(str(tmp_path / "report.png"))
    assert picture.shape[0] > 500
    assert len(np.unique(picture)) > 20


def test_the_video_holds_fifteen_frames_for_each_second_of_stamps(tmp_path):
    video = EpisodeVideo(tmp_path / "episode.mp4")
    for frame in range(60):
        picture = np.full((48, 64, 3), frame * 4, np.uint8)
        video.add(1_000_000_000_000 + frame * 33_333_333, picture, ["a line"], 0.5)
    video.close()
    reader = cv2.VideoCapture(str(tmp_path / "episode.mp4"))
    frames = 0
    while reader.read()[0]:
        frames += 1
    assert 28 <= frames <= 32
