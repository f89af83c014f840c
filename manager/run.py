"""`tapscan scan` and `tapscan extract`: settings and sinks around the pipeline, in this process or in several."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.verdicts import Engine
from manager import pools
from manager.alarms import Alarms
from manager.assembly import (
    build_engines,
    exact_engines,
    flow_table,
    fragment_limits,
    observer,
    overlap_policies,
    spool_folder,
    state_directory,
)
from manager.ecs import line
from manager.effective import effective
from manager.events import Documents
from manager.garbage import collect_seldom
from manager.interrupt import Interrupt
from manager.logs import one_line_logs
from manager.options import Options, Stop
from manager.pipeline import After, Item, Timeline, extracted, rest, scanned
from manager.progress import Telling, Watcher, watcher
from manager.rows import ObjectRows
from manager.settings import Settings
from manager.sinks import Crashed, Documented, Folder, Lines, Receiver, Sink, Write, printed, to_descriptor
from manager.summary import Summary
from manager.visible import visible
from manager.workers import Send, Shard, WorkersFailed, share
from reassembly.builder import Memory
from reassembly.growing import Ahead
from sensor.captures import Capture, CaptureError, open_capture
from sensor.noun import noun

if TYPE_CHECKING:
    from manager.outlets import Outlets

ALONE: Shard = (0, 1)
PIPE_WIDTH = 180  # columns of a table that isn't for a terminal


def run(options: Options, scanning: bool) -> int:
    """Does the command; returns its exit code. Raises Stop when nothing can be done."""
    settings, _ = effective(options.config, options.rules)
    one_line_logs(options.verbose)
    begun = time.monotonic()
    write, watch = to_descriptor(1), watcher(len(options.captures), options.quiet)
    made = Summary()
    with Interrupt() as interrupt:
        try:
            here = scanning and settings.pool.kind == "local"
            engines = build_engines(settings, made, watch) if here else []
            collect_seldom()
            summary = Job(options, settings, scanning, interrupt, engines).everywhere(write, watch)
        finally:
            watch.stop()
    summary.seconds = time.monotonic() - begun
    summary.merge(made)
    summary.settle_engines(engines)
    if options.json:
        _print_coverage(settings, summary, write)
    else:
        _report(options, summary, scanning)
    _trouble(options, summary)
    if scanning:
        _settle(settings, summary)
    return summary.exit_code() if scanning or summary.exit_code() != 1 else 0


@noun
class Job:
    """What there is to do, the same for every worker."""

    options: Options
    settings: Settings
    scanning: bool
    interrupt: Interrupt
    engines: Sequence[Engine] = ()  # made once, before workers fork: they share the rules

    def everywhere(self, write: Write, watch: Watcher) -> Summary:
        """Does it in as many processes as asked for."""
        count = self.options.workers
        if count > 1 and "-" in self.options.captures:
            raise Stop("standard input can be read only once: use --workers 1 with -")
        if count == 1:
            return self.share(ALONE, Lines(write), watch)
        check_outlets(self.settings)
        try:
            return share(count, self._worker, write, watch)
        except WorkersFailed as error:
            raise Stop(str(error)) from None

    def _worker(self, shard: Shard, send: Send) -> Summary:
        return self.share(shard, Lines(send.lines), Telling(send.position))

    def share(self, shard: Shard, lines: Lines, watch: Watcher) -> Summary:
        """Does one share of it, in this process."""
        summary, made = Summary(), documents(self.settings)
        out = outlets(self.settings, made) if self.scanning else None
        sinks: list[Sink] = [summary, *self._sinks(lines, made, [out.take] if out else [])]

        def after(capture: Capture) -> bool:
            """After each batch: shows what there is, says where we are; goes on unless interrupted."""
            lines.flush()
            watch(shard[0], capture.path, capture.position, capture.size)
            return not self.interrupt.asked

        try:
            for item in self.items(shard, summary, after):
                for sink in sinks:
                    sink.take(item)
        finally:
            if out:
                out.close()
        lines.flush()
        summary.interrupted = self.interrupt.asked
        return summary

    def _sinks(self, lines: Lines, made: Documents, receivers: list[Receiver]) -> Iterator[Sink]:
        if self.options.to is not None:
            try:
                yield Folder(self.options.to)
            except OSError as error:
                raise Stop(f"--to {self.options.to}: {error.strerror}") from None
        if self.options.json:
            receivers.append(printed(lines.write))
        if receivers:
            yield Documented(made, receivers)
        if not self.options.json and not self.scanning and not self.options.quiet:
            yield ObjectRows(lines.write, table_width())
        if self.scanning:
            yield Crashed(Path(self.settings.pool.crashed or state_directory() / "crashed"))

    def items(self, shard: Shard, summary: Summary, after: After) -> Iterator[Item]:
        """All that the captures give, and what engines said of it."""
        if not self.scanning:
            for timeline in self._timelines(shard, summary, after):
                yield from extracted(timeline.products())
            return
        alarms = Alarms(exact_engines(self.settings))
        pool = pools.pool(self.settings, self.engines, self.options.config, self.options.rules)
        if self.settings.pool.when_full == "spill":
            pool = pools.room(self.settings, pool, alarms.goes_on)
        try:
            for timeline in self._timelines(shard, summary, after, pool.ahead):
                yield from scanned(timeline.products(), pool, alarms)
            yield from rest(pool.drain(), alarms)
        finally:
            pool.close()
            summary.counters.update(pool.counters)

    def _timelines(
        self, shard: Shard, summary: Summary, after: After, ahead: Ahead | None = None
    ) -> Iterator[Timeline]:
        """Each capture that can be opened; what it said is counted when it has been read."""
        policies = overlap_policies(self.settings)
        for path in self.options.captures:
            memory = Memory(self.settings.limits, self.settings.sensor.temporary, ahead=ahead)
            try:
                capture = open_capture(path, fragments=fragment_limits(self.settings))
            except CaptureError as error:
                summary.unusable_inputs.append(str(error))
                continue
            table = flow_table(self.settings, memory, policies, None if shard == ALONE else shard)
            timeline = Timeline(capture, table, memory, after)
            yield timeline
            _account(summary, timeline, path, first=shard[0] == 0)
            if self.interrupt.asked:
                return


def table_width() -> int:
    """Columns of the terminal; what reads a pipe or a file has room."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH


def documents(settings: Settings, live: bool = False, record: str | None = None) -> Documents:
    """The maker of documents as the settings want it."""
    return Documents(observer(settings), settings.sensor.hashes, live, record)


def _account(summary: Summary, timeline: Timeline, path: str, first: bool) -> None:
    """Counts what a capture said. Each worker read all of it, so only the first one's word on packets counts."""
    summary.counters.update(timeline.table.counters)
    if not first:
        return
    capture = timeline.capture
    summary.captures += 1
    summary.packets += capture.packets
    summary.bytes += capture.bytes
    summary.counters.update(capture.counters)
    for warning in capture.warnings:
        summary.warn(warning if warning.startswith(path) else f"{path}: {warning}")
    if timeline.failed:
        summary.unusable_inputs.append(timeline.failed)


def outlets(settings: Settings, made: Documents, there: Callable[[Path], Path] | None = None) -> Outlets | None:
    """Where documents go beside the screen. `there`: another path to the spool, of who has yet to `begin`."""
    if not settings.elasticsearch.urls and not settings.output:
        return None
    from manager.outlets import Outlets

    if there is not None:
        return Outlets.opened(settings, made, there(spool_folder(settings)))
    out = Outlets.opened(settings, made)
    out.begin()
    return out


def check_outlets(settings: Settings) -> None:
    """Raises Stop, once, for what each of several workers would say."""
    if settings.elasticsearch.urls or settings.output:
        from manager.outlets import receivers

        receivers(settings)


def _print_coverage(settings: Settings, summary: Summary, write: Write) -> None:
    made, lines = documents(settings), Lines(write)
    for row in summary.coverage.rows():
        lines.write(line(made.coverage(row)))
    lines.flush()


def _settle(settings: Settings, summary: Summary) -> None:
    """The end, where documents go elsewhere: the ledger's rows, and a while for all of them to be stored."""
    made = documents(settings)
    if (out := outlets(settings, made)) is None:
        return
    for row in summary.coverage.rows():
        out.take(made.coverage(row))
    out.end(settings.elasticsearch.flush_timeout)


def _report(options: Options, summary: Summary, scanning: bool) -> None:
    from manager.report import alarms_only, report

    if not options.quiet:
        report(summary, scanning, everything=options.verbose > 0)
    elif scanning:
        alarms_only(summary)


def _trouble(options: Options, summary: Summary) -> None:
    """On standard error, whatever else is printed: what could not be used, and warnings."""
    for text in summary.unusable_inputs:
        say(text)
    for name, why in summary.unusable_engines.items():
        say(f"engine {name} could not be used: {why}")
    if not options.quiet:
        for text in summary.warnings:
            say(f"warning: {text}")
    if summary.interrupted:
        say("interrupted: this is what was found until then")


def say(text: str) -> None:
    """One line on standard error, if somebody reads it."""
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"tapscan: {visible(text)}\n")
