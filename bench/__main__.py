"""The figures of tapscan, each against a peer or a limit, measured in one run.

python -m bench                     all groups but soak
python -m bench extract memory      some
python -m bench --write             puts the table into bench/README.md as well, beside what other groups have there
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench import (
    cluster,
    elastic,
    elastic_faults,
    extract,
    faults,
    latency,
    live,
    memory,
    peers,
    scan,
    soak,
    spool,
    start,
    stopping,
    stopping_forged,
    stopping_mail,
    stopping_suricata,
    stopping_ways,
    workers,
)
from bench.collection import HERE, Captures
from bench.figures import Figure, text, together, write_json, write_markdown

LONG = {"soak"}  # groups that run only when they are asked for
ROOT = Path(__file__).parent
STARTER = ROOT.parent / "engines/starter"

Group = Callable[[Captures, Path], Iterable[Figure]]
GROUPS: dict[str, Group] = {
    "extract": extract.figures,
    "workers": workers.figures,
    "scan": partial(scan.figures, rules=STARTER),
    "latency": latency.figures,
    "cluster": cluster.figures,
    "faults": faults.figures,
    "live": live.figures,
    "spool": spool.figures,
    "elastic": elastic.figures,
    "elastic-faults": elastic_faults.figures,
    "memory": memory.figures,
    "soak": lambda _, home: soak.figures(home),
    "start": start.figures,
    "stopping": stopping.figures,
    "stopping-mail": stopping_mail.figures,
    "stopping-ways": stopping_ways.figures,
    "stopping-forged": stopping_forged.figures,
    "stopping-suricata": stopping_suricata.figures,
}


def main() -> int:
    """Exit code 1 when a figure is beyond what it must be."""
    given = _arguments()
    places = Captures(given.captures)
    if lacking := peers.missing(*peers.PACKAGES):
        print(f"-- {lacking}; what needs it has no figure")
    figures = []
    own: dict[str, Group] = {
        "scan": partial(scan.figures, rules=given.rules),
        "soak": lambda _, home: soak.figures(home, given.minutes),
    }
    for name in given.groups or [name for name in GROUPS if name not in LONG]:
        figures += _group(name, own.get(name, GROUPS[name]), places)
    print("\n" + text(figures), end="")
    known = together(ROOT / "results.json", figures, [*GROUPS])
    write_json(known, ROOT / "results.json")
    if given.write:
        write_markdown(known, ROOT / "README.md")
    return int(any(figure.state == "MISSED" for figure in figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures tapscan against its peers.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--captures", type=Path, default=HERE, metavar="DIR", help="A.pcap and small.pcap are there")
    parser.add_argument("--rules", type=Path, default=STARTER, help="YARA rules, file or folder (default: starter)")
    parser.add_argument("--minutes", type=int, default=soak.MINUTES, help="of soak (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="also put the table into bench/README.md")
    given = parser.parse_args()
    if unknown := set(given.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    return given


def _group(name: str, measure: Group, places: Captures) -> list[Figure]:
    began = time.monotonic()
    print(f"-- {name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tapscan-bench-") as home:
        figures = [*measure(places, Path(home))]
    print(f"   {time.monotonic() - began:.0f} s", flush=True)
    return [replace(figure, group=name) for figure in figures]


if __name__ == "__main__":
    sys.exit(main())
