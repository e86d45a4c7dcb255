"""Rolling figures."""

import math

import numpy as np
import pytest

from kdp_planner_ros.statistics import CycleStatistics

MS = 1_000_000


def test_figures_over_the_window():
    statistics = CycleStatistics(window_s=2.0)
    plans = np.random.default_rng(0).integers(MS, 9 * MS, 200)
    for i, plan in enumerate(plans.tolist()):
        statistics.add(i * 20 * MS, plan, deadline_missed=i % 10 == 0, safe=i % 4 == 0)
    figures = statistics.figures(199 * 20 * MS)
    assert figures.cycles == 101  # 2 s at 50 Hz, both ends
    assert figures.plans_per_second == pytest.approx(50.0)
    np.testing.assert_allclose(
        [figures.planner_p50_ms, figures.planner_p99_ms], np.percentile(plans[-101:] / MS, [50, 99])
    )
    assert figures.safe_share == pytest.approx(0.25, abs=0.01)
    assert (statistics.cycles_total, statistics.deadlines_missed_total) == (200, 20)


def test_silence_empties_the_window():
    statistics = CycleStatistics(window_s=1.0)
    statistics.add(0, MS, False, False)
    figures = statistics.figures(5_000 * MS)
    assert figures.cycles == 0 and figures.plans_per_second == 0.0 and math.isnan(figures.planner_p50_ms)
