# SPDX-License-Identifier: Apache-2.0
"""OpenVINO without its telemetry, which would start a process and call home from the robot.

Import `openvino` from here, and before NNCF. Without the package that sends it, both go on alone.
"""

from __future__ import annotations

import sys

if "openvino_telemetry" not in sys.modules:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino

__all__ = ["openvino"]
