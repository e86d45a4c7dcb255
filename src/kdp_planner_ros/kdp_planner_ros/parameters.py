"""Every parameter of the planner node: default, range and meaning; rclpy refuses values outside."""

from dataclasses import dataclass, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor


@dataclass(frozen=True)
class _Declared:
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    structural: bool = False  # takes effect at configure, so a configured node refuses a change


_DECLARED = {
    "autostart": _Declared(True, "Configure and activate at start. Activating never arms.", structural=True),
    "artifact": _Declared("", "Folder of the exported planner (artifact).", structural=True),
    "candidates": _Declared(64, "Windows generated per cycle, K.", 1, 256, structural=True),
    "seed": _Declared(0, "Seed of the noise.", 0, 2**31 - 1, structural=True),
    "threads": _Declared(1, "Threads of the inference runtime.", 1, 16, structural=True),
    "chunk": _Declared(
        0, "Window rows executed before the next plan, L; 0: a plan every cycle.", 0, 256, structural=True
    ),
    "execute": _Declared("action", "What of the plan is executed: see kdp_core.controller.", structural=True),
    "frame_id": _Declared(
        "world", "Frame of states, obstacles, goals and commands; others are refused.", structural=True
    ),
    "latched_topics": _Declared(
        ["obstacles"], "Input topics subscribed as transient local.", structural=True
    ),
    "rate_hz": _Declared(0.0, "Cap of the control rate, Hz; 0: the spec's rate.", 0.0, 500.0),
    "state_timeout_s": _Declared(
        0.5,
        "A state older than this (by receipt, s) ends the goal: STATE_LOST. Also for all inputs not latched.",
        0.05,
        10.0,
    ),
    "goal_action": _Declared(
        "fly_to",
        "Name of the action that takes goals, in the node's namespace; empty: none.",
        structural=True,
    ),
    "goal_action_type": _Declared(
        "kdp_msgs/action/FlyTo", "Its type; one with the fields of FlyTo.", structural=True
    ),
    "goal_z": _Declared(1.0, "Height for goals with z = 0 (RViz's 2D goals), m.", 0.0, 100.0),
    "goal_tolerance": _Declared(0.0, "Distance that counts as reached, m; 0: the task's rule.", 0.0, 10.0),
    "goal_timeout_s": _Declared(60.0, "A goal ends as TIMEOUT after this, s; 0: never.", 0.0, 3600.0),
    "success_hold_s": _Declared(
        0.0, "So long a goal must stay reached before it has ended, s; the plan goes on.", 0.0, 60.0
    ),
    "hold_s": _Declared(
        2.0, "After a goal ended, command the safe action for this long, s; then stop publishing.", 0.0, 600.0
    ),
    "feedback_rate_hz": _Declared(5.0, "Feedback of the action, Hz.", 0.1, 50.0),
    "marker_scale": _Declared(
        1.0,
        "Size of the markers' lines and symbols: 1 for rooms, 0.1 for tables.",
        0.01,
        100.0,
        structural=True,
    ),
    "marker_rate_hz": _Declared(
        5.0, "plan_path, plan_candidates, plan_markers, if subscribed, Hz.", 0.1, 50.0
    ),
}


@dataclass(frozen=True)
class Settings:
    """Snapshot of all parameters, by their names."""

    autostart: bool
    artifact: str
    candidates: int
    seed: int
    threads: int
    chunk: int
    execute: str
    frame_id: str
    latched_topics: list[str]
    rate_hz: float
    state_timeout_s: float
    goal_action: str
    goal_action_type: str
    goal_z: float
    goal_tolerance: float
    goal_timeout_s: float
    success_hold_s: float
    hold_s: float
    feedback_rate_hz: float
    marker_scale: float
    marker_rate_hz: float


STRUCTURAL = frozenset(name for name, declared in _DECLARED.items() if declared.structural)


def _descriptor(declared: _Declared) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=declared.description)
    if declared.low is not None and isinstance(declared.default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(declared.low), to_value=float(declared.high), step=0.0)
        ]
    elif declared.low is not None:
        descriptor.integer_range = [
            IntegerRange(from_value=int(declared.low), to_value=int(declared.high), step=1)
        ]
    return descriptor


def declare_parameters(node: Any) -> Settings:
    """Declare all on `node`; raises rclpy's InvalidParameter* for an override of wrong type or range."""
    for name, declared in _DECLARED.items():
        node.declare_parameter(name, declared.default, _descriptor(declared))
    return read_settings(node)


def read_settings(node: Any) -> Settings:
    """Current values."""
    return Settings(**{field.name: node.get_parameter(field.name).value for field in fields(Settings)})
