"""What a plan costs: behaviour cloning, Diffuser and the one-step planner in one interleaved run.

Every method is one ONNX graph, run by onnxruntime as on a robot; a call counts from drawing the noise to the
chosen window. Weights are untrained unless artifacts are given: the times do not depend on them.

    python -m kdp_core.benchmarks.cost --json results/cost.json
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from kdp_core.benchmarks import long_format
from kdp_core.benchmarks.cost_graphs import Graph, Sizes, graphs
from kdp_core.cli import user_errors
from kdp_core.exceptions import ConfigError
from kdp_core.planner import open_session, select
from kdp_core.ranges import at_least
from kdp_core.spec import Spec

LONGEST_VISIT_S = 0.05
MOST_CALLS = 25


@dataclass(frozen=True)
class Args:
    """Measure NFE, BEF and the time of a plan for each method and number of candidates."""

    json: Path
    """File to write (long format)."""
    task: str = "flight"
    """Task whose windows are planned."""
    candidates: tuple[int, ...] = (1, 16, 64)
    """K."""
    rounds: int = 20
    """How often all methods are visited in turn; quick ones are called several times per visit."""
    threads: int = 1
    """Threads of onnxruntime."""
    sizes: Sizes = field(default_factory=Sizes)
    """Sizes of the untrained networks."""
    kdp: Path | None = None
    """Artifact of a one-step planner."""
    diffuser: Path | None = None
    """Artifact of Diffuser with its own network."""
    diffuser_same_network: Path | None = None
    """Artifact of Diffuser with the planner's network."""
    bc: Path | None = None
    """Artifact of behaviour cloning (a window of one row)."""

    def __post_init__(self) -> None:
        at_least(self, 1, "rounds", "threads")
        if not self.candidates or not all(1 <= k <= 4096 for k in self.candidates):
            raise ConfigError(f"candidates must be numbers from 1 to 4096, got {list(self.candidates)}")

    @property
    def artifacts(self) -> dict[str, Path]:
        """What is not untrained."""
        given = {name: getattr(self, name) for name in ("kdp", "diffuser", "diffuser_same_network", "bc")}
        return {name: path for name, path in given.items() if path is not None}


class Source:
    """A graph as a window source; without scorer all scores are 0."""

    def __init__(self, graph: Graph, threads: int) -> None:
        self.spec: Spec = graph.spec
        self._session = open_session(graph.onnx_bytes, threads)
        self.d_noise = int(self._session.get_inputs()[2].shape[1])

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As ``Planner.propose``."""
        feeds = {"state": state[None], "context": context[None], "noise": noise}
        windows, *scores = self._session.run(None, feeds)
        return windows, scores[0] if scores else np.zeros(len(windows), np.float32)


class Cell:
    """One method with K candidates and the times of its calls, s: by the clock and of the processor."""

    def __init__(self, graph: Graph, source: Source, k: int) -> None:
        self.graph, self.k, self._source = graph, k, source
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        spec, rng = source.spec, np.random.default_rng(0)
        self._rng = rng
        self._state = rng.standard_normal(spec.d_state, dtype=np.float32)
        self._context = rng.standard_normal(spec.d_context + spec.d_goal, dtype=np.float32)
        quickest = min(self._call()[0] for _ in range(2))
        self._calls = int(np.clip(LONGEST_VISIT_S / quickest, 1, MOST_CALLS))

    def visit(self) -> None:
        """Time some calls; the first after another method, with cold caches, is among them on purpose."""
        for _ in range(self._calls):
            seconds, cpu_seconds = self._call()
            self.seconds.append(seconds)
            self.cpu_seconds.append(cpu_seconds)

    def _call(self) -> tuple[float, float]:
        start, cpu_start = time.perf_counter(), time.process_time()
        noise = self._rng.standard_normal((self.k, self._source.d_noise), dtype=np.float32)
        select(self._source, self._state, self._context, noise)
        return time.perf_counter() - start, time.process_time() - cpu_start

    @property
    def bef(self) -> int:
        """Network evaluations of single windows per plan: the generator's or denoiser's, and the scorer's."""
        return self.k * (self.graph.nfe + int(self.graph.ranked))


