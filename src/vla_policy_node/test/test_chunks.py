# SPDX-License-Identifier: Apache-2.0
"""What remains of a chunk, what several say about a moment, and how long answers take."""

import numpy as np
import pytest

from smooth_motion import Chunk
from vla_policy_node.core.chunk_blending import (
    BLEND,
    CONTINUE,
    REPLACE,
    ChunkBlending,
    committed,
    effective,
    ensemble,
)
from vla_policy_node.core.controller_reports import Event
from vla_policy_node.core.latency import DurationPercentile

MS = 1_000_000
DT = 100 * MS
NAMES = ("a", "b")
ROW = 33_333_333


def ramp(start_ns: int, rows: int = 10, offset: float = 0.0) -> Chunk:
    """Return a chunk whose value is the time in seconds, so that every mix-up shows."""
    times_s = (start_ns + DT * np.arange(rows)) / 1e9
    return Chunk(NAMES, start_ns, DT, np.stack([times_s + offset, -times_s], axis=1))


def test_what_is_committed_begins_at_the_new_observation_and_is_not_padded():
    found = committed(ramp(0), 250 * MS, DT, 300 * MS)
    assert found.positions[:, 0] == pytest.approx(0.25 + 0.1 * np.arange(7))
    assert found.delay == 3


def test_a_delay_between_two_rows_settles_both():
    assert committed(ramp(0), 0, DT, 201 * MS).delay == 3
    assert committed(ramp(0), 0, DT, 200 * MS).delay == 2


def test_a_chunk_is_left_over_a_time_and_not_over_a_number_of_rows():
    long_rows = committed(ramp(0), 0, DT, 200 * MS)
    assert long_rows.horizon - long_rows.delay == 4
    at_30_hz = committed(ramp(0), 0, round(1e9 / 30), 200 * MS)
    assert at_30_hz.horizon - at_30_hz.delay == 10


def test_no_more_is_committed_than_there_is():
    assert committed(ramp(0), 800 * MS, DT, 500 * MS).delay == 2
    assert committed(ramp(0), 901 * MS, DT, 0) is None
    assert committed(ramp(10**9), 0, DT, 0) is None


def test_an_ensemble_weighs_what_was_predicted_for_the_same_moment():
    found = ensemble([ramp(0), ramp(500 * MS, offset=0.3)], ramp(800 * MS)).positions
    weights = np.exp([0.0, -0.01, -0.02])
    times = 0.8 + 0.1 * np.arange(10)
    assert found[0, 0] == pytest.approx(0.8 + 0.3 * weights[1] / weights.sum())
    # Past the end of the first chunk, the second one counts as the oldest.
    assert found[3, 0] == pytest.approx(1.1 + 0.3 * weights[0] / weights[:2].sum())
    assert found[9, 0] == pytest.approx(times[9])
    assert found[:, 1] == pytest.approx(-times)


def test_a_chunk_is_committed_from_its_publication_on_and_no_longer_when_it_is_lost(spec):
    blending = ChunkBlending(CONTINUE)
    first, second = ramp(0), ramp(0, offset=5.0)

    def offset() -> float:
        found = blending.committed(0, spec.chunk_size, ROW, 0, NAMES)
        return found.positions[0, 0]

    assert blending.committed(0, spec.chunk_size, ROW, 0, NAMES) is None
    blending.sent(first)
    assert offset() == 0.0
    blending.observe(Event.ACKNOWLEDGED)
    blending.sent(second)
    assert offset() == 5.0
    blending.observe(Event.NOTHING)
    assert offset() == 5.0
    blending.observe(Event.LOST)
    assert offset() == 0.0
    blending.observe(Event.FOREIGN)
    assert blending.committed(0, spec.chunk_size, ROW, 0, NAMES) is None


def test_nothing_is_committed_to_a_policy_that_does_not_take_it_or_is_too_slow(spec):
    assert effective(CONTINUE, continues=False) == BLEND
    for how in (BLEND, REPLACE):
        blending = ChunkBlending(how)
        blending.sent(ramp(0))
        assert blending.committed(0, spec.chunk_size, ROW, 0, NAMES) is None
    blending = ChunkBlending(CONTINUE)
    blending.sent(ramp(0))
    assert blending.committed(0, spec.chunk_size, ROW, 10**10, NAMES) is None


def test_the_first_answer_counts_until_there_is_a_second():
    latency = DurationPercentile()
    assert latency.p99_ns == 0
    latency.add(5000)
    assert latency.p99_ns == 5000
    latency.add(100)
    assert latency.p99_ns == 100
    latency.cold()
    latency.add(9000)
    assert latency.p99_ns == 100
    for _ in range(5):
        latency.add(200)
    assert latency.p99_ns == 200


def test_what_is_committed_is_carried_out_more_slowly_from_when_that_began(spec):
    blending = ChunkBlending(CONTINUE)
    blending.sent(ramp(0, rows=20))
    blending.rescale(500 * MS, 0.5)
    found = blending.committed(600 * MS, spec.chunk_size, 2 * ROW, 0, NAMES)
    # After 0.5 s of the chunk and 0.1 s at half speed; the policy's rows are as far apart.
    assert found.positions[0, 0] == pytest.approx(0.55)
    assert found.positions[3, 0] == pytest.approx(0.55 + 3 * spec.dt_s)
    blending.rescale(700 * MS, 2.0)
    found = blending.committed(800 * MS, spec.chunk_size, ROW, 0, NAMES)
    assert found.positions[0, 0] == pytest.approx(0.7)
