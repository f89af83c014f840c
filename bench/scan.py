"""`tapscan scan` with YARA, clamd and hashes against Suricata's file-store, clamdscan and yara one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import measure, peers
from bench.collection import Captures
from bench.figures import Figure
from bench.measure import Cost

RUNS = 3
LIMITS = (0.5, 0.8)  # goal, must
LABEL, UNIT = "scan, {}, A, against one after the other", "x"
LISTED = 1_000_000  # hashes in the list of known-bad ones
ENDINGS = (".yar", ".yara")
EXTERNALS = ("filename", "filepath", "extension", "filetype", "protocol")  # variables that rules may ask for


def figures(places: Captures, home: Path, rules: Path) -> list[Figure]:
    """CPU (of clamd as well) and wall time."""
    capture = places.traffic("A")
    lacking = places.why if capture is None else peers.missing("suricata", "clamd", "clamdscan", "yara", "yarac")
    if capture is None or lacking:
        return [Figure(LABEL.format(field), None, UNIT, *LIMITS, lacking) for field in ("CPU", "wall")]
    try:
        with peers.clamd(home / "clamd") as clamd:
            costs = _costs(capture, home, rules, clamd)
    except measure.Failed as failed:
        return [Figure(LABEL.format(field), None, UNIT, *LIMITS, str(failed)) for field in ("CPU", "wall")]
    return [_figure(costs, field, word) for field, word in (("cpu", "CPU"), ("wall", "wall"))]


def _costs(capture: Path, home: Path, rules: Path, clamd: peers.Clamd) -> dict[str, list[Cost]]:
    settings = _settings(home, rules, clamd)
    compiled = _compile(rules, home)
    steps: dict[str, Callable[[], Cost]] = {
        "tapscan": partial(_with_clamd, clamd, [partial(peers.tapscan, "scan", capture, "--config", str(settings))]),
        "chain": partial(_with_clamd, clamd, _chain(capture, home, compiled, clamd)),
    }
    steps["tapscan"]()  # compiles the rules and indexes the list, as was done for yara
    costs = measure.turns(RUNS, steps)
    if len(costs) < 2:
        raise measure.Failed("failed")
    return costs


def _chain(capture: Path, home: Path, compiled: Path, clamd: peers.Clamd) -> list[Callable[[], Cost]]:
    """The three steps that do the same with what there is."""
    stored = str(home / "suricata/filestore")
    scanner = [peers.command("clamdscan"), f"--config-file={clamd.settings}", "--multiscan", "--fdpass", "--no-summary"]
    yara = [peers.command("yara"), "-r", "-C", str(compiled), stored]
    return [
        partial(peers.suricata, capture, home, store=True),
        partial(measure.run, [*scanner, stored], (0, 1)),
        partial(measure.run, yara),
    ]


def _with_clamd(clamd: peers.Clamd, parts: list[Callable[[], Cost]]) -> Cost:
    """The sum of the parts, with what clamd took meanwhile."""
    before = clamd.cpu()
    total = sum((part() for part in parts), Cost(0, 0))
    return total + Cost(clamd.cpu() - before, 0)


def _figure(costs: dict[str, list[Cost]], field: str, word: str) -> Figure:
    ours, theirs = costs["tapscan"], costs["chain"]
    how = f"{measure.median(ours, field):.2f} s against {measure.median(theirs, field):.2f} s"
    return Figure(LABEL.format(word), measure.ratio(ours, theirs, field), UNIT, *LIMITS, how)


def _compile(rules: Path, home: Path) -> Path:
    """Rules for yara, compiled before as tapscan keeps its own; each file a namespace, since names repeat."""
    files = [rules] if rules.is_file() else sorted(file for file in rules.rglob("*") if file.suffix in ENDINGS)
    compiled = home / "rules.yarc"
    names = [f"n{number}:{file}" for number, file in enumerate(files)]
    externals = [part for name in EXTERNALS for part in ("-d", f"{name}=x")]
    measure.run([peers.command("yarac"), *externals, *names, str(compiled)])
    return compiled


def _settings(home: Path, rules: Path, clamd: peers.Clamd) -> Path:
    """tapscan.toml with the three engines; none of the listed hashes occurs."""
    listed = home / "bad.txt"
    with listed.open("w") as file:
        for number in range(LISTED):
            file.write(hashlib.sha256(b"%d" % number).hexdigest() + "\n")
    settings = home / "tapscan.toml"
    settings.write_text(
        f'[[engine]]\nname = "yara"\nkind = "yara"\nrules = ["{rules.resolve()}"]\nstarter = false\n'
        f'[[engine]]\nname = "clamav"\nkind = "clamd"\naddress = "{clamd.socket}"\n'
        f'[[engine]]\nname = "hashes"\nkind = "hashes"\nbad = ["{listed}"]\n'
    )
    return settings
