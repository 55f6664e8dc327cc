# SPDX-License-Identifier: Apache-2.0
"""The page's jog: it holds the arm by a lease, begins where the arm is led, and lets go."""

import asyncio

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vla_msgs.msg")

import rclpy
from control_msgs.msg import JointTrajectoryControllerState
from vla_msgs.msg import ActionChunk, ExecutorStatus
from vla_msgs.srv import AcquireArm, ReleaseArm

from node_kit import qos
from node_kit.messages import to_ns, trajectory_to
from smooth_motion import Plan
from smooth_motion.messages import Trajectory
from vla_operator import jogging

NOBODY = "nothing is heard of the arm's controllers"


def moved(joint, begin, by, start_ns, step_s=0.5):
    """Return a plan of one joint from rest to rest, in four steps of constant jerk."""
    knots = [(begin, 0.0, 0.0)]
    for sign in (1.0, -1.0, -1.0, 1.0):
        jerk = sign * by / (2.0 * step_s**3)
        p, v, a = knots[-1]
        knots.append(
            (
                p + v * step_s + a * step_s**2 / 2.0 + jerk * step_s**3 / 6.0,
                v + a * step_s + jerk * step_s**2 / 2.0,
                a + jerk * step_s,
            )
        )
    knots[-1] = (begin + by, 0.0, 0.0)
    columns = [np.array(each)[:, None] for each in zip(*knots, strict=True)]
    offsets_ns = np.arange(5, dtype=np.int64) * round(step_s * 1e9)
    return Plan((joint,), start_ns, offsets_ns, *columns)


GRIPPER_TOPIC = "/gripper_controller/joint_trajectory"


class Lender:
    """Gives the arm out, as the planner does, and hears chunks; the gripper's controller too."""

    def __init__(self, graph):
        self.graph, around = graph, graph.around
        self.granted, self.released, self.chunks = [], [], []
        self.node = rclpy.create_node("lender")
        graph.executor.add_node(self.node)
        self.node.create_service(AcquireArm, "arm/acquire", self._grant)
        self.node.create_service(ReleaseArm, "arm/release", self._take_back)
        around.create_subscription(ActionChunk, "arm/action_chunk", self.chunks.append, qos.EACH)
        self.status = around.create_publisher(ExecutorStatus, "arm/executor_status", qos.LATCHED)
        self.gripper = JointTrajectoryControllerState(joint_names=["gripper"])
        self.gripper.reference.positions = [0.3]
        self.states = around.create_publisher(
            JointTrajectoryControllerState, "gripper_controller/controller_state", qos.SENSED
        )
        # The monitor's own: for another one on this topic it stops the arm within a second.
        self.gripper_path = next(
            each for each in graph.monitor.publishers if each.topic_name == GRIPPER_TOPIC
        )
        self.timer = around.create_timer(0.05, self._tell)
        self.speaks, self.closing = True, None

    def close_gripper(self):
        """Let the gripper close by 0.2 rad within 2 s."""
        self.closing = moved("gripper", 0.3, -0.2, self.graph.around.time_ns())
        self.gripper_path.publish(trajectory_to(Trajectory.of(self.closing)))

    def _tell(self):
        if self.closing is not None:
            now = self.closing.sample(self.graph.around.time_ns())
            self.gripper.reference.positions = now.position.tolist()
        self.states.publish(self.gripper)
        if self.speaks:
            holds = len(self.granted) > len(self.released)
            self.status.publish(ExecutorStatus(lease=7 if holds else 0))

    def _grant(self, request, response):
        self.granted.append((request.source, request.take_over))
        response.granted, response.lease, response.timeout = True, 7, 2.0
        return response

    def _take_back(self, request, response):
        self.released.append(request.lease)
        response.success = True
        return response


@pytest.fixture
def lender(graph):
    found = Lender(graph)
    yield found
    found.timer.cancel()
    found.node.destroy_node()


async def in_control(browser):
    page = await browser.open()
    assert (await page.ask("take", name="Ann", over=False))["ok"]
    return page


async def taken(page):
    """Take the arm as soon as that can be."""
    while not (answer := await page.ask("arm", hold=True))["ok"]:
        assert answer["text"] == NOBODY or "nobody carries" in answer["text"], answer
        await asyncio.sleep(0.05)


def test_a_jog_holds_the_arm_sends_chunks_and_ends_with_its_page(graph, lender):
    """H34: a page that is lost has let go, and gives the arm back."""
    around, chunks = graph.around, lender.chunks

    async def look(browser):
        page = await in_control(browser)
        assert not (await page.ask("jog", rates=[1.0] * 6))["ok"], "it does not hold the arm"
        await taken(page)
        assert not (await page.ask("jog", rates=[1.0] * 5))["ok"]
        while not chunks or chunks[-1].positions[-6] < around.stands[0] + 0.03:
            assert (await page.ask("jog", rates=[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]))["ok"]
            await asyncio.sleep(0.05)
        page.socket._response.connection.transport.abort()

    graph.browse(look)
    graph.until(lambda: lender.released)
    assert lender.granted == [("operator's page", True)]
    assert lender.released == [7]
    newest = chunks[-1]
    assert newest.lease == 7
    assert list(newest.joint_names) == [*around.names, "gripper"]
    rows = np.array(newest.positions).reshape(newest.shape)
    assert (rows[:, 5] == 0.3).all(), "the gripper keeps what it is commanded"
    assert np.allclose(rows[0, 1:5], around.stands[1:], atol=1e-6)
    assert (rows[-5:] == rows[-1]).all(), "every chunk ends at rest"


