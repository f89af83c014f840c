"""The action "webhook": the document is POSTed to a URL as JSON, as the output of that name does it, signed if there is
a secret (`manager.output_webhook`). Unlike an output it isn't sent again.
"""

from __future__ import annotations

from manager.bulk import Later, Refused
from manager.ecs import Document
from manager.outlets import spooled
from manager.output_settings import WebhookSettings
from manager.output_webhook import WebhookTarget
from manager.settings import PolicySettings


class WebhookAction:
    """Raises Stop when a secret can't be had."""

    def __init__(self, settings: PolicySettings, seconds: float = 10.0) -> None:
        given = WebhookSettings("policy", str(settings.url), datasets=("all",), batch=1, timeout=seconds)
        self._url = settings.url
        self._target = WebhookTarget(given)

    def do(self, document: Document) -> str | None:
        """Why it failed, in a line; None when it was taken."""
        try:
            outcome = self._target.send([spooled(document)])
        except (Later, Refused) as error:
            return f"{self._url}: {error}"
        return f"{self._url}: {outcome.dead[0].reason}" if outcome.dead else None

    def close(self) -> None:
        """Its connection."""
        self._target.close()
