"""Evaluation in Gymnasium's environments: plan, execute some actions, plan anew from what is observed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kdp_core.benchmarks.d4rl_scores import normalised_score, reference
from kdp_core.exceptions import ConfigError, SpecError
from kdp_core.planner import MAX_CANDIDATES, Planner, WindowSource, select
from kdp_core.ranges import EVALUATION_SEED, at_least, within
from kdp_core.sim.gym_env import make_env, succeeds

if TYPE_CHECKING:
    import gymnasium

EPISODES_PER_CHUNK = 2


@dataclass(frozen=True)
class GymEvaluationOptions:
    """What is evaluated. Episodes are seeded from ``seed``, the same for every method.

    artifact: the planner; None: random actions. candidates: K, of which the learned scorer picks one. chunk:
    L, actions executed before planning anew (at most the window's rows). temperature: of the noise, which it
    multiplies (in the spirit of the low-temperature sampling of Decision Diffuser, arXiv 2211.15657).
    """

    env: str = "Hopper-v4"
    episodes: int = 20
    seed: int = 0
    artifact: str | None = None
    candidates: int = 1
    chunk: int = 1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        at_least(self, 1, "episodes", "chunk")
        at_least(self, 0, "seed", "temperature")
        within(self, 1, MAX_CANDIDATES, "candidates")


@dataclass(frozen=True)
class GymOutcome:
    """One episode.

    total: undiscounted return; score: D4RL's. success: None where the environment does not tell. plan_ms:
    median over the episode's plans, None without a planner.
    """

    episode_seed: int
    total: float
    score: float
    success: bool | None
    steps: int
    plans: int
    plan_ms: float | None


def evaluate(
    options: GymEvaluationOptions,
    processes: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> list[GymOutcome]:
    """Run ``options.episodes`` episodes over processes; all but the times does not depend on their number.

    ``progress(done, total, successes)``. Raises ConfigError, ArtifactError or SpecError if environment and
    planner cannot be had or do not fit.
    """
    if processes is not None and processes < 1:
        raise ConfigError(f"processes must be at least 1, got {processes}")
    env, _ = load(options)  # what is wrong shows here, not in a worker
    env.close()
    outcomes: list[GymOutcome] = []
    for part in _chunks(options, processes or os.cpu_count() or 1):
        outcomes += part
        if progress is not None:
            good = sum(o.success is not False for o in outcomes)  # all where the environment does not tell
            progress(len(outcomes), options.episodes, good)
    return outcomes


def _chunks(options: GymEvaluationOptions, processes: int) -> Iterator[list[GymOutcome]]:
    starts = range(0, options.episodes, EPISODES_PER_CHUNK)
    if processes == 1:
        yield from map(partial(_run_chunk, options), starts)
        return
    with multiprocessing.get_context("spawn").Pool(min(processes, len(starts))) as pool:
        yield from pool.imap(partial(_run_chunk, options), starts)


def _run_chunk(options: GymEvaluationOptions, first: int) -> list[GymOutcome]:
    env, planner = load(options)
    seeds = episode_seeds(options)[first : first + EPISODES_PER_CHUNK]
    try:
        return [run_episode(planner, env, seed, options) for seed in seeds]
    finally:
        env.close()


def episode_seeds(options: GymEvaluationOptions) -> range:
    """What the episodes' resets are seeded with."""
    base = EVALUATION_SEED + 1_000_000 * options.seed
    return range(base, base + options.episodes)


def load(options: GymEvaluationOptions) -> tuple[gymnasium.Env[Any, Any], Planner | None]:
    """Environment and planner of ``options``. Raises KdpError if they cannot be had or do not fit."""
    reference(options.env)
    env = make_env(options.env)
    if options.artifact is None:
        return env, None
    planner = Planner.load(options.artifact)
    spec, spaces = planner.spec, (env.observation_space, env.action_space)
    found = (spec.d_state, spec.d_action, spec.d_context + spec.d_goal)
    wanted = (*(n for space in spaces for n in space.shape or ()), 0)
    if found != wanted:
        raise SpecError(
            f"{options.artifact}/spec.json: state, action and context have {found} numbers, "
            f"expected {wanted} for {options.env}"
        )
    if options.chunk > spec.horizon:
        raise ConfigError(f"chunk must be at most the window's {spec.horizon} rows, got {options.chunk}")
    return env, planner


def run_episode(
    planner: WindowSource | None, env: gymnasium.Env[Any, Any], seed: int, options: GymEvaluationOptions
) -> GymOutcome:
    """One episode until the environment ends it."""
    rng = np.random.default_rng([seed, 1])
    pilot = Pilot(planner, options, env.action_space.shape[0], rng)  # type: ignore[index]
    return act(pilot, env, seed, options.env)


class Actor(Protocol):
    """Whoever acts in one episode. ``times_ms``: of each plan so far."""

    times_ms: list[float]

    def action(self, observation: np.ndarray, reward: float) -> np.ndarray:
        """Action (d_a,) at an observation (d_o,); ``reward`` of the step before, 0 at first."""
        ...


def act(actor: Actor, env: gymnasium.Env[Any, Any], seed: int, name: str) -> GymOutcome:
    """One episode of ``actor`` in the environment called ``name``, until that ends it."""
    observation, _ = env.reset(seed=seed)
    low, high = env.action_space.low, env.action_space.high  # type: ignore[attr-defined]
    total, steps, at_goal, tells = 0.0, 0, 0, False
    reward, ended = 0.0, False
    while not ended:
        action = np.clip(actor.action(observation, reward), low, high).astype(np.float32)
        observation, gained, terminated, truncated, info = env.step(action)
        reward = float(gained)
        total, steps, ended = total + reward, steps + 1, terminated or truncated
        tells = tells or "success" in info
        at_goal += bool(info.get("success", False))
    return GymOutcome(
        episode_seed=seed,
        total=total,
        score=normalised_score(name, total),
        success=succeeds(name, at_goal) if tells else None,
        steps=steps,
        plans=len(actor.times_ms),
        plan_ms=float(np.median(actor.times_ms)) if actor.times_ms else None,
    )


class Pilot:
    """Plans when the last plan's chunk is used up; gives random actions if there is no planner."""

    def __init__(
        self,
        planner: WindowSource | None,
        options: GymEvaluationOptions,
        d_action: int,
        rng: np.random.Generator,
    ) -> None:
        self._planner, self._options, self._d_action, self._rng = planner, options, d_action, rng
        self._actions: list[np.ndarray] = []
        self.times_ms: list[float] = []

    def action(self, observation: np.ndarray, reward: float) -> np.ndarray:
        """Action (d_a,) at an observation (d_o,); zero if no candidate is finite."""
        if self._planner is None:
            return self._rng.uniform(-1.0, 1.0, self._d_action)
        if not self._actions:
            noise = self._rng.standard_normal(
                (self._options.candidates, self._planner.d_noise), dtype=np.float32
            )
            noise *= np.float32(self._options.temperature)
            plan = select(self._planner, observation, np.zeros(0), noise)
            self.times_ms.append((plan.timing_ns["end"] - plan.timing_ns["start"]) * 1e-6)
            if plan.window is None:
                return np.zeros(self._d_action)
            self._actions = list(plan.window[: self._options.chunk, len(observation) :])
        return self._actions.pop(0)
