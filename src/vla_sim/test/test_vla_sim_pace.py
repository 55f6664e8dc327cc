# SPDX-License-Identifier: Apache-2.0
"""Simulated time keeps its factor where the host can, waits for nodes, and leaves no tick out."""

import threading
import time

import pytest

from vla_sim.core.pace import CATCH_UP_NS, Lockstep, Pace
from vla_sim.workers import ControlWorker

MS = 1_000_000
S = 1_000_000_000
LEAD = 20 * MS


@pytest.mark.parametrize(("factor", "steady_ms"), [(1.0, 10), (2.0, 5), (0.1, 100)])
def test_ticks_come_at_the_factor(factor, steady_ms):
    pace = Pace(10 * MS, factor)
    assert pace.wait_ns(7 * S) == 0
    pace.ticked(7 * S)
    assert pace.wait_ns(7 * S) == steady_ms * MS
    assert pace.wait_ns(7 * S + steady_ms * MS) == 0


def test_a_factor_of_zero_sets_no_pace():
    pace = Pace(10 * MS, 0.0)
    pace.ticked(7 * S)
    assert pace.wait_ns(7 * S) == 0


def test_a_short_delay_is_caught_up_with_and_a_long_one_is_not():
    pace = Pace(10 * MS, 1.0)
    pace.ticked(0)
    pace.ticked(30 * MS)
    assert pace.wait_ns(30 * MS) == 0
    pace.ticked(30 * MS)
    assert pace.wait_ns(30 * MS) == 0
    pace.ticked(30 * MS)
    assert pace.wait_ns(30 * MS) == 10 * MS
    pace.ticked(60 * S)
    assert pace.wait_ns(60 * S - CATCH_UP_NS) == 0
    for _ in range(CATCH_UP_NS // (10 * MS)):
        pace.ticked(60 * S)
    assert pace.wait_ns(60 * S) == 0
    pace.ticked(60 * S)
    assert pace.wait_ns(60 * S) == 10 * MS


def test_time_runs_no_further_ahead_of_a_node_than_the_lead():
    lockstep = Lockstep(LEAD, 5 * S)
    assert lockstep.behind(99 * S) == ()
    lockstep.heard("/monitor", 1 * S)
    lockstep.heard("/policy", 1 * S + 10 * MS)
    assert lockstep.behind(1 * S + LEAD) == ()
    assert lockstep.behind(1 * S + LEAD + 10 * MS) == ("/monitor",)
    lockstep.heard("/monitor", 1 * S + 10 * MS)
    assert lockstep.behind(1 * S + LEAD + 10 * MS) == ()


def test_a_node_that_says_nothing_is_waited_for_as_long_as_the_patience_and_may_come_back():
    lockstep = Lockstep(LEAD, 5 * S)
    lockstep.heard("/monitor", 1 * S)
    # However long ago its last word was: the patience counts while it is waited for.
    assert lockstep.overdue(1 * S, 100 * S) == ()
    assert lockstep.overdue(2 * S, 300 * S) == ()
    assert lockstep.overdue(2 * S, 305 * S - 1) == ()
    assert lockstep.behind(2 * S) == ("/monitor",)
    assert lockstep.overdue(2 * S, 305 * S) == ("/monitor",)
    assert lockstep.behind(2 * S) == ()
    lockstep.heard("/monitor", 2 * S)
    assert lockstep.behind(3 * S) == ("/monitor",)


def test_a_node_at_work_says_so_and_is_waited_for_without_end():
    lockstep = Lockstep(LEAD, 5 * S)
    for steady_s in range(0, 60, 4):
        lockstep.heard("/policy", 1 * S)
        assert lockstep.overdue(2 * S, steady_s * S) == ()
        assert lockstep.overdue(2 * S, steady_s * S + 4 * S) == ()
    assert lockstep.behind(2 * S) == ("/policy",)


def test_a_node_that_has_ended_is_left_out_at_once():
    lockstep = Lockstep(LEAD, 5 * S)
    lockstep.heard("/monitor", 1 * S)
    lockstep.heard("/policy", 1 * S)
    assert lockstep.keep({"/policy", "/another"}) == ("/monitor",)
    assert lockstep.nodes == ("/policy",)


def test_without_patience_nobody_is_waited_for():
    lockstep = Lockstep(LEAD, 0)
    lockstep.heard("/monitor", 1 * S)
    assert lockstep.behind(9 * S) == ()


class Ticks:
    """A control thread, and what it did."""

    def __init__(self, factor=0.0, patience_ns=60 * S):
        self.ticks, self.told, self.left_out = [], [], []
        self.worker = ControlWorker(
            1000 * S,
            10 * MS,
            Pace(10 * MS, factor),
            Lockstep(LEAD, patience_ns),
            self.ticks.append,
            self.told.append,
            self.left_out.append,
            lambda error: pytest.fail(str(error)),
        )
        self.worker.start()

    def until(self, ready):
        deadline = time.monotonic() + 60.0
        while not ready():
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def make_ticks():
    made = []

    def make(**arguments):
        made.append(Ticks(**arguments))
        return made[-1]

    yield make
    for each in made:
        each.worker.stop()
        assert not each.worker.is_alive()


def test_a_pause_stops_time_and_tells_it_on_and_no_tick_is_left_out(make_ticks):
    run = make_ticks()
    run.until(lambda: len(run.ticks) > 10)
    run.worker.paused = True
    # The tick under way may still end.
    run.until(lambda: len(run.told) > 2)
    stood = len(run.ticks)
    told = len(run.told)
    run.until(lambda: len(run.told) > told + 2)
    assert len(run.ticks) == stood
    assert run.told[-1] == run.ticks[-1]
    run.worker.paused = False
    run.until(lambda: len(run.ticks) > stood + 10)
    assert run.ticks == list(range(1000 * S, 1000 * S + 10 * MS * len(run.ticks), 10 * MS))


def test_the_thread_waits_for_a_node_and_goes_on_at_its_word(make_ticks):
    run = make_ticks()
    run.until(lambda: len(run.ticks) > 3)
    run.worker.heard("/monitor", run.ticks[-1])
    # The tick under way may still end; time is told only while it stands.
    run.until(lambda: len(run.told) > 1)
    assert run.worker.waits
    word_ns = run.ticks[-1]
    told = len(run.told)
    run.until(lambda: len(run.told) > told + 2)
    assert run.told[-1] == run.ticks[-1] == word_ns
    run.worker.heard("/monitor", word_ns)
    run.until(lambda: run.worker.waits)
    assert run.ticks[-1] == word_ns + LEAD


def test_a_node_that_falls_silent_is_named_when_it_is_left_out(make_ticks):
    run = make_ticks(patience_ns=100 * MS)
    run.until(lambda: run.ticks)
    run.worker.heard("/monitor", run.ticks[-1])
    run.until(lambda: run.left_out)
    assert run.left_out == [("/monitor",)]
    went = len(run.ticks)
    run.until(lambda: len(run.ticks) > went + 10)


def test_a_stop_ends_a_thread_that_waits(make_ticks):
    run = make_ticks()
    run.worker.paused = True
    stopper = threading.Thread(target=run.worker.stop)
    stopper.start()
    stopper.join(30.0)
    assert not run.worker.is_alive()
