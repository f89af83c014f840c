"""What bytes are, by their first bytes."""

from __future__ import annotations


def mime_type(head: bytes) -> str:
    """The media type of bytes that begin with `head` (4 KiB are enough)."""
    return "application/octet-stream" if head else "application/x-empty"
