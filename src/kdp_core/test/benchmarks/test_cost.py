"""Rows of the cost benchmark for graphs made by hand, and where its real graphs come from."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kdp_core.benchmarks import cost, cost_e2e, cost_graphs, cost_table, long_format
from kdp_core.benchmarks.cost_graphs import Graph, Sizes
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.generator import NetworkSize
from kdp_core.planner import Planner, open_session
from kdp_core.spec import Spec


def graph_of(spec: Spec, method: str, nfe: int, ranked: bool) -> Graph:
    """Windows of zeros, as many as there is noise, and scores that are the noise."""
    shape = numpy_helper.from_array(np.array([1, spec.horizon, spec.d_window]), "tiles")
    flat = numpy_helper.from_array(np.array([-1, 1, 1]), "rows")
    nodes = [
        helper.make_node("Reshape", ["noise", "rows"], ["column"]),
        helper.make_node("Expand", ["column", "tiles"], ["windows"]),
        helper.make_node("Squeeze", ["noise", "last"], ["scores"]),
    ]
    last = numpy_helper.from_array(np.array([1]), "last")
    floats = TensorProto.FLOAT
    inputs = [
        helper.make_tensor_value_info("state", floats, [1, spec.d_state]),
        helper.make_tensor_value_info("context", floats, [1, spec.d_context + spec.d_goal]),
        helper.make_tensor_value_info("noise", floats, ["k", 1]),
    ]
    outputs = [helper.make_tensor_value_info("windows", floats, None)]
    if ranked:
        outputs.append(helper.make_tensor_value_info("scores", floats, None))
    body = helper.make_graph(
        nodes if ranked else nodes[:2], "planner", inputs, outputs, [shape, flat, last][: 3 if ranked else 2]
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return Graph(method, spec, model.SerializeToString(), nfe, ranked, 7, False)


def test_rows_of_every_method_and_number_of_candidates(
    tmp_path: Path, fitted_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: object) -> Iterator[Graph]:
        yield graph_of(fitted_spec, "bc", 1, False)
        yield graph_of(fitted_spec, "kdp_ranked", 1, True)
        yield graph_of(fitted_spec, "kdp_unranked", 1, False)
        yield graph_of(fitted_spec, "diffuser_ranked", 20, True)

    monkeypatch.setattr(cost, "graphs", made)
    options = cost_table.CostTableOptions(cost.CostOptions(candidates=(1, 4), rounds=3), flights=0)
    document = cost_table.run_table(tmp_path, options, lambda line: None)
    assert document == long_format.read(tmp_path / "cost.json")
    assert "untrained weights (kdp, diffuser, diffuser_same_network, bc)" in document["data"]
    rows = [row for row in document["rows"] if "(published)" not in row["method"]]
    value = {(row["method"], row["candidates"], row["metric"]): row["value"] for row in rows}
    assert {key[:2] for key in value} == {
        ("bc", 1), ("kdp_ranked", 1), ("kdp_ranked", 4), ("kdp_unranked", 1), ("kdp_unranked", 4),
        ("diffuser_ranked", 1), ("diffuser_ranked", 4),
    }  # fmt: skip
    assert [value["diffuser_ranked", 4, m] for m in ("nfe", "bef")] == [20, 84]
    assert [value["kdp_ranked", 4, "bef"], value["kdp_unranked", 4, "bef"], value["bc", 1, "bef"]] == [
        8,
        4,
        1,
    ]
    for method in ("bc", "kdp_ranked", "diffuser_ranked"):
        p50, p99 = (value[method, 1, f"planner_ms_{p}"] for p in ("p50", "p99"))
        assert 0 < p50 <= p99
        assert value[method, 1, "planner_cpu_ms_p50"] >= 0
        base = "kdp_unranked" if method == "bc" else "kdp_ranked"
        assert value[method, 1, "ratio_to_kdp"] == pytest.approx(p50 / value[base, 1, "planner_ms_p50"])
    table = (tmp_path / "cost.md").read_text()
    assert "| diffuser_ranked | 4 | 20 | 84 |" in table and "| 149.32 |" in table
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_calls_of_a_cell_are_counted_without_warm_up(fitted_spec: Spec) -> None:
    graph = graph_of(fitted_spec, "kdp_ranked", 1, True)
    cell = cost.Cell(graph, cost.Source(graph, 1), 4)
    assert cell.seconds == []
    cell.visit()
    once = len(cell.seconds)
    cell.visit()
    assert 1 <= once <= cost.MOST_CALLS and len(cell.seconds) == 2 * once


def test_untrained_network_has_the_real_size_and_loses_only_its_scorer() -> None:
    sizes = Sizes(network=NetworkSize(d_noise=3, width=8, blocks=1, scorer_width=8))
    graph = next(cost_graphs.graphs("flight", sizes, {}))
    assert (graph.method, graph.nfe, graph.ranked, graph.spec.horizon) == ("bc", 1, False, 1)
    feeds = {"state": (1, 6), "context": (1, graph.spec.d_context), "noise": (2, 3)}
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(size).astype(np.float32) for name, size in feeds.items()}
    (windows,) = open_session(graph.onnx_bytes, 1).run(None, feeds)
    assert windows.shape == (2, 1, graph.spec.d_window)
    assert (windows[:, 0, :6] == feeds["state"]).all()
    assert not np.array_equal(windows[0], windows[1])


def test_graphs_of_an_artifact(shipped: Path) -> None:
    whole = cost_graphs._of_artifact("kdp", shipped)
    planner = Planner.load(shipped)
    assert whole.trained and whole.nfe == planner.nfe == 1 and whole.spec == planner.spec
    weights = sum(
        int(np.prod(tensor.dims)) for tensor in onnx.load(shipped / "planner.onnx").graph.initializer
    )
    assert whole.parameters == weights > 5e5
    for name in ("diffuser", "bc"):
        with pytest.raises(ConfigError, match=f"--{name}: .* is of method 'kdp' with 1 evaluation"):
            cost_graphs._of_artifact(name, shipped)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"candidates": ()}, "candidates must be numbers"), ({"rounds": 0}, "rounds must be at least 1")],
)
def test_impossible_arguments(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(cost.CostOptions(), **change)


SMALL = Sizes(network=NetworkSize(d_noise=3, width=8, blocks=1, scorer_width=8), components=4)


def test_end_to_end_flies_an_untrained_planner_and_reads_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def bench(command: list[str], **_: object) -> SimpleNamespace:
        calls.append(command)
        given = dict(zip(command[3::2], command[4::2], strict=True))
        assert Planner.load(given["--artifact"]).nfe == 1
        n = 100 if given["--candidates"] == "16" else 0
        Path(given["--json"]).write_text(json.dumps({"e2e_ms": {"p50": 7.5 if n else None, "n": n}}))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(cost_e2e.subprocess, "run", bench)
    found = cost_e2e.end_to_end_ms("kdp", 16, 1, SMALL, tmp_path, lambda line: None)
    assert found == (7.5, 100)
    assert cost_e2e.end_to_end_ms("kdp", 64, 1, SMALL, tmp_path, lambda line: None) == (None, 0)
    assert len(calls) == 2

    monkeypatch.setattr(cost_e2e.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(DataError, match="ended with 1"):
        cost_e2e.end_to_end_ms("kdp", 16, 1, SMALL, tmp_path, lambda line: None)
