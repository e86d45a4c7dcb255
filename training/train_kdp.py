#!/usr/bin/env python3
"""Train a keyed drifting policy: collect or read data, train generator and scorer, export an artifact.

    python training/train_kdp.py --config training/configs/crazyflie.yaml [--train.steps 2000]

Every value of the configuration file can be overridden on the command line. Interrupt at will: the same
command goes on from the last checkpoint in --out.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import tyro

from kdp_core.cli import user_errors
from kdp_core.exceptions import ConfigError
from kdp_core.run_config import RunConfig, load_run_config
from kdp_core.run_training import run_training


@user_errors
def main() -> None:
    """Read the configuration, let the command line override it, run."""
    arguments = [p for a in sys.argv[1:] for p in (a.split("=", 1) if a.startswith("--config=") else [a])]
    default = RunConfig()
    if "--config" in arguments:
        at = arguments.index("--config")
        if at + 1 >= len(arguments):
            raise ConfigError("--config: expected the path of a YAML file after it")
        default = load_run_config(Path(arguments[at + 1]))
        arguments = arguments[:at] + arguments[at + 2 :]
    config = tyro.cli(RunConfig, args=arguments, default=default, description=__doc__)
    run_training(config, asdict(config))


if __name__ == "__main__":
    main()
