"""The expert of the flight task: follows a randomised cost-to-go, so that one world has several routes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from kdp_core.ranges import at_least, positive
from kdp_core.sim.arena import Arena
from kdp_core.sim.eikonal import cost_to_go, interpolate

CELL_M = 0.1
NO_POLE = (-100.0, -100.0, 0.01)


@dataclass(frozen=True)
class ExpertOptions:
    """Speeds in m/s, lengths in m. ``roughness`` is the log standard deviation of the random route costs."""

    speed: float = 0.62
    look_ahead: float = 0.38
    comfort: float = 0.25
    blocked_cost: float = 30.0
    near_cost: float = 5.0
    roughness: float = 0.8
    roughness_scale: float = 0.5
    height_gain: float = 1.2
    climb: float = 0.4

    def __post_init__(self) -> None:
        positive(self, "speed", "look_ahead", "comfort", "blocked_cost", "climb", prefix="collect.expert.")
        positive(self, "roughness_scale", "height_gain", prefix="collect.expert.")
        at_least(self, 0, "near_cost", "roughness", prefix="collect.expert.")


def stack_poles(arenas: list[Arena], n: int) -> np.ndarray:
    """Poles of many arenas as (W, n, 3), padded with one that is far away."""
    poles = np.tile(np.array(NO_POLE), (len(arenas), n, 1))
    for row, arena in zip(poles, arenas, strict=True):
        row[: len(arena.poles)] = arena.poles
    return poles


class FlightExpert:
    """Cost-to-go of ``routes`` random cost fields per world, and the velocity commands that descend them."""

    def __init__(
        self, arenas: list[Arena], routes: int, rng: np.random.Generator, options: ExpertOptions | None = None
    ) -> None:
        self.options = options or ExpertOptions()
        self.routes = routes
        o, size = self.options, arenas[0].size
        self.shift = np.array([0.0, 0.5 * size[1]])
        shape = tuple(np.rint(size[:2] / CELL_M).astype(int))
        centres = (
            np.stack(np.meshgrid(*((np.arange(n) + 0.5) * CELL_M for n in shape), indexing="ij"), axis=-1)
            - self.shift
        )
        clearance = np.stack([arena.clearance(np.pad(centres, ((0, 0), (0, 0), (0, 1)))) for arena in arenas])
        shortage = np.clip(1.0 - clearance / o.comfort, 0.0, 1.0)
        base = np.where(clearance < 0.03, o.blocked_cost, 1.0 + o.near_cost * shortage**2)
        noise = gaussian_filter(
            rng.standard_normal((len(arenas) * routes, *shape)), (0, *[o.roughness_scale / CELL_M] * 2)
        )
        noise *= o.roughness / noise.std()
        cost = np.repeat(base, routes, axis=0) * np.exp(noise)
        goals = np.repeat(np.stack([arena.goal[:2] for arena in arenas]), routes, axis=0)
        self.fields = cost_to_go(cost, goals + self.shift, CELL_M)
        self.goals = np.stack([arena.goal for arena in arenas])

    def command(
        self, world: np.ndarray, route: np.ndarray, position: np.ndarray, velocity: np.ndarray
    ) -> np.ndarray:
        """Velocity commands in the world frame.

        Args:
            world, route: (M,) which field.
            position, velocity: (M, 3) m and m/s.

        Returns:
            (M, 3) m/s; at most ``look_ahead`` m/s away from the present velocity, which keeps flights smooth
            without a hidden filter state.
        """
        o = self.options
        index = world * self.routes + route
        points = position[:, :2] + self.shift
        h = 0.5 * CELL_M
        gradient = np.stack(
            [
                interpolate(self.fields, index, points + step, CELL_M)
                - interpolate(self.fields, index, points - step, CELL_M)
                for step in (np.array([h, 0.0]), np.array([0.0, h]))
            ],
            axis=-1,
        )
        direction = -gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-6)
        to_goal = self.goals[world] - position
        distance = np.linalg.norm(to_goal[:, :2], axis=-1, keepdims=True)
        direct = to_goal[:, :2] / np.maximum(distance, 1e-6)
        target = np.where(distance < 0.35, direct, direction) * np.minimum(o.speed, 1.8 * distance)
        change = target - velocity[:, :2]
        norm = np.linalg.norm(change, axis=-1, keepdims=True)
        horizontal = velocity[:, :2] + change * np.minimum(1.0, o.look_ahead / np.maximum(norm, 1e-6))
        climb = np.clip(o.height_gain * to_goal[:, 2:], -o.climb, o.climb)
        return np.concatenate([horizontal, climb], axis=-1)
