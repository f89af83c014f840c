import json
from dataclasses import replace

import pytest
from nouns import BEGAN, FLOW, NS, an_action, an_object, another, flow_end, said, scanned

from engines.status import EngineStatus, HostStatus
from manager.alarms import raise_alarm
from manager.coverage import Coverage, Row, Tally
from manager.ecs import line
from manager.events import Documents
from manager.observer import Observer
from manager.summary import EngineCounts
from reassembly.objects import Content


@pytest.fixture
def documents():
    return Documents(Observer("sensor-7", "tap in the cellar", namespace="lab"))


def read(document):
    return json.loads(line(document))


def empties(value, path=""):
    """Paths of nulls, empty lists, empty texts and empty tables."""
    if value is None or value in ([], "", {}):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from empties(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from empties(item, path + "[]")


def every_document(documents):
    bare, full = an_object(b"", mime_type="application/x-empty"), full_object()
    verdicts = said("yara", "malicious", "Bad", rule={"name": "Bad", "description": ""}), said("clamav", "skipped")
    ledger = Coverage()
    ledger.flow(flow_end(unscanned="tls", bytes=(0, 0)))
    yield from (documents.object(bare), documents.object(full), documents.object(full, scanned(full, *verdicts)))
    yield documents.object(bare, scanned(bare))
    yield documents.alarm(raise_alarm(FLOW, [scanned(full, *verdicts)]))
    yield documents.alarm(raise_alarm(FLOW, [scanned(bare, said("a", "suspicious"))]))
    yield documents.action(an_action())
    yield documents.action(an_action(outcome="failed", reason="the flow went on", sent=BEGAN, target=full))
    yield from map(documents.coverage, ledger.rows())
    yield documents.scan_host(HostStatus(None, "10.0.0.9", "10.0.0.9: tapscan 2 there, 1 here", False))
    yield documents.scan_host(HostStatus("10.0.0.1", "10.0.0.1", None, False), EngineStatus("clamav", 2))


def full_object():
    facts = {
        "url.full": "http://www.example.org/a/x.zip",
        "url.domain": "www.example.org",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "user_agent.original": "",
        "email.cc.address": [],
        "email.to.address": ["b@example.org", "c@example.org"],
        "tapscan.smtp.mail_from": "a@example.org",
    }
    return an_object(
        name="x.tar.GZ",
        declared_type="text/plain",
        parent="0",
        depth=2,
        cut="gap",
        missing=((10, 20), (30, 31)),
        findings=("http.te_and_cl",),
        codings=("gzip", "br"),
        facts=facts,
    )


def test_nothing_is_null_or_empty(documents):
    for document in every_document(documents):
        assert list(empties(read(document))) == []


def test_what_every_document_has(documents):
    for document in map(read, every_document(documents)):
        dataset = document["event"]["dataset"]
        stream = "metrics" if dataset in ("tapscan.coverage", "tapscan.sensor") else "logs"
        assert document["data_stream"] == {"type": stream, "dataset": dataset, "namespace": "lab"}
        keys = {"id", "kind", "category", "type", "dataset", "module", "created", "duration", "outcome"}
        assert keys <= set(document["event"])
        assert document["event"]["module"] == "tapscan"
        assert document["ecs"]["version"]
        assert document["@timestamp"].endswith("Z")
        assert len(document["@timestamp"]) == len("2024-02-29T12:00:00.000000Z")
        assert document["observer"]["hostname"] == "sensor-7"
        assert document["observer"]["name"] == "tap in the cellar"
        assert document["observer"]["product"] == "tapscan"
        assert document["observer"]["type"] == "sensor"
        if dataset == "tapscan.sensor":
            assert document["host"] == {"name": document["related"]["ip"][0], "ip": document["related"]["ip"]}
        else:
            assert document["host"]["name"] == "sensor-7"
            assert document["log"]["file"]["path"] == "dir/some.pcap"


def test_an_object_field_by_field(documents):
    document = read(documents.object(full_object()))
    assert document["@timestamp"] == "2024-02-29T12:00:03.000000Z"
    assert document["event"]["start"] == "2024-02-29T12:00:01.000000Z"
    assert document["event"]["duration"] == 2 * NS
    assert document["event"]["kind"] == "event"
    assert document["event"]["category"] == ["file", "web"]
    assert document["event"]["type"] == ["info"]
    assert document["source"] == {"ip": "192.0.2.10", "port": 40000}
    assert document["destination"] == {"ip": "198.51.100.80", "port": 80}
    assert document["network"] == {
        "transport": "tcp",
        "protocol": "http",
        "type": "ipv4",
        "community_id": FLOW.community_id,
    }
    assert document["file"]["name"] == "x.tar.GZ"
    assert document["file"]["extension"] == "gz"
    assert document["file"]["size"] == 5
    assert document["file"]["mime_type"] == "application/zip"
    assert document["file"]["hash"] == {"sha256": full_object().sha256}
    assert document["url"] == {"full": "http://www.example.org/a/x.zip", "domain": "www.example.org"}
    assert document["http"] == {"request": {"method": "GET"}, "response": {"status_code": 200}}
    assert document["email"] == {"to": {"address": ["b@example.org", "c@example.org"]}}
    assert document["related"] == {
        "ip": ["192.0.2.10", "198.51.100.80"],
        "hash": [full_object().sha256],
        "hosts": ["www.example.org"],
        "user": ["b@example.org", "c@example.org", "a@example.org"],
    }
    own = document["tapscan"]
    assert own["flow"] == {"id": "f00f", "direction": "resp"}
    assert own["smtp"] == {"mail_from": "a@example.org"}
    assert own["object"] == {
        "id": "0b1ec7",
        "parent": "0",
        "depth": 2,
        "kind": "file",
        "complete": False,
        "missing_bytes": 11,
        "missing": ["10-20", "30-31"],
        "cut": "gap",
        "findings": ["http.te_and_cl"],
        "codings": ["gzip", "br"],
        "declared_type": "text/plain",
    }


def test_extract_has_no_word_of_verdicts(documents):
    own = documents.object(full_object())["tapscan"]
    assert not {"verdict", "verdicts", "engines", "latency"} & set(own)
    assert documents.object(full_object())["event"]["outcome"] == "unknown"


@pytest.mark.parametrize(
    ("protocol", "category"), [("smtp", "email"), ("imap", "email"), ("http2", "web"), ("ftp-data", "network")]
)
def test_category_follows_the_protocol(documents, protocol, category):
    assert documents.object(an_object(protocol=protocol))["event"]["category"] == ["file", category]


def test_who_sent_it(documents):
    assert documents.object(an_object(direction=0))["tapscan"]["flow"]["direction"] == "orig"


def test_macs_vlans_and_ipv6(documents):
    flow = another(
        id="six",
        orig_ip=bytes(15) + b"\1",
        resp_ip=bytes.fromhex("20010db8") + bytes(12),
        orig_mac=bytes.fromhex("02000000000a"),
        vlan=(100, 7),
        transport="udp",
    )
    document = documents.object(an_object(flow=flow))
    assert document["source"] == {"ip": "::1", "port": 40000, "mac": "02-00-00-00-00-0A"}
    assert document["destination"]["ip"] == "2001:db8::"
    assert document["network"]["type"] == "ipv6"
    assert document["network"]["transport"] == "udp"
    assert document["network"]["vlan"] == {"id": "100"}
    assert document["network"]["inner"] == {"vlan": {"id": "7"}}


def test_both_ends_alike_are_related_once(documents):
    flow = another(id="loop", resp_ip=FLOW.orig_ip)
    assert documents.object(an_object(flow=flow))["related"]["ip"] == ["192.0.2.10"]


def test_facts_of_one_object_do_not_leak_into_the_next(documents):
    documents.object(an_object(facts={"source.domain": "leaked", "network.name": "n", "observer.x": 1, "host.x": 1}))
    clean = read(documents.object(an_object()))
    assert "domain" not in clean["source"]
    assert "name" not in clean["network"]
    assert "hosts" not in clean["related"]


def test_more_hashes_when_asked_for():
    target = an_object(b"abc")
    document = Documents(Observer("h"), ["sha1", "md5"]).object(target)
    assert document["file"]["hash"]["sha1"] == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert document["file"]["hash"]["md5"] == "900150983cd24fb0d6963f7d28e17f72"
    assert document["related"]["hash"] == list(document["file"]["hash"].values())


def test_more_hashes_of_nothing():
    document = Documents(Observer("h"), ["md5"]).object(an_object(b""))
    assert document["file"]["hash"]["md5"] == "d41d8cd98f00b204e9800998ecf8427e"


def test_a_scanned_object(documents):
    verdicts = (
        said(
            "yara", "suspicious", "Odd", seconds=0.001, queued=0.5, host="h1", engine_version="4", rule={"name": "Odd"}
        ),
        said("clamav", "malicious", "Eicar", database_version="27000", rule={"name": "Eicar"}),
        said("acme", "malicious"),
        said("slow", "timeout", reason="too long"),
        said("off", "error", reason="away"),
        said("list", "skipped", reason="not listed"),
    )
    document = read(documents.object(an_object(), scanned(an_object(), *verdicts)))
    own = document["tapscan"]
    assert own["verdict"] == "malicious"
    assert own["verdicts"][0] == {
        "engine": "yara",
        "status": "suspicious",
        "signature": "Odd",
        "engine_version": "4",
        "seconds": 0.001,
        "queued": 0.5,
        "host": "h1",
    }
    assert own["verdicts"][1]["database_version"] == "27000"
    assert own["verdicts"][3]["reason"] == "too long"
    assert own["engines"] == {
        "malicious": ["clamav", "acme"],
        "suspicious": ["yara"],
        "timeout": ["slow"],
        "error": ["off"],
        "skipped": ["list"],
        "agreement": "acme+clamav",
    }
    assert document["rule"] == {"name": "Eicar", "ruleset": "clamav"}
    assert document["event"]["outcome"] == "failure"
    assert own["latency"] == {
        "transfer": 2 * NS,
        "reassembly": 1000,
        "queue": 2000,
        "slowest": 5000,
        "total": 9000,
        "overhead": 4000,
        "slowest_engine": "yara",
    }


@pytest.mark.parametrize(
    ("verdicts", "complete", "verdict", "outcome"),
    [
        ((said("a", "clean"),), True, "clean", "success"),
        ((said("a", "clean"),), False, "clean_so_far", "success"),
        ((said("a", "error"),), True, "unknown", "failure"),
        ((said("a", "error"), said("b", "clean")), True, "clean", "failure"),
        ((said("a", "skipped"),), True, "unknown", "unknown"),
        ((said("a", "suspicious"), said("b", "clean")), True, "suspicious", "success"),
        ((), True, "unknown", "unknown"),
    ],
)
def test_the_integrated_verdict(documents, verdicts, complete, verdict, outcome):
    target = an_object(cut=None if complete else "gap")
    document = documents.object(target, scanned(target, *verdicts))
    assert document["tapscan"]["verdict"] == verdict
    assert document["event"]["outcome"] == outcome


def test_an_alarm_field_by_field(documents):
    mail = an_object(
        kind="email_part",
        protocol="smtp",
        direction=0,
        name="bill.zip",
        facts={
            "tapscan.smtp.mail_from": "a@example.org",
            "tapscan.smtp.rcpt_to": ["b@example.net", "c@example.net"],
            "email.subject": "Your bill",
        },
    )
    member = replace(mail, id="child", parent=mail.id, depth=1, kind="member", name="bill.exe", began=BEGAN + 2 * NS)
    found = [
        scanned(mail, said("yara", "suspicious", "Odd"), said("clamav", "clean")),
        scanned(
            member, said("yara", "malicious", "Bad", rule={"name": "Bad", "author": "us"}), said("clamav", "clean")
        ),
    ]
    document = read(documents.alarm(raise_alarm(FLOW, found)))
    assert document["@timestamp"] == "2024-02-29T12:00:03.000000Z"
    assert document["event"]["kind"] == "alert"
    assert document["event"]["category"] == ["malware", "file", "email"]
    assert document["event"]["severity"] == 73
    assert document["event"]["id"] != FLOW.id
    assert document["file"]["name"] == "bill.exe"
    assert document["rule"] == {"name": "Bad", "ruleset": "yara", "author": "us"}
    assert document["source"]["ip"] == "192.0.2.10"
    own = document["tapscan"]["alarm"]
    assert own["id"] == FLOW.id
    assert own["revision"] == 1
    assert own["severity"] == "high"
    assert own["sender"] == "a@example.org"
    assert own["recipients"] == ["b@example.net", "c@example.net"]
    assert [one["id"] for one in own["objects"]] == ["child", "0b1ec7"]
    assert [one["verdict"] for one in own["objects"]] == ["malicious", "suspicious"]
    assert own["objects"][0]["parent"] == "0b1ec7"
    assert {one["engine"]: one["status"] for one in own["verdicts"]} == {"yara": "malicious", "clamav": "clean"}
    assert document["tapscan"]["engines"] == {"malicious": ["yara"], "clean": ["clamav"], "agreement": "yara"}
    assert document["related"]["user"] == ["a@example.org", "b@example.net", "c@example.net"]
    assert document["related"]["hash"] == [mail.sha256]
    assert "bill.exe" in document["message"]
    assert "b@example.net and c@example.net" in document["message"]


def test_other_bytes_make_another_document(documents):
    """Two captures may have the same addresses at the same time."""
    one, two = documents.object(an_object(sha256="ab" * 32)), documents.object(an_object(sha256="cd" * 32))
    assert one["event"]["id"] != two["event"]["id"]
    assert one["event"]["id"] == documents.object(an_object(sha256="ab" * 32))["event"]["id"]


def test_revisions_of_an_alarm_are_documents_of_their_own(documents):
    first = raise_alarm(FLOW, [scanned(None, said("a", "malicious"))])
    one, two = documents.alarm(first), documents.alarm(replace(first, revision=2))
    assert one["event"]["id"] != two["event"]["id"]
    assert one["tapscan"]["alarm"]["id"] == two["tapscan"]["alarm"]["id"]


def test_an_alarm_needs_no_bytes(documents):
    target = an_object(content=Content(5))
    assert Documents(Observer("h"), ["md5"]).alarm(raise_alarm(FLOW, [scanned(target, said("a", "malicious"))]))


def test_coverage_by_minute(documents):
    ledger = Coverage()
    ledger.flow(flow_end(service="tls", unscanned="tls", time=BEGAN + 61 * NS, missing=(3, 0)))
    (document,) = [read(documents.coverage(row)) for row in ledger.rows()]
    assert document["@timestamp"] == "2024-02-29T12:01:00.000000Z"
    assert document["event"]["kind"] == "metric"
    assert document["network"]["protocol"] == "tls"
    assert document["tapscan"]["coverage"] == {
        "service": "tls",
        "reason": "tls",
        "flows": 1,
        "packets": 11,
        "bytes": 2100,
        "missing_bytes": 3,
        "unscanned_bytes": 2100,
    }


def test_identities_stay_the_same():
    def ids():
        made = every_document(Documents(Observer("any")))
        return [one["event"]["id"] for one in made if one["event"]["dataset"] != "tapscan.sensor"]  # of this moment

    assert ids() == ids()


def test_memory_of_flows_is_bounded(documents):
    for number in range(2000):
        documents.object(an_object(flow=another(id=str(number))))
    assert len(documents._flows) <= 512


@pytest.mark.parametrize("hostile", ["\udc80", "a\x00b", "\u202e"])
def test_hostile_names_are_still_one_line_of_json(documents, hostile):
    target = an_object(
        name=hostile, declared_type=hostile, findings=(hostile,), facts={"url.full": hostile, "n": 1 << 80}
    )
    text = line(documents.object(target))
    assert text.count(b"\n") == 1
    assert json.loads(text)["file"]["name"]


def test_an_engine_on_a_host_of_a_cluster(documents):
    engine = EngineStatus("clamav", 2, 1, "1.4", "27000", 1200, 3, 4, 567, 10.0, 12.5, 0.25, 1.5, 90.0)
    document = read(documents.scan_host(HostStatus("scan1", "10.0.0.1", None, True, (engine,)), engine))
    assert document["event"]["dataset"] == "tapscan.sensor"
    assert document["event"]["duration"] == 10_000_000_000
    assert document["host"] == {"name": "scan1", "ip": ["10.0.0.1"]}
    assert document["tapscan"] == {
        "host": {"drained": True},
        "engine": {
            "name": "clamav", "version": "1.4", "database_version": "27000", "actors": 2, "silent": 1, "queue": 4,
            "sensor_queue": 567, "scanned": 1200, "errors": 3, "objects_s": 12.5, "bytes_s": 250_000,
            "latency": {"median": 1_500_000, "p99": 90_000_000},
        },
    }  # fmt: skip


def test_a_host_that_is_refused_says_why(documents):
    document = read(documents.scan_host(HostStatus(None, "10.0.0.9", "other versions", False)))
    assert (document["event"]["outcome"], document["error"]["message"]) == ("failure", "other versions")
    assert document["host"]["name"] == "10.0.0.9"
    assert "engine" not in document["tapscan"]


def test_rows_of_a_sensor_that_is_started_again_are_its_own(documents):
    row = Row("eth1", 7, "http", None, Tally(flows=1))
    assert documents.coverage(row)["event"]["id"] == documents.coverage(row)["event"]["id"]
    live = [Documents(Observer("probe1"), live=True).coverage(row)["event"]["id"] for _ in range(3)]
    assert len(set(live)) == 3


def test_what_an_engine_did_in_a_minute(documents):
    counts = EngineCounts()
    for verdict in (said("a", "malicious", engine_version="1.4"), said("a", "clean"), said("a", "error", reason="no")):
        counts.add(verdict)
    document = read(documents.engine(60 * NS, "a", counts, 86400.4))
    fields = document["tapscan"]["engine"]
    assert {key: fields[key] for key in ("name", "scanned", "errors", "malicious", "version", "database_age")} == {
        "name": "a", "scanned": 3, "errors": 1, "malicious": 1, "version": "1.4", "database_age": 86400,
    }  # fmt: skip
    assert document["event"]["dataset"] == "tapscan.sensor"
    assert "database_age" not in documents.engine(60 * NS, "a", counts, None)["tapscan"]["engine"]


def test_an_alarm_for_the_operator(documents):
    document = documents.health(60 * NS, "loss for 3 min")
    assert document["message"] == "loss for 3 min"
    assert document["@timestamp"] == "1970-01-01T00:01:00.000000Z"
    assert document["data_stream"] == {"type": "logs", "dataset": "tapscan.health", "namespace": "lab"}
    assert (document["event"]["kind"], document["event"]["severity"]) == ("alert", 73)
    assert document["event"]["id"] != documents.health(60 * NS, "loss for 3 min")["event"]["id"]
