"""`tapscan coverage`: what this tap actually protects, for any period, as a sentence, tables and bars over time."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from manager.assembly import ledger_folder
from manager.coverage import KERNEL_DROP, MINUTE, Row, Tally
from manager.ecs import timestamp
from manager.effective import effective
from manager.options import Stop
from manager.periods import EXTRACTED, KEYS, NOTHING, SCANNED, Fate, Parts, Period, counted, moment, of_files, of_folder
from manager.report import console, plain_table, reason_words
from manager.rows import size
from manager.sentences import count
from manager.visible import visible
from sensor.noun import noun

FULL = 160  # columns in which everything has room
HEIGHT = 12  # lines of the bars
WORDS = {SCANNED: "scanned", NOTHING: "nothing to scan in it", EXTRACTED: "not given to engines", "": ""}
COLOURS = ("green", "red", "yellow", "magenta", "cyan", "blue", "white")
SIGNS = "█▓▒░#+."  # so that bars can be told apart without colours
KINDS = len(SIGNS) - 1  # that have a sign of their own; the rest is one


@noun
class Asked:
    """Of the command line."""

    files: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    by: str | None = None
    json: bool = False
    plot: str | None = None
    config: str | None = None


@noun
class Bar:
    """What came to an end in a stretch of time. `begin`: minutes since 1970."""

    begin: int
    parts: Parts


def show_coverage(asked: Asked) -> int:
    """Does the command; returns its exit code. Raises Stop."""
    by = _keys(asked.by)
    period = Period(_moment("--since", asked.since), _moment("--until", asked.until))
    rows = list(_rows(asked, period))
    if not rows:
        raise Stop("the coverage ledger has nothing of this time")
    fate = Fate(rows)
    if asked.plot is not None:
        from manager.coverage_plot import save

        save(bars(rows, fate, 200), asked.plot)
    if asked.json:
        _print_json(rows, fate, by or ["service", "reason"])
    else:
        _print(rows, fate, by)
    return 0


def _rows(asked: Asked, period: Period) -> Iterator[Row]:
    if asked.files:
        return of_files(asked.files, period)
    return of_folder(ledger_folder(effective(asked.config)[0]), period)


def _keys(text: str | None) -> list[str]:
    keys = text.split(",") if text else []
    if wrong := [key for key in keys if key not in KEYS]:
        raise Stop(f"--by {visible(wrong[0])}: it takes {', '.join(KEYS)}, also several with commas")
    return keys


def _moment(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else moment(text, time.time_ns())
    except (ValueError, OverflowError):
        raise Stop(f"{option} {visible(text or '')}: write 24h, 7d or 2026-01-31T08:00 (UTC)") from None


def _print_json(rows: Sequence[Row], fate: Fate, by: Sequence[str]) -> None:
    import orjson

    groups = _grouped(rows, by)
    for key, tally in counted(rows, by).items():
        group = {name: value for name, value in zip(by, key, strict=True) if value}
        if "reason" not in by:
            parts = fate.parts(groups[key])
            group["protected_share"] = round(parts[SCANNED] / (parts.total() or 1), 6)  # type: ignore[assignment]
        sys.stdout.write(orjson.dumps(group | tally.fields()).decode() + "\n")


def _print(rows: Sequence[Row], fate: Fate, by: Sequence[str]) -> None:
    out = console()
    if not sys.stdout.isatty():  # nothing is cut off where there is no edge
        out.width = FULL
    out.print(Text(sentence(rows, fate), "bold"))
    out.print(
        Text(f"{_when(min(row.minute for row in rows))} to {_when(max(row.minute for row in rows) + 1)} UTC", "dim")
    )
    if sys.stdout.isatty():
        out.print()
        for text in drawn(bars(rows, fate, max(20, _width() - 12))):
            out.print(text)
    for keys in [by] if by else [["service"], ["reason"]]:
        out.print()
        out.print(_table(rows, fate, keys, out.width >= FULL))


def sentence(rows: Sequence[Row], fate: Fate) -> str:
    """What the tap protects, and what it doesn't."""
    parts, whole = fate.parts(rows), counted(rows, ())[()]
    total = parts.total()
    text = f"This tap protects {_percent(parts[SCANNED], total)} of {size(total)} in {count(whole.flows, 'flow')}: "
    text += f"{count(whole.scanned_objects, 'object')} scanned, {whole.unscanned_objects:,} not."
    rest = [f"{_percent(part, total)} {words(why)}" for why, part in parts.most_common() if why != SCANNED]
    if rest:
        text += f" The rest: {', '.join(rest)}."
    if dropped := sum(row.tally.packets for row in rows if row.reason == KERNEL_DROP):
        text += f" {count(dropped, 'packet')} dropped by the kernel besides."
    return text


