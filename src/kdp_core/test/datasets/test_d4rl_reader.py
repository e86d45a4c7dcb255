"""D4RL files: cutting into episodes, and broken files."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdp_core.datasets import open_episodes
from kdp_core.exceptions import DataError


def contents(steps: int = 20, maze: bool = True) -> dict[str, Any]:
    """What D4RL's maze files hold; terminals at step 6, timeouts at step 12, an unfinished rest."""
    rng = np.random.default_rng(1)
    terminals, timeouts = np.zeros(steps, bool), np.zeros(steps, bool)
    terminals[6], timeouts[12] = True, True
    arrays = {
        "observations": rng.normal(size=(steps, 4)).astype(np.float32),
        "actions": rng.normal(size=(steps, 2)).astype(np.float32),
        "rewards": rng.normal(size=steps).astype(np.float32),
        "terminals": terminals,
        "timeouts": timeouts,
    }
    if maze:
        arrays["infos/goal"] = rng.normal(size=(steps, 2))
    return arrays


def save(path: Path, arrays: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_cut_at_terminals_and_timeouts(tmp_path: Path) -> None:
    arrays = contents()
    episodes = open_episodes(save(tmp_path / "maze2d-umaze-v1.hdf5", arrays))
    assert episodes.id == "maze2d-umaze-v1"
    assert episodes.step_counts().tolist() == [7, 6, 7] == [len(episode) for episode in episodes]
    assert [bool(e.terminations[-1]) for e in episodes] == [True, False, False]
    assert [bool(e.truncations[-1]) for e in episodes] == [False, True, False]
    for name, key in [("observations", "observations"), ("actions", "actions"), ("rewards", "rewards")]:
        np.testing.assert_array_equal(np.concatenate([getattr(e, name) for e in episodes]), arrays[key])
    goals = np.concatenate([e.infos["goal"] for e in episodes])
    np.testing.assert_array_equal(goals, arrays["infos/goal"].astype(np.float32))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32])
def test_flags_of_any_type_and_rewards_as_a_column(tmp_path: Path, dtype: type) -> None:
    arrays = contents(maze=False)
    arrays["terminals"] = arrays["terminals"].astype(dtype)[:, None]
    arrays["timeouts"] = arrays["timeouts"].astype(dtype)
    arrays["rewards"] = arrays["rewards"][:, None]
    episodes = open_episodes(save(tmp_path / "hopper.hdf5", arrays))
    assert episodes.step_counts().tolist() == [7, 6, 7]
    assert episodes[0].rewards.shape == (7,) and episodes[0].infos == {}


def test_old_files_without_timeouts_are_cut_by_the_limit_given(tmp_path: Path) -> None:
    arrays = contents()
    del arrays["timeouts"]
    path = save(tmp_path / "old.hdf5", arrays)
    assert open_episodes(path).step_counts().tolist() == [7, 13]
    assert open_episodes(path, max_episode_steps=5).step_counts().tolist() == [5, 2, 5, 5, 3]


@settings(max_examples=30, deadline=None)
@given(
    flags=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), limit=st.integers(1, 9)
)
def test_cutting_keeps_every_step_once_and_marks_only_at_ends(
    tmp_path_factory: pytest.TempPathFactory, flags: list[tuple[bool, bool]], limit: int
) -> None:
    steps = len(flags)
    arrays = {
        "observations": np.arange(steps, dtype=np.float32)[:, None],
        "actions": np.zeros((steps, 1), np.float32),
        "rewards": np.zeros(steps),
        "terminals": np.array([a for a, _ in flags]),
        "timeouts": np.array([b for _, b in flags]),
    }
    path = save(tmp_path_factory.mktemp("cut") / "x.hdf5", arrays)
    episodes = list(open_episodes(path, max_episode_steps=limit))
    assert np.concatenate([e.channels()["observations"] for e in episodes])[:, 0].tolist() == list(
        range(steps)
    )
    for episode in episodes:
        assert len(episode) <= limit
        assert not (episode.terminations | episode.truncations)[:-1].any()


