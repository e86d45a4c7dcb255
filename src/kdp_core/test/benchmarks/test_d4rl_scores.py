"""D4RL's normalised score, by hand and under every name of an environment."""

import pytest

from kdp_core.benchmarks.d4rl_scores import REFERENCE_RETURNS, normalised_score, reference
from kdp_core.exceptions import ConfigError


def test_scores_by_hand() -> None:
    assert normalised_score("hopper", -20.272305) == 0.0 and normalised_score("hopper", 3234.3) == 100.0
    assert normalised_score("hopper", 1607.0138475) == pytest.approx(50.0)
    assert normalised_score("antmaze", 1.0) == 100.0
    assert normalised_score("door", -56.512833 - 29.37082133) == pytest.approx(-1.0)  # 1 % of the range below


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("halfcheetah", ["HalfCheetah-v4", "halfcheetah-medium-expert-v2", "mujoco/halfcheetah/expert-v0"]),
        ("walker2d", ["Walker2d-v5", "walker2d-medium-v2"]),
        ("pen", ["AdroitHandPen-v1", "pen-cloned-v1", "D4RL/pen/human-v2"]),
        ("relocate", ["AdroitHandRelocate-v1", "relocate-expert"]),
        ("antmaze", ["AntMaze_UMaze-v4", "antmaze-medium-play-v2", "D4RL/antmaze/umaze-v1"]),
        ("maze2d-large", ["maze2d-large-v1", "PointMaze_Large-v3", "D4RL/pointmaze/large-v2"]),
    ],
)
def test_names(task: str, names: list[str]) -> None:
    assert all(reference(name) == REFERENCE_RETURNS[task] for name in names)


def test_unknown_names_are_refused() -> None:
    for name in ("Humanoid-v4", "maze2d-open-v0", "opener", ""):
        with pytest.raises(ConfigError, match="has no reference returns; known: halfcheetah"):
            reference(name)
