"""Table, JSON and CSV of a latency log; files appear whole or not at all."""

import json
import os
from pathlib import Path

from kdp_planner_ros.latency import JoinedRow, Summary

_COLUMNS = (
    "stamp_sec,stamp_nanosec,state_received_ns,planner_state_received_ns,plan_start_ns,plan_end_ns,"
    "command_published_ns,command_received_ns,command_sent_ns,receipt_ns,planner_ms,e2e_ms,"
    "deadline_missed,safe_action"
)


def write_atomically(path: Path, text: str) -> None:
    """Write beside `path`, then rename over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def to_csv(rows: list[JoinedRow]) -> str:
    """One line per cycle, warm-up included; a stamp that is missing is an empty cell."""
    lines = [_COLUMNS]
    for row in rows:
        planner, driver = row.planner, row.driver
        cells = [
            *planner.stamp,
            driver.state_received_ns if driver else "",
            planner.state_received_ns,
            planner.plan_start_ns,
            planner.plan_end_ns,
            planner.command_published_ns,
            driver.command_received_ns if driver else "",
            driver.command_sent_ns if driver else "",
            row.receipt_ns or "",
            f"{row.planner_ns * 1e-6:.4f}",
            f"{row.e2e_ns * 1e-6:.4f}" if row.e2e_ns > 0 else "",
            int(planner.deadline_missed),
            int(planner.safe_action),
        ]
        lines.append(",".join(str(cell) for cell in cells))
    return "\n".join(lines) + "\n"


def table(summary: Summary, e2e_end: str) -> str:
    """The figures for people; `e2e_end` says where E2E ends (simulated robot, or handed to the link)."""
    lines = [f"{'':18}{'p50':>9}{'p95':>9}{'p99':>9}{'n':>8}"]
    for name, q in (("planner, ms", summary.planner_ms), ("end to end, ms", summary.e2e_ms)):
        lines.append(f"{name:18}{q.p50:9.2f}{q.p95:9.2f}{q.p99:9.2f}{q.n:8d}")
    lines += [
        f"replan {summary.replan_hz:.1f} Hz over {summary.runs} runs, {summary.cycles} cycles after warm-up",
        f"deadlines missed {summary.deadlines_missed}, safe actions {summary.safe_actions}, "
        f"not at the driver {summary.not_at_driver}, not applied {summary.not_at_robot}",
        f"end to end: state received by the host -> {e2e_end}; one host, CLOCK_MONOTONIC",
    ]
    return "\n".join(lines)


def save(directory: Path, rows: list[JoinedRow], summary: Summary, e2e_end: str) -> tuple[Path, Path]:
    """Write latency.json and latency.csv into `directory`; returns their paths."""
    paths = directory / "latency.json", directory / "latency.csv"
    document = {"e2e_end": e2e_end, "clock": "CLOCK_MONOTONIC, one host", **summary.to_dict()}
    write_atomically(paths[0], json.dumps(document, indent=1) + "\n")
    write_atomically(paths[1], to_csv(rows))
    return paths
