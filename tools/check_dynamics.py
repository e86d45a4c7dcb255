"""Compare the simulated Crazyflie with crazyflow 0.4.0 and print the tables of docs/dynamics-check.md.

crazyflow (JAX and MuJoCo, 1.2 GB) is no dependency of this project. Run this in an environment of its own:

    python -m venv /tmp/crazyflow && /tmp/crazyflow/bin/pip install crazyflow==0.4.0
    PYTHONPATH=src/kdp_core JAX_PLATFORMS=cpu /tmp/crazyflow/bin/python tools/check_dynamics.py
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import numpy as np
from crazyflow.dynamics import Dynamics, first_principles
from crazyflow.dynamics.core import load_params
from crazyflow.sim import Sim
from scipy.spatial.transform import Rotation

from kdp_core.sim.crazyflie import Crazyflie
from kdp_core.sim.crazyflie_params import GRAVITY, CrazyflieParams
from kdp_core.sim.rigid_body import RigidBody

DRONE, PERIOD, SUBSTEPS = "cf2x_L250", 0.01, 5
PARAMS = CrazyflieParams()
START = (0.0, 0.0, 1.0)
MANOEUVRES = {  # name: (setpoint, seconds, axis and size of the step)
    "velocity 0.5 m/s": (lambda d: d.velocity_world((0.5, 0, 0)), 3.0, ("velocity", 0, 0.5)),
    "velocity 1 m/s": (lambda d: d.velocity_world((1.0, 0, 0)), 3.0, ("velocity", 0, 1.0)),
    "climb 0.5 m/s": (lambda d: d.velocity_world((0, 0, 0.5)), 3.0, ("velocity", 2, 0.5)),
    "position 1 m": (lambda d: d.position_setpoint((1.0, 0, 1.0)), 5.0, ("position", 0, 1.0)),
    "hover": (lambda d: d.hover(0, 0, 0, 1.0), 5.0, None),
}


def derivatives_agree(cases: int = 200) -> tuple[float, float]:
    """Largest difference of linear (m/s^2) and angular (rad/s^2) acceleration at random states."""
    theirs = load_params(Dynamics.first_principles, DRONE)
    thrust_curve = np.asarray(theirs["rpm2thrust"]).ravel()
    known = {k: theirs[k] for k in ("mass", "L", "gravity_vec", "J", "J_inv", "mixing_matrix", "drag_matrix")}
    # Our yaw torque is proportional to thrust and our propellers have no inertia: give it the same two.
    equal = {
        "rpm2thrust": thrust_curve[None],
        "rpm2torque": PARAMS.thrust_to_torque * thrust_curve[None],
        "prop_inertia": np.zeros(1),
        "rotor_dyn_coef": np.atleast_2d(theirs["rotor_dyn_coef"]),
    }
    known["L"] = np.atleast_1d(known["L"])
    rng, worst, dt = np.random.default_rng(0), np.zeros(2), 1e-6
    ours = RigidBody(PARAMS, dt)
    for _ in range(cases):
        quaternion = Rotation.random(random_state=int(rng.integers(1 << 30))).as_quat()
        velocity, rates, rpm = rng.normal(size=3), 3 * rng.normal(size=3), rng.uniform(8e3, 2e4, 4)
        thrusts = thrust_curve[0] + thrust_curve[1] * rpm + thrust_curve[2] * rpm**2
        state = (np.zeros(3), quaternion, velocity, rates, rpm, rpm)
        _, _, acceleration, angular, _ = first_principles.dynamics(*state, **known, **equal)
        body = (0.0, 0.0, 0.0, *velocity, *quaternion, *rates, *thrusts)
        after = np.array(ours.advance(body, tuple(thrusts)))
        gaps = ((after[3:6] - velocity) / dt - acceleration, (after[10:13] - rates) / dt - angular)
        worst = np.maximum(worst, [np.abs(gap).max() for gap in gaps])
    return worst[0], worst[1]


@functools.cache
def make_sim(dynamics: str) -> Sim:
    """A crazyflow simulation of one drone under attitude commands, on the CPU."""
    return Sim(drone=DRONE, dynamics=dynamics, control="attitude", freq=500, attitude_freq=500, device="cpu")


def start_crazyflow(dynamics: str) -> Sim:
    """At START, at rest, motors carrying the weight."""
    sim = make_sim(dynamics)
    sim.reset()
    params = load_params(Dynamics(dynamics), DRONE)
    if dynamics == "first_principles":
        curve = np.asarray(params["rpm2thrust"]).ravel()
        motors = max(np.roots([curve[2], curve[1], curve[0] - 0.25 * params["mass"] * GRAVITY]).real)
    else:
        motors = params["mass"] * GRAVITY / float(params["cmd_f_coef"])
    states = sim.data.states
    position = states.pos.at[...].set(np.array(START))
    states = states.replace(pos=position, rotor_vel=states.rotor_vel.at[...].set(motors))
    sim.data = sim.data.replace(states=states)
    return sim


def sample(position: np.ndarray, velocity: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """One row (7): position, velocity, tilt in degrees."""
    up = Rotation.from_quat(quaternion).apply((0, 0, 1))[2]
    return np.concatenate([position, velocity, [np.degrees(np.arccos(np.clip(up, -1, 1)))]])


def fly_ours(command: Callable[[Crazyflie], None], seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows (T, 7), see `sample`, every 10 ms; targets (T, 4) of the outer loop: attitude and thrust."""
    drone = Crazyflie(1)
    drone.reset(0, START, hovering=True)
    command(drone)
    rows, targets = [], []
    for _ in range(round(seconds / PERIOD)):
        drone.step(SUBSTEPS)
        rows.append(sample(drone.position[0], drone.velocity[0], drone.quaternion[0]))
        targets.append(
            [*Rotation.from_quat(drone.target_attitude[0]).as_euler("xyz"), drone.target_thrust[0]]
        )
    return np.array(rows), np.array(targets)


