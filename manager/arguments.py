"""What the commands of `tapscan` have in common: the parser, how a command is declared, its settings."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from manager.options import Stop

Command: TypeAlias = Callable[[Namespace], int]  # gives the exit code


class Parser(ArgumentParser):
    """Bad usage is one line and exit code 2, as all trouble is."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise Stop(f"{message} ({self.prog} --help)")


def command(commands: Any, name: str, does: Command | None, about: str, more: str = "") -> Parser:
    """Declares a command; `more` stands under what it is about. Without `does` it has commands of its own."""
    made: Parser = commands.add_parser(name, help=about, description=f"{about}\n\n{more}".rstrip())
    made.set_defaults(does=does)
    return made


def takes_config(command: Parser, json: bool = True) -> None:
    """--config and --json."""
    default = os.environ.get("TAPSCAN_CONFIG") or None
    words = "settings, a tapscan.toml (default: $TAPSCAN_CONFIG)"
    command.add_argument("--config", metavar="FILE", default=default, help=words)
    if json:
        command.add_argument("--json", action="store_true", help="JSON lines on standard output, nothing else there")
