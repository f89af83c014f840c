"""One message of a proxy while it is held: read as far as the limits allow, shown to the engines, let go or not.

Between `manager.icap_service`, which answers, and `manager.icap_inspection`, which knows what engines and policy say.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from os import SEEK_END
from tempfile import SpooledTemporaryFile

from engines.verdicts import Verdict
from manager.icap_connection import Connection, Gone
from manager.icap_inspection import Busy, Inspection
from manager.icap_message import Chunks, IcapRequest, Wrong, chunk
from manager.icap_objects import Message
from manager.settings import IcapSettings
from manager.visible import visible
from reassembly.objects import Object
from sensor.noun import noun

log = logging.getLogger(__name__)

IN_MEMORY = 1 << 20  # bytes of a body as it came; more of it lies in a temporary file
PIECE = 64 << 10
SHARE = 32 << 10  # of so many bytes one is let go in advance
CONTINUE = b"ICAP/1.0 100 Continue\r\n\r\n"


@noun
class Refusal:
    """Why a message isn't let through, for the block page. `hit`: what was found, if something was."""

    reason: str
    hit: Verdict | None = None


class Held:
    """`directory`: of temporary files. `begin`: sends the heads, with which the message goes back. To be closed."""

    def __init__(
        self, settings: IcapSettings, connection: Connection, request: IcapRequest, message: Message,
        inspection: Inspection, directory: str | None, begin: Callable[[], None],
    ) -> None:  # fmt: skip
        self.message = message
        self.whole = False  # all of it was read
        self.continued = False  # more than the preview was asked for
        self._own = settings
        self._connection = connection
        self._request = request
        self._inspection = inspection
        self._until = time.monotonic() + settings.time_limit
        self._hold = inspection.hold(message.flow)
        self._chunks = Chunks()
        self._size = 0
        self._finished = self._late = False
        self._begin = begin
        self.begun = False  # it is on its way back
        # as it came, to be given back, unless the proxy has kept it
        self._kept = None if request.allows_204 else SpooledTemporaryFile(IN_MEMORY, dir=directory)  # noqa: SIM115 - it is closed by us

    @property
    def incident(self) -> str:
        """What the block page and the documents call it."""
        return self.message.flow.id

    @property
    def rested(self) -> bool:
        """Whether all was read that the proxy sends without being asked for more."""
        return self._chunks.done

    def preview(self) -> None:
        """Reads the preview, if there is one. Raises Wrong, Gone."""
        if self._request.preview is not None:
            self._take()
            if not self.rested and not self._large(self._size):
                raise Gone("a preview took too long")
            self.whole = self._chunks.ieof

    def read(self) -> None:
        """Reads the rest, until it is all there, too large, or takes too long. Raises Wrong, Gone."""
        if self.whole or self._large(self._size):
            return
        if self._request.preview is not None:
            if self._large(self.message.length or 0):
                return
            self._connection.send(CONTINUE)
            self._chunks = Chunks()
        self.continued = True
        self._take()
        self.whole = self._chunks.done

    def _take(self) -> None:
        pause = self._own.trickle if self._request.method == "RESPMOD" else 0.0  # no proxy stalls in what is sent to it
        for data in self._connection.body(self._chunks, self._until, pause):
            self._keep(data)
            self._submit(self.message.write(data))
            if self._large(self._size):
                return
            due = self._size if not data else self._size // SHARE if self.begun else 0
            if self.continued and self._hold.sent < due:
                self._release(1)

    def _keep(self, data: bytes) -> None:
        """Of what there is no room for nothing can go back: then the proxy has to know what to do. Raises Wrong."""
        self._size += len(data)
        try:
            if self._kept is not None:
                self._kept.write(data)
        except OSError as error:
            raise Wrong(500, f"a body can't be kept: {error.strerror}") from None

    def _release(self, most: int) -> int:
        """So many of the bytes that are held go back; how many they were."""
        if self._kept is None:
            return 0
        if not self.begun:
            self.begun = True
            self._begin()
        self._kept.seek(self._hold.sent)
        data = self._kept.read(most)
        self._kept.seek(0, SEEK_END)
        if data:
            self._connection.send(chunk(data))
            self._hold.sent += len(data)
        return len(data)

    def _large(self, size: int) -> bool:
        return size > self._own.max_bytes

    def verdict(self) -> Refusal | None:
        """Why it is not let through; None: it is."""
        large = not self.whole and (self._large(self._size) or not self.continued)
        cut = "limit:max_bytes" if large else None if self.whole else "limit:time_limit"
        hold, settled = self._hold, self._scanned(cut)
        if hold.blocked is not None:
            return Refusal(hold.blocked.signature or hold.blocked.status, hold.blocked)
        if not settled or cut == "limit:time_limit":
            return self._unless(self._own.on_error, f"it could not be scanned within {self._own.time_limit:g} seconds")
        if hold.unsure is not None:
            return self._unless(self._own.on_error, f"it could not be scanned: {hold.unsure}")
        if cut or hold.large:
            return self._unless(self._own.on_large, f"it is too large to be scanned ({cut or hold.large})")
        return None

    def _scanned(self, cut: str | None) -> bool:
        """Whether the engines have all spoken in time, or one has said enough."""
        self._submit(self.message.finish(cut))
        self._finished = True
        self._inspection.end(self._hold)
        return self._hold.wait(self._until) and not self._late

    def _submit(self, found: Iterator[Object]) -> None:
        """Hands it to the engines, as long as there is time and it isn't known to be held back."""
        while not self._late and self._hold.blocked is None and (one := next(found, None)) is not None:
            try:
                self._inspection.submit(self._hold, one, self._until)
            except Busy:
                self._late = True

    def _unless(self, way: str, why: str) -> Refusal | None:
        self._hold.release()
        done = "let through" if way == "open" else f"held back ({self.incident})"
        log.warning("%s %s: %s", visible(self.message.url, 200), done, why)
        return None if way == "open" else Refusal(why)

    def let_go(self) -> None:
        """All of it goes back as it came; what wasn't read yet follows as it comes. Raises Wrong, Gone."""
        while self._release(PIECE):
            pass
        if not self._chunks.done:
            for data in self._connection.body(self._chunks):
                if data:
                    self._connection.send(chunk(data))
        self._connection.send(chunk(b""))

    def close(self) -> None:
        """Lets go of what it holds."""
        if self._kept is not None:
            self._kept.close()
        if not self._finished:
            self.message.drop()
            self._inspection.end(self._hold)
