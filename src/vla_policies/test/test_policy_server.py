# SPDX-License-Identifier: Apache-2.0
"""The server and its client: who may speak, what is refused, and that nobody waits for another."""

import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from vla_policies import STATE, PolicyError, PolicyUnavailableError, load_policy
from vla_policies.rtc import Committed, continuing
from vla_policies.wire.address import check_bind, read_token, server_tls
from vla_policies.wire.codec import MessageLimits, decode, encode

FRONT = "observation.images.front"
IMAGE = np.zeros((8, 8, 3), np.uint8)


def raw(running, **headers):
    """Connect without our client."""
    return connect(
        running.url,
        compression=None,
        max_size=None,
        proxy=None,
        additional_headers=headers,
        close_timeout=0.2,
    )


def ask(socket, **message):
    socket.send(encode(message))
    found = socket.recv(60.0)
    return found if isinstance(found, str) else decode(found, MessageLimits())


def remote(running, **options):
    return load_policy("remote", {"url": running.url, **options})


def until(ready, what):
    deadline = time.monotonic() + 60.0
    while not ready():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.01)


def infer_again(client, observation):
    """Ask until the client has reconnected."""
    deadline = time.monotonic() + 60.0
    while True:
        try:
            return client.infer(observation)
        except PolicyUnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_policy_looks_the_same_from_afar(start, policy, spec, observe):
    client = remote(start())
    assert client.spec == spec
    client.reset()
    action = client.infer(observe(stamp_ns=123))
    assert action.positions.tolist() == [[1.0, 1.0]] * 3
    assert (action.dt_s, action.joint_names, action.phase) == (0.1, ("a", "b"), "count 1")
    seen = policy.seen[0]
    assert (seen.stamp_ns, seen.task) == (123, "do it")
    assert (seen.images[FRONT] == observe().images[FRONT]).all()
    assert seen.state[STATE].tolist() == [0.25, -1.0]
    client.close()


def test_a_reset_reaches_the_policy_with_the_next_observation(start, policy, observe):
    client = remote(start())
    phases = []
    for reset in (True, False, False, True, False):
        if reset:
            client.reset()
        phases.append(client.infer(observe()).phase)
    assert phases == ["count 1", "count 2", "count 3", "count 1", "count 2"]
    client.close()


def test_what_is_committed_arrives(start, policy, observe):
    client = remote(start())
    assert continuing(client) is client
    client.continue_chunk(observe(), Committed(np.array([[0.5, 0.25]]), 1, 3))
    found = policy.committed[0]
    assert (found.positions.tolist(), found.delay, found.horizon) == ([[0.5, 0.25]], 1, 3)
    with pytest.raises(PolicyError, match="delay is 5 rows"):
        client.continue_chunk(observe(), Committed(np.zeros((1, 2)), 5))
    client.close()


def test_images_travel_as_jpeg_where_asked(start, policy, observe):
    client = remote(start(), jpeg_quality=90)
    client.infer(observe())
    assert policy.seen[0].images[FRONT].shape == (8, 8, 3)
    client.close()


def test_what_the_policy_raises_is_told_and_the_connection_stays(start, observe):
    client = remote(start())
    for task, problem in (("fail", "nothing to do"), ("break", "ZeroDivisionError: oh")):
        with pytest.raises(PolicyError, match=problem) as raised:
            client.infer(observe(task))
        assert not isinstance(raised.value, PolicyUnavailableError)
    assert client.infer(observe()).phase == "count 1"
    client.close()


def test_an_observation_of_openpi_is_answered_in_its_words(start):
    with raw(start()) as socket:
        assert decode(socket.recv(), MessageLimits())["policy_id"] == "counter 1"
        message = {FRONT: IMAGE, STATE: np.zeros(2, np.float32), "prompt": "do it"}
        answer = ask(socket, **message)
        assert answer["actions"].array().shape == (3, 2)
        assert answer["server_timing"]["infer_ms"] >= 0.0
        assert set(answer) == {"actions", "server_timing"}
        assert ask(socket, **{**message, "prompt": "fail"}) == "there is nothing to do"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "version 2 of the protocol is not spoken here, only 1"),
        ({"extra": 1}, "'extra' is not asked for"),
        ({STATE: None}, "observation.state must be an array"),
        ({STATE: np.zeros(3)}, "observation.state has shape (3,); send (2,)"),
        ({STATE: np.array([np.nan, 0.0])}, "not finite"),
        ({FRONT: np.zeros((9, 8, 3), np.uint8)}, "send (8, 8, 3)"),
        ({FRONT: np.zeros((8, 8, 3))}, "send uint8 RGB"),
        ({"prompt": ""}, "prompt must be a text"),
        ({"prompt": 3}, "prompt must be a text"),
    ],
)
def test_a_wrong_observation_is_refused_with_a_reason_and_the_connection_stays(
    start, changes, reason
):
    with raw(start()) as socket:
        socket.recv()
        good = {FRONT: IMAGE, STATE: np.zeros(2), "prompt": "do it"}
        assert reason in ask(socket, **{**good, **changes})
        assert "actions" in ask(socket, **good)


