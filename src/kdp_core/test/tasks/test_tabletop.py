"""Tabletop tasks: their contracts, costs, windows and what the scorer learns."""

import dataclasses

import numpy as np
import pytest

from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.lerobot_format import ENVIRONMENT, STATE
from kdp_core.exceptions import DataError, InputError
from kdp_core.sim.so100 import Scene
from kdp_core.sim.so100_geometry import CUBE_M, HIGH_RAD, LOW_RAD
from kdp_core.sim.so100_kinematics import grasp_from_above, hand_frame
from kdp_core.tasks import check_inputs, make_task
from kdp_core.tasks.tabletop import STRIDE, TabletopTask
from kdp_core.tasks.tabletop_windows import OFFSET_ROWS, TabletopLabels, tabletop_windows
from kdp_core.windows import check_windows


def inputs_of(name: str, seed: int = 0) -> dict[str, np.ndarray]:
    scene = Scene.random(name, seed)
    return {"joints": scene.joints, "cubes": scene.cubes, "goal": scene.goal}


def episode_of(name: str, steps: int = 60, seed: int = 0) -> Episode:
    scene, rng = Scene.random(name, seed), np.random.default_rng(seed)
    joints = np.clip(scene.joints + 0.02 * rng.normal(size=(steps, 6)).cumsum(axis=0), LOW_RAD, HIGH_RAD)
    environment = np.tile(np.concatenate([scene.cubes.reshape(-1), scene.goal]), (steps, 1))
    return Episode(
        observations={STATE: joints.astype(np.float32), ENVIRONMENT: environment.astype(np.float32)},
        actions=(joints + 0.05).astype(np.float32),
        rewards=np.zeros(steps),
        terminations=np.zeros(steps, bool),
        truncations=np.zeros(steps, bool),
    )


@pytest.mark.parametrize("name", ["pick_place", "stack"])
def test_contract_and_encoding_fit(name: str) -> None:
    task = make_task(name)
    given = inputs_of(name)
    check_inputs(task.spec, given)
    state, context = task.encode(given)
    assert state.shape == (task.spec.d_state,) and context.shape == (task.spec.d_context,)
    np.testing.assert_array_equal(state, given["joints"])
    low, high = task.spec.limits("action")
    np.testing.assert_array_equal(low, LOW_RAD)
    np.testing.assert_array_equal(high, HIGH_RAD)
    assert task.spec.name == f"so100-{name.replace('_', '-')}"


def test_stacking_aims_at_the_lower_cube_as_it_lies_now() -> None:
    task, given = make_task("stack"), inputs_of("stack")
    given["cubes"] = given["cubes"].copy()
    given["cubes"][1, 0] += 0.02
    np.testing.assert_allclose(task.target(given), given["cubes"][1, :3] + [0, 0, CUBE_M])
    assert task.distance(given) == pytest.approx(np.linalg.norm(given["cubes"][0, :3] - task.target(given)))
    with pytest.raises(InputError, match="must have 2 rows for stacking, got 1"):
        task.encode({**given, "cubes": given["cubes"][:1]})
    with pytest.raises(InputError, match="at least 1 row"):
        make_task("pick_place").encode({**given, "cubes": np.zeros((0, 7))})


def test_success_needs_place_and_open_jaw() -> None:
    for name, far in (("pick_place", 0.04), ("stack", 0.02)):
        task, given = make_task(name), inputs_of(name)
        given["cubes"] = given["cubes"].copy()
        given["cubes"][0, :3] = task.target(given)
        given["joints"] = np.array([*given["joints"][:5], 0.7])
        assert task.success(given)
        assert not task.success({**given, "joints": np.array([*given["joints"][:5], 0.2])})
        given["cubes"][0, 0] += far
        assert not task.success(given)