def fly_crazyflow(
    dynamics: str, command: Callable[[Crazyflie], None], seconds: float, log: np.ndarray | None
) -> np.ndarray:
    """Rows (T, 7). With `log` its targets are replayed; otherwise our outer loop flies crazyflow's drone."""
    sim = start_crazyflow(dynamics)
    outer = Crazyflie(1)
    outer.reset(0, START, hovering=True)
    command(outer)
    rows = []
    for k in range(round(seconds / PERIOD)):
        if log is None:
            s = jax.device_get(sim.data.states)
            outer.position[0], outer.velocity[0] = s.pos[0, 0], s.vel[0, 0]
            outer.quaternion[0], outer.body_rates[0] = s.quat[0, 0], s.ang_vel[0, 0]
            outer.step(SUBSTEPS)  # its outer loop runs on the first of these steps, that is on this state
            attitude = Rotation.from_quat(outer.target_attitude[0]).as_euler("xyz")
            target = np.array([*attitude, outer.target_thrust[0]])
        else:
            target = log[k]
        sim.attitude_control(target[None, None].astype(np.float32))
        sim.step(SUBSTEPS)
        s = jax.device_get(sim.data.states)
        rows.append(sample(s.pos[0, 0], s.vel[0, 0], s.quat[0, 0]))
    return np.array(rows, dtype=np.float64)


def response(rows: np.ndarray, step: tuple[str, int, float] | None) -> str:
    """Cells: rise 10-90 %, time to 63 % (s), overshoot, final value (% of the step), tilt, height error."""
    height = f"{100 * np.abs(rows[:, 2] - START[2]).max():.1f}"
    if step is None:
        return f"- | - | - | - | {rows[:, 6].max():.1f} | {height}"
    kind, axis, size = step
    value = rows[:, axis + (3 if kind == "velocity" else 0)]
    value = (value - (START[axis] if kind == "position" else 0.0)) / size
    times = [np.argmax(value > level) * PERIOD for level in (0.1, 0.632, 0.9)]
    overshoot = 100 * max(value.max() - 1, 0)
    cells = f"{times[2] - times[0]:.2f} | {times[1]:.2f} | {overshoot:.0f} | {100 * value[-1]:.0f}"
    return f"{cells} | {rows[:, 6].max():.1f} | {height if axis != 2 else '-'}"


def gaps(ours: np.ndarray, theirs: np.ndarray, axes: slice) -> str:
    """Cells: RMS of velocity (m/s) and tilt (degrees) differences, largest position difference (m)."""
    velocity = np.sqrt(((ours - theirs)[:, 3:6][:, axes] ** 2).sum(1).mean())
    tilt = np.sqrt(((ours - theirs)[:, 6] ** 2).mean())
    position = np.linalg.norm((ours - theirs)[:, :3][:, axes], axis=1).max()
    return f"{velocity:.3f} | {tilt:.2f} | {position:.3f}"


def main() -> None:
    """Print the three tables."""
    linear, angular = derivatives_agree()
    print(f"Derivatives, 200 random states: linear {linear:.1e} m/s^2, angular {angular:.1e} rad/s^2\n")
    oracles = ("first_principles", "so_rpy_rotor_drag")
    print(
        "| manoeuvre | dynamics | rise s | t63 s | overshoot % | end % | max tilt deg | max height error cm "
        "| RMS velocity gap m/s | RMS tilt gap deg | max position gap m |"
    )
    print("|" + "---|" * 11)
    for name, (command, seconds, step) in MANOEUVRES.items():
        ours, _ = fly_ours(command, seconds)
        print(f"| {name} | ours | {response(ours, step)} | | | |")
        for oracle in oracles:
            theirs = fly_crazyflow(oracle, command, seconds, None)
            print(f"| | {oracle} | {response(theirs, step)} | {gaps(ours, theirs, slice(0, 3))} |")
    print(
        "\n| replayed log, first second | dynamics | RMS horizontal velocity gap m/s | RMS tilt gap deg "
        "| max horizontal position gap m |"
    )
    print("|" + "---|" * 5)
    for name in ("velocity 0.5 m/s", "velocity 1 m/s", "position 1 m"):
        command = MANOEUVRES[name][0]
        ours, targets = fly_ours(command, 1.0)
        for oracle in oracles:
            theirs = fly_crazyflow(oracle, command, 1.0, targets)
            print(f"| {name} | {oracle} | {gaps(ours, theirs, slice(0, 2))} |")


if __name__ == "__main__":
    main()
