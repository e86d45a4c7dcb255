"""Ranges of seeds: what the random generators take, and no collected world that is one of evaluation."""

import pytest

from kdp_core.benchmarks import flight_eval, tabletop_eval
from kdp_core.exceptions import ConfigError
from kdp_core.ranges import EVALUATION_SEED, SEED_STEP
from kdp_core.sim.flight_collect import CollectOptions
from kdp_core.sim.tabletop_options import TabletopCollectOptions
from kdp_core.train_config import TrainConfig


@pytest.mark.parametrize("seed", [-1, 2**63, 99999999999999999999999])
def test_a_training_seed_that_no_generator_takes(seed: int) -> None:
    with pytest.raises(ConfigError, match=f"train.seed must be 0 to 9223372036854775807, got {seed}"):
        TrainConfig(seed=seed)
    assert TrainConfig(seed=2**63 - 1).seed == 2**63 - 1


@pytest.mark.parametrize("options", [CollectOptions, TabletopCollectOptions])
def test_no_collected_world_is_one_of_evaluation(options: type) -> None:
    assert EVALUATION_SEED == flight_eval.WORLD_SEED_BASE == tabletop_eval.SCENE_SEED_BASE
    largest = options(seed=498)
    assert largest.seed * SEED_STEP + SEED_STEP <= EVALUATION_SEED
    for seed in (-1, 499, 500, 10**30):
        with pytest.raises(ConfigError, match=rf"seed must be 0 to 498, got {seed}: .* 500000000 on") as told:
            options(seed=seed)
        assert "\n" not in str(told.value)
    field = "worlds" if options is CollectOptions else "episodes"
    with pytest.raises(ConfigError, match=f"{field} must be at most 1000003"):
        options(**{field: 1_000_004})
