"""`[block_page]`: the page that takes the place of what was not let through, injected or as the answer of ICAP.

Whatever comes from the wire is escaped, also for attributes, and shortened: an injected page has one segment (RFC 9293,
section 3.7.1) to fit into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template

from manager.options import Stop
from manager.settings import BlockPageSettings
from manager.visible import visible

TEMPLATE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Blocked</title>
<meta name="viewport" content="width=device-width">
<style>body{font:16px sans-serif;max-width:40em;margin:4em auto;padding:0 1em;overflow-wrap:anywhere}</style>
</head><body><h1>This was blocked</h1>
<p>What was asked for is not let through: <b>$reason</b></p>
<p>Address: $url<br>Incident: <b>$incident</b></p>
<p>$contact</p></body></html>
"""
LONGEST = 200  # bytes of the reason and of the address, escaped
CONTENT_TYPE = re.compile(r"[!#$&^_.+\w-]+/[!#$&^_.+\w-]+(?:; ?[\w-]+=[\w.-]+)*", re.ASCII)


class BlockPage:
    """Raises Stop when the template can't be read."""

    def __init__(self, settings: BlockPageSettings) -> None:
        self._settings = settings
        self._template = Template(TEMPLATE if settings.template is None else _text(settings.template))

    def render(self, reason: str, incident: str, url: str) -> bytes:
        """The body. What the template doesn't know, such as a dollar of its own, stays."""
        contact = escape(self._settings.contact)
        shown = {"reason": _shown(reason), "incident": _shown(incident), "url": _shown(url)}
        return self._template.safe_substitute(shown, contact=contact).encode("utf-8", "replace")

    def head(self, length: int, closes: bool = True) -> bytes:
        """Head of a response with a body of so many bytes, with the empty line. `closes`: whether it says that the
        connection ends, which is for the next hop alone.
        """
        lines = [
            f"HTTP/1.1 {self._settings.status} {HTTPStatus(self._settings.status).phrase}",
            f"Content-Type: {self._settings.content_type}",
            f"Content-Length: {length}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
        ]
        if closes:
            lines.append("Connection: close")
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")

    def response(self, reason: str, incident: str, url: str) -> bytes:
        """A complete HTTP/1.1 response."""
        body = self.render(reason, incident, url)
        return self.head(len(body)) + body


def _shown(text: str) -> str:
    width = LONGEST
    while len((shown := escape(visible(text, width))).encode()) > LONGEST:
        width = width * 3 // 4
    return shown


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise Stop(f"block_page.template: {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Stop(f"block_page.template: {path}: isn't UTF-8 at byte {error.start}") from None


def block_page_mistakes(given: BlockPageSettings) -> Iterator[tuple[str, str]]:
    """Key, and what is wrong: a status without a body, a type that would be more than one header field."""
    known = {status.value for status in HTTPStatus if status == 200 or status >= 400}
    if given.status not in known:
        yield "block_page.status", f"{given.status} won't do: it is 200 or a known one from 400 on, as 403 or 451"
    if not CONTENT_TYPE.fullmatch(given.content_type):
        yield "block_page.content_type", f"{given.content_type!r} is no type; write text/html; charset=utf-8"
