"""Episodes are scored by the truth alone, and the picture shows what happened."""

from dataclasses import replace
from itertools import pairwise

import matplotlib.image
import numpy as np
import pytest

from kdp_core.sim.so100 import Scene, Shape, So100Scene
from kdp_core.sim.so100_expert import TabletopExpert, draw_variant
from kdp_planner_ros.operator_client import PlanSnapshot
from kdp_so100_bringup.drawing import Camera, faces
from kdp_so100_bringup.plot import CHOSEN, GOAL, instants, save_strip
from kdp_so100_bringup.scoring import score
from kdp_so100_bringup.truth import Truth

TICK_NS = 20_000_000


@pytest.fixture(scope="module")
def episode():
    """Truth of an episode that the expert does, as the side channel would tell it."""
    scene = Scene.random("pick_place", 3)
    simulator = So100Scene(1)
    simulator.reset(scene)
    expert = TabletopExpert(draw_variant(simulator.joints, scene.cubes[0], np.random.default_rng(0)))
    record = []
    for i in range(300):
        cube = simulator.cube_poses[0]
        simulator.command(expert.action(simulator.joints, cube, scene.goal, simulator.holding_torque))
        simulator.step(10)
        record.append(
            Truth.from_json(
                {
                    "t_ns": i * TICK_NS,
                    "resets": 1,
                    "joints": simulator.joints.tolist(),
                    "joint_velocity": simulator.joint_velocity.tolist(),
                    "gripper": simulator.gripper_pose.tolist(),
                    "cubes": simulator.cube_poses.tolist(),
                    "cube_speeds": simulator.cube_speeds.tolist(),
                    "jaw_open": simulator.jaw_open,
                    "touched": [simulator.touched(0)],
                    "torque": [1] * 6,
                    "late_s": 0.001 * i,
                }
            )
        )
    return scene, record


def test_success_with_its_time(episode):
    scene, record = episode
    judged = score(record, scene, "pick_place", 10 * TICK_NS)
    assert judged.success and judged.reason == "" and judged.grasped and judged.dropped == 0
    assert judged.final_distance_m < 0.03
    assert 1.0 < judged.tts_s < 6.0
    end = next(i for i, t in enumerate(record) if (t.t_ns - 10 * TICK_NS) * 1e-9 >= judged.tts_s)
    assert record[end].jaw_open and np.linalg.norm(record[end].cube_poses[0, :3] - scene.goal) < 0.03
    assert judged.late_s == pytest.approx(0.289)


def test_a_cube_that_never_moved_is_no_success_even_at_the_goal(episode):
    scene, record = episode
    at_goal = replace(scene, goal=scene.cubes[0, :3])
    still = [replace(record[0], t_ns=t.t_ns, cube_speeds=np.zeros(1), jaw_open=True) for t in record]
    judged = score(still, at_goal, "pick_place", 0)
    assert not judged.success and judged.tts_s is None and not judged.grasped
    assert judged.reason == "not grasped within 30 s"


def test_a_cube_that_is_still_held_is_no_success(episode):
    scene, record = episode
    held = [replace(t, jaw_open=False) for t in record]
    judged = score(held, scene, "pick_place", 0)
    assert not judged.success and judged.grasped and judged.reason == "not placed within 30 s"


def test_what_comes_too_late_does_not_count(episode):
    scene, record = episode
    late = [replace(t, t_ns=t.t_ns + 31_000_000_000) for t in record[-50:]]
    assert not score([*record[:20], *late], scene, "pick_place", 0).success


def test_a_dropped_cube_is_counted(episode):
    scene, record = episode
    carried = next(i for i, t in enumerate(record) if t.cube_poses[0, 2] > 0.05)
    fallen = [
        *record[: carried + 1],
        *(replace(t, fingers=(False,)) for t in record[carried + 1 : carried + 5]),
    ]
    judged = score([*fallen, *record[:30]], scene, "pick_place", 0)
    assert judged.dropped >= 1 and not judged.success


def test_instants_are_in_order_and_show_what_they_say(episode):
    _, record = episode
    found = {moment.label: moment.row for moment in instants(record)}
    assert list(found) == ["approach", "grasp", "carry", "release"]
    assert sorted(found.values()) == list(found.values())
    assert not record[found["approach"]].touched(0)
    assert record[found["grasp"]].touched(0) and record[found["grasp"]].cube_poses[0, 2] < 0.04
    assert record[found["carry"]].cube_poses[0, 2] > 0.04
    assert record[found["release"]].jaw_open
    assert {moment.label for moment in instants(record[:30])} == {"not grasped"}


def colour_count(image, colour):
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return int((np.abs(image[..., :3] - wanted).max(axis=-1) < 0.02).sum())


def test_the_strip_shows_arm_goal_and_windows(episode, tmp_path):
    scene, record = episode
    hand = np.array([t.gripper_pose[:3] for t in record])
    windows = np.stack(
        [hand[:80:5] + offset for offset in np.linspace(0, 0.02, 8)[:, None, None] * np.ones(3)]
    )
    snapshots = [PlanSnapshot(i * TICK_NS, windows.astype(np.float32), 2) for i in range(0, 300, 50)]
    with_plans = matplotlib.image.imread(save_strip(record, snapshots, scene.goal, tmp_path / "a.png", "x"))
    without = matplotlib.image.imread(save_strip(record, [], scene.goal, tmp_path / "b.png", "x"))
    assert with_plans.shape == without.shape and with_plans.shape[1] > 1500
    assert colour_count(with_plans, GOAL) > 200
    assert colour_count(with_plans, CHOSEN) > colour_count(without, CHOSEN) + 200
    yellow = with_plans[..., 0] - with_plans[..., 2] > 0.4  # the links
    assert yellow.mean() > 0.01


@pytest.mark.parametrize(
    ("kind", "size", "volume"),
    [
        ("box", (0.1, 0.2, 0.3), 8 * 0.1 * 0.2 * 0.3),
        ("cylinder", (0.1, 0.2, 0.0), np.pi * 0.1**2 * 0.4),
        ("capsule", (0.1, 0.2, 0.0), np.pi * 0.1**2 * 0.4 + 4 / 3 * np.pi * 0.1**3),
    ],
)
def test_faces_close_the_primitive_and_look_outwards(kind, size, volume):
    """The divergence theorem: fluxes of x/3 through outward faces add up to the volume."""
    rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    shape = Shape("s", kind, np.array(size), np.array([1.0, 2.0, 3.0]), rotation, np.ones(4))
    total = 0.0
    for polygon in faces(shape):
        for a, b in pairwise(polygon[1:]):
            total += np.dot(polygon[0], np.cross(a, b)) / 6.0
    assert total == pytest.approx(volume, rel=0.08)  # circles are polygons of 18 sides


def test_the_camera_sees_its_target_in_the_middle_and_far_things_small():
    camera = Camera()
    flat, depth = camera.project(np.array([camera.target]))
    np.testing.assert_allclose(flat, 0.0, atol=1e-12)
    assert depth[0] == pytest.approx(np.linalg.norm(np.subtract(camera.eye, camera.target)))
    up = camera.project(np.add(camera.target, (0.0, 0.0, 0.1)))[0]
    assert up[1] > 0 and abs(up[0]) < 1e-12
