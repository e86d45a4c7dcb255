"""The ablation table: which planners it trains, its diversity against a closed form, a tiny run of it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kdp_core.benchmarks import ablation, ablation_table, long_format, maze_training
from kdp_core.benchmarks.ablation import VARIANTS, action_diversity, variant_config
from kdp_core.benchmarks.maze_eval import MazeOutcome
from kdp_core.benchmarks.maze_training import MazeTrainingOptions
from kdp_core.tasks.maze import MazeTask

TINY = ablation_table.AblationOptions(
    mazes=("umaze",), episodes=2,
    training=MazeTrainingOptions(
        data_steps=3000, horizon=16, steps=3, conditions=8, samples=4, neighbours=2, components=8, width=16,
        scorer_steps=3,
    ),
)  # fmt: skip


def test_each_variant_changes_one_part_of_the_papers_field(tmp_path: Path) -> None:
    configs = [variant_config("umaze", v, 0, MazeTrainingOptions(), tmp_path) for v in VARIANTS]
    assert len({config.out for config in configs}) == len(VARIANTS)
    paper = maze_training.training_config("umaze", "kdp", 0, MazeTrainingOptions(), tmp_path)
    assert configs[0] == paper  # shared with the table `maze`
    assert configs[-1] == maze_training.training_config("umaze", "joint", 0, MazeTrainingOptions(), tmp_path)
    changed = {
        name: value
        for config in configs[1:-1]
        for name, value in vars(config.train.kdp).items()
        if value != getattr(paper.train.kdp, name)
    }
    assert changed == {
        "distances": "window", "mask_self": False, "repulsion": False, "normalise": False,
        "temperatures": (0.2,),
    }  # fmt: skip
    for config in configs[1:-1]:
        back = replace(config, out=paper.out, train=replace(config.train, kdp=paper.train.kdp))
        assert back == paper


def test_diversity_of_gaussian_actions_is_their_standard_deviation(
    fitted_spec: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = MazeTask("umaze", 16).spec
    scale = np.array([2.0, 0.5])

    class Planner:
        d_noise = 32
        normaliser = SimpleNamespace(action_std=tuple(scale))

        def __init__(self) -> None:
            self.spec = SimpleNamespace(horizon=16, d_state=spec.d_state, normaliser=self.normaliser)

        def propose(
            self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
        ) -> tuple[np.ndarray, np.ndarray]:
            windows = np.zeros((len(noise), 16, 6))
            windows[..., 4:] = 0.3 * noise.reshape(-1, 16, 2) * scale + context[0]
            return windows, np.zeros(len(noise))

    assert action_diversity(Planner(), "umaze", 0) == pytest.approx(0.3, rel=0.02)  # type: ignore[arg-type]


def test_means_by_hand() -> None:
    def outcomes(*scores: float) -> list[MazeOutcome]:
        return [MazeOutcome(i, 1.0, s, s > 0, 0.25, 2.0, 1) for i, s in enumerate(scores)]

    results = [
        ablation_table.Result(v, "umaze", seed, {1: outcomes(0, 10 * seed), 16: outcomes(4, 6)}, 0.5)
        for v in VARIANTS
        for seed in (0, 1)
    ]
    lines = ablation_table.markdown("data", results).splitlines()
    assert "| attraction only | 2.5 ± 2.5 | 5.0 ± 0.0 | 2.5 | 5.0 | 25 | 0.5 | 3.7 | 2.2e+06 |" in lines
    assert lines[-1] == "| field joint (ours) | 2.5 ± 2.5 | 5.0 ± 0.0 | 2.5 | 5.0 | 25 | 0.5 |  |  |"
    results += [
        replace(result, maze="large", outcomes={1: outcomes(8, 12), 16: outcomes(9)}) for result in results
    ]
    assert "| 10.0 ± 0.0 | 9.0 ± 0.0 | 6.2 | 7.0 | 25 |" in ablation_table.markdown("data", results)


def test_from_nothing_to_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation_table, "VARIANTS", VARIANTS[:2])
    monkeypatch.setattr(ablation, "VARIANTS", VARIANTS[:2])
    said: list[str] = []

    def run() -> dict:
        return ablation_table.run_table(
            tmp_path / "p", tmp_path, TINY, 1, said.append, lambda label, *_: said.append(label)
        )

    first = run()
    assert any("2 of 2 planners" in line for line in said) and len(said) == 7
    assert run()["rows"] == first["rows"] and len(said) == 7  # nothing is done twice
    rows = long_format.read(tmp_path / "ablation.json")["rows"]
    found = {(r["task"], r["method"], r["metric"]) for r in rows}
    assert ("maze2d-umaze", "full-window distances", "action_diversity") in found
    assert ("maze2d", "full method (published)", "score") in found
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")
