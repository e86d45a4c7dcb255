"""A joint trajectory in time, as `joint_trajectory_controller/joint_trajectory` asks for. No ROS in here."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from kdp_core.sim.so100_geometry import JOINTS
from kdp_so100_bringup.safety import CommandRefused, require_command


class Trajectory:
    """Linear interpolation between points, beginning where the joints are.

    Args:
        names: (6) joint names in the order of the points; all six, any order.
        points: (seconds from the start, (6) rad), times growing.
        start: (6) rad where the joints are at start_s.
        start_s: the clock of `at`.

    Raises:
        CommandRefused: one line that says what is wrong.
    """

    def __init__(
        self,
        names: Sequence[str],
        points: Sequence[tuple[float, Sequence[float]]],
        start: Sequence[float],
        start_s: float,
    ) -> None:
        if sorted(names) != sorted(JOINTS):
            raise CommandRefused(f"trajectory names {', '.join(names)}, expected all of {', '.join(JOINTS)}")
        if not points:
            raise CommandRefused("trajectory has no points")
        order = [list(names).index(joint) for joint in JOINTS]
        self._start_s = start_s
        self._times = [0.0]
        self._points = [tuple(float(v) for v in start)]
        for i, (seconds, positions) in enumerate(points):
            require_command(positions)
            if not seconds > self._times[-1] and not (i == 0 and seconds == 0.0):
                raise CommandRefused(f"trajectory point {i} is at {seconds:g} s: times must grow")
            self._times.append(seconds)
            self._points.append(tuple(float(positions[k]) for k in order))

    def at(self, now_s: float) -> tuple[tuple[float, ...], bool]:
        """Targets (6) rad of now, and whether the end is reached."""
        t = now_s - self._start_s
        if t >= self._times[-1]:
            return self._points[-1], True
        i = max(bisect_right(self._times, t), 1)
        a, b = self._times[i - 1], self._times[i]
        share = (t - a) / (b - a) if b > a else 1.0
        before, after = self._points[i - 1], self._points[i]
        return tuple(p + share * (q - p) for p, q in zip(before, after, strict=True)), False
