"""Receding horizon in an environment: whose actions are executed, when it plans, what an episode is worth."""

from types import SimpleNamespace

import numpy as np
import pytest

from kdp_core.benchmarks.gym_eval import GymEvaluationOptions, GymOutcome, evaluate, run_episode
from kdp_core.exceptions import ConfigError
from kdp_core.tasks.generic import generic_spec

STEPS = 10


class Counter:
    """State = number of steps so far; reward = first action; success from step ``good`` on; ends after 10."""

    action_space = SimpleNamespace(shape=(2,), low=-np.ones(2), high=np.ones(2))

    def __init__(self, good: int | None = None) -> None:
        self.good = good

    def reset(self, seed: int) -> tuple[np.ndarray, dict]:
        self.seed, self.step_number, self.actions = seed, 0, []
        return np.zeros(3), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.step_number += 1
        self.actions.append(action)
        info = {} if self.good is None else {"success": self.step_number > self.good}
        return np.full(3, self.step_number), float(action[0]), False, self.step_number == STEPS, info


class Source:
    """Candidate i plans the actions (i + row) / 10, from any state; the scores are given."""

    d_noise = 1

    def __init__(self, scores: list[float], horizon: int = 4) -> None:
        self.spec, self.scores = generic_spec("x", 3, 2, horizon), np.array(scores)
        self.asked: list[float] = []

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        assert noise.shape == (len(self.scores), 1) and context.shape == (0,)
        self.asked.append(float(state[0]))
        self.noise = noise
        number, row = np.mgrid[: len(noise), : self.spec.horizon]
        windows = np.zeros((len(noise), self.spec.horizon, 5))
        windows[..., 3:] = ((number + row) / 10)[..., None]
        return windows, self.scores


def run(source: Source | None, env: Counter, name: str = "Hopper-v4", **options: float) -> GymOutcome:
    return run_episode(source, env, 7, GymEvaluationOptions(name, **options))


def test_temperature_scales_the_noise_and_nothing_else() -> None:
    whole, half = Source([0.0, 1.0]), Source([0.0, 1.0])
    a, b = run(whole, Counter(), candidates=2), run(half, Counter(), candidates=2, temperature=0.5)
    np.testing.assert_array_equal(half.noise, 0.5 * whole.noise)
    assert half.noise.dtype == np.float32 and half.noise.any() and a.total == b.total


def test_best_candidates_actions_are_executed_in_chunks() -> None:
    """K = 3, the second is best: actions .1, .2, .3 and anew, planned at steps 0, 3, 6 and 9."""
    env, source = Counter(), Source([0.0, 2.0, 1.0])
    outcome = run(source, env, candidates=3, chunk=3)
    assert source.asked == [0, 3, 6, 9] and outcome.plans == 4 and outcome.steps == STEPS
    assert np.array(env.actions)[:, 0] == pytest.approx([0.1, 0.2, 0.3] * 3 + [0.1])
    assert outcome.total == pytest.approx(1.9) and env.seed == 7
    assert outcome.score == pytest.approx(100 * (1.9 + 20.272305) / (3234.3 + 20.272305))
    assert outcome.success is None and outcome.plan_ms > 0


def test_every_step_is_planned_anew_by_default() -> None:
    env, source = Counter(), Source([0.0])
    assert run(source, env).plans == STEPS == len(source.asked)
    assert not np.array(env.actions).any()


def test_actions_are_clipped_and_infinite_plans_do_nothing() -> None:
    env, source = Counter(), Source([0.0] * 20 + [1.0])
    run(source, env, candidates=21)
    assert (np.array(env.actions) == 1.0).all()  # planned: 2.0
    env, source = Counter(), Source([np.nan])
    assert run(source, env).total == 0.0 and len(source.asked) == STEPS


def test_success_is_what_the_environment_says_for_long_enough() -> None:
    assert run(None, Counter(good=9)).success and not run(None, Counter(good=10)).success
    assert not run(None, Counter(good=0), "AdroitHandPen-v1").success  # 10 steps, more than 20 are asked for


def test_random_actions_are_seeded() -> None:
    first, second = Counter(), Counter()
    outcome = run(None, first)
    run(None, second)
    assert (np.array(first.actions) == np.array(second.actions)).all() and np.std(first.actions) > 0.3
    assert outcome.plans == 0 and outcome.plan_ms is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"env": "Humanoid-v4"}, "no reference returns"),
        ({"episodes": 0}, "episodes must be at least 1"),
        ({"candidates": 0}, "candidates must be 1 to"),
        ({"chunk": 0}, "chunk must be at least 1"),
    ],
)
def test_wrong_options_are_one_line(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(GymEvaluationOptions(**options), 1)


def test_random_policy_scores_near_zero() -> None:
    """D4RL's score of 0 is a random policy's."""
    pytest.importorskip("mujoco", reason="MuJoCo, which Gymnasium's environments run on, is not installed")
    pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    said: list[tuple[int, int, int]] = []
    outcomes = evaluate(GymEvaluationOptions(episodes=25), 1, lambda *done: said.append(done))
    assert np.mean([o.score for o in outcomes]) == pytest.approx(1.0, abs=1.0)
    assert said[-1] == (25, 25, 25) and len({o.episode_seed for o in outcomes}) == 25
