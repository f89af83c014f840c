"""An object on its way to another process or host: what its engines may ask, and its bytes in pieces.

Bytes from the wire travel as bytes. What is unpickled on arrival was pickled by tapscan itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from tempfile import NamedTemporaryFile

from reassembly.objects import Content, Object

IN_MEMORY = 16 << 20  # bytes of an object that a host keeps in memory while it is scanned
PIECE = 256 << 10  # bytes of one piece of a larger one


def label(target: Object) -> Object:
    """The object without its bytes, and without what no engine asks for."""
    return replace(target, content=Content(target.size), findings=(), facts=None)


def pieces(target: Object, begin: int = 0) -> Iterator[bytes]:
    """The bytes from an offset on, as many in one as travel well."""
    if begin < target.size:
        for chunk in target.content.chunks(PIECE, begin):
            yield bytes(chunk)


def unpacked(about: Object, given: Iterable[bytes]) -> Object:
    """The object again, where it is scanned; a large one in a temporary file."""
    return replace(about, content=_content(given, about.size))


def _content(given: Iterable[bytes], size: int) -> Content:
    if size <= IN_MEMORY:
        held = list(given)
        return Content(size, held[0] if len(held) == 1 else b"".join(held))
    file = NamedTemporaryFile(prefix="tapscan-")  # noqa: SIM115 - lives as long as the object
    for piece in given:
        file.write(piece)
    file.flush()
    return Content(size, None, file)
