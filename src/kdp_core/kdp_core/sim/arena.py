"""The arena of the flight task: a fenced box with vertical poles, a start and a goal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from kdp_core.exceptions import ConfigError

POLE_RADIUS = 0.15
DRONE_RADIUS = 0.10
MAX_POLES = 30

START_X, GOAL_X, FLIGHT_HEIGHT = 0.4, 5.6, 1.0
MAX_ABS_START_Y = 1.5
POLE_X = (0.9, 5.1)
FREE_AROUND_ENDS = 0.6  # m between start or goal and the nearest pole surface
PATH_CLEARANCE = 0.08  # m between drone surface and poles or fence on the path that must exist
CELL = 0.05  # m, grid of the flood fill
MAX_DRAWS = 1000

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Arena:
    """Box x in [0, size x], y in [-size y / 2, size y / 2], z in [0, size z] with full-height poles.

    Attributes:
        poles: (P, 3) x, y and radius, m; P may be 0.
        start: (3,) m. The drone takes off below it.
        goal: (3,) m.
        size: (3,) m.
        drone_radius: m, horizontal radius of the drone as a disc.
    """

    poles: FloatArray
    start: FloatArray
    goal: FloatArray
    size: FloatArray = field(default_factory=lambda: np.array([6.0, 4.0, 2.0]))
    drone_radius: float = DRONE_RADIUS

    def __post_init__(self) -> None:
        """Normalise the arrays, and refuse what is not an arena (ConfigError names the field)."""
        poles = _numbers("poles", self.poles)
        if poles.size == 0:
            poles = poles.reshape(0, 3)
        if poles.ndim != 2 or poles.shape[1] != 3 or (poles[:, 2] <= 0).any():
            raise ConfigError("arena: poles must be a list of [x, y, radius] in metres with radius > 0")
        object.__setattr__(self, "poles", poles)
        for name in ("start", "goal", "size"):
            vector = _numbers(name, getattr(self, name))
            if vector.shape != (3,):
                raise ConfigError(f"arena: {name} must be three numbers [x, y, z] in metres")
            object.__setattr__(self, name, vector)
        radius = _numbers("drone_radius", self.drone_radius)
        if radius.shape != () or radius < 0:
            raise ConfigError("arena: drone_radius must be one number of metres >= 0")
        object.__setattr__(self, "drone_radius", float(radius))
        if (self.size <= 0).any():
            raise ConfigError("arena: size must be three positive numbers of metres")
        for name in ("start", "goal"):
            if self.outside(getattr(self, name)):
                raise ConfigError(f"arena: {name} must lie inside the box of size {self.size.tolist()} m")

    @classmethod
    def random(cls, seed: int, n_poles: int) -> Arena:
        """Draw the world `seed`: the same arguments give the same world on every machine.

        The start and the goal depend on the seed only. Poles do not overlap, leave 0.6 m free around start
        and goal, and leave at least one path on which the drone keeps 0.08 m to poles and fence; sets of
        poles without such a path are drawn again from the same stream.

        Args:
            seed: >= 0.
            n_poles: 0 to 30.
        """
        if seed < 0:
            raise ConfigError(f"arena: seed must be >= 0, got {seed}")
        if not 0 <= n_poles <= MAX_POLES:
            raise ConfigError(f"arena: n_poles must be 0 to {MAX_POLES}, got {n_poles}")
        rng = np.random.Generator(np.random.PCG64(seed))
        ends_y = rng.uniform(-MAX_ABS_START_Y, MAX_ABS_START_Y, size=2)
        start = np.array([START_X, ends_y[0], FLIGHT_HEIGHT])
        goal = np.array([GOAL_X, ends_y[1], FLIGHT_HEIGHT])
        for _ in range(MAX_DRAWS):
            arena = cls(_draw_poles(rng, n_poles, start, goal), start, goal)
            if arena.solvable():
                return arena
        raise ConfigError(f"arena: no solvable world found for seed {seed} with {n_poles} poles")

    def clearance(self, points: ArrayLike) -> FloatArray:
        """Distance from the drone's surface to the nearest pole or fence, negative inside, shape (...), m.

        Args:
            points: (..., 3) centres of the drone, m; z does not matter, poles and fence being vertical.
        """
        points = np.asarray(points, dtype=np.float64)
        x, y = points[..., 0], points[..., 1]
        half_width = 0.5 * self.size[1]
        nearest = np.minimum(np.minimum(x, self.size[0] - x), half_width - np.abs(y))
        return np.minimum(nearest - self.drone_radius, self.pole_clearance(points))

    def pole_clearance(self, points: ArrayLike) -> FloatArray:
        """As `clearance`, for poles alone; infinite without poles. Shape (...), m."""
        points = np.asarray(points, dtype=np.float64)
        x, y = points[..., 0], points[..., 1]
        nearest = np.full(x.shape, np.inf)
        for pole_x, pole_y, radius in self.poles:
            np.minimum(nearest, np.hypot(x - pole_x, y - pole_y) - radius, out=nearest)
        return nearest - self.drone_radius

    def collides(self, position: ArrayLike) -> NDArray[np.bool_]:
        """Whether the drone touches a pole: horizontal distance < pole radius + drone radius. Shape (...)."""
        return np.asarray(self.pole_clearance(position) < 0)

    def outside(self, position: ArrayLike) -> NDArray[np.bool_]:
        """Whether the drone's centre has left the box through the fence or the ceiling. Shape (...)."""
        position = np.asarray(position, dtype=np.float64)
        x, y, z = position[..., 0], position[..., 1], position[..., 2]
        beside = (x < 0) | (x > self.size[0]) | (np.abs(y) > 0.5 * self.size[1])
        return np.asarray(beside | (z > self.size[2]))

    def solvable(self, clearance: float = PATH_CLEARANCE) -> bool:
        """Whether start and goal are connected by 5 cm cells (4-neighbours) that keep `clearance`, m."""
        free = self.free_cells(clearance)
        return bool(flood_fill(free, self.cell(self.start))[self.cell(self.goal)])

    def free_cells(self, clearance: float) -> NDArray[np.bool_]:
        """Cells of the 5 cm grid whose centre keeps `clearance` (m). Shape (size x / 5 cm, size y / 5 cm)."""
        n_x, n_y = np.rint(self.size[:2] / CELL).astype(int)
        centres = np.zeros((n_x, n_y, 3))
        centres[..., 0] = ((np.arange(n_x) + 0.5) * CELL)[:, None]
        centres[..., 1] = (np.arange(n_y) + 0.5) * CELL - 0.5 * self.size[1]
        return np.asarray(self.clearance(centres) >= clearance)

    def cell(self, point: FloatArray) -> tuple[int, int]:
        """Index of the 5 cm cell that holds `point` (3,)."""
        n_x, n_y = np.rint(self.size[:2] / CELL).astype(int)
        i, j = int(point[0] / CELL), int((point[1] + 0.5 * self.size[1]) / CELL)
        return min(max(i, 0), n_x - 1), min(max(j, 0), n_y - 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for YAML or JSON."""
        arrays = {name: getattr(self, name).tolist() for name in ("size", "start", "goal", "poles")}
        return {**arrays, "drone_radius": self.drone_radius}

    @classmethod
    def from_dict(cls, data: object) -> Arena:
        """Inverse of `to_dict`. ConfigError on missing, unknown or malformed fields."""
        if not isinstance(data, dict):
            raise ConfigError("arena: expected a mapping with start, goal and poles")
        missing = {"start", "goal", "poles"} - data.keys()
        unknown = data.keys() - {"start", "goal", "poles", "size", "drone_radius"}
        if missing or unknown:
            problem = f"missing {sorted(missing)}" if missing else f"unknown {sorted(map(str, unknown))}"
            fields = "fields are start, goal, poles and optionally size, drone_radius"
            raise ConfigError(f"arena: {problem}; {fields}")
        return cls(**data)

    def save(self, path: str | Path) -> None:
        """Write YAML that `load` reads back bit for bit."""
        Path(path).write_text(yaml.safe_dump(self.to_dict(), default_flow_style=None, sort_keys=False))

    @classmethod
    def load(cls, path: str | Path) -> Arena:
        """Read a YAML file. ConfigError names the file and the field."""
        try:
            return cls.from_dict(yaml.safe_load(Path(path).read_text()))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            first_line = str(error).splitlines()[0]
            raise ConfigError(f"{path}: cannot read the arena: {first_line}") from None


def flood_fill(free: NDArray[np.bool_], seed: tuple[int, int]) -> NDArray[np.bool_]:
    """Cells connected to `seed` through 4-neighbours of `free` (X, Y). Shape (X, Y).

    The grid is one large integer, a bit per cell: five shifts grow the whole front by a cell, which takes
    well under a millisecond for the arena where a queue of cells takes ten.
    """
    width = free.shape[1] + 1  # one blocked cell ends each row, so that a shift never wraps into the next
    rows = np.zeros((free.shape[0], width), dtype=bool)
    rows[:, :-1] = free
    allowed = int.from_bytes(np.packbits(rows, bitorder="little").tobytes(), "little")
    reached, grown = 0, (1 << (seed[0] * width + seed[1])) & allowed
    while grown != reached:
        reached = grown
        grown = (reached | reached << 1 | reached >> 1 | reached << width | reached >> width) & allowed
    packed = np.frombuffer(reached.to_bytes((rows.size + 7) // 8, "little"), dtype=np.uint8)
    return np.unpackbits(packed, count=rows.size, bitorder="little").reshape(rows.shape)[:, :-1].astype(bool)


def _draw_poles(rng: np.random.Generator, n_poles: int, start: FloatArray, goal: FloatArray) -> FloatArray:
    """Poles (n_poles, 3) that neither overlap nor come close to start or goal, by rejection."""
    max_y = 2.0 - POLE_RADIUS  # the whole width: a pole may touch the fence
    poles = np.empty((0, 3))
    while len(poles) < n_poles:
        x, y = rng.uniform((POLE_X[0], -max_y), (POLE_X[1], max_y))
        near_pole = (np.hypot(poles[:, 0] - x, poles[:, 1] - y) < poles[:, 2] + POLE_RADIUS).any()
        near_end = any(np.hypot(p[0] - x, p[1] - y) < FREE_AROUND_ENDS + POLE_RADIUS for p in (start, goal))
        if not near_pole and not near_end:
            poles = np.vstack([poles, (x, y, POLE_RADIUS)])
    return poles


def _numbers(name: str, value: ArrayLike) -> FloatArray:
    """A new float64 array, or ConfigError when `value` is not finite numbers."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"arena: {name} must be numbers, got {value!r}") from None
    if not np.isfinite(array).all():
        raise ConfigError(f"arena: {name} must be finite")
    return array
