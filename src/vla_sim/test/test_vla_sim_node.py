# SPDX-License-Identifier: Apache-2.0
"""The node as a process, seen from another: topics, the action, the reset, bad input, the end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration, Time
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTrajectoryControllerState
from rcl_interfaces.msg import ParameterEvent
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from vla_msgs.msg import TaskState
from vla_msgs.srv import ResetScene

MS = 1_000_000
ROBOT = Path(__file__).parents[3] / "config" / "robots" / "so101" / "robot.yaml"
ARM = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"]
HOME = [0.0, -1.2, 1.0, 1.25, 0.0]
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
SMALL = ("image_width:=160", "image_height:=120")
TOPICS = {
    "joint_states": (JointState, QoSProfile(depth=100)),
    "arm_controller/controller_state": (JointTrajectoryControllerState, QoSProfile(depth=100)),
    "gripper_controller/controller_state": (JointTrajectoryControllerState, QoSProfile(depth=100)),
    "front_camera/image_raw": (Image, BEST_EFFORT),
    "wrist_camera/image_raw": (Image, BEST_EFFORT),
    "front_camera/camera_info": (CameraInfo, BEST_EFFORT),
    "vla_sim/task_state": (TaskState, QoSProfile(depth=1)),
}


def launch(*parameters, **popen):
    words = [word for each in parameters for word in ("-p", each)]
    command = "import sys; from vla_sim.node import main; sys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", command, "--ros-args", *words], **popen)


def to_ns(stamp):
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def until(ready, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def outcome(future):
    until(future.done)
    return future.result()


def trajectory(*knots, stamp_ns=0, names=ARM):
    rest = [0.0] * len(names)
    msg = JointTrajectory(joint_names=names)
    msg.header.stamp = Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
    msg.points = [
        JointTrajectoryPoint(
            positions=list(map(float, position)),
            velocities=rest,
            accelerations=rest,
            time_from_start=Duration(sec=time_ms // 1000, nanosec=time_ms % 1000 * MS),
        )
        for time_ms, position in knots
    ]
    return msg


class Observer:
    """Subscribes to everything that the node publishes, and can do what a client can."""

    def __init__(self, context):
        self.node = rclpy.create_node("observer", context=context)
        self.seen = {topic: [] for topic in TOPICS}
        for topic, (kind, profile) in TOPICS.items():
            self.node.create_subscription(kind, topic, self.seen[topic].append, profile)
        self.arm = self.node.create_publisher(
            JointTrajectory, "arm_controller/joint_trajectory", 1
        )
        self.gripper = self.node.create_publisher(
            JointTrajectory, "gripper_controller/joint_trajectory", 1
        )
        self.follow = ActionClient(
            self.node, FollowJointTrajectory, "arm_controller/follow_joint_trajectory"
        )
        self.reset_client = self.node.create_client(ResetScene, "vla_sim/reset")

    def now_ns(self):
        return to_ns(self.newest("joint_states").header.stamp)

    def newest(self, topic):
        until(lambda: self.seen[topic])
        return self.seen[topic][-1]

    def reset(self, seed):
        return outcome(self.reset_client.call_async(ResetScene.Request(seed=seed)))

    def positions(self):
        return np.array(self.newest("joint_states").position)

    def at_rest(self):
        reference = self.newest("arm_controller/controller_state").reference
        return not any(reference.velocities)


@pytest.fixture(scope="module")
def domain():
    """A domain of its own for each test process, so that graphs do not meet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(101 + os.getpid() % 100))
        yield


@pytest.fixture(scope="module")
def observer(domain):
    process = launch(f"robot_file:={ROBOT}", "seed:=3", "image_width:=160", "image_height:=120")
    context = rclpy.Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    seen = Observer(context)
    executor.add_node(seen.node)

    def spin():
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    until(seen.reset_client.service_is_ready)
    until(seen.follow.server_is_ready)
    until(lambda: seen.arm.get_subscription_count() and seen.gripper.get_subscription_count())
    yield seen
    executor.shutdown()
    seen.node.destroy_node()
    rclpy.shutdown(context=context)
    thread.join(10)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_every_topic_is_published(observer):
    for topic in TOPICS:
        observer.newest(topic)


def test_states_are_stamped_on_the_grid_and_none_is_left_out(observer):
    seen = observer.seen["joint_states"]
    start = len(seen)
    until(lambda: len(seen) > start + 50)
    stamps = np.array([to_ns(msg.header.stamp) for msg in seen[start:]])
    assert np.all(stamps % (10 * MS) == 0)
    assert np.all(np.diff(stamps) == 10 * MS)


