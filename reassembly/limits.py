"""Every bound of reassembly, by name, with its default and the reason. Reaching one is counted under its name."""

from __future__ import annotations

from sensor.noun import noun


@noun
class Limits:
    """Sizes are bytes, times seconds. Each can be set in `[limits]` of tapscan.toml."""

    # streams
    flows: int = 150_000  # tracked at once by a worker; one that is silent takes about 4 kB
    flows_crowded: float = 0.5  # of `flows`: with more, silent flows end before their timeout, the sooner the more
    rest: float = 10.0  # seconds of silence after which a flow keeps only what it needs to go on
    flow_out_of_order: int = 1 << 20  # held behind one hole of one direction: a large window on a lossy path
    total_out_of_order: int = 512 << 20  # of all flows together
    segments_out_of_order: int = 4096  # of one direction; Snort 3 has 3,072: tiny segments cost more than their bytes
    gap_wait: float = 2.0  # a hole passed by an ACK is given up after this, or after `gap_segments` more segments
    gap_segments: int = 3  # fast retransmit comes after three duplicate ACKs (RFC 5681, section 3.2)
    largest_gap: int = (
        1 << 30
    )  # more than that at once is no loss but a lie: the largest window (RFC 7323, section 2.2)
    doubtful_bytes: int = 64 << 10  # of segments that a host should drop, kept of each direction in case it did not
    reset_wait: float = 1.0  # a RST that its sender belies within this was forged; a retransmission takes less
    conflict_bytes: int = 2048  # delivered bytes kept of each direction to compare retransmissions with
    handshakes: int = 10  # different SYN or SYN/ACK of one flow kept until one is acknowledged; Suricata: 10 and 5
    expectations: int = 10_000  # announced transfers that have not begun, and flows that wait to be announced
    timeout_syn: float = 10.0
    timeout_established: float = 300.0
    timeout_half_closed: float = 60.0
    timeout_closed: float = 5.0  # late retransmissions still belong to the closed flow
    timeout_udp: float = 60.0
    fragments: int = 8192  # datagrams being put together at once
    fragment_timeout: float = 30.0  # Linux: ipfrag_time
    fragment_bytes: int = 32 << 20  # of all fragments that wait for others; Suricata's defrag.memcap
    probe_bytes: int = 4096  # looked at in each direction before a flow is called unknown
    unclaimed_bytes: int = 1 << 20  # kept of a flow that an FTP command may still claim
    total_unclaimed: int = 128 << 20  # of all such flows together; what comes next is not kept
    total_partial: int = 64 << 20  # of all heads and lines whose end hasn't come, and of what waits for an answer

    # objects
    object_bytes: int = 2 << 30  # one object; what is beyond is cut off
    object_memory: int = 4 << 20  # an object larger than this lives in a temporary file
    total_memory: int = 256 << 20  # of all objects still arriving; over it, each goes to a file early
    header_bytes: int = 256 << 10  # one HTTP or MIME header block; common servers allow 8 to 64 KiB
    header_lines: int = 1000
    pending_requests: int = 1000  # pipelined HTTP requests without a response
    command_bytes: int = 16 << 10  # one SMTP or FTP command or reply line; RFC 4954, section 4, allows AUTH 12,288
    imap_line_bytes: int = 256 << 10  # without its literals; the envelope of a mail to many people is long
    imap_literals: int = 1000  # in one command or response that are no mail: names, subjects
    imap_structures: int = 1 << 20  # bytes of headers of sections known of one connection
    total_structures: int = 256 << 20  # of all connections together; who learns more forgets what it knows
    undecided_bytes: int = 64 << 10  # of an SMTP client after DATA or STARTTLS, before the server's answer
    recipients: int = 1000  # of one mail; Postfix's smtpd_recipient_limit
    tls_hello_bytes: int = 64 << 10  # of one hello; with post-quantum key shares and padding they stay under 4 KiB
    mime_depth: int = 100  # Zeek's limit
    mime_parts: int = 10_000  # of one message
    mime_messages: int = 16  # messages inside messages: each is an object, so the innermost bytes are hashed so often
    mime_readings: int = 24  # ways in which one doubtful message is read
    mime_reread_bytes: int = 8 << 20  # of one doubtful message, all further readings together: some 0.1 s
    mime_alternatives: int = 100  # parts that further readings of one message add
    joined_files: int = 100  # that come in pieces and are put together at once, each an open file
    joined_bytes: int = 256 << 20  # of all of them, on disk; what is larger is mostly video

    # decoding and unpacking
    decode_ratio: int = 1100  # out / in; deflate itself ends at 1032
    decode_free: int = 16 << 20  # out of one container before its ratio counts: 20 bytes of zstd hold pages of zeros
    decode_bytes: int = 1 << 30  # out of one coded body or member
    decode_layers: int = 5  # content codings on top of each other
    zstd_window: int = 128 << 20  # the largest that decoders take by default; RFC 9659 allows 8 MiB in HTTP
    reread_bytes: int = 256 << 10  # kept of one HTTP message whose framing is in doubt, to read it the other ways
    doubtful_messages: int = 100  # of one direction; a sender that is odd so often is not worth the time
    unpack_depth: int = 8
    unpack_members: int = 10_000  # of one container
    unpack_total: int = 50_000  # out of one outermost container, all levels together: some seconds
    unpack_bytes: int = 1 << 30  # out of one outermost container, all levels together

    @property
    def pause(self) -> int:
        """Ns of silence before which no TCP flow is over, or has let go of anything."""
        return int(min(self.timeout_syn, self.timeout_half_closed, self.timeout_established, self.rest) * 1e9)
