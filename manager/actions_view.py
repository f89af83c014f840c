"""`tapscan actions`: what was done, and the share of it that came in time."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.table import Table

from manager.action_log import actions_folder, read
from manager.action_stop import stop_file, stopped
from manager.actions import ACTIONS
from manager.coverage import MINUTE
from manager.ecs import Document, line
from manager.effective import effective
from manager.options import Stop
from manager.periods import moment
from manager.report import console, plain_table
from manager.rows import size
from manager.sentences import count
from manager.visible import visible

TRIED = ("confirmed", "late", "failed")  # all else was not to be stopped, or not allowed to be
CLASSES = ((100_000, "up to 100 kB"), (1_000_000, "up to 1 MB"), (10_000_000, "up to 10 MB"))
LARGER = "larger"
SHOWN = 50  # the newest; all of them are counted


def show_actions(config: str | None, since: str, json: bool) -> int:
    """Does the command; returns its exit code. Raises Stop."""
    settings, _ = effective(config)
    found = read(actions_folder(), _moment(since))
    if json:
        sys.stdout.write("".join(line(document).decode() for document in found))
        return 0
    if found:
        _print(found)
    else:
        sys.stdout.write(f"no actions in {visible(str(actions_folder()))} since {visible(since)}\n")
    path = stop_file(settings)
    if stopped(path):
        sys.stdout.write(f"stopped: nothing is sent while {visible(str(path))} exists (tapscan actions resume)\n")
    return 0


def _moment(text: str) -> int:
    try:
        return moment(text, time.time_ns()) * MINUTE
    except (ValueError, OverflowError):
        raise Stop(f"--since {visible(text)}: write 24h, 7d, or a date or time") from None


def _print(found: Sequence[Document]) -> None:
    shown = console()
    for document in found[-SHOWN:]:
        outcome, *what = map(visible, _row(document))
        shown.print(outcome, soft_wrap=True)
        shown.print("  " + "  ".join(filter(None, what)), soft_wrap=True)
    if len(found) > SHOWN:
        shown.print(f"and {count(len(found) - SHOWN, 'action')} before (--json has all of them)")
    outcomes = Counter(str(document["tapscan"]["action"]["outcome"]) for document in found)
    words = ", ".join(f"{number} {name}" for name, number in outcomes.most_common())
    shown.print(f"{count(len(found), 'action')}: {words}")
    if any(map(_tried, found)):
        shown.print(_rates(found))
    else:
        shown.print("none was to be stopped, so there is no stop rate")


def _row(document: Document) -> Iterator[str]:
    """How it went, then what it was."""
    own, file = document["tapscan"]["action"], document.get("file", {})
    time = str(document["@timestamp"])[:19].replace("T", " ")
    yield f"{time}  {own['outcome']}" + (f": {own['reason']}" if "reason" in own else "")
    yield f"{own['kind']} ({own['mode']})"
    yield f"{_end(document['source'])} > {_end(document['destination'])}"
    yield str(document["network"]["protocol"])
    yield str(file.get("name") or file.get("hash", {}).get("sha256", "")[:12])
    yield _delivered(own)
    yield f"{own['latency'] / 1e6:.1f} ms" if "latency" in own else ""
    yield f"policy {own['rule']}" if own.get("rule") else ""


def _end(end: Document) -> str:
    ip = f"[{end['ip']}]" if ":" in end["ip"] else end["ip"]
    return f"{ip}:{end['port']}" if "port" in end else str(ip)


def _delivered(own: Document) -> str:
    if "bytes_delivered" not in own:
        return ""
    whole = f" of {size(own['bytes_total'])}" if "bytes_total" in own else ""
    return size(own["bytes_delivered"]) + whole


def size_class(document: Document) -> str:
    """Of what was to be stopped."""
    whole = document["tapscan"]["action"].get("bytes_total", document.get("file", {}).get("size", 0))
    return next((name for most, name in CLASSES if whole <= most), LARGER)


def rates(found: Iterable[Document], by: Callable[[Document], str]) -> dict[str, tuple[int, int]]:
    """Stopped in time, and tried, by what `by` says of a document."""
    known: dict[str, tuple[int, int]] = {}
    for document in found:
        if _tried(document):
            done, tried = known.get(by(document), (0, 0))
            known[by(document)] = done + (document["tapscan"]["action"]["outcome"] == "confirmed"), tried + 1
    return known


def _tried(document: Document) -> bool:
    """Whether a flow was to be stopped: a command or a webhook that failed isn't one that went on."""
    own = document["tapscan"]["action"]
    return own["outcome"] in TRIED and own["kind"] not in ACTIONS


def _rates(found: Sequence[Document]) -> Table:
    table = plain_table("", "to be stopped", ">tried", ">in time", ">stop rate")
    by_protocol = rates(found, lambda document: str(document["network"]["protocol"]))
    by_size = rates(found, size_class)
    for name in sorted(by_protocol):
        _add(table, name, *by_protocol[name])
    for name in (*(name for _, name in CLASSES), LARGER):
        if name in by_size:
            _add(table, name, *by_size[name])
    _add(table, "all", sum(done for done, _ in by_protocol.values()), sum(tried for _, tried in by_protocol.values()))
    return table


def _add(table: Table, name: str, done: int, tried: int) -> None:
    table.add_row(visible(name), str(tried), str(done), f"{100 * done / tried:.1f} %")
