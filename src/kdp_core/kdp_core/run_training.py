"""A training run end to end: data -> windows -> neighbourhood -> generator -> scorer -> artifact."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdp_core import __version__
from kdp_core.artifact import require_replaceable
from kdp_core.datasets import Episodes, open_episodes
from kdp_core.datasets.lerobot_format import INFO, UNIT_KEY
from kdp_core.exceptions import ConfigError
from kdp_core.export import export_artifact
from kdp_core.model import KdpModel
from kdp_core.neighbourhood import Neighbourhood
from kdp_core.prepare import Prepared, prepare
from kdp_core.run_config import RunConfig
from kdp_core.scorer import (
    Labeller,
    Pool,
    draw_pool,
    require_scorer,
    scorer_steps,
    train_scorer,
    value_correlation,
)
from kdp_core.sim.flight_collect import CollectOptions
from kdp_core.sim.flight_dataset import collect_flights
from kdp_core.sim.tabletop_options import TabletopCollectOptions
from kdp_core.tasks import Task, make_task
from kdp_core.tasks.control import control_task
from kdp_core.tasks.flight import FlightTask
from kdp_core.tasks.generic import generic_task
from kdp_core.tasks.maze import MazeTask, maze_name
from kdp_core.tasks.tabletop import TabletopName, TabletopTask
from kdp_core.train_config import TrainConfig
from kdp_core.trainer import Progress as Step
from kdp_core.trainer import Trainer
from kdp_core.training_display import Display
from kdp_core.windows import keys


def run_training(config: RunConfig, plain: dict[str, Any]) -> Path:
    """Run (or go on with) training and return the artifact's path.

    Raises KdpError on anything a user got wrong.
    """
    torch.set_num_threads(config.threads)
    target = config.artifact or config.out / "artifact"
    if config.out.exists() and not config.out.is_dir():
        raise ConfigError(f"{config.out}: is a file, expected a folder for --out")
    require_replaceable(target)  # before hours of training, not after
    display = Display(config.out / "tensorboard")
    start = time.monotonic()
    prepared, task = _data(config, display)
    labeller = task.labeller(prepared.batch)
    require_scorer(prepared.spec, config.train.network, labeller)
    neighbourhood = _neighbourhood(prepared, config, display) if config.train.method == "kdp" else None
    trainer = Trainer(
        prepared.batch, prepared.spec, config.train, config.out, neighbourhood, prepared.data_hash
    )
    if trainer.resume():
        display.console.print(f"going on from step {trainer.step} of {trainer.path}")
    with display.phase("generator", config.train.steps) as update:

        def show(step: Step) -> None:
            drift = (
                "" if np.isnan(step.magnitude) else f" drift {step.magnitude:+.2f} spread {step.spread:.2f}"
            )
            note = f"{step.step}/{step.steps} loss {step.loss:.4f}{drift} {step.steps_per_s:.3g} steps/s"
            update(step.step, note)
            display.scalars(
                step.step,
                loss=step.loss,
                raw_drift=step.magnitude,
                spread=step.spread,
                steps_per_s=step.steps_per_s,
            )

        model = trainer.run(show)
    model.requires_grad_(True)
    correlation = _scorer(model, prepared, labeller, config, display)
    display.close()
    provenance = {
        **_method(config.train),
        "nfe": model.nfe,
        "seed": config.train.seed,
        "data_id": prepared.data_id,
        "data_sha256": prepared.data_hash,
        "episodes": prepared.episodes,
        "windows": len(prepared.batch),
        "configuration": json.loads(json.dumps(plain, default=str)),
        "metrics": {"scorer_rank_correlation": round(correlation, 4)},
        "code_version": __version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "seconds": round(time.monotonic() - start, 1),
    }
    path = export_artifact(model, target, provenance)
    display.console.print(
        f"artifact: {path}  ({len(prepared.batch)} windows of {prepared.episodes} episodes, "
        f"scorer rank correlation {correlation:.3f}, {time.monotonic() - start:.0f} s)"
    )
    return path


def _method(train: TrainConfig) -> dict[str, Any]:
    """What an artifact tells of how its windows come about."""
    if train.method == "kdp":
        return {"method": "kdp", "field": train.field}
    critics = {"q_learning": train.q_learning.weight} if train.q_learning.weight else {}
    if train.method == "consistency":
        return {"method": "consistency", "levels": list(train.consistency.sample_levels), **critics}
    return {
        **critics,
        "method": "diffuser",
        "network": train.diffuser.network,
        "sampler": train.diffuser.sampler,
        "diffusion_steps": train.diffuser.diffusion_steps,
    }


def _scorer(
    model: KdpModel, prepared: Prepared, labeller: Labeller | None, config: RunConfig, display: Display
) -> float:
    """Train the scorer, unless critics have; returns its rank correlation."""
    if config.train.q_learning.weight:
        return value_correlation(model, prepared.batch, config.train.seed)
    pool = _pool(model, prepared, config, display) if labeller is not None and model.nfe > 1 else None
    with display.phase("scorer", scorer_steps(config.train.scorer, config.train.network)) as update:

        def show(step: int, steps: int, loss: float, rate: float) -> None:
            update(step, f"{step}/{steps} loss {loss:.4f} {rate:.0f} steps/s")
            display.scalars(step, scorer_loss=loss)

        return train_scorer(
            model, prepared.batch, config.train.scorer, labeller, config.train.seed, show, pool
        )


def _pool(model: KdpModel, prepared: Prepared, config: RunConfig, display: Display) -> Pool:
    with display.phase("samples", config.train.scorer.pool) as update:
        return draw_pool(
            model, prepared.batch, config.train.scorer, config.train.seed,
            lambda done, total: update(done, f"{done}/{total} conditions"),
        )  # fmt: skip


def _data(config: RunConfig, display: Display) -> tuple[Prepared, Task]:
    data = config.data
    if data is None:
        data = str(_collect(config, display))
    episodes = _open(config, data)
    task = _task(config, episodes)
    with display.phase("windows", 1) as update:
        prepared = prepare(
            episodes, task, lambda done, total: update(done, f"{done}/{total} episodes", total)
        )
    return prepared, task


def _collect(config: RunConfig, display: Display) -> Path:
    """The task's own data in OUT/data, collected unless they are there already."""
    processes = os.cpu_count() or 1
    if config.task == "flight":
        folder = config.out / "data" / "crazyflie-poles-v0"
        if not _collected(folder / "data" / "metadata.json", config.collect):
            with display.phase("collecting", config.collect.worlds) as update:
                collect_flights(
                    config.collect, folder, processes, True,
                    lambda done, total, flights: update(done, f"{done}/{total} worlds, {flights} flights"),
                )  # fmt: skip
        return folder
    if name := _tabletop(config):
        from kdp_core.sim.tabletop_dataset import collect_tabletop  # MuJoCo, which no other task needs

        folder, options = config.out / "data" / f"so100_{name}", config.demonstrations
        if not _collected(folder / INFO, options):
            with display.phase("collecting", options.episodes) as update:
                collect_tabletop(
                    name, options, folder, processes, True,
                    lambda done, total, kept: update(done, f"{done}/{total} scenes, {kept} kept"),
                )  # fmt: skip
        return folder
    if maze := maze_name(config.task):
        from kdp_core.sim.maze2d_collect import collect_maze

        with display.phase("collecting", config.mazes.steps) as update:
            return collect_maze(
                maze, config.mazes, config.out / "data" / f"{config.task}.hdf5",
                lambda done, total: update(done, f"{done}/{total} steps"),
            )  # fmt: skip
    raise ConfigError(f"data: task '{config.task}' collects no data by itself; give a data set with --data")


