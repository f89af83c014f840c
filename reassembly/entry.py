"""A row of the flow table: one TCP connection or UDP exchange, its streams and its conversation."""

from __future__ import annotations

from typing import TypeAlias

from reassembly.builder import Memory, Origin
from reassembly.detect import Conversation
from reassembly.events import ORIG, RESP, Close, CloseHow, Data, Expect, Flow, FlowEnd, Gap
from reassembly.grouping import Chains
from reassembly.objects import Object
from reassembly.segments import OverlapPolicies
from reassembly.tcp import Connection

Emits: TypeAlias = tuple[list[Object | FlowEnd], list[Expect]]  # where products and announcements go


class Entry:
    """`orig_side` is the side (of `reassembly.grouping`) on which the originator is."""

    __slots__ = (
        "_emitted", "_how", "_memory", "connection", "conversation", "datagrams", "due", "ended", "expected", "flow",
        "key", "last", "orig_side", "slimmed",
    )  # fmt: skip

    def __init__(
        self,
        key: int,
        flow: Flow,
        orig_side: int,
        memory: Memory,
        policies: OverlapPolicies,
        emitted: Emits,
    ) -> None:
        self.key = key
        self.flow = flow
        self.orig_side = orig_side
        self.last = flow.time  # ns since 1970 of the last packet
        self.due = 0  # when to look whether it has fallen silent (`reassembly.idle`)
        self.slimmed = 0  # the `last` up to which it has been
        self.ended = False
        self.expected: Expect | None = None
        self.conversation: Conversation | None = None
        self.connection: Connection | None = None
        self.datagrams: list[int] | None = None  # of UDP: how many each direction sent, then their bytes
        if flow.transport == "tcp":
            both = policies.of(flow.orig_ip), policies.of(flow.resp_ip)
            self.connection = Connection(self.take, memory.limits, both, flow.midstream)
        else:
            self.datagrams = [0, 0, 0, 0]
        self._memory = memory
        self._emitted = emitted
        self._how: CloseHow | None = None

    # -- what the flow table asks

    @property
    def over(self) -> bool:
        """Both directions have ended."""
        return self.connection is not None and self.connection.over

    @property
    def how(self) -> CloseHow:
        """How it ended, or would end now."""
        return self._how or (self.connection.how if self.connection else None) or "fin"

    @property
    def held(self) -> int:
        """Bytes behind holes."""
        if self.connection is None:
            return 0
        orig, resp = self.connection.streams
        return orig.held + resp.held

    @property
    def leads(self) -> bool:
        """Other flows depend on what this one says."""
        return self.conversation is not None and self.conversation.leads

    @property
    def reads(self) -> bool:
        """More bytes may be of use to somebody."""
        return self.conversation is None or self.conversation.listening

    @property
    def claimable(self) -> bool:
        """Nobody reads it, its bytes are all here, and an announcement may still come."""
        return self.conversation is not None and self.conversation.claimable

    @property
    def established(self) -> bool:
        return self.connection is not None and (self.connection.established or self.flow.midstream)

    @property
    def timeout(self) -> float:
        """Seconds of silence after which the flow is over, if there is room for it until then."""
        limits = self._memory.limits
        if self.connection is None:
            return limits.timeout_udp
        if self.connection.reset_by is not None:
            return limits.reset_wait
        if not self.established:
            return limits.timeout_syn
        orig, resp = self.connection.streams
        return limits.timeout_half_closed if orig.closed or resp.closed else limits.timeout_established

    # -- the fast path

    def follows(self, chains: Chains, number: int, pause: int) -> bool:
        """Whether a group of rows goes on exactly where this flow stands, within `pause` ns."""
        connection = self.connection
        if connection is None or not connection.plain or chains.begins[number] - self.last > pause:
            return False
        for side in (0, 1):
            if chains.first[side][number] < 0:
                continue
            direction = side ^ self.orig_side
            stream = connection.streams[direction]
            if stream.isn is None:
                orig = connection.streams[ORIG]
                answers = direction == RESP and chains.first_syn[side][number]
                if not answers or chains.first_ack[side][number] != orig.isn or orig.next:
                    return False
            elif chains.first_syn[side][number] or stream.sequence_of(stream.next) != chains.first_seq[side][number]:
                return False
        return True

    def account(self, chains: Chains, number: int) -> None:
        """Counts the packets of a group and opens the streams whose SYN is in it."""
        connection = self.connection
        assert connection is not None
        for side in (0, 1):
            direction = side ^ self.orig_side
            stream = connection.streams[direction]
            stream.packets += chains.packets[side][number]
            if stream.isn is None and chains.first[side][number] >= 0:
                connection.shake(direction, (chains.first_seq[side][number] + 1) % (1 << 32))

    def acknowledge(self, chains: Chains, number: int) -> None:
        """Notes the last acknowledgment of each side of a group."""
        assert self.connection is not None
        for side in (0, 1):
            ack = chains.last_ack[side][number]
            if ack >= 0:
                stream = self.connection.streams[1 - (side ^ self.orig_side)]
                if stream.isn is not None:
                    offset = stream.offset_of(ack)
                    if offset > stream.acked:
                        stream.acked = offset
        self.connection.confirmed |= (
            chains.packets[self.orig_side][number] > 1 or self.connection.streams[RESP].next > 0
        )

    # -- what is said

    def take(self, event: Data | Gap | Close) -> None:
        """The next event of the flow, for its parser."""
        if self.conversation is None:
            if type(event) is Close:
                return
            origin = Origin(self.flow, self._memory)
            if self.connection is not None:
                origin.findings, origin.ours = self.connection.findings, self.connection.ours
            self.conversation = Conversation(origin, *self._emitted, self._memory.counters)
            if self.connection is not None:
                take = self.conversation.take
                for stream in self.connection.streams:
                    stream.take = take
            if self.expected is not None:
                self.conversation.claim(self.expected)
        self.conversation.take(event)

    def expect(self, expected: Expect) -> None:
        """Another flow announced this one, before it began or after."""
        self.expected = expected
        if self.conversation is not None:
            self.conversation.claim(expected)

    def slim(self) -> None:
        """Nothing came for `limits.rest`: no honest retransmission of what was acknowledged is to come any more."""
        if self.slimmed == self.last:
            return
        self.slimmed = self.last
        if self.connection is not None:
            for stream in self.connection.streams:
                if stream.acked >= stream.next:
                    stream.tail = b""
        if self.conversation is not None:
            self.conversation.slim()

    def close(self, how: CloseHow, time: int) -> None:
        """Ends what is still open of the streams."""
        if self.connection is not None:
            self.connection.close(how, time)
        elif self.conversation is not None:
            for direction in (ORIG, RESP):
                self.conversation.take(Close(direction, how, time))
        if self.conversation is not None:
            self.conversation.settle()
        self.ended = True
        self._how = (self.connection.how if self.connection else None) or how

    def summary(self) -> FlowEnd:
        """What there is to say of the flow, at its end; lets go of everything else."""
        conversation, connection = self.conversation, self.connection
        packets = octets = missing = lost = 0, 0
        findings: tuple[str, ...] = ()
        if connection is not None:
            orig, resp = connection.streams
            packets, octets = (orig.packets, resp.packets), (orig.delivered, resp.delivered)
            missing, lost = (orig.missing, resp.missing), (orig.lost, resp.lost)
            findings = tuple(connection.findings)
            connection.let_go()
        elif self.datagrams is not None:
            packets, octets = (self.datagrams[0], self.datagrams[1]), (self.datagrams[2], self.datagrams[3])
        unscanned = conversation.unscanned if conversation else "empty"
        if conversation is not None:
            conversation.forget()
        self.conversation = None
        return FlowEnd(
            self.flow,
            conversation.service if conversation else "unknown",
            self.how,
            self.last,
            (packets[0], packets[1]),
            (octets[0], octets[1]),
            missing,
            conversation.objects if conversation else 0,
            findings,
            (conversation.facts if conversation else None) or {},
            unscanned,
            lost,
        )
