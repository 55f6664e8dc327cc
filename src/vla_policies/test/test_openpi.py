# SPDX-License-Identifier: Apache-2.0
"""openpi's own client asks our server; our client asks a server that speaks as openpi's does.

Where openpi-client is not installed, its wire format stands in for it, written out below:
``pip install --no-deps openpi-client`` (it asks for numpy < 2, and does without).
"""

import asyncio
import queue
import threading
import time
from contextlib import ExitStack

import msgpack
import numpy as np
import pytest
from websockets.asyncio.server import serve as serve_async
from websockets.sync.server import serve

from vla_policies import STATE, Observation, PolicyError, PolicyUnavailableError, load_policy
from vla_policies.wire.address import read_token

FRONT = "observation.images.front"
IMAGE = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
JOINTS = ["a", "b"]


def pack(value):
    """As openpi's documentation has it: an array is a map of its bytes, type and shape."""

    def array(found):
        return {
            b"__ndarray__": True, b"data": found.tobytes(), b"dtype": found.dtype.str,
            b"shape": found.shape,
        }  # fmt: skip

    return msgpack.packb(value, default=array)


def unpack(data):
    def array(found):
        if b"__ndarray__" not in found:
            return found
        return np.frombuffer(found[b"data"], found[b"dtype"]).reshape(found[b"shape"])

    return msgpack.unpackb(data, object_hook=array)


def documented():
    return pack, unpack


def theirs():
    found = pytest.importorskip("openpi_client.msgpack_numpy", reason="openpi-client is missing")
    return found.packb, found.unpackb


class OpenPiServer:
    """Metadata first, then an answer to each observation; an error is a text and the end."""

    def __init__(self, pack, unpack, answer):
        def talk(socket):
            socket.send(pack(self.greeting))
            for data in socket:
                self.seen.append(unpack(data))
                found = answer(self.seen[-1])
                if isinstance(found, str):
                    socket.send(found)
                    socket.close(1011, "Internal server error. Traceback included in previous.")
                    return
                socket.send(pack(found))

        self.seen, self.greeting = [], {"model": "pi0"}
        with ExitStack() as stack:
            self._server = stack.enter_context(
                serve(talk, "127.0.0.1", 0, compression=None, max_size=None)
            )
            self._close = stack.pop_all()
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join(60.0)
        self._close.close()


@pytest.fixture(params=[documented, theirs])
def speak(request):
    """Make a server that packs as openpi documents it, or by openpi's own code."""
    started = []

    def start(answer):
        started.append(OpenPiServer(*request.param(), answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


ROWS = np.array([[0.0, 1.0], [0.5, 1.5], [1.0, 2.0]])
FEATURES = {
    FRONT: {"key": "observation/image"},
    STATE: {"key": "observation/state", "size": 2, "units": "rad"},
}
DESCRIBED = {
    "policy": "pi0", "features": FEATURES, "joints": JOINTS, "units": "rad", "dt_s": 0.1,
    "chunk_size": 3, "actions": "position",
}  # fmt: skip


def remote(port, options=None, **changes):
    described = {k: v for k, v in {**DESCRIBED, **changes}.items() if v is not None}
    url = f"ws://127.0.0.1:{port}"
    return load_policy("remote", {"url": url, "openpi": described, **(options or {})})


def test_our_client_asks_a_server_of_openpis_under_its_own_keys(speak, observe):
    server = speak(lambda _: {"actions": ROWS, "server_timing": {"infer_ms": 1.0}})
    client = remote(server.port)
    assert client.spec.policy_id.startswith("openpi pi0 ")
    assert not client.continues
    action = client.infer(observe("do it"))
    assert action.positions.tolist() == ROWS.tolist()
    assert action.joint_names == ("a", "b")
    seen = server.seen[-1]
    assert set(seen) == {"observation/image", "observation/state", "prompt"}
    np.testing.assert_array_equal(seen["observation/image"], observe().images[FRONT])
    np.testing.assert_array_equal(seen["observation/state"], observe().state[STATE])
    assert seen["prompt"] == "do it"
    client.close()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("KeyError: 'observation/imag'", "KeyError: 'observation/imag'"),
        ({"actions": np.full((3, 2), np.nan)}, "row 0 has nan"),
        ({"actions": np.zeros((3, 5))}, "has 5 columns, openpi.joints names 2.*openpi.columns"),
        ({"actions": np.zeros((9, 2))}, "has 9 rows, openpi.chunk_size says 3; write 9"),
        ({"actions": np.zeros((2, 3, 2))}, "it must be rows"),
        ({"action": ROWS, "x": 1}, "no array 'actions', it has 'action', 'x'.*openpi.answer_key"),
        ([1], "no array 'actions'"),
    ],
)
def test_what_was_declared_wrongly_is_said_at_the_handshake(speak, answer, problem):
    with pytest.raises(PolicyError, match=f"the first question.*{problem}") as refused:
        remote(speak(lambda _: answer).port)
    assert not isinstance(refused.value, PolicyUnavailableError)
    assert "\n" not in str(refused.value)


