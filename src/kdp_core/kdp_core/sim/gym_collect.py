"""Data sets by rolling behaviour policies out in a Gymnasium environment, stored in Minari's format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.minari_reader import METADATA_FILE
from kdp_core.datasets.minari_writer import write_minari
from kdp_core.exceptions import ConfigError, DataError, KdpError
from kdp_core.files import load_json
from kdp_core.ranges import EVALUATION_SEED, SEED_STEP, at_least, within
from kdp_core.sim.gym_env import make_env
from kdp_core.sim.gym_policies import Policy, load_policy, policy_hash, policy_name

if TYPE_CHECKING:
    import gymnasium

DEFAULT_RATE_HZ = 20.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RolloutOptions:
    """What is collected: as many whole episodes as give the steps, an equal share of them by each policy."""

    env: str = "Hopper-v4"
    """Environment by Gymnasium's id."""
    steps: int = 1_000_000
    """Steps in all, at least; no episode is cut off."""
    seed: int = 0
    """Seed of the episodes; each has one of its own."""

    def __post_init__(self) -> None:
        at_least(self, 1, "steps")
        within(self, 0, EVALUATION_SEED // SEED_STEP - 1, "seed")


def collect_rollouts(
    policies: Sequence[Path],
    options: RolloutOptions,
    out: Path,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the data set ``out``, which appears when complete, unless it is there, made in the same way.

    ``progress(steps, of)`` is called after each episode.

    Raises:
        ConfigError: the environment cannot be made.
        DataError: a policy file is wrong, or ``out`` holds something else and ``overwrite`` is false.
    """
    if not policies:
        raise ConfigError("policy: expected at least one policy file (.npz), artifact or ant-walker")
    loaded = [load_policy(path) for path in policies]
    names = [{"name": policy_name(path), "sha256": policy_hash(path)} for path in policies]
    made = {**asdict(options), "policies": names}
    if _made_with(out) == made and not overwrite:
        return out
    env = make_env(options.env)
    try:
        for policy, path in zip(loaded, policies, strict=True):
            _require_fitting(policy, env, str(path))
        stems = " and ".join(map(policy_name, policies))
        metadata = {
            "collect_options": made,
            "env_spec": env.spec.to_json() if env.spec is not None else "",
            "rate_hz": 1.0 / float(getattr(env.unwrapped, "dt", 1.0 / DEFAULT_RATE_HZ)),
            "algorithm_name": stems,
            "description": f"stochastic rollouts of {stems} in {options.env}, not a D4RL data set",
        }
        return write_minari(
            out, rollouts(env, loaded, options, progress), metadata=metadata, overwrite=overwrite
        )
    finally:
        env.close()


def rollouts(
    env: gymnasium.Env[Any, Any],
    policies: Sequence[Policy],
    options: RolloutOptions,
    progress: Progress | None = None,
) -> Iterator[Episode]:
    """Episodes of each policy in turn until it has its share of the steps."""
    number = done = 0
    for order, policy in enumerate(policies):
        while done < (order + 1) * options.steps / len(policies):
            episode = run_policy(env, policy, options.seed * SEED_STEP + number)
            number, done = number + 1, done + len(episode)
            yield episode
            if progress is not None:
                progress(min(done, options.steps), options.steps)


def run_policy(env: gymnasium.Env[Any, Any], policy: Policy, seed: int) -> Episode:
    """One whole episode, T steps and T + 1 observations."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    policy.begin(env)
    observations, actions, rewards = [observation], [], []
    terminated = truncated = False
    while not (terminated or truncated):
        actions.append(policy.action(observation, rng))
        observation, reward, terminated, truncated, _ = env.step(actions[-1].astype(np.float32))
        observations.append(observation)
        rewards.append(float(reward))
    ends = np.zeros((2, len(actions)), np.bool_)
    ends[:, -1] = terminated, truncated
    return Episode(
        observations=np.array(observations, np.float32),
        actions=np.array(actions, np.float32),
        rewards=np.array(rewards, np.float64),
        terminations=ends[0],
        truncations=ends[1],
        seed=seed,
    )


def _require_fitting(policy: Policy, env: gymnasium.Env[Any, Any], where: str) -> None:
    observation, action = env.observation_space.shape, env.action_space.shape
    if observation != (policy.d_observation,) or action != (policy.d_action,):
        raise DataError(
            f"{where}: takes {policy.d_observation} numbers and gives {policy.d_action}, but the environment "
            f"has observations {observation} and actions {action}"
        )


def _made_with(out: Path) -> Any:
    try:
        return load_json(out / "data" / METADATA_FILE, DataError).get("collect_options")
    except (KdpError, AttributeError):
        return None
