# SPDX-License-Identifier: Apache-2.0
"""The messages of the protocol, version 1, and what of them openpi's protocol knows.

1. The server speaks first, once: what it serves (`describe`). openpi's servers say anything here.
2. The client sends an observation: the features by name, ``prompt``, and ``version``, ``id``,
   ``stamp_ns``, ``reset`` and, where something runs, ``committed``. openpi's clients send only the
   features and ``prompt``.
3. The server answers with ``actions`` and ``server_timing``, to this suite's clients also with
   ``id``, ``dt_s``, ``phase`` and ``done``. A text frame, or ``error`` in the answer, says what
   was wrong instead. An observation that a newer one overtook is answered with ``overtaken``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vla_policies.protocol import (
    NATIVE,
    Action,
    FeatureKind,
    FeatureSpec,
    Observation,
    PolicySpec,
    TrainingSpan,
    check_observation,
)
from vla_policies.rtc import Committed, check_committed
from vla_policies.wire import values
from vla_policies.wire.codec import MessageLimits, Packed, Picture, WireError, brief

VERSION = 1
PROTOCOL = "vla_policies"
PROMPT = "prompt"
OWN_KEYS = ("version", "id", "stamp_ns", "reset", "committed")
UNITS = ("rad", "deg", NATIVE)
_SPAN = ("low", "high", "least", "most", "factor", "zero")


@dataclass(frozen=True)
class Description:
    """What a server serves.

    Attributes:
        spec: Of its policy.
        continues: The policy can continue a chunk.
    """

    spec: PolicySpec
    continues: bool


@dataclass(frozen=True)
class Request:
    """An observation that has arrived and fits the policy; its pictures are not decoded yet.

    Attributes:
        own: From a client of this suite, not of openpi.
        number: The client's own number for it.
        reset: A new instruction begins with it.
        stamp_ns: Of the observation; None where the client says none.
        task: The instruction.
        arrays: By feature name.
        committed: What runs; None where nothing does.
    """

    own: bool
    number: int
    reset: bool
    stamp_ns: int | None
    task: str
    arrays: Mapping[str, Packed | Picture]
    committed: Committed | None

    def observation(self, spec: PolicySpec, now_ns: int) -> Observation:
        """Decode the pictures and return the observation.

        Args:
            spec: Of the policy.
            now_ns: Its stamp, where the client says none.

        Raises:
            WireError: A picture is damaged.
            PolicyError: A value is not finite.
        """
        images, state = {}, {}
        for feature in spec.observation:
            array = self.arrays[feature.name]
            if feature.kind is FeatureKind.IMAGE:
                images[feature.name] = (
                    array.pixels() if isinstance(array, Picture) else array.array()
                )
            elif isinstance(array, Packed):
                state[feature.name] = array.array().astype(np.float64)
        stamp_ns = now_ns if self.stamp_ns is None else self.stamp_ns
        observation = Observation(stamp_ns, images, state, self.task)
        check_observation(observation, spec)
        return observation


# -- the server's first message -------------------------------------------------------------------


def describe(description: Description) -> dict[str, object]:
    """Return the server's first message."""
    spec = description.spec
    return {
        "protocol": PROTOCOL,
        "version": VERSION,
        "policy_id": spec.policy_id,
        "features": [
            {
                "name": f.name, "kind": f.kind.value, "shape": list(f.shape), "units": f.units,
                "names": list(f.names), "span": write_span(f.span),
            }
            for f in spec.observation
        ],
        "joint_names": list(spec.joint_names),
        "units": spec.units,
        "dt_s": spec.dt_s,
        "chunk_size": spec.chunk_size,
        "continues": description.continues,
        "span": write_span(spec.span),
        "notes": list(spec.notes),
    }  # fmt: skip


