"""What the flight scorer learns: mirrors agree, and the way round a dead end beats the way into it."""

import numpy as np
import pytest

from kdp_core.tasks.flight import FlightTask
from kdp_core.tasks.flight_labels import FlightLabels
from kdp_core.tasks.flight_windows import MAX_POLES, MIRROR, NO_POLE
from kdp_core.windows import WindowBatch

H, STEP_S = 32, 0.1


def condition(
    position: tuple[float, float], goal: tuple[float, float], poles: list[tuple[float, float]], scene: int = 0
) -> WindowBatch:
    rows = [(x, y, 0.15) for x, y in poles] + [NO_POLE] * (MAX_POLES - len(poles))
    extras = np.array([*position, 1.0, *goal, 1.0, *np.ravel(rows)], np.float32)[None]
    empty = np.zeros((1, 0), np.float32)
    windows = np.zeros((1, H, 9), np.float32)
    return WindowBatch(windows, empty, empty, np.zeros(1, int), np.array([scene]), np.zeros(1), extras)


def line(dx: float, dy: float, dz: float = 0.0) -> np.ndarray:
    """A window that moves by (dx, dy, dz) at constant speed."""
    window = np.zeros((H, 9), np.float32)
    window[:, :3] = np.linspace(0, 1, H)[:, None] * [dx, dy, dz]
    return window


def label(given: WindowBatch, *windows: np.ndarray) -> list[float]:
    return FlightLabels(given).labels(np.stack(windows)[None], given)[0].tolist()


def test_progress_in_the_open() -> None:
    given = condition((1.5, 0.0), (4.5, 0.0), [])
    far, near, still, sideways, back = label(
        given, line(1.5, 0), line(0.7, 0), line(0, 0), line(0, 0.7), line(-0.7, 0)
    )
    assert far > near > still > sideways > back
    assert still == pytest.approx(0.0, abs=0.02)
    assert 0.7 < far <= 1.55 and far - near == pytest.approx(near * 0.8 / 0.7, rel=0.15)  # in metres


def test_height_counts_at_the_end() -> None:
    level, climbing = label(condition((1.5, 0.0), (4.5, 0.0), []), line(1.5, 0), line(1.5, 0, 0.4))
    assert level - climbing == pytest.approx(0.4, abs=1e-5)


def test_the_way_round_a_dead_end_is_worth_more_than_the_way_in() -> None:
    """A wall of poles from the lower fence stands before the goal; the way leads over its upper end."""
    wall = [(3.0, -1.85 + 0.3 * i) for i in range(10)]  # up to y = 0.85
    into, round_it = label(condition((2.3, -0.6), (4.5, -0.6), wall), line(0.45, 0), line(0.3, 1.4))
    assert round_it > into + 0.3
    into, round_it = label(condition((2.3, -0.6), (4.5, -0.6), []), line(0.45, 0), line(0.3, 1.4))
    assert round_it < into  # without the wall it is a detour


def test_mirrored_scenes_share_their_value() -> None:
    poles = [(3.0, 0.2), (2.5, -0.8), (3.6, 0.9)]
    given = condition((1.8, 0.3), (5.0, -0.7), poles)
    other = condition((1.8, -0.3), (5.0, 0.7), [(x, -y) for x, y in poles], scene=1)
    both = WindowBatch(
        *(np.concatenate([getattr(b, f) for b in (given, other)]) for f in WindowBatch.__dataclass_fields__)
    )
    rng = np.random.default_rng(0)
    windows = rng.normal(0, 0.05, (5, H, 9)).cumsum(axis=1).astype(np.float32)
    mirrored = (windows.reshape(5, H, 3, 3) * MIRROR).reshape(5, H, 9)
    labels = FlightLabels(both).labels(np.stack([windows, mirrored]), both)
    np.testing.assert_allclose(labels[0], labels[1], atol=1e-4)
    assert np.ptp(labels[0]) > 0.05


def test_data_without_worlds_have_no_judge() -> None:
    assert FlightTask().labeller(condition((1, 0), (5, 0), [], scene=-1)) is None
    assert isinstance(FlightTask().labeller(condition((1, 0), (5, 0), [])), FlightLabels)
