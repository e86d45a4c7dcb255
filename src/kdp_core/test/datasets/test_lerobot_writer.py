"""LeRobotDatasets that kdp_core writes: what is in the files, and what comes back."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from kdp_core.datasets import Episode, open_episodes, write_lerobot
from kdp_core.datasets.lerobot_stats import aggregate, feature_stats
from kdp_core.exceptions import DataError

JOINTS = [f"{joint}.pos" for joint in ("shoulder_pan", "shoulder_lift", "gripper")]


def make_episode(seed: int, steps: int = 6, last: int = 1, **options: object) -> Episode:
    """3 joints, 2 environment numbers, one info; ``last`` observations after the last action."""
    rng = np.random.default_rng(seed)
    terminations = np.zeros(steps, bool)
    terminations[-1] = True
    return Episode(
        observations={
            "observation.state": rng.normal(size=(steps + last, 3)).astype(np.float32),
            "observation.environment_state": rng.normal(size=(steps + last, 2)).astype(np.float32),
        },
        actions=rng.normal(size=(steps, 3)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32).astype(np.float64),
        terminations=terminations,
        truncations=np.zeros(steps, bool),
        seed=seed,
        options=dict(options),
        infos={"grasped": rng.integers(0, 2, size=(steps, 1)).astype(np.float32)},
    )


def assert_same(read: Episode, written: Episode) -> None:
    steps = len(written)
    assert list(read.channels()) == list(written.channels())
    for name, array in read.channels().items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, written.channels()[name][:steps])
    for name in ("actions", "rewards", "terminations", "truncations"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    np.testing.assert_array_equal(read.infos["grasped"], written.infos["grasped"])
    assert read.seed == written.seed


def write(path: Path, episodes: list[Episode], **options: object) -> Path:
    names = {"observation.state": JOINTS, "action": JOINTS}
    return write_lerobot(path, episodes, 50, "rad", names, task="pick", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("data_file_mb", [100, 0.001])
def test_round_trip(tmp_path: Path, data_file_mb: float) -> None:
    """In one file, and in one file for every episode or two (1 kB)."""
    cubes = np.arange(14.0).reshape(2, 7)
    written = [make_episode(i, 5 + i % 4, i % 2, cubes=cubes, scene=i) for i in range(9)]
    written[4].options["task"] = "stack"
    path = write(tmp_path / "arm", written, data_file_mb=data_file_mb)
    files = sorted(p.relative_to(path).as_posix() for p in path.glob("data/*/*"))
    assert files[0] == "data/chunk-000/file-000.parquet" and (len(files) == 1) == (data_file_mb == 100)
    episodes = open_episodes(path)
    assert episodes.id == "arm" and episodes.unit == "rad" and episodes.fps == 50.0
    assert episodes.step_counts().tolist() == [len(e) for e in written]
    for i, (read, expected) in enumerate(zip(episodes, written, strict=True)):
        assert_same(read, expected)
        np.testing.assert_array_equal(read.options.pop("cubes"), cubes)
        assert read.options == {"scene": i, "task": "stack" if i == 4 else "pick"}
    assert_same(episodes[7], written[7])  # out of order, from another file
    assert_same(episodes[0], written[0])


def test_layout(tmp_path: Path) -> None:
    """Columns, paths and types as lerobot has them."""
    path = write(tmp_path / "arm", [make_episode(i, 4 + i) for i in range(3)], robot_type="so100_follower")
    info = json.loads((path / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 50 and info["kdp"] == {"unit": "rad"}
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 15, 1)
    assert info["splits"] == {"train": "0:3"} and info["robot_type"] == "so100_follower"
    assert info["data_path"] == "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    assert info["features"]["action"] == {"dtype": "float32", "shape": [3], "names": JOINTS}
    assert info["features"]["grasped"] == {"dtype": "float32", "shape": [1], "names": None}
    assert info["features"]["timestamp"] == {"dtype": "float32", "shape": [1], "names": None}
    table = pq.read_table(path / "data/chunk-000/file-000.parquet")
    assert set(table.column_names) == set(info["features"])
    assert table["index"].to_pylist() == list(range(15))
    assert table["episode_index"].to_pylist() == [0] * 4 + [1] * 5 + [2] * 6
    assert table["frame_index"].to_pylist() == [*range(4), *range(5), *range(6)]
    np.testing.assert_allclose(table["timestamp"].to_numpy()[4:9], np.arange(5) / 50, rtol=1e-6)
    assert table["action"].type.list_size == 3 and len(table["action"][0].as_py()) == 3
    index = pq.read_table(path / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["length"] for row in index] == [4, 5, 6] and index[1]["tasks"] == ["pick"]
    assert [(r["dataset_from_index"], r["dataset_to_index"]) for r in index] == [(0, 4), (4, 9), (9, 15)]
    assert all(row["data/chunk_index"] == row["data/file_index"] == 0 for row in index)
    np.testing.assert_allclose(
        index[1]["stats/action/max"], np.array(table["action"].to_pylist()[4:9]).max(0)
    )
    assert index[1]["stats/action/count"] == [5]


def test_statistics_against_all_rows(tmp_path: Path) -> None:
    written = [make_episode(i, 20 + 7 * i) for i in range(4)]
    stats = json.loads((write(tmp_path / "arm", written) / "meta/stats.json").read_text())
    rows = np.concatenate([e.actions for e in written]).astype(np.float64)
    for name, expected in (("min", rows.min(0)), ("max", rows.max(0)), ("mean", rows.mean(0))):
        np.testing.assert_allclose(stats["action"][name], expected, rtol=1e-9)
    np.testing.assert_allclose(stats["action"]["std"], rows.std(0), rtol=1e-9)
    assert stats["action"]["count"] == [len(rows)] and len(stats["timestamp"]["mean"]) == 1
    assert (np.abs(np.array(stats["action"]["q50"]) - np.quantile(rows, 0.5, axis=0)) < 0.3).all()
    # quantiles of the aggregate are weighted means of the parts'
    parts = [feature_stats(e.actions) for e in written]
    weights = np.array([len(e) for e in written]) / len(rows)
    q10 = sum(w * np.quantile(e.actions.astype(float), 0.1, axis=0) for w, e in zip(weights, written))  # noqa: B905
    np.testing.assert_allclose(aggregate(parts)["q10"], q10, rtol=1e-9)


def test_plain_observations_are_the_state(tmp_path: Path) -> None:
    one = make_episode(3)
    plain = replace(one, observations=one.channels()["observation.state"])
    read = open_episodes(write(tmp_path / "arm", [plain]))[0]
    np.testing.assert_array_equal(
        read.channels()["observation.state"], one.channels()["observation.state"][:6]
    )


def test_same_episodes_give_the_same_hash(tmp_path: Path) -> None:
    hashes = [
        open_episodes(write(tmp_path / name, [make_episode(seed) for seed in seeds])).hash
        for name, seeds in [("a", (1, 2)), ("b", (1, 2)), ("c", (1, 3))]
    ]
    assert hashes[0] == hashes[1] != hashes[2] and len(hashes[0]) == 64


def test_interrupted_writing_leaves_nothing_and_the_old_set(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Episode]:
        yield make_episode(0)
        raise KeyboardInterrupt

    path = write(tmp_path / "arm", [make_episode(5)])
    with pytest.raises(DataError, match="exists already"):
        write(path, [make_episode(1)])
    with pytest.raises(KeyboardInterrupt):
        write_lerobot(path, interrupted(), 50, "rad", overwrite=True)
    with pytest.raises(DataError, match="no episodes to write"):
        write(path, [], overwrite=True)
    assert open_episodes(path)[0].seed == 5
    write(path, [make_episode(1)], overwrite=True)
    assert open_episodes(path)[0].seed == 1
    assert [item.name for item in tmp_path.iterdir()] == ["arm"]


GOOD = make_episode(1)
NAN = GOOD.actions.copy()
NAN[2, 1] = np.nan
STATE = GOOD.channels()["observation.state"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (replace(GOOD, actions=NAN), r"episode 1: actions\[2, 1\] is nan"),
        (
            replace(GOOD, actions=GOOD.actions[:, :2]),
            r"episode 1: features .*'action': \('float32', \(2,\)\)",
        ),
        (replace(GOOD, infos={}), "episode 1: features"),
        (replace(GOOD, observations={"observation.x": STATE}), "expected 'observation.state'"),
        (replace(GOOD, observations={"observation.state": STATE, "x": STATE}), "begin with 'observation.'"),
        (replace(GOOD, infos={"index": GOOD.actions}), "infos/index is a reserved name"),
        (replace(GOOD, infos={"a/b": GOOD.actions}), "infos/a/b is a reserved name"),
        (replace(GOOD, options={"x": object()}), "episode 1: options cannot be written"),
        (replace(GOOD, options={"x": np.array([np.nan])}), "episode 1: options cannot be written"),
        (replace(GOOD, infos={"grasped": GOOD.actions[:, None]}), r"'grasped' has rows of shape \(1, 3\)"),
    ],
)
def test_malformed_episodes_are_refused(tmp_path: Path, second: Episode, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        write(tmp_path / "arm", [make_episode(0), second])
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_names_and_rate_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'action' is not of 2 numbers as its names are"):
        write_lerobot(tmp_path / "a", [GOOD], 50, "rad", {"action": ["x", "y"]})
    with pytest.raises(DataError, match=r"fps is 0\.5, expected a whole number"):
        write_lerobot(tmp_path / "a", [GOOD], 0.5, "rad")  # type: ignore[arg-type]
