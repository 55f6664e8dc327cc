# SPDX-License-Identifier: Apache-2.0
"""A link that takes its time, both ways: nothing leaves what runs before it can have arrived."""

import pytest

from smoothness_monitor.core.link_delay import LONGEST_LEAD_NS, MARGIN_NS, WINDOW_NS, LinkDelay
from smoothness_monitor.core.types import Rung, StopState
from vla_sim.faults.operations import Link as Way
from vla_sim.faults.operations import Passed

MS = 1_000_000
S = 1_000_000_000


class Slow(Way):
    """A way that takes longer."""

    def __init__(self, delay_ns: int) -> None:
        super().__init__()
        self.delay_ns = delay_ns

    def carry(self, message: object, now_ns: int) -> Passed:
        return [(self.delay_ns, message)]


def give(bench, spare_ns):
    """Give the policy's next plan; it is judged when the controller is heard past its start."""
    sent = len(bench.sent)
    bench.give(bench.plan(spare_ns=spare_ns))
    if len(bench.sent) == sent:
        assert bench.run_until(lambda: len(bench.sent) > sent, 0.4), "\n".join(bench.log)
        bench.policy_running.sent(bench.policy_sends, bench.now_ns)


def moving(make_bench, *, way_ms, back_ms, seed):
    """Return a bench in motion along a plan that goes on for long, behind a link that is slow."""
    bench = make_bench(seed=seed, jitter=False)
    bench.get_ready()
    bench.links["controller_state"] = Slow(back_ms * MS)
    bench.links["joint_states"] = Slow(back_ms * MS)
    bench.links["commands"] = Slow(way_ms * MS)
    bench.amplitude = 1.2
    bench.run(0.5)
    give(bench, 2 * max(way_ms, back_ms) * MS + 100 * MS)

    def moves() -> bool:
        (_, before), (_, now) = bench.references[-2:]
        return bool(abs(now - before).max() > 0.6 * 0.01)

    assert bench.run_until(moves, 3.0), "\n".join(bench.log)
    return bench


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("way_ms", "back_ms"), [(250, 250), (200, 200), (250, 150), (90, 90), (120, 200), (0, 250)]
)
def test_a_stop_over_a_slow_link_does_not_step(make_bench, way_ms, back_ms, seed):
    """H5. Seen with a real controller on a loaded host: 0.3 s each way."""
    bench = moving(make_bench, way_ms=way_ms, back_ms=back_ms, seed=seed)
    stopped_ns = bench.now_ns
    bench.stop()
    assert bench.run_until(lambda: bench.state is not StopState.STOPPING, 3.0)
    took_ns = bench.now_ns - stopped_ns
    bench.run(1.0)
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.state is StopState.STOPPED_LATCHED, bench.log
    assert bench.monitor.snapshot().rung is Rung.BRAKE, bench.monitor.snapshot().rung_log
    assert took_ns <= 2 * S
    assert bench.travel(bench.now_ns - S) == 0.0


@pytest.mark.parametrize("after_ms", [0, 10, 60, 120, 200, 240, 260, 300, 400])
def test_a_stop_while_a_plan_is_on_a_slow_way_does_not_step(make_bench, after_ms):
    """H5. The plan may be heard to run only half a second after it was sent."""
    bench = moving(make_bench, way_ms=250, back_ms=250, seed=5)
    give(bench, 450 * MS)
    bench.run(after_ms * 1e-3)
    bench.stop()
    assert bench.run_until(lambda: bench.state is not StopState.STOPPING, 3.0)
    bench.run(1.0)
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.state is StopState.STOPPED_LATCHED, bench.log


def test_a_plan_that_leaves_what_runs_before_it_can_arrive_is_refused_in_words(make_bench):
    """H3."""
    bench = make_bench(jitter=False)
    bench.get_ready()
    bench.links["controller_state"] = bench.links["joint_states"] = Slow(200 * MS)
    bench.run(0.5)
    bench.give(bench.plan(spare_ns=50 * MS))
    told = bench.monitor.snapshot()
    assert told.plans_forwarded == 0
    assert "splice_too_early: it leaves the running plan 200.0 ms from now" in told.last_rejection
    assert "261.0 ms are needed; the link to the controller is seen to take 0.20 s" in (
        told.last_rejection
    )
    assert bench.state is StopState.READY
    bench.give(bench.plan(spare_ns=350 * MS))
    bench.run(0.3)
    assert bench.monitor.snapshot().plans_forwarded == 1, bench.log


