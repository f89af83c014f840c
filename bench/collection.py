"""Where the captures are; those that are not there are made, once, in bench/captures.

Traffic of a real server and a real client (`traffic.py`, as root): `A` and `small`. Written by `packets.py`: `flows`,
`large`, `page`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench import packets, traffic
from bench.measure import Failed

HERE = Path(__file__).with_name("captures")
OTHER_NAMES = {"A": ("A.pcap",), "small": ("small.pcap", "B.pcap")}
SYNTHETIC = {
    "flows": lambda path: packets.open_flows(path),
    "large": lambda path: packets.download(path, 1 << 30),
    "page": lambda path: packets.download(path, 4000, "text/plain"),
}


@dataclass
class Captures:
    """`directory` is looked into first; what is made goes to bench/captures."""

    directory: Path = HERE
    why: str = field(default="", init=False)  # the last traffic could not be made

    def traffic(self, name: str) -> Path | None:
        """The capture, read once so that it lies in memory for all alike; None (see `why`) when it can't be made."""
        path = self._existing(name)
        if path is None:
            path = HERE / f"{name}.pcap"
            print(f"-- making {path}")
            try:
                traffic.make(_whole(path), name)
            except Failed as failed:
                self.why = str(failed)
                print(f"   {failed}")
                return None
            _done(path)
        _read(path)
        return path

    def synthetic(self, name: str) -> Path:
        """The capture, read once."""
        path = HERE / f"{name}.pcap"
        if not path.exists():
            print(f"-- making {path}")
            SYNTHETIC[name](_whole(path))
            _done(path)
        _read(path)
        return path

    def _existing(self, name: str) -> Path | None:
        places = (place / other for place in (self.directory, HERE) for other in OTHER_NAMES[name])
        return next((place for place in places if place.exists()), None)


def _whole(path: Path) -> Path:
    """Under another name until it is whole, so that one that was broken off is made again."""
    path.parent.mkdir(exist_ok=True)
    return path.with_suffix(".part")


def _done(path: Path) -> None:
    path.with_suffix(".part").rename(path)


def _read(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass
