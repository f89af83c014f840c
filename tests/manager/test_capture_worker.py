"""What a process that captures has loaded before it can open no file of the installation any more."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OF_FILES = {"sources.py"}  # compressed captures: opened before rights are given up
LOADED = """
import sys
from manager.capture_worker import load_all
load_all()
sys.stdout.write("\\n".join(sys.modules))
"""


def late(path):
    """The modules that a file's functions import."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    yield node.module


def test_nothing_is_left_to_load():
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    sources = [path for package in ("sensor", "reassembly") for path in (ROOT / package).rglob("*.py")]
    wanted = {name for path in sources if path.name not in OF_FILES for name in late(path)}
    assert "dpkt" in wanted
    assert wanted <= set(done.stdout.splitlines())
