"""Configuration of a training run: one dataclass, from a YAML file and the command line."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kdp_core.exceptions import ConfigError
from kdp_core.files import load_yaml
from kdp_core.ranges import at_least
from kdp_core.sim.flight_collect import CollectOptions
from kdp_core.sim.maze2d_options import MazeCollectOptions
from kdp_core.sim.tabletop_options import TabletopCollectOptions
from kdp_core.tasks.control import ControlOptions
from kdp_core.train_config import TrainConfig


@dataclass(frozen=True)
class RunConfig:
    """A training run from data to artifact."""

    task: str = "flight"
    """Task by name; `generic` takes states and actions of any data set as they are, `control` too (below)."""
    data: str | None = None
    """Minari id or path, LeRobotDataset folder, D4RL HDF5 file. Without it robot tasks collect their own."""
    data_unit: Literal["rad", "deg", "normalized", "raw"] | None = None
    """Unit of the joints of a LeRobotDataset that does not say it (raw: leave the numbers as they are)."""
    calibration: Path | None = None
    """lerobot's calibration file of the recorded arm, for --data-unit normalized (or deg by lerobot)."""
    out: Path = Path("out/train/crazyflie")
    """Folder for checkpoints, logs and the artifact."""
    artifact: Path | None = None
    """Where the artifact goes; default: OUT/artifact."""
    threads: int = 2
    """PyTorch threads (results are reproducible for an equal number)."""
    horizon: int = 32
    """Rows of a window (shipped planners: flight 32, tabletop 16; mazes 128 to 384; 1: cloning)."""
    control: ControlOptions = field(default_factory=ControlOptions)
    """Windows of task control, which are worth the return from their first row to the episode's end."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Training."""
    collect: CollectOptions = field(default_factory=CollectOptions)
    """Data collection of task flight, if no data are given."""
    demonstrations: TabletopCollectOptions = field(default_factory=TabletopCollectOptions)
    """Data collection of tasks pick_place and stack, if no data are given."""
    mazes: MazeCollectOptions = field(default_factory=MazeCollectOptions)
    """Data collection of tasks maze2d-* and routes-*, if no data are given."""

    def __post_init__(self) -> None:
        at_least(self, 1, "threads", "horizon")
        q_learning = self.train.q_learning
        if q_learning.weight:
            wanted = (
                ("task", self.task, "control"),
                ("horizon", self.horizon, 1),
                ("control.transitions", self.control.transitions, True),
                ("train.q_learning.discount", q_learning.discount, self.control.discount),
            )
            for name, found, right in wanted:
                if found != right:
                    raise ConfigError(f"{name} must be {right} with train.q_learning.weight, got {found}")
            if self.train.method == "diffuser" and self.train.diffuser.network == "unet":
                raise ConfigError("train.diffuser.network must be mlp with train.q_learning.weight, got unet")


def load_run_config(path: Path) -> RunConfig:
    """Read a YAML file.

    Raises ConfigError naming the file and the field that is unknown or of a wrong type.
    """
    content = load_yaml(path)
    config: RunConfig = _build(RunConfig, content, str(path), "")
    return config


def _build(cls: Any, content: Any, where: str, prefix: str) -> Any:
    if not isinstance(content, dict):
        raise ConfigError(
            f"{where}: '{prefix.rstrip('.') or 'file'}' must be a mapping, got {type(content).__name__}"
        )
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    values = {}
    for name, value in content.items():
        if name not in known:
            raise ConfigError(f"{where}: unknown field '{prefix}{name}'; known: {', '.join(sorted(known))}")
        values[name] = _convert(hints[name], value, where, f"{prefix}{name}")
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _convert(kind: Any, value: Any, where: str, name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where, f"{name}.")
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value, where, name)
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigError(
                f"{where}: '{name}' must be one of {', '.join(map(str, arguments))}, got {value!r}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, list) or (Ellipsis not in arguments and len(value) != len(arguments)):
            raise ConfigError(f"{where}: '{name}' must be a list of {len(arguments)} numbers, got {value!r}")
        return tuple(_convert(arguments[0], v, where, name) for v in value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise ConfigError(f"{where}: '{name}' must be {getattr(kind, '__name__', kind)}, got {value!r}")
