# SPDX-License-Identifier: Apache-2.0
"""Type names and key expressions of topics and services.

Source: rmw_zenoh, docs/design.md ("Topic and Service name mapping to Zenoh key expressions").
"""

from __future__ import annotations

_DROPPED = ("_Request", "_Response")


def dds_type(name: str) -> str:
    """Return the DDS name of a type: ``std_msgs/msg/String`` is ``std_msgs::msg::dds_::String_``.

    A request or a response takes its service's name.
    """
    package, kind, stem = name.split("/")
    if kind != "msg":
        for suffix in _DROPPED:
            if stem.endswith(suffix):
                stem = stem[: -len(suffix)]
    return f"{package}::{kind}::dds_::{stem}_"


def ros_type(dds_name: str) -> str:
    """Return the ROS name of a DDS type name; what is no such name comes back unchanged."""
    parts = dds_name.split("::")
    if len(parts) != 4 or parts[2] != "dds_" or not parts[3].endswith("_"):
        return dds_name
    return f"{parts[0]}/{parts[1]}/{parts[3][:-1]}"


def data_key(domain_id: int, name: str, dds_name: str, type_hash: str) -> str:
    """Return the key under which a topic's or a service's data travels.

    Args:
        domain_id: The ROS domain.
        name: The fully qualified name, such as ``/robot/joint_states``.
        dds_name: See `dds_type`.
        type_hash: The RIHS01 hash.
    """
    return f"{domain_id}/{name.strip('/')}/{dds_name}/{type_hash}"
