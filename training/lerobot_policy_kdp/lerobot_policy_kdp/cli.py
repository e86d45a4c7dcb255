"""``lerobot-kdp export CHECKPOINT ARTIFACT`` and ``lerobot-kdp import ARTIFACT CHECKPOINT``."""

from __future__ import annotations

import argparse
from pathlib import Path

from kdp_core.cli import user_errors


@user_errors
def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(prog="lerobot-kdp", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    export = verbs.add_parser("export", help="lerobot's checkpoint -> artifact for kdp_core and ROS")
    export.add_argument("checkpoint", type=Path, help="folder with pretrained_model, or that folder")
    export.add_argument("artifact", type=Path, help="folder to write")
    load = verbs.add_parser("import", help="artifact -> checkpoint for lerobot's --policy.path")
    load.add_argument("artifact", type=Path, help="folder of the artifact")
    load.add_argument("checkpoint", type=Path, help="folder to write")
    load.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    options = parser.parse_args(arguments)

    from lerobot_policy_kdp import exchange  # after the command line: it imports torch and lerobot

    if options.verb == "export":
        path = exchange.export_checkpoint(options.checkpoint, options.artifact)
    else:
        policy = exchange.policy_from_artifact(options.artifact)
        path = exchange.write_checkpoint(policy, options.checkpoint, options.overwrite)
    print(path)