def read_description(message: object) -> Description | None:
    """Return what a server says it serves, None where it does not speak this suite's protocol.

    Raises:
        WireError: It speaks another version, or says something that makes no sense.
    """
    if not isinstance(message, dict):
        raise WireError("the server's first message is no map")
    if message.get("protocol") != PROTOCOL:
        return None
    if message.get("version") != VERSION:
        raise WireError(
            f"the server speaks version {brief(message.get('version'))} of the protocol, this "
            f"client version {VERSION}; install the same release on both sides"
        )
    spec = PolicySpec(
        policy_id=values.text(message, "policy_id"),
        observation=tuple(_feature(each) for each in values.listed(message, "features")),
        joint_names=tuple(values.texts(message, "joint_names")),
        units=values.one_of(message, "units", UNITS),
        dt_s=values.positive(message, "dt_s"),
        chunk_size=values.whole(message, "chunk_size", 1, values.MAX_ROWS),
        span=read_span(message.get("span")),
        notes=values.optional_texts(message, "notes"),
    )
    return Description(spec, values.flag(message, "continues"))


def _feature(found: object) -> FeatureSpec:
    if not isinstance(found, dict):
        raise WireError("a feature is no map")
    kind = FeatureKind(values.one_of(found, "kind", tuple(kind.value for kind in FeatureKind)))
    shape = values.listed(found, "shape")
    if len(shape) != (3 if kind is FeatureKind.IMAGE else 1) or not all(
        length is None or (type(length) is int and length > 0) for length in shape
    ):
        raise WireError(f"a feature's shape is {brief(shape)}")
    units = "" if kind is FeatureKind.IMAGE else values.one_of(found, "units", UNITS)
    names, span = values.optional_texts(found, "names"), read_span(found.get("span"))
    if names and len(names) not in shape:
        raise WireError(f"a feature of shape {shape} has {len(names)} names")
    return FeatureSpec(values.text(found, "name"), kind, tuple(shape), units, names, span)


def write_span(span: TrainingSpan | None) -> dict[str, object] | None:
    """Return the message of what training data spanned."""
    if span is None:
        return None
    numbers: dict[str, object] = {key: list(getattr(span, key)) for key in _SPAN}
    return {**numbers, "declared_in": span.declared_in}


def read_span(found: object) -> TrainingSpan | None:
    """Return what a server says that its training data spanned; None where it says nothing.

    Raises:
        WireError: It makes no sense.
    """
    if found is None:
        return None
    if not isinstance(found, dict):
        raise WireError("a span is no map")
    columns = {
        key: tuple(values.finite(each) for each in values.listed(found, key)) for key in _SPAN
    }
    if len({len(column) for column in columns.values()}) != 1:
        raise WireError("the lists of a span differ in length")
    return TrainingSpan(**columns, declared_in=values.text(found, "declared_in"))


# -- an observation -------------------------------------------------------------------------------


def write_request(
    observation: Observation,
    spec: PolicySpec,
    *,
    number: int,
    reset: bool,
    committed: Committed | None,
    jpeg_quality: int | None,
) -> dict[str, object]:
    """Return the message of an observation. Only the features that the policy needs are sent."""
    message = write_features(observation, spec, jpeg_quality)
    message |= {"version": VERSION, "id": number, "stamp_ns": observation.stamp_ns, "reset": reset}
    if committed is not None:
        message["committed"] = {
            "positions": np.asarray(committed.positions, dtype=np.float64),
            "delay": committed.delay,
            "horizon": committed.horizon,
        }
    return message


def write_features(
    observation: Observation, spec: PolicySpec, jpeg_quality: int | None
) -> dict[str, object]:
    """Return the features and the prompt alone, as openpi's clients send them."""
    message: dict[str, object] = {PROMPT: observation.task}
    for feature in spec.observation:
        if feature.kind is FeatureKind.STATE:
            message[feature.name] = observation.state[feature.name]
        elif jpeg_quality is None:
            message[feature.name] = observation.images[feature.name]
        else:
            message[feature.name] = Picture.of(observation.images[feature.name], jpeg_quality)
    return message


