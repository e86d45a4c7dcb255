"""The expert reaches the goal and keeps clear of the poles; its options are checked."""

import numpy as np
import pytest

from kdp_core.exceptions import ConfigError
from kdp_core.sim.arena import Arena
from kdp_core.sim.crazyflie import Crazyflie
from kdp_core.sim.flight_expert import ExpertOptions, FlightExpert, stack_poles

ROUTES = 3
SEEDS = (11, 12, 13)


@pytest.fixture(scope="module")
def flown() -> tuple[list[Arena], FlightExpert, np.ndarray, np.ndarray]:
    """Arenas, expert, positions (worlds x routes, 166, 3) and commands (worlds x routes, 165, 3)."""
    arenas = [Arena.random(seed, 10) for seed in SEEDS]
    expert = FlightExpert(arenas, ROUTES, np.random.default_rng(0))
    world, route = np.repeat(np.arange(3), ROUTES), np.tile(np.arange(ROUTES), 3)
    drones = Crazyflie(9)
    drones.reset(slice(None), np.stack([arenas[w].start for w in world]), hovering=True)
    positions, commands = [drones.position.copy()], []
    for _ in range(165):
        commands.append(expert.command(world, route, drones.position, drones.velocity))
        drones.velocity_world(commands[-1])
        drones.step(50)
        positions.append(drones.position.copy())
    return arenas, expert, np.stack(positions, 1), np.stack(commands, 1)


def test_keeps_clear_and_arrives(flown: tuple) -> None:
    arenas, _, positions, _ = flown
    clear = []
    for i, path in enumerate(positions):
        arena = arenas[i // ROUTES]
        clear.append(not arena.collides(path).any() and not arena.outside(path).any())
        assert np.linalg.norm(path[-1] - arena.goal) < 0.15
    assert sum(clear) >= 8  # a rough route may touch a pole; collection leaves such flights out


def test_without_random_costs_every_flight_keeps_clear() -> None:
    arenas = [Arena.random(seed, 10) for seed in SEEDS]
    expert = FlightExpert(arenas, 1, np.random.default_rng(0), ExpertOptions(roughness=0.0))
    world, drones = np.arange(3), Crazyflie(3)
    drones.reset(slice(None), np.stack([arena.start for arena in arenas]), hovering=True)
    for _ in range(130):
        drones.velocity_world(expert.command(world, 0 * world, drones.position, drones.velocity))
        drones.step(50)
        for arena, position in zip(arenas, drones.position, strict=True):
            assert not arena.collides(position) and not arena.outside(position)


def test_commands_are_bounded(flown: tuple) -> None:
    options, commands = ExpertOptions(), flown[3]
    assert np.isfinite(commands).all()
    assert np.linalg.norm(commands[..., :2], axis=-1).max() <= options.speed + options.look_ahead
    assert np.abs(commands[..., 2]).max() <= options.climb


def test_routes_of_one_world_differ(flown: tuple) -> None:
    positions = flown[2].reshape(3, ROUTES, -1, 3)
    apart = np.linalg.norm(positions[:, 0] - positions[:, 1], axis=-1).max(axis=1)
    assert (apart > 0.1).any() and (apart > 1e-3).all()


def test_stacked_poles_are_padded_far_away() -> None:
    arenas = [Arena.random(1, 2), Arena.random(2, 5)]
    poles = stack_poles(arenas, 6)
    np.testing.assert_array_equal(poles[0, :2], arenas[0].poles)
    np.testing.assert_array_equal(poles[1, :5], arenas[1].poles)
    assert (np.hypot(poles[0, 2:, 0], poles[0, 2:, 1]) > 50).all()


@pytest.mark.parametrize("change", [{"speed": 0.0}, {"roughness": -1.0}, {"comfort": float("nan")}])
def test_impossible_options(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"collect.expert.{next(iter(change))} must be"):
        ExpertOptions(**change)
