"""Data sets that Minari itself wrote, and broken ones."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from kdp_core.datasets import open_episodes
from kdp_core.exceptions import DataError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
ID = "kdp/official-v0"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data sets with one in the layout of Minari's PointMaze: float64, dict observations."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    rng = np.random.default_rng(0)
    buffers = [
        EpisodeBuffer(
            id=None,
            seed=40 + i,
            options={"reset": {"x": 1.5}} if i else None,
            observations={
                "observation": rng.normal(size=(5 + i, 4)),
                "desired_goal": rng.normal(size=(5 + i, 2)),
            },
            actions=list(rng.normal(size=(4 + i, 2)).astype(np.float32)),
            rewards=list(rng.normal(size=4 + i)),
            terminations=[False] * (4 + i),
            truncations=[False] * (3 + i) + [True],
            infos={"success": [False] * (5 + i)},
        )
        for i in range(3)
    ]

    def box(size: int) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, (size,), np.float64)

    minari.create_dataset_from_buffers(
        ID,
        buffers,
        observation_space=spaces.Dict({"observation": box(4), "desired_goal": box(2)}),
        action_space=spaces.Box(-1, 1, (2,), np.float32),
    )
    return tmp_path


@pytest.mark.parametrize("form", ["id", "folder", "data folder", "main file"])
def test_official_set_by_every_kind_of_name(root: Path, form: str) -> None:
    folder = root / ID
    refs = {
        "id": ID,
        "folder": folder,
        "data folder": str(folder / "data"),
        "main file": folder / "data/main_data.hdf5",
    }
    episodes = open_episodes(refs[form])
    assert episodes.id == ID
    assert episodes.step_counts().tolist() == [4, 5, 6]
    for i, (ours, theirs) in enumerate(
        zip(episodes, minari.load_dataset(ID).iterate_episodes(), strict=True)
    ):
        for name, array in theirs.observations.items():
            np.testing.assert_array_equal(ours.channels()[name], array.astype(np.float32))
        np.testing.assert_array_equal(ours.actions, theirs.actions)
        np.testing.assert_array_equal(ours.rewards, theirs.rewards)
        np.testing.assert_array_equal(ours.truncations, theirs.truncations)
        assert ours.seed == 40 + i
        assert ours.options == ({"reset": {"x": 1.5}} if i else {})


def test_discrete_actions_and_plain_observations_become_columns(root: Path) -> None:
    buffer = EpisodeBuffer(
        None, None, None, list(np.arange(4)), list(np.arange(3)), [0.0] * 3, [False] * 3, [False] * 3, None
    )
    minari.create_dataset_from_buffers(
        "discrete-v0", [buffer], observation_space=spaces.Discrete(9), action_space=spaces.Discrete(5)
    )
    episode = open_episodes("discrete-v0")[0]
    assert episode.actions.tolist() == [[0.0], [1.0], [2.0]]
    assert episode.channels()["observations"].shape == (4, 1)
    assert episode.seed is None


def test_horizon_longer_than_all_or_some_episodes(root: Path) -> None:
    episodes = open_episodes(ID)
    assert episodes.require_steps(5).tolist() == [1, 2]
    with pytest.raises(
        DataError, match=r"all 3 episodes are too short: the longest has 6 steps, expected at least 32"
    ):
        episodes.require_steps(32)
    with pytest.raises(DataError, match="episode 0 has 4 steps, expected at least 5"):
        episodes.require_steps(5, every=True)


def test_progress_ends_at_the_total(root: Path) -> None:
    calls: list[tuple[int, int]] = []
    assert len(open_episodes(ID).read_all(lambda done, total: calls.append((done, total)))) == 3
    assert calls == [(3, 3)]


def edit(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def apply(data: Path) -> None:
        with h5py.File(data / "main_data.hdf5", "a") as file:
            change(file)

    return apply


def replace(name: str, value: object) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return edit(change)


def metadata(**changes: object) -> Callable[[Path], None]:
    def apply(data: Path) -> None:
        path = data / "metadata.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return apply


def poison(file: h5py.File) -> None:
    file["episode_1/observations/observation"][3, 2] = np.inf


def truncate(data: Path) -> None:
    path = data / "main_data.hdf5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scramble(data: Path) -> None:
    """Keep the header, so that the file opens, and damage what follows."""
    path = data / "main_data.hdf5"
    content = bytearray(path.read_bytes())
    content[2048:] = bytes(255 - byte for byte in content[2048:])
    path.write_bytes(bytes(content))


BROKEN: list[tuple[str, Callable[[Path], None], str]] = [
    ("no metadata", lambda d: (d / "metadata.json").unlink(), r"metadata.json: cannot be read"),
    ("metadata no JSON", lambda d: (d / "metadata.json").write_text("{"), r"metadata.json:1:2: not JSON"),
    ("metadata a list", lambda d: (d / "metadata.json").write_text("[]"), "holds a list, expected an object"),
    ("no total", metadata(total_episodes=None), "total_episodes is None, expected a number"),
    ("foreign format", metadata(data_format="arrow"), "data_format is 'arrow', expected 'hdf5'"),
    ("empty", metadata(total_episodes=0), "metadata.json says 0, expected at least 1"),
    ("fewer episodes", metadata(total_episodes=9), "holds 3 episodes, but total_episodes .* is 9"),
    ("no data", lambda d: (d / "main_data.hdf5").unlink(), r"main_data.hdf5: no such file"),
    ("empty file", lambda d: (d / "main_data.hdf5").write_bytes(b""), "truncated or not an HDF5 file"),
    ("text", lambda d: (d / "main_data.hdf5").write_text("hello" * 99), "truncated or not an HDF5 file"),
    ("truncated", truncate, "truncated"),
    ("scrambled", scramble, "main_data.hdf5"),
    ("no episode_1", edit(lambda f: f.move("episode_1", "episode_x")), "episode_1 is missing"),
    ("no actions", edit(lambda f: f.pop("episode_1/actions")), "episode_1/actions is missing"),
    ("no first observations", edit(lambda f: f.pop("episode_0/observations")), "0/observations is missing"),
    ("no channel", edit(lambda f: f.pop("episode_1/observations/desired_goal")), "/desired_goal is missing"),
    ("actions a group", edit(
        lambda f: (f.pop("episode_1/actions"), f.create_group("episode_1/actions"))
    ), "episode_1/actions is a group, expected an array"),
    ("text rewards", replace("episode_1/rewards", ["a"] * 5), "episode_1/rewards holds no plain numbers"),
    ("few rewards", replace("episode_1/rewards", np.zeros(3)), r"rewards have shape \(3,\), expected \(5,\)"),
    ("no steps", replace("episode_1/actions", np.zeros((0, 2))), r"actions have shape \(0, 2\)"),
    ("wide actions", replace("episode_1/actions", np.zeros((5, 7))), r"'actions': \(7,\).*as in episode_0"),
    ("short channel", replace("episode_1/observations/desired_goal", np.zeros((2, 2))), r"shape \(2, 2\)"),
    ("infinite", edit(poison), r"observation 'observation'\[3, 2\] is inf, expected a finite"),
    ("overflow", replace("episode_1/actions", np.full((5, 2), 1e300)), r"actions\[0, 0\] is inf"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_broken_sets_give_one_line(root: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(root / ID / "data")
    with pytest.raises(DataError, match=message) as caught:
        open_episodes(ID).read_all()
    assert "\n" not in str(caught.value) and str(root) in str(caught.value)


def test_no_byte_of_damage_leaks_another_error(root: Path) -> None:
    """Flip bytes all over the file: reading either succeeds or ends in a DataError of one line."""
    path = root / ID / "data" / "main_data.hdf5"
    original = path.read_bytes()
    rng = np.random.default_rng(3)
    refused = accepted = 0
    for _ in range(60):
        content = bytearray(original)
        for place in rng.integers(0, len(content) // 8, 40):
            content[place] ^= 0xFF
        path.write_bytes(bytes(content))
        try:
            open_episodes(ID).read_all()
        except DataError as error:
            refused += "\n" not in str(error)
        else:
            accepted += 1
    assert refused > 0 and refused + accepted == 60
