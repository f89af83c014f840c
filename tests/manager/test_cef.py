"""Documents as CEF and LEEF: what stands in the line, and that no value can leave its field."""

import re

from hypothesis import given
from hypothesis import strategies as st
from receivers import document

from manager import VERSION
from manager.cef import cef, leef

ALARM = document(
    1,
    source={"ip": "192.0.2.1", "port": 40001},
    destination={"ip": "198.51.100.1", "port": 80},
    network={"transport": "tcp", "protocol": "http", "community_id": "1:abc="},
    rule={"name": "EICAR|test", "ruleset": "starter.yar"},
    file={"name": "a=b\\c.exe", "size": 68, "mime_type": "text/plain", "hash": {"sha256": "00ff"}},
    tapscan={"flow": {"direction": "resp"}, "verdict": "malicious", "engines": {"agreement": "clamav+yara"}},
    message="one\nTWO=three",
)
PAIR = re.compile(r"(\w+)=((?:\\.|[^\\=])*?)(?= \w+=|$)", re.S)


def read_cef(text):
    """As a receiver does: the head by bars that aren't escaped, then key=value."""
    *head, rest = re.split(r"(?<!\\)(?:\\\\)*\|", text, maxsplit=7)
    pairs = {
        key: re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)
        for key, value in PAIR.findall(rest)
    }
    return [re.sub(r"\\(.)", r"\1", one) for one in head], pairs


def read_leef(text):
    *head, rest = text.split("|", 6)
    return head, dict(pair.split("=", 1) for pair in rest.split("\t"))


def test_cef():
    head, pairs = read_cef(cef(ALARM).decode())
    assert head == ["CEF:0", "tapscan", "tapscan", VERSION, "EICAR|test", "malicious: EICAR|test", "8"]
    expected = {"src": "198.51.100.1", "spt": "80", "dst": "192.0.2.1", "dpt": "40001", "proto": "tcp", "app": "http"}
    expected |= {
        "fname": "a=b\\c.exe",
        "fsize": "68",
        "fileHash": "00ff",
        "msg": "one\nTWO=three",
        "externalId": "id-1",
    }
    expected |= {"cs1Label": "verdict", "cs1": "malicious", "cs2": "clamav+yara", "cs3": "1:abc="}
    expected |= {"rt": "1795608000000", "dvchost": "tap.example.org", "cat": "tapscan.alarm"}
    assert {key: pairs[key] for key in expected} == expected


def test_leef():
    head, fields = read_leef(leef(ALARM).decode())
    assert head == ["LEEF:2.0", "tapscan", "tapscan", VERSION, "EICAR_test", "x09"]
    expected = {"src": "198.51.100.1", "srcPort": "80", "dst": "192.0.2.1", "sev": "8", "fileName": "a=b\\c.exe"}
    expected |= {"sha256": "00ff", "msg": "one TWO=three", "devTime": "1795608000000", "engines": "clamav+yara"}
    assert {key: fields[key] for key in expected} == expected


def test_severities():
    found = []
    for severity in (0, 1, 21, 47, 73, 99, 1000):
        text = cef({"event": {"severity": severity}}).decode()
        found.append(int(text.split("|")[6]))
    assert found == [1, 1, 3, 5, 8, 10, 10]


def test_a_document_without_anything():
    assert cef({}) == f"CEF:0|tapscan|tapscan|{VERSION}|tapscan|tapscan|1|".encode()
    assert leef({}).decode().split("|")[4:] == ["tapscan", "x09", "sev=1"]


@given(st.text(), st.text())
def test_no_value_leaves_its_field(name, message):
    one = ALARM | {"file": {"name": f"a{name}"}, "message": f"m{message}", "rule": {"name": f"r{name}"}}
    text = cef(one).decode()
    assert len(text.splitlines()) == 1
    head, _ = read_cef(text)
    assert head[4][0] == "r"
    assert len(re.findall(r"(?<!\\)(?:\\\\)*=", text.partition("|8|")[2])) == len(
        re.findall(r"(?:^| )\w+(?<!\\)=", text.partition("|8|")[2])
    )
    line = leef(one).decode()
    assert len(line.splitlines()) == 1
    assert read_leef(line)[1].keys() >= {"src", "fileName", "msg"}
    assert set(read_leef(line)[1]) == set(read_leef(leef(ALARM | {"rule": {"name": "r"}}).decode())[1]) - {
        "fileSize",
        "fileType",
        "sha256",
    }