def test_a_link_that_was_slow_for_a_moment_counts_for_two_seconds(make_bench):
    """H3."""
    bench = make_bench(jitter=False)
    bench.get_ready()
    bench.links["controller_state"] = bench.links["joint_states"] = Slow(200 * MS)
    bench.run(0.5)
    bench.links["controller_state"] = bench.links["joint_states"] = Slow(0)
    bench.run(0.5)
    bench.give(bench.plan(spare_ns=50 * MS))
    assert bench.monitor.snapshot().plans_forwarded == 0
    bench.run(2.0)
    bench.give(bench.plan(spare_ns=50 * MS))
    assert bench.monitor.snapshot().plans_forwarded == 1, bench.log


def test_a_controller_whose_clock_is_ahead_gets_nothing_that_it_would_carry_out_too_early():
    link = LinkDelay()
    link.heard(stamp_ns=S + 200 * MS, ros_ns=S, own_ns=0)
    assert link.lead_ns(150 * MS, 0) == 200 * MS + MARGIN_NS


def test_the_link_is_what_was_worst_in_the_last_seconds_and_silence_improves_nothing():
    link = LinkDelay()
    assert link.delay_ns(0) == 0
    for own_ns, age_ns in ((0, 300 * MS), (100 * MS, 5 * MS), (200 * MS, 80 * MS)):
        link.heard(stamp_ns=S, ros_ns=S + age_ns, own_ns=own_ns)
    assert link.delay_ns(200 * MS) == 300 * MS
    assert link.delay_ns(WINDOW_NS + 1) == 80 * MS
    assert link.delay_ns(10 * S) == 80 * MS
    link.adopted(sent_ns=S, stamp_ns=S + 240 * MS, own_ns=10 * S)
    assert link.delay_ns(10 * S) == 240 * MS
    link.clear()
    assert link.lead_ns(150 * MS, 0) == 150 * MS


def test_a_brake_waits_no_longer_than_half_a_second_for_a_link(make_bench):
    """H5. However late the controller is heard."""
    bench = make_bench(jitter=False)
    bench.get_moving()
    bench.policy_on = False
    bench.links["controller_state"] = Slow(290 * MS)
    bench.run(0.4)
    view = bench.monitor.view
    view.link.heard(bench.now_ns - 5 * S, bench.now_ns, view.clock.now_ns)
    assert view.stop_inputs(bench.now, stepped=False).lead_ns == LONGEST_LEAD_NS


def held_up(bench, outputs, seconds):
    """Let time pass before outputs are sent, as Outgoing does it; return what goes out."""
    bench.run(seconds)
    others = bench.monitor.on_held_up(outputs, bench.now)
    bench.take(outputs if others is None else others)
    return others


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.44])
def test_a_plan_that_this_process_could_not_send_in_time_is_refused_and_another_one_runs(
    make_bench, seconds
):
    """H3. Seen with a real controller at a load of 40: published 0.29 s after it left what ran."""
    bench = make_bench(jitter=False)
    bench.get_moving()
    bench.policy_on = False
    bench.run(0.1)
    forwarded = bench.monitor.snapshot().plans_forwarded
    outputs = bench.monitor.on_plan(bench.plan(spare_ns=10 * MS), bench.now)
    assert len(outputs.arm) == 1
    others = held_up(bench, outputs, seconds)
    assert others is not None
    assert others.arm == ()
    told = bench.monitor.snapshot()
    assert told.last_rejection.startswith("splice_too_early: this process was held up for ")
    assert told.plans_forwarded == forwarded
    bench.run(0.1)
    bench.policy_spare_ns = 90 * MS
    bench.policy_on = True
    bench.run(1.0)
    assert bench.monitor.snapshot().plans_forwarded > forwarded
    assert bench.state is StopState.READY, bench.log
    assert bench.peak_jerk_ratio() <= 1.000001


def test_a_plan_that_goes_out_a_little_later_goes_out(make_bench):
    bench = make_bench(jitter=False)
    bench.get_moving()
    bench.policy_on = False
    outputs = bench.monitor.on_plan(bench.plan(spare_ns=10 * MS), bench.now)
    assert held_up(bench, outputs, 0.05) is None
    bench.run(2.0)
    assert bench.state is StopState.READY, bench.log
    assert bench.peak_jerk_ratio() <= 1.000001


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.44])
def test_a_brake_that_this_process_could_not_send_in_time_is_made_anew(make_bench, seconds):
    """H5."""
    bench = make_bench(jitter=False)
    bench.get_moving()
    bench.policy_on = False
    bench.run(0.1)
    _, _, outputs = bench.monitor.request_stop("a test asks", bench.now)
    assert len(outputs.arm) == 1
    # The process stands: nothing is taken in before it goes on.
    bench.monitor_stalled_until_ns = bench.now_ns + round(seconds * S)
    others = held_up(bench, outputs, seconds)
    assert others is not None
    assert len(others.arm) == 1
    assert bench.run_until(lambda: bench.state is not StopState.STOPPING, 3.0)
    bench.run(1.0)
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.state is StopState.STOPPED_LATCHED, bench.log
