"""End-to-end times of the cost table: the Crazyflie's ROS graph with untrained planners of the real sizes.

A flight with such a planner goes nowhere in particular, but each of its cycles takes the way of every other:
state received, plan, command, simulated robot. Commands of planners slower than the driver's 0.5 s arrive
nowhere: then there is no time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from kdp_core.baselines.diffuser import DiffuserModel
from kdp_core.benchmarks.cost_graphs import Sizes, untrained_model
from kdp_core.exceptions import DataError
from kdp_core.export import export_artifact
from kdp_core.files import load_json

MODULE = "kdp_crazyflie_bringup.bench_flight"


def available() -> bool:
    """Whether the Crazyflie's ROS packages are there."""
    return find_spec(MODULE.partition(".")[0]) is not None


def end_to_end_ms(
    name: str, candidates: int, flights: int, sizes: Sizes, folder: Path, say: Callable[[str], None]
) -> tuple[float | None, int]:
    """Median end-to-end time, ms, and the number of cycles that it is of; None if no command arrived.

    Args:
        name: one of ``cost_graphs.METHODS``.
        candidates: K.
        flights: flights through the usual 16 poles.
        sizes: of the untrained network.
        folder: keeps artifacts and finished flights.
        say: told what is done.

    Raises:
        DataError: the benchmark failed.
    """
    artifact = folder / "artifacts" / name
    if not artifact.exists():
        model = untrained_model(name, "flight", sizes)
        method: dict[str, object] = {"method": "kdp", "field": "none, untrained"}
        if isinstance(model, DiffuserModel):
            config = model.config
            method = {"method": "diffuser", "network": config.network, "sampler": config.sampler}
        export_artifact(
            model, artifact, {**method, "nfe": model.nfe, "seed": 0, "data_id": "none, untrained"}
        )
    say(f"end to end: {name}, K = {candidates}, {flights} flight(s)")
    path = folder / f"{name}-{candidates}.json"
    command = [
        sys.executable, "-m", MODULE, "--flights", str(flights), "--candidates", str(candidates),
        "--artifact", str(artifact), "--json", str(path),
    ]  # fmt: skip
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    if code == 130:
        raise KeyboardInterrupt
    if code != 0:
        raise DataError(f"{MODULE} ended with {code} (artifact {artifact}, logs {folder / 'log'})")
    times = load_json(path, DataError)["e2e_ms"]
    return (float(times["p50"]), int(times["n"])) if times["n"] else (None, 0)
