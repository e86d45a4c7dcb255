"""The planner on the shipped artifact: shapes, seeds, refusals; and that it needs no training packages."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kdp_core.exceptions import InputError
from kdp_core.planner import MAX_CANDIDATES, Planner, select
from kdp_core.tasks.flight import FlightTask

INPUTS = {
    "position": np.array([1.0, 0.2, 1.0]),
    "orientation": np.array([0, 0, 0, 1.0]),
    "velocity_body": np.array([0.3, 0.1, 0.0]),
    "poles": np.array([[2.0, 0.3, 0.15]]),
    "goal": np.array([5.6, -0.5, 1.0]),
}


@pytest.fixture(scope="module")
def planner(shipped: Path) -> Planner:
    return Planner.load(shipped)


@pytest.fixture
def condition() -> tuple[np.ndarray, np.ndarray]:
    return FlightTask().encode(INPUTS)


@pytest.mark.parametrize("k", [1, 2, 64])
def test_shapes(planner: Planner, condition: tuple[np.ndarray, np.ndarray], k: int) -> None:
    plan = planner.plan(*condition, candidates=k, rng=np.random.default_rng(0))
    assert plan.windows.shape == (k, 32, 9) and plan.scores.shape == plan.learned.shape == (k,)
    assert plan.noise.shape == (k, planner.d_noise)
    assert plan.index == int(np.argmax(plan.learned)) and plan.score == plan.scores.max()
    np.testing.assert_array_equal(plan.window, plan.windows[plan.index])
    np.testing.assert_array_equal(plan.windows[:, 0, :6], np.tile(condition[0].astype(np.float32), (k, 1)))
    times = plan.timing_ns
    assert times["start"] <= times["proposed"] <= times["end"]


def test_seeds(planner: Planner, condition: tuple[np.ndarray, np.ndarray]) -> None:
    a, b, c = (planner.plan(*condition, candidates=8, rng=np.random.default_rng(s)) for s in (4, 4, 5))
    np.testing.assert_array_equal(a.windows, b.windows)
    assert not np.array_equal(a.windows, c.windows)


def test_candidates_do_not_influence_each_other(
    planner: Planner, condition: tuple[np.ndarray, np.ndarray]
) -> None:
    noise = np.random.default_rng(0).standard_normal((5, planner.d_noise), dtype=np.float32)
    windows, scores = planner.propose(*condition, noise)
    for i in range(5):
        alone = planner.propose(*condition, noise[i : i + 1])
        np.testing.assert_allclose(alone[0][0], windows[i], atol=1e-5)
        np.testing.assert_allclose(alone[1][0], scores[i], atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": np.zeros(5)}, r"state must have shape \(6,\), got \(5,\)"),
        ({"state": np.zeros((1, 6))}, r"state must have shape \(6,\)"),
        ({"state": np.full(6, np.nan)}, "state must be finite"),
        ({"context": None}, r"context must have shape \(124,\), got \(0,\)"),
        ({"context": np.full(124, np.inf)}, "context must be finite"),
        ({"goal": np.zeros(3)}, r"goal must have shape \(0,\), got \(3,\)"),
        ({"candidates": 0}, "candidates must be in 1..4096, got 0"),
        ({"candidates": MAX_CANDIDATES + 1}, "candidates must be in 1..4096"),
    ],
)
def test_bad_input(planner: Planner, change: dict, words: str) -> None:
    given = {"state": np.zeros(6), "context": np.zeros(124)} | change
    with pytest.raises(InputError, match=words) as caught:
        planner.plan(**given)
    assert "\n" not in str(caught.value)


class Fixed:
    """Proposes given windows and scores."""

    d_noise = 1

    def __init__(self, windows: np.ndarray, learned: np.ndarray) -> None:
        self.spec, self._result = FlightTask().spec, (windows, learned)

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._result


def test_select_never_takes_what_is_invalid() -> None:
    windows, learned = np.zeros((5, 32, 9)), np.array([1.0, 9.0, np.nan, 8.0, 2.0])
    windows[1, 3, 2] = np.inf
    cost, valid = np.array([0.0, 0, 0, 0, 0.5]), np.array([True, True, True, False, True])
    plan = select(
        Fixed(windows, learned), np.zeros(6), np.zeros(124), np.zeros((5, 1)), lambda w: (cost, valid)
    )
    assert plan.index == 4
    np.testing.assert_array_equal(plan.scores, [1.0, -np.inf, -np.inf, -np.inf, 1.5])
    none = select(
        Fixed(windows, learned),
        np.zeros(6),
        np.zeros(124),
        np.zeros((5, 1)),
        lambda w: (cost, ~valid & valid),
    )
    assert none.index == -1 and none.window is None and none.score == -np.inf
    halved = select(Fixed(windows, learned), np.zeros(6), np.zeros(124), np.zeros((5, 1)), None, 0.5)
    assert halved.index == 3 and halved.score == 4.0


def test_flying_needs_no_training_packages() -> None:
    code = (
        "import sys, kdp_core.planner, kdp_core.controller, kdp_core.tasks.flight\n"
        "print([m for m in ('torch', 'matplotlib', 'h5py', 'minari', 'tyro', 'rclpy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
