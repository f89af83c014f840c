"""Nouns made by hand, for tests of what the manager makes of them, and packets of a web server."""

import hashlib
import json
from dataclasses import replace

from capture import Conversation

from engines.outcome import Latency, Scanned
from engines.verdicts import Verdict
from manager.action import Action
from reassembly.events import Flow, FlowEnd
from reassembly.objects import Content, Object

NS = 1_000_000_000
BEGAN = 1_709_208_000 * NS  # 2024-02-29 12:00:00 UTC

FLOW = Flow(
    id="f00f",
    orig_ip=bytes([192, 0, 2, 10]),
    orig_port=40000,
    resp_ip=bytes([198, 51, 100, 80]),
    resp_port=80,
    transport="tcp",
    vlan=(),
    orig_mac=b"",
    resp_mac=b"",
    time=BEGAN,
    capture="dir/some.pcap",
    midstream=False,
)


def an_object(payload=b"bytes", *, flow=FLOW, **more):
    given = {
        "id": "0b1ec7",
        "flow": flow,
        "direction": 1,
        "kind": "file",
        "protocol": "http",
        "content": Content(len(payload), payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
        "mime_type": "application/zip",
        "began": BEGAN + 1 * NS,
        "time": BEGAN + 3 * NS,
    }
    return Object(**(given | more))


def said(engine, status, signature=None, **more):
    return Verdict(engine, status, signature, (signature,) if signature else (), **more)


LATENCY = Latency(2 * NS, 1000, 2000, 5000, 9000, 4000, "yara")


def scanned(target=None, *verdicts, latency=LATENCY):
    return Scanned(target or an_object(), verdicts, latency)


def an_action(**more):
    given = {
        "id": "ac7",
        "revision": 1,
        "kind": "reset",
        "mode": "enforce",
        "outcome": "confirmed",
        "flow": FLOW,
        "time": BEGAN + 2 * NS,
        "target": an_object(),
        "hit": said("yara", "malicious", "Bad"),
        "rule": 2,
        "why": "policy 2: malicious",
    }
    return Action(**(given | more))


def flow_end(flow=FLOW, **more):
    given = {
        "flow": flow,
        "service": "http",
        "how": "fin",
        "time": BEGAN + 4 * NS,
        "packets": (5, 6),
        "bytes": (100, 2000),
        "missing": (0, 0),
        "objects": 1,
        "findings": (),
        "facts": {},
    }
    return FlowEnd(**(given | more))


def another(flow=FLOW, **more):
    return replace(flow, **more)


def response(body, kind="text/plain", name="/"):
    request = f"GET {name} HTTP/1.1\r\nHost: www.example.org\r\n\r\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return request, head + body


def web(*bodies, orig="192.0.2.10:40001", resp="198.51.100.80:80"):
    """Packets of one connection with a response for each (name, body)."""
    talk = Conversation(orig, resp)
    packets = [*talk.open()]
    for name, body in bodies:
        request, answer = response(body, name=name)
        packets += [*talk.orig(request), *talk.resp(answer)]
    return [*packets, *talk.close()]


def documents(done, dataset=None):
    """The documents on standard output, every line of which has to be one."""
    read = [json.loads(line) for line in done.stdout.splitlines()]
    return [one for one in read if dataset in (None, one["event"]["dataset"])]
