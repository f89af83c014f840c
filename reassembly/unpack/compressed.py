"""Single compressed files that need no more than their decoder: bzip2, xz, lzma, zstd. For gzip see `gzip`."""

from __future__ import annotations

from collections.abc import Iterator

from reassembly.objects import Object
from reassembly.unpack.container import Container
from reassembly.unpack.decoders import Decode, Ending, bunzip2, unxz, unzstd
from reassembly.unpack.gzip import inner_name

_DECODERS: dict[str, Decode] = {
    "application/x-bzip2": bunzip2,
    "application/x-xz": unxz,
    "application/zstd": unzstd,
}
TYPES = tuple(_DECODERS)


def members(container: Container) -> Iterator[Object]:
    """The one file inside, as far as it can be decoded."""
    ending = Ending()
    with container.target.content.view() as whole:
        builder = container.open(inner_name(container.target.name))
        container.fill(builder, _DECODERS[container.target.mime_type](whole, ending))
        if ending.cut is None and ending.used < len(whole):
            builder.find("unpack.trailing_data")
        yield container.finish(builder, ending)
