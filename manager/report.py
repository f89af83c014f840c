"""What a person reads at the end, in order of worth: alarms, what was seen, what went unscanned and why, the engines.

Plain lines when it isn't a terminal (or with NO_COLOR). Every name from the wire passes through `visible`.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from manager.alarms import Alarm
from manager.coverage import Tally
from manager.ecs import severity_name, timestamp
from manager.rows import size
from manager.sentences import advice, count, place
from manager.summary import Summary
from manager.visible import visible

ALARMS = 20  # shown without -v
ROWS = 12  # of each table without -v
NAMES = 5  # of TLS servers

COLOURS = {"critical": "bold white on red", "high": "bold red", "medium": "bold yellow", "low": "yellow"}

# The words of the ledger in a person's words
REASONS = {
    "tls": "encrypted (TLS)",
    "ssh": "encrypted (SSH)",
    "quic": "encrypted (QUIC)",
    "unknown": "protocol not known",
    "empty": "no data",
    "gap": "packets missing",
    "capture_loss": "packets passed us unseen",
    "kernel_drop": "packets dropped by the kernel",
    "midstream": "began before the capture",
    "reset": "connection reset",
    "end_of_capture": "the capture ends first",
    "error": "no engine could (error)",
    "timeout": "no engine in time",
    "overload": "the engines can't keep up",
    "skipped": "passed over by every engine",
    "no_engine": "no engine",
}


def report(summary: Summary, scanning: bool, everything: bool = False) -> None:
    """Prints it all on standard output. `everything`: all rows of every list."""
    out = console()
    many = sys.maxsize if everything else 1
    if scanning:
        for text in _alarms(summary, ALARMS * many):
            out.print(text, soft_wrap=False)
    elif summary.objects:
        out.print()
    out.print(_headline(summary), highlight=False)
    for table in (_objects(summary, scanning, ROWS * many), _unscanned(summary, ROWS * many), _engines(summary)):
        if table is not None:
            _print_table(out, table)
    for text in _remarks(summary):
        out.print(text, highlight=False)


def alarms_only(summary: Summary) -> None:
    """With --quiet: a line an alarm, nothing when there is none."""
    out = console()
    for alarm in summary.gravest(len(summary.alarms)):
        alarm_line(out, alarm)


def alarm_line(out: Console, alarm: Alarm) -> None:
    """An alarm in a line."""
    line = Text(severity_name(alarm.severity).upper(), COLOURS[severity_name(alarm.severity)])
    out.print(line.append(" " + visible(alarm.message), ""), soft_wrap=True)


def console() -> Console:
    """Standard output as it is: colours only on a terminal, names never taken for markup."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(highlight=False, emoji=False, markup=False)


def _alarms(summary: Summary, most: int) -> Iterator[Group | Text]:
    for alarm in summary.gravest(most):
        yield _alarm(alarm)
    if (rest := summary.alarm_count - min(most, len(summary.alarms))) > 0:
        yield Text(f"and {count(rest, 'alarm')} more (--json has all of them)\n", "bold")


def _alarm(alarm: Alarm) -> Group:
    severity, target = severity_name(alarm.severity), alarm.worst.target
    head = Text.assemble((f" {severity.upper()} ", COLOURS[severity]), f"  {_when(alarm.time)}")
    name = visible(target.name, 70) if target.name else f"({target.kind.replace('_', ' ')} without a name)"
    body = Text.assemble((visible(alarm.sender, 60), "bold"), " → ", (_recipients(alarm), "bold"), "\n")
    body.append(name, "cyan").append(f"  {visible(target.mime_type, 60)}, {size(target.size)}, {target.sha256[:16]}\n")
    body.append(f"{place(target).strip(', ')}\n", "dim")
    for verdict in sorted(alarm.verdicts, key=lambda one: one.engine):
        if verdict.status in ("malicious", "suspicious"):
            body.append(f"{verdict.engine}: ").append(visible(verdict.signature or verdict.status, 70) + "\n", "red")
    return Group(head, Padding(body.append(f"{advice(target, alarm.verdict)}\n"), (0, 0, 0, 2)))


def _recipients(alarm: Alarm) -> str:
    more = f" and {len(alarm.recipients) - 3} more" if len(alarm.recipients) > 3 else ""
    return ", ".join(visible(name, 60) for name in alarm.recipients[:3]) + more


def _headline(summary: Summary) -> Text:
    rate = size(int(summary.bytes / summary.seconds)) + "/s" if summary.seconds > 0 else ""
    text = Text.assemble((count(sum(summary.objects.values()), "object"), "bold"))
    text.append(f" in {count(summary.packets, 'packet')}, {size(summary.bytes)}, {summary.seconds:.1f} s ({rate})")
    if summary.first is not None and summary.last is not None:
        text.append(f"\non the wire {_when(summary.first)} to {_when(summary.last)} UTC", "dim")
    return text


def _when(ns: int) -> str:
    return timestamp(ns)[:19].replace("T", " ")