def test_a_text_and_a_map_without_features_are_refused(start):
    with raw(start()) as socket:
        socket.recv()
        socket.send("hello")
        assert "send MessagePack" in socket.recv(60.0)
        assert "observation.images.front is missing" in ask(socket, prompt="x")
        socket.send(encode([1, 2]))
        assert "must be a map" in socket.recv(60.0)


def test_a_message_beyond_the_limit_ends_the_connection_with_a_reason(start):
    running = start(limits=MessageLimits(message_bytes=1000))
    with raw(running) as socket:
        socket.recv()
        socket.send(bytes(2000))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(60.0)
        assert closed.value.rcvd.code == 1009
        assert "1000" in closed.value.rcvd.reason


def test_only_the_right_token_opens_the_door(start, observe, token_file, tmp_path):
    running = start(token="0123456789abcdef")
    with pytest.raises(PolicyError, match="refused, 401: a token is needed"):
        remote(running)
    wrong = tmp_path / "wrong"
    wrong.write_text("0123456789abcdeX")
    with pytest.raises(PolicyError, match="refused, 401: the token is wrong"):
        remote(running, token_file=str(wrong))
    client = remote(running, token_file=str(token_file))
    assert client.infer(observe()).phase == "count 1"
    client.close()
    with raw(running, Authorization="Bearer 0123456789abcdef") as socket:
        assert socket.recv(60.0)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_over_tls_only_a_trusted_server_is_asked(start, observe, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key,
         "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    running = start(tls=server_tls(certificate, key))
    url = f"wss://localhost:{running.port}"
    with pytest.raises(PolicyError, match="its certificate is not trusted"):
        load_policy("remote", {"url": url})
    client = load_policy("remote", {"url": url, "tls_ca": str(certificate)})
    assert client.infer(observe()).phase == "count 1"
    client.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "robot.local"])
def test_others_are_served_with_a_token_and_tls_only(host):
    with pytest.raises(PolicyError, match="other computers can reach it"):
        check_bind(host, token="x", tls=False)
    with pytest.raises(PolicyError, match="other computers can reach it"):
        check_bind(host, token="", tls=True)
    check_bind(host, token="x", tls=True)
    for own in ("127.0.0.1", "localhost", "::1"):
        check_bind(own, token="", tls=False)


def test_a_token_that_is_short_or_of_two_words_is_refused(tmp_path):
    path = tmp_path / "token"
    for text in ("", "short", "two words that are long", "ümläüte sind keine zeichen"):
        path.write_text(text)
        with pytest.raises(PolicyError, match="a token is one line"):
            read_token(path)
    with pytest.raises(PolicyError, match="cannot be read"):
        read_token(tmp_path / "none")


def test_a_page_of_a_browser_is_not_let_in(start):
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus):
        raw(start(), Origin="http://evil.example")


def test_health_is_told_without_a_token(start, policy, observe):
    running = start(token="0123456789abcdef", hang_s=0.05)
    health = f"http://127.0.0.1:{running.port}/healthz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(health, timeout=60).read() == b"OK\n"
    policy.gate = threading.Semaphore(0)
    with raw(running, Authorization="Bearer 0123456789abcdef") as socket:
        socket.recv()
        socket.send(encode({FRONT: IMAGE, STATE: np.zeros(2), "prompt": "x"}))
        assert policy.entered.wait(60.0)
        time.sleep(0.1)
        with pytest.raises(urllib.error.HTTPError) as sick:
            opener.open(health, timeout=60)
        assert sick.value.code == 503
        policy.gate.release()
        socket.recv(60.0)
    assert opener.open(health, timeout=60).status == 200


def test_of_several_observations_only_the_newest_is_answered(start, policy):
    policy.gate = threading.Semaphore(0)
    with raw(start()) as socket:
        socket.recv()
        own = {FRONT: IMAGE, STATE: np.zeros(2), "version": 1, "stamp_ns": 0, "prompt": "x"}
        for number in range(5):
            socket.send(encode({**own, "id": number, "reset": number == 1}))
            if number == 0:
                assert policy.entered.wait(60.0)
        overtaken = [decode(socket.recv(60.0), MessageLimits()) for _ in range(3)]
        assert [message["id"] for message in overtaken] == [1, 2, 3]
        assert all(message["overtaken"] for message in overtaken)
        for _ in range(2):
            policy.gate.release()
        answers = [decode(socket.recv(60.0), MessageLimits()) for _ in range(2)]
        assert [message["id"] for message in answers] == [0, 4]
        assert answers[1]["phase"] == "count 1", "the reset of an overtaken one must not be lost"


def test_clients_take_turns_and_learn_nothing_of_one_another(start, policy, observe):
    running = start()
    first, second = remote(running), remote(running)
    phases = [client.infer(observe()).phase for client in (first, first, second, first)]
    assert phases == ["count 1", "count 2", "count 1", "count 1"]
    first.close()
    second.close()