def test_joint_states_hold_arm_and_gripper_on_the_encoders_grid(observer):
    msg = observer.newest("joint_states")
    assert list(msg.name) == [*ARM, "gripper"]
    assert len(msg.position) == len(msg.velocity) == len(msg.effort) == 6
    ticks = np.array(msg.position) * 4096 / (2 * np.pi)
    assert ticks == pytest.approx(np.round(ticks), abs=1e-6)


def test_images_are_rgb_and_stamped_with_a_control_tick(observer):
    for camera in ("front", "wrist"):
        msg = observer.newest(f"{camera}_camera/image_raw")
        assert (msg.encoding, msg.width, msg.height, msg.step) == ("rgb8", 160, 120, 480)
        assert msg.header.frame_id == f"{camera}_camera_optical_frame"
        assert to_ns(msg.header.stamp) % (10 * MS) == 0
        assert np.frombuffer(msg.data, np.uint8).std() > 1.0


def test_the_camera_info_belongs_to_its_image(observer):
    info = observer.newest("front_camera/camera_info")
    assert (info.width, info.height, info.header.frame_id) == (
        160,
        120,
        "front_camera_optical_frame",
    )
    assert info.k[0] == pytest.approx(info.k[4])
    assert info.k[2] == pytest.approx(79.5)
    assert list(info.p[:3]) == list(info.k[:3])


def test_the_scene_is_laid_out_anew_while_the_arm_rests(observer):
    until(observer.at_rest)
    assert observer.reset(-11).success
    until(lambda: observer.newest("vla_sim/task_state").seed == -11)
    task = observer.newest("vla_sim/task_state")
    assert list(task.object_names) == ["red_cube", "green_cube", "blue_cube"]
    assert len(task.object_poses) == len(task.in_bin) == 3
    assert task.header.frame_id == "base_link"


def test_a_reset_is_refused_while_the_arm_moves(observer):
    observer.arm.publish(trajectory((4000, np.add(HOME, 0.2))))
    until(lambda: not observer.at_rest())
    reply = observer.reset(12)
    assert not reply.success
    assert "in motion" in reply.message
    until(observer.at_rest)


def test_controller_state_acknowledges_a_stamped_plan(observer):
    states = observer.seen["arm_controller/controller_state"]
    stamp_ns = observer.now_ns() - 20 * MS
    start = list(observer.newest("arm_controller/controller_state").reference.positions)
    # Long, because a plan that is over when it arrives would be rejected.
    observer.arm.publish(trajectory((0, start), (3000, HOME), stamp_ns=stamp_ns))

    def running_ns():
        state = states[-1]
        return to_ns(state.header.stamp) - to_ns(state.reference.time_from_start)

    until(lambda: running_ns() == stamp_ns)
    until(observer.at_rest)
    assert running_ns() == stamp_ns
    state = states[-1]
    assert list(state.joint_names) == ARM
    assert list(state.reference.positions) == HOME
    assert (len(state.feedback.velocities), len(state.output.positions)) == (5, 5)
    assert state.speed_scaling_factor == 1.0


def test_a_plan_that_begins_later_is_acknowledged_with_a_negative_time(observer):
    states = observer.seen["arm_controller/controller_state"]
    seen = len(states)
    stamp_ns = observer.now_ns() + 3000 * MS
    observer.arm.publish(trajectory((0, HOME), stamp_ns=stamp_ns))

    def early(state):
        elapsed_ns = to_ns(state.reference.time_from_start)
        return elapsed_ns < 0 and to_ns(state.header.stamp) - elapsed_ns == stamp_ns

    until(lambda: any(map(early, states[seen:])))


def test_the_gripper_has_its_own_controller(observer):
    observer.gripper.publish(trajectory((300, [0.9]), names=["gripper"]))
    until(lambda: abs(observer.positions()[5] - 0.9) < 0.02)


def test_an_action_goal_succeeds_with_feedback(observer):
    feedback = []
    goal = FollowJointTrajectory.Goal(trajectory=trajectory((500, np.add(HOME, 0.1))))
    handle = outcome(
        observer.follow.send_goal_async(goal, lambda msg: feedback.append(msg.feedback))
    )
    assert handle.accepted
    reply = outcome(handle.get_result_async())
    assert reply.status == GoalStatus.STATUS_SUCCEEDED
    assert reply.result.error_code == FollowJointTrajectory.Result.SUCCESSFUL
    assert feedback
    assert list(feedback[0].joint_names) == ARM
    assert observer.positions()[:5] == pytest.approx(np.add(HOME, 0.1), abs=0.02)


def test_an_invalid_goal_is_rejected(observer):
    goal = FollowJointTrajectory.Goal(trajectory=trajectory((500, [0.0]), names=["tail"]))
    assert not outcome(observer.follow.send_goal_async(goal)).accepted


