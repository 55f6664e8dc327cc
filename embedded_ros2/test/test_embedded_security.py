# SPDX-License-Identifier: Apache-2.0
"""The page on secure transport, run as it stands: its commands and its files, on a free port."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "secure_transport.md"
DEADLINE_S = 60.0

if shutil.which("openssl") is None:
    pytest.skip("openssl, which makes the certificates, is not installed", allow_module_level=True)
if not PAGE.is_file():
    pytest.skip("the documentation is not here, only the package", allow_module_level=True)

ARM = """
import time, rclpy
from std_msgs.msg import String
from std_srvs.srv import Trigger
rclpy.init(args=[])
node = rclpy.create_node("arm")
publisher = node.create_publisher(String, "state", 10)
node.create_subscription(String, "command", lambda m: print("heard", m.data, flush=True), 10)
def serve(request, response):
    print("asked", flush=True)
    response.success = True
    return response
node.create_service(Trigger, "stop", serve)
node.create_timer(0.05, lambda: publisher.publish(String(data="moving")))
print("up", flush=True)
rclpy.spin(node)
"""
# Watches, sends a command and calls the service; tells what came of it.
OTHER = """
import sys, time, rclpy
from std_msgs.msg import String
from std_srvs.srv import Trigger
name, patience_s = sys.argv[1], float(sys.argv[2])
rclpy.init(args=[])
node = rclpy.create_node(name)
seen = []
node.create_subscription(String, "state", lambda m: seen.append(m.data), 10)
publisher = node.create_publisher(String, "command", 10)
client = node.create_client(Trigger, "stop")
def spin(seconds, until=lambda: False):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        rclpy.spin_once(node, timeout_sec=0.05)
spin(60.0, lambda: seen)
print("saw", *seen[:1], flush=True)
# Where nothing may come, all that shows it is that nothing comes in a while.
spin(patience_s, lambda: client.service_is_ready() and publisher.get_subscription_count())
future = client.call_async(Trigger.Request())
for _ in range(20):
    publisher.publish(String(data=name))
    spin(0.05)
spin(patience_s, future.done)
print("answered", future.done(), flush=True)
node.destroy_node()
rclpy.shutdown()
"""


def _free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Make the page's certificates and files in a folder."""
    folder = tmp_path_factory.mktemp("secure")
    page = PAGE.read_text(encoding="utf-8").replace("7448", str(_free_port()))
    (commands,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    subprocess.run(["sh", "-ec", commands], cwd=folder, check=True, capture_output=True)
    files = dict(re.findall(r"`([\w.]+)`:\n\n```json5\n(.*?)```", page, re.DOTALL))
    assert files.keys() == {"router.json5", "arm.json5"}
    for name, text in files.items():
        (folder / name).write_text(text)
    (copy,) = re.findall(r"^    (sed .* > viewer.json5)$", page, re.MULTILINE)
    subprocess.run(["sh", "-ec", copy], cwd=folder, check=True)
    # Another authority, with the same names.
    foreign = folder / "foreign"
    foreign.mkdir()
    subprocess.run(["sh", "-ec", commands], cwd=foreign, check=True, capture_output=True)
    text = (folder / "arm.json5").read_text()
    for part in ("arm.key", "arm.pem"):
        text = text.replace(f'"{part}"', f'"foreign/{part}"')
    (folder / "foreign.json5").write_text(text)
    return folder


def _start(place, code, who=None, *arguments, **more):
    environment = {**os.environ, "ROS_DOMAIN_ID": "0", **more}
    if who:
        environment["ZENOH_SESSION_CONFIG_URI"] = f"{who}.json5"
    return subprocess.Popen(
        [sys.executable, *code, *arguments],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process):
    """Return what it has printed, after an interrupt if it still runs."""
    if process.poll() is None:
        process.terminate()
    return process.communicate(timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def router(place):
    router = _start(place, ["-m", "embedded_ros2.router"], ZENOH_ROUTER_CONFIG_URI="router.json5")
    port = int(re.search(r"tls/localhost:(\d+)", (place / "arm.json5").read_text())[1])
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                break
        if time.monotonic() > deadline or router.poll() is not None:
            pytest.fail(f"the router does not listen: {_end(router)}")
        time.sleep(0.05)
    yield router
    router.kill()
    router.communicate()


@pytest.fixture
def arm(place, router):
    process = _start(place, ["-c", ARM], "arm")
    if process.stdout.readline().strip() != "up":
        pytest.fail(_end(process)[1])
    yield process
    process.kill()
    process.communicate()


def test_nodes_with_the_arms_certificate_talk_and_call(place, arm):
    friend = _start(place, ["-c", OTHER], "arm", "friend", "60")
    said, _ = friend.communicate(timeout=4 * DEADLINE_S)
    assert said.splitlines() == ["saw moving", "answered True"]
    heard, _ = _end(arm)
    assert "asked" in heard.splitlines()
    assert "heard friend" in heard.splitlines()


def test_the_viewer_sees_and_moves_nothing(place, arm):
    viewer = _start(place, ["-c", OTHER], "viewer", "viewer", "2")
    said, _ = viewer.communicate(timeout=4 * DEADLINE_S)
    assert said.splitlines() == ["saw moving", "answered False"]
    assert _end(arm)[0] == ""


@pytest.mark.parametrize("who", ["foreign", "nobody", "plain"])
def test_who_has_no_certificate_of_the_authority_opens_no_session(place, arm, who):
    text = (place / "arm.json5").read_text()
    if who == "nobody":
        text = re.sub(r"connect_(private_key|certificate): .*\n", "", text)
    elif who == "plain":
        text = text.replace("tls/", "tcp/")
    if who != "foreign":
        (place / f"{who}.json5").write_text(text)
    stranger = _start(place, ["-c", OTHER], who, who, "2")
    said, trouble = stranger.communicate(timeout=4 * DEADLINE_S)
    assert stranger.returncode != 0
    assert said == ""
    assert "localhost" in trouble.splitlines()[-1]
    assert _end(arm)[0] == ""
