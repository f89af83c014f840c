"""Whom outputs believe, and who they are: certificates from files that the settings name."""

from __future__ import annotations

import ssl
from pathlib import Path

from manager.options import Stop
from manager.output_settings import KafkaSettings, SyslogSettings, WebhookSettings


def readable(settings: SyslogSettings | WebhookSettings | KafkaSettings, *keys: str) -> None:
    """Raises Stop for a file that can't be read."""
    for key in keys:
        path = getattr(settings, key)
        try:
            if path is not None:
                Path(path).open("rb").close()
        except OSError as error:
            raise Stop(f"output {settings.name}: {key}: {path}: {error.strerror}") from None


def tls(settings: SyslogSettings | WebhookSettings) -> ssl.SSLContext:
    """Whom it believes, and who we are. Raises Stop."""
    keys = [key for key in ("ca_file", "cert_file", "key_file") if hasattr(settings, key)]
    readable(settings, *keys)
    key = "ca_file"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if isinstance(settings, SyslogSettings) and settings.cert_file:
            key = "cert_file"
            context.load_cert_chain(settings.cert_file, settings.key_file, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise Stop(f"output {settings.name}: {key}: {getattr(settings, key)}: {why or 'no certificate'}") from None
    if not settings.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