def test_a_cancelled_goal_ends_and_the_arm_holds(observer):
    goal = FollowJointTrajectory.Goal(trajectory=trajectory((20_000, np.add(HOME, 0.3))))
    handle = outcome(observer.follow.send_goal_async(goal))
    until(lambda: not observer.at_rest())
    outcome(handle.cancel_goal_async())
    reply = outcome(handle.get_result_async())
    assert reply.status == GoalStatus.STATUS_CANCELED
    until(observer.at_rest)


def test_a_new_goal_aborts_the_running_one(observer):
    long = FollowJointTrajectory.Goal(trajectory=trajectory((20_000, HOME)))
    goal = FollowJointTrajectory.Goal(trajectory=trajectory((600, HOME)))
    first = outcome(observer.follow.send_goal_async(long))
    second = outcome(observer.follow.send_goal_async(goal))
    aborted = outcome(first.get_result_async())
    assert aborted.status == GoalStatus.STATUS_ABORTED
    assert aborted.result.error_code == FollowJointTrajectory.Result.INVALID_GOAL
    reached = outcome(second.get_result_async())
    assert reached.status == GoalStatus.STATUS_SUCCEEDED


def test_a_nan_moves_nothing(observer):
    before = observer.positions()
    observer.arm.publish(trajectory((100, [float("nan")] * 5)))
    refused_ns = observer.now_ns()
    until(lambda: observer.now_ns() > refused_ns + 500 * MS)
    assert observer.positions() == pytest.approx(before, abs=0.01)
    observer.arm.publish(trajectory((300, HOME)))
    until(lambda: np.allclose(observer.positions()[:5], HOME, atol=0.02))


def test_each_controller_offers_the_parameters_of_the_original(observer):
    """Under its own name, whatever the simulation's node is called."""
    for name, joints in (("arm_controller", ARM), ("gripper_controller", ["gripper"])):
        ask = observer.node.create_client(GetParameters, f"{name}/get_parameters")
        until(ask.service_is_ready)
        wanted = ["joints", "allow_trajectory_replacement", "interpolation_method"]
        values = outcome(ask.call_async(GetParameters.Request(names=wanted))).values
        assert list(values[0].string_array_value) == joints
        assert values[1].bool_value is False
        assert values[2].string_value == "splines"


def test_a_controllers_parameter_that_is_set_changes_what_it_does(observer):
    until(observer.at_rest)
    set_ = observer.node.create_client(SetParameters, "arm_controller/set_parameters")
    until(set_.service_is_ready)

    def replace(value):
        parameter = Parameter("allow_trajectory_replacement", value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        return outcome(set_.call_async(request)).results[0].successful

    states = observer.seen["arm_controller/controller_state"]

    def start_ns():
        state = states[-1]
        return to_ns(state.header.stamp) - to_ns(state.reference.time_from_start)

    events = []
    told = observer.node.create_subscription(
        ParameterEvent, "/parameter_events", events.append, 100
    )
    # Its way there may take longer than the setting.
    until(lambda: observer.node.count_publishers("/parameter_events") > 0)
    assert replace(True)
    try:
        until(lambda: replace(True) and any(event.node == "/arm_controller" for event in events))
        event = next(event for event in events if event.node == "/arm_controller")
        (change,) = event.changed_parameters
        assert (change.name, change.value.bool_value) == ("allow_trajectory_replacement", True)
        here = list(observer.newest("arm_controller/controller_state").reference.positions)

        def back_ns():
            return to_ns(states[-1].header.stamp) - 30 * MS

        before_ns = start_ns()
        observer.arm.publish(trajectory((0, here), (3000, here), stamp_ns=back_ns()))
        until(lambda: start_ns() != before_ns)
        before_ns = start_ns()
        stamp_ns = back_ns()
        observer.arm.publish(trajectory((0, here), (3000, HOME), stamp_ns=stamp_ns))
        until(lambda: start_ns() != before_ns)
        # It began on its arrival, not at its stamp.
        assert start_ns() > stamp_ns + 20 * MS
        until(observer.at_rest)
    finally:
        observer.node.destroy_subscription(told)
        assert replace(False)


def test_a_command_that_was_held_back_is_dropped(observer, monkeypatch):
    topics = pytest.importorskip("embedded_ros2.topics")
    until(observer.at_rest)
    before = list(observer.newest("arm_controller/controller_state").reference.positions)
    # Its age counts in simulated time, which a busy host slows down.
    sent_ns, sim_ns = time.time_ns(), observer.now_ns()
    until(lambda: observer.now_ns() > sim_ns + 300 * MS)
    late = SimpleNamespace(time_ns=lambda: sent_ns)
    with monkeypatch.context() as patch:
        patch.setattr(topics, "time", late)
        observer.arm.publish(trajectory((200, np.add(HOME, 0.3))))
    later_ns = observer.now_ns() + 500 * MS
    until(lambda: observer.now_ns() > later_ns)
    after = observer.newest("arm_controller/controller_state").reference.positions
    assert list(after) == before
    observer.arm.publish(trajectory((200, HOME)))
    until(lambda: np.allclose(observer.positions()[:5], HOME, atol=0.02))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ((), "parameter robot_file: is not set"),
        (("robot_file:=/no/such.yaml",), "/no/such.yaml: the file: cannot be read"),
        (("robot_file:={robot}", "controller_rate_hz:=90"), "controller_rate_hz: is 90"),
        (("robot_file:={robot}", "seed:=many"), "'seed'"),
        (("robot_file:={robot}", "camera_rate_hz:=400.0"), "camera_rate_hz out of range"),
    ],
)
def test_bad_input_ends_the_node_with_one_line(domain, parameters, said):
    words = [word.format(robot=ROBOT) for word in parameters]
    process = launch(*words, stderr=subprocess.PIPE, text=True)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert said in errors


