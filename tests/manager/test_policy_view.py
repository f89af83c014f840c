"""`tapscan policy test`, and what `config check` says of policies."""

import json
import tempfile
from pathlib import Path

import pytest
from capture import make
from hypothesis import given
from hypothesis import strategies as st
from nouns import BEGAN, FLOW, an_object, another, said, scanned

from manager.alarms import raise_alarm
from manager.ecs import line
from manager.events import Documents
from manager.findings import of_documents
from manager.observer import Observer
from manager.settings_file import SettingsError, load

CASES = Path(__file__).parents[1] / "cases"
SETTINGS = """
[sensor]
home = ["192.0.2.0/24"]
[[engine]]
kind = "yara"
[[policy]]
do = ["reset"]
when = { severity = 99 }
[[policy]]
do = ["reset", "command"]
argv = ["/bin/true"]
when = { protocol = ["http"], direction = "outbound" }
[[policy]]
do = ["webhook"]
url = "https://hooks.example.org/"
when = { verdict = "malicious" }
"""


@pytest.fixture
def folder(tmp_path):
    make(CASES / "demo", tmp_path / "demo.pcap")
    (tmp_path / "t.toml").write_text(SETTINGS)
    return tmp_path


def test_a_capture(tapscan, folder):
    done = tapscan("policy", "test", "demo.pcap", "--config", "t.toml")
    out = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert "  = reset, command (policy 2)\n" in out
    assert "  no     policy 1: severity 73 < 99\n" in out
    assert "  fires  policy 2: malicious, severity 73, http, outbound\n" in out
    assert "  later  policy 3: malicious, severity 73, http, outbound\n" in out
    assert "  no     policy 2: smtp, not http\n" in out
    assert "3 findings: 2 webhook (policy 3); 1 reset, command (policy 2); mode is observe: " in out
    assert sorted(path.name for path in folder.iterdir() if path.name[0] != ".") == ["demo.pcap", "t.toml"]


@pytest.mark.parametrize("shape", ["lines", "alarms", "list", "one"])
def test_documents_say_the_same_as_the_capture(tapscan, folder, shape):
    lines = tapscan("scan", "--json", "demo.pcap", "--config", "t.toml").stdout.splitlines()
    documents = [json.loads(line) for line in lines]
    alarms = [one for one in documents if one["event"]["dataset"] == "tapscan.alarm"]
    text = {
        "lines": b"\n".join(lines),
        "alarms": b"".join(line(one) for one in alarms),
        "list": json.dumps(documents, indent=1).encode(),
        "one": json.dumps(alarms[0], indent=1).encode(),
    }[shape]
    (folder / "x.json").write_bytes(text)
    made = tapscan("policy", "test", "--json", "x.json", "--config", "t.toml")
    assert (made.returncode, made.stderr) == (0, b"")
    whole = tapscan("policy", "test", "--json", "demo.pcap", "--config", "t.toml").stdout.splitlines()
    found = made.stdout.splitlines()
    assert len(found) == {"lines": 3, "alarms": 2, "list": 3, "one": 1}[shape]
    for one in map(json.loads, found):
        assert any(one["why"] == json.loads(other)["why"] for other in whole)
    if shape in ("lines", "list"):
        assert sorted(found) == sorted(whole)


def test_nothing_found_and_no_rules(tapscan, folder):
    make(CASES / "http-basic", folder / "basic.pcap")
    assert tapscan("policy", "test", "basic.pcap").stdout.startswith(b"nothing was found")
    assert b"= observe (no policy)" in tapscan("policy", "test", "demo.pcap").stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        (b"", "x: "),
        (b"\x0a\x0d\x0d\x0ano capture", "x: "),
        (b'{"a": 1}\n{"b"', "line 2 isn't JSON"),
        (b'{"event": {"dataset": "tapscan.alarm"}, "tapscan": {"flow": {"id": "1"}}}', "isn't what --json prints"),
    ],
)
def test_what_can_not_be_read_is_one_line(tapscan, tmp_path, text, says):
    if text is not None:
        (tmp_path / "x").write_bytes(text)
    done = tapscan("policy", "test", "x")
    assert done.returncode == 2
    assert done.stderr.startswith(b"tapscan: x: ")
    assert done.stderr.count(b"\n") == 1
    assert says in done.stderr.decode()


def test_an_engine_that_can_not_be_used_is_said(tapscan, folder):
    (folder / "t.toml").write_text("[[engine]]\nkind = 'clamd'\naddress = '/absent'\n")
    done = tapscan("policy", "test", "demo.pcap", "--config", "t.toml")
    assert done.returncode == 2
    assert b"engine clamav could not be used" in done.stderr


addresses = st.one_of(
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=16, max_size=16).filter(lambda b: b[:12] != bytes(10) + b"\xff\xff"),
)


