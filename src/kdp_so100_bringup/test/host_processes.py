"""Starts host programs for tests and calls them."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SECOND_SDK = Path(sys.prefix) / "ftservo"
LEROBOT_PYTHON = Path(os.environ.get("KDP_LEROBOT_PYTHON", ROOT / ".venv-lerobot" / "bin" / "python"))


class Host:
    """Calls a host program by name: ``host.ping(1)``."""

    def __init__(self, child):
        self._child = child

    def answer(self):
        line = self._child.stdout.readline()
        assert line, f"the host program ended with {self._child.wait()}"
        return json.loads(line)

    def __getattr__(self, name):
        def call(*arguments):
            self._child.stdin.write(json.dumps([name, *arguments]) + "\n")
            self._child.stdin.flush()
            return self.answer()

        return call


@contextlib.contextmanager
def host(script, *arguments, python=sys.executable, env=None):
    """Run a host program of this folder until the block ends."""
    command = [str(python), str(HERE / script), *map(str, arguments)]
    environment = {**os.environ, **(env or {})}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as child:
        try:
            yield Host(child)
        finally:
            child.stdin.close()
            try:
                child.wait(3)
            except subprocess.TimeoutExpired:
                child.kill()