def test_costs_keep_plans_out_of_the_table_and_refuse_jumps() -> None:
    task, given = make_task("pick_place"), inputs_of("pick_place", 7)
    cube = given["cubes"][0, :3]
    yaw = np.arctan2(cube[1], cube[0])
    share = np.linspace(0.0, 1.0, 16)[:, None]

    def to(height: float) -> np.ndarray:
        end = np.array([*grasp_from_above(np.array([*cube[:2], height]), yaw), given["joints"][5]])
        return given["joints"] + share * (end - given["joints"])

    wild = to(0.03) + np.array([1.0, 0, 0, 0, 0, 0])
    broken = np.full((16, 6), np.nan)
    windows = np.stack([np.concatenate([w, w], axis=1) for w in (to(0.03), to(0.004), wild, broken)])
    cost, valid = task.costs(windows, given)
    assert cost[0] == 0.0 < cost[1] and valid.tolist() == [True, True, False, False]
    below = np.repeat(to(-0.02)[-1:], 16, axis=0)
    under = {**given, "joints": below[0]}
    assert not task.costs(np.concatenate([below, below], axis=1)[None], under)[1][0]
    np.testing.assert_allclose(task.paths(windows[:1], given)[0], hand_frame(to(0.03))[0])


def test_holding_is_safe_and_tracking_follows_the_states() -> None:
    task, given = make_task("pick_place"), inputs_of("pick_place")
    np.testing.assert_array_equal(task.safe_action(given), given["joints"])
    window = np.arange(16 * 12, dtype=float).reshape(16, 12)
    np.testing.assert_array_equal(task.track(window, 3), window[4, :6])
    np.testing.assert_array_equal(task.track(window, 15), window[15, :6])


def test_recovery_steps_to_a_hand_above_the_table_and_keeps_the_grip() -> None:
    task, given = make_task("pick_place"), inputs_of("pick_place")
    folded = np.array([1.9, -3.1, 3.0, 0.6, 0.5, 0.1])
    first = task.recovery_action({**given, "joints": folded})
    np.testing.assert_allclose(first - folded, [-0.05, 0.05, -0.05, 0.05, -0.05, 0.0])
    joints = folded
    for _ in range(100):
        joints = task.recovery_action({**given, "joints": joints})
    point, axes = hand_frame(joints)
    assert np.hypot(point[0], point[1]) == pytest.approx(0.15, abs=0.005)
    assert point[2] == pytest.approx(0.1, abs=0.005) and axes[2, 0] < -0.99  # points down
    np.testing.assert_allclose(joints[[0, 5]], [1.0, 0.1])
    in_hand = given["cubes"].copy()
    in_hand[0, :3] = hand_frame(folded)[0]
    gripped = task.recovery_action({**given, "joints": folded, "cubes": in_hand})
    assert gripped[5] == pytest.approx(-0.2)  # 0.1 - 0.3, at the joint's limit


def test_recovery_lifts_a_hand_near_the_table_before_it_lowers_anything() -> None:
    task, given = make_task("pick_place"), inputs_of("pick_place")
    low, high = task.spec.limits("action")
    rng, found = np.random.default_rng(3), 0
    while found < 25:
        joints = rng.uniform(low, high)
        height = hand_frame(joints)[0][2]
        if not 0.0 < height < 0.05:
            continue
        found += 1
        for _ in range(200):
            after = task.recovery_action({**given, "joints": joints})
            now, then = hand_frame(joints)[0][2], hand_frame(after)[0][2]
            assert then > min(now, 0.08) - 0.02  # single joints rise; together a step may dip a little
            joints = after
        assert hand_frame(joints)[0][2] == pytest.approx(0.1, abs=0.01)


def test_holding_keeps_the_grip_on_a_cube_and_on_nothing_else() -> None:
    task, given = make_task("pick_place"), inputs_of("pick_place")
    joints = np.array([*given["joints"][:5], 0.2])
    in_hand = given["cubes"].copy()
    in_hand[0, :3] = hand_frame(joints)[0] + 0.003
    gripped = {**given, "joints": joints, "cubes": in_hand}
    np.testing.assert_allclose(task.safe_action(gripped), joints - [0, 0, 0, 0, 0, 0.3])
    wide = {**gripped, "joints": np.array([*joints[:5], 0.6])}
    np.testing.assert_array_equal(task.safe_action(wide), wide["joints"])
    elsewhere = {**gripped, "cubes": np.add(in_hand, [0.03, 0, 0, 0, 0, 0, 0])}
    np.testing.assert_array_equal(task.safe_action(elsewhere), joints)


