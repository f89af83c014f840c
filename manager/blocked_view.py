"""`tapscan actions blocked` and `lift`: what is not to be had again for a while, and how it is again."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict

import orjson

from manager.action_log import actions_folder
from manager.blocklist import NAME, Blocklist, Entry
from manager.ecs import timestamp
from manager.options import Stop
from manager.sentences import count
from manager.visible import visible


def show(json: bool) -> int:
    """Prints them; returns the exit code. Raises Stop."""
    for entry in (live := _live(_read())):
        sys.stdout.write(_document(entry) if json else _text(entry))
    if not json:
        sys.stdout.write(f"{count(len(live), 'item')} blocked\n" if live else "nothing is blocked\n")
    return 0


def lift(item: str | None) -> int:
    """Lets it through; returns the exit code. Raises Stop where it isn't blocked."""
    if item is None:
        raise Stop("lift: name what is to be let through, as tapscan actions blocked shows it, or all")
    blocked = _read()
    chosen = [one for one in _live(blocked) if item in ("all", one.id, one.what, f"http://{one.what}")]
    if not chosen:
        raise Stop(f"{visible(item)}: is not blocked (tapscan actions blocked shows what is; a feed is a file)")
    try:
        blocked.lift(chosen)
    except OSError as error:
        raise Stop(f"{blocked.folder / NAME}: can't be written: {error.strerror}") from None
    sys.stdout.write(f"{count(len(chosen), 'item')} lifted\n")
    return 0


def _read() -> Blocklist:
    blocked = Blocklist(actions_folder())
    try:
        blocked.changed()
    except OSError as error:
        raise Stop(f"{blocked.folder / NAME}: can't be read: {error.strerror}") from None
    return blocked


def _live(blocked: Blocklist) -> list[Entry]:
    return blocked.live(time.time_ns())


def _text(entry: Entry) -> str:
    until = f"until {timestamp(entry.until)[:16].replace('T', ' ')}" if entry.until else "for good"
    how = "page" if entry.page else "reset"
    return f"{entry.id}  {until}  {how}  {entry.kind} {visible(entry.what)}\n  {visible(entry.reason)}\n"


def _document(entry: Entry) -> str:
    return orjson.dumps({"id": entry.id, **asdict(entry)}).decode() + "\n"
