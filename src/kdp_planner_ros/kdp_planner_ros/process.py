"""Start and stop of a node's process, the same for all nodes of this package."""

import gc
import signal
import sys
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy._rclpy_pybind11 import RCLError, RCLInvalidROSArgsError, UnknownROSArgsError
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from kdp_core.exceptions import KdpError

USER_ERRORS = (
    KdpError,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    RCLInvalidROSArgsError,
    UnknownROSArgsError,
)


class _Interrupt:
    """SIGINT while starting raises KeyboardInterrupt; later it is left to rclpy, which ends the spin.

    Ctrl-C reaches the group, and launch forwards it again: an exception of the second would land in the
    clean-up, and one of the first anywhere inside the executor.
    """

    raises = True

    def __call__(self, _number: int, _frame: Any) -> None:
        if self.raises:
            self.raises = False
            raise KeyboardInterrupt


def run(make_node: Callable[[], Any], stop: Callable[[Any], None]) -> None:
    """Spin one node until SIGINT or SIGTERM, then `stop` it. User errors print one line and exit with 2.

    Single-threaded on purpose: a second executor thread costs tail latency.
    """
    interrupt = _Interrupt()
    signal.signal(signal.SIGINT, interrupt)  # before init: rclpy's own handler calls it
    node, code = None, 0
    try:
        try:
            rclpy.init()
        except RCLError as error:
            raise KdpError(f"cannot start: {error}") from None
        node = make_node()
        # What start-up made stays for good: a full collection that walks it costs a control period.
        gc.collect()
        gc.freeze()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        interrupt.raises = False
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except USER_ERRORS as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        code = 2
    except Exception:
        if rclpy.ok():  # else a callback met the context that a signal had shut down
            raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            stop(node)
            node.destroy_node()
        rclpy.try_shutdown()
    if code:
        sys.exit(code)
