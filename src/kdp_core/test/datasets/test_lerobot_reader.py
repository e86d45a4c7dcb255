"""LeRobotDatasets that are broken, of another version or of others' making."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdp_core.datasets import Episode, open_episodes, write_lerobot
from kdp_core.exceptions import DataError
from kdp_core.prepare import prepare
from kdp_core.tasks.generic import generic_task

DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"


def make_episode(seed: int, steps: int) -> Episode:
    rng = np.random.default_rng(seed)
    no = np.zeros(steps, bool)
    channels = {
        "observation.state": rng.normal(size=(steps, 2)).astype("f4"),
        "observation.environment_state": rng.normal(size=(steps, 3)).astype("f4"),
    }
    actions = rng.normal(size=(steps, 2)).astype("f4")
    return Episode(channels, actions, rng.normal(size=steps), no, no)


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    return write_lerobot(tmp_path / "arm", [make_episode(i, 6 + i) for i in range(3)], 20, "rad")


def edit_info(arm: Path, change: Callable[[dict], object]) -> None:
    info = json.loads((arm / "meta/info.json").read_text())
    change(info)
    (arm / "meta/info.json").write_text(json.dumps(info))


def edit_table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def replaced(name: str, value: Callable[[list], list]) -> Callable[[pa.Table], pa.Table]:
    """Change a column's values by a function on the list of rows."""

    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(name)
        return table.set_column(at, name, pa.array(value(table[name].to_pylist())))

    return change


def with_item(index: int, item: object) -> Callable[[list], list]:
    return lambda rows: [*rows[:index], item, *rows[index + 1 :]]


def like(value: object, rows: list) -> list:
    """The rows in the type of a value, as a column has one type."""
    return rows if value is None else [type(value)(row) for row in rows]


