"""What was asked for on the command line, and how a command gives up."""

from __future__ import annotations

from sensor.noun import noun


class Stop(Exception):
    """The command can't go on; the text is for the user, exit code 2."""


@noun
class Options:
    """Of `scan` and `extract`."""

    captures: tuple[str, ...]
    config: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    workers: int = 1
    rules: tuple[str, ...] = ()
    to: str | None = None
