"""The Gymnasium tables: figures by hand, and one of them from policy file to picture at a tiny size."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from kdp_core.benchmarks import gym_run, gym_table, gym_training, long_format
from kdp_core.benchmarks.gym_eval import GymOutcome
from kdp_core.benchmarks.gym_suites import GYM_METHODS, ONE_ROW, SUITES, GymRow
from kdp_core.benchmarks.gym_table import QUICK, GymTableOptions, Result
from kdp_core.benchmarks.gym_training import GymTrainingOptions, Source
from kdp_core.benchmarks.training_runs import POLICY_METHODS
from kdp_core.datasets import Episode, open_episodes
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.planner import Planner
from kdp_core.sim.gym_collect import RolloutOptions, collect_rollouts

CASES = {case.name: case for suite in SUITES.values() for case in suite.cases}
TINY = GymTableOptions(
    ("hopper-medium",), ("joint", "bc"), episodes=2, most_candidates=16,
    training=GymTrainingOptions(
        data_steps=300, windows=150, horizon=4, steps=4, conditions=8, samples=4, neighbours=2, width=16,
        scorer_steps=4,
    ),
)  # fmt: skip


def outcomes(*scores: float, success: bool | None = None) -> list[GymOutcome]:
    return [GymOutcome(i, 10 * s, s, success, 5, 5, 2.0 + i) for i, s in enumerate(scores)]


def test_markdown_by_hand() -> None:
    """Means 20 ± 10 and 50 ± 0 give 35 ± 5 (the square root of 10² + 0², over 2)."""
    suite = replace(SUITES["adroit"], cases=tuple(CASES[name] for name in ("pen", "door")))
    results = [
        Result(GymRow("kdp", 64), CASES["pen"], 1, outcomes(10, 30, success=True)),
        Result(GymRow("kdp", 1), CASES["pen"], 1, outcomes(0, 0, success=False)),
        Result(GymRow("data"), CASES["pen"], 0, outcomes(90)),
        Result(GymRow("kdp", 64), CASES["door"], 1, outcomes(50, 50, success=False)),
    ]
    lines = gym_table.markdown(suite, "data", results).splitlines()
    head = "| method | K | L | NFE | pen | published | door | published | average | success | plan, ms p50 |"
    assert lines[0] == "data" and lines[2] == head and lines[3].count("|") == head.count("|")
    ranked = "| kdp | 64 | 1 | 1 | 20.0 ± 10.0 | 53.4 | 50.0 ± 0.0 | 61.8 | 35.0 ± 5.0 | 100.0 / 0.0 | 2.5 |"
    assert ranked in lines
    assert "| kdp | 1 | 1 | 1 | 0.0 ± 0.0 |  |  |  |  | 0.0 / - | 2.5 |" in lines
    assert "| data | 1 | 1 | 0 | 90.0 |  |  |  |  | - / - | 2 |" in lines
    rows = gym_table.long_rows(results)
    success = [row for row in rows if row["metric"] == "success"]
    assert [row["value"] for row in success] == [1.0, 0.0, 0.0]
    assert rows[0]["stderr"] == pytest.approx(10.0) and rows[0]["candidates"] == 64 and rows[0]["chunk"] == 1


def test_success_is_what_chunking_shows() -> None:
    done = [GymOutcome(i, 0.0, 7.0, i < 3, 5, 5, 1.0) for i in range(4)]
    text = gym_table.markdown(SUITES["chunking"], "", [Result(GymRow("kdp", 64, 8), CASES["pen"], 1, done)])
    assert "| kdp | 64 | 8 | 1 | 75.0 ± 25.0 | 73.0 | 7.0 | 1 |" in text


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_has_a_table_and_a_figure_with_and_without_baselines(tmp_path: Path, name: str) -> None:
    suite = SUITES[name]
    for rows in (suite.rows, tuple(row for row in suite.rows if row.baseline is None)):
        done = [
            Result(row, case, 1, outcomes(1.0, 2.0, success=True)) for case in suite.cases for row in rows
        ]
        document = gym_table.write_table(name, tmp_path / name, "data", done)
        text = (tmp_path / f"{name}.md").read_text()
        assert all(f"| {row.method} | {row.candidates} | {row.chunk} |" in text for row in rows)
        assert gym_run.save_figure(suite, document, tmp_path / f"{name}.png").stat().st_size > 10_000


def test_data_of_another_robot_are_refused_before_training(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    episode = Episode(np.zeros((3, 29)), np.zeros((2, 8)), np.zeros(2), np.zeros(2), np.zeros(2))

    class Data(list):
        path = tmp_path / "antmaze.hdf5"

    with pytest.raises(DataError, match=r"antmaze.hdf5: .* have \(29, 8\) numbers, expected \(11, 3\)"):
        gym_run.require_fitting(CASES["hopper-medium"], Data([episode]))  # type: ignore[arg-type]


def test_methods_get_equal_steps_batches_and_windows(tmp_path: Path) -> None:
    class Data:
        path = tmp_path

        def step_counts(self) -> np.ndarray:
            return np.full(100, 1000)

    options = GymTrainingOptions(windows=30_000)
    for case, horizon in ((CASES["hopper-medium"], 8), (CASES["halfcheetah-medium"], 4)):
        for method in GYM_METHODS:
            config = gym_training.training_config(case, method, options, Data(), tmp_path)  # type: ignore[arg-type]
            train = config.train
            assert (train.steps, train.conditions * train.samples) == (2000, 512)
            assert config.horizon == (1 if method in ONE_ROW else horizon)
            assert config.control.every == 4  # 100,000 rows for at most 30,000 windows
            assert config.control.transitions == (method in POLICY_METHODS)
            if method in POLICY_METHODS:  # critics rank
                assert train.network.scorer_actions == 0
                assert train.q_learning.weight == (0.0 if method == "consistency_bc" else 1.0)
                continue
            assert train.network.scorer_actions == 1  # one scorer for all
            weight = train.diffuser if method == "diffuser" else train
            assert weight.first_action_weight == 10.0


def test_whole_episodes_are_the_datas_row() -> None:
    def episode(reward: float, ended: bool) -> Episode:
        ends = np.array([False, ended])
        return Episode(np.zeros((3, 1)), np.zeros((2, 1)), np.full(2, reward), ends, np.zeros(2, np.bool_))

    found = gym_training.data_outcomes(CASES["hopper-medium"], [episode(1.0, True), episode(5.0, False)])  # type: ignore[arg-type]
    assert [o.total for o in found] == [2.0]


@pytest.mark.parametrize("name", SUITES)
def test_quick_is_small(name: str) -> None:
    quick = QUICK[name]
    assert len(gym_table.cases_of(name, quick)) == 1 and quick.training.steps <= 300 and quick.episodes <= 10
    with pytest.raises(ConfigError, match=r"options.cases: 'nothing' is unknown in table"):
        gym_table.cases_of(name, GymTableOptions(("nothing",)))


def check_clone(artifact: Path, out: Path) -> None:
    """A planner as behaviour policy executes the first action of its plans."""
    planner = Planner.load(artifact)
    episodes = open_episodes(collect_rollouts([artifact], RolloutOptions("Hopper-v4", 5), out))
    first, rng = episodes[0], np.random.default_rng(0)
    for state, action in zip(first.observations, first.actions, strict=False):
        noise = rng.standard_normal((1, planner.d_noise), dtype=np.float32)
        windows, _ = planner.propose(state, np.zeros(0), noise)
        assert action == pytest.approx(np.clip(windows[0, 0, 11:], -1, 1), abs=1e-4)
    assert episodes.metadata["algorithm_name"] == "bc0"


def test_from_policy_file_to_picture(tmp_path: Path, write_policy: Callable[..., Path]) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo, which Gymnasium's environments run on, is not installed")
    pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    write_policy(tmp_path / "sac-hopper.npz", 0)
    said: list[str] = []

    @contextmanager
    def bar() -> Iterator[Callable[[str, int, int, int], None]]:
        yield lambda label, done, total, good: said.append(label)

    def run(source: Source, options: GymTableOptions = TINY) -> str:
        return gym_run.run_suite(
            "locomotion", "locomotion-tiny", source, tmp_path / "train", tmp_path / "bench", options, 1,
            said.append, bar,
        ).read_text()  # fmt: skip

    text = run(Source(tmp_path))
    assert text.startswith("data: hopper-medium: 3")
    assert "stochastic rollouts of sac-hopper in Hopper-v4" in text
    assert "| method | K | L | NFE | hopper-medium | plan, ms p50 |" in text  # Hopper tells no success
    assert said[0] == "hopper-medium: collecting" and "hopper-medium, joint, K = 16, L = 1" in said
    document = long_format.read(tmp_path / "bench" / "locomotion-tiny.json")
    rows = {(r["method"], r["candidates"], r["metric"]): r for r in document["rows"]}
    assert {method for method, _, _ in rows} == {"joint", "bc", "random", "data"}
    assert {r["task"] for r in document["rows"]} == {"hopper-medium"}
    data = open_episodes(tmp_path / "train" / "locomotion-tiny" / "data" / "hopper-medium-rollouts-v0")
    returns = [episode.rewards.sum() for episode in data]
    assert rows["data", 1, "score"]["value"] == pytest.approx((np.mean(returns) + 20.272305) / 32.54572305)
    assert rows["joint", 16, "score"]["nfe"] == 1 and rows["joint", 16, "planner_ms_p50"]["value"] > 0
    assert matplotlib.image.imread(tmp_path / "bench" / "locomotion-tiny.png").std() > 0.05

    clone = tmp_path / "train" / "locomotion-tiny" / "hopper-medium" / "bc0" / "artifact"
    check_clone(clone, tmp_path / "cloned-v0")

    said.clear()
    assert run(Source(tmp_path)) == text and said == []  # nothing is done twice
    own = tmp_path / "own"
    own.mkdir()
    (own / "hopper-medium-v0").symlink_to(data.path.parent.parent)
    assert "hopper-medium: 3" in run(Source(data=own)) and not any("planners to do" in line for line in said)
    with pytest.raises(DataError, match="trained with another configuration"):
        run(Source(tmp_path), replace(TINY, training=replace(TINY.training, steps=5)))
    with pytest.raises(DataError, match="exists already"):
        run(Source(tmp_path), replace(TINY, training=replace(TINY.training, data_steps=600)))


def test_policies_of_one_action_from_a_script_to_a_table(tmp_path: Path) -> None:
    """An ant's episodes by script, policies with critics; rewards come at goals alone."""
    pytest.importorskip("gymnasium_robotics", reason="gymnasium-robotics is not installed")

    @contextmanager
    def bar() -> Iterator[Callable[[str, int, int, int], None]]:
        yield lambda *_: None

    options = replace(TINY, cases=("antmaze-umaze",), methods=POLICY_METHODS, episodes=1)
    run = ("antmaze", "antmaze-tiny", Source(), tmp_path / "train", tmp_path / "bench", options, 1)
    text = gym_run.run_suite(*run, lambda line: None, bar).read_text()
    assert "stochastic rollouts of ant-walker in AntMaze_UMaze-v4" in text
    rows = long_format.read(tmp_path / "bench" / "antmaze-tiny.json")["rows"]
    lines = {(r["method"], r["candidates"]): r for r in rows if r["metric"] == "success"}
    wanted = {"diffusion_ql": (5, (1,)), "consistency_ac": (2, (1,)), "consistency_bc": (2, (1,))}
    for method, (nfe, candidates) in wanted.items():
        assert all(lines[method, k]["nfe"] == nfe for k in candidates)
        planner = Planner.load(
            tmp_path / "train" / "antmaze-tiny" / "antmaze-umaze" / f"{method}0" / "artifact"
        )
        assert (planner.spec.horizon, planner.spec.d_state, planner.nfe) == (1, 31, nfe)
    card = planner.artifact.path / "MODEL_CARD.md"
    assert "Consistency policy (2 network evaluations per plan)" in card.read_text()
