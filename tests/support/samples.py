"""Objects made of bytes, for tests that need no network."""

from __future__ import annotations

import hashlib
from tempfile import NamedTemporaryFile

from reassembly.events import Flow
from reassembly.objects import Content, Object

# The EICAR test file, put together here so that no scanner takes this source for it.
EICAR = b"-".join((rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", b"STANDARD", b"ANTIVIRUS", b"TEST", b"FILE!$H+H*"))

FLOW = Flow("flow", bytes([10, 0, 0, 1]), 40000, bytes([10, 0, 0, 2]), 80, "tcp", (), b"", b"", 10**18, "t.pcap", False)


def object_of(payload, name="sample.bin", *, on_disk=False, **more):
    """An object with these bytes; `on_disk` keeps them in a file, as large ones are."""
    if on_disk:
        file = NamedTemporaryFile()  # noqa: SIM115 - its Content closes it
        file.write(payload)
        file.flush()
        content = Content(len(payload), file=file)
    else:
        content = Content(len(payload), payload)
    digest = hashlib.sha256(payload).hexdigest()
    fields = {"mime_type": "application/octet-stream", "protocol": "http"} | more
    kind = fields.pop("kind", "file")
    return Object(
        f"object-{name}", FLOW, 1, kind, fields.pop("protocol"), content, digest, fields.pop("mime_type"),
        10**18, 10**18 + 5, name, **fields,
    )  # fmt: skip
