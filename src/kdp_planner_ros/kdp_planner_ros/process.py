"""Start and stop of a node's process, the same for all nodes of this package."""

import signal
import sys
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from kdp_core.exceptions import KdpError


def run(make_node: Callable[[], Any], stop: Callable[[Any], None]) -> None:
    """Spin one node until SIGINT or SIGTERM, then `stop` it. User errors print one line and exit with 2.

    Single-threaded on purpose: a second executor thread costs tail latency.
    """
    rclpy.init()
    node, code = None, 0
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (KdpError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    finally:
        # Ctrl-C reaches the group and launch forwards it again: the second one must not land in the clean-up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            stop(node)
            node.destroy_node()
        rclpy.try_shutdown()
    if code:
        sys.exit(code)
