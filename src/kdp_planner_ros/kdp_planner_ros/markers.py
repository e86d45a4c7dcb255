"""Markers of one planning cycle: candidates in one LINE_LIST, chosen path, goal, poles, safe-action text."""

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

CANDIDATE_WIDTH_M, CHOSEN_WIDTH_M, GOAL_DIAMETER_M, POLE_HEIGHT_M = 0.006, 0.03, 0.2, 2.0
OBJECT_SIZE_M = 0.3
CANDIDATE_SEGMENTS = (
    8  # per candidate: every point is a Python object, and thousands of them cost a control period
)
_SHADES = 32
_INVALID = ColorRGBA(r=0.5, g=0.5, b=0.5, a=0.15)


def _palette() -> list[ColorRGBA]:
    """Worst (red) to best (green)."""
    fractions = np.linspace(0.0, 1.0, _SHADES).tolist()
    return [ColorRGBA(r=1.0 - f, g=f, b=0.2, a=0.2 + 0.4 * f) for f in fractions]


def shades(scores: np.ndarray) -> np.ndarray:
    """Index of the palette per candidate (K,); -1 for a score that is not finite (invalid candidate)."""
    scores = np.asarray(scores, dtype=np.float64)
    finite = np.isfinite(scores)
    result = np.full(scores.shape, -1)
    if finite.any():
        low, high = scores[finite].min(), scores[finite].max()
        scaled = (scores[finite] - low) / (high - low) if high > low else np.ones(finite.sum())
        result[finite] = np.round(scaled * (_SHADES - 1)).astype(int)
    return result


class MarkerBuilder:
    """Builds the MarkerArray of a cycle. Points are kept and refilled: making many of them is what costs."""

    def __init__(self, frame_id: str, lifetime_s: float, scale: float = 1.0) -> None:
        self._frame_id, self._scale = frame_id, scale
        self._lifetime = Duration(sec=int(lifetime_s), nanosec=int(lifetime_s % 1 * 1e9))
        self._palette = _palette()
        self._points: list[Point] = []

    def _marker(self, stamp, namespace: str, kind: int, number: int = 0) -> Marker:  # noqa: ANN001
        marker = Marker(ns=namespace, id=number, type=kind, action=Marker.ADD, lifetime=self._lifetime)
        marker.header.frame_id = self._frame_id
        marker.header.stamp = stamp
        marker.pose.orientation.w = 1.0
        return marker

    def candidates(self, stamp, paths: np.ndarray, scores: np.ndarray) -> Marker:  # noqa: ANN001
        """LINE_LIST of `paths` (K, H, 3) m, at most CANDIDATE_SEGMENTS each, coloured by `scores` (K,)."""
        rows = (
            np.linspace(0, paths.shape[1] - 1, min(paths.shape[1], CANDIDATE_SEGMENTS + 1))
            .round()
            .astype(int)
        )
        paths = paths[:, rows]
        k, h, _ = paths.shape
        marker = self._marker(stamp, "candidates", Marker.LINE_LIST)
        marker.scale.x = CANDIDATE_WIDTH_M * self._scale
        # Points are shared between the segments they join: K H objects instead of 2 K (H-1).
        while len(self._points) < k * h:
            self._points.append(Point())
        for point, (x, y, z) in zip(self._points, paths.reshape(-1, 3).tolist(), strict=False):
            point.x, point.y, point.z = x, y, z
        order = np.arange(k * h).reshape(k, h)
        ends = np.stack([order[:, :-1], order[:, 1:]], axis=-1).ravel().tolist()
        marker.points = [self._points[i] for i in ends]
        for shade in shades(scores).tolist():
            marker.colors += [_INVALID if shade < 0 else self._palette[shade]] * (2 * (h - 1))
        return marker

    def build(
        self,
        stamp,  # noqa: ANN001
        candidates: tuple[np.ndarray, np.ndarray] | None,
        chosen: np.ndarray | None,
        goal: np.ndarray,
        rows: dict[str, np.ndarray],
        safe_reason: str,
    ) -> MarkerArray:
        """The whole scene; lengths in metres, all in this builder's frame.

        `candidates`: paths (K, H, 3), scores (K,); `chosen` (H, 3); `goal` (3,); `rows`: the inputs that are
        lists: rows of 3 are poles (x, y, radius), rows of 7 poses of objects. `safe_reason` is "" when the
        plan is executed.
        """
        markers = []
        if candidates is not None:
            markers.append(self.candidates(stamp, *candidates))
        line = self._marker(stamp, "chosen", Marker.LINE_STRIP)
        if chosen is None:
            line.action = Marker.DELETE
        else:
            line.scale.x = CHOSEN_WIDTH_M * self._scale
            line.color = ColorRGBA(r=0.1, g=0.4, b=1.0, a=1.0)
            line.points = [Point(x=x, y=y, z=z) for x, y, z in np.asarray(chosen, dtype=float).tolist()]
        sphere = self._marker(stamp, "goal", Marker.SPHERE)
        sphere.pose.position = _point(goal)
        sphere.scale.x = sphere.scale.y = sphere.scale.z = GOAL_DIAMETER_M * self._scale
        sphere.color = ColorRGBA(r=0.1, g=0.9, b=0.3, a=0.6)
        text = self._marker(stamp, "safe_action", Marker.TEXT_VIEW_FACING)
        if safe_reason:
            text.pose.position = _point(np.asarray(goal) + np.array([0.0, 0.0, 0.3 * self._scale]))
            text.scale.z = 0.15 * self._scale
            text.color = ColorRGBA(r=1.0, g=0.3, b=0.1, a=1.0)
            text.text = f"safe action: {safe_reason}"
        else:
            text.action = Marker.DELETE
        for name, values in rows.items():
            draw = {3: self._poles, 7: self._objects}.get(values.shape[1])
            markers += draw(stamp, name, values) if draw else []
        return MarkerArray(markers=[*markers, line, sphere, text])

    def _objects(self, stamp, name: str, poses: np.ndarray) -> list[Marker]:  # noqa: ANN001
        cubes = []
        for i, pose in enumerate(np.asarray(poses, dtype=float)):
            cube = self._marker(stamp, name, Marker.CUBE, i)
            cube.pose.position = _point(pose[:3])
            orientation = cube.pose.orientation
            orientation.x, orientation.y, orientation.z, orientation.w = pose[3:].tolist()
            cube.scale.x = cube.scale.y = cube.scale.z = OBJECT_SIZE_M * self._scale
            cube.color = ColorRGBA(r=0.8, g=0.3, b=0.2, a=0.9)
            cubes.append(cube)
        return cubes

    def _poles(self, stamp, name: str, poles: np.ndarray) -> list[Marker]:  # noqa: ANN001
        cylinders = []
        for i, (x, y, radius) in enumerate(np.asarray(poles, dtype=float).tolist()):
            cylinder = self._marker(stamp, name, Marker.CYLINDER, i)
            cylinder.pose.position = Point(x=x, y=y, z=POLE_HEIGHT_M / 2)
            cylinder.scale.x = cylinder.scale.y = 2 * radius
            cylinder.scale.z = POLE_HEIGHT_M
            cylinder.color = ColorRGBA(r=0.8, g=0.6, b=0.3, a=0.9)
            cylinders.append(cylinder)
        return cylinders


def _point(xyz: np.ndarray) -> Point:
    x, y, z = np.asarray(xyz, dtype=float).tolist()
    return Point(x=x, y=y, z=z)
