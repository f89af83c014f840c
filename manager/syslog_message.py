"""A document as a syslog message (RFC 5424), and as a frame of a stream (RFC 6587, section 3.4.1: octet counting)."""

from __future__ import annotations

import re
from typing import get_args

from manager.chosen import Item
from manager.leaves import at, number
from manager.output_settings import Facility

# RFC 5424, table 1
FACILITIES = {"user": 1, "daemon": 3, "auth": 4, "authpriv": 10} | {f"local{one}": 16 + one for one in range(8)}
ENTERPRISE = "32473"  # the number for examples (RFC 5612): tapscan has none of its own
SPECIAL, ESCAPED = re.compile(r'["\\\]]'), r"\\\g<0>"
CUT = b"..."  # the end of a message that was cut

assert set(FACILITIES) == set(get_args(Facility))


def message(item: Item, facility: Facility) -> bytes:
    """RFC 5424, section 6. Without BOM, which is allowed (MSG-ANY): JSON doesn't begin with one (RFC 8259)."""
    document = item.document
    dataset = str(at(document, "event.dataset") or "-")
    head = (
        f"<{FACILITIES[facility] * 8 + severity(number(document, 'event.severity'))}>1",
        _word(at(document, "@timestamp"), 32),
        _word(at(document, "observer.hostname"), 255),
        "tapscan",
        "-",
        _word(dataset.removeprefix("tapscan."), 32),
        _structured({"id": at(document, "event.id"), "dataset": dataset, "severity": at(document, "event.severity")}),
    )
    return " ".join(head).encode("ascii", "replace") + b" " + item.text.rstrip(b"\n")


def severity(steps: int) -> int:
    """RFC 5424, table 2, of Kibana's steps: critical, error, warning, notice; informational without any."""
    return 2 if steps >= 99 else 3 if steps >= 73 else 4 if steps >= 47 else 5 if steps > 0 else 6


def framed(text: bytes) -> bytes:
    """MSG-LEN SP SYSLOG-MSG."""
    return b"%d %s" % (len(text), text)


def bounded(text: bytes, most: int) -> bytes:
    """RFC 5424, section 6.1: what is over is cut off at the end, never in the middle of a character."""
    if len(text) <= most:
        return text
    return text[: max(0, most - len(CUT))].decode("utf-8", "ignore").encode() + CUT


def _word(value: object, most: int) -> str:
    """PRINTUSASCII; `-` when there is nothing (NILVALUE)."""
    return re.sub(r"[^!-~]", "?", str(value or ""))[:most] or "-"


def _structured(values: dict[str, object]) -> str:
    """Section 6.3.3: `"`, `\\` and `]` are escaped."""
    given = ((key, str(value)) for key, value in values.items() if value is not None)
    pairs = (f'{key}="{SPECIAL.sub(ESCAPED, text)}"' for key, text in given)
    return f"[tapscan@{ENTERPRISE} {' '.join(pairs)}]"
