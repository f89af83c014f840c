"""The socket at which proxies ask, and a thread for each of their connections, as many as the settings allow."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time

from manager.icap_connection import Connection, Gone
from manager.icap_message import Wrong, answer
from manager.icap_service import Service, Serving
from manager.options import Stop
from manager.output_checks import address
from manager.settings import IcapSettings

log = logging.getLogger(__name__)

HEADS = 512 << 10  # bytes of the heads that are encapsulated: a request's and a response's, as `limits.header_bytes`
AGAIN = 0.1  # seconds until it is tried again to take a connection, when there are no more descriptors
CLOSE = {"Connection": "close"}


class Listener:
    """Raises Stop when it can't listen there."""

    def __init__(self, settings: IcapSettings, serving: Serving) -> None:
        self._settings = settings
        self._serving = serving
        self._open: dict[socket.socket, bool] = {}  # whether a request is being answered
        self._ending = False
        try:
            host, port = address(settings.listen) or ("", 0)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=256)
        except OSError as error:
            raise Stop(f"icap.listen: {settings.listen}: {error.strerror}") from None

    def start(self) -> None:
        """Takes connections from now on."""
        threading.Thread(target=self._accept, name="icap-listener", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return any(self._open.copy().values())

    def stop(self) -> None:
        """No more requests are taken; those that are being answered still are."""
        self._ending = True
        _shut(self._socket)
        for connection, busy in self._open.copy().items():
            if not busy:
                _shut(connection)

    def close(self) -> None:
        """Ends all connections."""
        self.stop()
        self._socket.close()
        for connection in self._open.copy():
            _shut(connection)

    def _accept(self) -> None:
        while not self._ending:
            try:
                given, peer = self._socket.accept()
            except OSError:
                time.sleep(AGAIN)
                continue
            if len(self._open) < self._settings.max_connections:
                self._begin(given, peer[0])
            else:
                self._refuse(given, f"{len(self._open)} connections are open already: {peer[0]} is sent away")

    def _begin(self, given: socket.socket, peer: str) -> None:
        self._open[given] = False
        try:
            threading.Thread(target=self._serve, args=(given, peer), name=f"icap-{peer}", daemon=True).start()
        except RuntimeError as error:  # the system gives us no more threads
            del self._open[given]
            self._refuse(given, f"{peer} is sent away: {error}")

    def _refuse(self, given: socket.socket, why: str) -> None:
        log.warning("%s", why)
        with given, contextlib.suppress(OSError):
            given.send(answer(503, CLOSE), socket.MSG_DONTWAIT)

    def _serve(self, given: socket.socket, peer: str) -> None:
        connection = Connection(given, self._settings.timeout, HEADS)
        try:
            self._converse(given, Service(self._serving, connection, peer), connection, peer)
        except Gone:
            pass
        finally:
            connection.close()
            del self._open[given]

    def _converse(self, given: socket.socket, service: Service, connection: Connection, peer: str) -> None:
        """Request by request. What is no ICAP, and our own faults, end the connection with an answer that says so."""
        status: int | None = 500
        try:
            goes_on = True
            while goes_on and not self._ending and (request := connection.request()) is not None:
                self._open[given] = True
                goes_on = service.serve(request)
                self._open[given] = False
            status = None
        except Wrong as wrong:
            log.warning("%s: %s", peer, wrong)
            status = wrong.status
        except Gone:
            status = None
            raise
        finally:
            if status is not None:
                with contextlib.suppress(Gone):
                    connection.send(answer(status, CLOSE))


def _shut(given: socket.socket) -> None:
    with contextlib.suppress(OSError):
        given.shutdown(socket.SHUT_RDWR)
