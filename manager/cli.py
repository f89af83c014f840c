"""The command line `tapscan`. What is heavy is imported by the command that needs it: `--help` answers at once."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from manager import VERSION
from manager.options import Options, Stop
from manager.plain_values import take_plainly

app = typer.Typer(
    name="tapscan",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Writes, checks and shows the settings.", rich_markup_mode=None)
app.add_typer(config_app, name="config")

Captures = Annotated[
    list[str],
    typer.Argument(
        metavar="CAPTURE", show_default=False, help="pcap or pcapng, also .gz and .zst; - for standard input."
    ),
]
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", envvar="TAPSCAN_CONFIG", help="Settings (tapscan.toml).")
]
Json = Annotated[bool, typer.Option("--json", help="JSON lines on standard output, nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No report; only alarms (scan) and trouble.")]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="More words; all rows of every list.")]
Workers = Annotated[int, typer.Option("--workers", metavar="N", min=1, max=256, help="Processes that share the flows.")]
Rules = Annotated[
    list[str] | None, typer.Option("--rules", metavar="PATH", help="More YARA rules, file or folder (repeatable).")
]


@app.command()
def scan(
    captures: Captures,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    rules: Rules = None,
    workers: Workers = 1,
) -> None:
    """Scans what was sent in captures with every engine.

    Exit code: 0 nothing found, 1 something malicious, 2 an input or engine could not be used (all else is done and
    shown, whatever was found).
    """
    from manager.run import run

    options = Options(tuple(captures), config, json, quiet, verbose, workers, rules=tuple(rules or ()))
    raise typer.Exit(run(options, scanning=True))


@app.command()
def extract(
    captures: Captures,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    to: Annotated[str | None, typer.Option("--to", metavar="DIR", help="Writes each object to DIR/<sha256>.")] = None,
    workers: Workers = 1,
) -> None:
    """Lists (or writes) what was sent in captures, without scanning.

    Exit code: 0, or 2 when an input could not be read.
    """
    from manager.run import run

    options = Options(tuple(captures), config, json, quiet, verbose, workers, to=to)
    raise typer.Exit(run(options, scanning=False))


@app.command()
def engines(config: Config = None, json: Json = False, rules: Rules = None) -> None:
    """Tries every engine: version, database and its age, time for a clean and for the EICAR sample.

    Exit code: 0 all usable, 2 not.
    """
    from manager.engine_check import check_engines

    raise typer.Exit(check_engines(config, tuple(rules or ()), json))


@config_app.command("init")
def config_init(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to.")] = "tapscan.toml",
    force: Annotated[bool, typer.Option("--force", help="Overwrite.")] = False,
) -> None:
    """Writes the default settings with a comment on each."""
    from manager.settings_text import write_default

    raise typer.Exit(write_default(Path(file), force))


@config_app.command("check")
def config_check(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="Default: --config.")] = None,
    config: Config = None,
) -> None:
    """Says every mistake with its file, its key and what is allowed."""
    from manager.settings_text import check_file

    raise typer.Exit(check_file(file or config))


@config_app.command("show")
def config_show(config: Config = None, json: Json = False) -> None:
    """Shows the effective values and where each comes from."""
    from manager.settings_text import show_settings

    raise typer.Exit(show_settings(config, json))


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tapscan {VERSION}")
        raise typer.Exit


@app.callback()
def common(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """A passive network malware sensor: puts e-mails, web pages and files together from packets and scans them."""


def main() -> None:
    """The entry point. Trouble is one line on standard error and exit code 2, never a traceback."""
    # OpenBLAS would start a thread a core; nothing here multiplies matrices, and workers fork
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(
        100_000, 20, 100
    )  # what the walk makes is freed by reference counts; looking for rings is lost time
    try:
        command = typer.main.get_command(app)
        take_plainly(command)
        code = command(sys.argv[1:] or ["--help"], standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code)
    except typer.TyperException as error:  # bad usage
        _complain(getattr(error, "format_message", error.__str__)() + " (tapscan --help)")
        sys.exit(2)
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