@pytest.mark.parametrize("name", ["pick_place", "stack"])
def test_windows_begin_every_few_rows_and_hold_at_the_end(name: str) -> None:
    task, episode = TabletopTask(name), episode_of(name)
    batch = tabletop_windows(episode, task)
    check_windows(batch, task.spec, "episode")
    assert len(batch) == -(-60 // OFFSET_ROWS)
    joints = episode.channels()[STATE]
    row = 2 * OFFSET_ROWS
    np.testing.assert_array_equal(batch.windows[2, :3, :6], joints[[row, row + STRIDE, row + 2 * STRIDE]])
    np.testing.assert_array_equal(batch.windows[2, 1, 6:], episode.actions[row + STRIDE])
    np.testing.assert_array_equal(batch.windows[-1, 1:], np.tile(batch.windows[-1, 1], (15, 1)))
    environment = episode.channels()[ENVIRONMENT][row]
    given = {
        "joints": joints[row].astype(float),
        "cubes": environment[:-3].reshape(-1, 7).astype(float),
        "goal": environment[-3:].astype(float),
    }
    state, context = task.encode(given)
    np.testing.assert_allclose(batch.state[2], state, atol=1e-6)
    np.testing.assert_allclose(batch.context[2], context, atol=1e-5)


def test_wrong_data_are_refused_by_name() -> None:
    episode = episode_of("pick_place")
    with pytest.raises(DataError, match="has 10 numbers, expected 7 for each of at least 2"):
        tabletop_windows(episode, TabletopTask("stack"))
    flat = Episode(
        observations=episode.channels()[STATE], actions=episode.actions, rewards=episode.rewards,
        terminations=episode.terminations, truncations=episode.truncations,
    )  # fmt: skip
    with pytest.raises(DataError, match=r"expected 'observation\.state'"):
        tabletop_windows(flat, TabletopTask("pick_place"))


def labelled(change: np.ndarray) -> np.ndarray:
    """Values (5, M) of windows that differ by ``change`` (M, 16, 12) from what was demonstrated."""
    task = TabletopTask("pick_place")
    batch = tabletop_windows(episode_of("pick_place"), task)
    windows = batch.windows[:5, None] + change.astype(np.float32)
    return TabletopLabels(batch, task.spec).labels(windows, batch.take(np.arange(5)))


@pytest.mark.parametrize("factor", [180 / np.pi, 1e30])
def test_joints_in_another_unit_are_refused(factor: float) -> None:
    episode = episode_of("pick_place")
    degrees = dataclasses.replace(
        episode, observations={**episode.channels(), STATE: factor * episode.channels()[STATE]}
    )
    with pytest.raises(DataError, match="unit"):
        tabletop_windows(degrees, TabletopTask("pick_place"))


def test_labels_rank_by_nearness() -> None:
    step = np.zeros((16, 12))
    step[1:, 4] = step[:, 10] = 2.0
    across = np.stack([0.0 * step, 0.5 * step, step])
    across[:, :, :4] = across[:, :, 5:10] = 0.0
    value = labelled(across)
    assert (value[:, 0] > value[:, 1]).all() and (value[:, 0] > value[:, 2]).all()


def test_labels_prefer_getting_on_to_waiting() -> None:
    task = TabletopTask("pick_place")
    batch = tabletop_windows(episode_of("pick_place"), task)
    own = batch.windows[:5]
    start = np.tile(own[:, :1, :6], 2)
    shares = np.array([1.0, 0.7, 0.0])[:, None, None]
    windows = start[:, None] + shares * (own - start)[:, None]
    value = TabletopLabels(batch, task.spec).labels(windows, batch.take(np.arange(5)))
    assert (np.diff(value, axis=1) < 0).all()
    assert (value[:, 0] - value[:, 2] > 0.7).all()