def run(args: Args, console: Console) -> list[long_format.Row]:
    """Measure and write ``args.json``; return its rows."""
    console.print("exporting the graphs")
    cells = []
    for graph in graphs(args.task, args.sizes, args.artifacts):
        source = Source(graph, args.threads)
        cells += [Cell(graph, source, k) for k in ([1] if graph.method == "bc" else args.candidates)]
    rng = np.random.default_rng(0)
    for number in range(args.rounds):
        for index in rng.permutation(len(cells)):
            cells[index].visit()
        console.print(f"round {number + 1}/{args.rounds}")
    rows = [row for cell in cells for row in _rows(cell, cells, args)]
    long_format.write(args.json, _description(args), rows)
    console.print(_table(cells))
    return rows


def _rows(cell: Cell, cells: list[Cell], args: Args) -> list[long_format.Row]:
    p50, p99 = np.percentile(cell.seconds, [50, 99]) * 1e3
    ratio, cpu_ratio = _ratios(cell, cells)
    values = {
        "nfe": cell.graph.nfe,
        "bef": cell.bef,
        "planner_ms_p50": p50,
        "planner_ms_p99": p99,
        "planner_cpu_ms_p50": np.median(cell.cpu_seconds) * 1e3,
        "ratio_to_kdp": ratio,
        "cpu_ratio_to_kdp": cpu_ratio,
    }
    more = {
        "candidates": cell.k,
        "calls": len(cell.seconds),
        "threads": args.threads,
        "parameters": cell.graph.parameters,
        "trained": cell.graph.trained,
    }
    return [
        long_format.row(args.task, cell.graph.method, metric, float(value), **more)
        for metric, value in values.items()
        if value is not None
    ]


def _ratios(cell: Cell, cells: list[Cell]) -> tuple[float, float] | tuple[None, None]:
    """Median times over those of the one-step planner with as many candidates, ranked as this one is."""
    base = "kdp_ranked" if cell.graph.ranked else "kdp_unranked"
    for other in cells:
        if other.graph.method == base and other.k == cell.k:
            clock = np.median(cell.seconds) / np.median(other.seconds)
            return float(clock), float(np.median(cell.cpu_seconds) / np.median(other.cpu_seconds))
    return None, None


def _description(args: Args) -> str:
    untrained = [
        name for name in ("kdp", "diffuser", "diffuser_same_network", "bc") if name not in args.artifacts
    ]
    weights = f"untrained weights ({', '.join(untrained)}), on which times do not depend" if untrained else ""
    trained = "; ".join(f"{name}: {path.name}" for name, path in args.artifacts.items())
    return (
        f"time of a plan call (noise, fused graph, choice) for task {args.task}, onnxruntime on the CPU, "
        f"{args.threads} thread(s), methods interleaved in {args.rounds} rounds, warm-up excluded; "
        + "; ".join(part for part in (weights, trained) if part)
        + "; bef counts the scorer for ranked methods; ratios are of medians at equal candidates, by clock"
        + " and by processor time, which differ if the machine did something else besides"
    )


def _table(cells: list[Cell]) -> Table:
    table = Table()
    for name in ("method", "K", "NFE", "BEF", "p50 ms", "p99 ms", "CPU ms", "calls", "x KDP", "x CPU"):
        table.add_column(name, no_wrap=name == "method")
    for cell in cells:
        p50, p99 = np.percentile(cell.seconds, [50, 99]) * 1e3
        ratios = ("" if value is None else f"{value:.1f}" for value in _ratios(cell, cells))
        table.add_row(
            cell.graph.method, str(cell.k), str(cell.graph.nfe), str(cell.bef), f"{p50:.2f}", f"{p99:.2f}",
            f"{np.median(cell.cpu_seconds) * 1e3:.2f}", str(len(cell.seconds)), *ratios,
        )  # fmt: skip
    return table


@user_errors
def main() -> None:
    """Command line."""
    width = None if sys.stderr.isatty() else 120
    run(tyro.cli(Args, description=__doc__), Console(stderr=True, width=width))


if __name__ == "__main__":
    main()