@given(
    addresses, st.integers(0, 65535), st.sampled_from(["malicious", "suspicious"]), st.booleans(), st.text(min_size=1)
)
def test_what_is_read_back_is_what_was_found(address, port, status, alarm, name):
    flow = another(FLOW, orig_ip=address, resp_ip=address, orig_port=port)
    one = scanned(an_object(flow=flow, name=name), said("a", status, "Sig"), said("b", "clean"))
    make_one = Documents(Observer("sensor-7"))
    document = make_one.alarm(raise_alarm(flow, [one])) if alarm else make_one.object(one.target, one)
    with tempfile.NamedTemporaryFile() as file:
        file.write(line(document))
        file.flush()
        (back,) = of_documents(file.name)
    assert (back.target.flow.orig_ip, back.target.flow.orig_port) == (address, port)
    assert [(hit.engine, hit.status, hit.signature) for hit in back.verdicts] == [
        ("a", status, "Sig"),
        ("b", "clean", None),
    ]
    kept = ("protocol", "mime_type", "sha256", "size", "direction")
    assert [getattr(back.target, key) for key in kept] == [getattr(one.target, key) for key in kept]
    assert abs(back.target.time - one.target.time) < 1000
    assert back.target.time > BEGAN


def mistakes(tmp_path, text):
    (tmp_path / "t.toml").write_text(text)
    try:
        load(str(tmp_path / "t.toml"))
    except SettingsError as error:
        return {one.key: one.text for one in error.mistakes}
    return {}


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("[[policy]]\nwhen = {}\n", "policy[0].do", "observe"),
        ("[[policy]]\ndo = ['command']\n", "policy[0].argv", "is missing"),
        ("[[policy]]\ndo = ['webhook']\n", "policy[0].url", "is missing"),
        ("[[policy]]\ndo = ['webhook']\nurl = 'hooks.example.org'\n", "policy[0].url", "http"),
        ("[[policy]]\ndo = ['webhook']\nurl = 'https://me@hooks.example.org'\n", "policy[0].url", "token_file"),
        ("[[policy]]\ndo = ['reset']\nwhen = { signature = '(' }\n", "policy[0].when.signature", "no pattern"),
        ("[[policy]]\ndo = ['reset']\nwhen = { type = '*' }\n", "policy[0].when.type", "no pattern"),
        ("[[policy]]\ndo = ['reset']\nwhen = { networks = ['here'] }\n", "policy[0].when.networks", "no network"),
        ("[[policy]]\ndo = ['reset']\nwhen = { hours = '8-18' }\n", "policy[0].when.hours", "08:00-18:00"),
        ("[[policy]]\ndo = ['reset']\nwhen = { hours = '08:00-08:00' }\n", "policy[0].when.hours", "whole day"),
        ("[[policy]]\ndo = ['reset']\nwhen = { severity = 100 }\n", "policy[0].when.severity", "99 critical"),
        ("[[policy]]\ndo = ['reset']\nwhen = { agree = 0 }\n", "policy[0].when.agree", "1 or more"),
        ("[[policy]]\ndo = ['reset']\nwhen = { direction = 'in' }\n", "policy[0].when.direction", "'inbound'"),
        ("[countermeasures]\nallow = ['gateway']\n", "countermeasures.allow", "no network"),
        ("[countermeasures]\nallow_ports = [65536]\n", "countermeasures.allow_ports", "no port"),
        ("[countermeasures]\nallow_macs = ['00:00']\n", "countermeasures.allow_macs", "hardware address"),
        ("[countermeasures]\ngateway_mac = '00:00:5e-00-53-01'\n", "countermeasures.gateway_mac", "hardware address"),
    ],
)
def test_mistakes_in_a_policy_are_said(tmp_path, text, key, says):
    found = mistakes(tmp_path, text)
    assert list(found) == [key]
    assert says in found[key]


def test_what_is_right_is_no_mistake(tmp_path):
    assert mistakes(tmp_path, SETTINGS) == {}
    text = "[countermeasures]\nallow = ['192.0.2.1/24', '2001:db8::/32']\n"
    text += "allow_macs = ['00-00-5E-00-53-01', '00:00:5e:00:53:02']"
    assert mistakes(tmp_path, text) == {}


def test_several_are_said_at_once(tmp_path):
    text = "[[policy]]\ndo = ['command']\n[[policy]]\ndo = ['reset']\nwhen = { type = '(', hours = 'x' }\n"
    assert set(mistakes(tmp_path, text)) == {"policy[0].argv", "policy[1].when.type", "policy[1].when.hours"}


def test_the_default_settings_name_every_key_of_a_policy():
    from manager.settings_text import default_text

    text = default_text().partition("# [[policy]]")[2].partition("\n\n")[0]
    keys = [part.split(" = ")[0].removeprefix("# ") for part in text.splitlines() if " = " in part]
    when = ["verdict", "severity", "agree", "engine", "signature", "direction", "protocol", "networks", "type", "hours"]
    assert keys == ["do", "block_hours", "argv", "url", *when]
