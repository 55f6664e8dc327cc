# SPDX-License-Identifier: Apache-2.0
"""Which joints a chunk commands, and whether its rows can be for this robot."""

from collections.abc import Callable, Mapping, Sequence

from smooth_motion import Chunk
from vla_contract.robot import Robot
from vla_policy_node.core.arm_lease import Lease
from vla_policy_node.core.chunk_check import ChunkCheck
from vla_policy_node.core.received_chunk import ReceivedChunk, table_problem


class ChunkColumns:
    """What the columns of a chunk may be.

    Attributes:
        arm: The arm's joints; a chunk commands all of them.
        gripper: The gripper's joint, or none where chunks do not command it.
    """

    def __init__(self, robot: Robot, joints: Sequence[str]) -> None:
        """Allow the arm's joints, and the gripper's where it is among `joints`."""
        self._robot = robot
        gripper = robot.gripper.joint
        self.arm = robot.limits.joint_names
        self.gripper = (gripper,) if gripper in joints else ()
        self._checks: dict[tuple[str, ...], ChunkCheck] = {}

    def problem(self, chunk: ReceivedChunk) -> str:
        """Say why the columns of a message are not this robot's, empty where they are."""
        names, known = chunk.joint_names, (*self.arm, *self.gripper)
        missing = [joint for joint in self.arm if joint not in names]
        if missing:
            return f"joint_names lacks {', '.join(missing)}; a chunk commands the whole arm"
        if len(set(names)) != len(names) or not set(names) <= set(known):
            return f"joint_names has a joint twice or one that is none of {', '.join(known)}"
        return table_problem(chunk)

    def in_order(self, chunk: ReceivedChunk) -> ReceivedChunk:
        """Return a chunk without a problem with its columns in one order, whatever they had."""
        names = chunk.joint_names
        return chunk.of([joint for joint in (*self.arm, *self.gripper) if joint in names])

    def doubt(self, lease: Lease, chunk: Chunk, led_to: Callable[[], Mapping[str, float]]) -> str:
        """Say why the rows can hardly be this robot's, empty where they can.

        Args:
            lease: Whose chunk it is; the first one is to begin where the arm is.
            chunk: What of it can be followed.
            led_to: Return where each joint is led at its stamp, rad.
        """
        names = chunk.joint_names
        check = lease.source.check or self._checks.setdefault(
            names, ChunkCheck(names, self._robot)
        )
        doubt = check.far_out(chunk.positions)
        if doubt or not lease.first:
            return doubt
        return check.elsewhere(chunk.positions[0], led_to())

    def raw(self, chunk: ReceivedChunk) -> tuple[ReceivedChunk | None, ReceivedChunk | None]:
        """Return the rows for arm and gripper as they are, None where there are none."""
        names = chunk.joint_names
        if chunk.positions.ndim != 2 or not set(self.arm) <= set(names):
            return None, None
        if len(chunk.positions) == 0 or chunk.positions.shape[1] != len(names):
            return None, None
        has_gripper = self.gripper and set(self.gripper) <= set(names)
        return chunk.of(self.arm), chunk.of(self.gripper) if has_gripper else None
