# SPDX-License-Identifier: Apache-2.0
"""For the launch files: the nodes that read the cameras of a robot that is not simulated.

Pictures are on `front_camera/image_raw` and `wrist_camera/image_raw`, as contracts name them.
"""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from vla_bringup import description

CAMERAS = ("front", "wrist")
# What publishes a camera's pictures: executable, and its parameters but for device and frame.
CAMERA_DRIVERS: dict[str, tuple[str, dict[str, object]]] = {
    "v4l2_camera": ("v4l2_camera_node", {"image_size": [640, 480]}),
    "usb_cam": (
        "usb_cam_node_exe",
        {"image_width": 640, "image_height": 480, "framerate": 30.0, "pixel_format": "yuyv2rgb"},
    ),
}
FRAMES = {"v4l2_camera": "camera_frame_id", "usb_cam": "frame_id"}

ARGUMENTS = [
    *(
        DeclareLaunchArgument(
            f"{camera}_camera",
            default_value="",
            description=f"Video device of the {camera} camera, such as /dev/video0; its pictures "
            f"are on {camera}_camera/image_raw. Empty: there is none. For mock and real.",
        )
        for camera in CAMERAS
    ),
    DeclareLaunchArgument(
        "camera_driver",
        default_value="v4l2_camera",
        choices=["v4l2_camera", "usb_cam"],
        description="The package that reads the cameras.",
    ),
]


def nodes(context: LaunchContext, simulated: bool) -> list[Node]:
    """Return a node for each camera that there is.

    Raises:
        RuntimeError: The simulation has its own, there is no such device, or the package that
            reads them is missing.
    """
    devices = {name: LaunchConfiguration(f"{name}_camera").perform(context) for name in CAMERAS}
    given = {name: device for name, device in devices.items() if device}
    if not given:
        return []
    if simulated:
        raise RuntimeError(
            f"{next(iter(given))}_camera:=... is for hardware:=mock and real: a simulation draws "
            "its own pictures"
        )
    for name, device in given.items():
        # v4l2_camera goes on without one, and publishes nothing.
        if not Path(device).exists():
            raise RuntimeError(
                f"{name}_camera:={device}: there is no such device; is it plugged in? `ls "
                "/dev/video*` shows those that there are"
            )
        if not Path(device).is_char_device():
            raise RuntimeError(
                f"{name}_camera:={device}: that is no device; give one of /dev/video* or "
                "/dev/v4l/by-id/*"
            )
        if not os.access(device, os.R_OK | os.W_OK):
            raise RuntimeError(
                f"{name}_camera:={device}: no permission; `sudo usermod -aG video $USER`, then "
                "log in again"
            )
    # A device has several names: /dev/v4l/by-id/... stays the same when it is plugged in anew.
    if len({Path(device).resolve() for device in given.values()}) != len(given):
        device = next(iter(given.values()))
        raise RuntimeError(
            f"front_camera and wrist_camera are {device} both: one node alone can read a device"
        )
    package = LaunchConfiguration("camera_driver").perform(context)
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        debian = package.replace("_", "-")
        raise RuntimeError(
            f"{next(iter(given))}_camera:=... needs package '{package}', which is not installed "
            f"(apt install ros-$ROS_DISTRO-{debian}); camera_driver:= names the other choice"
        ) from None
    executable, parameters = CAMERA_DRIVERS[package]
    own = description.NAMESPACE.perform(context)
    frame = FRAMES[package]
    return [
        Node(
            package=package,
            executable=executable,
            name=f"{name}_camera_driver",
            namespace=f"{own.rstrip('/')}/{name}_camera" if own else f"{name}_camera",
            output="screen",
            parameters=[
                {**parameters, "video_device": device, frame: f"{name}_camera_optical_frame"}
            ],
        )
        for name, device in given.items()
    ]
