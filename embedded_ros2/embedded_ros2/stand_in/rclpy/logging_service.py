# SPDX-License-Identifier: Apache-2.0
"""The two services through which others read and set logger levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import LoggerLevel, SetLoggerLevelsResult
from rcl_interfaces.srv import GetLoggerLevels, SetLoggerLevels

from rclpy import logging

if TYPE_CHECKING:
    from rclpy.node import Node


class LoggingService:
    """Serves the logger levels of the process."""

    def __init__(self, node: Node) -> None:
        name = node.get_name()
        node.create_service(GetLoggerLevels, f"{name}/get_logger_levels", self._get)
        node.create_service(SetLoggerLevels, f"{name}/set_logger_levels", self._set)

    def _get(self, request: Any, response: Any) -> Any:
        response.levels = [
            LoggerLevel(name=name, level=int(logging.get_logger_level(name)))
            for name in request.names
        ]
        return response

    def _set(self, request: Any, response: Any) -> Any:
        results = []
        for item in request.levels:
            result = SetLoggerLevelsResult(successful=True)
            try:
                logging.set_logger_level(item.name, item.level)
            except ValueError:
                result = SetLoggerLevelsResult(reason="Failed reason: Invalid logger level.")
            results.append(result)
        response.results = results
        return response