@pytest.mark.parametrize("domain_id", ["abc", "300"])
def test_an_impossible_domain_ends_the_node_with_one_line_of_its_own(domain_id):
    environment = {**os.environ, "ROS_DOMAIN_ID": domain_id}
    process = launch(f"robot_file:={ROBOT}", stderr=subprocess.PIPE, text=True, env=environment)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    # A middleware may have had a word before.
    assert errors.strip().splitlines()[-1].startswith("vla_sim: ROS cannot be started: ")
    assert "Traceback" not in errors


def test_a_log_that_nobody_reads_holds_up_no_tick(domain):
    """A launch that is stopped, a suspended terminal: the pipe is full and stays so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    domain_id = 1 + os.getpid() % 100
    alone = {**os.environ, "ROS_DOMAIN_ID": str(domain_id)}
    process = launch(f"robot_file:={ROBOT}", *SMALL, stdout=writing, stderr=writing, env=alone)
    os.close(writing)
    context = rclpy.Context()
    try:
        rclpy.init(context=context, domain_id=domain_id)
        node = rclpy.create_node("reader", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        heard = []
        profile = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(JointState, "joint_states", heard.append, profile)

        def many():
            executor.spin_once(timeout_sec=0.1)
            return len(heard) > 50

        until(many, 120.0)
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
        process.kill()
        process.wait()
        os.close(reading)


def test_a_second_simulation_in_the_graph_makes_way_and_says_for_whom(observer):
    """Two sources of one time set the clock of every node to and fro."""
    until(observer.at_rest)
    process = launch(f"robot_file:={ROBOT}", *SMALL, stderr=subprocess.PIPE, text=True)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    said = errors.strip().splitlines()[-1]
    assert "vla_sim: somebody else tells the time on /clock" in said
    assert "give this one a namespace" in said
    # The first one goes on.
    before_ns = observer.now_ns()
    until(lambda: observer.newest("joint_states") and observer.now_ns() > before_ns + 100 * MS)


def test_a_negative_time_that_another_node_tells_ends_no_simulation():
    """rclpy raises on such a time, in every node that follows /clock, as the launch file's do."""
    domain_id = 1 + os.getpid() % 100
    alone = {**os.environ, "ROS_DOMAIN_ID": str(domain_id)}
    followed = (f"robot_file:={ROBOT}", *SMALL, "use_sim_time:=true")
    process = launch(*followed, stderr=subprocess.PIPE, text=True, env=alone)
    said = []
    threading.Thread(target=lambda: said.extend(process.stderr), daemon=True).start()
    context = rclpy.Context()
    try:
        rclpy.init(context=context, domain_id=domain_id)
        node = rclpy.create_node("broken", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        publisher = node.create_publisher(Clock, "/clock", 10)
        heard = []
        node.create_subscription(JointState, "joint_states", heard.append, BEST_EFFORT)

        def tell_until(ready):
            def told():
                assert process.poll() is None, said
                publisher.publish(Clock(clock=Time(sec=-5)))
                executor.spin_once(timeout_sec=0.02)
                return ready()

            until(told, 120.0)

        tell_until(lambda: any("somebody else tells the time" in line for line in said))
        heard.clear()
        tell_until(lambda: len(heard) > 20)
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
        process.kill()
        process.wait()


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_a_node_that_is_told_to_end_ends_cleanly(domain, signals):
    # In a graph of its own: beside the observer's simulation it would make way.
    alone = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    process = launch(f"robot_file:={ROBOT}", *SMALL, stderr=subprocess.PIPE, text=True, env=alone)
    assert "simulating so101" in process.stderr.readline()
    time.sleep(0.5)  # rclpy itself complains when it is shut down on its way into spin
    for each in signals:
        process.send_signal(each)
        time.sleep(0.02)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
