# SPDX-License-Identifier: Apache-2.0
"""The black box: what it remembers, when it writes, and what is in the bag."""

import contextlib
import errno
import os
import resource
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rosbags")

from rosbags.rosbag2 import Reader

from vla_recording.black_box.ring import Ring
from vla_recording.black_box.watch import Watch
from vla_recording.black_box.writer import (
    Cause,
    NoSpaceError,
    Topic,
    hash_of,
    try_directory,
    write_bag,
)

S = 1_000_000_000
TEXT = Topic("std_msgs/msg/String", "string data")
CAUSE = Cause("foreign_plan", "somebody moves the arm", 7 * S)
WALL_NS = 1_700_000_000 * S


def string(text: str) -> bytes:
    """Return a std_msgs/String as it is on the wire."""
    raw = text.encode() + b"\0"
    return b"\0\1\0\0" + len(raw).to_bytes(4, "little") + raw


def filled(seconds=10, *, size=0, ring_s=30.0, max_bytes=2**20) -> Ring:
    ring = Ring(ring_s, max_bytes)
    for i in range(seconds * 10):
        ring.add(i * S // 10, "/talk", string(f"{i}{'x' * size}"), i * S // 10)
    return ring


def at_once() -> bool:
    return False


def read(path: Path) -> list[tuple[str, int, bytes]]:
    with Reader(path) as reader:
        return [(c.topic, stamp, bytes(data)) for c, stamp, data in reader.messages()]


def about(path: Path) -> dict:
    content = yaml.safe_load((path / "metadata.yaml").read_text())
    return content["rosbag2_bagfile_information"]


# -- memory --------------------------------------------------------------------------------------


def test_it_remembers_the_newest_seconds_and_no_more():
    ring = filled(60, ring_s=30.0)
    records = ring.all()
    assert len(records) == 301
    assert records[-1].received_ns - records[0].received_ns == 30 * S
    assert ring.size == sum(len(record.data) for record in records)


def test_it_holds_no_more_than_it_may_and_tells_what_it_forgot():
    ring = filled(60, size=1000, max_bytes=50_000)
    assert ring.size <= 50_000
    assert ring.dropped_early > 200
    assert ring.all()[-1].data == string(f"599{'x' * 1000}")


def test_a_latched_message_is_not_forgotten():
    ring = Ring(1.0, 2**20)
    ring.add(0, "/description", string("arm"), 0, latched=True)
    for i in range(100):
        ring.add(i * S // 10, "/talk", string("x"), i * S // 10)
    first = ring.all()[0]
    assert (first.topic, first.data) == ("/description", string("arm"))
    assert first.received_ns == ring.all()[1].received_ns
    assert [record.topic for record in ring.since(100)] == ["/talk"]


@pytest.mark.parametrize("set_by_s", [86_400, -86_400])
def test_a_clock_that_is_set_takes_nothing_from_the_memory(set_by_s, tmp_path):
    """A computer without a clock of its own learns the date once there is a network.

    The monitor stops the arm then, and the bag of that stop had what came after it alone.
    """
    ring = Ring(30.0, 2**20)
    for i in range(210):
        ros_ns = WALL_NS + i * S // 10 + (set_by_s * S if i >= 200 else 0)
        ring.add(ros_ns, "/talk", string(f"{i}"), i * S // 10)
    assert len(ring.all()) == 210
    bag = write_bag(tmp_path, CAUSE, WALL_NS, {"/talk": TEXT}, ring, at_once)
    assert {data for _, _, data in read(bag)} == {record.data for record in ring.all()}
    assert about(bag)["duration"]["nanoseconds"] > 86_000 * S
    ring.add(WALL_NS, "/talk", string("much later"), 100 * S)
    assert len(ring.all()) == 1, "and nothing is remembered for longer"


# -- when ----------------------------------------------------------------------------------------


def test_a_trip_is_noticed_once_and_an_old_one_not_at_all():
    watch = Watch(1.0, memory_s=30.0)
    assert watch.heard(False, "nan", "", 5, 31 * S, 0) is None
    assert watch.heard(False, "", "", 0, 1, 1) is None
    found = watch.heard(True, "plan_rejected", "step", 7, 2, 2)
    assert found == Cause("plan_rejected", "step", 2)
    assert watch.stopping
    assert watch.heard(False, "plan_rejected", "step", 7, 3, 3) is None
    assert not watch.stopping


def test_a_trip_just_before_the_monitor_is_first_heard_is_noticed_once():
    """H22: a stop while the black box was still looking for the monitor left no bag."""
    watch = Watch(1.0, memory_s=30.0)
    assert not watch.hears
    assert watch.heard(True, "stop", "", 5 * S, 6 * S, 0) == Cause("stop", "", 6 * S)
    assert watch.hears
    assert watch.heard(False, "stop", "", 5 * S, 7 * S, 1) is None


def test_a_monitor_that_falls_silent_is_noticed_once():
    """H16."""
    watch = Watch(1.0, memory_s=30.0)
    assert watch.tick(0, 50 * S) is None
    watch.heard(False, "", "", 0, 0, S)
    assert watch.tick(0, 2 * S) is None
    cause = watch.tick(0, 2 * S + 1)
    assert cause is not None
    assert cause.name == "monitor_silent"
    assert watch.tick(0, 9 * S) is None
    watch.heard(False, "", "", 0, 0, 10 * S)
    assert watch.tick(0, 12 * S) is not None


def test_a_monitor_heard_before_simulated_time_began_has_not_been_silent_since_time_zero():
    watch = Watch(1.0, memory_s=30.0)
    watch.heard(False, "", "", 0, 0, 0)
    assert watch.tick(1000 * S, 1000 * S) is None
    assert watch.tick(1001 * S, 1001 * S) is None
    assert watch.tick(1001 * S + 1, 1001 * S + 1) is not None


# -- bags ----------------------------------------------------------------------------------------


def test_a_bag_holds_what_was_there_and_what_came_afterwards_and_the_cause(tmp_path):
    """H22."""
    ring = filled(10)
    waits = iter([True, True, False])

    def wait() -> bool:
        more = next(waits)
        ring.add(11 * S, "/talk", string("late"), 11 * S)
        return more

    path = write_bag(tmp_path, CAUSE, WALL_NS, {"/talk": TEXT}, ring, wait)
    assert path.name == "2023-11-14T22-13-20-000Z_foreign_plan"
    assert sorted(file.name for file in path.iterdir()) == [f"{path.name}.mcap", "metadata.yaml"]
    messages = read(path)
    assert len(messages) == 102
    assert [data for _, _, data in messages[:2]] == [string("0"), string("1")]
    assert messages[-1][2] == string("late")
    assert about(path)["storage_identifier"] == "mcap"
    assert about(path)["custom_data"]["cause"] == "foreign_plan"
    assert about(path)["custom_data"]["stamp_ns"] == str(7 * S)
    assert "moves the arm" in about(path)["custom_data"]["detail"]
    assert list(tmp_path.iterdir()) == [path]


def test_the_hash_of_a_type_is_that_of_ros():
    header = "uint32 sec"
    assert hash_of(TEXT) == (
        "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"
    )
    assert hash_of(Topic("std_msgs/msg/String", header)) != hash_of(TEXT)


def test_a_full_disk_leaves_a_shorter_bag_or_none_and_no_rubbish(tmp_path, monkeypatch):
    """H22."""
    ring = filled(60, size=1000, max_bytes=2**20)
    free = [0, 2**30]
    usage = type("Usage", (), {})

    def disk_usage(_):
        told = usage()
        told.free = free.pop(0) if len(free) > 1 else free[0]
        return told

    monkeypatch.setattr("vla_recording.black_box.writer.shutil.disk_usage", disk_usage)
    path = write_bag(tmp_path, CAUSE, WALL_NS, {"/talk": TEXT}, ring, at_once)
    assert 95 <= len(read(path)) <= 105
    free[:] = [0]
    with pytest.raises(NoSpaceError):
        write_bag(tmp_path, Cause("second", "", 9), WALL_NS, {"/talk": TEXT}, ring, at_once)
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fills_up_while_a_bag_is_written_leaves_a_shorter_one(tmp_path):
    """H22. A limit of the file size stands for the disk: the write fails in the middle."""
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_black_box as t
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
ring = t.filled(30, size=1500)
folder, topics = Path({str(tmp_path)!r}), {{"/talk": t.TEXT}}
path = t.write_bag(folder, t.CAUSE, t.WALL_NS, topics, ring, t.at_once)
print(len(t.read(path)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 95 <= int(done.stdout) <= 105
    assert len(list(tmp_path.iterdir())) == 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200_000


def test_two_black_boxes_that_write_for_one_reason_at_one_moment_leave_two_bags(tmp_path):
    """Each waits for the other while it has an unfinished bag; neither takes that away."""
    meet = threading.Barrier(2, timeout=60.0)
    bags = []

    def wait():
        with contextlib.suppress(threading.BrokenBarrierError):
            meet.wait()
        return False

    def write():
        bags.append(write_bag(tmp_path, CAUSE, WALL_NS, {"/talk": TEXT}, filled(), wait))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert len(set(bags)) == 2
    for path in bags:
        assert len(read(path)) == 100
    assert sorted(tmp_path.iterdir()) == sorted(bags)


def test_what_another_process_is_writing_is_never_touched_and_what_was_left_behind_is(tmp_path):
    there, old = (tmp_path / ".partial" / name for name in ("1-there", "1-old"))
    for folder in (there, old):
        (folder / "bag").mkdir(parents=True)
        (folder / "bag" / "bag.mcap").write_bytes(b"half a bag")
    long_ago_s = time.time() - 48 * 3600.0
    os.utime(old, (long_ago_s, long_ago_s))
    write_bag(tmp_path, CAUSE, WALL_NS, {"/talk": TEXT}, filled(), at_once)
    assert (there / "bag" / "bag.mcap").read_bytes() == b"half a bag"
    assert not old.exists()


def test_a_folder_that_may_not_be_written_is_an_error_and_not_a_full_disk(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OSError, match="file") as caught:
        write_bag(blocked, CAUSE, WALL_NS, {"/talk": TEXT}, filled(1), at_once)
    assert caught.value.errno in (errno.ENOTDIR, errno.EEXIST)


# -- the node ------------------------------------------------------------------------------------

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("vla_msgs.msg")

from rclpy.clock import Clock, ClockType  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.time import Time  # noqa: E402
from rosgraph_msgs.msg import Clock as ClockMsg  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from vla_msgs.msg import MonitorStatus  # noqa: E402

from vla_recording.black_box.definitions import definition  # noqa: E402
from vla_recording.black_box.node import BlackBox  # noqa: E402

DOMAIN = 101 + (os.getpid() + 50) % 100
SENSOR = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "sensor_msgs/msg/JointState",
            "RIHS01_a13ee3a330e346c9d87b5aa18d24e11690752bd33a0350f11c5882bc9179260e",
        ),
        (
            "rcl_interfaces/msg/Log",
            "RIHS01_e28ce254ca8abc06abf92773b74602cdbf116ed34fbaf294fb9f81da9f318eac",
        ),
    ],
)
def test_a_definition_made_from_a_class_has_the_hash_of_the_real_one(name, expected):
    assert hash_of(Topic(name, definition(name))) == expected


class Robot(Node):
    """Joints, a camera and a monitor, and the time, which passes only when they speak."""

    def __init__(self) -> None:
        super().__init__("robot")
        self.joints = self.create_publisher(JointState, "joint_states", SENSOR)
        self.camera = self.create_publisher(Image, "front_camera/image_raw", 1)
        self.state = self.create_publisher(MonitorStatus, "smoothness_monitor/state", LATCHED)
        self.save = self.create_client(Trigger, "black_box/save")
        self.told = MonitorStatus(state=MonitorStatus.READY)
        self.alive = True
        self.clock_publisher = self.create_publisher(ClockMsg, "/clock", 10)
        self.time_s = 1000.0
        self.create_timer(0.02, self._tell, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _tell(self) -> None:
        self.time_s += 0.02
        self.clock_publisher.publish(ClockMsg(clock=Time(seconds=self.time_s).to_msg()))
        msg = JointState(name=["a"], position=[0.5])
        msg.header.stamp = self.get_clock().now().to_msg()
        self.joints.publish(msg)
        self.camera.publish(Image())
        if self.alive:
            self.state.publish(self.told)


@pytest.fixture
def graph(tmp_path):
    given = {"directory": tmp_path / "bags", "silent_s": 0.8, "use_sim_time": "true"}
    parameters = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    rclpy.init(args=["--ros-args", *parameters], domain_id=DOMAIN)
    executor = SingleThreadedExecutor()
    robot, box = Robot(), BlackBox()
    executor.add_node(robot)
    executor.add_node(box)

    def until(condition, seconds=120.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (sorted(box._topics), box._ring.size)
            executor.spin_once(timeout_sec=0.05)

    heard = {"/joint_states", "/smoothness_monitor/state"}
    try:
        until(lambda: heard <= box._topics.keys() and box._ring.size > 3000)
        yield robot, tmp_path / "bags", until
    finally:
        executor.shutdown()
        robot.destroy_node()
        box.destroy_node()
        rclpy.shutdown()


def bags(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def test_a_trip_leaves_a_bag_with_everything_but_pictures(graph):
    """H22."""
    robot, folder, until = graph
    robot.told = MonitorStatus(
        state=MonitorStatus.STOPPING, first_cause="measured_jerk", first_cause_detail="400 of 300"
    )
    robot.told.trip_stamp.sec = 7
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    until(lambda: bool(bags(folder)))
    (path,) = bags(folder)
    assert path.name.endswith("_measured_jerk")
    # Simulated time is in 1970.
    told = datetime.strptime(path.name.partition("_")[0] + "+0000", "%Y-%m-%dT%H-%M-%S-%fZ%z")
    assert before <= told <= datetime.now(timezone.utc)
    counts = {}
    for topic, _, _ in read(path):
        counts[topic] = counts.get(topic, 0) + 1
    assert counts["/joint_states"] > 10
    assert counts["/smoothness_monitor/state"] > 10
    assert "/front_camera/image_raw" not in counts
    # The rest of the stop is in it, and nothing is written again for the same trip.
    last_ns = max(stamp for _, stamp, _ in read(path))
    assert last_ns - int(about(path)["custom_data"]["stamp_ns"]) > 0.5 * S
    began_s = robot.time_s
    until(lambda: robot.time_s - began_s > 1.5)
    assert len(bags(folder)) == 1


def test_a_message_that_cannot_be_read_in_the_monitors_place_does_not_end_it(graph):
    robot, folder, until = graph
    # A whole number of four bytes: DDS fills up what is not.
    garbage = b"\x00\x01\x00\x00" + 8 * b"\xff"
    robot.state.publish(garbage)
    robot.alive = False
    until(lambda: bool(bags(folder)))
    (path,) = bags(folder)
    assert ("/smoothness_monitor/state", garbage) in {(name, data) for name, _, data in read(path)}


@pytest.mark.parametrize("word", ["x" * 1000, "../../" + "y" * 300, "\0\n", "日本" * 100])
def test_whatever_a_cause_is_called_there_is_a_bag_of_it_in_its_folder(tmp_path, word):
    path = write_bag(tmp_path, Cause(word, "", 7), WALL_NS, {"/talk": TEXT}, filled(), at_once)
    assert path.parent == tmp_path
    assert len(read(path)) == 100


def test_a_monitor_that_dies_leaves_a_bag(graph):
    """H16."""
    robot, folder, until = graph
    robot.alive = False
    until(lambda: bool(bags(folder)))
    assert bags(folder)[0].name.endswith("_monitor_silent")
    assert {topic for topic, _, _ in read(bags(folder)[0])} >= {"/smoothness_monitor/state"}


def test_a_bag_can_be_asked_for(graph):
    robot, folder, until = graph
    until(robot.save.service_is_ready)
    future = robot.save.call_async(Trigger.Request())
    until(future.done)
    assert future.result().success
    until(lambda: bool(bags(folder)))
    assert bags(folder)[0].name.endswith("_save")


def test_a_folder_that_takes_no_bag_is_known_before_there_is_one(tmp_path, monkeypatch):
    """A read-only disk was found out at the stop, when it was too late to choose another."""
    (tmp_path / "file").touch()
    for folder in (Path("/proc"), tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError):  # noqa: PT011  (whatever the system calls it)
            try_directory(folder)
    try_directory(tmp_path / "new" / "bags")
    assert list((tmp_path / "new" / "bags").iterdir()) == []

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    # It may have room by then.
    monkeypatch.setattr("vla_recording.black_box.writer._make", full)
    try_directory(tmp_path / "new" / "bags")


def test_a_missing_folder_parameter_ends_in_one_line_and_exit_code_2():
    done = subprocess.run(
        [sys.executable, "-m", "vla_recording.black_box.node"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)},
        check=False,
    )
    assert done.returncode == 2
    assert "parameter directory: is not set" in done.stderr
