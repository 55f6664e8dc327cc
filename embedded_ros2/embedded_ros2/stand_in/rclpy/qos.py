# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N818  (the names are rclpy's)
"""Quality of service."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

from embedded_ros2.wire import qos as wire_qos
from rclpy.duration import Duration, Infinite


class QoSPolicyKind(IntEnum):
    """Kinds of policies, as flags."""

    INVALID = 1
    DURABILITY = 2
    DEADLINE = 4
    LIVELINESS = 8
    RELIABILITY = 16
    HISTORY = 32
    LIFESPAN = 64
    DEPTH = 128
    LIVELINESS_LEASE_DURATION = 256
    AVOID_ROS_NAMESPACE_CONVENTIONS = 512


def qos_policy_name_from_kind(policy_kind: QoSPolicyKind | int) -> str:
    """Return a policy kind's name."""
    return QoSPolicyKind(policy_kind).name


class InvalidQoSProfileException(Exception):
    """A profile's arguments contradict each other or are incomplete."""

    def __init__(self, *args: object) -> None:
        super().__init__("Invalid QoSProfile", *args)


class QoSPolicyEnum(IntEnum):
    """Base of the policies' values."""

    @classmethod
    def short_keys(cls) -> list[str]:
        """Return the names in lower case."""
        return [name.lower() for name in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> int:
        """Return the value with a name, in whatever case."""
        return cls[name.upper()].value

    @property
    def short_key(self) -> str:
        """The name in lower case."""
        return self.name.lower()


class HistoryPolicy(QoSPolicyEnum):
    """How many messages are kept."""

    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2
    UNKNOWN = 3


class ReliabilityPolicy(QoSPolicyEnum):
    """Whether a message may be lost."""

    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class DurabilityPolicy(QoSPolicyEnum):
    """Whether late subscriptions get earlier messages."""

    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class LivelinessPolicy(QoSPolicyEnum):
    """Who asserts that a publisher is alive."""

    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1
    MANUAL_BY_TOPIC = 3
    UNKNOWN = 4
    BEST_AVAILABLE = 5


QoSHistoryPolicy = HistoryPolicy
QoSReliabilityPolicy = ReliabilityPolicy
QoSDurabilityPolicy = DurabilityPolicy
QoSLivelinessPolicy = LivelinessPolicy

_POLICIES: dict[str, type[QoSPolicyEnum]] = {
    "history": HistoryPolicy,
    "reliability": ReliabilityPolicy,
    "durability": DurabilityPolicy,
    "liveliness": LivelinessPolicy,
}
# rmw writes "unset" for durations as zero, which means that there is no limit.
_UNSET = Duration()
_DEFAULTS: dict[str, Any] = {
    "history": HistoryPolicy.KEEP_LAST,
    "depth": 10,
    "reliability": ReliabilityPolicy.RELIABLE,
    "durability": DurabilityPolicy.VOLATILE,
    "lifespan": _UNSET,
    "deadline": _UNSET,
    "liveliness": LivelinessPolicy.SYSTEM_DEFAULT,
    "liveliness_lease_duration": _UNSET,
    "avoid_ros_namespace_conventions": False,
}


class QoSProfile:
    """A set of policies; `depth`, or `history` without KEEP_LAST, is needed."""

    __slots__ = tuple(f"_{name}" for name in _DEFAULTS)

    def __init__(self, **kwargs: Any) -> None:
        unknown = kwargs.keys() - _DEFAULTS.keys()
        assert not unknown, f"Invalid arguments passed to constructor: {sorted(unknown)}"
        if "history" not in kwargs and "depth" not in kwargs:
            raise InvalidQoSProfileException("History and/or depth settings are required.")
        values = {**_DEFAULTS, **kwargs}
        if values["history"] == HistoryPolicy.KEEP_LAST and "depth" not in kwargs:
            raise InvalidQoSProfileException("History set to KEEP_LAST without a depth setting.")
        for name, value in values.items():
            setattr(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QoSProfile):
            return False
        return all(getattr(self, slot) == getattr(other, slot) for slot in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # as in rclpy

    def __str__(self) -> str:
        parts = ", ".join(f"{slot[1:]}={getattr(self, slot)}" for slot in self.__slots__)
        return f"{type(self).__name__}({parts})"


def _add_property(name: str) -> None:
    slot = f"_{name}"

    def read(self: QoSProfile) -> Any:
        return getattr(self, slot)

    def write(self: QoSProfile, value: Any) -> None:
        policy = _POLICIES.get(name)
        if policy is not None:
            assert isinstance(value, int), f"{name} must be a {policy.__name__}"
            value = policy(value)
        else:
            wanted = type(_DEFAULTS[name])
            assert isinstance(value, wanted), f"{name} must be of type {wanted.__name__}"
        setattr(self, slot, value)

    setattr(QoSProfile, name, property(read, write, doc=f"The {name.replace('_', ' ')}."))


for _name in _DEFAULTS:
    _add_property(_name)

qos_profile_unknown = QoSProfile(
    history=HistoryPolicy.UNKNOWN,
    depth=0,
    reliability=ReliabilityPolicy.UNKNOWN,
    durability=DurabilityPolicy.UNKNOWN,
    liveliness=LivelinessPolicy.UNKNOWN,
)
qos_profile_default = QoSProfile(depth=10)
qos_profile_system_default = QoSProfile(
    history=HistoryPolicy.SYSTEM_DEFAULT,
    depth=0,
    reliability=ReliabilityPolicy.SYSTEM_DEFAULT,
    durability=DurabilityPolicy.SYSTEM_DEFAULT,
)
qos_profile_sensor_data = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
qos_profile_services_default = QoSProfile(depth=10)
qos_profile_parameters = QoSProfile(depth=1000)
qos_profile_parameter_events = QoSProfile(depth=1000)
qos_profile_rosout_default = QoSProfile(
    depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL, lifespan=Duration(seconds=10)
)
qos_profile_best_available = QoSProfile(
    depth=10,
    reliability=ReliabilityPolicy.BEST_AVAILABLE,
    durability=DurabilityPolicy.BEST_AVAILABLE,
    liveliness=LivelinessPolicy.BEST_AVAILABLE,
)
qos_profile_action_status_default = QoSProfile(
    depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class QoSPresetProfiles(Enum):
    """The profiles by name."""

    UNKNOWN = qos_profile_unknown
    DEFAULT = qos_profile_default
    SYSTEM_DEFAULT = qos_profile_system_default
    SENSOR_DATA = qos_profile_sensor_data
    SERVICES_DEFAULT = qos_profile_services_default
    PARAMETERS = qos_profile_parameters
    PARAMETER_EVENTS = qos_profile_parameter_events
    ACTION_STATUS_DEFAULT = qos_profile_action_status_default
    BEST_AVAILABLE = qos_profile_best_available

    @classmethod
    def short_keys(cls) -> list[str]:
        """Return the names in lower case."""
        return [name.lower() for name in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> QoSProfile:
        """Return the profile with a name, in whatever case."""
        return cls[name.upper()].value


class QoSCompatibility(IntEnum):
    """Whether a publisher and a subscription can talk."""

    OK = 0
    WARNING = 1
    ERROR = 2


def qos_check_compatible(
    publisher_qos: QoSProfile, subscription_qos: QoSProfile
) -> tuple[QoSCompatibility, str]:
    """Return that they are compatible: over Zenoh, all profiles are."""
    return QoSCompatibility.OK, ""


def _duration_ns(duration: Duration) -> int:
    if duration.nanoseconds == 0 or duration == Infinite:
        return wire_qos.INFINITE_NS
    return duration.nanoseconds


def _to_wire(profile: QoSProfile) -> wire_qos.WireQos:
    """Return what tokens say of a profile: every "whatever the system does" resolved."""
    keep_all = profile.history == HistoryPolicy.KEEP_ALL
    best_effort = profile.reliability == ReliabilityPolicy.BEST_EFFORT
    transient_local = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    manual = profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC
    return wire_qos.WireQos(
        wire_qos.BEST_EFFORT if best_effort else wire_qos.RELIABLE,
        wire_qos.TRANSIENT_LOCAL if transient_local else wire_qos.VOLATILE,
        wire_qos.KEEP_ALL if keep_all else wire_qos.KEEP_LAST,
        profile.depth or wire_qos.DEFAULT_DEPTH,
        _duration_ns(profile.deadline),
        _duration_ns(profile.lifespan),
        wire_qos.MANUAL_BY_TOPIC if manual else wire_qos.AUTOMATIC,
        _duration_ns(profile.liveliness_lease_duration),
    )


def _from_wire(qos: wire_qos.WireQos) -> QoSProfile:
    """Return the profile that a token tells of."""

    def duration(value_ns: int) -> Duration:
        return Infinite if value_ns >= wire_qos.INFINITE_NS else Duration(nanoseconds=value_ns)

    return QoSProfile(
        history=HistoryPolicy(qos.history),
        depth=qos.depth,
        reliability=ReliabilityPolicy(qos.reliability),
        durability=DurabilityPolicy(qos.durability),
        lifespan=duration(qos.lifespan_ns),
        deadline=duration(qos.deadline_ns),
        liveliness=LivelinessPolicy(qos.liveliness),
        liveliness_lease_duration=duration(qos.lease_ns),
    )
