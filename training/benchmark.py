#!/usr/bin/env python3
"""Benchmark tables; an interrupted run keeps what is finished, and the same command goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from kdp_core.benchmarks import (
    ablation_table,
    arm_table,
    cost_table,
    flight_table,
    gym_run,
    gym_table,
    hardware_table,
    maze_table,
    routes_figure,
    routes_table,
)
from kdp_core.benchmarks.gym_suites import SuiteName
from kdp_core.benchmarks.gym_training import Source
from kdp_core.benchmarks.maze_figure import save_figure
from kdp_core.benchmarks.maze_training import train_missing
from kdp_core.benchmarks.progress import progress_bar, say
from kdp_core.benchmarks.spread import Spread
from kdp_core.benchmarks.training_runs import pairs
from kdp_core.cli import user_errors


@dataclass
class Table:
    """What every table takes."""

    planners: Path = Path("out/train")
    """Folder with one training folder per planner (docs/*-benchmark.md say how they are trained)."""
    out: Path = Path("out/bench")
    """Folder of TABLE.json and TABLE.md."""
    quick: bool = False
    """A tenth of it."""


@dataclass
class Flight(Table):
    """Unseen worlds in lockstep: what is learned, what ranking gives, what each field gives."""

    processes: int = os.cpu_count() or 1
    """Worker processes."""
    options: flight_table.TableOptions = field(default_factory=flight_table.TableOptions)
    """How much is flown."""

    def run(self) -> Path:
        """Fly what is missing; returns the Markdown table."""
        options = flight_table.smaller(self.options, 20) if self.quick else self.options
        with progress_bar() as show:
            flight_table.run_table(self.planners, self.out, options, self.processes, show)
        return self.out / "flight.md"


@dataclass
class Arm(Table):
    """Unseen scenes in lockstep: candidates, chunks and baselines on pick-place and stacking."""

    processes: int = os.cpu_count() or 1
    """Worker processes."""
    options: arm_table.ArmTableOptions = field(default_factory=arm_table.ArmTableOptions)
    """How much is run."""

    def run(self) -> Path:
        """Run what is missing; returns the Markdown table."""
        options = arm_table.smaller(self.options, 20) if self.quick else self.options
        with progress_bar() as show:
            arm_table.run_table(self.planners, self.out, options, self.processes, show)
        return self.out / "arm.md"


@dataclass
class Hardware(Table):
    """Table VII: both robots over the whole ROS graph in real time, one-step planner and baselines."""

    options: hardware_table.HardwareOptions = field(default_factory=hardware_table.HardwareOptions)
    """How much is run."""

    def run(self) -> Path:
        """Run what is missing; returns the Markdown table."""
        options = hardware_table.HardwareOptions(3, 1, 1) if self.quick else self.options
        hardware_table.run_table(self.planners, self.out, options, say)
        return self.out / "hardware.md"


@dataclass
class TrainingTable(Table):
    """What tables take that train what is missing."""

    processes: int = os.cpu_count() or 1
    """Worker processes of the evaluation."""
    spread: Annotated[Spread, tyro.conf.arg(name="")] = field(default_factory=Spread)
    """Where trainings run."""


@dataclass
class Maze(TrainingTable):
    """Maze2D: fields and baselines at equal budgets; collects, trains and evaluates what is missing."""

    options: maze_table.MazeTableOptions = field(default_factory=maze_table.MazeTableOptions)
    """How much is run."""

    def run(self) -> Path:
        """Run what is missing, maze by maze; returns the Markdown table."""
        name = "maze-quick" if self.quick else "maze"
        options, folder = maze_table.QUICK if self.quick else self.options, self.planners / name
        for number, maze in enumerate(options.mazes):
            planners = pairs(options.methods, options.seeds, options.other_seeds)
            train_missing(maze, planners, options.training, folder, say, self.spread)
            sofar = replace(options, mazes=options.mazes[: number + 1])
            with progress_bar() as show:
                document = maze_table.run_table(folder, self.out, sofar, self.processes, show, name)
            save_figure(document, maze_table.PUBLISHED, self.out / f"{name}.png")
        return self.out / f"{name}.md"


@dataclass
class Cost:
    """Table II: evaluations and milliseconds of a plan, methods interleaved, and end to end over ROS."""

    out: Path = Path("out/bench")
    """Folder of cost.json, cost.md and cost.png."""
    quick: bool = False
    """K = 64 only and few rounds."""
    options: cost_table.CostTableOptions = field(default_factory=cost_table.CostTableOptions)
    """How much is measured."""

    def run(self) -> Path:
        """Measure; returns the Markdown table."""
        options = cost_table.QUICK if self.quick else self.options
        cost_table.run_table(self.out, options, say)
        return self.out / "cost.md"


@dataclass
class Ablation(TrainingTable):
    """Table IV: the paper's field with one part changed, on Maze2D; trains and evaluates what is missing."""

    options: ablation_table.AblationOptions = field(default_factory=ablation_table.AblationOptions)
    """How much is run."""

    def run(self) -> Path:
        """Run what is missing, maze by maze; returns the Markdown table."""
        name, mazes = ("ablation-quick", "maze-quick") if self.quick else ("ablation", "maze")
        options = ablation_table.QUICK if self.quick else self.options
        with progress_bar() as show:
            ablation_table.run_table(
                self.planners / mazes, self.out, options, self.processes, say, show, self.spread, name
            )
        return self.out / f"{name}.md"


@dataclass
class Routes(TrainingTable):
    """Mazes with loops: do plans spread over the routes as the data do? Collects, trains and evaluates."""

    options: routes_table.RoutesTableOptions = field(default_factory=routes_table.RoutesTableOptions)
    """How much is run."""

    def run(self) -> Path:
        """Run what is missing, maze by maze; returns the Markdown table."""
        name = "routes-quick" if self.quick else "routes"
        options, folder = routes_table.QUICK if self.quick else self.options, self.planners / name
        for number, maze in enumerate(options.mazes):
            planners = pairs(options.methods, options.seeds, options.other_seeds)
            train_missing(maze, planners, options.training, folder, say, self.spread)
            sofar = replace(options, mazes=options.mazes[: number + 1])
            with progress_bar() as show:
                routes_table.run_table(folder, self.out, sofar, show, name)
            routes_figure.save_figure(folder, sofar, self.out / f"{name}.png")
        return self.out / f"{name}.md"


@dataclass
class Gym(TrainingTable):
    """What the tables in Gymnasium's environments share."""

    policies: Path | None = None
    """Folder of policy files (.npz) to roll out (docs/locomotion-benchmark.md says which)."""
    data: Path | None = None
    """Folder of data sets instead: D4RL's HDF5 files or Minari folders, by D4RL's names."""
    options: gym_table.GymTableOptions = field(default_factory=gym_table.GymTableOptions)
    """How much is run."""
    name: ClassVar[SuiteName]

    def run(self) -> Path:
        """Run what is missing, data set by data set; returns the Markdown table."""
        return gym_run.run_suite(
            self.name,
            f"{self.name}-quick" if self.quick else self.name,
            Source(self.policies, self.data),
            self.planners,
            self.out,
            gym_table.QUICK[self.name] if self.quick else self.options,
            self.processes,
            say,
            progress_bar,
            self.spread,
        )


@dataclass
class Locomotion(Gym):
    """HalfCheetah, Hopper and Walker2d, medium and medium-expert: collects, trains and evaluates."""

    name: ClassVar[SuiteName] = "locomotion"


@dataclass
class Antmaze(Gym):
    """An ant that walks to goals in a maze, U and medium: collects by a script, trains and evaluates."""

    name: ClassVar[SuiteName] = "antmaze"


@dataclass
class Adroit(Gym):
    """Pen, door, hammer and relocate with the Adroit hand: collects, trains and evaluates."""

    name: ClassVar[SuiteName] = "adroit"


@dataclass
class Chunking(Gym):
    """Success of the Adroit hand that executes 1 or 8 actions of a plan, with the planners of `adroit`."""

    name: ClassVar[SuiteName] = "chunking"


Command = (
    Annotated[Flight, tyro.conf.subcommand("flight")]
    | Annotated[Arm, tyro.conf.subcommand("arm")]
    | Annotated[Hardware, tyro.conf.subcommand("hardware")]
    | Annotated[Cost, tyro.conf.subcommand("cost")]
    | Annotated[Ablation, tyro.conf.subcommand("ablation")]
    | Annotated[Maze, tyro.conf.subcommand("maze")]
    | Annotated[Routes, tyro.conf.subcommand("routes")]
    | Annotated[Locomotion, tyro.conf.subcommand("locomotion")]
    | Annotated[Antmaze, tyro.conf.subcommand("antmaze")]
    | Annotated[Adroit, tyro.conf.subcommand("adroit")]
    | Annotated[Chunking, tyro.conf.subcommand("chunking")]
)


@user_errors
def main() -> None:
    """Run and print the table."""
    command = tyro.cli(Command, description=__doc__)  # type: ignore[arg-type]
    print(command.run().read_text())  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
