"""The command line as a user calls it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tapscan(tmp_path):
    """Calls the command in a folder of its own; gives exit code, standard output and error."""

    def call(*words, stdin=None, **environment):
        bare = {
            key: value for key, value in os.environ.items() if not key.startswith(("TAPSCAN", "COLUMNS", "NO_COLOR"))
        }
        return subprocess.run(
            [sys.executable, "-m", "manager.cli", *map(str, words)],
            cwd=tmp_path,
            env=bare | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")} | environment,
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )

    return call