def _open(config: RunConfig, data: str) -> Episodes:
    """The data set; tasks generic and control take joints as they are, any other needs to know their unit."""
    unit = config.data_unit or ("raw" if config.task in ("generic", "control") else None)
    return open_episodes(data, data_unit=unit, calibration=config.calibration)


def _task(config: RunConfig, episodes: Episodes) -> Task:
    if config.task == "generic":
        return generic_task(episodes, config.horizon)
    if config.task == "control":
        return control_task(episodes, config.horizon, config.control)
    if config.task == "flight":
        return FlightTask(horizon=config.horizon)
    if name := _tabletop(config):
        return TabletopTask(name, config.horizon)
    if maze := maze_name(config.task):
        return MazeTask(maze, config.horizon)
    # Other packages' tasks have windows of their own length; one row is asked for, behaviour cloning.
    return make_task(config.task, 1 if config.horizon == 1 else None)


def _tabletop(config: RunConfig) -> TabletopName | None:
    names: tuple[TabletopName, ...] = ("pick_place", "stack")
    return next((name for name in names if name == config.task), None)


def _collected(metadata: Path, options: CollectOptions | TabletopCollectOptions) -> bool:
    """Whether a data set's ``metadata`` says that it was made with the same options."""
    try:
        content = json.loads(metadata.read_text())
        made = content.get(UNIT_KEY, content)["collect_options"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(made == json.loads(json.dumps(asdict(options))))


def _neighbourhood(prepared: Prepared, config: RunConfig, display: Display) -> Neighbourhood:
    batch = prepared.batch
    scenes = batch.scene if (batch.scene >= 0).all() and len(np.unique(batch.scene)) > 1 else None
    with display.phase("neighbours", 1) as update:
        return Neighbourhood(
            keys(batch, prepared.spec),
            batch.group,
            scenes,
            config.train.neighbours,
            config.train.key_temperature,
            lambda share: update(share, f"{len(batch)} windows"),
        )
