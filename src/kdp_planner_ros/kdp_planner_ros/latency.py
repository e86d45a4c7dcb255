"""Latency of the control chain from timing rows of several sources; pure, no ROS.

Definitions: **planner** = plan_end - plan_start. **E2E** = state received by the host (driver's receipt) to
first command of that plan received by the simulated robot, or, without receipts (hardware), handed to the
link. **replan** = plans applied per second. All stamps are CLOCK_MONOTONIC nanoseconds of one host; rows join
on the command's header stamp.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import asdict, dataclass

import numpy as np

Stamp = tuple[int, int]  # (sec, nanosec) of the command's header
RUN_GAP_NS = 1_000_000_000  # a pause this long between two plans starts a new run (another flight)
RECEIPT_WINDOW_NS = (
    500_000_000  # the firmware ignores setpoints older than this; a later receipt is another command's
)


@dataclass(frozen=True)
class PlannerRow:
    """What the planner measured in one cycle."""

    stamp: Stamp
    state_received_ns: int
    plan_start_ns: int
    plan_end_ns: int
    command_published_ns: int
    deadline_missed: bool = False
    safe_action: bool = False


@dataclass(frozen=True)
class DriverRow:
    """What the driver measured for the command with this stamp."""

    stamp: Stamp
    state_received_ns: int
    command_received_ns: int
    command_sent_ns: int
    payload_crc: int = 0


@dataclass(frozen=True)
class JoinedRow:
    """One cycle over all sources. `receipt_ns` 0: not seen at the robot; `e2e_ns` 0: cannot be told."""

    planner: PlannerRow
    driver: DriverRow | None
    receipt_ns: int
    applied_ns: int

    @property
    def planner_ns(self) -> int:
        """Duration of the plan call."""
        return self.planner.plan_end_ns - self.planner.plan_start_ns

    @property
    def e2e_ns(self) -> int:
        """State received by the host to command applied, 0 if one end is missing."""
        if self.driver is None or not self.applied_ns or not self.driver.state_received_ns:
            return 0
        return self.applied_ns - self.driver.state_received_ns


class LatencyLog:
    """Collects rows in any order; rows that others lost stay visible as counts."""

    def __init__(self, with_receipts: bool) -> None:
        self.with_receipts = with_receipts
        self.reset()

    def reset(self) -> None:
        """Forget all rows."""
        self.planner: list[PlannerRow] = []
        self.driver: dict[Stamp, DriverRow] = {}
        self.receipts: dict[int, list[int]] = defaultdict(list)

    def add_planner(self, row: PlannerRow) -> None:
        """Add one control cycle."""
        self.planner.append(row)

    def add_driver(self, row: DriverRow) -> None:
        """Add one command at the driver; only the first with a stamp counts (later ones are repeats)."""
        self.driver.setdefault(row.stamp, row)

    def add_receipt(self, receipt_ns: int, crc: int) -> None:
        """Add one setpoint packet that the simulated robot received."""
        insort(self.receipts[crc], receipt_ns)

    def _receipt(self, row: DriverRow) -> int:
        """First receipt of this command's bytes after the driver had it, 0 if lost."""
        times = self.receipts.get(row.payload_crc)
        # The receipt may precede a stamp taken after sending, but not the driver's receipt of the command.
        start = row.command_received_ns or row.command_sent_ns
        if not times or not row.payload_crc:
            return 0
        i = bisect_left(times, start)
        return times[i] if i < len(times) and times[i] - start <= RECEIPT_WINDOW_NS else 0

    def join(self, last: int | None = None) -> list[JoinedRow]:
        """Rows of the planner (all, or the `last` n) with what the other sources know of them."""
        joined = []
        for row in self.planner if last is None else self.planner[-last:]:
            driver = self.driver.get(row.stamp)
            receipt = self._receipt(driver) if driver and self.with_receipts else 0
            applied = receipt if self.with_receipts else (driver.command_sent_ns if driver else 0)
            joined.append(JoinedRow(row, driver, receipt, applied))
        return joined


def split_runs(rows: list[JoinedRow], gap_ns: int = RUN_GAP_NS) -> list[list[JoinedRow]]:
    """Cut rows into runs (flights) where the planner paused longer than `gap_ns`."""
    runs: list[list[JoinedRow]] = []
    previous = None
    for row in sorted(rows, key=lambda r: r.planner.plan_start_ns):
        if previous is None or row.planner.plan_start_ns - previous > gap_ns:
            runs.append([])
        runs[-1].append(row)
        previous = row.planner.plan_start_ns
    return runs


def without_warm_up(rows: list[JoinedRow], cycles: int) -> list[list[JoinedRow]]:
    """Runs without the first `cycles` rows of each; a run that is shorter vanishes."""
    return [run[cycles:] for run in split_runs(rows) if len(run) > cycles]


@dataclass(frozen=True)
class Quantiles:
    """p50, p95, p99 in milliseconds over n samples; NaN when n is 0."""

    p50: float
    p95: float
    p99: float
    n: int

    @classmethod
    def of_ns(cls, values: list[int]) -> "Quantiles":
        """From durations in nanoseconds, linear interpolation as in numpy."""
        if not values:
            return cls(float("nan"), float("nan"), float("nan"), 0)
        p50, p95, p99 = np.percentile(np.asarray(values, dtype=np.float64) * 1e-6, [50, 95, 99]).tolist()
        return cls(p50, p95, p99, len(values))


@dataclass(frozen=True)
class Summary:
    """Figures over all runs with the warm-up taken out."""

    planner_ms: Quantiles
    e2e_ms: Quantiles
    replan_hz: float
    runs: int
    cycles: int
    not_at_driver: int
    not_at_robot: int
    deadlines_missed: int
    safe_actions: int

    def to_dict(self) -> dict:
        """Plain data for JSON; NaN becomes None."""
        data = asdict(self)
        for block in (data, data["planner_ms"], data["e2e_ms"]):
            block.update({k: None for k, v in block.items() if isinstance(v, float) and v != v})
        return data


def summarise(rows: list[JoinedRow], warm_up_cycles: int = 0) -> Summary:
    """Percentiles, rate of applied plans and losses.

    replan: over all runs, intervals between the first and the last applied plan (safe actions are no plans)
    divided by the time between them.
    """
    runs = without_warm_up(rows, warm_up_cycles)
    kept = [row for run in runs for row in run]
    intervals, span_ns = 0, 0
    for run in runs:
        applied = sorted(row.applied_ns for row in run if row.applied_ns and not row.planner.safe_action)
        if len(applied) > 1:
            intervals += len(applied) - 1
            span_ns += applied[-1] - applied[0]
    return Summary(
        planner_ms=Quantiles.of_ns([row.planner_ns for row in kept]),
        e2e_ms=Quantiles.of_ns([row.e2e_ns for row in kept if row.e2e_ns > 0]),
        replan_hz=intervals / (span_ns * 1e-9) if span_ns else float("nan"),
        runs=len(runs),
        cycles=len(kept),
        not_at_driver=sum(row.driver is None for row in kept),
        not_at_robot=sum(row.applied_ns == 0 for row in kept),
        deadlines_missed=sum(row.planner.deadline_missed for row in kept),
        safe_actions=sum(row.planner.safe_action for row in kept),
    )
