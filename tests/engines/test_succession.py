"""One pool after another: nothing is lost or given twice, and the old one is closed when it has nothing left."""

from collections import Counter
from threading import Event
from time import monotonic_ns

from samples import object_of

from engines.pool import Pool
from engines.succession import Succession
from engines.verdicts import Verdict


class Held:
    """An engine that answers when it may."""

    version, database_version, timeout, slots = "1", "1", 60.0, 1

    def __init__(self, name):
        self.name = name
        self.may, self.closed = Event(), False

    def scan(self, target):
        self.may.wait()
        return Verdict(self.name, "clean")

    def check(self):
        return None

    def close(self):
        self.closed = True


def names(scanned):
    return Counter((one.target.name, one.verdicts[0].engine) for one in scanned)


def test_the_old_one_finishes_what_it_has_while_the_new_one_works():
    old, new = Held("old"), Held("new")
    both = Succession(Pool([old]))
    for name in "abc":
        both.submit(object_of(name.encode(), name=name), monotonic_ns())
    new.may.set()
    both.succeed(Pool([new]))
    for name in "de":
        both.submit(object_of(name.encode(), name=name), monotonic_ns())
    done = Counter()
    while done.total() < 2:  # of the new one: the old one waits
        done += names(both.results())
    assert not old.closed
    old.may.set()
    done += names(both.drain())
    assert done == Counter([("a", "old"), ("b", "old"), ("c", "old"), ("d", "new"), ("e", "new")])
    assert old.closed
    assert not new.closed
    assert len(both) == 1
    both.close()
    assert new.closed


def test_one_that_has_nothing_is_closed_at_once():
    engines = [Held(str(number)) for number in range(4)]
    both = Succession(Pool([engines[0]]))
    for engine in engines[1:]:
        both.succeed(Pool([engine]))
    assert [engine.closed for engine in engines] == [True, True, True, False]
    both.close()


def test_counts_of_all_of_them_are_there_at_the_end():
    first, second = Pool([Held("a")]), Pool([Held("b")])
    first.counters["a.timeout"], second.counters["b.timeout"] = 2, 3
    both = Succession(first)
    both.succeed(second)
    both.close()
    assert both.counters == {"a.timeout": 2, "b.timeout": 3}
