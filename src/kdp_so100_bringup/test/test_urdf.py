"""The URDF against the simulator: MuJoCo reads it, and its frames are where the simulated arm's are."""

import xml.etree.ElementTree as ElementTree

import mujoco
import numpy as np

from kdp_core.sim.so100 import So100Scene
from kdp_core.sim.so100_geometry import HIGH_RAD, JOINTS, LOW_RAD
from kdp_so100_bringup.urdf import so100_urdf


def loaded() -> mujoco.MjModel:
    """MuJoCo wants masses, which a model for display does not have, and reads visuals only if told."""
    inertial = (
        '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
    )
    options = '<mujoco><compiler discardvisual="false" fusestatic="false"/></mujoco>'
    text = (
        so100_urdf("arm").replace("</link>", f"{inertial}</link>").replace("</robot>", f"{options}</robot>")
    )
    return mujoco.MjModel.from_xml_string(text)


def test_frames_are_those_of_the_simulated_arm() -> None:
    model, scene = loaded(), So100Scene(0)
    data = mujoco.MjData(model)
    assert [model.joint(i).name for i in range(model.njnt)] == list(JOINTS)
    rng = np.random.default_rng(0)
    for joints in rng.uniform(LOW_RAD, HIGH_RAD, (20, 6)):
        data.qpos[:] = scene.data.qpos[:] = joints
        mujoco.mj_forward(model, data)
        mujoco.mj_forward(scene.model, scene.data)
        for link in ("shoulder", "upper_arm", "lower_arm", "wrist", "gripper", "jaw"):
            ours, theirs = data.body(f"arm/{link}"), scene.data.body(link)
            np.testing.assert_allclose(ours.xpos, theirs.xpos, atol=1e-9)
            np.testing.assert_allclose(ours.xmat, theirs.xmat, atol=1e-9)
        np.testing.assert_allclose(data.body("arm/grasp").xpos, scene.gripper_pose[:3], atol=1e-9)


def test_fingers_are_drawn_where_the_simulated_ones_are() -> None:
    """Each finger is the last shape of its link."""
    model, scene = loaded(), So100Scene(0)
    data = mujoco.MjData(model)
    data.qpos[:] = scene.data.qpos[:] = [0.3, -1.0, 1.5, 0.4, 0.2, 0.7]
    mujoco.mj_forward(model, data)
    mujoco.mj_forward(scene.model, scene.data)
    for link, finger in (("gripper", "fixed_finger"), ("jaw", "moving_finger")):
        body = model.body(f"arm/{link}")
        geom = int(body.geomadr[0] + body.geomnum[0] - 1)
        np.testing.assert_allclose(data.geom_xpos[geom], scene.data.geom(finger).xpos, atol=1e-6)
        np.testing.assert_allclose(model.geom_size[geom], scene.model.geom(finger).size, atol=1e-6)


def test_limits_and_one_line() -> None:
    text = so100_urdf()
    assert "\n" not in text
    limits = [joint.find("limit") for joint in ElementTree.fromstring(text).iter("joint")]
    found = [(float(x.get("lower")), float(x.get("upper"))) for x in limits if x is not None]
    np.testing.assert_allclose(found, np.stack([LOW_RAD, HIGH_RAD], axis=1))
