# One command per thing a newcomer wants; each sets up what it needs first and does nothing twice.
# PYTHON=/path/to/python chooses the interpreter (3.11 to 3.13), KDP_ROS=kilted another ROS for the wheels,
# ARGS="..." is handed on to the program of train, bench, bench-flight, demo and test (pytest).
export PYTHON KDP_ROS
IN = tools/run-in-workspace
START = $(or $(shell command -v python3),$(PYTHON))

.PHONY: help setup setup-train demo test lint train bench bench-flight clean distclean

help:
	@echo "make demo          set up, then fly 3 flights with the shipped planner (no torch)"
	@echo "make test          set up with torch, then ruff, mypy and every test"
	@echo "make train         collect, train and export the flight planner"
	@echo "make bench         the two-mode toy benchmark of the drift fields"
	@echo "make bench-flight  60 flights over the whole ROS graph, with latencies"
	@echo "make lint          ruff and mypy only"
	@echo "make setup         .venv and colcon build (setup-train: with torch)"
	@echo "make clean         remove build products (distclean: and .venv)"

setup:
	@$(START) tools/setup_workspace.py

setup-train:
	@$(START) tools/setup_workspace.py --train

demo: setup
	@$(IN) python -m kdp_crazyflie_bringup.demo $(ARGS)

test: lint
	@OMP_NUM_THREADS=1 $(IN) python -m pytest $(ARGS)

lint: setup-train
	@$(IN) ruff check .
	@$(IN) ruff format --check .
	@$(IN) mypy

train: setup-train
	@$(IN) python training/train_kdp.py --config training/configs/crazyflie.yaml $(ARGS)

bench: setup-train
	@mkdir -p out/bench
	@$(IN) python -m kdp_core.benchmarks.toy --json out/bench/toy.json $(ARGS)

bench-flight: setup
	@$(IN) python -m kdp_crazyflie_bringup.bench_flight $(ARGS)

clean:
	rm -rf build install log out/log
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis

distclean: clean
	rm -rf .venv
