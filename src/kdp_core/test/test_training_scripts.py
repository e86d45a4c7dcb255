"""The training scripts end to end at the smallest size: collect, train, export, evaluate, go on."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from kdp_core.artifact import load_artifact
from kdp_core.datasets import open_episodes

TRAINING = Path(__file__).resolve().parents[3] / "training"
TINY = """
threads: 1
collect: {worlds: 4, poles: [2, 4], states: 2, branches: 2, rows: 34}
train:
  steps: 6
  conditions: 8
  samples: 4
  neighbours: 2
  components: 6
  warmup: 2
  network: {width: 16, blocks: 1, scorer_width: 16}
  scorer: {steps: 6, conditions: 8, samples: 4}
"""


def run(script: str, arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [script, *arguments.split()])
    runpy.run_path(str(TRAINING / script), run_name="__main__")


def test_collect_train_export_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    run("train_kdp.py", "--config tiny.yaml --out run --train.seed 4", monkeypatch)
    made = load_artifact("run/artifact")
    assert made.provenance["seed"] == 4 and made.provenance["configuration"]["train"]["steps"] == 6
    data = open_episodes("run/data/crazyflie-poles-v0")
    assert made.provenance["episodes"] == len(data) > 4
    assert made.provenance["data_sha256"] == data.hash
    assert list(Path("run/tensorboard").iterdir())
    assert "artifact: run/artifact" in capsys.readouterr().out.replace("\n", " ")

    arguments = "--artifact run/artifact --worlds 2 --poles 3 --candidates 4 --processes 1 --json result.json"
    run("evaluate.py", arguments, monkeypatch)
    result = json.loads(Path("result.json").read_text())
    assert result["n"] == 2 and len(result["outcomes"]) == 2
    assert {o["reason"] for o in result["outcomes"]} <= {
        "success",
        "collision",
        "left the arena",
        "time limit",
    }
    assert "3 poles, 0 collisions, K = 4: success" in capsys.readouterr().out.replace("\n", " ")

    with pytest.raises(SystemExit) as caught:  # the checkpoint belongs to another configuration
        run("train_kdp.py", "--config tiny.yaml --out run --train.seed 5", monkeypatch)
    assert caught.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "was written with another config" in lines[0]
    assert load_artifact("run/artifact").provenance == made.provenance
