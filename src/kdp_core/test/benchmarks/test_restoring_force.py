"""Growth of the samples' spread under a field: a closed form, and what the notes say of the fields."""

import math

import pytest
from torch import Tensor

from kdp_core.benchmarks.restoring_force import energy, growth, joint


def test_growth_of_the_mean_field_in_closed_form() -> None:
    """V = mean(y) - x has the mean square r^2 + 1/16 and grows by -1 before it is scaled."""

    def mean(x: Tensor, y: Tensor) -> Tensor:
        return y.mean(dim=1, keepdim=True) - x

    for ratio in (0.2, 1.0, 2.0):
        expected = -1.0 / math.sqrt(ratio**2 + 1 / 16)
        assert growth(mean, 50, ratio, 400, 0) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("field", [energy, joint((0.05, 0.2, 0.5))])
@pytest.mark.parametrize("n", [2, 20, 100])
def test_spread_comes_back_from_both_sides(field, n: int) -> None:
    assert growth(field, n, 0.5, 400, 0) > 0.05 and growth(field, n, 1.5, 400, 0) < -0.02
    assert abs(growth(field, n, 1.0, 400, 0)) < 0.03


def test_the_joint_fields_force_fades_with_the_dimension_and_the_energy_fields_does_not() -> None:
    few, many = (growth(joint((0.05, 0.2, 0.5)), n, 0.8, 400, 0) for n in (2, 100))
    assert few > 5 * many > 0
    few, many = (growth(energy, n, 0.8, 400, 0) for n in (2, 100))
    assert many == pytest.approx(few, rel=0.4) and many > 0.3


def test_samples_of_one_temperature_that_begin_together_stay_together_in_many_dimensions() -> None:
    assert growth(joint((0.05,)), 100, 0.2, 400, 0) < 0.0 < growth(joint((0.05,)), 2, 0.2, 400, 0)
