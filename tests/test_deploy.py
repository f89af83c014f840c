"""What stands in deploy/: commands that the command line takes, settings that are valid, addresses that fit."""

import ipaddress
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from manager.capture_workers import STUCK
from manager.cli import parser
from manager.cluster import NEXT_PORTS, WORKER_PORTS
from manager.settings_file import load

DEPLOY = Path(__file__).parents[1] / "deploy"
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PAGE = (DEPLOY / "CLUSTER.md").read_text()


def settings_of(unit):
    found = re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.M)
    assert {"ExecStart", "Restart", "WantedBy"} <= dict(found).keys()
    return dict(found)


def test_there_is_a_unit_for_each_role():
    roles = [unit.stem.removeprefix("tapscan-") for unit in UNITS]
    assert roles == ["clamd", "head", "host", "icap", "sensor"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_who_is_root_has_few_of_its_rights(unit):
    settings = settings_of(unit)
    assert "User" in settings or settings["CapabilityBoundingSet"]
    assert settings["NoNewPrivileges"] == "true"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_run_what_there_is(unit):
    program, *words = settings_of(unit)["ExecStart"].split()
    if program.endswith("/tapscan"):
        given = parser().parse_args([re.sub(r"\$\{\w+\}", "10.0.0.1:6379", word) for word in words])
        assert given.config == "/etc/tapscan/tapscan.toml"
    else:
        assert (program, words) == ("/usr/sbin/clamd", ["--foreground", "--config-file=/etc/tapscan/clamd.conf"])


def test_the_sensor_says_that_it_is_ready_and_alive():
    settings = settings_of(next(unit for unit in UNITS if unit.stem == "tapscan-sensor"))
    assert (settings["Type"], settings["NotifyAccess"]) == ("notify", "main")
    assert int(settings["WatchdogSec"]) / 2 > STUCK - 5  # a worker that is stuck is ended first
    assert settings["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_systemd_takes_the_units():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze not installed (Debian: systemd)")
    done = subprocess.run(["systemd-analyze", "verify", *map(str, UNITS)], capture_output=True, text=True)
    wrong = [line for line in done.stderr.splitlines() if "tapscan" in line and "not executable" not in line]
    assert wrong == []


def test_clamd_knows_all_of_its_settings():
    if shutil.which("clamconf") is None:
        pytest.skip("clamconf not installed (Debian: clamav)")
    known = subprocess.run(["clamconf", "-g", "clamd.conf"], capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"^#?(\w+) ", known, re.M))
    lines = [line.split() for line in (DEPLOY / "clamd.conf").read_text().splitlines() if not line.startswith("#")]
    assert {name for name, _ in lines} <= names
    assert dict(lines)["LocalSocket"].startswith(f"/run/{settings_of(UNITS[0])['RuntimeDirectory']}/")


def test_compose_runs_a_head_and_a_host_that_joins_it():
    services = COMPOSE["services"]
    assert set(services) == {"head", "host", "clamd"}
    head, host = (parser().parse_args(services[name]["command"]) for name in ("head", "host"))
    assert host.address == f"{head.bind}:{head.port}"
    assert head.token == host.token == "/run/secrets/token"
    (network,) = (ipaddress.ip_network(one["subnet"]) for one in COMPOSE["networks"]["cluster"]["ipam"]["config"])
    addresses = [one["networks"]["cluster"]["ipv4_address"] for one in services.values()]
    assert [head.bind, host.bind] == addresses[:2]
    assert all(ipaddress.ip_address(address) in network for address in addresses)
    assert (DEPLOY / services["head"]["build"]["dockerfile"]).name == "Dockerfile"


def test_compose_has_settings_that_are_valid(tmp_path):
    (tmp_path / "tapscan.toml").write_text(COMPOSE["configs"]["settings"]["content"])
    settings, _ = load(str(tmp_path / "tapscan.toml"))
    clamd = COMPOSE["services"]["clamd"]["networks"]["cluster"]["ipv4_address"]
    assert [engine.name for engine in settings.engine] == ["yara", "clamav"]
    assert settings.engine[1].address == f"{clamd}:3310"


def test_the_firewall_table_has_all_ports():
    table = set(map(int, re.findall(r"\d{4,5}", PAGE.partition("## Firewall")[2].partition("## ")[0])))
    assert {6379, 6380, 6379 + len(NEXT_PORTS), *WORKER_PORTS} <= table


def test_pages_name_what_is_here():
    readme = (DEPLOY.parent / "README.md").read_text()
    for path in (*UNITS, DEPLOY / "compose.yaml", DEPLOY / "clamd.conf"):
        assert f"]({path.relative_to(DEPLOY)})" in PAGE or f"]({path.relative_to(DEPLOY.parent)})" in readme, path
    for words in re.findall(r"`tapscan (cluster [^`]+)`", PAGE):
        parser().parse_args(words.split())
