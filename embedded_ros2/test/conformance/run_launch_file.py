# SPDX-License-Identifier: Apache-2.0
"""Run a launch file by the API alone: ``run_launch_file.py <file> [name:=value ...]``."""

import sys

from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

path, *arguments = sys.argv[1:]
service = LaunchService()
service.include_launch_description(
    LaunchDescription(
        [
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(path),
                launch_arguments=[tuple(item.split(":=", 1)) for item in arguments],
            )
        ]
    )
)
sys.exit(service.run())
