"""What is wrong with an `[[output]]` beyond the types of its values, and its paths, which begin where the file is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from manager.output_settings import PATHS, FileSettings, OutputSettings

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,59}")  # it names files in the spool
TAKEN = ("elasticsearch", "backfill")  # names of other cursors and files there
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def with_paths(output: OutputSettings, folder: Path) -> OutputSettings:
    """Relative paths in the file start where the file is."""
    there = {field.name: getattr(output, field.name) for field in fields(output) if field.name in PATHS}
    beside: dict[str, Any] = {key: str(folder / Path(path).expanduser()) for key, path in there.items() if path}
    return replace(output, **beside)


def same_files(outputs: Sequence[OutputSettings]) -> Iterator[tuple[str, str]]:
    """Outputs that would write to one file."""
    paths: dict[str, int] = {}
    for number, output in enumerate(outputs):
        if isinstance(output, FileSettings) and (first := paths.setdefault(output.path, number)) != number:
            yield f"output[{number}].path", f"output[{first}] writes to it already"


def _name(text: Any) -> Iterator[str]:
    if isinstance(text, str) and not NAME.fullmatch(text):
        yield f"{text!r} won't do: it takes a-z, A-Z, 0-9, _ and - only, up to 60"
    elif isinstance(text, str) and text.startswith(TAKEN):
        yield f"{text!r} won't do: names don't begin with {' or '.join(TAKEN)}"


def address(text: str) -> tuple[str, int] | None:
    """HOST:PORT, also [IPV6]:PORT; None: it isn't that."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") and host.endswith("]") else host
    if not (host and colon and port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        return None
    return host, int(port)


def _address(text: Any) -> Iterator[str]:
    if isinstance(text, str) and address(text) is None:
        yield f"{text!r} won't do: write HOST:PORT"


def _servers(texts: Any) -> Iterator[str]:
    for text in texts if isinstance(texts, list) else ():
        yield from _address(text)
    if texts == []:
        yield "is empty: write HOST:PORT of some of the cluster"


def _url(text: Any) -> Iterator[str]:
    if isinstance(text, str) and not re.match(r"https?://[^/]", text):
        yield f"{text!r} has to begin with http:// or https://"
    elif isinstance(text, str) and "@" in text.split("/")[2]:
        yield "names a user: write token_file"


def _topic(text: Any) -> Iterator[str]:
    if isinstance(text, str) and not TOPIC.fullmatch(text):
        yield f"{text!r} won't do: it takes a-z, A-Z, 0-9, '.', _ and - only, up to 249"


def _datasets(texts: Any) -> Iterator[str]:
    if texts == []:
        yield 'is empty: nothing would be sent; write ["all"], or leave it away'


OUTPUT_CHECKS: dict[str, Callable[[Any], Iterator[str]]] = {
    "name": _name,
    "address": _address,
    "servers": _servers,
    "url": _url,
    "topic": _topic,
    "datasets": _datasets,
}
