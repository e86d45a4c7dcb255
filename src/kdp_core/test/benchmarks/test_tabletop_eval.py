"""The tabletop evaluator: a source that knows what to do succeeds, one that holds still does not."""

from dataclasses import replace

import numpy as np
import pytest

from kdp_core.benchmarks import tabletop_eval
from kdp_core.benchmarks.tabletop_eval import TabletopEvaluationOptions, run_scene, summary
from kdp_core.exceptions import ConfigError, SpecError
from kdp_core.planner import Planner
from kdp_core.shipped import shipped_artifact
from kdp_core.sim.so100 import So100Scene
from kdp_core.sim.so100_expert import TabletopExpert, draw_variant
from kdp_core.sim.so100_geometry import CUBE_M
from kdp_core.sim.tabletop_options import SensorNoise
from kdp_core.tasks.tabletop import CUBES, tabletop_spec


class Holding:
    """Plans to stay where the measured joints are."""

    d_noise = 2

    def __init__(self, task: str) -> None:
        self.task, self.spec = task, tabletop_spec(task)

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        window = np.tile(np.concatenate([state, self.targets(state)]), (len(noise), self.spec.horizon, 1))
        return window, np.zeros(len(noise))

    def targets(self, joints: np.ndarray) -> np.ndarray:
        return joints


class Knowing(Holding):
    """The expert in a planner's place: it looks at the simulator and plans its next target."""

    def __init__(self, task: str, simulator: So100Scene) -> None:
        super().__init__(task)
        self.simulator, self.expert, self.goal = simulator, None, None

    def targets(self, joints: np.ndarray) -> np.ndarray:
        cubes = self.simulator.cube_poses
        if self.expert is None:
            self.expert = TabletopExpert(draw_variant(joints, cubes[0], np.random.default_rng(0)), self.task)
        goal = self.goal if self.task == "pick_place" else cubes[1, :3] + np.array([0.0, 0.0, CUBE_M])
        return self.expert.action(joints, cubes[0], goal, self.simulator.holding_torque)


@pytest.mark.parametrize("task", ["pick_place", "stack"])
def test_whoever_knows_succeeds_and_whoever_holds_does_not(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TabletopEvaluationOptions(task=task, scenes=1)
    simulator = So100Scene(CUBES[task])
    source = Knowing(task, simulator)
    source.goal = tabletop_eval.Scene.random(task, 11).goal
    good = run_scene(source, simulator, 11, options)
    assert good.success and good.reason == "success" and 1.0 < good.time_s < 6.0
    assert good.safe_cycles == 0 and good.cycles == round(good.time_s * 50)
    monkeypatch.setattr(tabletop_eval, "TIME_LIMIT_S", 0.5)
    bad = run_scene(Holding(task), simulator, 11, options)
    assert not bad.success and bad.time_s is None and bad.reason == "time limit: cube near its start"
    assert bad.cycles == 25
    result = summary(options, [good, bad])
    assert result["success_rate"] == 0.5 and result["time_to_success_s"]["median"] == good.time_s


def test_delay_holds_commands_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a delay of three cycles the first three commands have not arrived after as many cycles."""
    monkeypatch.setattr(tabletop_eval, "TIME_LIMIT_S", 0.06)
    simulator = So100Scene(1)
    exact = SensorNoise(0.0, 0.0, 0.0)

    class Moving(Holding):
        def targets(self, joints: np.ndarray) -> np.ndarray:
            return joints + 0.3

    moved = []
    for delay_ms in (0.0, 60.0):
        options = TabletopEvaluationOptions(delay_ms=delay_ms, noise=exact)
        run_scene(Moving("pick_place"), simulator, 3, options)
        start = tabletop_eval.Scene.random("pick_place", 3).joints
        moved.append(abs(simulator.joints[0] - start[0]))
    assert moved[0] > 0.01 and moved[1] < 1e-3


def test_wrong_options_and_artifacts_are_refused() -> None:
    with pytest.raises(ConfigError, match="scenes must be at least 1"):
        TabletopEvaluationOptions(scenes=0)
    with pytest.raises(ConfigError, match="task must be one of"):
        TabletopEvaluationOptions(task="sort")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="artifact"):
        tabletop_eval.evaluate(TabletopEvaluationOptions())
    options = TabletopEvaluationOptions(artifact=str(shipped_artifact("crazyflie")))
    with pytest.raises(SpecError, match=r"spec\.json"):
        tabletop_eval.evaluate(options)
    with pytest.raises(ConfigError, match="processes"):
        tabletop_eval.evaluate(replace(options), processes=0)


@pytest.mark.parametrize(
    "start", [[0.0, -3.1, 3.0, 0.6, 0.0, 0.0], [0.868, -0.674, 1.542, 1.799, -0.202, -0.2]]
)
def test_the_shipped_planner_begins_from_folded_up_and_from_lying_on_the_table(start: list[float]) -> None:
    source, simulator = Planner.load(shipped_artifact("so100_pick_place")), So100Scene(1)
    options = TabletopEvaluationOptions(scenes=1)
    outcome = run_scene(source, simulator, 7, options, np.array(start))
    assert outcome.success and 0 < outcome.safe_cycles < 200
