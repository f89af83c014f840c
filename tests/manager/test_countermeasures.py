"""What is done about a flow, and what came of it: told by what the flow itself did."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest
from nouns import FLOW, NS, an_object, another, flow_end, said, scanned

from manager.action import Report
from manager.countermeasures import Countermeasures
from manager.early import Sighting
from manager.observer import Observer
from manager.policy import Policy
from manager.settings import PolicySettings, PolicyWhen
from reassembly.known import Listed, Met
from reassembly.objects import Content

RESET = PolicySettings(PolicyWhen(verdict="malicious"), ("reset",))
BAD = said("yara", "malicious", "Bad")


class Acts:
    """Countermeasures with everything around them in the hands of the test."""

    def __init__(self, mode="enforce", *rules, goes_on=True):
        self.orders, self.reports = [], []
        policy = Policy(rules or (RESET,), Observer())
        self.blocked, self.full = [], None
        self.acts = Countermeasures(mode, policy, self.orders.append, lambda flow: goes_on, self.heard, self.block)

    def block(self, entries):
        self.blocked += entries
        return self.full

    def find(self, target=None, *verdicts):
        self.acts.take(scanned(target or an_object(), *(verdicts or (BAD,))))

    def sight(self, target):
        self.acts.sighted(Sighting(target, BAD))

    def report(self, refused=None, flow=FLOW, frames=8, time=None):
        order = self.orders[-1]
        self.reports.append(Report(order.action, flow.id, frames, time or NOW, refused))

    def heard(self):
        some, self.reports = self.reports, []
        return some

    def pass_(self, *products):
        walk = ((0, one) for one in products)
        assert [one for _, one in self.acts.watch(walk)] == [*products]

    def done(self):
        self.acts.hear()
        return [(one.outcome, one.reason) for one in self.acts.finished()]


NOW = an_object().time + 5_000_000


def window(begin=0, size=4096, **more):
    return an_object(bytes(size), cut="window", missing=((0, begin),) if begin else (), sha256="", **more)


def partial(size=9000, **more):
    return an_object(bytes(size), **({"cut": "reset", "time": NOW + 1} | more))


def test_a_transfer_that_never_ends_was_stopped():
    acts = Acts()
    acts.sight(window(4096, 8192))
    (order,) = acts.orders
    assert (order.flow, order.direction) == (FLOW, 1)
    acts.report()
    acts.pass_(partial(20_000), flow_end())
    (action,) = acts.acts.finished()
    assert (action.outcome, action.frames, action.sent) == ("confirmed", 8, NOW)
    assert (action.latency, action.bytes_delivered, action.bytes_past) == (5_000_000, 20_000, 20_000 - 12_288)
    assert (action.kind, action.rule, action.mode, action.hit) == ("reset", 1, "enforce", BAD)
    assert action.target.content.gone


def test_one_that_comes_to_its_end_after_the_frame_was_not():
    acts = Acts()
    acts.sight(window())
    acts.report()
    acts.pass_(an_object(bytes(20_000), time=NOW + 1), flow_end())
    assert acts.done() == [("failed", "the flow went on to the last byte")]


def test_one_that_was_complete_before_the_frame_was_late():
    acts = Acts()
    acts.find()
    acts.report()
    acts.pass_(flow_end())
    assert acts.done() == [("late", "its last byte was there before the frame")]


def test_one_that_has_ended_before_its_window_was_looked_at_was_not_stopped_either():
    for product, seen, reason in (
        (an_object(bytes(20_000)), window(), "its last byte was there before the frame"),
        (
            an_object(bytes(20_000), kind="email", id="mail"),
            window(parent="mail", depth=1),
            "its last byte was there before the frame",
        ),
        (
            partial(cut="gap", missing=((100, 200),)),
            window(),
            "bytes of it passed unseen: nobody knows that it was stopped",
        ),
    ):
        acts = Acts()
        acts.pass_(product)
        acts.sight(seen)
        acts.report()
        acts.pass_(flow_end())
        assert [one for _, one in acts.done()] == [reason]


def test_who_has_not_seen_all_of_it_does_not_say_that_it_was_stopped():
    acts = Acts()
    acts.sight(window())
    acts.report()
    acts.pass_(partial(cut="gap", missing=((100, 200),)), flow_end())
    assert acts.done() == [("failed", "bytes of it passed unseen: nobody knows that it was stopped")]


def test_a_mail_of_which_a_part_is_complete_is_stopped_as_long_as_the_mail_is_not():
    part = an_object(kind="email_part", depth=1, protocol="smtp", direction=0)
    for mail, outcome in (
        (partial(kind="email", id="mail", direction=0), "confirmed"),
        (an_object(kind="email", id="mail", time=NOW + 1), "failed"),
        (an_object(kind="email", id="mail", time=NOW - 1), "late"),
    ):
        acts = Acts()
        acts.find(part)
        acts.report()
        acts.pass_(mail, flow_end())
        assert [one for one, _ in acts.done()] == [outcome]


def test_what_the_injector_refuses_is_told_at_once():
    acts = Acts()
    acts.find()
    acts.report("allowlist: 10.0.0.0/8")
    assert acts.done() == [("refused", "allowlist: 10.0.0.0/8")]
    acts.pass_(flow_end())
    assert acts.done() == []


def test_a_dry_run_ends_with_the_frames():
    acts = Acts("dry_run")
    acts.sight(window())
    acts.report()
    acts.acts.hear()
    (action,) = acts.acts.finished()
    assert (action.outcome, action.frames, action.mode) == ("dry_run", 8, "dry_run")


def test_who_only_observes_says_what_would_be_done():
    acts = Acts("observe")
    acts.find()
    assert acts.orders == []
    (action,) = acts.acts.finished()
    assert (action.outcome, action.kind, action.mode) == ("observed", "reset", "observe")


def test_without_a_policy_nothing_is_done_or_said():
    acts = Acts("enforce")
    acts.acts.policy = Policy((), Observer())
    acts.find()
    assert (acts.orders, acts.done()) == ([], [])


def test_a_flow_that_is_over_gets_no_frame():
    acts = Acts(goes_on=False)
    acts.find()
    assert acts.orders == []
    assert acts.done() == [("late", "the flow was over by then")]


def test_a_flow_that_ends_before_a_worker_can_act_was_late_and_one_that_nobody_believes_refused():
    for time, outcome in ((0, "late"), (1 << 62, "refused")):
        acts = Acts()
        acts.find()
        acts.pass_(flow_end(time=time))
        assert [one for one, _ in acts.done()] == [outcome]


def test_a_flow_is_acted_on_once():
    acts = Acts()
    acts.sight(window())
    acts.sight(window(4096))
    acts.find()
    assert len(acts.orders) == 1


def test_frames_that_follow_are_counted():
    acts = Acts()
    acts.sight(window())
    acts.report()
    acts.report(frames=2)
    acts.pass_(partial(), flow_end())
    assert acts.acts.finished()[0].frames == 10


def test_a_report_of_something_else_is_none():
    acts = Acts()
    acts.sight(window())
    acts.reports.append(Report("another", FLOW.id, 1, NOW, None))
    acts.reports.append(Report(acts.orders[0].action, "another", 1, NOW, None))
    acts.pass_(partial(), flow_end(time=1 << 62))
    assert [one for one, _ in acts.done()] == ["refused"]


@pytest.mark.parametrize("verdict", [said("yara", "clean"), said("yara", "error"), said("yara", "suspicious", "Odd")])
def test_only_what_the_policy_asks_for_is_acted_on(verdict):
    acts = Acts()
    acts.find(None, verdict)
    assert (acts.orders, acts.done()) == ([], [])


def test_what_is_no_connection_is_not_reset():
    acts = Acts()
    acts.find(an_object(flow=replace(FLOW, transport="udp")))
    assert acts.done() == [("refused", "only TCP can be reset")]


def test_a_client_that_gets_it_all_the_same_is_found():
    acts = Acts()
    acts.sight(window(name="setup.exe"))
    acts.report()
    acts.pass_(partial(name="setup.exe"), flow_end())
    (stopped,) = acts.acts.finished()
    again = replace(FLOW, id="again")
    other = replace(FLOW, id="other", orig_ip=bytes(4))
    acts.pass_(an_object(flow=other, name="setup.exe"), an_object(flow=again, name="else.exe"))
    assert acts.done() == []
    acts.pass_(an_object(flow=again, name="setup.exe", time=NOW + NS))
    (action,) = acts.acts.finished()
    assert (action.id, action.revision, action.evaded_by_retry) == (stopped.id, 2, True)
    acts.pass_(an_object(flow=another(), name="setup.exe", time=NOW + NS))
    assert acts.done() == []


def test_a_retry_long_after_is_another_matter():
    acts = Acts()
    acts.sight(window(name="setup.exe"))
    acts.report()
    acts.pass_(partial(name="setup.exe"), flow_end())
    acts.done()
    acts.pass_(an_object(flow=replace(FLOW, id="again"), name="setup.exe", time=1 << 62))
    assert acts.done() == []


def test_at_the_end_what_is_open_is_told():
    acts = Acts()
    acts.sight(window())
    acts.report()
    assert [one.outcome for one in acts.acts.rest()] == ["confirmed"]
    assert acts.acts.rest() == []


def test_an_action_keeps_no_bytes():
    acts = Acts("observe")
    acts.find(an_object(content=Content(5, b"bytes")))
    assert acts.acts.finished()[0].target.content.kept is None


URL = {"url.original": "/a.exe?x=1", "url.domain": "bad.example", "url.port": 8080}
BLOCK = PolicySettings(PolicyWhen(verdict="malicious"), ("reset", "block_next"), block_hours=2.0)
PAGE = PolicySettings(PolicyWhen(verdict="malicious"), ("block_next", "block_page"))


def test_where_it_came_from_is_blocked_for_a_while():
    acts = Acts("enforce", BLOCK)
    acts.find(an_object(facts=URL))
    (entry,) = acts.blocked
    assert (entry.kind, entry.what) == ("url", "bad.example:8080/a.exe?x=1")
    assert (entry.reason, entry.page) == ("Bad (yara)", False)
    (action,) = acts.acts.finished()
    assert (action.kind, action.outcome, action.reason) == ("block_next", "done", f"{entry.what} is blocked")
    assert entry.until == action.time + 2 * 3600 * NS
    assert entry.action == action.id


def test_the_page_is_more_than_the_reset():
    acts = Acts("enforce", PAGE)
    acts.find(an_object(facts=URL))
    assert [one.page for one in acts.blocked] == [True]
    assert [one.kind for one in acts.acts.finished()] == ["block_page"]


def test_how_it_begins_is_known_once_that_is_there():
    acts = Acts("enforce", PAGE)
    acts.sight(window(65536, 8192))
    assert acts.blocked == []
    assert acts.done() == [("done", "its beginning is blocked, once there is enough of it")]
    payload = random.Random(1).randbytes(100_000)
    acts.pass_(an_object(payload, cut="reset"))
    assert [(one.kind, one.what) for one in acts.blocked] == [("prefix", hashlib.sha256(payload[:65536]).hexdigest())]


@pytest.mark.parametrize(("mode", "outcome"), [("observe", "observed"), ("dry_run", "dry_run")])
def test_who_does_not_enforce_blocks_nothing(mode, outcome):
    acts = Acts(mode, PAGE)
    acts.find(an_object(facts=URL))
    assert [one for one, _ in acts.done()] == [outcome]
    assert acts.blocked == []


def test_a_list_that_can_not_be_written_is_said():
    acts = Acts("enforce", PAGE)
    acts.full = "it can't be written down: No space left on device"
    acts.find(an_object(facts=URL))
    assert acts.done() == [("failed", acts.full)]


def met(asked=True, **more):
    return Met(FLOW, 1, "http", Listed("e1", "Bad (yara)"), "http://bad.example/dir/a.exe?x", asked, NOW, **more)


def report_of(acts, refused=None):
    acts.reports.append(Report("a1", FLOW.id, 2, NOW + 1, refused))


def test_what_was_met_and_never_answered_was_stopped():
    acts = Acts()
    acts.acts.met("a1", met())
    report_of(acts)
    acts.pass_(flow_end())
    (action,) = acts.acts.finished()
    assert (action.id, action.kind, action.outcome, action.rule) == ("a1", "block_page", "confirmed", 0)
    assert (action.why, action.bytes_delivered, action.frames, action.latency) == (
        "http://bad.example/dir/a.exe?x is blocked",
        0,
        2,
        1,
    )
    assert (action.target.name, action.hit.signature) == ("a.exe", "Bad (yara)")


def test_the_injector_may_be_heard_before_the_worker():
    acts = Acts(mode="dry_run")
    report_of(acts)
    acts.acts.hear()
    acts.acts.met("a1", met(asked=False))
    assert [(one.kind, one.outcome) for one in acts.acts.finished()] == [("reset", "dry_run")]


def test_an_answer_that_was_there_first():
    for product, outcome in (
        (partial(9000), ("confirmed", "the answer began before the page: it was reset")),
        (an_object(time=NOW), ("late", "its last byte was there before the frame")),
        (an_object(time=NOW + 2), ("failed", "the flow went on to the last byte")),
    ):
        acts = Acts()
        acts.acts.met("a1", met())
        report_of(acts)
        acts.pass_(product, flow_end())
        assert acts.done() == [outcome]


def test_what_was_met_and_could_not_be_acted_on_is_said():
    acts = Acts()
    acts.acts.met("a1", met())
    acts.pass_(flow_end())
    assert acts.done() == [("refused", "its ends were not seen to agree to it")]
    acts = Acts()
    acts.acts.met("a1", met())
    report_of(acts, "port 22 is allowed")
    assert acts.done() == [("refused", "port 22 is allowed")]


def test_one_that_was_blocked_is_not_evaded_by_asking_again():
    acts = Acts()
    acts.acts.met("a1", met())
    report_of(acts)
    acts.pass_(flow_end())
    acts.acts.finished()
    acts.pass_(an_object(flow=another(FLOW, id="beef"), facts={"url.original": met().what}))
    assert acts.done() == []


def test_what_is_found_in_the_whole_is_known_by_its_beginning_at_once():
    acts = Acts("enforce", PAGE)
    payload = random.Random(2).randbytes(70_000)
    acts.find(an_object(payload, facts=URL))
    assert [one.kind for one in acts.blocked] == ["url", "prefix"]
    acts.find(an_object(bytes(70_000), flow=another(FLOW, id="beef")))  # padding: many files begin like that
    assert len(acts.blocked) == 2
