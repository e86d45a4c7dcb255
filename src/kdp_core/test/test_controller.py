"""The control cycle with sources whose proposals are known: limits, safety, warm start, chunks, staying."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kdp_core.controller import RECOVER_AFTER, Controller, ControllerOptions
from kdp_core.exceptions import ConfigError, InputError
from kdp_core.tasks.flight import FlightCosts, FlightTask

H, STEP_S = 32, 0.1
Propose = Callable[[int, np.ndarray], np.ndarray]


def inputs(position: tuple[float, float, float] = (1.0, 0.0, 1.0)) -> dict[str, np.ndarray]:
    return {
        "position": np.array(position),
        "orientation": np.array([0, 0, 0, 1.0]),
        "velocity_body": np.zeros(3),
        "poles": np.zeros((0, 3)),
        "goal": np.array([5.0, 0, 1.0]),
    }


def straight(velocity: tuple[float, float, float], offset: float = 0.0) -> np.ndarray:
    """A window (32, 9) of constant velocity that begins ``offset`` s late; its commands count the rows."""
    t = (np.arange(H) * STEP_S - offset)[:, None]
    v = np.broadcast_to(velocity, (H, 3))
    command = np.broadcast_to(np.arange(H)[:, None] * 0.01, (H, 3))
    return np.concatenate([t * v, v, command], axis=1)


class Source:
    """Calls ``propose(call, noise)`` for windows (K, 32, 9); scores are zero unless given."""

    d_noise = 3

    def __init__(self, propose: Propose, scores: Callable[[int], np.ndarray] | None = None) -> None:
        self.spec, self._propose, self._scores = FlightTask().spec, propose, scores
        self.noise: list[np.ndarray] = []

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.noise.append(noise.copy())
        windows = self._propose(len(self.noise) - 1, noise)
        return windows, np.zeros(len(noise)) if self._scores is None else self._scores(len(noise))


def repeated(window: np.ndarray) -> Propose:
    return lambda call, noise: np.tile(window, (len(noise), 1, 1))


@pytest.mark.parametrize("execute", ["action", "track"])
def test_actions_are_always_finite_and_within_limits(execute: str) -> None:
    rng = np.random.default_rng(0)

    def wild(call: int, noise: np.ndarray) -> np.ndarray:
        windows = rng.normal(0, 10.0 ** rng.integers(-2, 4), (len(noise), H, 9))
        windows[rng.random(windows.shape) < 0.002] = rng.choice([np.nan, np.inf, -np.inf])
        return windows

    options = ControllerOptions(candidates=4, execute=execute, ranking="learned")
    controller = Controller(Source(wild, lambda k: rng.normal(size=k)), FlightTask(), options)
    safe = limited = 0
    for _ in range(200):
        decision = controller.step(inputs())
        assert decision.action.shape == (3,) and np.isfinite(decision.action).all()
        assert np.abs(decision.action).max() <= 0.8
        safe += decision.safe
        limited += bool(np.abs(decision.action).max() == 0.8)
        assert decision.safe == (decision.plan.index == -1) == (decision.reason != "")
    assert 0 < safe < 200 and limited > 20


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_window_that_is_not_finite_gives_the_safe_action(value: float) -> None:
    broken = straight((0.5, 0, 0))
    broken[30, 8] = value
    decision = Controller(Source(repeated(broken)), FlightTask()).step(inputs())
    assert decision.safe and decision.reason == "no valid candidate"
    assert (decision.action == 0).all() and decision.path is None and decision.plan.index == -1


def test_scores_that_are_not_finite_give_the_safe_action() -> None:
    source = Source(repeated(straight((0.5, 0, 0))), lambda k: np.full(k, np.nan))
    assert Controller(source, FlightTask()).step(inputs()).safe


def test_all_candidates_in_contact_give_the_safe_action_and_forget_the_path() -> None:
    source = Source(repeated(straight((0.5, 0, 0))))
    controller = Controller(source, FlightTask(), ControllerOptions(chunk=2))
    blocked = inputs() | {"poles": np.array([[1.1, 0, 0.15]])}
    assert controller.step(blocked).safe and controller.step(blocked).safe
    assert len(source.noise) == 2  # without a plan it plans again at once, whatever the chunk
    assert not controller.step(inputs()).safe


class Recovering(FlightTask):
    """Knows a way back."""

    def recovery_action(self, values: dict) -> np.ndarray:
        return np.array([0.0, 0.0, 0.3])


def test_a_task_that_knows_a_way_back_takes_it_unless_the_planner_is_broken() -> None:
    blocked = inputs() | {"poles": np.array([[1.1, 0, 0.15]])}
    controller = Controller(Source(repeated(straight((0.5, 0, 0)))), Recovering())

    def until_recovery() -> int:
        for held in range(100):
            decision = controller.step(blocked)
            assert decision.safe
            if "moving to" in decision.reason:
                assert decision.action.tolist() == [0.0, 0.0, 0.3]
                return held
            assert (decision.action == 0).all() and decision.reason == "no valid candidate"
        return 100

    assert until_recovery() == RECOVER_AFTER  # a cycle or two in the middle of a task are none
    assert not controller.step(inputs()).safe
    assert until_recovery() == RECOVER_AFTER  # counted anew
    broken = straight((0.5, 0, 0))
    broken[30, 8] = np.nan
    controller = Controller(Source(repeated(broken)), Recovering())
    for _ in range(2 * RECOVER_AFTER):
        decision = controller.step(inputs())
        assert decision.safe and (decision.action == 0).all() and decision.reason == "no valid candidate"


def test_warm_start_continues_the_chosen_noise() -> None:
    k, rho, seed = 8, 0.9, 3
    options = ControllerOptions(
        candidates=k, warm_start=0.5, warm_correlation=rho, seed=seed, ranking="learned"
    )
    source = Source(repeated(straight((0.5, 0, 0))), lambda n: np.eye(n)[5])
    controller = Controller(source, FlightTask(), options)
    controller.step(inputs())
    controller.step(inputs())
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((k, 3), dtype=np.float32)
    second = rng.standard_normal((k, 3), dtype=np.float32)
    np.testing.assert_array_equal(source.noise[0], first)
    np.testing.assert_array_equal(source.noise[1][0], first[5])
    kept = rho * first[5] + np.sqrt(1 - rho**2) * second[1:4]
    np.testing.assert_allclose(source.noise[1][1:4], kept, rtol=1e-5)
    np.testing.assert_array_equal(source.noise[1][4:], second[4:])
    controller.reset()
    controller.step(inputs())
    np.testing.assert_array_equal(source.noise[2], first)


@pytest.mark.parametrize(
    ("own", "share", "kept"), [(0.0, None, 0), (0.0, 0.5, 2), (0.75, None, 3), (None, None, 2)]
)
def test_the_task_says_how_much_noise_is_kept_unless_the_options_do(
    own: float | None, share: float | None, kept: int
) -> None:
    task = FlightTask()
    if own is not None:
        task.warm_start = own  # type: ignore[attr-defined]
    source = Source(repeated(straight((0.5, 0, 0))))
    options = ControllerOptions(candidates=4, warm_start=share, warm_correlation=1.0, ranking="learned")
    controller = Controller(source, task, options)
    controller.step(inputs())
    controller.step(inputs())
    assert (source.noise[1] == source.noise[0][0]).all(axis=1).sum() == kept


def test_the_clock_tells_how_old_a_plan_is_where_cycles_fall_out() -> None:
    """Ten rows of 0.1 s; at 50 Hz five cycles are a row, and 0.3 s without a call are three rows."""
    source = Source(repeated(straight((0.5, 0, 0))))
    controller = Controller(
        source, FlightTask(), ControllerOptions(candidates=2, chunk=10, ranking="learned")
    )
    now = 100.0
    rows = []
    for wait in (0.0, 0.02, 0.3, 0.0201, 0.5):
        now += wait
        rows.append(round(float(controller.step(inputs(), now).action[0]) / 0.01))
    assert rows == [0, 0, 3, 3, 8] and len(source.noise) == 1
    assert controller.step(inputs(), now + 0.3).replanned


def test_without_warm_start_noise_is_fresh() -> None:
    source = Source(repeated(straight((0.5, 0, 0))))
    controller = Controller(source, FlightTask(), ControllerOptions(candidates=4, warm_start=0.0, seed=1))
    controller.step(inputs())
    controller.step(inputs())
    rng = np.random.default_rng(1)
    for noise in source.noise:
        np.testing.assert_array_equal(noise, rng.standard_normal((4, 3), dtype=np.float32))


@pytest.mark.parametrize(("chunk", "cycles"), [(0, 1), (1, 5), (3, 15)])
def test_a_chunk_holds_the_plan_for_its_rows(chunk: int, cycles: int) -> None:
    source = Source(repeated(straight((0.5, 0, 0))))
    controller = Controller(source, FlightTask(), ControllerOptions(chunk=chunk))
    decisions = [controller.step(inputs()) for _ in range(2 * cycles)]
    assert len(source.noise) == 2
    assert [d.replanned for d in decisions] == ([True] + [False] * (cycles - 1)) * 2
    rows = [i // 5 for i in range(cycles)] * 2  # five control cycles of 0.02 s per row of 0.1 s
    np.testing.assert_allclose([d.action[0] for d in decisions], [0.01 * row for row in rows])


def test_track_follows_the_planned_positions() -> None:
    options = ControllerOptions(execute="track", chunk=1)
    controller = Controller(Source(repeated(straight((0.3, -0.2, 0.1)))), FlightTask(), options)
    for _ in range(5):
        np.testing.assert_allclose(controller.step(inputs()).action, (0.3, -0.2, 0.1))


def test_staying_compares_with_the_path_as_it_should_look_now() -> None:
    """After one cycle the plan that moved on is preferred to one that repeats the old path 0.02 s late."""
    velocity, cycle = (0.5, 0.0, 0.0), 0.02
    on, late = straight(velocity), straight(velocity, offset=cycle)

    def propose(call: int, noise: np.ndarray) -> np.ndarray:
        return np.stack([on, on]) if call == 0 else np.stack([late, on])

    indifferent = FlightTask(FlightCosts(clearance=0.0, hit=0.0, distance=0.0))
    for stay, chosen in ((0.0, 0), (1.0, 1)):
        controller = Controller(Source(propose), indifferent, ControllerOptions(candidates=2, stay=stay))
        controller.step(inputs((1.0, 0, 1.0)))
        plan = controller.step(inputs((1.0 + 0.5 * cycle, 0, 1.0))).plan
        assert plan.index == chosen
        assert -plan.scores[0] == pytest.approx(stay * 0.5 * cycle, rel=0.15)
        assert -plan.scores[1] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("ranking", "index"), [("learned", 0), ("task", 1), ("both", 1)])
def test_ranking(ranking: str, index: int) -> None:
    away, towards = straight((-0.5, 0, 0)), straight((0.5, 0, 0))
    source = Source(lambda call, noise: np.stack([away, towards]), lambda k: np.array([1.0, 0.0]))
    options = ControllerOptions(candidates=2, ranking=ranking, learned_weight=0.5)
    assert Controller(source, FlightTask(), options).step(inputs()).plan.index == index


def test_paths_are_in_the_world() -> None:
    controller = Controller(
        Source(repeated(straight((0.5, 0, 0)))), FlightTask(), ControllerOptions(candidates=3)
    )
    decision = controller.step(inputs())
    paths = controller.paths(decision.plan, inputs())
    assert paths.shape == (3, H, 3)
    np.testing.assert_allclose(paths[0, 10], [1.5, 0, 1.0])
    np.testing.assert_allclose(decision.path, paths[0])


def test_bad_inputs_are_refused_before_anything_happens() -> None:
    source = Source(repeated(straight((0.5, 0, 0))))
    with pytest.raises(InputError, match="'goal' must be finite"):
        Controller(source, FlightTask()).step(inputs() | {"goal": np.array([np.nan, 0, 1])})
    assert source.noise == []


@pytest.mark.parametrize(
    "change", [{"candidates": 0}, {"chunk": -1}, {"warm_start": 2.0}, {"stay": float("nan")}]
)
def test_impossible_options(change: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        ControllerOptions(**change)


def test_load_flies_the_shipped_artifact(shipped: Path) -> None:
    a, b = (Controller.load(shipped, candidates=8, seed=2) for _ in range(2))
    for _ in range(3):
        first, second = a.step(inputs()), b.step(inputs())
        np.testing.assert_array_equal(first.action, second.action)
        assert first.plan.windows.shape == (8, H, 9) and np.abs(first.action).max() <= 0.8
