# SPDX-License-Identifier: Apache-2.0
"""What other nodes need to move the arm: they ask, send chunks, and hear what became of them.

The names are the arm's, not this node's: a source need not know who carries its chunks out.
"""

from __future__ import annotations

from rclpy.node import Node
from vla_msgs.msg import ActionChunk, ExecutorStatus
from vla_msgs.srv import AcquireArm, ReleaseArm

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.messages import read_message
from vla_policy_node import convert
from vla_policy_node.core.chunk_executor import ChunkExecutor
from vla_policy_node.core.received_chunk import MAX_ROWS

# As many rows of as many joints as are taken, and their names.
MAX_BYTES = 8 * MAX_ROWS * convert.MAX_JOINTS + 65_536


class ChunkSources:
    """Connects sources of chunks with the executor."""

    def __init__(
        self, node: Node, executor: ChunkExecutor, motion: MotionClock, timeout_s: float
    ) -> None:
        """Offer the services and the topics.

        Args:
            node: Whose they are.
            executor: Carries the chunks out.
            motion: Tells the time.
            timeout_s: Without a usable chunk for this long the arm is lost.
        """
        self._executor, self._motion, self._timeout_s = executor, motion, timeout_s
        self._reported: tuple[object, ...] = ()
        node.create_service(AcquireArm, "arm/acquire", self._on_acquire)
        node.create_service(ReleaseArm, "arm/release", self._on_release)
        # As bytes: how many they are is looked at before anything is made of them.
        node.create_subscription(
            ActionChunk, "arm/action_chunk", self._on_bytes, qos.EACH, raw=True
        )
        self._status = node.create_publisher(ExecutorStatus, "arm/executor_status", qos.LATCHED)

    def report(self, *, changed: bool = False) -> None:
        """Publish who holds the arm; where `changed` is asked for, only if that has changed."""
        now_ns, steady_ns = self._motion.now()
        status = self._executor.status(now_ns, steady_ns)
        if changed and status.digest == self._reported:
            return
        self._reported = status.digest
        self._status.publish(convert.from_executor(status, now_ns))

    def _on_acquire(
        self, request: AcquireArm.Request, response: AcquireArm.Response
    ) -> AcquireArm.Response:
        grant = self._executor.acquire(request.source, request.take_over, *self._motion.now())
        response.granted = grant.lease is not None
        response.lease = 0 if grant.lease is None else grant.lease.number
        response.message, response.holder = grant.message, grant.holder
        response.timeout = self._timeout_s
        return response

    def _on_release(
        self, request: ReleaseArm.Request, response: ReleaseArm.Response
    ) -> ReleaseArm.Response:
        response.message = self._executor.arbiter.release(request.lease)
        response.success = not response.message
        return response

    def _on_bytes(self, data: bytes) -> None:
        if not len(data) <= MAX_BYTES:
            self._executor.arbiter.unread(
                f"a chunk of {len(data)} bytes, at most {MAX_BYTES} are read"
            )
            return
        try:
            msg = read_message(data, ActionChunk)
        # Whatever it is that reads bytes, it has errors of its own.
        except Exception as error:
            self._executor.arbiter.unread(f"bytes that are no chunk ({type(error).__name__})")
            return
        chunk, problem = convert.to_chunk(msg)
        self._executor.offer(chunk, *self._motion.now(), problem)
