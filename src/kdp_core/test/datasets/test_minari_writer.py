"""Data sets that kdp_core writes, as Minari itself and our reader see them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import minari
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minari.data_collector import EpisodeBuffer

from kdp_core.datasets import Episode, open_episodes, write_minari
from kdp_core.exceptions import DataError


def make_episode(seed: int, steps: int = 6, flat: bool = False, **options: object) -> Episode:
    rng = np.random.default_rng(seed)
    channels = {name: rng.normal(size=(steps + 1, 3)).astype(np.float32) for name in ("velocity", "position")}
    truncations = np.zeros(steps, bool)
    truncations[-1] = True
    return Episode(
        observations=channels["position"] if flat else channels,
        actions=rng.normal(size=(steps, 2)).astype(np.float32),
        rewards=rng.normal(size=steps),
        terminations=np.zeros(steps, bool),
        truncations=truncations,
        seed=seed,
        options=dict(options),
    )


def assert_same(read: Episode, written: Episode) -> None:
    assert isinstance(read.observations, dict) == isinstance(written.observations, dict)
    expected = written.channels()
    assert set(read.channels()) == set(expected)
    for name, array in read.channels().items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected[name])
    for name in ("actions", "rewards", "terminations", "truncations"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert read.seed == written.seed


@pytest.mark.parametrize("flat", [False, True])
def test_round_trip(tmp_path: Path, flat: bool) -> None:
    options = {
        "poles": np.arange(6.0).reshape(2, 3),
        "count": 16,
        "wind": 0.25,
        "name": "äb",
        "arena": {"x": 1},
    }
    written = [make_episode(i, steps=3 + i, flat=flat, **options) for i in range(12)]
    path = write_minari(tmp_path / "kdp" / "fly", (e for e in written), metadata={"algorithm_name": "expert"})
    episodes = open_episodes(path)
    assert episodes.id == "fly-v0" and episodes.metadata["algorithm_name"] == "expert"
    assert len(episodes) == 12 and episodes.step_counts().tolist() == [3 + i for i in range(12)]
    for read, expected in zip(episodes, written, strict=True):
        assert_same(read, expected)
        np.testing.assert_array_equal(read.options.pop("poles"), options["poles"])
        assert read.options == {"count": 16, "wind": 0.25, "name": "äb", "arena": {"x": 1}}
    assert_same(episodes[-1], written[-1])
    assert len(episodes[3:6]) == 3


def test_large_episodes_are_kept_whole(tmp_path: Path) -> None:
    """108 kB a channel and 160 kB of options: beyond what fits into an HDF5 object header."""
    written = make_episode(1, steps=9000, big=np.arange(20_000.0))
    read = open_episodes(write_minari(tmp_path / "long", [written]))[0]
    assert_same(read, written)
    np.testing.assert_array_equal(read.options["big"], written.options["big"])


def test_minari_loads_filters_and_extends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    written = [make_episode(i, poles=3, size={"x": 2.0}) for i in range(5)]
    write_minari(tmp_path / "kdp" / "fly-v3", written, dataset_id="kdp/fly-v3")
    dataset = minari.load_dataset("kdp/fly-v3")
    assert dataset.total_episodes == 5 and dataset.total_steps == 30
    for data, episode in zip(dataset.iterate_episodes(), written, strict=True):
        assert "position: ndarray of shape (7, 3) and dtype float32" in repr(data)
        assert dataset.observation_space.contains(
            {name: array[0] for name, array in data.observations.items()}
        )
        assert dataset.action_space.contains(data.actions[0])
        np.testing.assert_array_equal(data.observations["velocity"], episode.channels()["velocity"])
        np.testing.assert_array_equal(data.rewards, episode.rewards)
        assert data.terminations.dtype == bool
    metadata = next(iter(dataset.storage.get_episode_metadata([4])))
    assert metadata["seed"] == 4 and metadata["options"] == {"poles": 3, "size": {"x": 2.0}}
    assert dataset.filter_episodes(lambda e: e.id > 2).total_episodes == 2
    more = make_episode(9)
    dataset.update_dataset_from_buffer([
        EpisodeBuffer(None, 9, None, more.observations, list(more.actions), list(more.rewards),
                      list(more.terminations), list(more.truncations), None)
    ])  # fmt: skip
    assert len(open_episodes("kdp/fly-v3")) == 6
    assert_same(open_episodes("kdp/fly-v3")[5], more)


def test_same_episodes_give_the_same_hash(tmp_path: Path) -> None:
    hashes = [
        open_episodes(write_minari(tmp_path / name, [make_episode(seed, poles=2) for seed in seeds])).hash
        for name, seeds in [("a", (1, 2)), ("b", (1, 2)), ("c", (1, 3))]
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(hashes[0]) == 64


def test_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Episode]:
        yield make_episode(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_minari(tmp_path / "d", interrupted())
    assert list(tmp_path.iterdir()) == []


def test_existing_set_is_replaced_only_on_demand_and_survives_a_failure(tmp_path: Path) -> None:
    path = write_minari(tmp_path / "d", [make_episode(0)])
    with pytest.raises(DataError, match="exists already"):
        write_minari(path, [make_episode(1)])
    with pytest.raises(DataError, match="no episodes to write"):
        write_minari(path, [], overwrite=True)
    assert open_episodes(path)[0].seed == 0
    write_minari(path, [make_episode(1)], overwrite=True)
    assert open_episodes(path)[0].seed == 1
    assert [item.name for item in tmp_path.iterdir()] == ["d"]


GOOD = make_episode(1)
WITH_NAN = GOOD.actions.copy()
WITH_NAN[2, 1] = np.nan


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (replace(GOOD, actions=WITH_NAN), r"episode_1: actions\[2, 1\] is nan"),
        (replace(GOOD, rewards=GOOD.rewards[:-1]), r"episode_1: rewards have shape \(5,\), expected \(6,\)"),
        (replace(GOOD, actions=GOOD.actions[:, :1]), r"actions has rows of shape \(1,\), expected \(2,\)"),
        (replace(GOOD, observations={}), "observations are empty"),
        (
            replace(GOOD, observations={"position": GOOD.channels()["position"]}),
            r"observations are \['position'\]",
        ),
        (
            replace(GOOD, observations={k: v[:-1] for k, v in GOOD.channels().items()}),
            r"6 rows, expected 7 \(steps",
        ),
        (replace(GOOD, options={"planner": None}), "options/planner is a NoneType"),
        (replace(GOOD, options={"x": [object()]}), "options/x is a list, expected a number"),
        (replace(GOOD, seed=2**70), "episode_1: cannot be written: .*too large"),
        (make_episode(1, flat=True), r"observations are \['observations'\]"),
    ],
)
def test_malformed_episodes_are_refused_and_nothing_is_left(
    tmp_path: Path, second: Episode, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        write_minari(tmp_path / "d", [make_episode(0), second])
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_malformed_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset_id 'no version': expected namespace/name-v0"):
        write_minari(tmp_path / "d", [GOOD], dataset_id="no version")


@settings(max_examples=20, deadline=None)
@given(
    steps=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    value=st.floats(width=32, allow_nan=False, allow_infinity=False),
    seed=st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
)
def test_any_lengths_values_and_seeds_come_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], value: float, seed: int | None
) -> None:
    written = [replace(make_episode(i, n), rewards=np.full(n, value), seed=seed) for i, n in enumerate(steps)]
    path = write_minari(tmp_path_factory.mktemp("any") / "d", written)
    for read, expected in zip(open_episodes(path), written, strict=True):
        assert_same(read, expected)
