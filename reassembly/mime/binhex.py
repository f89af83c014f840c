"""BinHex 4.0 to bytes as it arrives: how Macintosh files stood in mail (RFC 1741). Gives the data fork."""

from __future__ import annotations

import binascii
import re

MARK = b"(This file must be converted with BinHex"
END = re.compile(rb"[^\s:]:[ \t]*\r?\n")  # the colon that ends it; the first one begins a line
_LETTERS = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_BASE64 = bytes.maketrans(_LETTERS, _BASE64)
_NO_LETTERS = bytes(set(range(256)) - set(_LETTERS))
_LONGEST_HEADER = 64 + 22  # a name of up to 63 bytes, its length, and 22 bytes


class BinHex:
    """`over` once the last colon was seen; `name` once the header was."""

    __slots__ = ("_begun", "_carry", "_header", "_last", "_left", "_marked", "name", "over")

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.over = False
        self._begun = False  # the first colon was seen
        self._carry = b""  # letters of a group
        self._last = b""  # the byte that may be repeated
        self._marked = False  # and how often comes next
        self._header: bytes | None = b""
        self._left = 0  # bytes of the data fork that are to come

    def feed(self, data: bytes) -> bytes:
        """The bytes of the data fork that are complete with `data`."""
        if self.over:
            return b""
        if not self._begun:
            _, colon, data = data.partition(b":")
            self._begun = bool(colon)
            if not colon:
                return b""
        data, colon, _ = data.partition(b":")
        self.over = bool(colon)
        return self._fork(self._repeated(self._decode(data.translate(None, _NO_LETTERS))))

    def _decode(self, letters: bytes) -> bytes:
        letters = self._carry + letters
        whole = len(letters) & ~3
        self._carry = letters[whole:]
        decoded = binascii.a2b_base64(letters[:whole].translate(_TO_BASE64))
        if self.over and len(self._carry) > 1:
            decoded += binascii.a2b_base64(self._carry.translate(_TO_BASE64) + b"==")
        return decoded

    def _repeated(self, data: bytes) -> bytes:
        """Run lengths: 0x90 and how often the byte before stands there in all; 0x90 0 is 0x90 itself."""
        out: list[bytes] = []
        at = 0
        while at < len(data):
            if self._marked:
                self._marked = False
                out.append(self._last * (data[at] - 1) if data[at] else b"\x90")
                at += 1
                continue
            mark = data.find(b"\x90", at)
            self._marked = mark >= 0
            piece = data[at:mark] if self._marked else data[at:]
            out.append(piece)
            self._last = piece[-1:] or self._last
            at += len(piece) + 1
        return b"".join(out)

    def _fork(self, data: bytes) -> bytes:
        if self._header is not None:
            self._header += data
            data = self._after_header()
        data = data[: self._left]
        self._left -= len(data)
        return data

    def _after_header(self) -> bytes:
        header = self._header or b""
        size = 22 + header[0] if header else _LONGEST_HEADER
        if len(header) < size:
            return b""
        self.name = header[1 : 1 + header[0]]
        self._left = int.from_bytes(header[size - 10 : size - 6], "big")
        self._header = None
        return header[size:]

    def gap(self, length: int) -> tuple[bytes, int]:
        """`length` bytes are missing: nothing was left, and about how many decoded bytes are missing."""
        self._carry = b""
        self._marked = False
        return b"", length * 3 // 4

    def finish(self) -> bytes:
        """What is left."""
        if self.over:
            return b""
        self.over = True
        return self._fork(self._repeated(self._decode(b"")))