def read_request(message: object, description: Description, limits: MessageLimits) -> Request:
    """Check an observation against what the policy needs.

    Raises:
        WireError: A key is missing or unknown, or a value of another type, shape or size.
    """
    if not isinstance(message, dict):
        raise WireError("an observation must be a map of features")
    own = "version" in message
    if own and message["version"] != VERSION:
        raise WireError(
            f"version {brief(message['version'])} of the protocol is not spoken here, only "
            f"{VERSION}; install the same release on both sides"
        )
    spec = description.spec
    names = [feature.name for feature in spec.observation]
    known = (*names, PROMPT, *(OWN_KEYS if own else ()))
    for key in message:
        if key not in known:
            raise WireError(f"{brief(key)} is not asked for; send {', '.join((*names, PROMPT))}")
    for feature in spec.observation:
        if feature.name not in message:
            raise WireError(f"{feature.name} is missing; send {', '.join((*names, PROMPT))}")
        _check_feature(feature, message[feature.name], limits)
    return Request(
        own=own,
        number=values.whole(message, "id", 0, 1 << 62) if own else 0,
        reset=values.flag(message, "reset") if own else False,
        stamp_ns=values.whole(message, "stamp_ns", 0, 1 << 62) if own else None,
        task=values.text(message, PROMPT),
        arrays={name: message[name] for name in names},
        committed=_committed(message.get("committed"), description),
    )


def _check_feature(feature: FeatureSpec, found: object, limits: MessageLimits) -> None:
    if feature.kind is FeatureKind.IMAGE:
        if not isinstance(found, (Packed, Picture)):
            raise WireError(f"{feature.name} must be an array or a JPEG")
        if isinstance(found, Packed) and found.dtype != "|u1":
            raise WireError(f"{feature.name} is {found.dtype}; send uint8 RGB")
    elif not isinstance(found, Packed) or found.dtype == "|b1":
        raise WireError(f"{feature.name} must be an array of numbers")
    fits = len(found.shape) == len(feature.shape) and all(
        length > 0 and want in (None, length)
        for want, length in zip(feature.shape, found.shape, strict=True)
    )
    if not fits:
        raise WireError(f"{feature.name} has shape {found.shape}; send {feature.shape}")
    pixels = math.prod(found.shape[:2])
    if feature.kind is FeatureKind.IMAGE and not pixels <= limits.image_pixels:
        raise WireError(
            f"{feature.name} has {pixels} pixels; at most {limits.image_pixels} are allowed"
        )


def _committed(found: object, description: Description) -> Committed | None:
    if found is None:
        return None
    if not description.continues:
        raise WireError("committed: the policy does not continue chunks; leave it out")
    if not isinstance(found, dict) or set(found) != {"positions", "delay", "horizon"}:
        raise WireError("committed must be a map of positions, delay and horizon")
    columns = len(description.spec.joint_names)
    committed = Committed(
        positions=values.table(found, "positions", columns),
        delay=values.whole(found, "delay", 0, values.MAX_ROWS),
        horizon=values.whole(found, "horizon", 0, values.MAX_ROWS),
    )
    check_committed(committed, columns)
    return committed


# -- the answer -----------------------------------------------------------------------------------


def write_answer(action: Action, request: Request, infer_ms: float) -> dict[str, object]:
    """Return the message of a chunk.

    Raises:
        WireError: The policy returned no table of numbers.
    """
    try:
        positions = np.asarray(action.positions, dtype=np.float64)
    except (TypeError, ValueError):
        positions = np.zeros(0)
    if positions.ndim != 2 or not len(positions) <= values.MAX_ROWS:
        raise WireError("the policy returned no table of numbers")
    message: dict[str, object] = {"actions": positions, "server_timing": {"infer_ms": infer_ms}}
    if request.own:
        message |= {
            "id": request.number,
            "dt_s": float(action.dt_s),
            "phase": str(action.phase),
            "done": bool(action.done),
        }
    return message


def read_answer(message: object, number: int, spec: PolicySpec) -> Action:
    """Return the chunk of an answer to the observation of that number.

    The numbers are as the policy returned them: whoever moves an arm by them judges them.

    Raises:
        WireError: It is an error, or no chunk.
    """
    if not isinstance(message, dict):
        raise WireError("an answer is no map")
    if message.get("id") != number:
        raise WireError(f"an answer is to {brief(message.get('id'))}; {number} was asked")
    if "error" in message:
        raise WireError(values.text(message, "error"))
    if "overtaken" in message:
        raise WireError("a newer observation overtook this one")
    return Action(
        positions=values.table(message, "actions", None),
        dt_s=values.positive(message, "dt_s"),
        joint_names=spec.joint_names,
        phase=values.text(message, "phase", empty=True),
        done=values.flag(message, "done"),
    )
