"""Commands and webhooks on their way: given once, and told when they are over."""

from __future__ import annotations

import threading

from nouns import an_action

from manager.errands import Errands
from manager.settings import PolicySettings

SECONDS = 20


def rule(code):
    return PolicySettings(do=("command",), argv=("/bin/sh", "-c", f"exit {code}"))


def document(action):
    return {"tapscan": {"action": {"id": action.id, "outcome": action.outcome}}}


class Sent:
    """Errands of one rule, and a way to wait for them."""

    def __init__(self, code):
        self.told = threading.Event()
        self.errands = Errands([rule(code)], self.told.set)

    def give(self, *actions):
        return self.errands.passed([*actions], document)

    def wait(self):
        assert self.told.wait(SECONDS)
        self.told.clear()
        return [(one.id, one.outcome, one.reason) for one in self.give()]


def begun(key="a1", number=1):
    return an_action(id=key, kind="command", outcome="begun", rule=number)


def test_what_is_settled_passes():
    sent = Sent(0)
    reset = an_action()
    assert sent.give(reset) == [reset]
    sent.errands.close()


def test_one_that_goes_well_is_done():
    sent = Sent(0)
    assert sent.give(begun()) == []
    assert sent.wait() == [("a1", "done", None)]
    assert sent.give() == []
    sent.errands.close()


def test_one_that_fails_says_why():
    sent = Sent(3)
    sent.give(begun())
    assert sent.wait() == [("a1", "failed", "/bin/sh: exit code 3")]
    sent.errands.close()


def test_under_other_rules_what_was_begun_is_finished():
    sent = Sent(0)
    sent.give(begun())
    sent.errands.change([rule(4)])
    sent.errands.change([rule(4)])
    assert sent.wait() == [("a1", "done", None)]
    sent.give(begun("a2"))
    assert sent.wait() == [("a2", "failed", "/bin/sh: exit code 4")]
    sent.errands.close()
