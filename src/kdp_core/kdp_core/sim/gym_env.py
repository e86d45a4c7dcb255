"""Gymnasium's locomotion, Adroit and AntMaze environments by id, with D4RL's episode lengths."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from kdp_core.exceptions import ConfigError

if TYPE_CHECKING:
    import gymnasium

EPISODE_STEPS = {"AdroitHandPen-v1": 100}
"""D4RL's, where Gymnasium-Robotics has others (200)."""
SUCCESS_STEPS = {
    "AdroitHandPen-v1": 20,
    "AdroitHandDoor-v1": 25,
    "AdroitHandHammer-v1": 25,
    "AdroitHandRelocate-v1": 25,
}
"""An episode succeeds if the goal is met in more steps than this, as in ``evaluate_success`` of the original
environments (vikashplus/mj_envs, hand_manipulation_suite); elsewhere once is enough."""


def make_env(env_id: str) -> gymnasium.Env[Any, Any]:
    """The environment, reset by seed as any other.

    Raises ConfigError if gymnasium or the environment is not there, or its spaces are not plain boxes.
    """
    try:
        gym = importlib.import_module("gymnasium")
    except ImportError:
        raise ConfigError(f"env: '{env_id}' needs gymnasium; run `make setup-train`") from None
    with warnings.catch_warnings():  # that -v4 has a successor: D4RL's tasks are nearer to -v4
        warnings.simplefilter("ignore", DeprecationWarning)
        if env_id.startswith(("Adroit", "AntMaze")):
            try:
                gym.register_envs(importlib.import_module("gymnasium_robotics"))
            except ImportError:
                raise ConfigError(
                    f"env: '{env_id}' needs gymnasium-robotics; run `make setup-train`"
                ) from None
        try:
            more: dict[str, Any] = {}
            if env_id in EPISODE_STEPS:
                more["max_episode_steps"] = EPISODE_STEPS[env_id]
            if env_id.startswith("AntMaze"):  # as in D4RL an episode ends at its goal
                more["continuing_task"] = False
            env = gym.make(env_id, **more)
            if env_id.startswith("AntMaze"):  # position, goal and the rest as one array
                env = gym.wrappers.FlattenObservation(env)
        except gym.error.Error as cause:
            raise ConfigError(f"env: {' '.join(str(cause).split())[:200]}") from None
        except ImportError as cause:
            raise ConfigError(f"env: '{env_id}' cannot be made: {cause}") from None
    spaces = (env.observation_space, env.action_space)
    if not all(isinstance(space, gym.spaces.Box) and len(space.shape) == 1 for space in spaces):
        raise ConfigError(f"env: '{env_id}' must have flat box spaces, got {spaces[0]} and {spaces[1]}")
    if env.spec.max_episode_steps is None:
        raise ConfigError(f"env: '{env_id}' has no time limit, so its episodes never end")
    return env


def succeeds(env_id: str, steps_at_goal: int) -> bool:
    """Whether an episode with so many steps in which ``info["success"]`` was true counts as a success."""
    return steps_at_goal > SUCCESS_STEPS.get(env_id, 0)
