"""CPU time is read from /proc as the kernel writes it."""

import os
from pathlib import Path

from kdp_planner_ros.cpu_load import CpuLoad, cpu_seconds, stolen_seconds


def test_name_with_blanks_and_brackets(tmp_path: Path):
    """Fields 14 to 17 of proc(5): utime, stime, cutime, cstime; the name may hold anything."""
    ticks = os.sysconf("SC_CLK_TCK")
    fields = ["S", *["0"] * 10, "100", "50", "30", "20", *["0"] * 20]
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(f"7 (a) b (c)) {' '.join(fields)}\n")
    assert cpu_seconds(7, tmp_path) == 200 / ticks
    assert cpu_seconds(8, tmp_path) == 0.0


def test_load_of_a_busy_process():
    """This process works between start and stop, so it has a load; one that is gone has none."""
    load = CpuLoad()
    load.start({"me": os.getpid(), "gone": 2**22 + 1})
    sum(i * i for i in range(3_000_000))
    shares = load.stop()
    assert shares["me"] > 0.0
    assert shares["gone"] == 0.0
    assert shares[CpuLoad.STOLEN] >= 0.0


def test_stolen_time(tmp_path: Path):
    """Eighth number of the first line of /proc/stat, proc(5)."""
    assert stolen_seconds(tmp_path) == 0.0
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 800 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    assert stolen_seconds(tmp_path) == 800 / os.sysconf("SC_CLK_TCK")
