# SPDX-License-Identifier: Apache-2.0
import asyncio
import threading
import time

import pytest
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.task import Future
from std_msgs.msg import Int64
from std_srvs.srv import Trigger

DEADLINE_S = 60.0


def test_a_timer_calls_back_again_and_again(node, spin_until):
    calls = []
    node.create_timer(0.01, lambda: calls.append(1))
    spin_until(node, lambda: len(calls) >= 5)


def test_a_cancelled_timer_rests_until_it_is_reset(node, ros, spin_until):
    calls = []
    timer = node.create_timer(0.005, lambda: calls.append(1))
    spin_until(node, lambda: calls)
    timer.cancel()
    assert timer.is_canceled()
    ros.spin_once(node, timeout_sec=0.0)
    count = len(calls)
    ros.spin_once(node, timeout_sec=0.05)
    assert len(calls) == count
    timer.reset()
    spin_until(node, lambda: len(calls) > count)


def test_a_timer_without_autostart_waits_for_reset(node, ros, spin_until):
    calls = []
    timer = node.create_timer(0.001, lambda: calls.append(1), autostart=False)
    ros.spin_once(node, timeout_sec=0.05)
    assert calls == []
    timer.reset()
    spin_until(node, lambda: calls)


def test_a_timer_that_is_late_skips_calls_instead_of_catching_up(node, spin_until):
    calls = []

    def slow():
        calls.append(1)
        time.sleep(0.1)

    timer = node.create_timer(0.01, slow, clock=Clock(clock_type=ClockType.STEADY_TIME))
    started = time.monotonic()
    spin_until(node, lambda: len(calls) >= 3)
    assert time.monotonic() - started >= 0.2
    assert timer.time_until_next_call() <= 0.01e9


def test_a_destroyed_timer_is_silent(node, ros, spin_until):
    calls = []
    timer = node.create_timer(0.001, lambda: calls.append(1))
    spin_until(node, lambda: calls)
    assert node.destroy_timer(timer)
    count = len(calls)
    ros.spin_once(node, timeout_sec=0.05)
    assert len(calls) == count


def test_an_exception_in_a_callback_comes_out_of_spin(node, ros):
    def fail():
        raise KeyError("on purpose")

    node.create_timer(0.001, fail)
    with pytest.raises(KeyError, match="on purpose"):
        ros.spin_once(node, timeout_sec=60)


def test_an_exception_in_a_thread_of_the_pool_comes_out_of_spin(node):
    def fail():
        raise KeyError("on purpose")

    node.create_timer(0.001, fail)
    executor = MultiThreadedExecutor(2)
    executor.add_node(node)
    with pytest.raises(KeyError, match="on purpose"):
        executor.spin()
    executor.shutdown()


def test_spin_once_runs_one_callback(node, ros):
    calls = []
    for _ in range(2):
        node.create_guard_condition(lambda: calls.append(1)).trigger()
    ros.spin_once(node, timeout_sec=60)
    assert len(calls) == 1
    ros.spin_once(node, timeout_sec=60)
    assert len(calls) == 2


def test_spin_until_future_complete_ends_at_its_timeout(node, ros):
    future = Future()
    ros.spin_until_future_complete(node, future, timeout_sec=0.05)
    assert not future.done()


def test_spin_until_future_complete_ends_when_another_thread_sets_the_result(node, ros):
    future = Future()
    threading.Timer(0.05, lambda: future.set_result(7)).start()
    ros.spin_until_future_complete(node, future, timeout_sec=DEADLINE_S)
    assert future.result() == 7


def test_a_guard_condition_wakes_a_waiting_executor(node, ros):
    calls = []
    guard = node.create_guard_condition(lambda: calls.append(1))
    threading.Timer(0.05, guard.trigger).start()
    ros.spin_once(node, timeout_sec=DEADLINE_S)
    assert calls == [1]


def test_a_coroutine_callback_may_await_a_service_of_its_own_node(node, spin_until):
    answers = []
    group = ReentrantCallbackGroup()

    def answer(request, response):
        response.message = "here"
        return response

    node.create_service(Trigger, "trigger", answer, callback_group=group)
    client = node.create_client(Trigger, "trigger", callback_group=group)

    async def ask(message):
        answers.append((await client.call_async(Trigger.Request())).message)

    node.create_subscription(Int64, "numbers", ask, 10, callback_group=group)
    publisher = node.create_publisher(Int64, "numbers", 10)
    spin_until(node, lambda: publisher.get_subscription_count() and client.service_is_ready())
    publisher.publish(Int64())
    spin_until(node, lambda: answers)
    assert answers == ["here"]


