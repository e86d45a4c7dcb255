"""Rolling figures of the control loop for /diagnostics; pure."""

from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figures:
    """Over the window: plans per second, planner p50/p99 in ms (NaN without cycles), counts."""

    plans_per_second: float
    planner_p50_ms: float
    planner_p99_ms: float
    cycles: int
    deadlines_missed: int
    safe_share: float


class CycleStatistics:
    """Cycles of the last `window_s` seconds."""

    def __init__(self, window_s: float = 10.0) -> None:
        self._window_ns = int(window_s * 1e9)
        self._cycles: deque[tuple[int, int, bool, bool]] = deque()
        self.deadlines_missed_total = 0
        self.cycles_total = 0

    def add(self, end_ns: int, plan_ns: int, deadline_missed: bool, safe: bool) -> None:
        """Add one cycle that ended at `end_ns` (monotonic)."""
        self._cycles.append((end_ns, plan_ns, deadline_missed, safe))
        self.cycles_total += 1
        self.deadlines_missed_total += deadline_missed
        self._forget(end_ns)

    def _forget(self, now_ns: int) -> None:
        while self._cycles and now_ns - self._cycles[0][0] > self._window_ns:
            self._cycles.popleft()

    def figures(self, now_ns: int) -> Figures:
        """Figures at `now_ns`."""
        self._forget(now_ns)
        n = len(self._cycles)
        if n == 0:
            return Figures(0.0, float("nan"), float("nan"), 0, 0, 0.0)
        ends, plans, missed, safe = (list(column) for column in zip(*self._cycles, strict=True))
        p50, p99 = np.percentile(np.asarray(plans) * 1e-6, [50, 99]).tolist()
        span_ns = max(now_ns - ends[0], 1)
        rate = (n - 1) * 1e9 / span_ns if n > 1 else 0.0
        return Figures(rate, p50, p99, n, sum(missed), sum(safe) / n)
