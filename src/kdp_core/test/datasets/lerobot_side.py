"""Run by an interpreter that has lerobot: read our data set with it, and write one of its own.

python lerobot_side.py OURS THEIRS RESULT.npz
"""

import sys

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

HORIZON = 4


def read(root: str) -> dict[str, np.ndarray]:
    """Every frame with a window of actions and the state before, and what lerobot knows besides."""
    deltas = {"action": [i / 50 for i in range(HORIZON)], "observation.state": [-1 / 50, 0.0]}
    data = LeRobotDataset("kdp/ours", root=root, delta_timestamps=deltas)
    frames = [data[i] for i in range(len(data))]
    out = {
        name.replace(".", "_"): np.stack([np.asarray(frame[name]) for frame in frames])
        for name in ("action", "action_is_pad", "observation.state", "observation.environment_state",
                     "next.reward", "next.done", "grasped", "timestamp", "episode_index", "frame_index")
    }  # fmt: skip
    out["task"] = np.array([frame["task"] for frame in frames])
    out["mean"], out["std"] = (np.asarray(data.meta.stats["action"][key]) for key in ("mean", "std"))
    out["q10"] = np.asarray(data.meta.stats["action"]["q10"])
    chosen = LeRobotDataset("kdp/ours", root=root, episodes=[2])
    out["chosen"] = np.stack([np.asarray(chosen[i]["index"]) for i in range(len(chosen))])
    return out


def write(root: str) -> dict[str, np.ndarray]:
    """Two episodes as lerobot records them, with integers, doubles and no unit.

    No feature has the shape (1,): lerobot 0.4.4 cannot write those with NumPy 2.4 and newer.
    """
    names = ["shoulder_pan.pos", "gripper.pos"]
    features = {
        "observation.state": {"dtype": "float32", "shape": (2,), "names": names},
        "action": {"dtype": "float32", "shape": (2,), "names": names},
        "observation.force": {"dtype": "float64", "shape": (3,), "names": ["x", "y", "z"]},
        "count": {"dtype": "int64", "shape": (3,), "names": ["a", "b", "c"]},
    }
    data = LeRobotDataset.create("kdp/theirs", 30, features, root=root, robot_type="so100", use_videos=False)
    rng = np.random.default_rng(1)
    out: dict[str, list[np.ndarray]] = {name: [] for name in features}
    for steps in (7, 5):
        for _ in range(steps):
            frame = {
                name: rng.integers(0, 9, size=feature["shape"])
                if feature["dtype"] == "int64"
                else rng.normal(size=feature["shape"]).astype(feature["dtype"])
                for name, feature in features.items()
            }
            for name, value in frame.items():
                out[name].append(value.copy())
            data.add_frame({**frame, "task": "push" if steps == 7 else "pull"})
        data.save_episode()
    data.finalize()
    return {f"theirs_{name}".replace(".", "_"): np.stack(values) for name, values in out.items()}


if __name__ == "__main__":
    ours, theirs, result = sys.argv[1:]
    np.savez(result, **read(ours), **write(theirs))
