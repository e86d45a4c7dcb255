"""The join and the figures, on rows made by hand."""

import csv
import io
import json
import math

import numpy as np
import pytest

from kdp_planner_ros.latency import DriverRow, LatencyLog, PlannerRow, Quantiles, summarise
from kdp_planner_ros.latency_report import save, table, to_csv

MS = 1_000_000
START = 5_000 * MS


def fill(log, cycles, start=START, plan_ms=2, link_ms=1, crc=None):
    """Cycles 20 ms apart: plan from 1 ms on, at the driver 1 ms after it, sent 1 ms later, then link_ms."""
    for i in range(cycles):
        t = start + 20 * MS * i
        stamp = (t // 10**9, t % 10**9)
        end = t + (1 + plan_ms) * MS
        checksum = 1000 + i if crc is None else crc
        log.add_planner(PlannerRow(stamp, t + MS // 2, t + MS, end, end + MS // 2))
        log.add_driver(DriverRow(stamp, t, end + MS, end + 2 * MS, checksum))
        log.add_receipt(end + (2 + link_ms) * MS, checksum)


def test_figures_of_a_clean_run():
    log = LatencyLog(with_receipts=True)
    fill(log, 100)
    summary = summarise(log.join())
    assert summary.planner_ms == Quantiles(2.0, 2.0, 2.0, 100)
    assert summary.e2e_ms.p50 == pytest.approx(6.0) and summary.e2e_ms.n == 100
    assert summary.replan_hz == pytest.approx(50.0)
    assert (summary.runs, summary.not_at_driver, summary.not_at_robot) == (1, 0, 0)


def test_without_receipts_end_to_end_ends_at_the_link():
    log = LatencyLog(with_receipts=False)
    fill(log, 10)
    assert summarise(log.join()).e2e_ms.p50 == pytest.approx(5.0)


def test_rows_in_any_order_give_the_same():
    ordered, shuffled = LatencyLog(True), LatencyLog(True)
    fill(ordered, 60)
    planner, drivers = list(ordered.planner), list(ordered.driver.values())
    receipts = [(ns, crc) for crc, times in ordered.receipts.items() for ns in times]
    rng = np.random.default_rng(0)
    for rows, add in ((planner, shuffled.add_planner), (drivers, shuffled.add_driver)):
        for i in rng.permutation(len(rows)):
            add(rows[i])
    for i in rng.permutation(len(receipts)):
        shuffled.add_receipt(*receipts[i])
    assert summarise(shuffled.join()) == summarise(ordered.join())


def test_equal_bytes_match_the_first_receipt_after_the_driver_had_the_command():
    log = LatencyLog(with_receipts=True)
    fill(log, 50, crc=7)
    assert {row.e2e_ns for row in log.join()} == {6 * MS}


def test_lost_rows_are_counted_and_never_matched_to_others():
    log = LatencyLog(with_receipts=True)
    fill(log, 100)
    stamps = [row.stamp for row in log.planner]
    for i in (10, 20, 30):
        del log.driver[stamps[i]]
    for i in (40, 50):
        del log.receipts[1000 + i]
    summary = summarise(log.join())
    assert (summary.not_at_driver, summary.not_at_robot) == (3, 5)
    assert summary.e2e_ms.n == 95 and summary.e2e_ms.p99 == pytest.approx(6.0)
    assert summary.planner_ms.n == 100
    assert summary.replan_hz == pytest.approx(50.0 * 94 / 99)


def test_a_receipt_that_is_too_late_is_another_commands():
    log = LatencyLog(with_receipts=True)
    fill(log, 1, link_ms=2000)
    assert summarise(log.join()).not_at_robot == 1


def test_warm_up_is_taken_from_each_run_and_pauses_do_not_slow_the_rate():
    log = LatencyLog(with_receipts=True)
    for run in range(3):
        start = START + run * 30_000 * MS
        fill(log, 10, start, plan_ms=9)
        fill(log, 90, start + 200 * MS, plan_ms=2)
    summary = summarise(log.join(), warm_up_cycles=10)
    assert (summary.runs, summary.cycles) == (3, 270)
    assert summary.planner_ms.p99 == 2.0
    assert summary.replan_hz == pytest.approx(50.0)


def test_safe_actions_are_no_applied_plans():
    log = LatencyLog(with_receipts=True)
    fill(log, 101)
    for i in range(1, 100, 2):
        log.planner[i] = PlannerRow(**{**log.planner[i].__dict__, "safe_action": True})
    summary = summarise(log.join())
    assert summary.safe_actions == 50
    assert summary.replan_hz == pytest.approx(25.0)


def test_repeated_sending_does_not_replace_the_first():
    log = LatencyLog(with_receipts=False)
    fill(log, 1)
    first = log.driver[log.planner[0].stamp]
    log.add_driver(DriverRow(first.stamp, 0, 0, first.command_sent_ns + 100 * MS))
    assert log.driver[first.stamp] == first


def test_percentiles_are_numpys():
    values = np.random.default_rng(1).integers(1, 40 * MS, 1001)
    q = Quantiles.of_ns(values.tolist())
    np.testing.assert_allclose([q.p50, q.p95, q.p99], np.percentile(values / MS, [50, 95, 99]), rtol=1e-12)
    assert Quantiles.of_ns([]).n == 0 and math.isnan(Quantiles.of_ns([]).p50)


def test_report_files(tmp_path):
    log = LatencyLog(with_receipts=True)
    fill(log, 20)
    del log.driver[log.planner[3].stamp]
    rows = log.join()
    json_path, csv_path = save(tmp_path / "new", rows, summarise(rows), "received by the simulated robot")
    document = json.loads(json_path.read_text())
    assert document["e2e_ms"]["n"] == 19 and document["not_at_driver"] == 1
    cells = list(csv.DictReader(io.StringIO(csv_path.read_text())))
    assert len(cells) == 20 and cells[3]["e2e_ms"] == "" and float(cells[0]["e2e_ms"]) == pytest.approx(6.0)
    assert {p.name for p in json_path.parent.iterdir()} == {"latency.json", "latency.csv"}


def test_no_rows_is_no_error(tmp_path):
    summary = summarise([])
    assert json.loads(save(tmp_path, [], summary, "x")[0].read_text())["replan_hz"] is None
    assert "0 cycles" in table(summary, "x")
    assert to_csv([]).count("\n") == 1
