"""The lifecycle node that our nodes are made of."""

from __future__ import annotations

from typing import Any

from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn


class ManagedNode(LifecycleNode):
    """Answers a transition that its state does not have with a failure.

    rclpy raises out of the service instead, and so any client would end the node: by a second "activate" a
    driver that flies or holds something.
    """

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> Any:
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)  # type: ignore[misc]
        except RCLError as error:
            self.get_logger().error(f"transition {transition_id} refused: {' '.join(str(error).split())}")
            return TransitionCallbackReturn.FAILURE
