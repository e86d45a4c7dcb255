"""Evaluation where several routes lead to the goal: do sampled plans stand for what the data would do?

The collector can be run from a condition as often as one likes, so the distribution that a planner should
have learned there is known, not guessed from neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kdp_core.benchmarks.maze_eval import EPISODE_SEED_BASE, Follower, MazeEvaluationOptions, load
from kdp_core.benchmarks.route_classes import RouteClass, block_centres, route_class
from kdp_core.benchmarks.routes_scores import (
    coverage,
    data_routes,
    energy_score,
    route_difference,
    spread_and_error,
)
from kdp_core.planner import WindowSource
from kdp_core.ranges import at_least
from kdp_core.sim.maze2d import GOAL_RADIUS_M, Maze2D
from kdp_core.sim.maze2d_layout import RouteName, layout
from kdp_core.sim.maze2d_routes import draw_journey, travel
from kdp_core.tasks.maze import maze_spec

CANDIDATES = (1, 16, 64)
"""Of how many plans the scorer takes the best, where plans are followed."""
Method = Literal["planner", "data"]


@dataclass(frozen=True)
class RoutesEvaluationOptions:
    """What is evaluated: ``samples`` plans and as many fresh references under each of the conditions."""

    maze: RouteName = "blocks"
    conditions: int = 40
    samples: int = 64
    seed: int = 0
    method: Method = "planner"
    artifact: str | None = None
    horizon: int = 0

    def __post_init__(self) -> None:
        at_least(self, 1, "conditions")
        at_least(self, 2, "samples")
        at_least(self, 0, "seed", "horizon")


@dataclass(frozen=True)
class RoutesOutcome:
    """One condition.

    energy_score: m. spread, error: m^2, as ``spread_and_error``. coverage, route_difference: of routes.
    wall_fraction: share of all planned points in walls. success_K: at the goal by the best of K plans, None
    where nothing ranks. plan_ms: one call for the most candidates. routes: how many the data have here.
    """

    condition_seed: int
    routes: int
    energy_score: float
    spread: float
    error: float
    coverage: float
    route_difference: float
    wall_fraction: float
    success_1: bool
    success_16: bool | None
    success_64: bool | None
    plan_ms: float


class Journeys:
    """The collector as a source of windows: fresh journeys from the state to the goal, held there."""

    d_noise = 1

    def __init__(self, name: RouteName, horizon: int, rng: np.random.Generator) -> None:
        self.spec = maze_spec(name, horizon)
        self._maze, self._rng = Maze2D(layout(name)), rng

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """State (4,), goal (2,), noise (K, 1) unused but for its length: windows (K, H, 6), no scores."""
        windows = np.zeros((len(noise), self.spec.horizon, 6))
        windows[:, :, :2] = context
        for window in windows:
            observations, actions = travel(self._maze, state, context, self._rng)
            rows = min(len(actions), len(window))
            window[:rows] = np.concatenate([observations, actions], axis=1)[:rows]
        return windows, np.zeros(len(noise))


@dataclass(frozen=True)
class Condition:
    """A start state (4,), a goal (2,), reference paths (M, H, 2) m between them and their routes."""

    seed: int
    state: NDArray[np.float64]
    goal: NDArray[np.float64]
    paths: NDArray[np.float64]
    routes: list[RouteClass]

    @property
    def slowest(self) -> int:
        """Steps until the last of the references is at rest at the goal."""
        held = (self.paths == self.goal).all(axis=-1)
        return int(np.where(held.any(axis=1), held.argmax(axis=1), held.shape[1]).max())


@lru_cache(maxsize=4)
def conditions(name: RouteName, count: int, samples: int, horizon: int, seed: int) -> list[Condition]:
    """Held-out conditions with at least two routes, the same for every method."""
    out, centres = [], block_centres(layout(name))
    for number in range(EPISODE_SEED_BASE + 1_000_000 * seed, EPISODE_SEED_BASE + 1_000_000 * seed + count):
        rng = np.random.default_rng(number)
        state, goal = draw_journey(name, rng, least_routes=2)
        paths = Journeys(name, horizon, rng).propose(state, goal, np.zeros((samples, 1)))[0][..., :2]
        out.append(Condition(number, state, goal, paths, [route_class(path, centres) for path in paths]))
    return out


def source_of(options: RoutesEvaluationOptions) -> WindowSource:
    """The planner of ``options`` or, for method ``data``, the collector. Raises ArtifactError, SpecError."""
    if options.method == "data":
        rng = np.random.default_rng([options.seed, 7])
        return Journeys(options.maze, options.horizon or layout(options.maze).horizon, rng)
    planner = load(MazeEvaluationOptions(maze=options.maze, artifact=options.artifact))
    assert planner is not None  # method is "planner"
    return planner


def evaluate(
    options: RoutesEvaluationOptions,
    processes: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> list[RoutesOutcome]:
    """Judge a planner under every condition, in this process. ``progress(done, total, successes)``.

    Raises ArtifactError or SpecError if the planner does not fit.
    """
    source = source_of(options)
    known = conditions(options.maze, options.conditions, options.samples, source.spec.horizon, options.seed)
    outcomes: list[RoutesOutcome] = []
    for condition in known:
        outcomes.append(_outcome(source, condition, options))
        if progress is not None:
            progress(len(outcomes), len(known), sum(o.success_1 for o in outcomes))
    return outcomes


def plans(source: WindowSource, condition: Condition, samples: int) -> NDArray[np.float64]:
    """Paths (K, H, 2) m of ``samples`` plans, one call."""
    rng = np.random.default_rng([condition.seed, 1])
    noise = rng.standard_normal((samples, source.d_noise), dtype=np.float32)
    windows, _ = source.propose(condition.state, condition.goal, noise)
    return windows[..., :2].astype(np.float64)


def _outcome(source: WindowSource, condition: Condition, options: RoutesEvaluationOptions) -> RoutesOutcome:
    maze = layout(options.maze)
    paths = plans(source, condition, options.samples)
    centres = block_centres(maze)
    routes = [route_class(path, centres) for path in paths]
    spread, error = spread_and_error(paths, condition.paths)
    followed = [
        _follow(source, condition, options.maze, k) if k == 1 or options.method == "planner" else None
        for k in CANDIDATES
    ]
    return RoutesOutcome(
        condition_seed=condition.seed,
        routes=len(data_routes(condition.routes)),
        energy_score=energy_score(paths, condition.paths),
        spread=spread,
        error=error,
        coverage=coverage(routes, condition.routes),
        route_difference=route_difference(routes, condition.routes),
        wall_fraction=float(maze.in_wall(paths).mean()),
        success_1=bool(followed[0] and followed[0][0]),
        success_16=followed[1] and followed[1][0],
        success_64=followed[2] and followed[2][0],
        plan_ms=next(f[1] for f in reversed(followed) if f is not None),
    )


def _follow(
    source: WindowSource, condition: Condition, name: RouteName, candidates: int
) -> tuple[bool, float]:
    """Follow the best of K plans: whether it is at the goal when the slowest journey is, time to plan, ms.

    Later does not count: pulled by a goal at rest, the point slides around the blocks by itself.
    """
    maze, rng = Maze2D(layout(name)), np.random.default_rng([condition.seed, candidates])
    maze.set_state(condition.state)
    maze.goal = condition.goal
    follower = Follower(source, maze, MazeEvaluationOptions(maze=name, candidates=candidates), rng)
    state = maze.state
    for step in range(condition.slowest):
        state, _ = maze.step(follower.action(step, state))
    at_goal = float(np.linalg.norm(state[:2] - condition.goal)) <= GOAL_RADIUS_M
    return at_goal, follower.times_ms[0]
