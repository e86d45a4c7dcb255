"""The arm's graph with the expert planner of this folder in the network's place."""

from dataclasses import replace
from pathlib import Path

from kdp_planner_ros.start_graph import Graph
from kdp_so100_bringup import graph

EXPERT = Path(__file__).parent / "expert_planner.py"


def nodes(**arguments):
    """As `graph.arm_nodes`; an absolute executable takes the place of the package's."""
    task = arguments.get("task", "pick_place")
    found = graph.arm_nodes(**{**arguments, "artifact": "."})
    return [
        replace(node, executable=str(EXPERT), arguments=(task,)) if node.name == "planner" else node
        for node in found
    ]


GRAPH = Graph(graph.BRINGUP, "none.launch.py", graph.ARGUMENTS, nodes)
