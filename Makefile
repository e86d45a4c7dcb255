# One command per thing a newcomer wants; each sets up what it needs first and does nothing twice.
# PYTHON=/path/to/python chooses the interpreter (3.11 to 3.13), KDP_ROS=kilted another ROS for the wheels,
# ARGS="..." is handed on to the program of train, bench, bench-flight, bench-arm, demo, demo-arm and test (pytest).
export PYTHON KDP_ROS
IN = tools/run-in-workspace
START = $(or $(shell command -v python3),$(PYTHON))

.PHONY: help setup setup-train lerobot-env demo demo-arm test test-lerobot lint train bench bench-flight bench-arm outside-so101 d3rlpy-env d3rlpy clean distclean

help:
	@echo "make demo          set up, then fly 3 flights with the shipped planner (no torch)"
	@echo "make demo-arm      set up, then 3 pick-place and 1 stacking episode of a simulated SO-100 (no torch)"
	@echo "make test          set up with torch, then ruff, mypy and every test"
	@echo "make test-lerobot  install lerobot in an environment of its own and run the tests that use it"
	@echo "make train         collect, train and export the flight planner"
	@echo "make bench         the two-mode toy benchmark of the drift fields"
	@echo "make bench-flight  60 flights over the whole ROS graph, with latencies"
	@echo "make bench-arm     60 arm episodes over the whole ROS graph (ARGS=\"--task stack\" for stacking)"
	@echo "make outside-so101 train and run the planner in lerobot-env-so101's pick-and-place (own environment)"
	@echo "make d3rlpy        BC, TD3+BC, IQL, CQL and DT for a table (ARGS=locomotion or adroit, own environment)"
	@echo "make lint          ruff and mypy only"
	@echo "make setup         .venv and colcon build (setup-train: with torch)"
	@echo "make clean         remove build products (distclean: and .venv)"

setup:
	@$(START) tools/setup_workspace.py

setup-train:
	@$(START) tools/setup_workspace.py --train

lerobot-env:
	@$(START) tools/setup_lerobot_env.py

demo: setup
	@$(IN) python -m kdp_crazyflie_bringup.demo $(ARGS)

test: lint
	@OMP_NUM_THREADS=1 $(IN) python -m pytest $(ARGS)

# Some tests call lerobot in its own environment, and the driver's run there themselves.
test-lerobot: setup-train lerobot-env
	@OMP_NUM_THREADS=1 $(IN) python -m pytest -k lerobot src training $(ARGS)
	@PYTHONPATH=src/kdp_core:src/kdp_planner_ros:src/kdp_so100_bringup OMP_NUM_THREADS=1 \
		.venv-lerobot/bin/python -m pytest -k lerobot src/kdp_so100_bringup/test/test_arm_link.py $(ARGS)

lint: setup-train
	@$(IN) ruff check .
	@$(IN) ruff format --check .
	@$(IN) mypy

train: setup-train
	@$(IN) python training/train_kdp.py --config training/configs/crazyflie.yaml $(ARGS)

demo-arm: setup
	@$(IN) python -m kdp_so100_bringup.demo $(ARGS)

bench: setup-train
	@mkdir -p out/bench
	@$(IN) python -m kdp_core.benchmarks.toy --json out/bench/toy.json $(ARGS)

bench-flight: setup
	@$(IN) python -m kdp_crazyflie_bringup.bench_flight $(ARGS)

bench-arm: setup
	@$(IN) python -m kdp_so100_bringup.bench_arm $(ARGS)

.venv-so101: tools/requirements/so101.txt
	@$(START) -m venv .venv-so101
	@.venv-so101/bin/python -m pip install -q --no-input --disable-pip-version-check -r $<
	@touch .venv-so101

# Demonstrations by that package's own controller, training as on any LeRobotDataset, 200 unseen episodes.
SO101 = PYTHONPATH=src/kdp_core OMP_NUM_THREADS=1 .venv-so101/bin/python training/outside_so101.py
outside-so101: setup-train .venv-so101
	@test -d out/data/so101-pick-place || $(SO101) collect
	@$(IN) python training/train_kdp.py --config training/configs/so101.yaml
	@$(SO101) evaluate --json out/bench/so101.json $(ARGS)

# Its own requirement of gymnasium-robotics is left out: it asks for a newer gymnasium than d3rlpy allows. The
# table compares rewards before it takes a result.
D3RLPY_LISTS = tools/requirements/d3rlpy.txt tools/requirements/d3rlpy-alone.txt
.venv-d3rlpy/.kdp-setup: $(D3RLPY_LISTS)
	@$(START) -m venv .venv-d3rlpy
	@.venv-d3rlpy/bin/python -m pip install -q --no-input --disable-pip-version-check -r $(word 1,$(D3RLPY_LISTS))
	@.venv-d3rlpy/bin/python -m pip install -q --no-input --disable-pip-version-check --no-deps \
		-r $(word 2,$(D3RLPY_LISTS))
	@touch $@

d3rlpy-env: .venv-d3rlpy/.kdp-setup

d3rlpy: d3rlpy-env
	@PYTHONPATH=src/kdp_core OMP_NUM_THREADS=1 .venv-d3rlpy/bin/python training/d3rlpy_baselines.py $(ARGS)

clean:
	rm -rf build install log out/log
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis

distclean: clean
	rm -rf .venv .venv-lerobot .venv-so101 .venv-d3rlpy
