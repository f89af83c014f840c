"""The command line `tapscan`. What is heavy is imported by the command that needs it: `--help` answers at once."""

from __future__ import annotations

import gc
import os
import signal
import sys
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manager import VERSION
from manager.arguments import Parser, command, takes_config
from manager.cli_actions import action_commands
from manager.cli_elastic import elastic_commands
from manager.cli_icap import icap_commands
from manager.cli_kibana import kibana_commands
from manager.options import Options, Stop

if TYPE_CHECKING:
    from manager.cluster import Member

ABOUT = "A passive network malware sensor: puts e-mails, web pages and files together from packets and scans them."
SCAN = """Exit code: 0 nothing found, 1 something malicious, 2 an input or engine could not be used (all else is done
and shown, whatever was found)."""
LIVE = """Exit code: 0 ended by a signal, 2 it could not begin, or an engine could not be used, 141 nobody reads its
output any more, and neither --record nor [sensor] ledger gives it something else to do."""
HOST = """Runs until it is ended. Which engines this host has says its own settings file. Exit code: 0 ended, 2 could
not be started."""
MOST_WORKERS = 256


def _scan(given: Namespace) -> int:
    from manager.run import run

    return run(_options(given, rules=tuple(given.rules)), scanning=True)


def _extract(given: Namespace) -> int:
    from manager.run import run

    return run(_options(given, to=given.to), scanning=False)


def _options(given: Namespace, rules: tuple[str, ...] = (), to: str | None = None) -> Options:
    return Options(
        tuple(given.captures), given.config, given.json, given.quiet, given.verbose, given.workers, rules=rules, to=to
    )


def _sensor(given: Namespace) -> int:
    if given.check_privileges:
        from manager.privilege_check import check

        return check(given.config)
    from manager.beginning import Asked
    from manager.sensor import watch

    asked = Asked(
        tuple(given.interface), given.config, given.json, given.quiet, given.verbose, tuple(given.rules), given.filter,
        given.replay, given.speed, given.fix_offloads, given.record, given.around_alarms, given.record_bytes,
    )  # fmt: skip
    return watch(asked)


def _coverage(given: Namespace) -> int:
    from manager.coverage_view import Asked, show_coverage

    asked = Asked(tuple(given.files), given.since, given.until, given.by, given.json, given.plot, given.config)
    return show_coverage(asked)


def _engines(given: Namespace) -> int:
    from manager.engine_check import check_engines

    return check_engines(given.config, tuple(given.rules), given.json)


def _outputs(given: Namespace) -> int:
    from manager.output_status import show_outputs

    return show_outputs(given.config, given.json)


def _config_init(given: Namespace) -> int:
    from manager.settings_text import write_default

    return write_default(Path(given.file), given.force)


def _config_check(given: Namespace) -> int:
    from manager.settings_text import check_file

    return check_file(given.file or given.config)


def _config_show(given: Namespace) -> int:
    from manager.settings_text import show_settings

    return show_settings(given.config, given.json)


def _cluster_head(given: Namespace) -> int:
    from manager.cluster import start_head

    return start_head(_member(given), given.port)


def _cluster_join(given: Namespace) -> int:
    from manager.cluster import join

    return join(_member(given), given.address)


def _cluster_status(given: Namespace) -> int:
    from manager.cluster_status import Asked, show_status

    return show_status(Asked(given.address, given.token, given.tls, given.config), given.json, given.once)


def _cluster_drain(given: Namespace) -> int:
    from manager.cluster_status import Asked, drain

    return drain(Asked(given.address, given.token, given.tls), given.host, given.undo)


def _member(given: Namespace) -> Member:
    from manager.cluster import Member

    memory = None if given.memory is None else given.memory << 20
    return Member(given.bind, given.config, given.token, given.name, memory, given.tls)


