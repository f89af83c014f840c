"""`tapscan icap-server`: what it takes."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from manager.arguments import command, takes_config

MORE = """Where it listens and what it does with what can't be scanned says [icap] of the settings, what is blocked
[[policy]] (without any: what is malicious), with which page [block_page].

Exit code: 0 ended by a signal, 2 the settings hold a mistake, or it can't listen there."""


def _serve(given: Namespace) -> int:
    from manager.icap_server import Asked, serve

    return serve(Asked(given.config, given.json, given.quiet, given.verbose, tuple(given.rules)))


def icap_commands(commands: Any) -> None:
    """Declares it."""
    words = "Holds what a proxy (Squid, say) asks about by ICAP until every engine has spoken; runs until it is ended."
    made = command(commands, "icap-server", _serve, words, MORE)
    words = "more YARA rules, file or folder (repeatable)"
    made.add_argument("--rules", metavar="PATH", action="append", default=[], help=words)
    takes_config(made)
    made.add_argument("-q", "--quiet", action="store_true", help="only alarms and trouble")
    made.add_argument("-v", "--verbose", action="count", default=0, help="more words")
