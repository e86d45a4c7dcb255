"""The toy's data and metrics against what they must be, and a short run of the command."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from kdp_core.benchmarks import long_format, toy
from kdp_core.exceptions import ConfigError

CONSOLE = Console(quiet=True)
METRICS = {"mean_error", "variance_ratio", "minor_mode_mass", "energy_distance"}


def arguments(tmp_path: Path, **more) -> toy.Args:
    return toy.Args(**{"json": tmp_path / "toy.json", "conditions": 16, "samples": 400, "bank": 5000, **more})


class Oracle(nn.Module):
    """Draws from the true distribution (or only its major mode), with noise of its own."""

    def __init__(self, minor: float) -> None:
        super().__init__()
        self.minor, self.rng = minor, np.random.default_rng(3)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        major, minor = toy.modes(c[:, 0].double().numpy())
        is_minor = self.rng.random((*c.shape[:2], 1)) < self.minor
        centre = np.where(is_minor, minor[:, None], major[:, None])
        return torch.from_numpy(centre + toy.NOISE * self.rng.standard_normal(centre.shape))


def test_metrics_of_the_true_distribution(tmp_path: Path) -> None:
    means = {name: v.mean() for name, v in toy.evaluate(Oracle(0.3), arguments(tmp_path)).items()}
    assert means["mean_error"] < 0.1
    assert means["variance_ratio"] == pytest.approx(1.0, abs=0.05)
    assert means["minor_mode_mass"] == pytest.approx(0.3 * (1.0 - np.exp(-4.5)), abs=0.02)
    assert abs(means["energy_distance"]) < 0.01


def test_metrics_of_a_planner_that_knows_one_mode_only(tmp_path: Path) -> None:
    means = {name: v.mean() for name, v in toy.evaluate(Oracle(0.0), arguments(tmp_path)).items()}
    assert means["minor_mode_mass"] < 0.01
    assert means["variance_ratio"] < 0.1
    assert means["energy_distance"] > 0.2


def test_modes_follow_their_definition() -> None:
    major, minor = toy.modes(np.array([[0.5, -0.25, 1.0, 0.2]]))
    d = 1.3 * np.array([np.cos(0.5), np.sin(0.5)])
    np.testing.assert_allclose(major[0], [0.1 + d[0], 0.5 + d[1]])
    np.testing.assert_allclose(minor[0], [0.1 - d[0], 0.5 - d[1]])


def test_bank_lists_the_nearest_conditions_first() -> None:
    bank = toy.Bank(np.random.default_rng(0), 300, 5)
    for i in (0, 17, 299):
        by_distance = (bank.key - bank.key[i]).norm(dim=1).argsort()[:5]
        assert bank.index[i].tolist() == by_distance.tolist()
    torch.testing.assert_close(bank.log_weight.exp().sum(dim=1), torch.ones(300))


def test_a_short_run_already_separates_joint_from_mean(tmp_path: Path) -> None:
    rows = toy.run(arguments(tmp_path, fields=("joint", "mean"), seeds=(0,), steps=300), CONSOLE)
    assert long_format.read(tmp_path / "toy.json")["rows"] == rows
    value = {(row["method"], row["metric"]): row["value"] for row in rows}
    assert value["joint", "variance_ratio"] > 0.7 > 0.05 > value["mean", "variance_ratio"]
    assert value["joint", "energy_distance"] < 0.5 * value["mean", "energy_distance"]


def test_a_short_run_of_diffusion_already_beats_the_mean(tmp_path: Path) -> None:
    """Its variance is far from right after so few steps, and its samples are no copies of the mean."""
    rows = toy.run(arguments(tmp_path, fields=("diffuser", "mean"), seeds=(0,), steps=300), CONSOLE)
    value = {(row["method"], row["metric"]): row["value"] for row in rows}
    assert value["diffuser", "variance_ratio"] > 0.5 > 0.05 > value["mean", "variance_ratio"]
    assert value["diffuser", "energy_distance"] < 0.7 * value["mean", "energy_distance"]


def test_runs_repeat_exactly(tmp_path: Path) -> None:
    args = arguments(tmp_path, fields=("energy", "kdp", "diffuser"), seeds=(4,), steps=5)
    assert toy.run(args, CONSOLE) == toy.run(args, CONSOLE)


def test_wrong_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bank: 10"):
        toy.run(arguments(tmp_path, bank=10), CONSOLE)
    with pytest.raises(ConfigError, match="steps"):
        toy.run(arguments(tmp_path, steps=0), CONSOLE)
    assert not (tmp_path / "toy.json").exists()


def run_command(*options: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(
        [sys.executable, "-m", "kdp_core.benchmarks.toy", *options],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


def test_command_writes_rows_for_each_field_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    sizes = ["--steps", "3", "--bank", "200", "--conditions", "3", "--samples", "20"]
    done = run_command("--json", str(path), "--fields", "kdp", "joint", "--seeds", "0", "1", *sizes)
    assert done.returncode == 0, done.stderr
    assert "variance" in done.stderr
    found = {(row["method"], row["seed"], row["metric"]) for row in long_format.read(path)["rows"]}
    assert found == {
        (field, seed, metric) for field in ("kdp", "joint") for seed in (0, 1) for metric in METRICS
    }


def test_command_says_what_is_wrong_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["toy", "--json", str(tmp_path / "toy.json"), "--bank", "3"])
    assert toy.main() == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: bank: 3")
    assert "\n" not in message
