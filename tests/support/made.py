"""Documents of every kind, made of nouns that hypothesis makes; and whether what stands in one fits its declaration."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address

from hypothesis import strategies as st
from nouns import FLOW, an_object, said, scanned

from engines.outcome import Latency
from engines.status import EngineStatus, HostStatus
from engines.verdicts import Verdict
from manager import schema
from manager.alarms import raise_alarm
from manager.coverage import Row, Tally
from manager.ecs import line
from manager.events import Documents
from manager.observer import Observer
from manager.quantiles import Quantiles
from manager.summary import EngineCounts
from reassembly.objects import Content

TYPED = {field.name: field.type for field in schema.fields()}

# What parsers may say of an object, by the type of what they say; the lists are those of fields.csv
OWN = "http", "smtp", "pop3", "imap", "ftp", "mime"
PARSED = "url.", "http.", "user_agent.", "email.", "tls.", *(f"tapscan.{name}." for name in OWN)
FACTS = [name for name in TYPED if name.startswith(PARSED) and not name.startswith("email.attachments")]

words = st.text(st.characters(), max_size=40)  # lone surrogates among them, as hostile names have them
some = st.text(st.characters(), min_size=1, max_size=40)
numbers = st.integers(-(1 << 70), 1 << 70)
counts = st.integers(0, (1 << 63) - 1)
seconds = st.floats(0, 1e6)
times = st.integers(0, (1 << 63) - 1)
maybe = st.none() | some
names = st.sampled_from(["yara", "clamav", "acme", "odd name+"])
addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
macs = st.just(b"") | st.binary(min_size=6, max_size=6)
VALUES = {
    "keyword": words | st.lists(words, max_size=3),
    "long": numbers,
    "boolean": st.booleans(),
    "date": st.datetimes().map(lambda when: when.isoformat(timespec="seconds") + "Z"),
}
facts = st.lists(st.sampled_from(FACTS), max_size=12, unique=True).flatmap(
    lambda chosen: st.fixed_dictionaries({name: VALUES[TYPED[name].partition("/")[0]] for name in chosen})
)
flows = st.builds(
    replace,
    st.just(FLOW),
    orig_ip=addresses,
    orig_port=st.integers(0, 65535),
    resp_ip=addresses,
    orig_mac=macs,
    transport=st.sampled_from(["tcp", "udp"]),
    vlan=st.lists(st.integers(0, 4095), max_size=2).map(tuple),
    capture=some,
)
objects = st.builds(
    an_object,
    flow=flows,
    direction=st.integers(0, 1),
    kind=st.sampled_from(["web_page", "file", "email", "email_part", "member"]),
    protocol=st.sampled_from(["http", "smtp", "ftp-data"]),
    began=times,
    time=times,
    name=maybe,
    declared_type=maybe,
    parent=maybe,
    depth=st.integers(0, 20),
    cut=st.none() | st.sampled_from(["gap", "limit:disk"]),
    missing=st.lists(st.tuples(st.integers(0, 99), st.integers(100, 199)), max_size=3).map(tuple),
    findings=st.lists(some, max_size=3).map(tuple),
    codings=st.lists(some, max_size=3).map(tuple),
    facts=st.none() | facts,
)
rules = st.none() | st.dictionaries(
    st.sampled_from(["name", "ruleset", "author", "description", "reference", "license", "version"]), words
)
verdicts = st.builds(
    Verdict,
    names,
    st.sampled_from(["clean", "malicious", "suspicious", "error", "timeout", "skipped"]),
    maybe,
    st.lists(some, max_size=3).map(tuple),
    maybe,
    maybe,
    maybe,
    seconds,
    seconds,
    maybe,
    rules,
)
latencies = st.builds(Latency, *([counts] * 6), st.none() | names)
scans = st.builds(lambda target, all, took: scanned(target, *all, latency=took), objects, st.lists(verdicts), latencies)
hits = st.builds(
    lambda one, rule: replace(one, verdicts=(*one.verdicts, said("z", "malicious", "Z", rule=rule))), scans, rules
)
engines = st.builds(
    EngineStatus, names, counts, counts, maybe, maybe, *([counts] * 4), *([seconds] * 3), *([st.none() | seconds] * 2)
)
hosts = st.builds(HostStatus, maybe, addresses.map(lambda raw: str(ip_address(raw))), maybe, st.booleans())
rows = st.builds(Row, some, st.integers(0, 1 << 26), some, maybe, st.builds(Tally, *([counts] * 13)))
observers = st.builds(
    Observer,
    hostname=some,
    name=maybe,
    home=st.sampled_from([(), ("10.0.0.0/8", "2001:db8::/32")]),
)


@st.composite
def documents(draw):
    """One document of each kind, as the one who reads their JSON has them."""
    live, record = draw(st.booleans()), draw(st.none() | some.filter(lambda text: "\0" not in text))
    make = Documents(draw(observers), ["md5", "sha1"], live, record)
    found = [draw(hits), draw(scans.filter(_found) | hits)]
    own = [name for name in TYPED if name.startswith("tapscan.sensor.") and name.count(".") == 2]
    figures = {name.rpartition(".")[2]: draw(counts) for name in own if TYPED[name] == "long"}
    did = EngineCounts()
    did.add(draw(verdicts))
    latency = Quantiles()
    latency.add(draw(seconds))
    every = [
        make.object(draw(objects)),
        make.object(*(lambda one: (one.target, one))(draw(scans))),
        make.object(an_object(content=Content(5))),
        make.alarm(raise_alarm(draw(flows), found, draw(st.integers(0, 9)))),
        make.coverage(draw(rows)),
        make.sensor(draw(times), figures, latency, {draw(names): did}),
        make.engine(draw(times), draw(names), did, draw(st.none() | seconds)),
        make.health(draw(times), draw(some)),
        make.scan_host(draw(hosts)),
        make.scan_host(draw(hosts), draw(engines)),
    ]
    return [json.loads(line(one)) for one in every]


def _found(one):
    return any(verdict.status in ("malicious", "suspicious") for verdict in one.verdicts)


def carried(document, under=""):
    """Every field of a document with each of its values; nested ones and what is in them."""
    for key, value in document.items():
        name = under + key
        if isinstance(value, dict):
            yield from carried(value, f"{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield name, value
            for one in value:
                yield from carried(one, f"{name}.")
        else:
            yield from ((name, one) for one in (value if isinstance(value, list) else [value]))


def fits(kind, value):
    """Whether Elasticsearch takes a value for a type as it is, without guessing."""
    match kind.partition("/")[0]:
        case "keyword" | "text":
            return isinstance(value, str)
        case "long":
            return type(value) is int and -(1 << 63) <= value < 1 << 63
        case "double":
            return type(value) in (int, float)
        case "boolean":
            return type(value) is bool
        case "nested":
            return isinstance(value, list) and all(isinstance(one, dict) for one in value)
        case "date":
            return isinstance(value, str) and bool(datetime.fromisoformat(value.replace("Z", "+00:00")))
    return bool(ip_address(value))


def unfit(every):
    """What in documents isn't declared, or otherwise: lines, each once."""
    found = {}
    for document in every:
        for name, value in carried(document):
            if name not in TYPED:
                found[f"{name}: no row in kibana/fields.csv"] = None
            elif not fits(TYPED[name], value):
                found[f"{name}: {value!r} is no {TYPED[name]}"] = None
    return list(found)
