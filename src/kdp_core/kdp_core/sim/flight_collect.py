"""Expert flights for training: in each world many states, and from each of them several ways to go on.

Branches from one state share the world, so the data hold several continuations of the same condition; with
one continuation per state a distribution of plans cannot be learned from neighbours of other worlds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from kdp_core.datasets.episodes import Episode
from kdp_core.exceptions import ConfigError
from kdp_core.ranges import SEED_STEP, at_least, collection_seed, within
from kdp_core.sim.arena import Arena
from kdp_core.sim.crazyflie import Crazyflie
from kdp_core.sim.flight_expert import ExpertOptions, FlightExpert
from kdp_core.tasks.flight import flight_spec
from kdp_core.tasks.flight_windows import MAX_POLES

SUCCESS_M = 0.2


@dataclass(frozen=True)
class CollectOptions:
    """What is flown. Lengths in m, speeds in m/s."""

    worlds: int = 4000
    """Number of random worlds."""
    poles: tuple[int, int] = (8, 16)
    """Fewest and most poles of a world."""
    states: int = 6
    """States per world from which branches start."""
    branches: int = 4
    """Routes flown from each state."""
    rows: int = 40
    """Length of a branch in window rows (0.1 s)."""
    free_states: float = 0.3
    """Share of states drawn anywhere in free space instead of along a noisy flight."""
    position_noise: float = 0.06
    """Standard deviation added to positions of states along flights."""
    velocity_noise: float = 0.12
    """Standard deviation added to velocities of states along flights."""
    gust: float = 0.25
    """Size of the slowly changing velocity error while flying to the states."""
    expert: ExpertOptions = field(default_factory=ExpertOptions)
    """The expert."""
    seed: int = 0
    """First world's seed is seed * 1000003; noise is seeded from it too."""

    def __post_init__(self) -> None:
        at_least(self, 1, "worlds", "states", "branches", "rows", prefix="collect.")
        at_least(self, 0, "position_noise", "velocity_noise", "gust", prefix="collect.")
        collection_seed(self, "worlds", prefix="collect.")
        within(self, 0, 1, "free_states", prefix="collect.")
        if not 0 <= self.poles[0] <= self.poles[1] <= MAX_POLES:
            raise ConfigError(
                f"collect.poles must be [fewest, most], 0 to {MAX_POLES}, got {list(self.poles)}"
            )


def collect_worlds(options: CollectOptions, first: int, count: int) -> Iterator[Episode]:
    """Fly worlds ``first`` to ``first + count - 1`` of a data set and give one episode per branch.

    Episodes: observations (rows + 1, 9) = position, velocity (world), goal; actions (rows, 3) = world-frame
    velocity command, held for one row; reward = progress towards the goal, m. Flights that hit something are
    left out.
    """
    rng = np.random.default_rng([options.seed, first])
    seeds = [options.seed * SEED_STEP + world for world in range(first, first + count)]
    arenas = [Arena.random(seed, int(rng.integers(options.poles[0], options.poles[1] + 1))) for seed in seeds]
    expert = FlightExpert(arenas, options.branches + 1, rng, options.expert)
    world, position, velocity = _states(arenas, expert, options, rng)
    if len(world) == 0:  # every state drawn was too close to a pole
        return
    world, route = np.repeat(world, options.branches), np.tile(np.arange(1, options.branches + 1), len(world))
    position, velocity = (
        np.repeat(position, options.branches, axis=0),
        np.repeat(velocity, options.branches, axis=0),
    )
    positions, velocities, commands = _fly(expert, world, route, position, velocity, options.rows)
    for i in range(len(world)):
        arena = arenas[world[i]]
        if arena.collides(positions[i]).any() or arena.outside(positions[i]).any():
            continue
        goal = np.broadcast_to(arena.goal, positions[i].shape)
        distance = np.linalg.norm(positions[i] - goal, axis=1)
        rows = len(commands[i])
        ended = np.zeros(rows, bool)
        ended[-1] = True
        reached = bool(distance[-1] < SUCCESS_M)
        yield Episode(
            observations=np.concatenate([positions[i], velocities[i], goal], axis=1).astype(np.float32),
            actions=commands[i].astype(np.float32),
            rewards=distance[:-1] - distance[1:],
            terminations=ended & reached,
            truncations=ended & (not reached),
            seed=seeds[world[i]],
            options={"poles": arena.poles.astype(np.float32), "world": first + int(world[i])},
        )


def _states(
    arenas: list[Arena], expert: FlightExpert, options: CollectOptions, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start states of the branches: world (M,), position (M, 3), velocity (M, 3)."""
    n = len(arenas)
    every = np.arange(n)
    start = np.stack([arena.start for arena in arenas])
    start[:, 2] += rng.normal(0.0, 0.08, n)
    rows = 130
    positions, velocities, _ = _fly(
        expert, every, 0 * every, start, np.zeros_like(start), rows, options.gust, rng
    )
    worlds, states_p, states_v = [], [], []
    for w, arena in enumerate(arenas):
        near = np.linalg.norm(positions[w] - arena.goal, axis=1) < 0.1
        last = int(near.argmax()) if near.any() else rows
        picked = rng.integers(0, max(last, 1), options.states)
        p = positions[w][picked] + rng.normal(0, options.position_noise, (options.states, 3)) * [1, 1, 0.5]
        v = velocities[w][picked] + rng.normal(0, options.velocity_noise, (options.states, 3)) * [1, 1, 0.3]
        free = rng.random(options.states) < options.free_states
        low, high = (0.15, -1.85, 0.7), (5.85, 1.85, 1.3)
        p[free] = rng.uniform(low, high, (int(free.sum()), 3))
        v[free] = (
            rng.normal(0, 0.25, (int(free.sum()), 3)) * [1, 1, 0.3] * rng.integers(0, 2, (int(free.sum()), 1))
        )
        good = arena.clearance(p) > 0.01
        worlds.append(np.full(int(good.sum()), w))
        states_p.append(p[good])
        states_v.append(v[good])
    return np.concatenate(worlds), np.concatenate(states_p), np.concatenate(states_v)


def _fly(
    expert: FlightExpert,
    world: np.ndarray,
    route: np.ndarray,
    position: np.ndarray,
    velocity: np.ndarray,
    rows: int,
    gust: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fly with the expert at window rate.

    Returns positions and velocities (M, rows + 1, 3), commands (M, rows, 3).
    """
    spec = flight_spec()
    drones = Crazyflie(len(world))
    drones.reset(slice(None), position, hovering=True)
    drones.velocity[:] = velocity
    low, high = spec.limits("action")
    error = np.zeros((len(world), 3))
    positions, velocities, commands = [position.copy()], [velocity.copy()], []
    for _ in range(rows):
        command = np.clip(expert.command(world, route, drones.position, drones.velocity), low, high)
        if rng is not None:
            error = 0.9 * error + np.sqrt(1 - 0.81) * gust * rng.standard_normal(error.shape) * [1, 1, 0.3]
        drones.velocity_world(command + error)
        drones.step(round(spec.step_s / drones.dt))
        commands.append(command)
        positions.append(drones.position.copy())
        velocities.append(drones.velocity.copy())
    return np.stack(positions, 1), np.stack(velocities, 1), np.stack(commands, 1)
