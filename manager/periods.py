"""The coverage ledger read again, for any period: rows out of the sensor's folder, or of documents that were printed.

What of a flow's bytes was scanned is not counted anywhere, since objects are counted after decoding; it is taken from
the share of its service's objects that was scanned. Bytes of flows stand at the minute in which a flow ended.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from manager.coverage import CAPTURE_LOSS, MINUTE, Row, Tally
from manager.ledger import NAME
from manager.options import Stop
from sensor.noun import noun

SCANNED, NOTHING, EXTRACTED = "scanned", "nothing", "extracted"  # besides the reasons of the ledger
_COUNTS = frozenset(field.name for field in fields(Tally))
_MARK = b"tapscan.coverage"
_DAY = 24 * 60

Parts: TypeAlias = Counter[str]  # bytes of flows by what became of them


@noun
class Period:
    """Minutes since 1970, the second is outside; None: as far as there is something."""

    since: int | None = None
    until: int | None = None

    def holds(self, minute: int) -> bool:
        return (self.since is None or minute >= self.since) and (self.until is None or minute < self.until)

    def may_hold(self, day: date) -> bool:
        """Whether the file of a day may have rows of it: they are written some minutes after their own."""
        first = (day - date(1970, 1, 1)).days * _DAY
        return (self.since is None or first + _DAY > self.since) and (self.until is None or first - _DAY < self.until)


def of_folder(folder: Path, period: Period) -> Iterator[Row]:
    """Rows of the sensor's ledger. Raises Stop when there is none, or none for us."""
    try:
        days = sorted(path for path in folder.iterdir() if path.match(NAME.format("*")))
    except (FileNotFoundError, NotADirectoryError):
        days = []
    except OSError as error:
        raise Stop(f"{folder}: can't be read: {error.strerror}") from None
    if not days:
        raise Stop(f"no coverage ledger in {folder}: run tapscan sensor, or name what scan --json printed")
    for path in days:
        if _may_hold(path, period):
            yield from of_files([str(path)], period)


def of_files(names: Sequence[str], period: Period) -> Iterator[Row]:
    """Rows of JSON lines; other documents, and lines that were cut off, are passed over. Raises Stop."""
    for name in names:
        try:
            with open(0, "rb", closefd=False) if name == "-" else Path(name).open("rb") as file:
                for text in file:
                    if _MARK in text and (row := _row(text)) is not None and period.holds(row.minute):
                        yield row
        except OSError as error:
            raise Stop(f"{name}: can't be read: {error.strerror}") from None


def _may_hold(path: Path, period: Period) -> bool:
    try:
        return period.may_hold(date.fromisoformat(path.stem.removeprefix("coverage-")))
    except ValueError:
        return True


def _row(text: bytes) -> Row | None:
    try:
        document = orjson.loads(text)
        if document["event"]["dataset"] != "tapscan.coverage":
            return None
        own = document["tapscan"]["coverage"]
        counts = {name: count for name, count in own.items() if name in _COUNTS}
        if not all(type(count) is int and count >= 0 for count in counts.values()):
            return None
        if not isinstance(why := own.get("reason"), str | None):
            return None
        minute = int(datetime.fromisoformat(document["@timestamp"]).timestamp()) // 60
        return Row(_place(document), minute, str(own["service"]), why, Tally(**counts))
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, AttributeError):
        return None


def _place(document: Any) -> str:
    """The interface, or the capture."""
    if "log" in document:
        return str(document["log"]["file"]["path"])
    return str(document["observer"]["ingress"]["interface"]["name"])


# What rows can be counted by.
KEYS: dict[str, Callable[[Row], str]] = {
    "service": lambda row: row.service,
    "reason": lambda row: row.reason or "",
    "minute": lambda row: _when(row.minute),
    "hour": lambda row: _when(row.minute // 60 * 60),
    "day": lambda row: _when(row.minute // _DAY * _DAY)[:10],
    "interface": lambda row: row.capture,
}


def _when(minute: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).strftime("%Y-%m-%d %H:%M")


def counted(rows: Iterable[Row], by: Sequence[str]) -> dict[tuple[str, ...], Tally]:
    """The tallies of rows by these keys. By reason, bytes that are missing stand under their own."""
    found: defaultdict[tuple[str, ...], Tally] = defaultdict(Tally)
    for row in rows:
        for one in _spread(row) if "reason" in by else (row,):
            found[tuple(KEYS[key](one) for key in by)].add(one.tally)
    return dict(sorted(found.items()))


def _spread(row: Row) -> Iterator[Row]:
    tally = row.tally
    yield replace(row, tally=replace(tally, missing_bytes=0, lost_bytes=0))
    if tally.lost_bytes:
        loss = Tally(missing_bytes=tally.lost_bytes, lost_bytes=tally.lost_bytes)
        yield replace(row, reason=CAPTURE_LOSS, tally=loss)
    if tally.missing_bytes > tally.lost_bytes:
        yield replace(row, reason="gap", tally=Tally(missing_bytes=tally.missing_bytes - tally.lost_bytes))


def _add(seen: Counter[str], why: str, whole: int, scanned: int, missed: int) -> None:
    for name, count in ((SCANNED, scanned), (why, missed), (EXTRACTED, whole - scanned - missed)):
        if count > 0:
            seen[name] += count


class Fate:
    """What became of the bytes of flows: all of them, in parts that add up. Made of the rows of a whole period.

    `otherwise`: of a longer one, for services of which no object is in this one.
    """

    def __init__(self, rows: Iterable[Row], otherwise: Fate | None = None) -> None:
        self._otherwise = otherwise
        self._objects: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._sizes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            tally, why = row.tally, row.reason or EXTRACTED
            seen = self._objects[row.service]
            _add(seen, why, tally.objects, tally.scanned_objects, tally.unscanned_objects)
            seen = self._sizes[row.service]
            _add(seen, why, tally.object_bytes, tally.scanned_bytes, tally.unscanned_object_bytes)

    def parts(self, rows: Iterable[Row]) -> Parts:
        """The bytes of these rows by what became of them: `scanned`, `nothing` to scan in them, or a reason."""
        found: Parts = Counter()
        for row in rows:
            tally = row.tally
            found[CAPTURE_LOSS] += tally.lost_bytes
            found["gap"] += tally.missing_bytes - tally.lost_bytes
            found[row.reason or NOTHING] += tally.unscanned_bytes
            self._share_out(row.service, tally.bytes - tally.unscanned_bytes, found)
        return +found

    def _share_out(self, service: str, size: int, found: Parts) -> None:
        measure = self._sizes[service] or self._objects[service]
        if not (whole := measure.total()):
            if self._otherwise is not None:
                self._otherwise._share_out(service, size, found)
            else:
                found[NOTHING] += size
            return
        left = size
        for why, part in measure.most_common()[1:]:
            found[why] += (share := size * part // whole)
            left -= share
        found[measure.most_common(1)[0][0]] += left


def moment(text: str, now: int) -> int:
    """Minutes since 1970 of `24h`, `30m`, `7d` before `now` (ns), or of a date or time (UTC where it says no zone).

    Raises ValueError.
    """
    units = {"m": 1, "h": 60, "d": _DAY, "w": 7 * _DAY}
    if text[:-1].isdecimal() and text[-1] in units and len(text) < 9:
        return now // MINUTE - int(text[:-1]) * units[text[-1]]
    when = datetime.fromisoformat(text)
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()) // 60
