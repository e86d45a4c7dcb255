"""Evaluation in Maze2D: one plan followed (Diffuser's protocol), or planned anew every few steps."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from kdp_core.exceptions import ConfigError
from kdp_core.planner import MAX_CANDIDATES, Plan, Planner, WindowSource, select
from kdp_core.ranges import at_least, within
from kdp_core.sim.maze2d import Maze2D
from kdp_core.sim.maze2d_expert import WaypointController
from kdp_core.sim.maze2d_layout import MAZES, ROUTES, LayoutName, layout
from kdp_core.tasks.maze import MazeTask

EPISODE_SEED_BASE = 500_000_000
EPISODES_PER_CHUNK = 10
Protocol = Literal["open_loop", "receding"]
Method = Literal["planner", "waypoints", "random"]
Ranking = Literal["learned", "task"]
Pilot = Callable[[int, np.ndarray], np.ndarray]
"""Step number and state (4,) to action (2,)."""


@dataclass(frozen=True)
class MazeEvaluationOptions:
    """What is evaluated. Episodes are seeded from ``seed``, the same for every method.

    protocol: ``open_loop`` plans once; ``receding`` every ``replan_every`` steps (cloning: in each).
    ranking: ``learned`` scorer, or ``task`` costs, from the layout itself. random_goal: Multi2D's goals.
    """

    maze: LayoutName = "umaze"
    episodes: int = 100
    seed: int = 0
    method: Method = "planner"
    artifact: str | None = None
    protocol: Protocol = "open_loop"
    candidates: int = 1
    replan_every: int = 20
    ranking: Ranking = "learned"
    random_goal: bool = False

    def __post_init__(self) -> None:
        at_least(self, 1, "episodes", "replan_every")
        at_least(self, 0, "seed")
        within(self, 1, MAX_CANDIDATES, "candidates")
        if self.maze not in (*MAZES, *ROUTES):
            raise ConfigError(f"maze must be one of {', '.join((*MAZES, *ROUTES))}, got {self.maze}")


@dataclass(frozen=True)
class MazeOutcome:
    """One episode.

    total: undiscounted sparse return over the whole episode. success: at the goal in the last step.
    wall_share: of all planned points that were followed. plan_ms: median over the episode's plans. The last
    two are None for methods that do not plan.
    """

    episode_seed: int
    total: float
    score: float
    success: bool
    wall_share: float | None
    plan_ms: float | None
    plans: int


def evaluate(
    options: MazeEvaluationOptions,
    processes: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> list[MazeOutcome]:
    """Run ``options.episodes`` episodes over processes; all but the times does not depend on their number.

    ``progress(done, total, successes)``. Raises ArtifactError or SpecError if the planner does not fit.
    """
    if processes is not None and processes < 1:
        raise ConfigError(f"processes must be at least 1, got {processes}")
    load(options)
    chunks = range(0, options.episodes, EPISODES_PER_CHUNK)
    outcomes: list[MazeOutcome] = []
    for part in _chunks(options, chunks, processes or os.cpu_count() or 1):
        outcomes += part
        if progress is not None:
            progress(len(outcomes), options.episodes, sum(o.success for o in outcomes))
    return outcomes


def _chunks(options: MazeEvaluationOptions, starts: range, processes: int) -> Iterator[list[MazeOutcome]]:
    if processes == 1:
        yield from map(partial(_run_chunk, options), starts)
        return
    with multiprocessing.get_context("spawn").Pool(min(processes, len(starts))) as pool:
        yield from pool.imap(partial(_run_chunk, options), starts)


def _run_chunk(options: MazeEvaluationOptions, first: int) -> list[MazeOutcome]:
    planner, maze = load(options), Maze2D(layout(options.maze))
    count = min(EPISODES_PER_CHUNK, options.episodes - first)
    base = EPISODE_SEED_BASE + 1_000_000 * options.seed + first
    return [run_episode(planner, maze, base + i, options) for i in range(count)]


def load(options: MazeEvaluationOptions) -> Planner | None:
    """The planner of ``options``, None for methods without one."""
    if options.method != "planner":
        return None
    if options.artifact is None:
        raise ConfigError("artifact: method 'planner' needs one")
    planner = Planner.load(options.artifact)
    task = MazeTask(options.maze, planner.spec.horizon)
    task.spec.require_same(planner.spec, f"{options.artifact}/spec.json")
    return planner


def run_episode(
    planner: WindowSource | None, maze: Maze2D, seed: int, options: MazeEvaluationOptions
) -> MazeOutcome:
    """One episode of full length; it does not end at the goal."""
    state = maze.reset(np.random.default_rng(seed), options.random_goal)
    rng = np.random.default_rng([seed, 1])
    follower = Follower(planner, maze, options, rng) if planner is not None else None
    pilot: Pilot
    if follower is not None:
        pilot = follower.action
    elif options.method == "waypoints":
        controller = WaypointController(maze.layout, rng)
        pilot = lambda step, state: controller.action(state, maze.goal)[0]  # noqa: E731
    else:
        pilot = lambda step, state: rng.uniform(-1.0, 1.0, 2)  # noqa: E731
    total = gain = 0.0
    for step in range(maze.layout.steps):
        state, gain = maze.step(pilot(step, state))
        total += gain
    planned = follower is not None and follower.horizon > 1
    return MazeOutcome(
        episode_seed=seed,
        total=total,
        score=maze.layout.score(total),
        success=gain > 0.0,
        wall_share=float(np.mean(follower.walls)) if follower is not None and planned else None,
        plan_ms=float(np.median(follower.times_ms)) if follower is not None else None,
        plans=0 if follower is None else len(follower.times_ms),
    )


class Follower:
    """Plans from the present state when it is time to, and follows the plan's states in between."""

    def __init__(
        self, planner: WindowSource, maze: Maze2D, options: MazeEvaluationOptions, rng: np.random.Generator
    ) -> None:
        self._planner, self._maze, self._options, self._rng = planner, maze, options, rng
        self.horizon = planner.spec.horizon
        self._task = MazeTask(options.maze, self.horizon)
        self._window: np.ndarray | None = None
        self._since = 0
        self.walls: list[float] = []
        self.times_ms: list[float] = []

    def action(self, step: int, state: np.ndarray) -> np.ndarray:
        """Action (2,) in ``state`` (4,); a plan of one row is an action. Brakes if no candidate is finite."""
        if step == 0 or self._due():
            self._plan(state)
        row, self._since = self._since, self._since + 1
        if self._window is None:
            return self._task.safe_action({"velocity": state[2:]})
        if self.horizon == 1:
            push: np.ndarray = self._window[0, 4:].astype(np.float64)
            return push
        return self._task.follow(self._window, row, state)

    def _due(self) -> bool:
        every = 1 if self.horizon == 1 else self._options.replan_every
        return self._options.protocol == "receding" and self._since >= every

    def _plan(self, state: np.ndarray) -> None:
        inputs = {"position": state[:2], "velocity": state[2:], "goal": self._maze.goal}
        shape = (self._options.candidates, self._planner.d_noise)
        noise = self._rng.standard_normal(shape, dtype=np.float32)
        by_task = self._options.ranking == "task"
        plan: Plan = select(
            self._planner, *self._task.encode(inputs), noise,
            (lambda windows: self._task.costs(windows, inputs)) if by_task else None,
            0.0 if by_task else 1.0,
        )  # fmt: skip
        self.times_ms.append((plan.timing_ns["end"] - plan.timing_ns["start"]) * 1e-6)
        self._window, self._since = plan.window, 0
        in_wall = np.ones(1) if plan.window is None else self._maze.layout.in_wall(plan.window[:, :2])
        self.walls.append(float(in_wall.mean()))
