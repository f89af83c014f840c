"""How HTTP/1 messages begin: to choose the protocol of a flow, and to find the next message after trouble.

RFC 9112, sections 3 and 4; RFC 1945, section 4.1, for the request line without a version.
"""

from __future__ import annotations

import re

_METHODS = (
    b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH", b"PROPFIND", b"PROPPATCH",
    b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK", b"REPORT", b"SEARCH", b"SUBSCRIBE", b"UNSUBSCRIBE", b"NOTIFY",
    b"M-SEARCH", b"MERGE", b"CHECKOUT", b"MKACTIVITY", b"RPC_IN_DATA", b"RPC_OUT_DATA", b"BITS_POST", b"CCM_POST",
)  # fmt: skip
_ANY_METHOD = re.compile(rb"[A-Za-z][A-Za-z_\-]{0,31}(?: |\Z)")
_VERSIONED = re.compile(rb"[A-Za-z][A-Za-z_\-]{1,31} [^\r\n]+ HTTP/\d")
_OLD = re.compile(rb"GET +/[^\s]*[ \t]*\r?\n")
_REQUEST_LINE = re.compile(rb"[A-Z][A-Z_\-]{1,31} [^\s]+ HTTP/1\.[01]\r?\n")
_KNOWN = re.compile(rb"(?:%b)(?![A-Za-z])" % b"|".join(_METHODS))
_LONG_TARGET = 1024  # that much of a request line without its end is enough to know a method by


def request_start(head: bytes) -> bool | None:
    """Whether a direction that begins with `head` brings requests; None: more bytes are needed to say."""
    head = head.lstrip(b"\r\n")
    line, end, _ = head.partition(b"\n")
    if end:
        if _VERSIONED.match(line) or _OLD.match(line + end):
            return True
        return None if b"HTTP/" in line.upper() else False  # something is wrong with it: let the answer decide
    known = any(method.startswith(head[:16]) or head.startswith(method + b" ") for method in _METHODS)
    if len(head) > _LONG_TARGET:
        return known
    return True if _VERSIONED.match(line) else None if known else False


def odd_request(head: bytes) -> bool:
    """Whether the first word is a method, whatever follows: some server may answer it."""
    return _KNOWN.match(head) is not None


def response_start(head: bytes) -> bool | None:
    """Whether a direction that begins with `head` brings responses; None: more bytes are needed to say."""
    start = head[:6].upper()
    if start == b"HTTP/1":
        return True
    return None if b"HTTP/1".startswith(start) else False


def may_begin(data: bytes, pos: int, response: bool) -> bool:
    """Whether a message can begin at `pos`, as far as the bytes that are there go."""
    if response:
        start = data[pos : pos + 5].upper()
        return b"HTTP/".startswith(start)
    return _ANY_METHOD.match(data[pos : pos + 33]) is not None


def begins(data: bytes, pos: int, response: bool) -> bool:
    """Whether a message surely begins at `pos`."""
    return data.startswith(b"HTTP/1.", pos) if response else _REQUEST_LINE.match(data, pos) is not None
