"""`tapscan kibana`: its commands, and what they take."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from manager.arguments import command


def _kibana_install(given: Namespace) -> int:
    from manager.kibana_install import Asked, install

    who = given.api_key_file, given.user, given.password_file
    return install(Asked(given.url, given.space, *who, given.ca, given.rules))


def _kibana_export(given: Namespace) -> int:
    from manager.kibana_install import export

    return export(given.file, given.rules)


def kibana_commands(commands: Any) -> None:
    words = "Gives Kibana (8.9 or newer) the dashboards; what is there of an earlier time is replaced."
    install = command(commands, "install", _kibana_install, words, "Exit code: 0, or 2 when it could not be done.")
    install.add_argument("url", metavar="URL", help="of Kibana, as in http://kibana:5601")
    install.add_argument("--space", metavar="S", help="the space of Kibana (default: its default space)")
    install.add_argument("--api-key-file", metavar="FILE", help="file with an API key")
    install.add_argument("--user", metavar="NAME", help="who we are, with a password in place of an API key")
    install.add_argument("--password-file", metavar="FILE", help="file with the password")
    install.add_argument("--ca", metavar="FILE", help="certificates that we believe (default: the system's)")
    install.add_argument("--rules", action="store_true", help="also the detection rules, for Elastic Security")
    words = "Writes what Kibana imports to a file: Stack Management, Saved Objects, Import."
    export = command(commands, "export", _kibana_export, words)
    export.add_argument("file", metavar="FILE", help="to write")
    export.add_argument("--rules", action="store_true", help="the detection rules: Security, Rules, Import")
