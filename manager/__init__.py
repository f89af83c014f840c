"""The command line, the pipeline, and what is made of verdicts."""

VERSION = "0.1.0"  # as in pyproject.toml; importlib.metadata would cost every command 20 ms
