"""Normaliser and keys against loops over single numbers; what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest

from kdp_core.exceptions import DataError
from kdp_core.spec import Spec
from kdp_core.windows import WindowBatch, check_windows, concatenate, fit_normaliser, keys, window_scale


def moments(numbers: list[float]) -> tuple[float, float]:
    mean = sum(numbers) / len(numbers)
    return mean, math.sqrt(sum((x - mean) ** 2 for x in numbers) / len(numbers))


def test_normaliser_is_mean_and_deviation_over_windows_and_rows(
    small_spec: Spec, small_batch: WindowBatch
) -> None:
    small_batch.windows[..., 4] = 3.0  # a channel that never changes gets std 1, not 0
    fitted = fit_normaliser(small_batch, small_spec)
    for column in range(small_spec.d_window):
        numbers = [float(w[t, column]) for w in small_batch.windows for t in range(small_spec.horizon)]
        group, i = ("state", column) if column < 3 else ("action", column - 3)
        mean, std = moments(numbers)
        assert getattr(fitted, f"{group}_mean")[i] == pytest.approx(mean, rel=1e-6)
        assert getattr(fitted, f"{group}_std")[i] == pytest.approx(1.0 if column == 4 else std, rel=1e-6)
    mean, std = moments([float(c[0]) for c in small_batch.context])
    assert fitted.context_mean == pytest.approx((mean,)) and fitted.context_std == pytest.approx((std,))


def test_keys_against_a_loop(fitted_spec: Spec, small_batch: WindowBatch) -> None:
    n = fitted_spec.normaliser
    found = keys(small_batch, fitted_spec)
    assert found.shape == (len(small_batch), 3) and found.dtype == np.float32
    for row, state, context in zip(found, small_batch.state, small_batch.context, strict=True):
        position = [2.0 * (state[i] - n.state_mean[i]) / n.state_std[i] / math.sqrt(2) for i in range(2)]
        wind = (context[0] - n.context_mean[0]) / n.context_std[0]
        np.testing.assert_allclose(row, [*position, wind], rtol=1e-5, atol=1e-5)


def test_window_scale_is_state_first(fitted_spec: Spec) -> None:
    mean, std = window_scale(fitted_spec)
    assert mean.tolist() == [*fitted_spec.normaliser.state_mean, *fitted_spec.normaliser.action_mean]
    assert std.tolist() == [*fitted_spec.normaliser.state_std, *fitted_spec.normaliser.action_std]


def test_no_key_is_refused(fitted_spec: Spec, small_batch: WindowBatch) -> None:
    with pytest.raises(DataError, match="field 'key' is empty"):
        keys(small_batch, fitted_spec.model_copy(update={"key": ()}))


def test_take_and_concatenate(small_batch: WindowBatch) -> None:
    order = np.random.default_rng(0).permutation(len(small_batch))
    parts = [small_batch.take(order[:7]), small_batch.take(order[7:])]
    whole = concatenate(parts)
    for name in ("windows", "state", "context", "group", "value"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(small_batch, name)[order])


def test_check_names_source_field_and_window(small_spec: Spec, small_batch: WindowBatch) -> None:
    check_windows(small_batch, small_spec, "data")
    small_batch.context[17, 1] = np.nan
    with pytest.raises(DataError, match=r"^data: context of window 17 is not finite$"):
        check_windows(small_batch, small_spec, "data")
    with pytest.raises(DataError, match=r"^data: state has shape \(40, 2\), expected \(40, 3\)"):
        check_windows(replace(small_batch, state=small_batch.state[:, :2]), small_spec, "data")
    with pytest.raises(DataError, match="no episode is long enough"):
        check_windows(small_batch.take(np.arange(0)), small_spec, "data")
