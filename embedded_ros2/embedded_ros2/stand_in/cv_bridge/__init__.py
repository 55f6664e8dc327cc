# SPDX-License-Identifier: Apache-2.0
"""Images between ROS messages and OpenCV."""

from cv_bridge.core import CvBridge, CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