def everything(arm: Path) -> None:
    for _ in open_episodes(arm):
        pass


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated info": (
        lambda arm: (arm / "meta/info.json").write_text("{"),
        r"info.json:1:2: not JSON",
    ),
    "info is a list": (
        lambda arm: (arm / "meta/info.json").write_text("[]"),
        "info.json: holds a list, expected an object",
    ),
    "no version": (
        lambda arm: edit_info(arm, lambda i: i.pop("codebase_version")),
        "codebase_version is None, expected 'v3.0'",
    ),
    "no fps": (lambda arm: edit_info(arm, lambda i: i.pop("fps")), "fps is None, expected the frames"),
    "no action": (
        lambda arm: edit_info(arm, lambda i: i["features"].pop("action")),
        r"feature 'action' is missing \(found: episode_index",
    ),
    "no state": (
        lambda arm: edit_info(arm, lambda i: i["features"].pop("observation.state")),
        "feature 'observation.state' is missing",
    ),
    "action of two dimensions": (
        lambda arm: edit_info(arm, lambda i: i["features"]["action"].update(shape=[2, 1])),
        r"feature 'action' is float32 of shape \[2, 1\], expected numbers in one dimension",
    ),
    "no shape": (
        lambda arm: edit_info(arm, lambda i: i["features"]["action"].pop("shape")),
        "feature 'action' is .*, expected dtype and shape",
    ),
    "wrong size": (
        lambda arm: edit_info(arm, lambda i: i["features"]["action"].update(shape=[3])),
        r"column 'action' holds 42 numbers in 21 rows, expected 63 as its shape is \[3\]",
    ),
    "feature without column": (
        lambda arm: edit_info(arm, lambda i: i["features"].update(x={"dtype": "float32", "shape": [1]})),
        "column 'x' is missing",
    ),
    "more episodes said": (
        lambda arm: edit_info(arm, lambda i: i.update(total_episodes=4)),
        "lists 3 episodes, expected 0 to 3",
    ),
    "strange data_path": (
        lambda arm: edit_info(arm, lambda i: i.update(data_path="data/{episode}.parquet")),
        "data_path is 'data/{episode}.parquet', expected",
    ),
    **{
        f"data_path {text[:40]}": (
            lambda arm, text=text: edit_info(arm, lambda i: i.update(data_path=text)),
            r"info.json: data_path is .*, expected 'data/chunk-\{chunk_index:03d\}/file",
        )
        for text in (
            "{chunk_index.foo}",
            "{chunk_index[0]}",
            "{chunk_index:>999999999999}",
            "{chunk_index:999999999999d}",
            "{chunk_index:{file_index}}",
            "{chunk_index!r}",
            "{}",
            "{",
            "../../{chunk_index}.parquet",
            "/dev/zero",
            "data/\0",
            "",
        )
    },
    **{
        f"{total:g} episodes said": (
            lambda arm, total=total: edit_info(arm, lambda i: i.update(total_episodes=total)),
            f"lists 3 episodes, expected 0 to {total - 1}",
        )
        for total in (10**9, 10**30)
    },
    **{
        f"{name} is {value}": (
            lambda arm, name=name, value=value: edit_table(
                arm / EPISODES, replaced(name, lambda rows: with_item(1, value)(like(value, rows)))
            ),
            f"{EPISODES}: {name} is .*, expected a whole number from 0",
        )
        for name, value in (
            ("episode_index", None),
            ("episode_index", 1.5),
            ("data/chunk_index", None),
            ("data/chunk_index", -1),
            ("data/file_index", 0.5),
            ("length", "6"),
            ("length", True),
        )
    },
    "options that are a list": (
        lambda arm: edit_table(
            arm / EPISODES, replaced("kdp/reset", with_item(0, '{"options": [1], "seed": 0}'))
        ),
        "kdp/reset is not the JSON",
    ),
    "truncated data": (
        lambda arm: (arm / DATA).write_bytes((arm / DATA).read_bytes()[:-60]),
        f"{DATA}: cannot be read, truncated or not a Parquet file",
    ),
    "data missing": (lambda arm: (arm / DATA).unlink(), f"{DATA}: no such file"),
    "episodes missing": (
        lambda arm: (arm / EPISODES).unlink(),
        "meta/episodes: no chunk-000/file-000.parquet",
    ),
    "tasks missing": (lambda arm: (arm / "meta/tasks.parquet").unlink(), "meta/tasks.parquet: no such file"),
    "episode column missing": (
        lambda arm: edit_table(arm / EPISODES, lambda t: t.drop_columns(["length"])),
        f"{EPISODES}: column 'length' is missing",
    ),
    "length differs": (
        lambda arm: edit_table(arm / EPISODES, replaced("length", with_item(1, 9))),
        "episode 1 has 7 frames, expected 9",
    ),
    "length zero": (
        lambda arm: edit_table(arm / EPISODES, replaced("length", with_item(1, 0))),
        "episode 1 has length 0, expected 1 or more",
    ),
    "not a number": (
        lambda arm: edit_table(arm / DATA, replaced("action", with_item(8, [0.0, float("nan")]))),
        r"episode 1: actions\[2, 1\] is nan, expected a finite number",
    ),
    "infinite": (
        lambda arm: edit_table(arm / DATA, replaced("observation.state", with_item(0, [1e999, 0.0]))),
        r"episode 0: observation 'observation.state'\[0, 0\] is inf",
    ),
    "empty value": (
        lambda arm: edit_table(arm / DATA, replaced("action", with_item(0, None))),
        "column 'action' has 1 empty values",
    ),
    "ragged": (
        lambda arm: edit_table(arm / DATA, replaced("action", with_item(0, [1.0]))),
        "column 'action' holds 41 numbers in 21 rows, expected 42",
    ),
    "text": (
        lambda arm: edit_table(arm / DATA, replaced("action", lambda rows: ["a"] * len(rows))),
        "column 'action' holds string, expected numbers",
    ),
    "a frame is missing": (
        lambda arm: edit_table(arm / DATA, replaced("frame_index", with_item(3, 4))),
        r"episode 0: frame_index\[3\] is 4, expected 3",
    ),
    "another rate": (
        lambda arm: edit_info(arm, lambda i: i.update(fps=40)),
        r"timestamp\[1\] is 0.05 s, expected 0.025 s at 40 frames per second",
    ),
    "someone's reset": (
        lambda arm: edit_table(arm / EPISODES, replaced("kdp/reset", with_item(0, "hello"))),
        "kdp/reset is not the JSON",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_sets_are_one_clear_line(arm: Path, case: str) -> None:
    breaking, message = BROKEN[case]
    everything(arm)
    breaking(arm)
    with pytest.raises(DataError, match=message) as caught:
        everything(arm)
    assert "\n" not in str(caught.value) and str(arm) in str(caught.value)


@pytest.mark.parametrize("version", ["v2.1", "v2.0"])
def test_older_sets_tell_how_to_convert(arm: Path, version: str) -> None:
    edit_info(arm, lambda i: i.update(codebase_version=version))
    with pytest.raises(DataError, match=f"codebase_version is {version}, expected v3.0") as caught:
        open_episodes(arm)
    line = str(caught.value)
    command = "python -m lerobot.datasets.v30.convert_dataset_v21_to_v30 --repo-id=arm"
    assert f"{command} --root={arm.parent} --push-to-hub=false" in line
    assert f"lerobot.scripts.convert_dataset_v21_to_v30 with --root={arm}" in line and "\n" not in line


def test_sets_of_others(arm: Path) -> None:
    """No next.* flags, no names, video features, variable-length lists, plain extra numbers, no kdp entry."""

    def change(info: dict) -> None:
        info.pop("kdp")
        for name in ("next.reward", "next.done", "next.truncated"):
            info["features"].pop(name)
        info["features"]["observation.images.front"] = {"dtype": "video", "shape": [48, 64, 3], "names": None}
        info["features"]["speed"] = {"dtype": "int64", "shape": [1], "names": None}
        info["features"]["action"]["names"] = {"motors": ["a", "b"]}

    edit_info(arm, change)
    edit_table(
        arm / DATA,
        lambda t: (
            t.drop_columns(["next.reward", "next.done", "next.truncated"])
            .append_column("speed", pa.array(range(len(t))))
            .set_column(
                t.column_names.index("action"),
                "action",
                pa.array(t["action"].to_pylist(), pa.list_(pa.float64())),
            )
        ),
    )
    edit_table(arm / EPISODES, lambda t: t.drop_columns(["kdp/reset"]))
    episodes = open_episodes(arm, data_unit="raw")
    assert episodes.info.features["action"].names == ("a", "b")
    read, written = episodes[1], make_episode(1, 7)
    np.testing.assert_array_equal(read.actions, written.actions)
    assert list(read.channels()) == ["observation.state", "observation.environment_state"]
    assert read.rewards.tolist() == [0.0] * 7 and not read.terminations.any()
    assert read.truncations.tolist() == [False] * 6 + [True]
    np.testing.assert_array_equal(read.infos["speed"][:, 0], np.arange(6, 13))
    assert read.seed is None and read.options == {"task": "task"}


def test_generic_task_takes_state_and_context(arm: Path) -> None:
    episodes = open_episodes(arm)
    task = generic_task(episodes, 4)
    assert task.spec.rate_hz == 20.0 and task.spec.state[0].unit == "rad"
    assert [c.name for c in task.spec.context] == ["environment_state"]
    assert [part.channel for part in task.spec.key] == ["observation", "environment_state"]
    prepared = prepare(episodes, task)
    assert prepared.episodes == 3 and len(prepared.batch) == 3 + 4 + 5
    one, row = episodes[1], 3 + 2  # third window of the second episode
    channels = one.channels()
    expected = np.concatenate([channels["observation.state"], one.actions], axis=1)[2:6]
    np.testing.assert_array_equal(prepared.batch.windows[row], expected)
    np.testing.assert_array_equal(prepared.batch.context[row], channels["observation.environment_state"][2])
    state, context = task.encode({"observation": np.ones(2), "environment_state": np.arange(3.0)})
    assert state.tolist() == [1.0, 1.0] and context.tolist() == [0.0, 1.0, 2.0]


def test_too_short_episodes_are_named(arm: Path) -> None:
    episodes = open_episodes(arm)
    with pytest.raises(DataError, match="all 3 episodes are too short: the longest has 8 steps, expected at"):
        prepare(episodes, generic_task(episodes, 9))
    assert len(prepare(episodes, generic_task(episodes, 8)).batch) == 1


def test_options_of_lerobot_sets_are_refused_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data unit and calibration are for LeRobotDatasets"):
        open_episodes(tmp_path, data_unit="deg")
    with pytest.raises(DataError, match=r"no data set, expected .*meta/info.json \(LeRobotDataset v3.0\)"):
        open_episodes(tmp_path)


@pytest.mark.parametrize("name", [DATA, EPISODES, "meta/tasks.parquet"])
def test_flipped_bits_are_one_clear_line_or_harmless(arm: Path, name: str) -> None:
    """A flipped bit in a column's name made pyarrow raise UnicodeDecodeError."""
    whole = (arm / name).read_bytes()
    at = whole.rindex(b"index")  # the schema's names are near the end
    for bit in range(8):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit
        (arm / name).write_bytes(bytes(damaged))
        with contextlib.suppress(DataError):
            everything(arm)
