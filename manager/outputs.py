"""The outputs of the settings, as those who take documents: each kind is a class in a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from manager.delivery import Target
from manager.output_file import FileTarget
from manager.output_kafka import KafkaTarget
from manager.output_settings import OutputSettings
from manager.output_syslog import SyslogTarget
from manager.output_webhook import WebhookTarget
from manager.shipper import Receiver

TARGETS: dict[str, Callable[[Any], Target]] = {
    "file": FileTarget,
    "syslog": SyslogTarget,
    "webhook": WebhookTarget,
    "kafka": KafkaTarget,
}


def receiver(settings: OutputSettings) -> Receiver:
    """Raises Stop when a secret, a certificate or a package is missing.

    What it reads it reads now, while the process has its rights; it opens and connects when there is something to send.
    """
    target = TARGETS[settings.kind](settings)
    return Receiver(settings.name, lambda: target)
