"""The Maze2D table: what is run, what is kept, how it is averaged, equal budgets, the figure."""

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from kdp_core.benchmarks import long_format, maze_table, maze_training
from kdp_core.benchmarks.maze_eval import MazeOutcome
from kdp_core.benchmarks.maze_figure import bars, save_figure
from kdp_core.benchmarks.maze_training import METHODS, MazeTrainingOptions, train_missing, training_config
from kdp_core.benchmarks.training_runs import pairs
from kdp_core.exceptions import DataError
from kdp_core.run_config import load_run_config

REFERENCES = (maze_table.Row("waypoints", "receding"), maze_table.Row("random", "receding"))
OPTIONS = maze_table.MazeTableOptions(mazes=("umaze",), seeds=2, episodes=2)
CONFIG = Path(__file__).resolve().parents[4] / "training" / "configs" / "maze2d.yaml"


def outcomes(*scores: float, walls: float | None = 0.1) -> list[MazeOutcome]:
    return [MazeOutcome(i, 1.0, score, score > 0, walls, 2.0 + i, 1) for i, score in enumerate(scores)]


def test_table_is_run_once_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maze_table, "ROWS", REFERENCES)
    said: list[str] = []

    def run() -> dict:
        return maze_table.run_table(
            tmp_path, tmp_path, OPTIONS, 1, lambda label, *_: said.append(label), "small"
        )

    first = run()
    assert len(said) == 4 and said[0] == "umaze, waypoints, receding, K = 1, seed 0"
    assert run()["rows"] == first["rows"] and len(said) == 4  # finished cells are kept
    rows = long_format.read(tmp_path / "small.json")["rows"]
    assert {r["task"] for r in rows} == {"maze2d-umaze"} and {r["metric"] for r in rows} == {
        "score",
        "success",
    }
    assert all(r["episodes"] == 2 and r["protocol"] == "receding" for r in rows)
    text = (tmp_path / "small.md").read_text()
    assert text.startswith("simulated Maze2D by D4RL's recipe: 1000000 steps")
    kept = [p for p in (tmp_path / "small").iterdir() if "waypoints" in p.name]
    means = [np.mean([o["score"] for o in json.loads(p.read_text())["outcomes"]]) for p in kept]
    assert f"| waypoints | receding | 1 | 0 | {np.mean(means):.1f} ± " in text


def test_missing_planner_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"joint0/artifact: no trained planner"):
        maze_table.run_table(tmp_path, tmp_path, OPTIONS, 1, lambda *_: None)


def test_markdown_by_hand() -> None:
    """Two seeds: mean of their means 15, standard error |20 - 10| / 2; one seed: over its episodes."""
    kdp, joint = maze_table.Row("kdp"), maze_table.Row("joint", "receding", 16)
    results = [
        (kdp, "umaze", 0, 1, outcomes(0, 20)),
        (kdp, "umaze", 1, 1, outcomes(10, 30)),
        (joint, "umaze", 0, 1, outcomes(50, 54)),
        (kdp, "large", 0, 1, outcomes(7, 7, walls=None)),
    ]
    lines = maze_table.markdown("data", results).splitlines()
    kdp_line = (
        "| kdp | open_loop | 1 | 1 | 15.0 ± 5.0 | 122.3 | 7.0 ± 0.0 | 133.0 | 75 / 100 | 10 / - | 2.5 / 2.5 |"
    )
    assert lines[0] == "data" and kdp_line in lines
    assert "| joint | receding | 16 | 1 | 52.0 ± 2.0 |  |  |  | 100 / - | 10 / - | 2.5 / - |" in lines
    rows = maze_table.rows_of(results)
    score = next(r for r in rows if r["metric"] == "score")
    assert (score["method"], score["protocol"], score["candidates"]) == ("kdp", "open_loop", 1)
    assert score["value"] == 10 and score["stderr"] == pytest.approx(10.0)  # sqrt(200) / sqrt(2)
    assert len([r for r in rows if r["metric"] == "wall_share"]) == 3


