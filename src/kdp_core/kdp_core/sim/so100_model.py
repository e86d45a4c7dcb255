"""The MuJoCo model of the SO-100 on a table: primitive shapes around the real link lengths, and cubes."""

from __future__ import annotations

from kdp_core.sim.so100_geometry import (
    CUBE_M,
    CUBE_MASS_KG,
    FINGER_M,
    FIXED_PAD_M,
    GRASP_JAW_RAD,
    GRASP_M,
    HIGH_RAD,
    JAW_PIVOT_M,
    JOINTS,
    LOW_RAD,
    LOWER_ARM_M,
    PAN_HEIGHT_M,
    SHOULDER_M,
    UPPER_ARM_M,
    WRIST_M,
)

TIMESTEP_S = 0.002
KP = 50.0
"""Position gain of a servo, N m/rad."""
KV = 4.5
"""Velocity gain, N m s/rad: critically damped for the reflected inertia of the gears."""
ARMATURE = (0.1, 0.1, 0.1, 0.1, 0.1, 0.01)
"""Reflected inertia of motor and gears, kg m^2; less for the jaw, which else bounces off what it grasps."""
TORQUE_LIMIT_N_M = (2.9, 2.9, 2.9, 2.9, 2.9, 0.9)
"""Stall torque of the STS3215; the gripper is limited so that it neither crushes nor loses a cube."""
CUBE_COLOURS = ("0.85 0.25 0.2 1", "0.2 0.45 0.85 1", "0.25 0.65 0.3 1")

_AXES = ("0 0 1", "0 1 0", "0 1 0", "0 1 0", "-1 0 0", "0 -1 0")
_PAD = 'friction="1.5 0.02 0.0005" condim="6" solref="0.008 1" solimp="0.95 0.99 0.001" priority="1"'


def so100_xml(cubes: int) -> str:
    """The model as MJCF text with ``cubes`` free cubes called cube_0, cube_1 and so on."""
    joints = [
        f'<joint name="{name}" axis="{axis}" range="{low} {high}" damping="0.05" frictionloss="0.05" '
        f'armature="{inertia}"/>'
        for name, axis, low, high, inertia in zip(JOINTS, _AXES, LOW_RAD, HIGH_RAD, ARMATURE, strict=True)
    ]
    return f"""
<mujoco model="so100">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{TIMESTEP_S}" integrator="implicitfast" cone="elliptic" impratio="10"/>
  <default>
    <geom rgba="0.95 0.75 0.2 1" density="400" condim="4" friction="0.8 0.01 0.0005"/>
    <position kp="{KP}" kv="{KV}"/>
    <default class="link"><geom contype="2" conaffinity="1"/></default>
    <default class="servo"><geom rgba="0.15 0.15 0.17 1" contype="0" conaffinity="0"/></default>
  </default>
  <worldbody>
    <light pos="0.3 0 1.2" dir="0 0 -1"/>
    <geom name="table" type="plane" size="0.6 0.6 0.05" rgba="0.82 0.8 0.76 1" contype="1" conaffinity="2"
          friction="1 0.01 0.0005"/>
    <body name="base">
      <geom class="servo" type="box" pos="-0.02 0 0.03" size="0.04 0.03 0.03" mass="0.3"/>
      <body name="shoulder" pos="0 0 {PAN_HEIGHT_M}">
        {joints[0]}
        <geom class="servo" type="cylinder" pos="0 0 0.055" size="0.028 0.025" mass="0.12"/>
        <body name="upper_arm" pos="{SHOULDER_M[0]} 0 {SHOULDER_M[1]}">
          {joints[1]}
          <geom class="link" type="capsule" fromto="0 0 0 {UPPER_ARM_M[0]} 0 {UPPER_ARM_M[1]}" size="0.014"
                mass="0.09"/>
          <geom class="servo" type="box" pos="0.09 0 -0.014" size="0.022 0.018 0.013" mass="0.07"/>
          <body name="lower_arm" pos="{UPPER_ARM_M[0]} 0 {UPPER_ARM_M[1]}">
            {joints[2]}
            <geom class="link" type="capsule" fromto="0 0 0 {LOWER_ARM_M[0]} 0 {LOWER_ARM_M[1]}" size="0.013"
                  mass="0.08"/>
            <geom class="servo" type="box" pos="0.11 0 0.004" size="0.022 0.018 0.013" mass="0.07"/>
            <body name="wrist" pos="{LOWER_ARM_M[0]} 0 {LOWER_ARM_M[1]}">
              {joints[3]}
              <geom class="link" type="capsule" fromto="0 0 0 0.035 0 0" size="0.016" mass="0.07"/>
              <body name="gripper" pos="{WRIST_M} 0 0">
                {joints[4]}
{_gripper(joints[5])}
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>
{"".join(_cube(i) for i in range(cubes))}  </worldbody>
  <actuator>
{"".join(_actuator(i) for i in range(len(JOINTS)))}  </actuator>
</mujoco>
"""


def _gripper(jaw_joint: str) -> str:
    """Palm, fixed finger and moving jaw. In the gripper's frame x points along the hand.

    z points from the fixed finger (below) to the moving one.
    """
    inner, tip = 0.045, FINGER_M
    half = 0.5 * (tip - inner)
    along, away = JAW_PIVOT_M
    pad = 0.5 * (tip - inner), 0.5 * (tip + inner) - along
    # In a frame turned by the grasp angle, the moving pad lies parallel to the fixed one, one cube away.
    face = CUBE_M - FIXED_PAD_M - away
    return f"""                <geom class="servo" type="box" pos="0.02 0 0" size="0.026 0.02 0.016"
                      mass="0.06"/>
                <geom class="link" type="box" pos="0.036 0 {-FIXED_PAD_M - 0.004}" size="0.012 0.012 0.005"
                      mass="0.01"/>
                <geom name="fixed_finger" class="link" type="box"
                      pos="{inner + half} 0 {-FIXED_PAD_M - 0.003}" size="{half} 0.008 0.003" mass="0.02"
                      {_PAD}/>
                <site name="grasp" pos="{GRASP_M[0]} 0 {GRASP_M[1]}" size="0.002"/>
                <body name="jaw" pos="{along} 0 {away}">
                  {jaw_joint}
                  <body name="jaw_finger" euler="0 {GRASP_JAW_RAD} 0">
                    <geom type="capsule" class="servo" fromto="0 0 0 0.02 0 {face + 0.003}" size="0.005"
                          mass="0.005"/>
                    <geom name="moving_finger" class="link" type="box" pos="{pad[1]} 0 {face + 0.003}"
                          size="{pad[0]} 0.008 0.003" mass="0.02" rgba="0.95 0.6 0.15 1" {_PAD}/>
                  </body>
                </body>"""


def _cube(number: int) -> str:
    half = 0.5 * CUBE_M
    return f"""    <body name="cube_{number}" pos="0.2 {0.05 * number} {half}">
      <freejoint name="cube_{number}"/>
      <geom name="cube_{number}" type="box" size="{half} {half} {half}" mass="{CUBE_MASS_KG}"
            rgba="{CUBE_COLOURS[number % len(CUBE_COLOURS)]}" contype="3" conaffinity="3"
            solref="0.008 1" solimp="0.95 0.99 0.001"/>
    </body>
"""


def _actuator(number: int) -> str:
    limit = TORQUE_LIMIT_N_M[number]
    return (
        f'    <position name="{JOINTS[number]}" joint="{JOINTS[number]}" forcerange="{-limit} {limit}" '
        f'ctrlrange="{LOW_RAD[number]} {HIGH_RAD[number]}"/>\n'
    )