def _table(rows: Sequence[Row], fate: Fate, by: Sequence[str], wide: bool) -> Table:
    """Columns in which there is something; when it isn't `wide`, those that a person needs first."""
    shared = "reason" not in by
    groups = _grouped(rows, by)
    tallies = counted(rows, by)
    columns = [one for one in COLUMNS if (wide or one[0] not in WIDE) and any(map(one[1], tallies.values()))]
    table = plain_table("", *by, *(head for head, _ in columns), *([">protected"] if shared else []))
    table.title = None
    for column in table.columns:
        column.no_wrap = True
    for key, tally in tallies.items():
        cells = [_cell(name, text) for name, text in zip(by, key, strict=True)]
        cells += [shown(tally) for _, shown in columns]
        if shared:
            parts = fate.parts(groups[key])
            cells.append(_percent(parts[SCANNED], parts.total()))
        table.add_row(*cells)
    return table


def _grouped(rows: Sequence[Row], by: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(KEYS[name](row) for name in by), []).append(row)
    return groups


def _cell(name: str, text: str) -> str:
    if name == "reason":
        return words(text) if text else "(nothing amiss)"
    return visible(text)


def _some(number: int) -> str:
    return f"{number:,}" if number else ""


def _bytes(number: int) -> str:
    return size(number) if number else ""


COLUMNS: tuple[tuple[str, Callable[[Tally], str]], ...] = (
    (">flows", lambda tally: _some(tally.flows)),
    (">packets", lambda tally: _some(tally.packets)),
    (">seen", lambda tally: _bytes(tally.bytes)),
    (">reassembled", lambda tally: _bytes(tally.bytes - tally.unscanned_bytes)),
    (">missing", lambda tally: _bytes(tally.missing_bytes)),
    (">by us", lambda tally: _bytes(tally.lost_bytes)),
    (">scanned", lambda tally: _some(tally.scanned_objects)),
    (">of bytes", lambda tally: _bytes(tally.scanned_bytes)),
    (">unscanned", lambda tally: _some(tally.unscanned_objects)),
    (">of bytes", lambda tally: _bytes(tally.unscanned_object_bytes)),
)
WIDE = (">reassembled", ">by us", ">of bytes")


def bars(rows: Sequence[Row], fate: Fate, most: int) -> list[Bar]:
    """The whole time in at most so many stretches of equal length."""
    first, last = min(row.minute for row in rows), max(row.minute for row in rows)
    step = -(-(last - first + 1) // most)
    held: list[list[Row]] = [[] for _ in range((last - first) // step + 1)]
    for row in rows:
        held[(row.minute - first) // step].append(row)
    return [Bar(first + at * step, Fate(some, fate).parts(some)) for at, some in enumerate(held)]


def kinds(shown: Sequence[Bar]) -> list[str]:
    """What bars are made of, from below: what was scanned, then the largest."""
    total: Parts = Counter()
    for bar in shown:
        total.update(bar.parts)
    return [SCANNED, *(why for why, _ in total.most_common() if why != SCANNED)]


def drawn(shown: Sequence[Bar], height: int = HEIGHT) -> Iterator[Text]:
    """Bars for a terminal, with what their signs mean."""
    order = kinds(shown)
    top = max((bar.parts.total() for bar in shown), default=0) or 1
    wide = max(1, min(6, (_width() - 12) // len(shown)))
    columns = [_column(bar, order, top, height) for bar in shown]
    for level in reversed(range(height)):
        line = Text(f"{size(top) if level == height - 1 else '':>10} ")
        for column in columns:
            at = column[level]
            line.append((" " if at is None else SIGNS[at]) * wide, "" if at is None else COLOURS[at])
        yield line
    first, last = _when(shown[0].begin), _when(shown[-1].begin)
    yield Text(
        f"{'':11}{first}" + (f"{last:>{max(wide * len(shown) - len(first), len(last) + 2)}}" if last != first else "")
    )
    named = [(words(why), number) for number, why in enumerate(order[:KINDS])]
    if len(order) > KINDS:
        named.append(("other", KINDS))
    yield Text.assemble(" " * 11, *((f"{SIGNS[number]} {word}  ", COLOURS[number]) for word, number in named))


def _column(bar: Bar, order: Sequence[str], top: int, height: int) -> list[int | None]:
    """From below, the number of what is drawn at each level."""
    column: list[int | None] = []
    grown = 0
    for number, why in enumerate(order):
        grown += bar.parts[why]
        column += [min(number, KINDS)] * (round(grown * height / top) - len(column))
    return column + [None] * (height - len(column))


def words(reason: str) -> str:
    """What became of bytes, for a person."""
    return WORDS[reason] if reason in WORDS else reason_words(reason)


def _percent(part: int, whole: int) -> str:
    """Never 100 % or 0 % when it isn't."""
    if not whole:
        return "-"
    share = part * 100 / whole
    if 0 < share < 0.1:
        return "<0.1 %"
    return ">99.9 %" if 99.9 < share < 100 else f"{share:.1f} %"


def _when(minute: int) -> str:
    return timestamp(minute * MINUTE)[:16].replace("T", " ")


def _width() -> int:
    return shutil.get_terminal_size().columns