def test_taking_the_arm_moves_nothing_by_itself_where_it_was_brought_elsewhere(graph, lender):
    """The newest plan is over, and the arm is not where it led: in a new scene, or by hand."""
    around = graph.around
    graph.move()
    graph.until(lambda: around.time_ns() > around.running.end_ns + 200_000_000)
    elsewhere = around.stands + 0.2
    around.running = Plan.hold(around.names, elsewhere, around.time_ns())

    async def look(browser):
        page = await in_control(browser)
        led = graph.page._jogging._led
        while (at := led()) is None or not np.allclose(at[:5], elsewhere):
            await asyncio.sleep(0.02)
        await taken(page)
        while not lender.chunks:
            await asyncio.sleep(0.02)

    graph.browse(look)
    rows = np.array(lender.chunks[0].positions).reshape(lender.chunks[0].shape)
    assert np.allclose(rows[:, :5], elsewhere)


def test_arm_and_gripper_that_move_go_on_to_where_a_plan_can_take_over(graph, lender):
    """Held where they are when the arm is taken, they would go back: a gripper lets go then."""
    around, jog = graph.around, graph.page._jogging
    graph.until(lambda: jog._led() is not None and jog._acquire.service_is_ready())
    graph.move()
    lender.close_gripper()
    began_ns, held = around.time_ns(), []
    graph.until(lambda: all(each._path for each in jog._controllers))
    jog.take(lambda ok, text: held.append((ok, text)))
    graph.until(lambda: lender.chunks)
    assert held == [(True, "the page holds the arm")]
    (chunk,) = lender.chunks[:1]
    rows = np.array(chunk.positions).reshape(chunk.shape)
    assert (rows == rows[0]).all()
    times = np.arange(began_ns, to_ns(chunk.header.stamp) + 1, 1_000_000)
    ahead = times + round(jogging.LEAD_S * 1e9)
    plans = around.running, lender.closing
    led = np.concatenate([plan.sample(ahead).position for plan in plans], axis=1)
    assert np.abs(led - rows[0]).max(axis=1).min() < 0.01, "it is on both plans at one time"
    here = np.concatenate([plan.sample(times[-1]).position for plan in plans])
    assert np.abs(rows[0] - here).max() > 0.02, "which is ahead of where they are"


def test_controllers_that_fell_silent_are_not_where_the_arm_is_led_now(graph, lender):
    async def look(browser):
        page = await in_control(browser)
        await taken(page)
        assert (await page.ask("arm", hold=False)) == {
            "type": "answer",
            "n": page.count,
            "ok": True,
            "text": "the arm is given back",
        }
        lender.timer.cancel()
        while (answer := await page.ask("arm", hold=True))["ok"]:
            assert (await page.ask("arm", hold=False))["ok"]
            await asyncio.sleep(0.05)
        assert answer["text"] == NOBODY

    graph.browse(look)


def test_controllers_that_fall_silent_while_the_arm_is_asked_for_are_named(
    graph, lender, monkeypatch
):
    jog, answers = graph.page._jogging, []
    graph.until(lambda: jog._led() is not None and jog._acquire.service_is_ready())
    heard = iter([jog._led()])
    monkeypatch.setattr(jog, "_led", lambda: next(heard, None))
    jog.take(lambda ok, text: answers.append((ok, text)))
    graph.until(lambda: lender.released == [7])
    assert answers == [(False, NOBODY)]
    assert not jog.holds


def test_who_does_not_answer_who_may_have_the_arm_is_told_and_what_comes_late_is_given_back(
    graph, lender, monkeypatch
):
    monkeypatch.setattr(jogging, "_ANSWER_S", 0.3)
    graph.until(lambda: graph.page._jogging._acquire.service_is_ready())
    graph.executor.remove_node(lender.node)

    async def ask(browser):
        page = await in_control(browser)
        while (answer := await page.ask("arm", hold=True))["text"] == NOBODY:
            await asyncio.sleep(0.02)
        assert not answer["ok"]
        assert answer["text"] == "whoever gives out the arm does not answer"
        assert not (await page.until("state"))["jog"]["holds"]

    graph.browse(ask)
    monkeypatch.setattr(jogging, "_ANSWER_S", 300.0)
    graph.executor.add_node(lender.node)
    graph.until(lambda: lender.released == [7])
    assert len(lender.granted) == 1

    async def ask_again(browser):
        page = await in_control(browser)
        await taken(page)

    graph.browse(ask_again)


def test_a_planner_that_falls_silent_while_the_page_holds_the_arm_is_told(graph, lender):
    async def look(browser):
        page = await in_control(browser)
        await taken(page)
        lender.speaks = False
        state = await page.until("state", lambda each: each["jog"]["words"])
        assert state["jog"] == {
            "holds": True,
            "words": "nobody carries out what is jogged: the policy node is silent",
        }

    graph.browse(look)


def test_a_page_that_takes_control_over_ends_the_other_page_s_jog(graph, lender):
    async def look(browser):
        first = await in_control(browser)
        await taken(first)
        second = await browser.open()
        assert (await second.ask("take", name="Bob", over=True))["ok"]
        await second.until("state", lambda each: not each["jog"]["holds"])
        refused = await first.ask("jog", rates=[1.0] * 6)
        assert "not in control" in refused["text"]

    graph.browse(look)
    graph.until(lambda: lender.released == [7])
