"""Configuration files: what they give, and one line for what is wrong in them."""

from pathlib import Path

import pytest

from kdp_core.exceptions import ConfigError
from kdp_core.run_config import RunConfig, load_run_config

CONFIGS = Path(__file__).resolve().parents[3] / "training" / "configs"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def test_values_reach_their_fields(tmp_path: Path) -> None:
    text = """
out: a/b
artifact: null
threads: 3
train: {field: kdp, steps: 12, learning_rate: 1, temperatures: [0.1, 2], kdp: {repulsion: false},
        network: {width: 8}, scorer: {steps: 5}}
collect: {worlds: 7, poles: [2, 3], expert: {speed: 0.5}}
"""
    config = load_run_config(written(tmp_path, text))
    assert config.out == Path("a/b") and config.artifact is None and config.threads == 3
    train = config.train
    assert (train.field, train.steps, train.learning_rate) == ("kdp", 12, 1.0)
    assert isinstance(train.learning_rate, float) and train.temperatures == (0.1, 2.0)
    assert not train.kdp.repulsion and train.network.width == 8 and train.scorer.steps == 5
    assert config.collect.poles == (2, 3) and config.collect.expert.speed == 0.5
    assert train.samples == RunConfig().train.samples  # what is not named keeps its default


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_configurations_of_the_repository_load(path: Path) -> None:
    assert load_run_config(path).task in ("flight", "pick_place", "stack", "generic", "maze2d-umaze")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour: red", "unknown field 'colour'; known: artifact, calibration, collect,"),
        ("train: {colour: red}", "unknown field 'train.colour'"),
        ("train: {network: {depth: 2}}", "unknown field 'train.network.depth'"),
        ("train: 3", "'train' must be a mapping, got int"),
        ("- 1", "'file' must be a mapping, got list"),
        ("", "'file' must be a mapping, got NoneType"),
        ("threads: two", "'threads' must be int, got 'two'"),
        ("threads: true", "'threads' must be int, got True"),
        ("threads: 1.5", "'threads' must be int"),
        ("threads: 0", "threads must be at least 1, got 0"),
        ("horizon: -1", "horizon must be at least 1"),
        ("out: 3", "'out' must be Path, got 3"),
        ("train: {learning_rate: fast}", "'train.learning_rate' must be float"),
        ("train: {learning_rate: .nan}", "train.learning_rate must be greater than 0"),
        ("train: {field: magic}", "'train.field' must be one of joint, kdp, energy, mean, got 'magic'"),
        ("train: {temperatures: 0.1}", "'train.temperatures' must be a list"),
        ("train: {temperatures: [a]}", "'train.temperatures' must be float"),
        ("collect: {poles: [1]}", "'collect.poles' must be a list of 2 numbers"),
        ("train: {steps: 0}", "train.steps must be at least 1"),
        ("train: {network: {width: 0}}", "train.network.width must be at least 1"),
        ("train: {scorer: {learning_rate: -1}}", "train.scorer.learning_rate must be greater than 0"),
        ("train: {kdp: {repulsion: 1}}", "'train.kdp.repulsion' must be bool"),
        ("train: [1", "not YAML"),
    ],
)
def test_one_line_names_file_and_field(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_run_config(path)
    line = str(caught.value)
    assert line.startswith(str(path)) and words in line and "\n" not in line


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_run_config(tmp_path / "none.yaml")
