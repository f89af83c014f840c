import tomllib
from dataclasses import fields

import pytest

from manager.effective import effective, flat
from manager.options import Stop
from manager.settings import ENGINE_KINDS, ClamdSettings, CommandSettings, Settings, YaraSettings
from manager.settings_file import SettingsError, load
from manager.settings_text import default_text, origin_of, toml

CONTRACT = """
[sensor]
interfaces = ["eth1"]
[pool]
kind = "ray"
address = "10.0.0.1:6379"
[[engine]]
name = "yara"
kind = "yara"
rules = ["/etc/tapscan/rules"]
timeout = 10.0
[[engine]]
name = "clamav"
kind = "clamd"
address = "127.0.0.1:3310"
[[engine]]
name = "acme"
kind = "command"
argv = ["/opt/acme/scan", "--quiet", "{file}"]
clean = [0]
malicious = [1]
signature = "FOUND: (.+)"
slots = 4
[elasticsearch]
urls = ["http://127.0.0.1:9200"]
namespace = "default"
[countermeasures]
mode = "observe"
interface = "eth1"
[[policy]]
when = { verdict = "malicious" }
do = ["reset"]
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "tapscan.toml"
        path.write_text(text)
        return str(path)

    return write


def mistakes(path):
    with pytest.raises(SettingsError) as raised:
        load(path)
    assert all(mistake.file == path for mistake in raised.value.mistakes)
    return {mistake.key: mistake.text for mistake in raised.value.mistakes}


def test_the_contracts_example_is_read(written):
    settings, _ = load(written(CONTRACT))
    assert settings.sensor.interfaces == ("eth1",)
    assert settings.pool.address == "10.0.0.1:6379"
    assert [type(engine) for engine in settings.engine] == [YaraSettings, ClamdSettings, CommandSettings]
    assert settings.engine[2].argv == ("/opt/acme/scan", "--quiet", "{file}")
    assert settings.policy[0].when.verdict == "malicious"
    assert settings.policy[0].do == ("reset",)


def test_an_empty_file_is_the_defaults(written):
    assert load(written(""))[0] == Settings()


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("[sensor]\ninterface = ['eth1']", "sensor.interface", "did you mean 'interfaces'"),
        ("[sensor]\nfanout = 'rnd'", "sensor.fanout", "'flow', 'hash', 'hash+defrag', 'hash+rollover', 'cpu'"),
        ("[sensor]\nclock = 'ntp'", "sensor.clock", "'kernel', 'hardware'"),
        ("[sensor]\npromiscuous = 1", "sensor.promiscuous", "valid boolean"),
        ("[sensor]\nblock_timeout = 0", "sensor.block_timeout", "more than 0"),
        ("[sensor]\nblock_timeout = 101", "sensor.block_timeout", "100 or less"),
        ("[sensors]\n", "sensors", "did you mean 'sensor'"),
        ("[sensor]\nhome = ['10.0.0.0/33']", "sensor.home", "no network"),
        ("[sensor]\nhashes = ['sha512']", "sensor.hashes[0]", "'sha1', 'md5'"),
        ("[limits]\nflows = '10'", "limits.flows", "valid integer"),
        ("[limits]\nflows = true", "limits.flows", "valid integer"),
        ("[limits]\nflows = 0", "limits.flows", "more than 0"),
        ("[limits]\nunpack_depth = -1", "limits.unpack_depth", "0 or more"),
        ("[limits]\ngap_wait = nan", "limits.gap_wait", "finite"),
        ("[limits]\nobject_bites = 1", "limits.object_bites", "did you mean 'object_bytes'"),
        ("[pool]\nkind = 'cloud'", "pool.kind", "'local', 'ray'"),
        ("[pool]\nkind = 'ray'", "pool.address", "HOST:PORT"),
        ("[countermeasures]\nmode = 'kill'", "countermeasures.mode", "'enforce'"),
        ("[elasticsearch]\nnamespace = 'A-b'", "elasticsearch.namespace", "a-z"),
        ("[elasticsearch]\nurls = ['localhost']", "elasticsearch.urls", "http://"),
        ("[[engine]]\nname = 'x'", "engine[0].kind", "yara, clamd"),
        ("[[engine]]\nkind = 'yarra'", "engine[0].kind", "did you mean 'yara'"),
        ("[[engine]]\nkind = 'icap'", "engine[0].kind", "isn't in this version yet"),
        ("[[engine]]\nkind = 'clamd'\ntimeout = 0", "engine[0].timeout", "more than 0"),
        ("[[engine]]\nkind = 'clamd'\nslot = 2", "engine[0].slot", "did you mean 'slots'"),
        ("[[engine]]\nkind = 'command'\nname = 'a'", "engine[0].argv", "missing"),
        ("[[engine]]\nkind = 'command'\nname = 'a'\nargv = ['scan']", "engine[0].argv", "{file}"),
        (
            "[[engine]]\nkind = 'command'\nname = 'a'\nargv = ['{file}']\nsignature = '('",
            "engine[0].signature",
            "pattern",
        ),
        ("[engine]\nkind = 'yara'", "engine", "[[engine]]"),
        ("[[engine]]\nkind = 'yara'\n[[engine]]\nkind = 'yara'", "engine[1].name", "already the name"),
        ("[[policy]]\nwhen = { verdikt = 'x' }", "policy[0].when.verdikt", "did you mean 'verdict'"),
        ("[[policy]]\ndo = ['resett']", "policy[0].do[0]", "'reset'"),
        ("[reassembly]\noverlap = 'beos'", "reassembly.overlap", "'linux', 'windows'"),
        ("[reassembly.overlap_networks]\nhome = 'linux'", "reassembly.overlap_networks", "no network"),
    ],
)
def test_a_mistake_is_said_with_its_key_and_what_is_allowed(written, text, key, says):
    found = mistakes(written(text))
    assert list(found) == [key]
    assert says in found[key]


def test_all_mistakes_are_said_at_once(written):
    found = mistakes(written("[sensor]\nx = 1\n[limits]\nflows = -1\n[[engine]]\nkind = 'no'\n"))
    assert set(found) == {"sensor.x", "limits.flows", "engine[0].kind"}


def test_what_is_no_toml_and_what_is_not_there(written, tmp_path):
    assert "isn't TOML" in mistakes(written("[sensor"))[""]
    assert "can't be read" in mistakes(str(tmp_path / "absent.toml"))[""]
    (tmp_path / "latin").write_bytes(b"# \xe9\n")
    assert "UTF-8" in mistakes(str(tmp_path / "latin"))[""]


def test_relative_rules_start_where_the_file_is(written, tmp_path):
    settings, _ = load(written("[[engine]]\nkind = 'yara'\nrules = ['own', '/etc/rules']"))
    assert settings.engine[0].rules == (str(tmp_path / "own"), "/etc/rules")


def test_the_default_file_has_no_mistakes_and_every_key(written):
    text = default_text()
    assert load(written(text))[0] == Settings()
    for key, _ in flat(Settings()):
        table, _, name = key.rpartition(".")
        assert not name or f"# {name} = " in text or table == "", key
    for kind in ENGINE_KINDS.values():
        for field in fields(kind):
            assert f"# {field.name} = " in text


def test_the_default_file_holds_the_defaults_when_uncommented():
    before, _, rest = default_text().partition("\n# Engines, as many")
    tables = before + "\n[elasticsearch]" + rest.partition("\n[elasticsearch]")[2].partition("\n# Where documents")[0]
    tables += "\n[countermeasures]" + rest.partition("\n[countermeasures]")[2].partition("\n# What is done")[0]
    lines = [line.removeprefix("# ") for line in tables.splitlines() if "(unset)" not in line]
    read = tomllib.loads("\n".join(line for line in lines if " = " in line or line.startswith("[")))
    assert set(read) == {"sensor", "reassembly", "limits", "overload", "pool", "elasticsearch", "countermeasures"}
    for table, values in read.items():
        for name, value in values.items():
            default = getattr(getattr(Settings(), table), name)
            assert value == (list(default) if isinstance(default, tuple) else default), (table, name)
    assert len(read["limits"]) == len(fields(Settings().limits))


def test_rules_of_the_command_line_go_to_yara(written, tmp_path):
    path = str(tmp_path)
    settings, origins = effective(written("[[engine]]\nkind = 'yara'\nrules = ['/a']"), (path,))
    assert settings.engine[0].rules == ("/a", path)
    assert origins["rules"] == "--rules"
    settings, _ = effective(written("[[engine]]\nkind = 'clamd'"), (path,))
    assert [engine.kind for engine in settings.engine] == ["clamd", "yara"]


def test_rules_that_are_not_there_stop_a_command():
    with pytest.raises(Stop, match="--rules nowhere: no such file"):
        effective(None, ("nowhere",))


def test_no_file_at_all_is_yara_with_its_starter_rules():
    settings, _ = effective(None)
    assert settings.engine[0] == YaraSettings()
    assert settings.countermeasures.mode == "observe"


def test_mistakes_stop_a_command(written):
    with pytest.raises(Stop, match="did you mean 'interfaces'"):
        effective(written("[sensor]\ninterface = 1"))


def test_where_a_value_came_from(written):
    path = written("[limits]\nflows = 5\n[[engine]]\nkind = 'clamd'\n")
    _, origins = effective(path)
    assert origin_of("limits.flows", origins) == path
    assert origin_of("engine[0].kind", origins) == path
    assert origin_of("limits.fragments", origins) == "default"


def test_toml_values_read_back():
    for value in ('a"b\\c\u00e9', 1, 1.5, True, ["x", "y"], {"k": "v"}):
        assert tomllib.loads(f"v = {toml(value)}")["v"] == value
