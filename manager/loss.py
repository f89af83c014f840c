"""Whether the sensor misses what it should see, for so long that somebody has to know.

Two measures, as Arkime and Zeek's capture-loss script take them: packets that the kernel had no room for, and bytes
that a receiver acknowledged though they never came by (a SPAN port that is overrun loses them before the kernel does).
"""

from __future__ import annotations

from sensor.noun import state


@state
class Loss:
    """What was seen and what was not, in a minute. Bytes are those of flows that ended in it."""

    packets: int = 0
    lost_packets: int = 0
    bytes: int = 0
    lost_bytes: int = 0

    @property
    def share(self) -> float:
        """The worse of the two."""
        return max(_share(self.packets, self.lost_packets), _share(self.bytes, self.lost_bytes))

    def words(self) -> str:
        """A sentence that a person can act on."""
        if _share(self.packets, self.lost_packets) >= _share(self.bytes, self.lost_bytes):
            what = f"{_percent(self.share)} of packets dropped by the kernel"
            return f"{what}: raise sensor.ring or sensor.workers"
        what = f"{_percent(self.share)} of acknowledged bytes never came by"
        return f"{what}: look at the SPAN port's load and the interface's own drops (ethtool -S)"


class LossWatch:
    """Raises one alarm when loss lasts, and the next only after a minute without."""

    def __init__(self, minutes: int, share: float) -> None:
        self._minutes = minutes
        self._share = share
        self._row = 0  # minutes in a row

    def minute(self, loss: Loss) -> str | None:
        """Takes a minute; what is to be said, once."""
        self._row = self._row + 1 if loss.share > self._share else 0
        return f"loss for {self._minutes} min: {loss.words()}" if self._row == self._minutes else None


def _share(seen: int, lost: int) -> float:
    return lost / (seen + lost) if lost else 0.0


def _percent(share: float) -> str:
    return f"{share:.2%}" if share >= 0.0001 else "under 0.01%"
