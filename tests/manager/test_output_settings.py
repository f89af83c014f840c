"""`[[output]]`: what is read, what is a mistake, and what `config` says of it."""

import json
import tomllib

import pytest

from manager.options import Stop
from manager.output_checks import address
from manager.output_settings import OUTPUT_KINDS, FileSettings, KafkaSettings, SyslogSettings, WebhookSettings
from manager.outputs import TARGETS, receiver
from manager.reload import _later
from manager.settings_file import SettingsError, load
from manager.settings_text import default_text

ALL = """
[[output]]
name = "log"
kind = "file"
path = "log/alarms.jsonl"
[[output]]
name = "siem"
kind = "syslog"
address = "[2001:db8::1]:6514"
transport = "tls"
ca_file = "/etc/ca.pem"
datasets = ["alarm", "object"]
format = "cef"
[[output]]
name = "hook"
kind = "webhook"
url = "https://hooks.example.org/t"
secret_file = "secret"
[[output]]
name = "bus"
kind = "kafka"
servers = ["k1:9092", "k2:9092"]
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "tapscan.toml").write_text(text)
        return str(tmp_path / "tapscan.toml")

    return write


def mistakes(path):
    with pytest.raises(SettingsError) as raised:
        load(path)
    return {mistake.key: mistake.text for mistake in raised.value.mistakes}


def test_all_kinds_are_read_with_paths_beside_the_file(written, tmp_path):
    outputs = load(written(ALL))[0].output
    assert [type(one) for one in outputs] == [FileSettings, SyslogSettings, WebhookSettings, KafkaSettings]
    assert outputs[0].path == str(tmp_path / "log/alarms.jsonl")
    assert outputs[1].ca_file == "/etc/ca.pem"
    assert outputs[2].secret_file == str(tmp_path / "secret")
    assert outputs[0].datasets == ("alarm", "action", "health")


def test_each_kind_has_its_target():
    assert TARGETS.keys() == OUTPUT_KINDS.keys()


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("output = 3", "output", "is a list of tables: write [[output]]"),
        ('[[output]]\nname = "a"', "output[0].kind", "is missing; it is one of file, syslog, webhook, kafka"),
        ('[[output]]\nname = "a"\nkind = "sylog"', "output[0].kind", "did you mean 'syslog'?"),
        ('[[output]]\nname = "a"\nkind = "file"', "output[0].path", "is missing"),
        ('[[output]]\nkind = "file"\npath = "a"', "output[0].name", "is missing"),
        ('[[output]]\nname = "a"\nkind = "file"\npath = "a"\nkep = 3', "output[0].kep", "did you mean 'keep'?"),
        ('[[output]]\nname = "a"\nkind = "file"\npath = "a"\nkeep = -1', "output[0].keep", "has to be 0 or more"),
        ('[[output]]\nname = "a"\nkind = "file"\npath = "a"\nmax_bytes = 0', "output[0].max_bytes", "more than 0"),
        ('[[output]]\nname = "../a"\nkind = "file"\npath = "a"', "output[0].name", "it takes a-z"),
        ('[[output]]\nname = "elasticsearch"\nkind = "file"\npath = "a"', "output[0].name", "don't begin with"),
        ('[[output]]\nname = "a"\nkind = "file"\npath = "a"\ndatasets = []', "output[0].datasets", "is empty"),
        ('[[output]]\nname = "a"\nkind = "file"\npath = "a"\ndatasets = ["x"]', "output[0].datasets[0]", "'alarm'"),
        (
            '[[output]]\nname = "a"\nkind = "file"\npath = "a"\nformat = "xml"',
            "output[0].format",
            "'ecs', 'eve', 'cef'",
        ),
        ('[[output]]\nname = "a"\nkind = "syslog"\naddress = "a"', "output[0].address", "write HOST:PORT"),
        (
            '[[output]]\nname = "a"\nkind = "syslog"\naddress = "a:1"\nmax_datagram = 65508',
            "output[0].max_datagram",
            "65507 or less",
        ),
        ('[[output]]\nname = "a"\nkind = "webhook"\nurl = "ftp://a"', "output[0].url", "begin with http://"),
        ('[[output]]\nname = "a"\nkind = "webhook"\nurl = "http://u:p@a/"', "output[0].url", "names a user"),
        (
            '[[output]]\nname = "a"\nkind = "webhook"\nurl = "http://a"\nformat = "cef"',
            "output[0].format",
            "'ecs', 'eve'",
        ),
        ('[[output]]\nname = "a"\nkind = "kafka"\nservers = []', "output[0].servers", "is empty"),
        ('[[output]]\nname = "a"\nkind = "kafka"\nservers = ["a:b"]', "output[0].servers", "write HOST:PORT"),
        ('[[output]]\nname = "a"\nkind = "kafka"\nservers = ["a:1"]\ntopic = "a b"', "output[0].topic", "it takes a-z"),
    ],
)
def test_mistakes_say_what_is_allowed(written, text, key, says):
    assert says in mistakes(written(text))[key]


def test_names_and_files_are_of_one_output(written):
    two = '[[output]]\nname = "{}"\nkind = "file"\npath = "{}"\n'
    found = mistakes(written(two.format("a", "x") + two.format("a", "y")))
    assert "already the name of output[0]" in found["output[1].name"]
    found = mistakes(written(two.format("a", "x") + two.format("b", "./x")))
    assert "output[0] writes to it already" in found["output[1].path"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.example.org:514", ("a.example.org", 514)),
        ("[::1]:6514", ("::1", 6514)),
        ("a:0", None),
        ("a:65536", None),
        (":1", None),
        ("a", None),
        ("a:", None),
        ("a:²", None),
    ],
)
def test_addresses(text, found):
    assert address(text) == found


def test_the_default_file_shows_each_kind_and_is_right_when_uncommented(written):
    text = default_text().partition("# Where documents go")[2].partition("\n[countermeasures]")[0]
    lines = [line.removeprefix("# ") for line in text.splitlines() if "(unset)" not in line]
    tables = "\n".join(line for line in lines if " = " in line or line.startswith("["))
    read = tomllib.loads(tables)["output"]
    assert [one["kind"] for one in read] == list(OUTPUT_KINDS)
    for number, one in enumerate(read):
        one["name"] = f"acme{number}"
    again = ["\n".join(["[[output]]", *(f"{key} = {json.dumps(one[key])}" for key in one)]) for one in read]
    assert [one.kind for one in load(written("\n".join(again)))[0].output] == list(OUTPUT_KINDS)


def test_config_show_and_reload_know_them(written, tapscan, tmp_path):
    path = written(ALL)
    done = tapscan("config", "show", "--json", "--config", path)
    shown = {row["key"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert shown["output[1].format"] == {"key": "output[1].format", "value": "cef", "origin": path}
    assert shown["output[2].secret_file"]["value"] == "(hidden)"
    assert shown["output[3].topic"]["origin"] == "default"
    before = load(path)[0]
    after = load(written(ALL.replace('format = "cef"', 'format = "leef"')))[0]
    assert list(_later(before, after)) == ["output[1].format"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (WebhookSettings("a", "http://a/", secret_file="/gone"), "output a: secret_file: /gone: No such file"),
        (WebhookSettings("a", "https://a/", ca_file="/gone"), "output a: ca_file: /gone: No such file"),
        (WebhookSettings("a", "https://a/", ca_file=__file__), f"output a: ca_file: {__file__}: "),
        (SyslogSettings("a", "a:1", transport="tls", cert_file=__file__), f"output a: cert_file: {__file__}: "),
        (KafkaSettings("a", ("a:1",), username="u"), "output a: username is given and no password"),
        (KafkaSettings("a", ("a:1",), tls=True, ca_file="/gone"), "/gone: No such file"),
    ],
)
def test_what_is_missing_is_said_before_anything_begins(settings, says):
    with pytest.raises(Stop, match=f"^.*{says}".replace("[", r"\[")) as stop:
        receiver(settings)
    assert "\n" not in str(stop.value)


def test_a_scan_says_it_in_a_line(written, tapscan, tmp_path):
    path = written('[[output]]\nname = "a"\nkind = "webhook"\nurl = "http://a/"\nsecret_file = "gone"')
    done = tapscan("scan", "--config", path, tmp_path / "any.pcap")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"output a: secret_file" in done.stderr
    (tmp_path / "any.pcap").write_bytes(b"")
    done = tapscan("scan", "--workers", "3", "--config", path, tmp_path / "any.pcap")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    checked = tapscan("config", "check", path)
    assert (checked.returncode, checked.stderr.count(b"\n")) == (2, 1)
    assert b"tapscan.toml: output a: secret_file" in checked.stderr
    assert b"documents go nowhere" in tapscan("outputs").stderr