def parser() -> Parser:
    """All commands, with their options."""
    top = Parser(prog="tapscan", description=ABOUT)
    top.add_argument("--version", action="version", version=f"tapscan {VERSION}", help="show the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    scan = command(commands, "scan", _scan, "Scans what was sent in captures with every engine.", SCAN)
    _takes_captures(scan)
    _takes_rules(scan)
    words = "Lists (or writes) what was sent in captures, without scanning."
    extract = command(commands, "extract", _extract, words, "Exit code: 0, or 2 when an input could not be read.")
    _takes_captures(extract)
    extract.add_argument("--to", metavar="DIR", help="writes each object to DIR/<sha256>")
    words = "Scans what passes network interfaces (a TAP or SPAN port) with every engine, until it is ended."
    sensor = command(commands, "sensor", _sensor, words, LIVE)
    _takes_interfaces(sensor)
    _takes_rules(sensor)
    icap_commands(commands)
    words = "Says what this tap protects: what was scanned, what was not and why, over any time."
    _takes_period(command(commands, "coverage", _coverage, words, "Exit code: 0, or 2 when nothing is known."))
    words = "Tries every engine: version, database and its age, time for a clean and for the EICAR sample."
    engines = command(commands, "engines", _engines, words, "Exit code: 0 all usable, 2 not.")
    takes_config(engines)
    _takes_rules(engines)
    config = command(commands, "config", None, "Writes, checks and shows the settings.")
    _config_commands(config.add_subparsers(title="commands", metavar="COMMAND", required=True))
    cluster = command(commands, "cluster", None, "Makes this host one of several that scan, and shows what they do.")
    _cluster_commands(cluster.add_subparsers(title="commands", metavar="COMMAND", required=True))
    elastic = command(commands, "elastic", None, "Stores documents in Elasticsearch, and shows how that goes.")
    elastic_commands(elastic.add_subparsers(title="commands", metavar="COMMAND", required=True))
    kibana = command(commands, "kibana", None, "Gives Kibana dashboards and detection rules.")
    kibana_commands(kibana.add_subparsers(title="commands", metavar="COMMAND", required=True))
    action_commands(commands)
    words = "Shows where documents go: what waits for each output, and what is in the way."
    takes_config(command(commands, "outputs", _outputs, words, "Exit code: 0, or 2 when one takes nothing at present."))
    return top


def _config_commands(commands: Any) -> None:
    init = command(commands, "init", _config_init, "Writes the default settings with a comment on each.")
    init.add_argument("file", metavar="FILE", nargs="?", default="tapscan.toml", help="where to (default: %(default)s)")
    init.add_argument("--force", action="store_true", help="overwrite")
    words = "Says every mistake with its file, its key and what is allowed."
    check = command(commands, "check", _config_check, words)
    check.add_argument("file", metavar="FILE", nargs="?", help="default: --config")
    takes_config(check, json=False)
    words = "Shows the effective values and where each comes from."
    takes_config(command(commands, "show", _config_show, words))


def _cluster_commands(commands: Any) -> None:
    head = command(commands, "head", _cluster_head, "Starts a cluster: its head, which also scans.", HOST)
    _takes_member(head)
    head.add_argument("--port", metavar="N", type=int, default=6379, help="of the head (default: %(default)s)")
    join = command(commands, "join", _cluster_join, "Makes this host one of a cluster.", HOST)
    join.add_argument("address", metavar="HOST:PORT", help="of the cluster's head")
    _takes_member(join)
    words = "Shows hosts and engines: versions, databases, rates, errors, latency; on a terminal until Ctrl-C."
    status = command(commands, "status", _cluster_status, words, "Exit code: 0, or 2 when a host is refused.")
    status.add_argument("address", metavar="HOST:PORT", nargs="?", default="auto", help="default: this host's cluster")
    status.add_argument("--once", action="store_true", help="once, also on a terminal")
    _takes_access(status)
    takes_config(status)
    words = (
        "Lets a host finish what it has and gives it nothing new, for all sensors; waits until it can be taken away."
    )
    drain = command(commands, "drain", _cluster_drain, words, "Exit code: 0, or 2 when there is no such host.")
    drain.add_argument("host", metavar="HOST", help="its name or its address")
    drain.add_argument("address", metavar="HOST:PORT", nargs="?", default="auto", help="default: this host's cluster")
    drain.add_argument("--undo", action="store_true", help="gives it work again; so does joining again")
    _takes_access(drain)


def _takes_member(command: Parser) -> None:
    command.add_argument("--bind", metavar="IP", required=True, help="the address of this host that the others reach")
    _takes_access(command)
    command.add_argument("--name", metavar="NAME", help="of this host, in verdicts (default: its host name)")
    words = "for objects on their way, at least 80 (default: Ray's, 30 %% of the host's); more of them are on disk"
    command.add_argument("--memory", metavar="MB", type=int, help=words)
    takes_config(command, json=False)


def _takes_access(command: Parser) -> None:
    words = "file with the token that all hosts share (default: ~/.ray/auth_token; the head makes it)"
    command.add_argument("--token", metavar="FILE", help=words)
    words = "folder with cert.pem and key.pem of this host, and ca.pem that all share: everything goes by TLS"
    command.add_argument("--tls", metavar="DIR", help=words)


def _takes_rules(command: Parser) -> None:
    words = "more YARA rules, file or folder (repeatable)"
    command.add_argument("--rules", metavar="PATH", action="append", default=[], help=words)


def _takes_captures(command: Parser) -> None:
    words = "pcap or pcapng, also .gz and .zst; - for standard input"
    command.add_argument("captures", metavar="CAPTURE", nargs="+", help=words)
    takes_config(command)
    _takes_volume(command, "no report; only alarms (scan) and trouble")
    words = f"processes that share the flows, up to {MOST_WORKERS} (default: 1)"
    command.add_argument("--workers", metavar="N", type=_workers, default=1, help=words)


def _takes_interfaces(command: Parser) -> None:
    words = "to watch; repeatable: the two ports of a TAP are one timeline (default: those of the settings)"
    command.add_argument("-i", "--interface", metavar="IFACE", action="append", default=[], help=words)
    words = "what the kernel shall hand over, in the words of pcap-filter(7)"
    command.add_argument("--filter", metavar="EXPRESSION", help=words)
    words = "a capture in the place of interfaces, at the pace at which it was recorded"
    command.add_argument("--replay", metavar="CAPTURE", help=words)
    words = "switches off what changes packets before they are seen (ethtool -K ... gro off lro off tso off gso off)"
    command.add_argument("--fix-offloads", action="store_true", help=words)
    words = "keeps the packets of the last minutes, and those of each alarm's flow as DIR/ALARM.pcapng"
    command.add_argument("--record", metavar="DIR", help=words)
    words = "of --record: how long before and after an alarm (default: 30s)"
    command.add_argument("--around-alarms", metavar="TIME", type=_seconds, help=words)
    words = "of --record: what the packets of the last minutes may take (default: 2 GiB)"
    command.add_argument("--record-bytes", metavar="N", type=_bytes, help=words)
    words = "shows what a process that reads packets could still do, tried in one, and ends"
    command.add_argument("--check-privileges", action="store_true", help=words)
    words = "of --replay: so many times faster; 0: as fast as it goes (default: %(default)s)"
    command.add_argument("--speed", metavar="N", type=_speed, default=1.0, help=words)
    takes_config(command)
    _takes_volume(command, "no report; only alarms and trouble")


def _takes_period(command: Parser) -> None:
    words = "what scan --json or sensor --json printed; - for standard input (default: the sensor's own ledger)"
    command.add_argument("files", metavar="FILE", nargs="*", help=words)
    words = "24h, 7d, or a date or time (UTC)"
    command.add_argument("--since", metavar="TIME", help=words)
    command.add_argument("--until", metavar="TIME", help=words)
    words = "service, reason, minute, hour, day, interface; several with commas"
    command.add_argument("--by", metavar="KEY", help=words)
    command.add_argument("--plot", metavar="FILE.png", help="writes a picture as well; needs matplotlib")
    takes_config(command)


def _takes_volume(command: Parser, quiet: str) -> None:
    command.add_argument("-q", "--quiet", action="store_true", help=quiet)
    command.add_argument("-v", "--verbose", action="count", default=0, help="more words; all rows of every list")


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed < 1e6:
        raise ArgumentTypeError(f"{text!r} is no number from 0 on")
    return speed


def _seconds(text: str) -> float:
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("s", "m", "h") else (text, "s")
    if not number.isdecimal() or len(number) > 6:
        raise ArgumentTypeError(f"{text!r} is no time: 30s, 5m, 1h")
    return float(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def _bytes(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 60:
        raise ArgumentTypeError(f"{text!r} is no number of bytes")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_WORKERS}")
    return int(text)


def do(words: list[str]) -> int:
    """Does what the words of a command line ask for; returns the exit code. Raises Stop."""
    given = parser().parse_args(words or ["--help"])
    code: int = given.does(given)
    return code


def main() -> None:
    """The entry point. Trouble is one line on standard error and exit code 2, never a traceback."""
    # OpenBLAS would start a thread a core; nothing here multiplies matrices, and workers fork
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # what is imported stays; `manager.run` goes on
    try:
        code = do(sys.argv[1:])
        sys.stdout.flush()
        gc.freeze()  # the process ends: nothing is left to look for
        sys.exit(code)
    except Stop as stop:
        _complain(str(stop))
        sys.exit(2)
    except BrokenPipeError:  # `| head` has enough
        _stop_printing()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:  # a full disk under standard output, or under --to
        _stop_printing()
        _complain(f"{error.filename + ': ' if error.filename else ''}{error.strerror}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _stop_printing() -> None:
    """What is still buffered can't go out; the interpreter shall not try it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _complain(text: str) -> None:
    print("\n".join(f"tapscan: {line}" for line in text.splitlines()), file=sys.stderr)  # noqa: T201 - speaks to the user


if __name__ == "__main__":
    main()
