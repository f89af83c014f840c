"""Settings that change while flows go on: what begins has the new ones."""

from dataclasses import replace

from wire import CLIENT, Talk, batch_of

from manager.assembly import change, flow_table, fragment_limits, overlap_policies
from manager.settings import ReassemblySettings, Settings
from reassembly.builder import Memory
from reassembly.events import FlowEnd
from reassembly.limits import Limits
from reassembly.objects import Object
from sensor.live import Live

BEFORE = Settings(reassembly=ReassemblySettings(overlap="first"))
AFTER = replace(BEFORE, limits=Limits(flows=3, fragments=0), reassembly=ReassemblySettings(overlap="last"))


def opened(port):
    return Talk(client=(CLIENT[0], port)).handshake()


class Walk:
    """A sensor's, without an interface."""

    def __init__(self):
        self.source = Live([], fragment_limits(BEFORE))
        self.memory = Memory(BEFORE.limits)
        self.table = flow_table(BEFORE, self.memory, overlap_policies(BEFORE), None)

    def change(self):
        change(AFTER, self.source, self.table, self.memory)

    def opens(self, *ports):
        """Flows from these ports; those that end by it."""
        packets = [packet for port in ports for packet in opened(port).packets]
        return [one for one in self.table.feed(batch_of(packets)) if type(one) is FlowEnd]


def test_a_bound_of_all_flows_holds_for_those_that_are_there():
    walk = Walk()
    assert walk.opens(*range(40_000, 40_005)) == []
    walk.change()
    ended = [one for port in (50_000, 50_001, 50_002) for one in walk.opens(port)]  # some go with each batch
    assert [one.how for one in ended] == ["eviction"] * 3
    assert len(walk.table) == 5
    assert walk.table.counters["flows"] == 3


def test_the_overlap_policy_is_that_of_when_a_flow_began():
    walk, found, talks = Walk(), [], []
    for port in (40_000, 40_001):
        talks.append(opened(port).say(0, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"))
        found += walk.table.feed(batch_of(talks[-1].packets))
        walk.change()
    for talk in talks:
        talk.packets.clear()
        talk.say(1, b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        talk.add(1, b"BBBB", seq=talk.seq[1] + 4)
        talk.add(1, b"CCCC", seq=talk.seq[1] + 4)
        talk.say(1, b"AAAA")
        talk.seq[1] += 4
        talk.add(0)
        found += walk.table.feed(batch_of(talk.end().packets))
    found += walk.table.close()
    bodies = {one.flow.orig_port: one.content.memory for one in found if type(one) is Object}
    assert bodies == {40_000: b"AAAABBBB", 40_001: b"AAAACCCC"}
