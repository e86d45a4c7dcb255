"""Planners that are there: taken if they were trained as wanted, whatever has become configurable since."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from kdp_core.baselines.diffuser_config import DiffuserConfig
from kdp_core.benchmarks.training_runs import METHODS, POLICY_METHODS, settings_of, trained
from kdp_core.exceptions import DataError
from kdp_core.generator import NetworkSize
from kdp_core.run_config import RunConfig
from kdp_core.train_config import TrainConfig


def left_by(config: RunConfig, change: Any = None) -> None:
    """What a training leaves of its configuration, after ``change`` of it."""
    configuration = json.loads(json.dumps(asdict(config), default=str))
    if change is not None:
        change(configuration)
    folder = config.out / "artifact"
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text(json.dumps({"configuration": configuration}))


def without_the_base(configuration: dict[str, Any]) -> None:
    del configuration["train"]["network"]["base_blocks"], configuration["train"]["base_share"]


def test_what_came_later_counts_as_its_default_at_every_level(tmp_path: Path) -> None:
    config = RunConfig(out=tmp_path / "old", train=TrainConfig(network=NetworkSize(width=64)))
    assert not trained(config)
    left_by(config, without_the_base)
    assert trained(config)
    wanted = replace(config, train=replace(config.train, network=NetworkSize(width=64, base_blocks=2)))
    with pytest.raises(DataError, match="trained with another configuration"):
        trained(wanted)


def test_where_things_are_does_not_matter_but_sizes_do(tmp_path: Path) -> None:
    config = RunConfig(out=tmp_path / "run", data="here", threads=1)
    left_by(config)
    assert trained(replace(config, data="there", threads=4))
    with pytest.raises(DataError, match="trained with another configuration"):
        trained(replace(config, train=replace(config.train, network=NetworkSize(width=64))))


def test_methods_have_equal_steps_and_windows_and_two_of_them_a_base() -> None:
    train = TrainConfig(steps=70, conditions=8, samples=4, network=NetworkSize(width=16, base_blocks=2))
    for method in (*METHODS, *POLICY_METHODS):
        settings = settings_of(method, train, DiffuserConfig())
        assert (settings.steps, settings.conditions * settings.samples) == (70, 32)
        assert settings.network.base_blocks == (2 if method in ("joint", "energy") else 0)
        assert settings.base_steps == (21 if method in ("joint", "energy") else 0)
