"""One pool after another, while objects keep coming: what the old one has it finishes, the new one takes what comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from engines.outcome import AnyPool, Scanned
from reassembly.growing import Ahead
from reassembly.objects import Object
from sensor.noun import state


@state
class _Reign:
    pool: AnyPool
    open: int = 0  # objects it has


class Succession:
    """Offers what the pool in it offers. Made, used and closed by one thread."""

    def __init__(self, pool: AnyPool) -> None:
        self.counters: Counter[str] = Counter()  # of those that are closed
        self._reigns = [_Reign(pool)]

    @property
    def ahead(self) -> Ahead | None:
        """Takes parts of large objects while they arrive; None where nothing is gained by it."""
        return self._reigns[-1].pool.ahead

    def __len__(self) -> int:
        """How many there are: more than one while an old one still has something."""
        return len(self._reigns)

    def succeed(self, pool: AnyPool) -> None:
        """From now on this one is given what comes."""
        self._reigns.append(_Reign(pool))
        self._bury()

    def submit(self, target: Object, arrived: int) -> None:
        """Hands an object to all engines. `arrived`: monotonic ns of its last byte. Waits while too much is open."""
        self._reigns[-1].open += 1
        self._reigns[-1].pool.submit(target, arrived)

    def results(self, wait: bool = False) -> Iterator[Scanned]:
        """What is finished, of the oldest first; with `wait`, at least one if any is open."""
        for reign in tuple(self._reigns):
            for one in reign.pool.results(wait and reign.open > 0):
                wait = False
                reign.open -= 1
                yield one
        self._bury()

    def drain(self) -> Iterator[Scanned]:
        """All that is open, as it finishes."""
        while any(reign.open for reign in self._reigns):
            yield from self.results(wait=True)

    def close(self) -> None:
        """Lets go of all engines."""
        for reign in self._reigns:
            self._end(reign)

    def _bury(self) -> None:
        for reign in self._reigns[:-1]:
            if not reign.open:
                self._reigns.remove(reign)
                self._end(reign)

    def _end(self, reign: _Reign) -> None:
        reign.pool.close()
        self.counters.update(reign.pool.counters)
