# SPDX-License-Identifier: Apache-2.0
import threading

import pytest
from example_interfaces.srv import AddTwoInts
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import SetBool, Trigger


def test_a_service_in_another_process_answers(node, peer, call):
    peer("server")
    client = node.create_client(AddTwoInts, "add")
    assert client.wait_for_service(timeout_sec=60)
    assert call(node, client.call_async(AddTwoInts.Request(a=2, b=-5))).sum == -3


def test_answers_find_their_requests(node, peer, call):
    peer("server")
    client = node.create_client(AddTwoInts, "add")
    assert client.wait_for_service(timeout_sec=60)
    futures = [client.call_async(AddTwoInts.Request(a=n, b=n)) for n in range(8)]
    assert [call(node, future).sum for future in futures] == [2 * n for n in range(8)]


def test_a_service_callback_may_be_a_coroutine_that_calls_another_service(node, peer, call):
    peer("server")
    client = node.create_client(SetBool, "set")
    assert client.wait_for_service(timeout_sec=60)
    response = call(node, client.call_async(SetBool.Request(data=True)))
    assert response == SetBool.Response(success=True, message="42")


def test_waiting_for_a_service_that_is_not_there_ends(node):
    client = node.create_client(Trigger, "nowhere")
    assert not client.service_is_ready()
    assert not client.wait_for_service(timeout_sec=0.05)


def test_a_call_without_a_server_stays_open(node, ros):
    client = node.create_client(Trigger, "nowhere")
    future = client.call_async(Trigger.Request())
    ros.spin_until_future_complete(node, future, timeout_sec=0.1)
    assert not future.done()


def test_a_request_of_another_type_is_refused(node):
    client = node.create_client(Trigger, "nowhere")
    with pytest.raises(TypeError):
        client.call_async(SetBool.Request())


def test_a_blocking_call_works_beside_a_spinning_thread(node, ros):
    def answer(request, response):
        response.success = True
        return response

    other = ros.create_node("other")
    other.create_service(Trigger, "trigger", answer)
    client = node.create_client(Trigger, "trigger")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(other)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    assert client.wait_for_service(timeout_sec=60)
    assert client.call(Trigger.Request()).success
    executor.shutdown()
    thread.join(60)
    assert not thread.is_alive()
    other.destroy_node()


def test_a_service_callback_that_returns_nothing_is_an_error(node, ros):
    node.create_service(Trigger, "trigger", lambda request, response: None)
    client = node.create_client(Trigger, "trigger")
    assert client.wait_for_service(timeout_sec=60)
    future = client.call_async(Trigger.Request())
    with pytest.raises(TypeError):
        ros.spin_until_future_complete(node, future, timeout_sec=60)
