"""`tapscan actions` and `tapscan policy`: what they take."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from manager.arguments import command, takes_config


def _actions(given: Namespace) -> int:
    from manager import action_stop

    if given.what == "stop":
        return action_stop.stop(given.config)
    if given.what == "resume":
        return action_stop.resume(given.config)
    if given.what in ("blocked", "lift"):
        from manager import blocked_view

        return blocked_view.lift(given.item) if given.what == "lift" else blocked_view.show(given.json)
    from manager.actions_view import show_actions

    return show_actions(given.config, given.since, given.json)


def _policy_test(given: Namespace) -> int:
    from manager.policy_view import show_test

    return show_test(given.file, given.config, given.json)


def action_commands(commands: Any) -> None:
    """Declares them."""
    words = "Shows what was done about what was found and how much of it was stopped in time; stops all, or resumes."
    more = "Exit code: 0, or 2 when it can't be known or done."
    actions = command(commands, "actions", _actions, words, more)
    words = (
        "list; stop: nothing is sent from now on, whatever the policy says; resume: undoes it; blocked: what is not to "
        "be had again for a while; lift ITEM: it is let through again (default: %(default)s)"
    )
    kinds = "list", "stop", "resume", "blocked", "lift"
    actions.add_argument("what", choices=kinds, nargs="?", default="list", help=words)
    words = "of lift: an id, an address or a digest, as blocked shows it; all"
    actions.add_argument("item", metavar="ITEM", nargs="?", help=words)
    words = "24h, 7d, or a date or time (UTC; default: %(default)s)"
    actions.add_argument("--since", metavar="TIME", default="24h", help=words)
    takes_config(actions)
    policy = command(commands, "policy", None, "Tries the policy of the settings.")
    below = policy.add_subparsers(title="commands", metavar="COMMAND", required=True)
    words = "Shows for each finding which [[policy]] fires and why, which not and why not. Nothing is sent."
    test = command(below, "test", _policy_test, words, "Exit code: 0, or 2 when it or an engine could not be used.")
    words = "a capture, which is scanned; or documents as --json prints them"
    test.add_argument("file", metavar="FILE", help=words)
    takes_config(test)