def test_an_answer_that_becomes_wrong_later_is_not_taken_for_an_absence(speak, observe):
    answers = iter([{"actions": ROWS}, {"other": 1}])
    client = remote(speak(lambda _: next(answers)).port)
    with pytest.raises(PolicyError, match=r"openpi\.answer_key") as refused:
        client.infer(observe())
    assert not isinstance(refused.value, PolicyUnavailableError)
    client.close()


def test_nested_keys_channels_first_a_gripper_from_0_to_1_and_columns_can_be_declared(
    speak, observe
):
    answer = np.column_stack([[0.0, 0.5, 1.0], [9.0, 9.0, 9.0], [0.0, 90.0, 180.0]])
    server = speak(lambda _: {"out": {"chunk": answer.astype(np.float32)}})
    gripper = {"native": [0, 1], "rad": [-0.2, 1.8]}
    client = remote(
        server.port,
        features={
            FRONT: {"key": ["images", "cam_high"], "layout": "chw"},
            STATE: {"key": "state", "size": 2, "units": {"a": "deg", "b": gripper}},
        },
        prompt_key=["texts", "task"],
        answer_key=["out", "chunk"],
        joints={"a": "deg", "b": gripper},
        units=None,
        columns=[2, 0],
    )
    action = client.infer(observe())
    assert np.allclose(action.positions[:, 0], [0.0, np.pi / 2, np.pi])
    assert np.allclose(action.positions[:, 1], [-0.2, 0.8, 1.8])
    seen = server.seen[-1]
    assert set(seen) == {"images", "state", "texts"}
    assert seen["texts"] == {"task": "do it"}
    np.testing.assert_array_equal(
        seen["images"]["cam_high"], observe().images[FRONT].transpose(2, 0, 1)
    )
    assert np.allclose(seen["state"], [np.rad2deg(0.25), (-1.0 + 0.2) / 2.0])
    client.close()


def test_deltas_and_velocities_become_positions_from_where_the_arm_is(speak, observe):
    answer = np.array([[0.1, 1.0], [0.2, 2.0], [0.3, 4.0]])
    server = speak(lambda _: {"actions": answer})
    client = remote(server.port, actions={"a": "delta", "b": "velocity"})
    positions = client.infer(observe()).positions  # the arm is at 0.25 and -1.0
    assert np.allclose(positions[:, 0], [0.35, 0.45, 0.55])
    assert np.allclose(positions[:, 1], [-1.0, -0.9, -0.7])
    client.close()
    mixed = remote(server.port, actions={"a": "delta", "b": "position"})
    assert np.allclose(mixed.infer(observe()).positions[:, 1], [1.0, 2.0, 4.0])
    mixed.close()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"actions": None}, "openpi.actions: is missing"),
        ({"actions": "torque"}, "position, delta .* or velocity"),
        ({"actions": {"a": "delta"}}, "one of these for each joint"),
        ({"columns": [0]}, "each of the 2 joints"),
        ({"columns": [0, 0]}, "each of the 2 joints"),
        ({"columns": [0, -1]}, "each of the 2 joints"),
        ({"columns": [0, 7]}, "has 2 columns, openpi.columns asks for number 7"),
        ({"joints": ["a", "a"]}, "names a twice"),
        ({"joints": {"a": "rad", "b": "rad"}}, "units: stands beside joints"),
        ({"chunk_size": 0}, "how many rows"),
        ({"more": 1}, "more: is not an option"),
        (
            {"features": {**FEATURES, "observation.images.w": {"key": "observation/image"}}},
            r"is \['observation/image'\], which observation.images.front has already",
        ),
        (
            {"features": {FRONT: {"key": "x"}, "observation.images.w": {"key": ["x", "w"]}}},
            "which observation.images.front has already",
        ),
        (
            {"features": {**FEATURES, "observation.images.w": {"key": "prompt"}}},
            "which prompt_key has already",
        ),
        ({"features": {FRONT: {"key": "x", "layout": "xyz"}}}, "write hwc or chw"),
        (
            {"features": {FRONT: {"key": "x"}}, "actions": "velocity"},
            "state: is needed: name a feature that has every joint",
        ),
        (
            {"joints": {"a": "rad", "b": {"native": [0, 1], "rad": [-1, 1]}}, "units": None,
             "actions": "velocity"},
            "joints.b: is a velocity, so 0 must be 0",
        ),
        (
            {"units": "deg", "actions": "delta"},
            "observation.state is in rad, the action in deg",
        ),
    ],
)  # fmt: skip
def test_a_declaration_that_makes_no_sense_is_one_line(speak, changes, problem):
    with pytest.raises(PolicyError, match=problem) as refused:
        remote(speak(lambda _: {"actions": ROWS}).port, **changes)
    assert "\n" not in str(refused.value)


