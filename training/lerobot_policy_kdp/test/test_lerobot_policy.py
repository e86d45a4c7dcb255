"""Policy kdp inside lerobot's own programs, offline. Needs `make lerobot-env`, else skipped.

One process (``lerobot_side.py``) does what a user does; the tests compare its results with kdp_core's own.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdp_core.artifact import load_artifact
from kdp_core.controller import Controller, ControllerOptions
from kdp_core.datasets import Episode, write_lerobot
from kdp_core.planner import Planner
from kdp_core.tasks import make_task
from kdp_core.tasks.generic import GenericTask

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PYTHON = Path(os.environ.get("KDP_LEROBOT_PYTHON", ROOT / ".venv-lerobot" / "bin" / "python"))
SHIPPED = ROOT / "src" / "kdp_core" / "artifacts" / "crazyflie"
OBSERVATIONS = [([0.1, 0.2], [0.5, -0.5]), ([0.12, 0.15], [0.5, -0.5]), ([-0.4, 0.3], [0.1, 0.9])]
JOINTS = [0.1, -1.5, 1.4, 0.6, 0.2, 0.5]
CUBE, GOAL = [0.2, 0.05, 0.015, 0.0, 0.0, 0.0, 1.0], [0.22, -0.08, 0.015]

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason=f"lerobot is not installed ({PYTHON}); make lerobot-env installs it"
)


def reach(seed: int, steps: int = 24) -> Episode:
    """A point moves to a goal, to the left or to the right of the straight way."""
    rng = np.random.default_rng(seed)
    goal, side, at = rng.uniform(-1, 1, 2), rng.choice([-1.0, 1.0]), np.zeros((steps + 1, 2))
    actions = np.zeros((steps, 2))
    for t in range(steps):
        away = goal - at[t]
        actions[t] = 0.2 * away + 0.05 * side * np.array([-away[1], away[0]]) * (1 - t / steps)
        at[t + 1] = at[t] + actions[t]
    channels = {"observation.state": at, "observation.environment_state": np.tile(goal, (steps + 1, 1))}
    return as_episode(channels, actions, -np.linalg.norm(at[:-1] - goal, axis=1))


def arm(seed: int, steps: int = 90) -> Episode:
    """Joints on a smooth way; enough for the tabletop task to cut windows from."""
    rng = np.random.default_rng(seed)
    joints = np.array(JOINTS) + np.cumsum(rng.normal(scale=0.01, size=(steps + 1, 6)), axis=0)
    environment = np.tile([*CUBE, *GOAL], (steps + 1, 1))
    channels = {"observation.state": joints, "observation.environment_state": environment}
    return as_episode(channels, joints[1:], np.zeros(steps))


def as_episode(channels: dict[str, np.ndarray], actions: np.ndarray, rewards: np.ndarray) -> Episode:
    no = np.zeros(len(actions), bool)
    floats = {name: array.astype("f4") for name, array in channels.items()}
    return Episode(floats, actions.astype("f4"), rewards, no, no)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the other process has done everything; the package is installed there as pip does it."""
    folder = tmp_path_factory.mktemp("lerobot")
    shutil.copytree(HERE.parent, folder / "package", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    install = [*pip, "--target", str(folder / "site"), str(folder / "package")]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    write_lerobot(folder / "reach", [reach(seed) for seed in range(8)], 20, "m")
    write_lerobot(folder / "arm", [arm(seed) for seed in range(5)], 50, "rad")
    (folder / "arm.json").write_text(json.dumps([JOINTS, [*CUBE, *GOAL]]))
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "huggingface"),
        "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT / "src" / "kdp_core")]),
        "OMP_NUM_THREADS": "1",
    }
    command = [str(PYTHON), str(HERE / "lerobot_side.py"), str(folder), str(SHIPPED)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def test_training_fills_in_the_contract_and_the_data(folder: Path, results: dict[str, Any]) -> None:
    config = results["config"]
    spec = json.loads(config["spec"])
    assert config["type"] == "kdp" and spec["rate_hz"] == 20.0 and spec["horizon"] == 8
    assert [channel["name"] for channel in spec["context"]] == ["environment_state"]
    assert config["data_id"] == "reach" and config["data_episodes"] == 8
    assert config["data_windows"] == 8 * (24 - 7)


def test_a_resumed_run_goes_on(folder: Path, results: dict[str, Any]) -> None:
    assert results["updates"] == 30 and results["seed"] == 3
    steps = json.loads((folder / "run/checkpoints/last/training_state/training_step.json").read_text())
    assert steps["step"] == 30


def test_a_batch_is_as_many_environments(results: dict[str, Any]) -> None:
    """Element n of a batch plans with seed + n, so the first one does as an environment of its own."""
    together = np.array(results["together"])
    assert together.shape == (3, 2) and np.isfinite(together).all()
    np.testing.assert_allclose(together[0], results["actions"][0], atol=1e-6)
    assert results["chunk"] == [3, 8, 2]


def test_lerobot_eval_runs_it(results: dict[str, Any]) -> None:
    assert results["eval"]["n_episodes"] == 4
    assert np.isfinite(results["eval"]["avg_sum_reward"]) and results["eval"]["avg_sum_reward"] < 0


def test_the_exported_artifact_acts_alike(folder: Path, results: dict[str, Any]) -> None:
    """Checkpoint in lerobot (PyTorch) and artifact in kdp_core (ONNX) give the same actions."""
    planner = Planner.load(folder / "artifact")
    controller = Controller(planner, GenericTask(planner.spec), ControllerOptions(candidates=16))
    actions = [
        controller.step({"observation": np.array(state), "environment_state": np.array(environment)}).action
        for state, environment in OBSERVATIONS
    ]
    np.testing.assert_allclose(results["actions"], actions, atol=1e-5)
    provenance = load_artifact(folder / "artifact").provenance
    assert provenance["seed"] == 3 and provenance["updates"] == 30 and provenance["windows"] == 136
    assert provenance["configuration"]["lerobot_policy_kdp"]["neighbours"] == 4
    assert str(folder) not in json.dumps(provenance)


def test_an_imported_artifact_acts_alike_and_can_be_tuned(results: dict[str, Any]) -> None:
    # the artifact does not keep how many candidates a policy drew: the import has the default, 64
    imported, tuned = np.array(results["imported_actions"]), np.array(results["tuned_actions"])
    assert imported.shape == tuned.shape == (3, 2)
    assert 0 < np.abs(imported - tuned).max() < 0.2
    assert np.abs(imported - np.array(results["actions"])).max() < 0.2


def test_a_task_of_its_own(folder: Path, results: dict[str, Any]) -> None:
    """Pick-place: the policy encodes joints, cube and goal as kdp_core does."""
    planner = Planner.load(folder / "arm_artifact")
    assert planner.spec.name == "so100-pick-place"
    task = make_task("pick_place")
    task.spec.require_same(planner.spec, "arm_artifact")
    inputs = {"joints": np.float32(JOINTS), "cubes": np.float32([CUBE]), "goal": np.float32(GOAL)}
    controller = Controller(planner, task, ControllerOptions(candidates=16))
    expected = controller.step({name: value.astype(float) for name, value in inputs.items()})
    assert not expected.safe
    np.testing.assert_allclose(results["arm_actions"][0], expected.action, atol=1e-4)


def test_an_artifact_of_ours_gives_its_recorded_output(results: dict[str, Any]) -> None:
    windows, scores = results["shipped"]
    assert windows < 2e-3 and scores < 2e-3
