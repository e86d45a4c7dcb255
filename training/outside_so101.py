#!/usr/bin/env python3
"""Outside check: the planner in somebody else's pick-and-place, ``lerobot-env-so101`` from PyPI (Apache-2.0).

Three steps, which ``make outside-so101`` runs in turn: ``collect`` stores demonstrations by that package's
own scripted controller as a LeRobotDataset; ``train_kdp.py`` learns from it as from any other; ``evaluate``
runs the artifact in unseen episodes. Nothing of robot or task is known to the planner beyond the data.

That controller counts steps while its jaws close and open, which no single observation shows. So the planner
is told what it commanded itself: the jaws' last command, and how long ago that changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.progress import track

from kdp_core.cli import user_errors
from kdp_core.controller import Controller, ControllerOptions
from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.lerobot_units import RAW
from kdp_core.datasets.lerobot_writer import write_lerobot
from kdp_core.exceptions import ConfigError
from kdp_core.files import write_json
from kdp_core.planner import Planner
from kdp_core.proportions import wilson
from kdp_core.tasks.generic import GenericTask

ENVIRONMENT = "lerobot_env_so101/SO101PickPlace-v0"
ACTION_SCALE = 0.025
"""m per unit of position action: the scripted controller fails with the environment's default of 1."""
RATE_HZ = 10
STEP_LIMIT = 300
AFTER_SUCCESS = 16
"""Steps recorded after success, so that windows reach up to it."""
STATE, SCENE = "observation.state", "observation.environment_state"
EVALUATION_SEED = 1_000_000
JAW_MEMORY = 10
"""Steps after which a change of the jaws' command is long ago (the controller holds still for 10 and 8)."""


def make_environment() -> Any:
    """The environment, with block and goal at random. Raises ConfigError where it is not installed."""
    try:
        import gymnasium
        import lerobot_env_so101  # noqa: F401  # registers it
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed here; run this with `make outside-so101`") from None
    return gymnasium.make(
        ENVIRONMENT, random_block_position=True, action_scale=ACTION_SCALE, disable_env_checker=True
    ).unwrapped


def relative(grasp: np.ndarray, block: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Block from grasp point, goal from block, grasp point (9,), m: as our own arm's tasks see the table.

    In absolute coordinates millimetres are differences of large numbers, which is hard to learn.
    """
    return np.concatenate([block - grasp, goal - block, grasp])


class JawCommand:
    """The jaws' last command and its age, as inputs: what the planner knows of its own past."""

    def __init__(self) -> None:
        self._open, self._age = True, JAW_MEMORY

    def tell(self, action: np.ndarray) -> None:
        """Note an executed ``action`` (4,): hand displacement, then jaws from 0 (closed) to 1 (open)."""
        opened = bool(action[3] > 0.5)
        self._age = min(self._age + 1, JAW_MEMORY) if opened == self._open else 1
        self._open = opened

    def inputs(self) -> np.ndarray:
        """(2,): 1 for open, 0 for closed; age from 0 to 1."""
        return np.array([float(self._open), self._age / JAW_MEMORY])


def record(seed: int, noise: float) -> Episode | None:
    """One demonstration (10 Hz), None if it failed.

    Half of the steps get noise (standard deviation ``noise`` of the action's range) on what is executed; what
    is recorded is what the controller wanted there, so that the planner learns to come back.
    """
    from lerobot_env_so101.scripted.pick_place import PickPlaceController

    environment, controller = make_environment(), PickPlaceController(action_scale=ACTION_SCALE)
    rng = np.random.default_rng(seed)
    observation, _ = environment.reset(seed=seed)
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, float]] = []
    left, jaws = AFTER_SUCCESS, JawCommand()
    while left and len(rows) < STEP_LIMIT:
        block, goal = np.split(observation["environment_state"], 2)
        scene = np.concatenate([relative(environment.ik_point_pos, block, goal), jaws.inputs()])
        action = controller.act(environment.ik_point_pos, block, goal)
        executed = action.copy()
        if rng.random() < 0.5:
            executed[:3] = np.clip(executed[:3] + noise * rng.standard_normal(3), -1, 1)
        jaws.tell(executed)
        state = observation["agent_pos"]
        observation, _, _, _, info = environment.step(executed)
        rows.append((state, scene, action, float(info["succeed"])))
        left -= bool(info["succeed"]) or left < AFTER_SUCCESS
    if left:
        return None
    states, scenes, actions, rewards = (np.array(column) for column in zip(*rows, strict=True))
    ends = np.arange(len(rows)) == len(rows) - 1
    return Episode(
        observations={STATE: states.astype(np.float32), SCENE: scenes.astype(np.float32)},
        actions=actions.astype(np.float32),
        rewards=rewards.astype(np.float64),
        terminations=ends,
        truncations=np.zeros(len(rows), bool),
        seed=seed,
    )


