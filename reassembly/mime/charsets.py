"""Text of header fields: charsets and encoded words. Used by names, subjects and addresses.

RFC 2047 (encoded words), read as mail programs do it: also inside quoted strings, with spaces, and with wrong padding.
"""

from __future__ import annotations

import binascii
import codecs
import re

_WORD = re.compile(rb"=\?([^?\s]{0,75})\?([BbQq])\?([^?]{0,4096})\?=")
_BETWEEN_WORDS = re.compile(rb"(\?=)[ \t\r\n]+(?==\?)")  # RFC 2047, section 6.2: it is not displayed
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_ALIASES = {"utf-7": "utf-7", "unicode-1-1-utf-7": "utf-7", "ks_c_5601-1987": "cp949", "x-sjis": "cp932",
            "gb2312": "gb18030", "gbk": "gb18030", "iso-8859-8-i": "iso-8859-8", "unknown-8bit": "latin-1"}  # fmt: skip
_NO_CHARSETS = frozenset(("hex", "base64", "rot13", "rot_13", "uu", "bz2", "zlib", "quopri", "idna", "punycode"))


def text(raw: bytes, charset: str = "") -> str:
    """Bytes as text, by `charset` (empty: unknown). Never raises: falls back to UTF-8, then Latin-1."""
    name = _ALIASES.get(charset.lower(), charset.lower())
    if name in ("utf-16", "ucs-2", "unicode", "iso-10646-ucs-2"):
        return _utf16(raw)
    for one in (name, "utf-8"):
        if not one or one in _NO_CHARSETS:
            continue
        try:
            if codecs.lookup(one)._is_text_encoding:
                return raw.decode(one)
        except (LookupError, ValueError):
            continue
    return raw.decode("latin-1")


def _utf16(raw: bytes) -> str:
    """RFC 2781, section 4.3: without a byte order mark, big-endian; many senders mean little-endian all the same."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    little = raw[1::2].count(0) > raw[::2].count(0)
    return raw.decode("utf-16-le" if little else "utf-16-be", "replace")


def decode_words(raw: bytes) -> str:
    """A field's text with its encoded words decoded."""
    if b"=?" not in raw:
        return text(raw)
    raw = _BETWEEN_WORDS.sub(rb"\1", raw)
    out: list[str] = []
    at = 0
    run: tuple[str, str, bytes] | None = None  # charset, coding, bytes of words that touch: a character may be split
    for match in _WORD.finditer(raw):
        charset = match[1].partition(b"*")[0].decode("latin-1")  # RFC 2231, section 5: charset*language
        coding = match[2].decode("latin-1").lower()
        decoded = _word(coding, match[3])
        if run is not None and match.start() == at and run[:2] == (charset, coding):
            run = (charset, coding, run[2] + decoded)
        else:
            _flush(out, run)
            out.append(text(raw[at : match.start()]))
            run = (charset, coding, decoded)
        at = match.end()
    _flush(out, run)
    out.append(text(raw[at:]))
    return "".join(out)


def _flush(out: list[str], run: tuple[str, str, bytes] | None) -> None:
    if run is not None:
        out.append(text(run[2], run[0]))


def _word(coding: str, payload: bytes) -> bytes:
    if coding == "q":
        return _HEX.sub(lambda match: bytes((int(match[1], 16),)), payload.replace(b"_", b" "))
    clean = _NOT_BASE64.sub(b"", payload)
    return binascii.a2b_base64(clean[: len(clean) - (len(clean) % 4 == 1)] + b"==")