def test_a_task_gives_the_result_of_a_coroutine(ros, node):
    gate = Future()

    async def work(a, b):
        return a + await gate + b

    executor = SingleThreadedExecutor()
    executor.add_node(node)
    task = executor.create_task(work, 1, b=2)
    executor.spin_once(timeout_sec=1)
    assert not task.done()
    gate.set_result(10)
    executor.spin_until_future_complete(task, timeout_sec=DEADLINE_S)
    assert task.result() == 13
    executor.shutdown()


def _spin_with_threads(ros, node, done, threads=4):
    executor = MultiThreadedExecutor(threads)
    executor.add_node(node)
    deadline = time.monotonic() + DEADLINE_S
    while not done.is_set() and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    assert done.is_set()


def test_reentrant_callbacks_run_at_the_same_time(ros, node):
    group = ReentrantCallbackGroup()
    both = threading.Barrier(2, timeout=DEADLINE_S)
    done = threading.Event()

    def meet():
        both.wait()  # passes only when the other one is inside too
        done.set()

    for _ in range(2):
        node.create_guard_condition(meet, callback_group=group).trigger()
    _spin_with_threads(ros, node, done)


def test_callbacks_of_an_exclusive_group_never_overlap(ros, node):
    group = MutuallyExclusiveCallbackGroup()
    done = threading.Event()
    inside, overlaps, calls = [], [], []

    def work():
        inside.append(1)
        if len(inside) > 1:
            overlaps.append(1)
        time.sleep(0.005)
        inside.pop()
        calls.append(1)
        if len(calls) >= 20:
            done.set()

    for _ in range(4):
        node.create_timer(0.001, work, callback_group=group)
    _spin_with_threads(ros, node, done)
    assert overlaps == []


def test_a_node_moves_from_one_executor_to_another(ros, node, spin_until):
    received = []
    node.create_subscription(Int64, "numbers", lambda m: received.append(m.data), 10)
    publisher = node.create_publisher(Int64, "numbers", 10)
    spin_until(node, lambda: publisher.get_subscription_count())
    first, second = SingleThreadedExecutor(), SingleThreadedExecutor()
    assert first.add_node(node)
    publisher.publish(Int64(data=1))
    assert second.add_node(node)
    assert not second.add_node(node)
    assert first.get_nodes() == []
    deadline = time.monotonic() + DEADLINE_S
    while not received and time.monotonic() < deadline:
        second.spin_once(timeout_sec=0.1)
    assert received == [1]
    first.shutdown()
    second.shutdown()


def test_shutdown_in_a_callback_ends_spin(ros, node):
    node.create_timer(0.01, ros.shutdown)
    ros.spin(node)
    assert not ros.ok()


def test_a_rate_sleeps_beside_a_spinning_thread(ros, node):
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    rate = node.create_rate(100.0)
    for _ in range(3):
        rate.sleep()
    executor.shutdown()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_every_message_wakes_the_executor(ros, node):
    answered = threading.Event()
    node.create_subscription(Int64, "numbers", lambda message: answered.set(), 10)
    publisher = node.create_publisher(Int64, "numbers", 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    deadline = time.monotonic() + DEADLINE_S
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.01)
    for _ in range(1000):
        answered.clear()
        publisher.publish(Int64())
        assert answered.wait(DEADLINE_S)
    executor.shutdown()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_a_future_can_be_awaited_in_asyncio(ros, node):
    async def spin():
        while ros.ok():
            ros.spin_once(node, timeout_sec=0.01)
            await asyncio.sleep(0.001)

    async def wait():
        inner, outer = ros.task.Future(), ros.task.Future()

        async def callback():
            timer.cancel()
            outer.set_result(await inner)

        timer = node.create_timer(0.01, callback)
        second = node.create_timer(
            0.05,
            lambda: inner.done() or inner.set_result(7),
            callback_group=ReentrantCallbackGroup(),  # the other timer's waits for this one
        )
        spinning = asyncio.ensure_future(spin())
        try:
            return await asyncio.wait_for(outer, DEADLINE_S)
        finally:
            spinning.cancel()
            node.destroy_timer(second)

    assert asyncio.run(wait()) == 7