def _print_table(out: Console, table: Table) -> None:
    """Title, rows and what is said below, each from the left edge."""
    title, table.title, below, table.caption = table.title, None, table.caption, None
    out.print()
    out.print(Text(str(title), "bold"))
    out.print(table)
    if below:
        out.print(Text(str(below), "dim"))


def plain_table(title: str, *columns: str) -> Table:
    """Columns whose name begins with > hold numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for column in columns:
        name = column.lstrip(">")
        right = column.startswith(">")
        table.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="ellipsis")
    return table


def _objects(summary: Summary, scanning: bool, most: int) -> Table | None:
    if not summary.objects:
        return None
    table = plain_table("Objects", "protocol", "type", ">number", ">bytes", ">incomplete")
    ordered = sorted(summary.objects.items(), key=lambda item: (-item[1], item[0]))
    for (protocol, kind), number in ordered[:most]:
        key = protocol, kind
        missing = summary.incomplete[key]
        table.add_row(
            protocol, visible(kind), f"{number:,}", size(summary.object_bytes[key]), f"{missing:,}" if missing else ""
        )
    if len(ordered) > most:
        rest = [key for key, _ in ordered[most:]]
        numbers = sum(summary.objects[key] for key in rest), sum(summary.object_bytes[key] for key in rest)
        table.add_row("", f"{count(len(rest), 'more kind')} (-v)", f"{numbers[0]:,}", size(numbers[1]), "")
    if scanning:
        said = ", ".join(f"{number:,} {verdict}" for verdict, number in summary.verdicts.most_common())
        table.caption = said.replace("_", " ")
    return table


def _unscanned(summary: Summary, most: int) -> Table | None:
    ledger: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for row in summary.coverage.rows():
        if row.reason is not None:
            ledger[row.service, row.reason].add(row.tally)
    if not ledger:
        return None
    table = plain_table("Not or not wholly seen, and why", "service", "reason", ">flows", ">bytes", ">objects")
    ordered = sorted(ledger.items(), key=lambda item: (-item[1].bytes - item[1].object_bytes, item[0]))
    for (service, reason), tally in ordered[:most]:
        cells = (f"{tally.flows:,}" if tally.flows else "", size(tally.bytes + tally.object_bytes))
        table.add_row(service, reason_words(reason), *cells, f"{tally.objects:,}" if tally.objects else "")
    if len(ordered) > most:
        table.add_row("", f"{len(ordered) - most} more (-v)", "", "", "")
    if summary.names:
        names = ", ".join(f"{visible(name, 40)} ({number:,})" for name, number in summary.names.most_common(NAMES))
        table.caption = f"TLS servers: {names}"
    return table


def reason_words(reason: str) -> str:
    """A reason of the ledger for a person."""
    if reason.startswith("limit:"):
        return f"over a limit ({reason.removeprefix('limit:')})"
    return REASONS.get(reason, visible(reason))


def _engines(summary: Summary) -> Table | None:
    if not summary.engines:
        return None
    table = plain_table("Engines", "engine", "version", ">found", ">clean", ">failed", ">skipped", ">median", ">99 %")
    for name, counts in sorted(summary.engines.items()):
        said = counts.said
        numbers = (
            said["malicious"] + said["suspicious"],
            said["clean"],
            said["error"] + said["timeout"],
            said["skipped"],
        )
        times = (milliseconds(counts.seconds.at(share)) if counts.seconds.count else "" for share in (0.5, 0.99))
        versions = visible(" ".join(filter(None, (counts.version, counts.database_version))), 40)
        table.add_row(name, versions, *(f"{number:,}" if number else "" for number in numbers), *times)
    if summary.ratio.count:
        table.caption = (
            f"total / slowest engine: median {summary.ratio.at(0.5):.2f}, 99 % {summary.ratio.at(0.99):.2f}; "
            f"overhead {milliseconds(summary.overhead.at(0.5))} and {milliseconds(summary.overhead.at(0.99))},\n"
            "most of it since objects of a capture are read together and wait for one another"
        )
    return table


def milliseconds(seconds: float) -> str:
    """Three figures: `0.12 ms`, `12.3 ms`, `1,230 ms`."""
    value = seconds * 1000
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"


def _remarks(summary: Summary) -> Iterator[Text]:
    for name, counts in sorted(summary.engines.items()):
        for reason, number in counts.reasons.most_common(3):
            yield Text(f"{name}: {visible(reason, 200)} ({number:,}x)", "yellow")
    missing, lost = summary.coverage.missing()
    if missing:
        yield Text(
            f"Missing: {size(lost)} passed us unseen (acknowledged), {size(missing - lost)} got lost before", "yellow"
        )
    if text := _listed(summary.counters):
        yield Text(f"Limits reached and trouble: {text}", "yellow")
    if text := _listed(summary.findings):
        yield Text(f"Oddities of the wire: {text}")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{visible(name, 60)} {number:,}" for name, number in counts.most_common(10) if number)