def test_each_client_may_have_a_policy_of_its_own(start, policy, observe):
    made = []

    def make():
        made.append(type(policy)())
        return made[-1]

    running = start(make, own_policy=True)
    first, second = remote(running), remote(running)
    phases = [client.infer(observe()).phase for client in (first, second, first, second)]
    assert phases == ["count 1", "count 1", "count 2", "count 2"]
    first.close()
    second.close()
    until(lambda: sum(each.closed for each in made) == 2, "end of both policies")
    running.stop()
    assert all(each.closed for each in made)


def test_one_client_too_many_is_turned_away_with_a_reason(start, observe):
    running = start(clients=1)
    first = remote(running)
    with pytest.raises(PolicyError, match="1 clients are served already"):
        remote(running, connect_timeout_s=2.0)
    first.close()
    until(lambda: not running.server._clients, "client to leave")
    second = remote(running)
    second.close()


def test_a_client_that_does_not_read_holds_up_nobody(start, observe):
    running = start()
    with raw(running) as lazy:
        stop = threading.Event()

        def flood():
            try:
                while not stop.is_set():
                    lazy.send(b"\xc1" * 1000)
            except ConnectionClosed:
                pass

        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        client = remote(running, timeout_s=60.0)
        for number in range(1, 6):
            assert client.infer(observe()).phase == f"count {number}"
        client.close()
        stop.set()
        running.stop()
        thread.join(60.0)


def test_a_lost_server_is_unavailable_until_it_is_back(start, policy, observe):
    first = start()
    client = remote(first)
    client.infer(observe())
    first.stop()
    with pytest.raises(PolicyUnavailableError):
        client.infer(observe())
    with pytest.raises(PolicyUnavailableError):
        client.infer(observe())
    again = start(port=first.port)
    assert infer_again(client, observe()).phase == "count 1", "another connection begins anew"
    client.close()
    again.stop()
    assert policy.closed


def test_a_server_that_hangs_is_left_after_the_timeout(start, policy, observe):
    policy.gate = threading.Semaphore(0)
    client = remote(start(), timeout_s=0.2)
    with pytest.raises(PolicyUnavailableError, match=r"no answer for 0\.2 s"):
        client.infer(observe())
    for _ in range(50):
        policy.gate.release()
    assert infer_again(client, observe()).positions.shape == (3, 2)
    client.close()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"dt_s": 0.2}, "serves counter 1 with another description now; start the node again"),
        ({"policy_id": "counter 1 ff"}, "serves counter 1 ff now, not counter 1; start the node"),
    ],
)
def test_a_server_with_another_policy_is_not_the_one_that_was_lost(
    start, policy, observe, changes, word
):
    first = start()
    client = remote(first)
    first.stop()
    policy.spec = type(policy.spec)(**{**vars(policy.spec), **changes})
    start(port=first.port)
    reasons = set()

    def told():
        try:
            client.infer(observe())
        except PolicyUnavailableError as error:
            reasons.add(str(error))
        return any(word in reason for reason in reasons)

    until(told, "word of the other policy")
    client.close()


def test_the_server_finishes_the_answer_under_way_before_it_ends(start, policy, observe):
    policy.gate = threading.Semaphore(0)
    running = start()
    client = remote(running, timeout_s=60.0)
    found = []
    asker = threading.Thread(target=lambda: found.append(client.infer(observe())))
    asker.start()
    assert policy.entered.wait(60.0)
    threading.Timer(0.2, policy.gate.release).start()
    running.stop()
    asker.join(60.0)
    assert found[0].phase == "count 1"
    assert running.returned
    assert policy.closed
    client.close()


def test_a_server_of_another_version_is_refused(start, policy, monkeypatch):
    from vla_policies.wire import messages

    monkeypatch.setattr(
        "vla_policies.wire.server.describe",
        lambda description: {**messages.describe(description), "version": 2},
    )
    with pytest.raises(PolicyError, match="speaks version 2 of the protocol, this client version"):
        remote(start())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "http://127.0.0.1:1"}, "is no address"),
        ({"url": "ws://"}, "is no address"),
        ({"url": "wss://gpu-box"}, "with a token only"),
        ({"url": "ws://gpu-box"}, "ssh -L 80:127.0.0.1:80 gpu-box"),
        ({"url": "ws://192.168.0.7:8000"}, "over TLS only"),
        ({"url": "wss://192.168.0.7:8000"}, "with a token only"),
        ({"url": "ws://127.0.0.1:1", "connect_timeout_s": 0.1}, "start it with vla-policy serve"),
        ({"url": "ws://127.0.0.1:1", "jpeg_quality": 0}, "write 1 to 100"),
        ({"url": "ws://127.0.0.1:1", "tolken": "x"}, "tolken: is not an option"),
    ],
)
def test_an_address_or_option_that_cannot_be_used_is_named(options, problem):
    with pytest.raises(PolicyError, match=problem):
        load_policy("remote", options)
