"""`tapscan elastic`: its commands, and what they take."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from typing import Any

from manager.arguments import command, takes_config

URL = "of the server (default: those of the settings)"


def _elastic_setup(given: Namespace) -> int:
    from manager.elastic_setup import Asked, set_up

    asked = Asked(given.url, given.config, given.dry_run, given.check, tuple(given.retention), given.ilm)
    return set_up(asked)


def _elastic_status(given: Namespace) -> int:
    from manager.elastic_status import show_status

    return show_status(given.config, given.url, given.json)


def _elastic_backfill(given: Namespace) -> int:
    from manager.elastic_status import backfill

    return backfill(given.config, given.url, given.since, given.files)


def _elastic_dead_letters(given: Namespace) -> int:
    from manager.elastic_status import list_dead, replay_dead

    return replay_dead(given.config) if given.what == "replay" else list_dead(given.config, given.json)


def elastic_commands(commands: Any) -> None:
    words = "Gives Elasticsearch the templates of the documents and the role of who writes them; once or again."
    more = "Exit code: 0, or 2 when it could not be done, or --check found a difference."
    setup = command(commands, "setup", _elastic_setup, words, more)
    setup.add_argument("url", metavar="URL", nargs="?", help=URL)
    setup.add_argument("--dry-run", action="store_true", help="prints what would be sent, as JSON; asks no server")
    setup.add_argument("--check", action="store_true", help="changes nothing, says what differs")
    words = "how long documents of a kind are kept: object=30d (repeatable; what the server has stays otherwise)"
    setup.add_argument("--retention", metavar="KIND=DAYS", type=_retention, action="append", default=[], help=words)
    words = "a policy of index lifecycle management that holds in the place of --retention (what the server has stays)"
    setup.add_argument("--ilm", metavar="POLICY", help=words)
    takes_config(setup, json=False)
    words = "Shows whether documents can be stored, and how many wait."
    status = command(commands, "status", _elastic_status, words, "Exit code: 0, or 2 when they can't be.")
    status.add_argument("url", metavar="URL", nargs="?", help=URL)
    takes_config(status)
    words = "Sends documents again that the spool still holds, or that --json printed; none is stored twice."
    backfill = command(commands, "backfill", _elastic_backfill, words)
    backfill.add_argument("files", metavar="FILE", nargs="*", help="what --json printed; - for standard input")
    backfill.add_argument("--since", metavar="TIME", help="24h, 7d, or a date or time (UTC)")
    backfill.add_argument("--url", metavar="URL", help=URL)
    takes_config(backfill, json=False)
    words = "Shows documents that the server refused, and why, or sends them again."
    letters = command(commands, "dead-letters", _elastic_dead_letters, words)
    letters.add_argument("what", choices=("list", "replay"), nargs="?", default="list", help="default: %(default)s")
    takes_config(letters)


def _retention(text: str) -> tuple[str, int]:
    from manager.schema import RETENTION

    kind, _, days = text.partition("=")
    days = days.removesuffix("d")
    if kind not in RETENTION or not days.isdecimal() or not 0 < int(days) < 100_000:
        raise ArgumentTypeError(f"{text!r} won't do: write object=30d; there are {', '.join(RETENTION)}")
    return kind, int(days)
