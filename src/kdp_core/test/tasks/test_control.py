"""States and actions as they are, with returns to go: by a loop, by hand, and which windows are taken."""

from pathlib import Path

import numpy as np
import pytest

from kdp_core.datasets import Episode
from kdp_core.exceptions import ConfigError
from kdp_core.tasks.control import ControlOptions, ControlTask, return_to_go
from kdp_core.tasks.generic import generic_spec


def episode(steps: int = 20, ended: bool = True, last: int = 1, seed: int = 0) -> Episode:
    rng = np.random.default_rng(seed)
    ends = np.zeros((2, steps), np.bool_)
    ends[0 if ended else 1, -1] = True
    return Episode(
        rng.normal(size=(steps + last, 3)).astype(np.float32),
        rng.normal(size=(steps, 2)).astype(np.float32),
        rng.normal(size=steps),
        ends[0],
        ends[1],
    )


def test_return_to_go_of_an_ended_episode_is_the_discounted_sum() -> None:
    rewards = np.random.default_rng(3).normal(size=30)
    expected = [sum(0.9**i * r for i, r in enumerate(rewards[t:])) for t in range(30)]
    assert return_to_go(rewards, 0.9, True) == pytest.approx(expected)
    assert return_to_go(rewards, 0.0, True) == pytest.approx(rewards)


def test_return_to_go_of_a_stopped_recording_goes_on_as_before() -> None:
    """A constant reward of 3 is worth 3 / (1 - 0.9) = 30 wherever one is; else the last 10 rows go on."""
    assert return_to_go(np.full(50, 3.0), 0.9, False) == pytest.approx(np.full(50, 30.0))
    rewards = np.r_[np.full(5, 100.0), np.arange(10.0)]
    assert return_to_go(rewards, 0.9, False)[-1] == pytest.approx(9.0 + 0.9 * 4.5 / 0.1)


@pytest.mark.parametrize("last", [0, 1])  # D4RL's files keep no last observation
def test_windows_are_rows_of_the_episode(last: int) -> None:
    recorded = episode(20, last=last)
    task = ControlTask(generic_spec("x", 3, 2, 4), ControlOptions(discount=0.5))
    batch = task.windows(recorded)
    assert batch.windows.shape == (17, 4, 5) and (batch.state == batch.windows[:, 0, :3]).all()
    assert (batch.windows[5, 2] == np.r_[recorded.observations[7], recorded.actions[7]]).all()
    assert batch.value[16] == pytest.approx(np.sum(recorded.rewards[16:] * 0.5 ** np.arange(4)))


def test_every_nth_window_from_a_row_of_the_contents_choice() -> None:
    task = ControlTask(generic_spec("x", 3, 2, 4), ControlOptions(every=5))
    whole = ControlTask(generic_spec("x", 3, 2, 4), ControlOptions())
    firsts = set()
    for seed in range(12):
        batch, full = task.windows(episode(22, seed=seed)), whole.windows(episode(22, seed=seed))
        first = int(np.flatnonzero((full.state == batch.state[0]).all(axis=1))[0])
        assert (batch.windows == full.windows[first::5]).all() and (batch.value == full.value[first::5]).all()
        firsts.add(first)
    assert len(firsts) > 2 and max(firsts) < 5
    assert len(ControlTask(generic_spec("x", 3, 2, 4), ControlOptions(every=50)).windows(episode(6))) == 1


@pytest.mark.parametrize(("ended", "last"), [(True, 1), (False, 1), (True, 0), (False, 0)])
def test_transitions_tell_what_followed(ended: bool, last: int) -> None:
    recorded = episode(20, ended, last)
    task = ControlTask(generic_spec("x", 3, 2, 1), ControlOptions(every=3, transitions=True))
    batch = task.windows(recorded)
    rows = [int(np.flatnonzero((recorded.observations == state).all(axis=1))[0]) for state in batch.state]
    known = 20 if ended or last else 19  # what followed on the last row of a stopped recording may be unknown
    assert rows == list(range(rows[0], known, 3))
    assert batch.extras.shape == (len(rows), 5) and batch.extras.dtype == np.float32
    for row, extras in zip(rows, batch.extras, strict=True):
        assert extras[0] == pytest.approx(recorded.rewards[row])
        assert extras[1] == (0.0 if ended and row == 19 else 1.0)
        if row < 19 or last:
            assert (extras[2:] == recorded.observations[row + 1]).all()
    assert task.windows(episode(20, ended, last)).value == pytest.approx(batch.value)


def test_wrong_options_name_the_field(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"control.discount must be in \[0, 1\), got 1.0"):
        ControlOptions(discount=1.0)
    with pytest.raises(ConfigError, match=r"control.every must be at least 1"):
        ControlOptions(every=0)
