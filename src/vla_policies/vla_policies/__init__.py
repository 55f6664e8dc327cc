# SPDX-License-Identifier: Apache-2.0
"""Policies that turn observations into action chunks, and the protocol that they share."""

from vla_policies.protocol import (
    IMAGES,
    STATE,
    Action,
    FeatureKind,
    FeatureSpec,
    Observation,
    Options,
    Policy,
    PolicyError,
    PolicySpec,
    PolicyUnavailableError,
    TrainingSpan,
    check_action,
    check_observation,
)
from vla_policies.registry import available, load_policy

__all__ = [
    "IMAGES",
    "STATE",
    "Action",
    "FeatureKind",
    "FeatureSpec",
    "Observation",
    "Options",
    "Policy",
    "PolicyError",
    "PolicySpec",
    "PolicyUnavailableError",
    "TrainingSpan",
    "available",
    "check_action",
    "check_observation",
    "load_policy",
]
