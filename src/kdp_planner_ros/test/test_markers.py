"""Markers: counts, frame, colours, and the segments of the line list."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from visualization_msgs.msg import Marker

from kdp_planner_ros.markers import CANDIDATE_SEGMENTS, MarkerBuilder, shades

K, H, P = 5, 7, 3


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    return {
        "candidates": (rng.normal(size=(K, H, 3)), np.array([3.0, -np.inf, 1.0, 2.0, np.nan])),
        "chosen": rng.normal(size=(H, 3)),
        "goal": np.array([5.0, 1.0, 1.0]),
        "rows": {
            "poles": np.array([[1.0, 2.0, 0.15]] * P),
            "cubes": np.array([[0.2, 0.1, 0.015, 0.0, 0.0, 0.6, 0.8]]),
        },
    }


def by_namespace(array):
    return {m.ns: m for m in array.markers}


def test_all_candidates_are_segments_of_one_line_list(scene):
    paths, _ = scene["candidates"]
    marker = by_namespace(MarkerBuilder("world", 0.6).build(Time(sec=3), **scene, safe_reason=""))[
        "candidates"
    ]
    assert marker.type == Marker.LINE_LIST
    assert len(marker.points) == len(marker.colors) == 2 * K * (H - 1)
    points = np.array([[p.x, p.y, p.z] for p in marker.points]).reshape(K, H - 1, 2, 3)
    np.testing.assert_array_equal(points[:, :, 0], paths[:, :-1])
    np.testing.assert_array_equal(points[:, :, 1], paths[:, 1:])


def test_colours_rank_by_score_and_invalid_is_grey(scene):
    marker = by_namespace(MarkerBuilder("world", 0.6).build(Time(), **scene, safe_reason=""))["candidates"]
    first = [marker.colors[k * 2 * (H - 1)] for k in range(K)]
    assert first[0].g > first[3].g > first[2].g  # scores 3 > 2 > 1
    assert first[0].r < first[3].r < first[2].r
    for invalid in (first[1], first[4]):
        assert invalid.r == invalid.g == invalid.b


def test_shades_of_equal_and_of_no_scores():
    assert len(set(shades(np.array([2.0, 2.0])).tolist())) == 1
    assert shades(np.array([-np.inf, np.nan])).tolist() == [-1, -1]


def test_frame_stamp_and_scene(scene):
    array = MarkerBuilder("world", 0.6).build(Time(sec=3), **scene, safe_reason="")
    assert {m.header.frame_id for m in array.markers} == {"world"}
    assert {m.header.stamp.sec for m in array.markers} == {3}
    assert {m.lifetime.nanosec for m in array.markers} == {600_000_000}
    assert len({(m.ns, m.id) for m in array.markers}) == len(array.markers)
    found = by_namespace(array)
    assert found["chosen"].type == Marker.LINE_STRIP and len(found["chosen"].points) == H
    assert found["chosen"].scale.x > found["candidates"].scale.x
    assert found["goal"].pose.position.x == 5.0 and found["goal"].type == Marker.SPHERE
    poles = [m for m in array.markers if m.ns == "poles"]
    assert len(poles) == P
    assert (poles[0].type, poles[0].pose.position.y, poles[0].scale.x) == (Marker.CYLINDER, 2.0, 0.3)
    cube = found["cubes"]
    assert (cube.type, cube.pose.position.z, cube.pose.orientation.w) == (Marker.CUBE, 0.015, 0.8)
    assert found["safe_action"].action == Marker.DELETE


def test_safe_action_is_written_and_the_chosen_path_goes(scene):
    scene["chosen"] = None
    found = by_namespace(MarkerBuilder("world", 0.6).build(Time(), **scene, safe_reason="no valid candidate"))
    assert "no valid candidate" in found["safe_action"].text
    assert found["chosen"].action == Marker.DELETE


def test_a_smaller_fan_after_a_larger_one(scene):
    builder = MarkerBuilder("world", 0.6)
    builder.build(Time(), **scene, safe_reason="")
    paths = np.arange(2 * 3 * 3, dtype=float).reshape(2, 3, 3)
    marker = builder.candidates(Time(), paths, np.zeros(2))
    assert [p.x for p in marker.points] == [0.0, 3.0, 3.0, 6.0, 9.0, 12.0, 12.0, 15.0]


def test_long_paths_are_thinned_but_keep_both_ends():
    paths = np.arange(2 * 32 * 3, dtype=float).reshape(2, 32, 3)
    marker = MarkerBuilder("world", 0.6).candidates(Time(), paths, np.zeros(2))
    assert len(marker.points) == len(marker.colors) == 2 * 2 * CANDIDATE_SEGMENTS
    assert (marker.points[0].x, marker.points[2 * CANDIDATE_SEGMENTS - 1].x) == (
        paths[0, 0, 0],
        paths[0, -1, 0],
    )
