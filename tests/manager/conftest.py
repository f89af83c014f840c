"""The command line as a user calls it, in a process of its own."""

import io
import os
import subprocess
import sys
import traceback

import pytest
from sensing import serving

from manager import cli, report  # noqa: F401 - what another user may not be able to read is imported before


@pytest.fixture
def tapscan(tmp_path):
    """Calls the command in a folder of its own; gives exit code, standard output and error.

    The process is forked, so what is imported here needn't be imported in each.
    """

    def call(*words, stdin=b"", user=None, **environment):
        files = [tmp_path / f".{name}" for name in ("in", "out", "err")]
        files[0].write_bytes(stdin)
        pid = os.fork()
        if pid == 0:
            given = {"XDG_CACHE_HOME": str(tmp_path / ".cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
            _become(files, tmp_path, given | environment, user, map(str, words))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return subprocess.CompletedProcess(words, code, files[1].read_bytes(), files[2].read_bytes())

    return call


def _become(files, folder, environment, user, words):
    """The child: nothing of pytest's capturing is left, and nothing of it goes on after the command."""
    code = 99
    try:
        for descriptor, path in enumerate(files):
            os.dup2(
                os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor
            )
        sys.stdin, sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.FileIO(number, "r" if number == 0 else "w"), write_through=number > 0)
            for number in range(3)
        )
        os.chdir(folder)
        for name in [name for name in os.environ if name.startswith(("TAPSCAN", "COLUMNS", "NO_COLOR"))]:
            del os.environ[name]
        os.environ.update(environment)
        if user is not None:
            os.seteuid(user)
        sys.argv = ["tapscan", *words]
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 98
    except BaseException:  # noqa: BLE001 - the child must end here, whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@pytest.fixture
def served(span, tmp_path, eicar):
    """What the servers have: names, with their bytes."""
    files = {"eicar.com": eicar, "noise.bin": os.urandom(300_000), "large.bin": os.urandom(12_000_000), "a.txt": b"hi"}
    with serving(span, files, tmp_path / "www"):
        yield files
