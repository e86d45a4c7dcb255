"""Parameters of the driver checked against each other and against the calibration."""

import pytest

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup import driver_parameters
from kdp_so100_bringup.calibration import Calibration, MotorCalibration
from kdp_so100_bringup.sim_arm import arm_calibration


def test_limits_that_the_calibrated_range_leaves_nothing_of_are_one_line():
    """Each of the two is sensible by itself; together they would hold the joint outside of both."""
    middle = [MotorCalibration(m.id, 0, m.homing_offset, 2047, 2049) for m in arm_calibration().motors]
    values = {name: item.default for name, item in driver_parameters._DECLARED.items()}
    assert driver_parameters.settings_from(values, Calibration(middle)).limits.low[0] > -0.01
    values["limits_low"] = [1.0, *values["limits_low"][1:]]
    driver_parameters.settings_from(values, None)
    with pytest.raises(ConfigError, match="limits_low and limits_high: the calibrated range of shoulder_pan"):
        driver_parameters.settings_from(values, Calibration(middle))
