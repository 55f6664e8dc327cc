# SPDX-License-Identifier: Apache-2.0
import pytest
from action_msgs.msg import GoalStatus
from action_msgs.srv import CancelGoal
from example_interfaces.action import Fibonacci
from rclpy.action import ActionClient, ActionServer, get_action_names_and_types


@pytest.fixture
def client(node, peer):
    peer("action")
    made = ActionClient(node, Fibonacci, "fibonacci")
    assert made.wait_for_server(timeout_sec=60)
    yield made
    made.destroy()


def test_a_goal_gives_feedback_and_a_result(node, client, call, spin_until):
    feedback = []
    goal_handle = call(
        node,
        client.send_goal_async(
            Fibonacci.Goal(order=5), lambda message: feedback.append(message.feedback)
        ),
    )
    assert goal_handle.accepted
    response = call(node, goal_handle.get_result_async())
    assert response.status == GoalStatus.STATUS_SUCCEEDED
    assert list(response.result.sequence) == [0, 1, 1, 2, 3, 5, 8]
    spin_until(node, lambda: len(feedback) == 5)
    assert list(feedback[0].sequence) == [0, 1, 1]
    spin_until(node, lambda: goal_handle.status == GoalStatus.STATUS_SUCCEEDED)


def test_a_result_can_be_had_after_the_end(node, client, call, spin_until):
    goal_handle = call(node, client.send_goal_async(Fibonacci.Goal(order=1)))
    spin_until(node, lambda: goal_handle.status == GoalStatus.STATUS_SUCCEEDED)
    assert list(call(node, goal_handle.get_result_async()).result.sequence) == [0, 1, 1]


def test_a_goal_may_be_rejected(node, client, call):
    goal_handle = call(node, client.send_goal_async(Fibonacci.Goal(order=-1)))
    assert not goal_handle.accepted


def test_a_goal_may_be_aborted(node, client, call):
    goal_handle = call(node, client.send_goal_async(Fibonacci.Goal(order=13)))
    response = call(node, goal_handle.get_result_async())
    assert response.status == GoalStatus.STATUS_ABORTED
    assert len(response.result.sequence) == 15


def test_a_goal_can_be_cancelled(node, client, call):
    goal_handle = call(node, client.send_goal_async(Fibonacci.Goal(order=10000)))
    result = goal_handle.get_result_async()
    cancellation = call(node, goal_handle.cancel_goal_async())
    assert [info.goal_id for info in cancellation.goals_canceling] == [goal_handle.goal_id]
    assert call(node, result).status == GoalStatus.STATUS_CANCELED
    again = call(node, goal_handle.cancel_goal_async())
    assert again.return_code == CancelGoal.Response.ERROR_GOAL_TERMINATED


def test_goals_run_side_by_side(node, client, call):
    handles = [
        call(node, client.send_goal_async(Fibonacci.Goal(order=order))) for order in (3, 4, 5)
    ]
    results = [handle.get_result_async() for handle in handles]
    assert [len(call(node, result).result.sequence) for result in results] == [5, 6, 7]


def test_the_graph_knows_the_action(node, client):
    assert ("/fibonacci", ["example_interfaces/action/Fibonacci"]) in get_action_names_and_types(
        node
    )


def test_an_execute_callback_that_raises_aborts_the_goal(node, call, capfd):
    def execute(goal_handle):
        raise ValueError("on purpose")

    server = ActionServer(node, Fibonacci, "fibonacci", execute)
    client = ActionClient(node, Fibonacci, "fibonacci")
    assert client.wait_for_server(timeout_sec=60)
    goal_handle = call(node, client.send_goal_async(Fibonacci.Goal(order=1)))
    response = call(node, goal_handle.get_result_async())
    assert response.status == GoalStatus.STATUS_ABORTED
    assert "on purpose" in capfd.readouterr().err
    client.destroy()
    server.destroy()


def test_an_execute_callback_may_be_a_coroutine(node, call):
    async def execute(goal_handle):
        goal_handle.succeed()
        return Fibonacci.Result(sequence=[goal_handle.request.order])

    server = ActionServer(node, Fibonacci, "fibonacci", execute)
    client = ActionClient(node, Fibonacci, "fibonacci")
    assert client.wait_for_server(timeout_sec=60)
    goal_handle = call(node, client.send_goal_async(Fibonacci.Goal(order=8)))
    assert list(call(node, goal_handle.get_result_async()).result.sequence) == [8]
    client.destroy()
    server.destroy()


def test_a_goal_of_another_type_is_refused(node):
    client = ActionClient(node, Fibonacci, "fibonacci")
    with pytest.raises(TypeError):
        client.send_goal_async(Fibonacci.Result())
    client.destroy()


def test_waiting_for_a_server_that_is_not_there_ends(node):
    client = ActionClient(node, Fibonacci, "fibonacci")
    assert not client.wait_for_server(timeout_sec=0.05)
    client.destroy()