def test_all_methods_get_equal_steps_and_batches(tmp_path: Path) -> None:
    options = MazeTrainingOptions()
    for maze, horizon, diffusion in (("umaze", 192, 64), ("medium", 320, 256), ("large", 544, 256)):
        for method in METHODS:
            config = training_config(maze, method, 1, options, tmp_path)
            train = config.train
            assert (train.steps, train.conditions * train.samples, train.seed) == (2000, 512, 1)
            assert config.horizon == (1 if method == "bc" else horizon)
            assert train.method == ("diffuser" if method == "diffuser" else "kdp")
            if method == "diffuser":
                assert train.diffuser.diffusion_steps == diffusion


def test_configuration_file_is_the_tables(tmp_path: Path) -> None:
    config = training_config("umaze", "joint", 0, MazeTrainingOptions(), tmp_path)
    assert load_run_config(CONFIG).train == config.train
    assert load_run_config(CONFIG).horizon == config.horizon


def test_what_is_trained_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = MazeTrainingOptions(data_steps=50)
    wanted: list[str] = []

    def train(config: object, plain: dict) -> None:
        wanted.append(config.out.name)  # type: ignore[attr-defined]
        folder = config.out / "artifact"  # type: ignore[attr-defined]
        folder.mkdir(parents=True)
        (folder / "provenance.json").write_text(json.dumps({"configuration": plain}, default=str))

    monkeypatch.setattr("kdp_core.run_training.run_training", train)

    def run(options: MazeTrainingOptions) -> None:
        train_missing("umaze", pairs(("joint", "bc"), 2, 2), options, tmp_path, lambda line: None)

    run(options)
    assert (
        wanted == ["joint0", "bc0", "joint1", "bc1"] and maze_training.data_path("umaze", tmp_path).exists()
    )
    run(options)
    assert len(wanted) == 4
    with pytest.raises(DataError, match="trained with another configuration"):
        run(MazeTrainingOptions(data_steps=50, steps=7))


def test_quick_is_small() -> None:
    quick = maze_table.QUICK
    assert len(list(maze_table.cells(quick))) == len(maze_table.ROWS) and quick.mazes == ("umaze",)
    assert asdict(quick)["training"]["steps"] <= 500


def test_figure_shows_means_over_seeds(tmp_path: Path) -> None:
    results = [
        (maze_table.Row("kdp"), "umaze", seed, 1, outcomes(s, s)) for seed, s in ((0, 10.0), (1, 20.0))
    ]
    document = long_format.write(tmp_path / "a.json", "data", maze_table.rows_of(results))
    assert bars(document, "umaze") == [("kdp, K = 1", "open_loop", 15.0, pytest.approx(5.0))]
    picture = matplotlib.image.imread(save_figure(document, maze_table.PUBLISHED, tmp_path / "a.png"))
    assert picture.shape[0] > 300 and picture.std() > 0.05


def test_joint_and_diffuser_may_have_more_seeds() -> None:
    assert pairs(("kdp", "joint", "diffuser"), 2, 1) == [
        ("kdp", 0), ("joint", 0), ("diffuser", 0), ("joint", 1), ("diffuser", 1),
    ]  # fmt: skip
    assert pairs(("kdp", "joint"), 1, 3) == [("kdp", 0), ("joint", 0)]
    options = maze_table.MazeTableOptions(mazes=("umaze",), seeds=3, other_seeds=1)
    seeds = [(row.method, seed) for row, _, seed in maze_table.cells(options) if row.candidates == 1]
    assert seeds.count(("joint", 2)) == 2 and seeds.count(("kdp", 1)) == 0  # open loop and receding
    assert seeds.count(("waypoints", 2)) == 1
    fewer = dataclasses.replace(options, methods=("joint", "diffuser"), replanning_diffuser_seeds=1)
    kept = [(row.method, row.protocol, seed) for row, _, seed in maze_table.cells(fewer)]
    assert {method for method, _, _ in kept} == {"joint", "diffuser", "waypoints", "random"}
    assert ("diffuser", "receding", 1) not in kept and ("diffuser", "open_loop", 2) in kept
