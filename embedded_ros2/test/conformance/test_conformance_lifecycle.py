# SPDX-License-Identifier: Apache-2.0
import pytest
from lifecycle_msgs.msg import State, Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
from rclpy.lifecycle import LifecycleNode, ManagedEntity, TransitionCallbackReturn
from std_msgs.msg import Int64


class Recorder(LifecycleNode):
    """Notes its callbacks and answers as told."""

    def __init__(self, **answers):
        super().__init__("managed")
        self.calls = []
        self.answers = answers

    def _note(self, name, state):
        self.calls.append((name, state.label))
        answer = self.answers.get(name, TransitionCallbackReturn.SUCCESS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def on_configure(self, state):
        return self._note("configure", state)

    def on_activate(self, state):
        super().on_activate(state)
        return self._note("activate", state)

    def on_deactivate(self, state):
        super().on_deactivate(state)
        return self._note("deactivate", state)

    def on_cleanup(self, state):
        return self._note("cleanup", state)

    def on_shutdown(self, state):
        return self._note("shutdown", state)

    def on_error(self, state):
        return self._note("error", state)


@pytest.fixture
def managed(ros):
    """Return a function that makes a managed node."""
    made = []

    def make(**answers):
        made.append(Recorder(**answers))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()


def _ask(node, call, kind, name, **fields):
    client = node.create_client(kind, f"/managed/{name}")
    assert client.wait_for_service(timeout_sec=60)
    return call(node, client.call_async(kind.Request(**fields)))


def _state(node, call):
    return _ask(node, call, GetState, "get_state").current_state.label


def test_a_node_goes_through_its_states(managed, call):
    node = managed()
    assert _state(node, call) == "unconfigured"
    for trigger, label in (
        (node.trigger_configure, "inactive"),
        (node.trigger_activate, "active"),
        (node.trigger_deactivate, "inactive"),
        (node.trigger_cleanup, "unconfigured"),
        (node.trigger_shutdown, "finalized"),
    ):
        assert trigger() == TransitionCallbackReturn.SUCCESS
        assert _state(node, call) == label
    assert node.calls == [
        ("configure", "unconfigured"),
        ("activate", "inactive"),
        ("deactivate", "active"),
        ("cleanup", "inactive"),
        ("shutdown", "unconfigured"),
    ]


def test_a_failure_leaves_the_node_where_it_was(managed, call):
    node = managed(configure=TransitionCallbackReturn.FAILURE)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert _state(node, call) == "unconfigured"


def test_an_exception_is_an_error_from_which_the_node_may_recover(managed, call):
    node = managed(configure=RuntimeError("on purpose"))
    assert node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert node.calls == [("configure", "unconfigured"), ("error", "unconfigured")]
    assert _state(node, call) == "unconfigured"


def test_an_error_without_recovery_ends_the_node(managed, call):
    node = managed(
        configure=TransitionCallbackReturn.ERROR, error=TransitionCallbackReturn.FAILURE
    )
    node.trigger_configure()
    assert _state(node, call) == "finalized"


def test_transitions_can_be_asked_for_by_number_and_by_name(managed, call):
    node = managed()
    configure = Transition(id=Transition.TRANSITION_CONFIGURE)
    assert _ask(node, call, ChangeState, "change_state", transition=configure).success
    assert _ask(
        node, call, ChangeState, "change_state", transition=Transition(label="activate")
    ).success
    assert _state(node, call) == "active"
    unknown = Transition(label="fly")
    assert not _ask(node, call, ChangeState, "change_state", transition=unknown).success


def test_states_and_transitions_are_listed(managed, call):
    node = managed()
    states = _ask(node, call, GetAvailableStates, "get_available_states").available_states
    assert {state.label for state in states} >= {"unconfigured", "inactive", "active", "finalized"}
    assert {state.id for state in states} >= {State.TRANSITION_STATE_ERRORPROCESSING}
    available = _ask(
        node, call, GetAvailableTransitions, "get_available_transitions"
    ).available_transitions
    assert [(item.transition.id, item.transition.label) for item in available] == [
        (Transition.TRANSITION_CONFIGURE, "configure"),
        (Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, "shutdown"),
    ]
    graph = _ask(node, call, GetAvailableTransitions, "get_transition_graph").available_transitions
    assert len(graph) == 25
    edges = {(item.transition.id, item.start_state.id, item.goal_state.id) for item in graph}
    assert {(10, 10, 2), (31, 13, 2), (42, 14, 15), (51, 12, 4), (60, 15, 1)} <= edges


def test_transitions_are_told(managed, spin_until):
    node = managed()
    events = []
    node.create_subscription(TransitionEvent, "/managed/transition_event", events.append, 10)
    spin_until(node, lambda: node.count_subscribers("/managed/transition_event"))
    node.trigger_configure()
    spin_until(node, lambda: len(events) == 2)
    assert [(e.start_state.label, e.goal_state.label) for e in events] == [
        ("unconfigured", "configuring"),
        ("configuring", "inactive"),
    ]


def test_a_managed_publisher_speaks_only_while_active(managed, spin_until):
    node = managed()
    received = []
    publisher = node.create_lifecycle_publisher(Int64, "numbers", 10)
    node.create_subscription(Int64, "numbers", lambda m: received.append(m.data), 10)
    spin_until(node, lambda: publisher.get_subscription_count())
    publisher.publish(Int64(data=1))
    node.trigger_configure()
    node.trigger_activate()
    assert publisher.is_activated
    publisher.publish(Int64(data=2))
    spin_until(node, lambda: received)
    node.trigger_deactivate()
    publisher.publish(Int64(data=3))
    node.trigger_activate()
    publisher.publish(Int64(data=4))
    spin_until(node, lambda: received[-1:] == [4])
    assert received == [2, 4]


def test_managed_entities_take_part(ros, call):
    class Unready(ManagedEntity):
        def on_configure(self, state):
            return TransitionCallbackReturn.FAILURE

    node = LifecycleNode("managed")
    node.add_managed_entity(Unready())
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    with pytest.raises(TypeError):
        node.add_managed_entity("nothing")
    node.destroy_node()


def test_a_transition_that_does_not_start_here_is_refused(managed):
    node = managed()
    with pytest.raises(RuntimeError):
        node.trigger_activate()