def test_jpeg_is_not_sent_to_a_server_that_expects_an_array():
    with pytest.raises(PolicyError, match=r"jpeg_quality: is not understood by openpi's servers"):
        remote(1, {"jpeg_quality": 90})


def test_the_first_answer_may_take_longer_than_the_others(speak, observe):
    asked = []

    def answer(_):
        asked.append(1)
        time.sleep(3.0 if len(asked) == 1 else 0.0)
        return {"actions": ROWS}

    server = speak(answer)
    client = remote(server.port, {"timeout_s": 2.0})
    assert client.infer(observe()).positions.shape == (3, 2)
    client.close()
    asked.clear()
    with pytest.raises(PolicyError, match=r"no answer for 0\.2 s \(warm_up_timeout_s\)"):
        remote(server.port, {"warm_up_timeout_s": 0.2})


def test_a_server_that_answers_no_ping_while_it_computes_is_not_cut(observe, monkeypatch):
    """As openpi's, which computes in its event loop."""
    from vla_policies.wire import client as module

    def impatient(*arguments, **options):
        if options.get("ping_timeout", 20) is not None:
            options["ping_timeout"] = 0.1
        return connect(*arguments, **{**options, "ping_interval": 0.1})

    connect = module.connect
    monkeypatch.setattr(module, "connect", impatient)

    async def talk(socket):
        await socket.send(pack({}))
        async for _ in socket:
            time.sleep(0.5)
            await socket.send(pack({"actions": ROWS}))

    loop, ports = asyncio.new_event_loop(), queue.SimpleQueue()

    async def serve_blocking():
        async with serve_async(talk, "127.0.0.1", 0, compression=None) as server:
            ports.put(next(iter(server.sockets)).getsockname()[1])
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve_blocking(),))
    thread.start()
    client = remote(ports.get(timeout=60.0), {"timeout_s": 60.0})
    assert client.spec.policy_id == "openpi pi0", "what says nothing of itself has no identity"
    assert client.infer(observe()).positions.shape == (3, 2)
    client.close()
    loop.call_soon_threadsafe(stop.set)
    thread.join(60.0)


def test_another_greeting_is_another_policy(speak):
    ids = set()
    for model in ("pi0", "pi05"):
        server = speak(lambda _: {"actions": ROWS})
        server.greeting = {"model": model}
        client = remote(server.port)
        ids.add(client.spec.policy_id)
        client.close()
    assert len(ids) == 2


@pytest.fixture
def openpi():
    module = pytest.importorskip(
        "openpi_client.websocket_client_policy", reason="openpi-client is missing"
    )
    clients = []

    def connect(running, **options):
        clients.append(
            module.WebsocketClientPolicy(host="127.0.0.1", port=running.port, **options)
        )
        return clients[-1]

    yield connect
    for client in clients:
        client._ws.close()


def test_openpis_client_is_told_what_is_served_and_gets_chunks(start, policy, openpi):
    client = openpi(start())
    said = client.get_server_metadata()
    assert said["policy_id"] == "counter 1"
    answer = client.infer({FRONT: IMAGE, STATE: np.array([0.25, -1.0]), "prompt": "do it"})
    assert answer["actions"].tolist() == [[1.0, 1.0]] * 3
    assert answer["server_timing"]["infer_ms"] >= 0.0
    seen: Observation = policy.seen[0]
    np.testing.assert_array_equal(seen.images[FRONT], IMAGE)
    assert seen.task == "do it"


def test_openpis_client_is_told_what_is_wrong(start, openpi):
    client = openpi(start())
    with pytest.raises(RuntimeError, match="send \\(2,\\)"):
        client.infer({FRONT: IMAGE, STATE: np.zeros(3), "prompt": "do it"})
    # And the connection stays.
    answer = client.infer({FRONT: IMAGE, STATE: np.zeros(2, np.float32), "prompt": "do it"})
    assert answer["actions"].shape == (3, 2)


def test_the_key_of_openpis_client_is_our_token(start, openpi, token_file):
    running = start(token=read_token(token_file))
    with pytest.raises(Exception, match="401"):
        openpi(running)
    with pytest.raises(Exception, match="401"):
        openpi(running, api_key="wrong")
    client = openpi(running, api_key=token_file.read_text().strip())
    assert client.get_server_metadata()["policy_id"] == "counter 1"
