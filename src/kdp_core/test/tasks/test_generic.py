"""The task for data sets without one of their own, against slices of the episode."""

import numpy as np
import pytest

from kdp_core.datasets.episodes import Episode
from kdp_core.exceptions import DataError
from kdp_core.tasks.generic import GenericTask, generic_spec


def episode(steps: int = 9) -> Episode:
    rng = np.random.default_rng(0)
    no = np.zeros(steps, bool)
    observations, actions = rng.normal(size=(steps + 1, 2)), rng.normal(size=(steps, 1))
    return Episode(observations.astype("f4"), actions.astype("f4"), rng.normal(size=steps), no, no)


def test_windows_and_discounted_return() -> None:
    task, given = GenericTask(generic_spec("data", 2, 1, 4)), episode()
    batch = task.windows(given)
    assert batch.windows.shape == (6, 4, 3)
    for start in range(6):
        for t in range(4):
            expected = [*given.observations[start + t], *given.actions[start + t]]
            np.testing.assert_array_equal(batch.windows[start, t], expected)
        value = sum(0.99**t * given.rewards[start + t] for t in range(4))
        assert batch.value[start] == pytest.approx(value, rel=1e-5)
        np.testing.assert_array_equal(batch.state[start], given.observations[start])


def test_other_sizes_are_refused() -> None:
    with pytest.raises(DataError, match=r"observations .* expected"):
        GenericTask(generic_spec("data", 3, 1, 4)).windows(episode())


def test_too_short_an_episode_has_no_windows() -> None:
    assert len(GenericTask(generic_spec("data", 2, 1, 4)).windows(episode(3))) == 0
