"""lerobot itself opens what we write, and we open what it writes. Needs `make lerobot-env`, else skipped."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from kdp_core.datasets import Episode, open_episodes, write_lerobot
from kdp_core.exceptions import DataError

SIDE = Path(__file__).with_name("lerobot_side.py")
ROOT = Path(__file__).resolve().parents[4]
PYTHON = Path(os.environ.get("KDP_LEROBOT_PYTHON", ROOT / ".venv-lerobot" / "bin" / "python"))
HORIZON = 4

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason=f"lerobot is not installed ({PYTHON}); make lerobot-env installs it"
)


def make_episode(seed: int, steps: int) -> Episode:
    rng = np.random.default_rng(seed)
    done = np.zeros(steps, bool)
    done[-1] = True
    channels = {
        "observation.state": rng.normal(size=(steps + 1, 6)).astype("f4"),
        "observation.environment_state": rng.normal(size=(steps + 1, 10)).astype("f4"),
    }
    return Episode(
        observations=channels,
        actions=rng.normal(size=(steps, 6)).astype("f4"),
        rewards=rng.normal(size=steps),
        terminations=done,
        truncations=np.zeros(steps, bool),
        seed=seed,
        options={"task": f"task {seed % 2}"},
        infos={"grasped": rng.integers(0, 2, (steps, 1)).astype("f4")},
    )


WRITTEN = [make_episode(seed, 6 + seed) for seed in range(4)]


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, np.ndarray]]:
    """Folder with a data set by lerobot (``theirs``), and the numbers that lerobot read and wrote."""
    folder = tmp_path_factory.mktemp("lerobot")
    ours = write_lerobot(folder / "ours", WRITTEN, 50, "rad", data_file_mb=0.002)  # several files
    assert len(list(ours.glob("data/*/*.parquet"))) > 1
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "huggingface"),
        "PYTHONPATH": "",
    }
    command = [str(PYTHON), str(SIDE), str(ours), str(folder / "theirs"), str(folder / "result.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, np.load(folder / "result.npz")


def test_lerobot_reads_the_same_numbers(exchanged: tuple[Path, Mapping[str, np.ndarray]]) -> None:
    got = exchanged[1]
    first = 0
    for number, episode in enumerate(WRITTEN):
        steps = len(episode)
        rows = slice(first, first + steps)
        assert (got["episode_index"][rows] == number).all()
        np.testing.assert_array_equal(got["frame_index"][rows], np.arange(steps))
        np.testing.assert_allclose(got["timestamp"][rows], np.arange(steps) / 50, rtol=1e-6)
        assert set(got["task"][rows]) == {f"task {number % 2}"}
        state = episode.channels()["observation.state"]
        for t in range(steps):
            later = np.minimum(
                t + np.arange(HORIZON), steps - 1
            )  # lerobot repeats the last frame and says so
            np.testing.assert_array_equal(got["action"][first + t], episode.actions[later])
            np.testing.assert_array_equal(got["action_is_pad"][first + t], t + np.arange(HORIZON) >= steps)
            np.testing.assert_array_equal(got["observation_state"][first + t], state[[max(t - 1, 0), t]])
        environment = episode.channels()["observation.environment_state"][:steps]
        np.testing.assert_array_equal(got["observation_environment_state"][rows], environment)
        np.testing.assert_array_equal(got["next_reward"][rows], episode.rewards.astype("f4"))
        np.testing.assert_array_equal(got["next_done"][rows], episode.terminations)
        np.testing.assert_array_equal(got["grasped"][rows], episode.infos["grasped"][:, 0])
        first += steps
    assert len(got["action"]) == first


def test_lerobot_knows_statistics_and_chosen_episodes(
    exchanged: tuple[Path, Mapping[str, np.ndarray]],
) -> None:
    got, actions = exchanged[1], np.concatenate([e.actions for e in WRITTEN]).astype(float)
    np.testing.assert_allclose(got["mean"], actions.mean(0), rtol=1e-6)
    np.testing.assert_allclose(got["std"], actions.std(0), rtol=1e-6)
    assert got["q10"].shape == (6,) and (got["q10"] < got["mean"]).all()
    np.testing.assert_array_equal(got["chosen"], np.arange(6 + 7, 6 + 7 + 8))


def test_we_read_what_lerobot_wrote(exchanged: tuple[Path, Mapping[str, np.ndarray]]) -> None:
    folder, got = exchanged
    with pytest.raises(DataError, match="does not say the unit"):
        open_episodes(folder / "theirs")
    episodes = open_episodes(folder / "theirs", data_unit="raw")
    assert episodes.step_counts().tolist() == [7, 5] and episodes.fps == 30.0
    assert episodes.info.features["action"].names == ("shoulder_pan.pos", "gripper.pos")
    for episode, rows, task in zip(episodes, (slice(0, 7), slice(7, 12)), ("push", "pull"), strict=True):
        channels = episode.channels()
        np.testing.assert_array_equal(episode.actions, got["theirs_action"][rows])
        np.testing.assert_array_equal(channels["observation.state"], got["theirs_observation_state"][rows])
        force = got["theirs_observation_force"][rows].astype("f4")
        np.testing.assert_array_equal(channels["observation.force"], force)
        np.testing.assert_array_equal(episode.infos["count"], got["theirs_count"][rows])
        assert episode.options == {"task": task} and episode.truncations[-1]
