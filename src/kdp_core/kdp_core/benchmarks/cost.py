"""What a plan costs: behaviour cloning, Diffuser and the one-step planner in one interleaved run.

Every method is one ONNX graph, run by onnxruntime as on a robot; a call counts from drawing the noise to the
chosen window. Weights are untrained unless artifacts are given: the times do not depend on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kdp_core.benchmarks import long_format
from kdp_core.benchmarks.cost_graphs import Graph, Sizes, graphs
from kdp_core.exceptions import ConfigError
from kdp_core.planner import open_session, select
from kdp_core.ranges import at_least
from kdp_core.spec import Spec

LONGEST_VISIT_S = 0.05
MOST_CALLS = 25


@dataclass(frozen=True)
class CostOptions:
    """What is measured."""

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

    def percentiles_ms(self) -> tuple[float, float]:
        """p50 and p99 of a call."""
        p50, p99 = np.percentile(self.seconds, [50, 99]) * 1e3
        return float(p50), float(p99)

    def _call(self) -> tuple[float, float]:
        start, cpu_start = time.perf_counter(), time.process_time()
        noise = self._rng.standard_normal((self.k, self._source.d_noise), dtype=np.float32)
        select(self._source, self._state, self._context, noise)
        return time.perf_counter() - start, time.process_time() - cpu_start

    @property
    def bef(self) -> int:
        """Network evaluations of single windows per plan: the generator's or denoiser's, and the scorer's."""
        return self.k * (self.graph.nfe + int(self.graph.ranked))


def measure(options: CostOptions, say: Callable[[str], None]) -> list[Cell]:
    """Times of every method and number of candidates, in rounds over all of them in random order."""
    say("exporting the graphs")
    cells = []
    for graph in graphs(options.task, options.sizes, options.artifacts):
        source = Source(graph, options.threads)
        cells += [Cell(graph, source, k) for k in ([1] if graph.method == "bc" else options.candidates)]
    rng = np.random.default_rng(0)
    for number in range(options.rounds):
        for index in rng.permutation(len(cells)):
            cells[index].visit()
        say(f"round {number + 1}/{options.rounds}")
    return cells


def rows(cell: Cell, cells: list[Cell], options: CostOptions) -> list[long_format.Row]:
    """One cell in the long format."""
    p50, p99 = cell.percentiles_ms()
    ratio, cpu_ratio = ratios(cell, cells)
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
        "threads": options.threads,
        "parameters": cell.graph.parameters,
        "trained": cell.graph.trained,
    }
    return [
        long_format.row(options.task, cell.graph.method, metric, float(value), **more)
        for metric, value in values.items()
        if value is not None
    ]


def ratios(cell: Cell, cells: list[Cell]) -> tuple[float, float] | tuple[None, None]:
    """Median times over those of the one-step planner with as many candidates, ranked as this one is."""
    base = "kdp_ranked" if cell.graph.ranked else "kdp_unranked"
    for other in cells:
        if other.graph.method == base and other.k == cell.k:
            clock = np.median(cell.seconds) / np.median(other.seconds)
            return float(clock), float(np.median(cell.cpu_seconds) / np.median(other.cpu_seconds))
    return None, None


def description(options: CostOptions) -> str:
    """One sentence on what was measured, and how."""
    untrained = [
        name for name in ("kdp", "diffuser", "diffuser_same_network", "bc") if name not in options.artifacts
    ]
    weights = f"untrained weights ({', '.join(untrained)}), on which times do not depend" if untrained else ""
    trained = "; ".join(f"{name}: {path.name}" for name, path in options.artifacts.items())
    return (
        f"time of a plan call (noise, fused graph, choice) for task {options.task}, onnxruntime on the CPU, "
        f"{options.threads} thread(s), methods interleaved in {options.rounds} rounds, warm-up excluded; "
        + "; ".join(part for part in (weights, trained) if part)
        + "; bef counts the scorer for ranked methods; ratios are of medians at equal candidates, by clock"
        + " and by processor time, which differ if the machine did something else besides"
    )
