"""`[[output]]`: where documents go beside Elasticsearch. One dataclass a kind; `outputs` builds what they describe."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

from sensor.noun import noun

STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}

Dataset: TypeAlias = Literal["object", "alarm", "action", "signature", "audit", "health", "coverage", "sensor", "all"]
Format: TypeAlias = Literal["ecs", "eve", "cef", "leef"]
JsonFormat: TypeAlias = Literal["ecs", "eve"]
Facility: TypeAlias = Literal[
    "user", "daemon", "auth", "authpriv",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip

ACTED_ON: tuple[Dataset, ...] = ("alarm", "action", "health")  # what somebody, or a SIEM, acts on


@noun
class FileSettings:
    """[[output]] kind = "file" """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str
    path: str  # a line a document; old ones lie beside it with the time of their end in their names
    kind: Literal["file"] = "file"
    datasets: tuple[Dataset, ...] = ACTED_ON
    format: Format = "ecs"  # eve, cef, leef
    max_bytes: int = 256 << 20  # of the file; then a new one is begun
    daily: bool = True  # a new one each day (UTC)
    compress: bool = True  # old ones, with gzip
    keep: int = 30  # old ones; the oldest go


@noun
class SyslogSettings:
    """[[output]] kind = "syslog" """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str
    address: str  # HOST:PORT
    kind: Literal["syslog"] = "syslog"
    datasets: tuple[Dataset, ...] = ACTED_ON
    format: Format = "ecs"  # eve, cef, leef
    transport: Literal["udp", "tcp", "tls"] = "tcp"  # udp loses without a word
    facility: Facility = "local0"
    max_datagram: int = 8192  # bytes; with udp the rest of a message is cut off
    ca_file: str | None = None  # certificates that are believed; unset: the system's
    cert_file: str | None = None  # ours, with its key, where the receiver wants to know who we are
    key_file: str | None = None  # unset: in cert_file
    verify: bool = True  # whether the receiver's certificate is checked
    timeout: float = 10.0  # seconds


@noun
class WebhookSettings:
    """[[output]] kind = "webhook" """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str
    url: str
    kind: Literal["webhook"] = "webhook"
    datasets: tuple[Dataset, ...] = ACTED_ON
    format: JsonFormat = "ecs"  # eve
    secret_file: str | None = None  # file with the key that requests are signed with; or $TAPSCAN_WEBHOOK_SECRET
    token_file: str | None = None  # file with what is sent as Authorization: Bearer; or $TAPSCAN_WEBHOOK_TOKEN
    batch: int = 100  # documents of a request, as a list; 1: each alone, without a list
    ca_file: str | None = None  # certificates that are believed, for https; unset: the system's
    verify: bool = True  # whether the receiver's certificate is checked
    timeout: float = 10.0  # seconds for an answer


@noun
class KafkaSettings:
    """[[output]] kind = "kafka" """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str
    servers: tuple[str, ...]  # HOST:PORT, some of the cluster's
    kind: Literal["kafka"] = "kafka"
    datasets: tuple[Dataset, ...] = ACTED_ON
    format: JsonFormat = "ecs"  # eve
    topic: str = "tapscan"
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "zstd"
    tls: bool = False
    ca_file: str | None = None  # certificates that are believed; unset: the system's
    cert_file: str | None = None  # ours, with its key
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None  # file with its password; or $TAPSCAN_KAFKA_PASSWORD
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    timeout: float = 30.0  # seconds until what has not arrived is sent again


OutputSettings: TypeAlias = FileSettings | SyslogSettings | WebhookSettings | KafkaSettings

OUTPUT_KINDS: dict[str, type[OutputSettings]] = {
    "file": FileSettings,
    "syslog": SyslogSettings,
    "webhook": WebhookSettings,
    "kafka": KafkaSettings,
}
PATHS = ("path", "secret_file", "token_file", "password_file", "ca_file", "cert_file", "key_file")
