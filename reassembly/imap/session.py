"""What an IMAP session says of its mails: whose they are, and in which mailbox they lie."""

from __future__ import annotations

from reassembly.events import Fact
from reassembly.imap.grammar import Item
from sensor.noun import state

LONGEST_NAME = 200


@state
class Session:
    """Names as the client gave them; empty where it didn't, or wasn't heard."""

    user: str = ""
    selected: str = ""  # the mailbox out of which mails are fetched
    target: str = ""  # the mailbox of the mail that is being appended

    def fetched(self, item: Item) -> dict[str, Fact]:
        """What a section that was fetched is told apart by."""
        facts = self._facts("FETCH", self.selected)
        if item.section:
            facts["tapscan.imap.section"] = item.section.partition(" ")[0][:LONGEST_NAME]
        if item.offset is not None:
            facts["tapscan.imap.partial"] = True
        return facts

    def appended(self) -> dict[str, Fact]:
        """What is said of a mail that the client brings."""
        return self._facts("APPEND", self.target)

    def _facts(self, command: str, mailbox: str) -> dict[str, Fact]:
        facts: dict[str, Fact] = {"tapscan.imap.command": command}
        for name, value in (("user", self.user), ("mailbox", mailbox)):
            if value:
                facts[f"tapscan.imap.{name}"] = value
        return facts
