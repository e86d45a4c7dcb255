"""The RViz configuration fits the graph: known classes; topics, types, QoS and frame of the nodes."""

from pathlib import Path

import pytest
import yaml

from kdp_so100_bringup.graph import RVIZ_NAME, RVIZ_TOPICS

FILE = Path(__file__).resolve().parents[1] / "rviz" / "pick_place.rviz"
# Display classes of rviz_default_plugins (its plugins_description.xml) and the message each subscribes to.
DISPLAY_MESSAGES = {
    "rviz_default_plugins/Grid": None,
    "rviz_default_plugins/RobotModel": "std_msgs/msg/String",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/Path": "nav_msgs/msg/Path",
}
TOOL_MESSAGES = {"rviz_default_plugins/SetGoal": "geometry_msgs/msg/PoseStamped"}
OTHER_TOOLS = {f"rviz_default_plugins/{name}" for name in ("MoveCamera", "Select", "Measure")}
GRAPH_TOPICS = {
    "plan_markers": "visualization_msgs/msg/MarkerArray",
    "plan_path": "nav_msgs/msg/Path",
    "goal_pose": "geometry_msgs/msg/PoseStamped",
    "robot_description": "std_msgs/msg/String",
}


@pytest.fixture(scope="module")
def manager() -> dict:
    return yaml.safe_load(FILE.read_text())["Visualization Manager"]


def with_topics(manager: dict) -> list[tuple[dict, str]]:
    """Displays and tools that have a topic, with the message type of their class."""
    displays = [
        (d, DISPLAY_MESSAGES[d["Class"]]) for d in manager["Displays"] if DISPLAY_MESSAGES[d["Class"]]
    ]
    return displays + [
        (t, TOOL_MESSAGES[t["Class"]]) for t in manager["Tools"] if t["Class"] in TOOL_MESSAGES
    ]


def topic_of(entry: dict) -> dict:
    return entry["Description Topic"] if "Description Topic" in entry else entry["Topic"]


def test_classes_exist(manager):
    assert {display["Class"] for display in manager["Displays"]} == set(DISPLAY_MESSAGES)
    assert {tool["Class"] for tool in manager["Tools"]} == set(TOOL_MESSAGES) | OTHER_TOOLS


def test_frames(manager):
    assert manager["Global Options"]["Fixed Frame"] == "world"
    assert manager["Views"]["Current"]["Target Frame"] == "world"


def test_topics_and_types(manager):
    shown = {topic_of(entry)["Value"]: message for entry, message in with_topics(manager)}
    assert shown == {f"/{RVIZ_NAME}/{topic}": message for topic, message in GRAPH_TOPICS.items()}
    assert set(RVIZ_TOPICS) == set(GRAPH_TOPICS)  # all of them are remapped for a robot of another name


def test_qos(manager):
    """Of what RViz sees only the arm's description is latched, and the newest message is what counts."""
    for entry, _ in with_topics(manager):
        topic = topic_of(entry)
        latched = "Description Topic" in entry
        assert topic["Durability Policy"] == ("Transient Local" if latched else "Volatile")
        assert topic["Reliability Policy"] == "Reliable"
        assert topic["History Policy"] == "Keep Last" and topic["Depth"] == 1
