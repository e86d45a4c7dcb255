"""The routes table: what is run, kept and averaged, with planners whose plans are known, and one trained."""

import json
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from kdp_core.benchmarks import long_format, routes_eval, routes_figure, routes_table
from kdp_core.benchmarks.maze_training import MazeTrainingOptions, train_missing, training_config
from kdp_core.benchmarks.route_classes import block_centres, route_class
from kdp_core.benchmarks.routes_eval import Journeys, RoutesEvaluationOptions, RoutesOutcome, conditions
from kdp_core.benchmarks.routes_table import Result, RoutesTableOptions
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.sim.maze2d_layout import layout

TINY = RoutesTableOptions(
    mazes=("ring",), methods=("joint",), seeds=1, conditions=2, samples=8,
    training=MazeTrainingOptions(
        data_steps=3000, steps=3, conditions=4, samples=2, neighbours=2, components=8, width=8,
        scorer_steps=2, pool=8,
    ),
)  # fmt: skip


class OneWay(Journeys):
    """Knows one route: the mean of those journeys that go as the first does."""

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        windows, _ = super().propose(state, context, np.zeros((12, 1)))
        routes = [route_class(window[:, :2], block_centres(layout("ring"))) for window in windows]
        kept = windows[[route == routes[0] for route in routes]]
        return kept.mean(axis=0, keepdims=True).repeat(len(noise), axis=0), np.zeros(len(noise))


class MeanOfAll(Journeys):
    """Regression: the mean of all journeys, straight through the block."""

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        windows, _ = super().propose(state, context, np.zeros((16, 1)))
        return windows.mean(axis=0, keepdims=True).repeat(len(noise), axis=0), np.zeros(len(noise))


def judge(monkeypatch: pytest.MonkeyPatch, source: object, **options: object) -> list[RoutesOutcome]:
    monkeypatch.setattr(routes_eval, "source_of", lambda _: source)
    return routes_eval.evaluate(RoutesEvaluationOptions(maze="ring", conditions=4, samples=16, **options))


def test_data_one_route_and_mean_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    data = judge(monkeypatch, Journeys("ring", 160, rng), method="data")
    one = judge(monkeypatch, OneWay("ring", 160, rng))
    mean = judge(monkeypatch, MeanOfAll("ring", 160, rng))
    assert (
        [o.condition_seed for o in data]
        == [o.condition_seed for o in one]
        == list(range(500000000, 500000004))
    )
    assert all(o.routes == 2 and o.coverage == 1.0 and o.success_1 and o.success_64 is None for o in data)
    assert all(o.coverage == 0.5 and o.spread < 1e-9 and o.success_1 and o.success_64 for o in one)
    assert all(o.coverage <= 0.5 and o.spread < 1e-9 for o in mean)
    walls = [np.mean([o.wall_fraction for o in outcomes]) for outcomes in (data, one, mean)]
    assert walls[0] == walls[1] == 0.0 and walls[2] > 0.1
    scores = [np.mean([o.energy_score for o in outcomes]) for outcomes in (data, one, mean)]
    assert scores[0] < 0.75 * scores[2] and scores[0] < 0.75 * scores[1]
    assert not all(o.success_1 for o in mean)  # some slide around the block in time


def test_conditions_are_held_out_and_the_same_for_all() -> None:
    first = conditions("blocks", 3, 4, 256, 1)
    conditions.cache_clear()
    again = conditions("blocks", 3, 4, 256, 1)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.paths, b.paths)
        np.testing.assert_array_equal(a.paths[:, 0], np.tile(a.state[:2], (4, 1)))
        np.testing.assert_allclose(a.paths[:, -1], np.tile(a.goal, (4, 1)))
    assert first[0].seed == 501000000
    for condition in first:
        slowest = max(
            next(t for t in range(256) if (path[t:] == condition.goal).all()) for path in condition.paths
        )
        assert condition.slowest == slowest < 256


def outcome(score: float, **more: object) -> RoutesOutcome:
    known = RoutesOutcome(7, 2, score, 1.0, 4.0, 0.5, 0.25, 0.1, True, False, None, 3.0)
    return replace(known, **more)


