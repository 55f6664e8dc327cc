# SPDX-License-Identifier: Apache-2.0
"""What may stand where actions are expected."""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable

from .launch_description_entity import LaunchDescriptionEntity

SomeEntitiesType = LaunchDescriptionEntity | Iterable[LaunchDescriptionEntity]

SomeEntitiesType_types_tuple = (LaunchDescriptionEntity, collections.abc.Iterable)
