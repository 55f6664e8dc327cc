# SPDX-License-Identifier: Apache-2.0
"""Whether what a policy says of itself can be true, before anybody relies on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from vla_policies.protocol import FeatureKind, FeatureSpec, PolicyError, PolicySpec, TrainingSpan
from vla_policies.wire.messages import UNITS
from vla_policies.wire.values import MAX_ROWS

# s; rows that are further apart are no motion.
MOST_DT_S = 60.0
_MOST_SHOWN = 80


def check_spec(policy: str, spec: object) -> None:
    """Judge a policy's spec.

    Args:
        policy: Name of the policy, for words.
        spec: What it says of itself.

    Raises:
        PolicyError: Something is missing, of the wrong type or impossible; one line that names it.
    """
    if not isinstance(spec, PolicySpec):
        raise PolicyError(
            f"policy {policy}: its spec is {_shown(spec)}; it must be a vla_policies.PolicySpec"
        )
    problem = _problem(spec)
    if problem:
        raise PolicyError(f"policy {policy}: its spec's {problem}")


def _problem(spec: PolicySpec) -> str:
    problem = (
        _text("policy_id", spec.policy_id)
        or _names("joint_names", spec.joint_names)
        or _unit("units", spec.units)
    )
    if problem:
        return problem
    if not spec.joint_names:
        return "joint_names are empty; name the columns of an action"
    dt_s, rows = spec.dt_s, spec.chunk_size
    if isinstance(dt_s, bool) or not isinstance(dt_s, Real) or not (0.0 < dt_s <= MOST_DT_S):
        return f"dt_s is {_shown(dt_s)}; give the time between two rows in s, up to {MOST_DT_S:g}"
    if isinstance(rows, bool) or not isinstance(rows, Integral) or not (1 <= rows <= MAX_ROWS):
        return f"chunk_size is {_shown(rows)}; give the rows of an action, 1 to {MAX_ROWS}"
    if not isinstance(spec.observation, tuple):
        return f"observation is {_shown(spec.observation)}; give a tuple of FeatureSpec"
    for feature in spec.observation:
        problem = _feature_problem(feature)
        if problem:
            return problem
    names = [feature.name for feature in spec.observation]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"observation has {twice!r} more than once; name each feature once"
    if not isinstance(spec.notes, tuple) or not all(isinstance(each, str) for each in spec.notes):
        return f"notes are {_shown(spec.notes)}; give a tuple of texts"
    return _span_problem("span", spec.span, len(spec.joint_names))


def _feature_problem(feature: object) -> str:
    if not isinstance(feature, FeatureSpec):
        return f"observation has {_shown(feature)} in it; give a tuple of FeatureSpec"
    problem = _text("observation has a feature whose name", feature.name)
    if problem:
        return problem
    at = f"feature {feature.name!r:.60}"
    if not isinstance(feature.kind, FeatureKind):
        return (
            f"{at}: kind is {_shown(feature.kind)}; write FeatureKind.IMAGE or FeatureKind.STATE"
        )
    shape, sizes = feature.shape, 3 if feature.kind is FeatureKind.IMAGE else 1
    sound = isinstance(shape, tuple) and all(
        size is None or (isinstance(size, Integral) and not isinstance(size, bool) and size >= 1)
        for size in shape
    )
    if not sound or len(shape) != sizes:
        wanted = "(H, W, 3)" if feature.kind is FeatureKind.IMAGE else "(N,)"
        return f"{at}: shape is {_shown(shape)}; give {wanted}, None where any size will do"
    if feature.kind is FeatureKind.IMAGE:
        return ""
    problem = _unit("units", feature.units) or _names("names", feature.names)
    if problem:
        return f"{at}: {problem}"
    size = shape[0]
    if feature.names and size is not None and len(feature.names) != size:
        return f"{at}: it has {len(feature.names)} names for {size} elements; name each"
    problem = _span_problem("span", feature.span, size)
    return f"{at}: {problem}" if problem else ""


def _span_problem(key: str, span: object, size: int | None) -> str:
    if span is None:
        return ""
    if not isinstance(span, TrainingSpan):
        return f"{key} is {_shown(span)}; give a TrainingSpan, or None where it is not known"
    for name in ("low", "high", "least", "most", "factor", "zero"):
        values = getattr(span, name)
        numbers = isinstance(values, tuple) and all(
            isinstance(each, Real) and not isinstance(each, bool) and math.isfinite(each)
            for each in values
        )
        if not numbers or (size is not None and len(values) != size):
            return f"{key}.{name} is {_shown(values)}; give a finite number for each element"
    return ""


def _text(key: str, value: object) -> str:
    if isinstance(value, str) and value.strip():
        return ""
    return f"{key} is {_shown(value)}; give a text"


def _unit(key: str, value: object) -> str:
    if value in UNITS and isinstance(value, str):
        return ""
    likely = next((unit for unit in UNITS if str(value).strip().lower().startswith(unit)), None)
    known = " or ".join(repr(unit) for unit in UNITS)
    return f"{key} is {_shown(value)}; write {repr(likely) if likely else known}"


def _names(key: str, values: object) -> str:
    if not isinstance(values, tuple) or not all(isinstance(each, str) and each for each in values):
        return f"{key} is {_shown(values)}; give a tuple of names"
    twice = _twice(values)
    return f"{key} has {twice!r} more than once; name each joint once" if twice else ""


def _twice(values: Sequence[Any]) -> Any:
    seen = set()
    for each in values:
        if each in seen:
            return each
        seen.add(each)
    return None


def _shown(value: object) -> str:
    """Return a value as one short line; its own words may fail."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        return f"a {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
