# SPDX-License-Identifier: Apache-2.0
"""Golden values of the rmw_zenoh protocol."""

import pytest

from embedded_ros2.interfaces.hashes import type_hash
from embedded_ros2.wire import attachment, keys, qos, tokens
from embedded_ros2.wire.qos import WireQos
from embedded_ros2.wire.tokens import Token

STRING_HASH = "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"


def test_keys_of_topics_and_services():
    assert (
        keys.data_key(0, "/chatter", keys.dds_type("std_msgs/msg/String"), STRING_HASH)
        == f"0/chatter/std_msgs::msg::dds_::String_/{STRING_HASH}"
    )
    name = "example_interfaces/srv/AddTwoInts"
    key = keys.data_key(2, "/add_two_ints", keys.dds_type(f"{name}_Request"), type_hash(name))
    assert key.startswith("2/add_two_ints/example_interfaces::srv::dds_::AddTwoInts_/RIHS01_e118")
    assert key.endswith("c81a")


def test_types_of_actions():
    assert keys.dds_type("pkg/action/Do_SendGoal_Request") == "pkg::action::dds_::Do_SendGoal_"
    assert (
        keys.dds_type("pkg/action/Do_FeedbackMessage") == "pkg::action::dds_::Do_FeedbackMessage_"
    )


@pytest.mark.parametrize("name", ["std_msgs/msg/String", "std_srvs/srv/SetBool"])
def test_type_names_come_back(name):
    assert keys.ros_type(keys.dds_type(name)) == name


def test_a_name_that_is_no_dds_name_stays():
    assert keys.ros_type("something") == "something"


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        (WireQos(), "::,:,:,:,,"),
        (WireQos(depth=10), "::,10:,:,:,,"),
        (WireQos(reliability=qos.BEST_EFFORT, depth=5), "2::,5:,:,:,,"),
        (WireQos(durability=qos.TRANSIENT_LOCAL, depth=1), ":1:,1:,:,:,,"),
        (WireQos(history=qos.KEEP_ALL), "::2,:,:,:,,"),
        (
            WireQos(depth=1000, durability=1, lifespan_ns=10 * 10**9),
            ":1:,1000:,:10,0:,,",
        ),
        (
            WireQos(2, 1, 2, 7, 1_500_000_000, 2, qos.MANUAL_BY_TOPIC, 3 * 10**9 + 4),
            "2:1:2,7:1,500000000:0,2:3,3,4",
        ),
    ],
)
def test_qualities_of_service(profile, text):
    assert qos.encode(profile) == text
    assert qos.decode(text) == profile


@pytest.mark.parametrize("text", ["", ":", "::,:,:,:,,:", "a::,:,:,:,,", "::,:::,,"])
def test_what_is_no_quality_of_service_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011
        qos.decode(text)


def test_attachments():
    gid = bytes(range(16))
    data = attachment.encode(1, 2, gid)
    assert data == bytes.fromhex("0100000000000000 0200000000000000 10") + gid
    assert attachment.decode(data) == (1, 2, gid)


@pytest.mark.parametrize("data", [b"", bytes(33), bytes(32), bytes(16) + b"\x10" + bytes(17)])
def test_what_is_no_attachment_is_refused(data):
    with pytest.raises(ValueError):  # noqa: PT011
        attachment.decode(data)


def test_the_token_of_an_endpoint():
    token = Token(
        0,
        "d666",
        0,
        1,
        tokens.PUBLISHER,
        "/robot1",
        "server",
        "/robot1/latched",
        "std_msgs::msg::dds_::String_",
        STRING_HASH,
        WireQos(durability=qos.TRANSIENT_LOCAL, depth=1),
    )
    assert token.key == (
        "@ros2_lv/0/d666/0/1/MP/%/%robot1/server/%robot1%latched/"
        f"std_msgs::msg::dds_::String_/{STRING_HASH}/:1:,1:,:,:,,"
    )
    assert tokens.parse(token.key) == token


def test_the_token_of_a_node_in_the_root_namespace():
    token = Token(3, "ab", 5, 5, tokens.NODE, "/", "talker")
    assert token.key == "@ros2_lv/3/ab/5/5/NN/%/%/talker"
    assert tokens.parse(token.key) == token


def test_other_implementations_may_number_their_nodes_by_name():
    key = "@ros2_lv/0/ab/dora/1/NN/%/%other/dora"
    assert tokens.parse(key).node_id == "dora"
    assert tokens.parse(key).key == key
    assert tokens.parse(key.replace("/1/", "/01/")).key == key.replace("/1/", "/01/")


def test_parts_that_later_versions_append_are_kept():
    endpoint = (0, "a", 0, 1, tokens.SUBSCRIPTION, "/", "n", "/t", "x", "RIHS01_0", WireQos())
    plain, extended = Token(*endpoint), Token(*endpoint, extension="backends:cpu:")
    assert extended.key == plain.key + "/backends:cpu:"
    assert tokens.parse(extended.key) == extended


@pytest.mark.parametrize(
    "key",
    [
        "",
        "@ros2_lv/0/a/0/0/NN",
        "@ros2_lv/0/a/0/0/XX/%/%/n",
        "@ros2_lv/x/a/0/0/NN/%/%/n",
        "@ros2_lv/0/a/0/1/MP/%/%/n/%t/x/RIHS01_0",
        "@ros2_lv/0/a/0/1/MP/%/%/n/%t/x/RIHS01_0/::",
        "other/0/a/0/0/NN/%/%/n",
    ],
)
def test_what_is_no_token_is_refused(key):
    with pytest.raises(ValueError):  # noqa: PT011
        tokens.parse(key)


def test_a_gid_is_the_keys_xxh3_low_half_first():
    # XXH3-128 of "abc" is 06b05ab6733a6185 78af5f94892f3950.
    assert tokens.gid("abc").hex() == "50392f89945faf78" + "85613a73b65ab006"
