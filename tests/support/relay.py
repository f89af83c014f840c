"""A TCP relay on loopback that writes down what both ends say: real clients and servers as samples for parsers."""

from __future__ import annotations

import selectors
import socket
import threading

from reassembly.events import ORIG, RESP


class Relay:
    """Listens on `port`; each connection is passed on to `target` and recorded as a list of (direction, bytes)."""

    def __init__(self, target, port=0):
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.sessions = []
        self._threads = []
        self._accepting = threading.Thread(target=self._accept)

    def __enter__(self):
        self._accepting.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(10)
        for thread in self._threads:
            thread.join(10)

    def _accept(self):
        while True:
            try:
                orig, _ = self._listener.accept()
            except OSError:
                return
            session = []
            self.sessions.append(session)
            thread = threading.Thread(target=self._pass_on, args=(orig, session))
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, orig, session):
        with orig, socket.create_connection(self._target) as resp, selectors.DefaultSelector() as ready:
            ready.register(orig, selectors.EVENT_READ, (ORIG, resp))
            ready.register(resp, selectors.EVENT_READ, (RESP, orig))
            while ready.get_map():
                for key, _ in ready.select():
                    direction, other = key.data
                    piece = key.fileobj.recv(65536)
                    if piece:
                        session.append((direction, piece))
                        other.sendall(piece)
                    else:
                        ready.unregister(key.fileobj)
                        other.shutdown(socket.SHUT_WR)
