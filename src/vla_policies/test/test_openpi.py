# SPDX-License-Identifier: Apache-2.0
"""openpi's own client asks our server; our client asks a server that speaks as openpi's does.

Where openpi-client is not installed, its wire format stands in for it, written out below:
``pip install --no-deps openpi-client`` (it asks for numpy < 2, and does without).
"""

import threading
from contextlib import ExitStack

import msgpack
import numpy as np
import pytest
from websockets.sync.server import serve

from vla_policies import STATE, Observation, PolicyError, check_action, load_policy
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
            socket.send(pack({"model": "pi0"}))
            for data in socket:
                self.seen.append(unpack(data))
                found = answer(self.seen[-1])
                if isinstance(found, str):
                    socket.send(found)
                    socket.close(1011, "Internal server error. Traceback included in previous.")
                    return
                socket.send(pack(found))

        self.seen = []
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
        self._thread.join(10.0)
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


def remote(port):
    features = {
        FRONT: {"key": "observation/image"},
        STATE: {"key": "observation/state", "size": 2, "units": "rad"},
    }
    described = {
        "policy": "pi0", "features": features, "joints": JOINTS, "units": "rad", "dt_s": 0.1,
        "chunk_size": 3,
    }  # fmt: skip
    return load_policy("remote", {"url": f"ws://127.0.0.1:{port}", "openpi": described})


def test_our_client_asks_a_server_of_openpis_under_its_own_keys(speak, observe):
    rows = np.array([[0.0, 1.0], [0.5, 1.5], [1.0, 2.0]])
    server = speak(lambda _: {"actions": rows, "server_timing": {"infer_ms": 1.0}})
    client = remote(server.port)
    assert client.spec.policy_id == "openpi pi0"
    assert not client.continues
    action = client.infer(observe("do it"))
    assert action.positions.tolist() == rows.tolist()
    assert action.joint_names == ("a", "b")
    seen = server.seen[0]
    assert set(seen) == {"observation/image", "observation/state", "prompt"}
    np.testing.assert_array_equal(seen["observation/image"], observe().images[FRONT])
    np.testing.assert_array_equal(seen["observation/state"], observe().state[STATE])
    assert seen["prompt"] == "do it"
    client.close()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("Traceback: no such camera", "no such camera"),
        ({"actions": np.full((3, 2), np.nan)}, "row 0 has nan"),
        ({"actions": np.zeros((3, 5))}, r"\(3, 5\)"),
        ({"other": 1}, "actions"),
    ],
)
def test_what_a_server_of_openpis_says_wrong_is_no_action(speak, observe, answer, problem):
    client = remote(speak(lambda _: answer).port)
    with pytest.raises(PolicyError, match=problem):
        # As the policy node does with every answer.
        check_action(client.infer(observe()), client.spec)
    client.close()


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
