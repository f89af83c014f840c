"""Objects as rows of a table that a person reads while it grows, for `tapscan extract`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manager.ecs import timestamp
from manager.sinks import Write
from manager.visible import cells, visible
from reassembly.objects import Object

if TYPE_CHECKING:
    from manager.pipeline import Item

ONE_LINE = 110  # columns from which an object fits in one line; below, it takes two
DATED = 150  # columns from which the date fits as well

_HEADS = ("time", "from > to", "protocol", "name", "type", "size", "sha256", "state")
_SIZE = _HEADS.index("size")


class ObjectRows:
    """A row an object, as wide as `width` columns. The state is empty where the object is complete."""

    def __init__(self, write: Write, width: int) -> None:
        self._write = write
        self._dated = width >= DATED
        self._one_line = width >= ONE_LINE
        time, state = (19, 16) if self._dated else (8, 10)
        rest = width - (time + 8 + 8 + 12 + state + 7)  # of those columns and of the blanks between all
        who = min(33, rest * 2 // 5)
        name = (rest - who) * 3 // 5
        self._widths = (time, who, 8, name, rest - who - name, 8, 12, state)
        self._width = width
        self._headed = False

    def take(self, item: Item) -> None:
        if not isinstance(item, Object):
            return
        if not self._one_line:
            self._two_lines(item)
            return
        if not self._headed:
            self._headed = True
            self._row(*_HEADS)
        when = timestamp(item.time)[:19].replace("T", " ")
        name = "└" * (item.depth > 0) + (item.name or "-")
        shown = when if self._dated else when[11:], who(item), item.protocol, name, item.mime_type
        self._row(*shown, size(item.size), item.sha256[:12], item.cut or "")

    def _two_lines(self, target: Object) -> None:
        when = timestamp(target.time)[11:19]
        first = f"{when}  {who(target)}  {target.protocol}  {visible(target.mime_type)}  {size(target.size)}"
        state = f"  {visible(target.cut, 30)}" if target.cut else ""
        room = self._width - 10 - 12 - 2 - cells(state)
        second = f"{' ' * 10}{target.sha256[:12]}  {visible(target.name or '-', max(room, 8))}{state}"
        self._write(f"{visible(first, self._width)}\n{visible(second, self._width)}\n".encode())

    def _row(self, *texts: str) -> None:
        padded = []
        for number, (text, width) in enumerate(zip(texts, self._widths, strict=True)):
            shown = visible(text, width)
            blanks = " " * (width - cells(shown))
            padded.append(blanks + shown if number == _SIZE else shown + blanks)
        self._write((" ".join(padded).rstrip() + "\n").encode())


def who(target: Object) -> str:
    """Sender and receiver."""
    return f"{target.flow.ip(target.direction)} > {target.flow.ip(1 - target.direction)}"


def size(number: int) -> str:
    """Bytes for a person: `999 B`, `1.5 MB` (powers of 1000)."""
    if number < 1000:
        return f"{number} B"
    value, units = number / 1000, ["PB", "TB", "GB", "MB", "kB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop()
    return f"{value:.1f} {units[-1]}" if value < 99.95 else f"{value:.0f} {units[-1]}"
