"""A network with a SPAN port: client and server in namespaces of their own, and a port that sees all between them."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

TRAFFIC = str(Path(__file__).with_name("traffic.py"))


def needed():
    """Says aloud on a user's machine, and fails in CI, where networks can't be made."""
    missing = [name for name in ("ip", "ethtool") if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None]
    if os.geteuid() != 0 or missing:
        why = "networks are namespaces: root, iproute2 and ethtool are needed (Debian: iproute2, ethtool)"
        pytest.skip(why)


def run(*words):
    subprocess.run(words, check=True, capture_output=True)


_NUMBERS = itertools.count()  # a namespace is gone some time after it was deleted, and its interfaces with it


class Span:
    """`port`: the interface, in the namespace of the test, that gets a copy of every frame between the others."""

    SERVER, CLIENT = "10.67.0.1", "10.67.0.2"

    def __init__(self):
        key = f"{os.getpid() % 100000}{next(_NUMBERS)}"
        self.port = f"tsp{key}"
        self._hub = f"tsh{key}"
        self.server, self.client = f"tss{key}", f"tsc{key}"

    def __enter__(self):
        # A switch that forgets at once what is behind which port sends every frame to all of them.
        run("ip", "link", "add", self._hub, "type", "bridge", "ageing_time", "0", "mcast_snooping", "0")
        run("ip", "link", "set", self._hub, "up")
        for name, address in ((self.server, self.SERVER), (self.client, self.CLIENT)):
            run("ip", "netns", "add", name)
            self._cable(name + "p", "eth0", "netns", name)
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        self.plug()
        return self

    def plug(self):
        """The sensor's port, for the first time or again."""
        self._cable(self.port + "p", self.port)
        run("ethtool", "-K", self.port, "gro", "off", "tso", "off", "gso", "off")
        self.up()

    def unplug(self):
        """The interface is gone."""
        run("ip", "link", "del", self.port)

    def up(self):
        run("ip", "link", "set", self.port, "up")

    def down(self):
        run("ip", "link", "set", self.port, "down")

    def further(self, name):
        """One more cable to the switch: whose end that is sends to all and hears all."""
        self._cable(name + "p", name)
        run("ip", "link", "set", name, "up")

    def cut(self, name):
        """The server's cable, cut in two: its end, and that of a further cable to the switch."""
        run("ip", "link", "set", self.server + "p", "nomaster")
        self.further(name)
        return self.server + "p", name

    def mtu(self, size):
        """The longest frame of all cables."""
        for name in (self.server, self.client):
            run("ip", "link", "set", name + "p", "mtu", str(size))
            run("ip", "-n", name, "link", "set", "eth0", "mtu", str(size))
        for name in (self.port + "p", self.port, self._hub):
            run("ip", "link", "set", name, "mtu", str(size))

    def also(self, name, first, second):
        """A further interface, and its address, of the server and of the client; returns those addresses."""
        for namespace, words in ((self.server, first), (self.client, second)):
            *made, address = words
            if made:
                run("ip", "-n", namespace, "link", "add", name, *made)
            run("ip", "-n", namespace, "addr", "add", address, "dev", name, *(("nodad",) if ":" in address else ()))
            run("ip", "-n", namespace, "link", "set", name, "up")
        return tuple(words[-1].partition("/")[0] for words in (first, second))

    def tap(self):
        """The two ports of a TAP: each has the frames of one direction, as they were on the cable."""
        for name in (self.server, self.client):
            off = "gro", "off", "tso", "off", "gso", "off"
            run(*self.inside(name, "ethtool", "-K", "eth0", *off))
            run("ethtool", "-K", name + "p", *off)
        return self.client + "p", self.server + "p"

    def __exit__(self, *_):
        for words in (
            ("ip", "netns", "del", self.server),
            ("ip", "netns", "del", self.client),
            ("ip", "link", "del", self.port),
            ("ip", "link", "del", self._hub),
        ):
            with contextlib.suppress(subprocess.CalledProcessError):
                run(*words)

    def _cable(self, ours, theirs, *where):
        run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, *where)
        run("ip", "link", "set", ours, "master", self._hub, "up")

    @staticmethod
    def inside(namespace, *words):
        """A command that runs there."""
        return ["ip", "netns", "exec", namespace, *words]
