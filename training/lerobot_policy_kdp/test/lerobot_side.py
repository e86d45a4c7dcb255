"""Run by an interpreter that has lerobot and this package: what a user does with policy kdp, step by step.

    python lerobot_side.py FOLDER ARTIFACT

FOLDER holds ``reach`` (generic data) and ``arm`` (a task's data); results go to FOLDER/results.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.scripts import lerobot_eval, lerobot_train
from lerobot.utils.control_utils import predict_action

OBSERVATIONS = [([0.1, 0.2], [0.5, -0.5]), ([0.12, 0.15], [0.5, -0.5]), ([-0.4, 0.3], [0.1, 0.9])]
SMALL = ["width=16", "blocks=1", "components=8", "scorer_width=16"]
SMALL += ["neighbours=4", "samples=4", "candidates=16"]


class Reach(gymnasium.Env):
    """A point to be moved to a goal, with lerobot's observation names."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    render_mode = "rgb_array"
    task_description, task = "reach", "reach"
    _max_episode_steps = 12

    def __init__(self, **kwargs: Any) -> None:
        plane = spaces.Box(-9, 9, (2,), np.float64)
        self.observation_space = spaces.Dict({"agent_pos": plane, "environment_state": plane})
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self.at, self.goal, self.left = np.zeros(2), self.np_random.uniform(-1, 1, 2), 12
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        self.at = self.at + action
        self.left -= 1
        away = float(np.linalg.norm(self.at - self.goal))
        return self._seen(), -away, False, self.left == 0, {"is_success": away < 0.2}

    def render(self) -> np.ndarray:
        return np.zeros((32, 32, 3), np.uint8)

    def _seen(self) -> dict[str, np.ndarray]:
        return {"agent_pos": self.at.copy(), "environment_state": self.goal.copy()}


gymnasium.register("gym_kdp_reach/reach", entry_point=Reach, max_episode_steps=12)


@EnvConfig.register_subclass("kdp_reach")
@dataclass
class ReachConfig(EnvConfig):
    """lerobot's description of Reach."""

    task: str | None = "reach"
    fps: int = 20
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            "action": PolicyFeature(FeatureType.ACTION, (2,)),
            "agent_pos": PolicyFeature(FeatureType.STATE, (2,)),
            "environment_state": PolicyFeature(FeatureType.ENV, (2,)),
        }
    )
    features_map: dict[str, str] = field(
        default_factory=lambda: {
            "action": "action",
            "agent_pos": "observation.state",
            "environment_state": "observation.environment_state",
        }
    )

    @property
    def gym_kwargs(self) -> dict:
        return {}


def main(script: Callable[[], None], *arguments: str) -> None:
    """Call a command-line program of lerobot."""
    sys.argv = ["lerobot", *arguments]
    script()


def train(folder: Path, data: str, out: str, steps: int, *more: str) -> None:
    run = ["--policy.push_to_hub=false", "--policy.device=cpu", f"--dataset.repo_id=kdp/{data}"]
    run += [f"--dataset.root={folder / data}", f"--output_dir={folder / out}", f"--steps={steps}"]
    run += [
        "--batch_size=16",
        "--num_workers=0",
        f"--save_freq={steps // 2}",
        "--log_freq=10",
        "--eval_freq=0",
    ]
    main(lerobot_train.main, *run, "--seed=3", *more)


def last(folder: Path, out: str) -> Path:
    return folder / out / "checkpoints" / "last" / "pretrained_model"


def actions_of(path: Path, observations: list = OBSERVATIONS) -> list[list[float]]:
    """As lerobot-record acts: configuration, policy and processors by lerobot's factories, one episode."""
    config = PreTrainedConfig.from_pretrained(path)
    policy = get_policy_class(config.type).from_pretrained(path)
    before, after = make_pre_post_processors(config, str(path))
    policy.reset()
    actions = []
    for state, environment in observations:
        seen = {"observation.state": state, "observation.environment_state": environment}
        arrays = {name: np.array(value, np.float32) for name, value in seen.items()}
        action = predict_action(arrays, policy, torch.device("cpu"), before, after, False, "reach")
        actions.append(action.reshape(-1).tolist())
    return actions


def run(folder: Path, artifact: Path) -> dict[str, Any]:
    """All steps; each may use what an earlier one made."""
    results: dict[str, Any] = {}
    small = [f"--policy.{option}" for option in SMALL]
    train(folder, "reach", "run", 20, "--policy.type=kdp", "--policy.horizon=8", *small)
    results["config"] = json.loads((last(folder, "run") / "config.json").read_text())
    main(
        lerobot_train.main,
        f"--config_path={last(folder, 'run') / 'train_config.json'}",
        "--resume=true",
        "--steps=30",
    )
    results["actions"] = actions_of(last(folder, "run"))

    from lerobot_policy_kdp.cli import main as convert
    from lerobot_policy_kdp.exchange import load_checkpoint, policy_from_artifact

    policy, training = load_checkpoint(last(folder, "run").parent)
    results["updates"], results["seed"] = int(policy.updates), training["seed"]
    state, environment = (torch.tensor([o[i] for o in OBSERVATIONS]) for i in (0, 1))
    seen = {"observation.state": state, "observation.environment_state": environment}
    results["together"] = policy.select_action(seen).tolist()
    results["chunk"] = list(policy.predict_action_chunk(seen).shape)
    main(
        lerobot_eval.main,
        f"--policy.path={last(folder, 'run')}",
        "--policy.device=cpu",
        "--env.type=kdp_reach",
        "--eval.n_episodes=4",
        "--eval.batch_size=2",
        f"--output_dir={folder / 'eval'}",
        "--eval.use_async_envs=false",
    )
    results["eval"] = json.loads((folder / "eval" / "eval_info.json").read_text())["overall"]

    convert(["export", str(last(folder, "run").parent), str(folder / "artifact")])
    convert(["import", str(folder / "artifact"), str(folder / "imported")])
    results["imported_actions"] = actions_of(folder / "imported")
    train(folder, "reach", "tuned", 4, f"--policy.path={folder / 'imported'}")
    results["tuned_actions"] = actions_of(last(folder, "tuned"))

    train(folder, "arm", "arm_run", 4, "--policy.type=kdp", "--policy.task=pick_place", *small)
    convert(["export", str(last(folder, "arm_run")), str(folder / "arm_artifact")])
    posture = json.loads((folder / "arm.json").read_text())
    results["arm_actions"] = actions_of(last(folder, "arm_run"), [posture])

    shipped = policy_from_artifact(artifact)  # made by kdp_core's trainer
    inputs = (
        torch.tensor(v, dtype=torch.float32)
        for v in json.loads((artifact / "check.json").read_text()).values()
    )
    drawn = dict(zip(("state", "context", "noise", "windows", "scores"), inputs, strict=True))
    with torch.no_grad():
        windows, scores = shipped.average(drawn["state"][None], drawn["context"][None], drawn["noise"])
    results["shipped"] = [
        float((windows - drawn["windows"]).abs().max()),
        float((scores - drawn["scores"]).abs().max()),
    ]
    return results


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "results.json").write_text(json.dumps(run(folder, Path(sys.argv[2]))))