def test_figures_by_hand() -> None:
    """Two seeds: mean of their means, standard error |3 - 2| / 2; spread over skill sqrt(1 / 4)."""
    results = [
        Result("ring", "joint", 0, 1, [outcome(1.0), outcome(3.0, success_1=False)]),
        Result("ring", "joint", 1, 1, [outcome(3.0), outcome(3.0)]),
        Result("ring", "data", 0, 0, [outcome(0.5, success_16=None)]),
    ]
    rows = routes_table.rows_of(results, 64)
    found = {(r["method"], r["metric"], r["candidates"], r["seed"]): r for r in rows}
    score = found["joint", "energy_score", 64, 0]
    assert score["value"] == 2.0 and score["stderr"] == pytest.approx(1.0) and score["task"] == "routes-ring"
    assert (
        found["joint", "success", 1, 0]["value"] == 0.5 and found["joint", "success", 16, 0]["value"] == 0.0
    )
    assert ("joint", "success", 64, 0) not in found and ("data", "planner_ms_p50", 64, 0) not in found
    assert found["joint", "spread_skill", 64, 1]["value"] == pytest.approx(0.5)
    assert {r["metric"] for r in rows} >= {"route_coverage", "wall_fraction"}
    lines = routes_table.markdown("data", results).splitlines()
    assert lines[4] == (
        "| ring | joint | 1 | 2.500 ± 0.500 | 0.50 ± 0.00 | 50.0 ± 0.0 | 0.25 ± 0.00 | 10.00 ± 0.00 "
        "| 75 / 0 | 3 |"
    )
    assert lines[5] == "| ring | data | 0 | 0.500 | 0.50 | 50.0 | 0.25 | 10.00 | 100 | - |"


def test_table_end_to_end_and_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"joint0/artifact: no trained planner"):
        routes_table.run_table(tmp_path, tmp_path, TINY, lambda *_: None)
    train_missing("ring", [("joint", 0)], TINY.training, tmp_path, lambda line: None)
    said: list[str] = []

    def run() -> dict:
        return routes_table.run_table(tmp_path, tmp_path / "out", TINY, lambda label, *_: said.append(label))

    first = run()
    assert list(dict.fromkeys(said)) == ["ring, data, seed 0", "ring, joint, seed 0"]
    said.clear()
    assert run()["rows"] == first["rows"] and not said  # finished cells are kept
    rows = long_format.read(tmp_path / "out" / "routes.json")["rows"]
    assert {(r["method"], r["nfe"]) for r in rows} == {("data", 0), ("joint", 1)}
    assert sorted(r["candidates"] for r in rows if r["metric"] == "success") == [1, 1, 16, 64]
    kept = json.loads((tmp_path / "out" / "routes" / "ring__joint__seed_0.json").read_text())["outcomes"]
    score = next(r for r in rows if (r["method"], r["metric"]) == ("joint", "energy_score"))
    assert score["value"] == pytest.approx(np.mean([o["energy_score"] for o in kept]))
    assert (
        (tmp_path / "out" / "routes.md")
        .read_text()
        .startswith("simulated mazes with loops (ring): 3000 steps")
    )
    picture = matplotlib.image.imread(routes_figure.save_figure(tmp_path, TINY, tmp_path / "a.png"))
    assert picture.shape[1] > 1.5 * picture.shape[0] > 200 and picture.std() > 0.05


def test_all_methods_get_equal_steps_and_batches(tmp_path: Path) -> None:
    for method in routes_table.METHODS:
        config = training_config("blocks", method, 1, RoutesTableOptions().training, tmp_path)
        train = config.train
        assert (config.task, config.horizon, train.seed) == ("routes-blocks", 256, 1)
        assert (train.steps, train.conditions * train.samples, train.learning_rate) == (4000, 512, 2e-3)
        assert max(train.temperatures) == 2.0  # what the joint field needs here
        assert train.method != "diffuser" or train.diffuser.diffusion_steps == 20


def test_quick_is_small_and_options_are_checked() -> None:
    assert len(list(routes_table.cells(routes_table.QUICK))) == 1 + len(routes_table.METHODS)
    assert routes_table.QUICK.training.steps <= 500
    with pytest.raises(ConfigError, match=r"options\.samples must be at least 2, got 1"):
        RoutesTableOptions(samples=1)