@dataclass
class Collect:
    """Record demonstrations."""

    out: Path = Path("out/data/so101-pick-place")
    """Folder of the LeRobotDataset."""
    episodes: int = 300
    """Attempts; failed ones are left out."""
    noise: float = 0.2
    """Noise on executed actions, of their range."""
    processes: int = os.cpu_count() or 1
    overwrite: bool = False

    def run(self) -> None:
        """Record and store."""
        kept = 0

        def demonstrations() -> Iterator[Episode]:
            nonlocal kept
            with ProcessPoolExecutor(self.processes) as pool:
                found = pool.map(partial(record, noise=self.noise), range(self.episodes))
                for episode in track(found, "demonstrations", self.episodes):
                    if episode is not None:
                        kept += 1
                        yield episode

        write_lerobot(
            self.out, demonstrations(), RATE_HZ, RAW, task="move the cube to the goal", robot_type="so101",
            overwrite=self.overwrite, metadata={"environment": ENVIRONMENT, "action_scale": ACTION_SCALE},
        )  # fmt: skip
        print(f"{kept} of {self.episodes} demonstrations in {self.out}")


def fly(seed: int, artifact: str, options: ControllerOptions) -> dict[str, Any]:
    """One episode with the planner: success and time, as the environment judges."""
    environment, planner = make_environment(), Planner.load(artifact)
    controller = Controller(planner, GenericTask(planner.spec), options)
    observation, _ = environment.reset(seed=seed)
    low, high = environment.action_space.low, environment.action_space.high
    steps, jaws = 0, JawCommand()
    for _ in range(STEP_LIMIT):
        block, goal = np.split(observation["environment_state"], 2)
        scene = np.concatenate([relative(environment.ik_point_pos, block, goal), jaws.inputs()])
        inputs = {"observation": observation["agent_pos"], "environment_state": scene}
        action = np.clip(controller.step(inputs).action, low, high).astype(np.float32)
        jaws.tell(action)
        observation, _, terminated, _, info = environment.step(action)
        steps += 1
        if terminated:
            break
    return {"seed": seed, "success": bool(info["succeed"]), "time_s": steps / RATE_HZ}


@dataclass
class Evaluate:
    """Run an artifact in unseen episodes."""

    artifact: Path = Path("out/train/so101-pick-place/artifact")
    episodes: int = 100
    """Per number of candidates; the same ones for each."""
    candidates: tuple[int, ...] = (1, 64)
    """K, one line each."""
    chunk: int = 1
    """Actions executed per plan: actions are steps of the hand, whose errors add up until the next plan."""
    json: Path | None = None
    """Where the result is written."""
    processes: int = os.cpu_count() or 1

    def run(self) -> None:
        """Evaluate, print a line for each K, write JSON."""
        Planner.load(self.artifact)  # a broken artifact is an error here, not in a worker
        rows = []
        for k in self.candidates:
            row = self._evaluate(k)
            rows.append(row)
            low, high = row["wilson95"]
            print(
                f"{ENVIRONMENT}, K = {k}, L = {self.chunk}: {100 * row['success_rate']:.1f} "
                f"[{100 * low:.1f}, {100 * high:.1f}] % of {row['n']}, median time "
                f"{row['time_to_success_s']['median']} s (simulated)"
            )
        if self.json is not None:
            result = {
                "environment": ENVIRONMENT,
                "action_scale": ACTION_SCALE,
                "chunk": self.chunk,
                "rows": rows,
            }
            write_json(self.json, result)

    def _evaluate(self, candidates: int) -> dict[str, Any]:
        options = ControllerOptions(
            candidates=candidates, chunk=self.chunk, ranking="learned", stay=0.0, warm_start=0.0
        )
        seeds = range(EVALUATION_SEED, EVALUATION_SEED + self.episodes)
        with ProcessPoolExecutor(self.processes) as pool:
            results = pool.map(partial(fly, artifact=str(self.artifact), options=options), seeds)
            outcomes = list(track(results, f"episodes, K = {candidates}", self.episodes))
        times = [o["time_s"] for o in outcomes if o["success"]]
        return {
            "candidates": candidates, "n": len(outcomes), "success_rate": len(times) / len(outcomes),
            "wilson95": list(wilson(len(times), len(outcomes))),
            "time_to_success_s": {"median": float(np.median(times)) if times else None},
            "outcomes": outcomes,
        }  # fmt: skip


@user_errors
def main() -> None:
    """Command line."""
    command = tyro.cli(
        Annotated[Collect, tyro.conf.subcommand("collect")]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")],
        description=__doc__,
    )
    command.run()


if __name__ == "__main__":
    main()
