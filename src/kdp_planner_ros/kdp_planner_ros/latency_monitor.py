"""Node that joins the timing of planner, driver and simulated robot; table and files on stop or request."""

import time
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from kdp_msgs.msg import Timing
from kdp_msgs.srv import Trigger
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.node import Node

from kdp_planner_ros.diagnostics import status
from kdp_planner_ros.latency import DriverRow, LatencyLog, PlannerRow, Summary, summarise
from kdp_planner_ros.latency_report import save, table
from kdp_planner_ros.outputs import TIMING
from kdp_planner_ros.process import run
from kdp_planner_ros.receipts import ReceiptListener, parse_address

RECENT_CYCLES = 500
POLL_PERIOD_S = 0.1


def planner_row(msg: Timing) -> PlannerRow:
    """A row of planner/timing."""
    return PlannerRow(
        stamp=(msg.header.stamp.sec, msg.header.stamp.nanosec),
        state_received_ns=msg.state_received_ns,
        plan_start_ns=msg.plan_start_ns,
        plan_end_ns=msg.plan_end_ns,
        command_published_ns=msg.command_published_ns,
        deadline_missed=msg.deadline_missed,
        safe_action=msg.safe_action,
    )


def driver_row(msg: Timing) -> DriverRow:
    """A row of driver/timing."""
    return DriverRow(
        stamp=(msg.header.stamp.sec, msg.header.stamp.nanosec),
        state_received_ns=msg.state_received_ns,
        command_received_ns=msg.command_received_ns,
        command_sent_ns=msg.command_sent_ns,
        payload_crc=msg.payload_crc,
    )


class LatencyMonitor(Node):
    """The node ``latency_monitor``; services ``latency_monitor/save`` and ``latency_monitor/reset``."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("latency_monitor", **node_options)
        self._warm_up = self._declare(
            "warm_up_cycles", 25, "Cycles of each run (flight) that do not count.", 0, 10_000
        )
        side_channel = self._declare(
            "side_channel", "", "host:port of the simulated robot's receipts; empty: none."
        )
        self._directory = self._declare(
            "output_dir", "", "Where latency.json and latency.csv go; empty: nowhere."
        )
        self._listener = ReceiptListener(parse_address(side_channel)) if side_channel else None
        self.log = LatencyLog(with_receipts=self._listener is not None)
        self.create_subscription(
            Timing, "planner/timing", lambda m: self.log.add_planner(planner_row(m)), TIMING
        )
        self.create_subscription(
            Timing, "driver/timing", lambda m: self.log.add_driver(driver_row(m)), TIMING
        )
        self.create_service(Trigger, "latency_monitor/save", self._on_save)
        self.create_service(Trigger, "latency_monitor/reset", self._on_reset)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_diagnostics)
        if self._listener is not None:
            self.create_timer(POLL_PERIOD_S, self._poll)

    def _declare(self, name: str, default: Any, description: str, low: int = 0, high: int = 0) -> Any:
        ranges = [IntegerRange(from_value=low, to_value=high, step=1)] if high else []
        descriptor = ParameterDescriptor(description=description, integer_range=ranges, read_only=True)
        return self.declare_parameter(name, default, descriptor).value

    @property
    def e2e_end(self) -> str:
        """Where end to end ends."""
        return "received by the simulated robot" if self._listener else "handed to the link"

    def summary(self, last: int | None = None) -> Summary:
        """Figures over all rows, or over the last n."""
        return summarise(self.log.join(last), self._warm_up if last is None else 0)

    def save(self) -> tuple[Path, Path] | None:
        """Write JSON and CSV; None without an output folder. Raises OSError."""
        self._poll()
        if not self._directory:
            return None
        return save(Path(self._directory), self.log.join(), self.summary(), self.e2e_end)

    def finish(self) -> None:
        """Print the table, write the files."""
        try:
            paths = self.save()
            print(table(self.summary(), self.e2e_end), flush=True)
            if paths:
                print(f"written: {paths[0]}, {paths[1]}", flush=True)
        except OSError as error:
            print(f"error: cannot write into '{self._directory}': {error}", flush=True)
        if self._listener is not None:
            self._listener.close()

    def _poll(self) -> None:
        if self._listener is not None:
            for receipt_ns, crc in self._listener.poll(time.monotonic_ns()):
                self.log.add_receipt(receipt_ns, crc)

    def _on_save(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            paths = self.save()
        except OSError as error:
            response.message = f"cannot write into '{self._directory}': {error}"
            return response
        response.success = paths is not None
        response.message = f"{paths[0]}, {paths[1]}" if paths else "parameter 'output_dir' is empty"
        return response

    def _on_reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._poll()
        self.log.reset()
        response.success, response.message = True, "all rows forgotten"
        return response

    def _publish_diagnostics(self) -> None:
        recent = self.summary(RECENT_CYCLES)
        message = "no plans yet" if recent.cycles == 0 else f"end to end p50 {recent.e2e_ms.p50:.1f} ms"
        values = {
            "planner_p50_ms": f"{recent.planner_ms.p50:.2f}",
            "planner_p99_ms": f"{recent.planner_ms.p99:.2f}",
            "e2e_p50_ms": f"{recent.e2e_ms.p50:.2f}",
            "e2e_p99_ms": f"{recent.e2e_ms.p99:.2f}",
            "replan_hz": f"{recent.replan_hz:.1f}",
            "cycles": recent.cycles,
            "not_applied": recent.not_at_robot,
            "e2e_end": self.e2e_end,
        }
        name = f"{self.get_namespace().rstrip('/')}/{self.get_name()}"
        msg = DiagnosticArray(status=[status(name, DiagnosticStatus.OK, message, values)])
        msg.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(msg)


def main() -> None:
    """Entry point of the process ``latency_monitor``."""
    run(LatencyMonitor, LatencyMonitor.finish)
