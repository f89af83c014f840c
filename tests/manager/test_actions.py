"""Commands and webhooks of a policy: real programs and a real server, and what becomes of those that fail."""

import json
import sys
import threading
from pathlib import Path
from queue import Queue

import pytest
from nouns import an_action
from receivers import SECONDS, Web

from manager.action_command import CommandAction
from manager.action_webhook import WebhookAction
from manager.actions import ACTIONS, Actions, Errand
from manager.events import Documents
from manager.observer import Observer
from manager.settings import PolicySettings

DOCUMENT = Documents(Observer("sensor-7")).action(an_action())


def command(*argv, seconds=SECONDS):
    return CommandAction(PolicySettings(do=("command",), argv=argv), seconds)


def python(text, *more, seconds=SECONDS):
    return command(sys.executable, "-c", text, *more, seconds=seconds)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_command_gets_the_action_on_its_standard_input(tmp_path):
    code = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    assert python(code, str(tmp_path / "seen")).do(DOCUMENT) is None
    text = (tmp_path / "seen").read_text()
    assert text.endswith("}\n")
    assert json.loads(text)["tapscan"]["action"]["id"] == "ac7"


def test_no_shell_reads_what_a_command_is_given(tmp_path):
    assert command("/bin/echo", f"; touch {tmp_path}/made").do(DOCUMENT) is None
    assert list(tmp_path.iterdir()) == []


def test_a_command_sees_nothing_of_our_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TAPSCAN_WEBHOOK_SECRET", "s3cret")
    code = "import os, sys; open(sys.argv[1], 'w').write(repr(sorted(os.environ)))"
    assert python(code, str(tmp_path / "seen")).do(DOCUMENT) is None
    assert "TAPSCAN" not in (tmp_path / "seen").read_text()


def test_a_command_need_not_read():
    large = DOCUMENT | {"message": "x" * (1 << 20)}
    assert command("/bin/true").do(large) is None


def test_a_command_that_fails_says_why():
    why = python("import sys; print('begun'); sys.exit('no such host')").do(DOCUMENT)
    assert why == f"{sys.executable}: exit code 1: no such host"
    assert command("/bin/false").do(DOCUMENT) == "/bin/false: exit code 1"


def test_a_command_that_is_not_there_says_so(tmp_path):
    assert command(f"{tmp_path}/absent").do(DOCUMENT) == f"{tmp_path}/absent: No such file or directory"
    assert command("/bin/echo", "a\0b").do(DOCUMENT) == "/bin/echo: embedded null byte"
    (tmp_path / "plain").touch()
    assert command(f"{tmp_path}/plain").do(DOCUMENT) == f"{tmp_path}/plain: Permission denied"


def test_a_command_ends_with_its_time_and_so_does_what_it_started(tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\n"
        "time.sleep(1000)"
    )
    why = python(code, str(tmp_path / "pid"), seconds=2.0).do(DOCUMENT)
    assert why == f"{sys.executable}: ended after 2 s"
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_command_may_say_a_lot():
    why = python("import sys\nfor _ in range(9999): print('x' * 50, file=sys.stderr)\nsys.exit('the end')").do(DOCUMENT)
    assert why == f"{sys.executable}: exit code 1: the end"


def webhook(url, seconds=5.0):
    return WebhookAction(PolicySettings(do=("webhook",), url=url), seconds)


def test_a_webhook_is_posted_as_one_document():
    with Web() as web:
        hook = webhook(web.url)
        assert hook.do(DOCUMENT) is None
        hook.close()
        (came,) = web.take(1)
        assert web.headers[0]["Content-Type"] == "application/json"
    assert came == json.loads(json.dumps(DOCUMENT))


def test_a_webhook_is_signed_when_there_is_a_secret(monkeypatch):
    monkeypatch.setenv("TAPSCAN_WEBHOOK_SECRET", "s3cret")
    with Web(secret="s3cret") as web:
        hook = webhook(web.url)
        assert hook.do(DOCUMENT) is None
        hook.close()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 429, 500, 503])
def test_a_webhook_that_is_refused_says_so_and_is_not_sent_again(status):
    with Web(status) as web:
        hook = webhook(web.url)
        why = hook.do(DOCUMENT)
        hook.close()
        assert web.statuses == [status]
        assert why.startswith(f"{web.url}: {status}")


def test_a_webhook_that_nobody_answers_says_so():
    with Web() as web:
        url = web.url
    hook = webhook(url)
    assert "refused" in hook.do(DOCUMENT)
    hook.close()


class Held:
    """Does nothing until it may."""

    def __init__(self):
        self.begun, self.may, self.closed = Queue(), threading.Event(), False

    def do(self, document):
        self.begun.put(document)
        assert self.may.wait(SECONDS)
        return document.get("why")

    def close(self):
        self.closed = True


def test_what_waits_is_bounded_and_done_in_order():
    doer, told = Held(), Queue()
    errand = Errand("policy 1: held", doer, lambda *said: told.put(said), waiting=2)
    assert errand.take({"n": 1}) is None
    doer.begun.get(timeout=SECONDS)
    assert [errand.take({"n": 2, "why": "bad"}), errand.take({"n": 3})] == [None, None]
    assert errand.take({"n": 4}) == "2 others wait already"
    doer.may.set()
    errand.close(SECONDS)
    assert [told.get_nowait() for _ in range(3)] == [
        ({"n": 1}, None),
        ({"n": 2, "why": "bad"}, "bad"),
        ({"n": 3}, None),
    ]
    assert told.empty()
    assert doer.closed


def test_an_action_that_hangs_does_not_hold_up_the_end(caplog):
    doer = Held()
    errand = Errand("policy 1: held", doer, lambda *_: None, waiting=4)
    errand.take({"n": 1})
    doer.begun.get(timeout=SECONDS)
    errand.take({"n": 2})
    errand.close(0.01)
    assert "policy 1: held: 2 actions were not done before the end" in caplog.text
    doer.may.set()


def test_each_rule_has_its_own(tmp_path):
    told = Queue()
    with Web() as web:
        rules = [
            PolicySettings(do=("observe", "reset")),
            PolicySettings(do=("reset", "command", "webhook"), argv=("/bin/false",), url=web.url),
            PolicySettings(do=("command",), argv=("/usr/bin/touch", str(tmp_path / "made"))),
        ]
        actions = Actions(rules, lambda document, why: told.put(why))
        assert actions.take(2, "command", DOCUMENT) is None
        assert told.get(timeout=SECONDS) == "/bin/false: exit code 1"
        assert actions.take(2, "webhook", DOCUMENT) is None
        assert told.get(timeout=SECONDS) is None
        assert actions.take(3, "command", DOCUMENT) is None
        actions.close()
        assert web.statuses == [200]
    assert (tmp_path / "made").exists()


def test_every_action_of_the_table_can_be_asked_for():
    from typing import get_args, get_type_hints

    (kinds, _) = get_args(get_type_hints(PolicySettings)["do"])
    assert set(ACTIONS) == set(get_args(kinds)) - {"observe", "reset", "block_page", "block_next"}
