"""Planners of a table: the settings of each method at an equal budget, and training what is missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from kdp_core.benchmarks.spread import ONE_AFTER_ANOTHER, Spread, run_all
from kdp_core.exceptions import DataError
from kdp_core.files import load_json

if TYPE_CHECKING:  # they need torch, which no worker process of an evaluation does
    from kdp_core.baselines.diffuser_config import DiffuserConfig
    from kdp_core.run_config import RunConfig
    from kdp_core.train_config import TrainConfig

PlannerMethod = Literal["joint", "kdp", "energy", "mean", "diffuser", "bc"]
METHODS: tuple[PlannerMethod, ...] = get_args(PlannerMethod)
PolicyMethod = Literal["diffusion_ql", "consistency_ac", "consistency_bc"]
"""Generative policies of one action: Diffusion-QL (arXiv 2208.06193), consistency actor-critic and behaviour
cloning (arXiv 2309.16984)."""
POLICY_METHODS: tuple[PolicyMethod, ...] = get_args(PolicyMethod)
UNIMPORTANT = ("data", "out", "artifact", "threads", "collect", "demonstrations")
"""Fields of a run that say where things are, or change no weight."""


HEADLINE: tuple[PlannerMethod, ...] = ("joint", "diffuser")
"""Methods whose difference a table is about; they get the more seeds where compute is short."""


def pairs(methods: Sequence[PlannerMethod], seeds: int, other_seeds: int) -> list[tuple[PlannerMethod, int]]:
    """(method, seed) of all planners of a table, seed by seed; the others have at most ``seeds``."""
    numbers = {method: seeds if method in HEADLINE else min(seeds, other_seeds) for method in methods}
    return [(m, seed) for seed in range(seeds) for m in methods if seed < numbers[m]]


def settings_of(
    method: PlannerMethod | PolicyMethod, train: TrainConfig, diffuser: DiffuserConfig
) -> TrainConfig:
    """``train`` for one method: equal gradient steps and windows per step for all.

    Behaviour cloning is the mean field on windows of one row (the run's horizon must be 1, as for the
    ``POLICY_METHODS``). Only joint and energy have the regression base that ``train`` may ask for; its steps
    are among theirs.
    """
    if method == "diffusion_ql" or method == "consistency_ac" or method == "consistency_bc":
        return policy_settings(method, train)
    from kdp_core.scorer import ScorerConfig

    batch = train.conditions * train.samples
    if method != "joint":
        train = replace(train, final_temperatures=(), final_share=type(train).final_share)
    if method not in ("joint", "energy"):
        train = replace(train, network=replace(train.network, base_blocks=0))
    if method == "diffuser":
        return replace(train, method="diffuser", diffuser=diffuser)
    if method == "mean":
        return replace(train, field="mean", conditions=batch, samples=1)
    if method == "bc":
        network = replace(
            train.network, scorer_actions=min(1, train.network.scorer_actions)
        )  # of its one row
        return replace(
            train, field="mean", conditions=batch, samples=1, neighbours=1, components=0,
            network=network, scorer=ScorerConfig(steps=20),
        )  # fmt: skip
    return replace(train, field=method)


def policy_settings(method: PolicyMethod, train: TrainConfig) -> TrainConfig:
    """``train`` for a policy of one action.

    docs/locomotion-benchmark.md says what differs from the published code.

    Critics learn in the same steps, so there is no scorer to train afterwards; the policy of
    ``consistency_bc`` is not ranked.
    """
    from kdp_core.baselines.consistency_config import ConsistencyConfig
    from kdp_core.baselines.diffuser_config import DiffuserConfig
    from kdp_core.scorer import ScorerConfig

    diffusion = DiffuserConfig(network="mlp", diffusion_steps=5, predict="epsilon", first_action_weight=1.0)
    return replace(
        train,
        method="diffuser" if method == "diffusion_ql" else "consistency",
        diffuser=diffusion,
        consistency=ConsistencyConfig(),
        q_learning=replace(train.q_learning, weight=0.0 if method == "consistency_bc" else 1.0),
        network=replace(train.network, base_blocks=0, scorer_actions=0),
        components=0,
        ema=0.995,
        scorer=ScorerConfig(steps=20),
    )


def train_missing(
    configs: Sequence[RunConfig],
    collect: Callable[[], object],
    what: str,
    say: Callable[[str], None],
    spread: Spread = ONE_AFTER_ANOTHER,
) -> None:
    """Call ``collect`` and train the planners, unless they are there; goes on from checkpoints.

    Trainings in processes of their own write what they say to OUT/train.log. Raises DataError if a planner is
    there that was trained in another way.
    """
    missing = [config for config in configs if not trained(config)]
    if not missing:
        return
    say(f"{what}, {len(missing)} of {len(configs)} planners to do")
    collect()
    began = time.monotonic()
    apart = spread.apart(len(missing))
    if apart:
        say(f"trainings go on apart, see {missing[0].out.parent}/*/train.log")
    work = train_logged if apart else train_here
    for number, config in enumerate(run_all(work, missing, spread), 1):
        left = (time.monotonic() - began) / number * (len(missing) - number)
        say(f"{config.out} done ({number} of {len(missing)}, about {left / 60:.0f} min left)")


def train_here(config: RunConfig) -> None:
    """Train one planner."""
    from kdp_core.run_training import run_training

    run_training(config, asdict(config))


def train_logged(config: RunConfig) -> None:
    """Train one planner and write what it says to OUT/train.log."""
    config.out.mkdir(parents=True, exist_ok=True)
    with (config.out / "train.log").open("a", buffering=1) as log, redirect_stdout(log):
        train_here(config)


def trained(config: RunConfig) -> bool:
    """Whether the planner is there. Raises DataError if another configuration made it."""
    path = config.out / "artifact" / "provenance.json"
    if not path.exists():
        return False
    found = load_json(path, DataError).get("configuration")
    if _what_matters(found) != _what_matters(asdict(config)):
        raise DataError(f"{path}: trained with another configuration; choose another --planners or delete it")
    return True


def _what_matters(configuration: Any) -> Any:
    """All but what is unimportant; a field that came later than the artifact counts as its default."""
    from kdp_core.run_config import RunConfig

    if not isinstance(configuration, dict):
        return None
    kept = {k: v for k, v in _completed(configuration, asdict(RunConfig())).items() if k not in UNIMPORTANT}
    kept["train"] = {k: v for k, v in kept["train"].items() if k != "checkpoint_every"}
    return json.loads(json.dumps(kept, default=str))


def _completed(found: Any, default: Any) -> Any:
    """``found`` with what only ``default`` has, at every level."""
    if not isinstance(found, dict) or not isinstance(default, dict):
        return found
    return {**default, **{key: _completed(value, default.get(key)) for key, value in found.items()}}
