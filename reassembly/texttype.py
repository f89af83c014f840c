"""Which text a text is: markup, script, mail or plain; the part of `reassembly.filetype` without magic numbers."""

from __future__ import annotations

import re

from reassembly.magic import INTERPRETERS

PLAIN = "text/plain"
LOOK = 1024  # bytes in which a text shows what it is; browsers sniff 1445 at most (MIME Sniffing Standard)

_TEXT_BYTES = bytes(sorted({*range(7, 14), 27, *range(32, 127), *range(128, 256)}))
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_WIDE = (b"\xff\xfe", b"\xfe\xff")

# What a browser would take for HTML: the marks of the MIME Sniffing Standard, section 7.1, wherever the text begins.
_HTML = re.compile(
    rb"(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|form|"
    rb"object|embed|frameset|link|center|span|img)(?=[\s>/])",
    re.S,
)
_SVG = re.compile(rb"<svg[\s>]")
_XHTML = re.compile(rb"<(?:html[\s>]|!doctype\s+html)")
_JSON = re.compile(rb'\{\s*"|\{\s*\}\s*\Z|\[\s*[\[{"]')
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")

_MAIL_FIELDS = frozenset(
    b"received return-path delivered-to from to cc subject date message-id mime-version content-type reply-to sender "
    b"dkim-signature arc-seal authentication-results x-mailer x-originating-ip in-reply-to references".split()
)
_ONLY_MAIL = frozenset(b"received return-path delivered-to from message-id mime-version dkim-signature".split())


def readable(head: bytes) -> bytes | None:
    """The first part of `head` as an ASCII-compatible text without byte order mark; None if it is none.

    A text has no NUL and no control bytes but white space, bell, backspace and ESC.
    """
    text = _narrow(head[:LOOK])
    if text.translate(None, _TEXT_BYTES):
        return None
    return None if b"\0" in head and not head.startswith(_WIDE) else text


def text_type(head: bytes) -> str:
    """The media type of a text that begins with `head`."""
    head = head[:LOOK].lstrip()
    if head.startswith(b"<"):
        return "text/x-php" if head[:5].lower() == b"<?php" or head[:3] in (b"<?=", b"<? ") else _markup(head)
    if head.startswith(b"#!"):
        return _script(head)
    if head.startswith((b"{", b"[")):
        return _bracketed(head)
    if head[:9].lower() in (b"@echo off", b"@echo on\r"):
        return "text/x-msdos-batch"
    if head.startswith((b"Windows Registry Editor ", b"REGEDIT4")):
        return "text/x-ms-regedit"
    return _mail(head)


def _narrow(head: bytes) -> bytes:
    """UTF-16 and UTF-32 as UTF-8, without the byte order mark."""
    if head[0] not in b"\xef\xff\xfe":
        return head
    for mark, charset in _BOMS:
        if head.startswith(mark):
            return head[len(mark) :].decode(charset, "ignore").encode("utf-8", "ignore")
    return head


def _markup(head: bytes) -> str:
    head = head.lower()
    if b"<hta:application" in head:
        return "application/hta"
    if head.startswith((b"<!doctype html", b"<html")) or _HTML.match(head) or _XHTML.search(head):
        return "text/html"
    if _SVG.search(head):
        return "image/svg+xml"
    return "text/xml" if head.startswith(b"<?xml") else PLAIN


def _script(head: bytes) -> str:
    """`#!/usr/bin/env -S python3 -u` and simpler ones: the first word that names a known interpreter."""
    for word in head[2:128].split(b"\n", 1)[0].split()[:4]:
        name = word.rsplit(b"/", 1)[-1]
        kind = INTERPRETERS.get(name) or INTERPRETERS.get(name.rstrip(b"0123456789."))
        if kind:
            return kind
    return PLAIN


def _bracketed(head: bytes) -> str:
    if head.startswith((b"[InternetShortcut]", b"[{000214A0-0000-0000-C000-000000000046}")):
        return "application/x-mswinurl"
    return "application/json" if _JSON.match(head) else PLAIN


def _mail(head: bytes) -> str:
    """RFC 5322, section 2.2: lines of `name: body` up to an empty one; two with known names, one that only mail has."""
    mbox = head.startswith(b"From ")
    if not mbox and not _begins_a_mail(head):
        return PLAIN
    lines = head.split(b"\n", 40)[mbox:40]
    names = []
    for line in lines:
        if line in (b"", b"\r"):
            break
        if field := _FIELD.match(line):
            names.append(field[1].lower())
        elif line[:1] not in b" \t":
            return PLAIN
    known = [name for name in names if name in _MAIL_FIELDS]
    if len(known) < 2 or _ONLY_MAIL.isdisjoint(known):
        return PLAIN
    return "application/mbox" if mbox else "message/rfc822"


def _begins_a_mail(head: bytes) -> bool:
    """Whether the first line can be a mail's: asked first, as it is seldom so."""
    name = head[: head.find(b":", 0, 40) + 1].rstrip(b" \t:").lower()
    return name in _MAIL_FIELDS or name.startswith(b"x-")
