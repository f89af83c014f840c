"""What goes wrong is said, but not again and again."""

from collections import Counter

from manager import trouble
from manager.trouble import Trouble


def test_it_is_said_once_in_a_while_with_what_came_since(caplog, monkeypatch):
    counted = Counter()
    watched = Trouble(lambda: counted)
    watched.look()
    assert caplog.text == ""
    counted["disk"] = 3
    watched.look()
    counted["disk"] = 5
    watched.look()
    assert [one.message for one in caplog.records] == [
        "no room for temporary files: 3 large objects have been cut short"
    ]
    monkeypatch.setattr(trouble, "TELL", 0.0)
    other = Trouble(lambda: counted)
    other.look()
    other.look()
    counted["disk"] = 6
    other.look()
    assert [one.args for one in caplog.records] == [(3,), (5,), (6,)]
