# SPDX-License-Identifier: Apache-2.0
"""The former name of `event_handler`."""

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks

__all__ = ["PublisherEventCallbacks", "SubscriptionEventCallbacks"]
