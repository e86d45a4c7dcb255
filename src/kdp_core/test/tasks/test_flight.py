"""The flight task against the arena, SciPy's rotations and plain loops."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kdp_core.exceptions import ConfigError, InputError
from kdp_core.sim.arena import Arena
from kdp_core.tasks import check_inputs, make_task
from kdp_core.tasks.flight import FlightCosts, FlightTask, flight_spec
from kdp_core.tasks.flight_geometry import (
    GRID_OFFSETS_M,
    clearance,
    contact_cost,
    near,
    rotate,
    rotate_one,
)


def inputs(seed: int = 0, n_poles: int = 9) -> dict[str, np.ndarray]:
    arena = Arena.random(seed, n_poles)
    rng = np.random.default_rng(seed)
    return {
        "position": rng.uniform((0.5, -1.5, 0.5), (5.5, 1.5, 1.5)),
        "orientation": Rotation.random(rng=seed).as_quat(),
        "velocity_body": rng.normal(0, 0.5, 3),
        "poles": arena.poles,
        "goal": arena.goal,
    }


def random_windows(seed: int, k: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    task = flight_spec()
    return (rng.normal(0, 0.2, (k, task.horizon, 9)).cumsum(axis=1)).astype(np.float32)


def test_rotate_against_scipy() -> None:
    rng = np.random.default_rng(3)
    rotations = Rotation.random(50, rng=4)
    vectors = rng.normal(size=(50, 3))
    np.testing.assert_allclose(rotate(rotations.as_quat(), vectors), rotations.apply(vectors), atol=1e-12)
    one = rotate_one(rotations.as_quat()[7], vectors[7])
    np.testing.assert_allclose(one, rotations[7].apply(vectors[7]), atol=1e-12)


def test_near_keeps_every_pole_that_a_path_comes_within_a_metre_of() -> None:
    poles, position = Arena.random(2, 16).poles, np.array([2.0, 0.3, 1.0])
    moved = np.random.default_rng(0).normal(0, 0.2, (3, 5, 8)).astype(np.float32)
    kept = near(poles, position, moved)
    xy = position[:2, None, None] + moved[:2]
    for pole in poles:
        closest = np.hypot(xy[0] - pole[0], xy[1] - pole[1]).min() - pole[2]
        assert closest > 1.0 or (kept == pole).all(axis=1).any()
    assert 0 < len(kept) < len(poles)
    moved[0, 2, 3] = np.nan
    assert len(near(poles, position, moved)) == len(poles)


@pytest.mark.parametrize("n_poles", [0, 1, 12])
def test_clearance_against_the_arena(n_poles: int) -> None:
    arena = Arena.random(5, n_poles)
    points = np.random.default_rng(1).uniform((-1, -3, 0), (7, 3, 2), (4, 50, 3))
    np.testing.assert_allclose(clearance(points, arena.poles), arena.clearance(points), atol=1e-9)
    each = np.broadcast_to(arena.poles, (4, 1, n_poles, 3))
    np.testing.assert_allclose(clearance(points, each), arena.clearance(points), atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_encode(seed: int) -> None:
    given = inputs(seed)
    arena = Arena(given["poles"], np.array([0.4, 0, 1.0]), np.array([5.6, 0, 1.0]))
    state, context = FlightTask().encode(given)
    np.testing.assert_array_equal(state[:3], 0)
    velocity = Rotation.from_quat(given["orientation"]).apply(given["velocity_body"])
    np.testing.assert_allclose(state[3:], velocity, atol=1e-12)
    np.testing.assert_allclose(context[:3], given["goal"] - given["position"])
    cells = []
    for i in range(11):
        for j in range(11):
            point = given["position"] + np.array([(i - 5) * 0.25, (j - 5) * 0.25, 0.0])
            cells.append(min(0.75, max(-0.75, float(arena.clearance(point)))))
    np.testing.assert_allclose(context[3:], cells, atol=1e-9)
    spec = flight_spec()
    assert state.shape == (spec.d_state,) and context.shape == (spec.d_context,)
    assert GRID_OFFSETS_M.shape == (121, 2)


def cost_by_loop(
    window: np.ndarray, given: dict[str, np.ndarray], w: FlightCosts
) -> tuple[float, float, bool]:
    """(cost of contact, distance that counts, valid), one row after the other."""
    arena = Arena(given["poles"], np.array([0.4, 0, 1.0]), np.array([5.6, 0, 1.0]))
    shortfall, hits, distances, free = 0.0, 0.0, [], True
    for t, row in enumerate(window):
        point = given["position"] + row[:3].astype(float)
        gap = float(arena.clearance(point))
        shortfall += min(1.0, max(0.0, w.margin_m - gap) / w.margin_m) / len(window)
        hits += (gap < 0) / len(window)
        distances.append(math.dist(point, given["goal"]))
        free = free and (gap >= 0 or t >= w.valid_rows)
    left = 0.5 * min(distances) + 0.5 * sum(distances) / len(distances)
    return w.clearance * shortfall + w.hit * hits, left, free


@pytest.mark.parametrize("seed", range(4))
def test_costs_against_a_loop(seed: int) -> None:
    given, windows = inputs(seed), random_windows(seed)
    weights = FlightCosts(margin_m=0.2, clearance=5.0, hit=3.0, distance=0.7, valid_rows=9)
    expected = [cost_by_loop(window, given, weights) for window in windows]
    gap = clearance(given["position"] + windows[..., :3], given["poles"])
    contact = contact_cost(gap, weights)
    np.testing.assert_allclose(contact, [c for c, _, _ in expected], rtol=1e-4, atol=1e-6)
    cost, valid = FlightTask(weights).costs(windows, given)
    np.testing.assert_allclose(cost, [c + 0.7 * left for c, left, _ in expected], rtol=1e-4)
    assert valid.tolist() == [v for _, _, v in expected]


def test_some_plans_of_the_loop_test_are_invalid() -> None:
    verdicts = [FlightTask().costs(random_windows(s), inputs(s))[1] for s in range(4)]
    assert 0 < np.mean(verdicts) < 1


def test_a_window_that_is_not_finite_is_invalid_and_infinitely_dear() -> None:
    windows = random_windows(0)
    windows[2, 20, 1] = np.nan
    cost, valid = FlightTask().costs(windows, inputs(0, 0))
    assert not valid[2] and cost[2] == np.inf and np.isfinite(np.delete(cost, 2)).all()


def test_paths_track_safe_action_success() -> None:
    given, windows, task = inputs(1), random_windows(1), FlightTask()
    np.testing.assert_allclose(task.paths(windows, given)[3, 7], given["position"] + windows[3, 7, :3])
    np.testing.assert_allclose(
        task.track(windows[0], 4), (windows[0, 5, :3] - windows[0, 4, :3]) / 0.1, rtol=1e-5
    )
    np.testing.assert_array_equal(task.track(windows[0], 40), task.track(windows[0], 30))
    np.testing.assert_array_equal(task.safe_action(given), np.zeros(3))
    for away, reached in ((0.19, True), (0.21, False)):
        near = given | {"position": given["goal"] + np.array([0, away, 0])}
        assert task.success(near) is reached and task.distance(near) == pytest.approx(away)


def test_action_limits_and_step() -> None:
    spec = flight_spec()
    low, high = spec.limits("action")
    assert low.tolist() == [-0.8] * 3 and high.tolist() == [0.8] * 3
    assert spec.step_s == pytest.approx(0.1) and spec.horizon == 32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"goal": None}, "input 'goal' is missing"),
        ({"position": np.zeros(2)}, r"'position' must have shape \(3,\), got \(2,\)"),
        ({"poles": np.zeros((2, 2))}, r"'poles' must have shape \(N, 3\)"),
        ({"velocity_body": np.array([0, np.nan, 0])}, "'velocity_body' must be finite"),
        ({"orientation": np.array(["a", "b", "c", "d"])}, "'orientation' must be finite numbers"),
    ],
)
def test_wrong_inputs(change: dict, words: str) -> None:
    given = inputs() | change
    with pytest.raises(InputError, match=words) as caught:
        check_inputs(flight_spec(), given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("factor", [0.0, 0.9, 1.1, 50.0, np.nan])
def test_an_orientation_that_is_no_unit_quaternion(factor: float) -> None:
    given = inputs()
    given["orientation"] = given["orientation"] * factor
    with pytest.raises(InputError, match="input 'orientation' must be a unit quaternion, got one of norm"):
        FlightTask().encode(given)


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_rounded_orientation_is_one(factor: float) -> None:
    given = inputs()
    expected = FlightTask().encode(given)[0]
    given["orientation"] = given["orientation"] * factor
    assert np.allclose(FlightTask().encode(given)[0], expected, atol=0.2)


def test_make_task() -> None:
    assert isinstance(make_task("flight"), FlightTask)
    with pytest.raises(ConfigError, match="task 'swim' is unknown; known: flight"):
        make_task("swim")
