"""A process that spools documents and ships them, as a sensor does, but only that: it can be killed at any moment.

    python shipping.py FOLDER URL STREAM FIRST COUNT RATE

Documents are numbered from FIRST on; it says each number up to which all are on disk, and ends when COUNT of them are,
and are settled. Only ships when COUNT is 0, until it is ended.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from manager import delivery
from manager.bulk import Bulk
from manager.cursor import Cursor
from manager.dead_letters import record
from manager.elastic_client import client
from manager.settings import ElasticsearchSettings
from manager.shipper import Receiver, Shipper, status
from manager.spool import Spool

ROOT = Path(__file__).parents[2]
SECONDS = 60
EACH = 20  # documents of an append
NAME = "elasticsearch"  # of the cursor
WRONG = int(os.environ.get("WRONG", 0))  # one of so many documents is of a kind that no server takes
MOST = int(os.environ.get("MOST", 1 << 30))  # bytes of the spool
JUMP = int(os.environ.get("JUMP", 0))  # seconds by which its clock is set at SIGUSR1
PATIENT = "PATIENT" in os.environ  # as in earnest
TIMEOUT = float(os.environ.get("TIMEOUT", 10))  # seconds for an answer


class Shipping:
    """One that runs. `count`: 0 ships what is there; `rate`: documents/s, 0 as fast as it can."""

    def __init__(self, folder, url, stream, first=0, count=0, rate=0, **environment):
        words = [sys.executable, __file__, folder, url, stream, first, count, rate]
        self._folder = folder
        own = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([*map(str, words)], env=os.environ | own | environment, **pipes)
        self.first, self.kept, self._err = first, first, []
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._listen)]
        for thread in self._readers:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.kept = int(line)

    def _listen(self):
        self._err.extend(self.process.stderr)

    @property
    def said(self):
        """Its log."""
        return "".join(self._err)

    def keeps(self, number):
        """Waits until all documents before this one are on disk."""
        until = time.monotonic() + SECONDS
        while self.kept < number:
            assert time.monotonic() < until, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.01)

    def says(self, text):
        """Waits until the log has it."""
        until = time.monotonic() + SECONDS
        while text not in self.said:
            assert time.monotonic() < until, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.01)

    @property
    def progress(self):
        """How it goes, as others see it."""
        return json.loads(status(Path(self._folder), NAME).read_text())

    def kill(self):
        """Ends it as a power cut would, but for what the kernel still writes."""
        return self._gone(self.process.kill)

    def end(self):
        """Ends it as its operator does."""
        return self._gone(self.process.terminate)

    def ends(self):
        """Waits until all it makes is settled."""
        return self._gone(lambda: None)

    def _gone(self, act):
        """The number up to which all are on disk."""
        act()
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()
            for thread in self._readers:
                thread.join()
            self.process.stdout.close()
            self.process.stderr.close()
        return self.kept


def identity(number):
    return f"{number:08d}"


def document(number, wrong=False):
    """Of the size of an object's. `wrong`: no server takes it, `size` is a number."""
    size = "as large as a house" if wrong else number
    made = {"@timestamp": "2026-11-25T12:00:00.000000Z", "event": {"id": identity(number)}, "size": size}
    return json.dumps(made | {"message": "what was seen " * 60}).encode()


def main():
    folder, url, stream = Path(sys.argv[1]), *sys.argv[2:4]
    first, count, rate = map(int, sys.argv[4:])
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    signal.signal(signal.SIGUSR1, set_clock)
    logging.basicConfig(level=logging.WARNING)
    spool = Spool(folder, MOST)
    shipper = started(folder, url)
    begun = time.monotonic()
    for number in range(first, first + count, EACH):
        if rate:
            ending.wait(max(0, begun + (number - first) / rate - time.monotonic()))
        if ending.is_set():
            break
        numbers = range(number, min(number + EACH, first + count))
        append(spool, [record(stream, identity(one), document(one, WRONG > 0 and one % WRONG == 1)) for one in numbers])
        sys.stdout.write(f"{numbers[-1] + 1}\n")
        sys.stdout.flush()
    look = Cursor(folder, NAME)
    while not ending.wait(0.02) and (count == 0 or look.behind().records):
        pass
    shipper.close()


def set_clock(*_):
    """All that Python asks for the time is told another one from now on; what counts seconds goes on."""
    time.time = lambda now=time.time: now() + JUMP
    time.time_ns = lambda now=time.time_ns: now() + JUMP * 1_000_000_000


def started(folder, url):
    """A shipper."""
    if not PATIENT:
        delivery.SHORTEST, delivery.LONGEST = 0.1, 0.5  # nobody else waits for this server
    settings = ElasticsearchSettings(urls=(url,), timeout=TIMEOUT)
    return Shipper(Receiver(NAME, lambda: Bulk(client(settings))), folder, logging.error)


def append(spool, records):
    """As soon as there is room for them."""
    while True:
        try:
            return spool.append(records)
        except OSError as error:
            logging.error("the spool: %s", error.strerror)
            time.sleep(0.05)


if __name__ == "__main__":
    main()