def test_broken_files_give_one_line(tmp_path: Path) -> None:
    nan = contents()["observations"].copy()
    nan[13, 3] = np.nan
    cases: list[tuple[dict[str, Any], str]] = [
        ({"observations": None}, "observations is missing, expected observations, actions"),
        ({"terminals": None}, "terminals is missing"),
        ({"observations": nan}, "observations[13, 3] is nan, expected a finite number"),
        ({"rewards": np.full(20, -np.inf)}, "rewards[0] is -inf"),
        ({"infos/goal": np.full((20, 2), np.nan)}, "infos/goal[0, 0] is nan"),
        ({"observations": np.zeros((19, 4))}, "observations have shape (19, 4), expected 20 rows"),
        ({"observations": np.zeros(20)}, "observations have shape (20,), expected (steps, size)"),
        ({"observations": np.zeros((20, 0))}, "observations have shape (20, 0)"),
        ({"actions": np.float32(1.0)}, "actions have shape (), expected (steps, size)"),
        ({"actions": np.zeros((0, 2))}, "actions are empty"),
        ({"rewards": np.zeros((20, 2))}, "rewards have shape (20, 2), expected (20,)"),
        ({"timeouts": np.zeros(21, bool)}, "timeouts have shape (21,), expected 20 rows"),
        ({"infos/goal": np.zeros((3, 2))}, "infos/goal have shape (3, 2), expected 20 rows"),
        ({"actions": np.array(["left"] * 20, dtype=h5py.string_dtype())}, "actions holds no plain numbers"),
        ({"actions": None, "actions/x": np.zeros(20)}, "actions is a group, expected an array"),
    ]
    for changes, message in cases:
        arrays = {name: array for name, array in {**contents(), **changes}.items() if array is not None}
        path = save(tmp_path / "x.hdf5", arrays)
        with pytest.raises(DataError) as caught:
            open_episodes(path)
        assert message in str(caught.value)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_truncated_empty_and_foreign_files(tmp_path: Path) -> None:
    path = save(tmp_path / "x.hdf5", contents())
    whole = path.read_bytes()
    for size in [0, 7, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="cannot be opened, truncated or not an HDF5 file") as caught:
            open_episodes(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"found: nothing"):
        open_episodes(save(tmp_path / "empty.hdf5", {}))
    with pytest.raises(DataError, match=r"Minari main file without its metadata\.json"):
        open_episodes(save(tmp_path / "main_data.hdf5", {"episode_0/actions": np.zeros((3, 1))}))
    with pytest.raises(DataError, match="max_episode_steps is 0, expected at least 1"):
        open_episodes(save(path, contents()), max_episode_steps=0)


def test_names_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    for ref, message in [
        ("D4RL/pointmaze/umaze-v2", "no Minari data set of this id in"),
        (tmp_path / "nothing.hdf5", "no such file or folder"),
        ("../umaze v2", "no such file or folder"),
        (tmp_path, "no data set, expected data/metadata.json"),
        ("", "empty name"),
    ]:
        with pytest.raises(DataError) as caught:
            open_episodes(ref)
        assert message in str(caught.value) and "\n" not in str(caught.value)


def install_d4rl(monkeypatch: pytest.MonkeyPatch, path: Path) -> list[str]:
    """Modules gym and d4rl as the package has them (``OfflineEnv``); returns the list of downloads."""
    downloads: list[str] = []

    class OfflineEnv:
        def __init__(self, name: str) -> None:
            self.name, self.unwrapped = name, self

        @property
        def dataset_filepath(self) -> str:
            return str(path)

        def get_dataset(self) -> None:
            if self.name != "maze2d-umaze-v1":
                raise ValueError("Offline env not configured\nwith a dataset URL.")
            downloads.append(self.name)
            save(path, contents())

    monkeypatch.setitem(sys.modules, "gym", SimpleNamespace(make=OfflineEnv))
    monkeypatch.setitem(sys.modules, "d4rl", SimpleNamespace())
    return downloads


def test_by_name_where_the_package_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads = install_d4rl(monkeypatch, tmp_path / "maze2d-umaze-sparse-v1.hdf5")
    episodes = open_episodes("d4rl:maze2d-umaze-v1")
    assert downloads == ["maze2d-umaze-v1"] and episodes.step_counts().tolist() == [7, 6, 7]
    with pytest.raises(DataError, match=r"^d4rl:pen-v9: d4rl gives no data set: .*configured with"):
        open_episodes("d4rl:pen-v9")


def test_by_name_where_it_does_not_import_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "d4rl", None)  # what an import of a missing package finds
    with pytest.raises(DataError, match="give its HDF5 file instead"):
        open_episodes("d4rl:hopper-medium-v2")
