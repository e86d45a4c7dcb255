"""Rollouts of policy files: what is stored is what happened, and Minari reads it."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kdp_core.datasets import open_episodes
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.sim.gym_collect import RolloutOptions, collect_rollouts
from kdp_core.sim.gym_env import make_env, succeeds
from kdp_core.sim.npz_policy import NpzPolicy

pytest.importorskip("mujoco", reason="MuJoCo, which Gymnasium's environments run on, is not installed")
pytest.importorskip("gymnasium", reason="gymnasium is not installed")
WritePolicy = Callable[..., Path]
SCRIPT = Path(__file__).resolve().parents[4] / "training" / "collect_rollouts.py"


def test_episodes_replay_and_policies_share_the_steps(tmp_path: Path, write_policy: WritePolicy) -> None:
    """Minari's own environment, reset to a stored seed, goes the stored way under the stored actions."""
    minari = pytest.importorskip("minari", reason="minari is not installed")
    policies = [write_policy(tmp_path / f"{i}.npz", i) for i in range(2)]
    options = RolloutOptions("Hopper-v4", steps=120, seed=3)
    path = collect_rollouts(policies, options, tmp_path / "hopper-v0")
    stored = minari.MinariDataset(path / "data")
    env = stored.recover_environment()
    steps = [len(episode.actions) for episode in stored]
    assert sum(steps) >= 120 > sum(steps[:-1])
    switch = next(i for i in range(len(steps)) if sum(steps[: i + 1]) >= 60) + 1
    assert 0 < switch < len(steps)
    for number, episode in enumerate(stored):
        observation, _ = env.reset(seed=3 * 1_000_003 + number)
        rng = np.random.default_rng(3 * 1_000_003 + number)
        policy = NpzPolicy.load(policies[0 if number < switch else 1])
        for i, action in enumerate(episode.actions):
            assert episode.observations[i] == pytest.approx(observation, abs=1e-5)
            assert action == pytest.approx(policy.action(observation, rng), abs=1e-6)
            observation, reward, terminated, truncated, _ = env.step(action)
            assert episode.rewards[i] == pytest.approx(reward)
            assert (terminated, truncated) == (episode.terminations[i], episode.truncations[i])
        assert terminated and episode.observations[-1] == pytest.approx(observation, abs=1e-5)
    assert open_episodes(path).metadata["rate_hz"] == pytest.approx(125.0)  # 4 steps of 2 ms


def test_what_is_there_is_kept_or_refused(tmp_path: Path, write_policy: WritePolicy) -> None:
    policy, out = write_policy(tmp_path / "a.npz", 0), tmp_path / "data-v0"
    calls: list[tuple[int, int]] = []

    def collect(seed: int, **more: bool) -> None:
        collect_rollouts(
            [policy], RolloutOptions("Hopper-v4", 30, seed), out, lambda *c: calls.append(c), **more
        )

    collect(0)
    first, hashed = list(calls), open_episodes(out).hash
    assert first[-1] == (30, 30)
    collect(0)
    assert calls == first
    with pytest.raises(DataError, match="exists already"):
        collect(1)
    collect(1, overwrite=True)
    assert open_episodes(out).hash != hashed


def test_wrong_inputs_are_one_line(tmp_path: Path, write_policy: WritePolicy) -> None:
    policy, out = write_policy(tmp_path / "walker.npz", 0, 17, 6), tmp_path / "x-v0"
    with pytest.raises(
        DataError, match=r"walker.npz: takes 17 numbers and gives 6, but .* \(11,\) and actions \(3,\)"
    ):
        collect_rollouts([policy], RolloutOptions("Hopper-v4", 10), out)
    with pytest.raises(ConfigError, match=r"env: .*Hoppper"):
        collect_rollouts([policy], RolloutOptions("Hoppper-v4", 10), out)
    with pytest.raises(ConfigError, match="at least one policy file"):
        collect_rollouts([], RolloutOptions("Hopper-v4", 10), out)
    with pytest.raises(ConfigError, match="must have flat box spaces"):
        make_env("CartPole-v1")
    with pytest.raises(ConfigError, match="seed must be 0 to"):
        RolloutOptions(seed=1_000_000)
    assert not out.exists()


def test_adroit_has_d4rls_length_and_rule_of_success() -> None:
    pytest.importorskip("gymnasium_robotics", reason="gymnasium-robotics is not installed")
    env = make_env("AdroitHandPen-v1")
    assert env.spec.max_episode_steps == 100
    assert succeeds("AdroitHandPen-v1", 21) and not succeeds("AdroitHandPen-v1", 20)
    assert succeeds("AdroitHandDoor-v1", 26) and not succeeds("AdroitHandDoor-v1", 25)
    assert succeeds("Anything-v0", 1) and not succeeds("Anything-v0", 0)


def test_script(
    tmp_path: Path,
    write_policy: WritePolicy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    a, b = (write_policy(tmp_path / f"{i}.npz", i) for i in range(2))
    arguments = f"--policy {a} --policy {b} --env Hopper-v4 --steps 40 --out {tmp_path / 'out-v0'}"
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, *arguments.split()])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    out = capsys.readouterr().out.replace("\n", " ")
    assert "episodes, mean return" in out and ", score " in out
    assert open_episodes(tmp_path / "out-v0").metadata["algorithm_name"] == "0 and 1"
