import tomllib
from pathlib import Path

import pytest
from nouns import FLOW, another

from manager import VERSION
from manager.observer import Observer, networks

OURS = ("192.0.2.0/24", "2001:db8::/32")


def test_the_version_is_the_projects():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


def test_direction_is_unknown_without_home_networks():
    assert Observer("h").direction(FLOW) is None


@pytest.mark.parametrize(
    ("orig", "resp", "direction"),
    [
        (bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]), "internal"),
        (bytes([192, 0, 2, 1]), bytes([8, 8, 8, 8]), "outbound"),
        (bytes([8, 8, 8, 8]), bytes([192, 0, 2, 1]), "inbound"),
        (bytes([8, 8, 8, 8]), bytes([9, 9, 9, 9]), "external"),
        (bytes.fromhex("20010db8") + bytes(12), bytes(16), "outbound"),
    ],
)
def test_direction_seen_from_home(orig, resp, direction):
    assert Observer("h", home=OURS).direction(another(orig_ip=orig, resp_ip=resp)) == direction


def test_networks_may_have_host_bits():
    assert str(networks(("10.1.2.3/8",))[0]) == "10.0.0.0/8"


def test_name_defaults_to_the_hosts():
    assert Observer("h").fields()["name"] == "h"
