"""`[[output]] kind = "kafka"`: a message a document, with librdkafka (`pip install 'tapscan[kafka]'`).

All replicas that are in sync have a message before it counts (`acks=all`), and the brokers drop what the client repeats
(`enable.idempotence`). What is sent again after a restart may stand there twice; the header `id` tells. The key is
the flow's Community ID, so that all of a flow is in one partition, in order.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from manager.bulk import Dead, Later, Outcome, Refused
from manager.chosen import Chosen, Item
from manager.leaves import at
from manager.options import Stop
from manager.output_settings import KafkaSettings
from manager.secrets import secret
from manager.spool import Record

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

CLIENT = logging.getLogger(f"{__name__}.client")  # the library says each failed try
CLIENT.setLevel(logging.CRITICAL)
PASSWORD = "TAPSCAN_KAFKA_PASSWORD"
TOO_LARGE = ("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD")
REFUSED = (
    "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "SASL_AUTHENTICATION_FAILED", "_AUTHENTICATION",
    "TOPIC_EXCEPTION", "_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART", "_SSL",
)  # fmt: skip


def certificates(settings: KafkaSettings) -> dict[str, str]:
    """Whom it believes, and who we are, read now. Raises Stop."""
    key = settings.key_file or settings.cert_file
    files = {"ssl.ca.pem": settings.ca_file, "ssl.certificate.pem": settings.cert_file, "ssl.key.pem": key}
    return {name: str(secret(f"output {settings.name}: {name}", path, "")) for name, path in files.items() if path}


class KafkaTarget:
    """Raises Stop when the client or a secret can't be had. Its threads begin with the first message."""

    def __init__(self, settings: KafkaSettings) -> None:
        try:
            import confluent_kafka  # noqa: F401 - whether it is there is said at the start
        except ImportError:
            raise Stop(f"output {settings.name}: Kafka needs its client: pip install 'tapscan[kafka]'") from None
        self._settings = settings
        self._password = secret(f"output {settings.name}: password_file", settings.password_file, PASSWORD)
        if settings.username and not self._password:
            raise Stop(f"output {settings.name}: username is given and no password: name a password_file")
        self._certificates = certificates(settings) if settings.tls else {}
        self._chosen = Chosen(settings.datasets, settings.format)
        self._producer: Producer | None = None
        self._trouble: KafkaError | None = None  # what the client says of its connections

    def send(self, records: Sequence[Record]) -> Outcome:
        """Raises Later and Refused when nothing of it was taken."""
        outcome = Outcome()
        if items := self._chosen.of(records, outcome):
            said = self._produced(items)
            for item, error in zip(items, said, strict=True):
                alone = len(items) > 1 and _name(error) in TOO_LARGE  # a broker refuses what came with it as well
                self._judge(item, self._produced([item])[0] if alone else error, outcome)
        if outcome.again and not outcome.stored and not outcome.dead:
            self.close()
            raise (Refused if _name(self._trouble) in REFUSED else Later)(outcome.why)
        return outcome

    def _produced(self, items: Sequence[Item]) -> list[KafkaError | str | None]:
        """What became of each: nothing is said of those that all replicas have."""
        said: list[KafkaError | str | None] = ["no answer"] * len(items)
        producer = self._ready()
        for number, item in enumerate(items):
            self._produce(producer, number, item, said)
        until = time.monotonic() + self._settings.timeout + 5  # the client's own time-out comes first
        while len(producer) and time.monotonic() < until:
            producer.poll(0.1)
        if len(producer):
            producer.purge()
            producer.poll(0)
        return said

    def _produce(self, producer: Producer, number: int, item: Item, said: list[KafkaError | str | None]) -> None:
        from confluent_kafka import KafkaException

        def told(error: KafkaError | None, _: object) -> None:
            said[number] = error

        key = at(item.document, "network.community_id") or at(item.document, "event.id") or ""
        told_apart = ("id", "dataset")
        headers: dict[str, str | bytes | None] = {name: str(at(item.document, f"event.{name}")) for name in told_apart}
        try:
            producer.produce(
                self._settings.topic, item.text.rstrip(b"\n"), str(key).encode(), on_delivery=told, headers=headers
            )
            producer.poll(0)
        except KafkaException as error:
            said[number] = error.args[0]
        except BufferError:
            said[number] = "its queue is full"

    def _judge(self, item: Item, error: KafkaError | str | None, outcome: Outcome) -> None:
        if error is None:
            outcome.stored += 1
            return
        name, why = _name(error), error if isinstance(error, str) else error.str()
        if name in TOO_LARGE:
            outcome.dead.append(Dead(item.record, 413, why))
            return
        if name in REFUSED:
            self.close()
            raise Refused(f"{self._settings.topic}: {why}")
        if not isinstance(error, str) and error.fatal():
            self.close()
        outcome.again.append(item.record)
        outcome.why = self._trouble.str() if self._trouble else why

    def _ready(self) -> Producer:
        from confluent_kafka import Producer

        if self._producer is None:
            self._producer = Producer(self._words() | {"error_cb": self._heard, "logger": CLIENT})
        self._trouble = None
        return self._producer

    def _heard(self, error: KafkaError) -> None:
        """That all brokers are down says less than what was said before."""
        if self._trouble is None or error.name() != "_ALL_BROKERS_DOWN":
            self._trouble = error

    def _words(self) -> dict[str, Any]:
        """As librdkafka calls them."""
        own = self._settings
        words: dict[str, Any] = {
            "bootstrap.servers": ",".join(own.servers),
            "client.id": "tapscan",
            "log_level": 0,  # what matters comes as an error
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": own.compression,
            "message.timeout.ms": round(own.timeout * 1000),
            "linger.ms": 5,
            "security.protocol": ("sasl_" if own.username else "") + ("ssl" if own.tls else "plaintext"),
        }
        words |= self._certificates
        if own.username:
            words |= {"sasl.mechanisms": own.mechanism, "sasl.username": own.username, "sasl.password": self._password}
        return words

    def close(self) -> None:
        """What isn't delivered is sent again by who comes next."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(1.0)
            self._producer = None


def _name(error: KafkaError | str | None) -> str:
    return "" if error is None else error if isinstance(error, str) else error.name()
