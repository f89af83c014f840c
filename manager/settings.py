"""What can be set, with its default: one frozen dataclass a table of `tapscan.toml`. `settings_file` reads the file.

Nothing here is heavy to import: without a file these defaults are all there is.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar, Literal, TypeAlias

from manager.output_settings import OutputSettings
from reassembly.limits import Limits
from sensor.noun import noun

# Read by pydantic: a key that nobody knows is a mistake, and so is "10" where a number belongs.
STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}

Fanout: TypeAlias = Literal["flow", "hash", "hash+defrag", "hash+rollover", "cpu"]  # those of sensor.fanout
Overlap: TypeAlias = Literal["linux", "windows", "bsd", "first", "last"]


@noun
class SensorSettings:
    """[sensor]"""

    interfaces: tuple[str, ...] = ()  # for the live sensor; -i on the command line wins
    workers: int = 1  # processes that capture; the kernel deals the flows out to them
    ring: int = 128 << 20  # bytes that the kernel keeps for each worker and interface; 0: packets one by one
    block_timeout: int = 1  # ms, at most 100, after which the kernel hands over a block that isn't full: later, larger
    promiscuous: bool = True  # every frame that passes; false: those to this host, and those to all
    clock: Literal["kernel", "hardware"] = "kernel"  # who gives packets their time; hardware: the card, where it can
    # "flow": both directions of a flow, FTP data and its control connection; "hash": both directions
    # "hash+defrag": fragments as well; "hash+rollover": as hash while no ring is full; "cpu": as the card's queues do
    fanout: Fanout = "flow"  # what goes to the same one of several workers
    user: str | None = None  # who the sensor becomes when root has started it; unset: nobody
    precedence: int = 10  # 0 to 20: by so much what takes packets goes before others (nice); engines don't
    name: str | None = None  # observer.name; unset: the host's
    home: tuple[str, ...] = ()  # networks that are ours (CIDR): they make network.direction known
    hashes: tuple[Literal["sha1", "md5"], ...] = ()  # besides SHA-256; they cost as much as everything else together
    temporary: str | None = None  # directory for large objects; unset: the system's
    ledger: str | None = None  # folder of the coverage ledger; unset: coverage/ of the state directory
    ledger_bytes: int = 1 << 30  # of the ledger's files together; the oldest days go
    loss_minutes: int = 3  # an alarm for the operator when loss lasts so long
    loss_share: float = 0.001  # of packets (dropped by the kernel) or bytes (acknowledged, never seen) in a minute
    record: str | None = None  # directory for the packets of alarms; unset: they are not kept
    record_bytes: int = 2 << 30  # of the packets of the last minutes, in ring/ of that directory
    around_alarms: float = 30.0  # seconds of packets before and after an alarm


@noun
class ReassemblySettings:
    """[reassembly]: which copy of overlapping bytes counts, by the network of who receives them."""

    overlap: Overlap = "linux"
    overlap_networks: dict[str, Overlap] = field(default_factory=dict)  # CIDR -> policy, the longest prefix wins
    track_vlan: bool = True  # the same addresses in two VLANs are two flows


@noun
class OverloadSettings:
    """[overload]: shares of what there is, over which new flows to ports that are low are not read; then none is."""

    packets: float = 0.5  # of the ring, full whenever we come to look for a second
    flows: float = 0.9  # of [limits] flows
    bytes: float = 0.9  # of [limits] total_out_of_order
    queue: float = 0.9  # of [pool] max_bytes and max_disk together, with objects that wait for engines
    low: tuple[int, ...] = ()  # ports of services whose new flows are the first that are not read


@noun
class PoolSettings:
    """[pool]: where engines run."""

    kind: Literal["local", "ray"] = "local"
    address: str | None = None  # with "ray": HOST:PORT, "auto" or "new"
    token: str | None = None  # with "ray": file with the token of the cluster; unset: ~/.ray/auth_token
    tls: str | None = None  # with "ray": folder with cert.pem, key.pem and ca.pem, where the cluster has TLS
    max_bytes: int = 256 << 20  # of objects that wait for engines in memory
    when_full: Literal["wait", "spill"] = "wait"  # beyond: reading pauses; or the disk, and flows that go on first
    max_disk: int = 4 << 30  # with "spill": bytes on disk; beyond, objects are not scanned (`overload`)
    crashed: str | None = None  # folder for objects that crash an engine; unset: crashed/ of the state directory


@noun
class YaraSettings:
    """[[engine]] kind = "yara" """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str = "yara"
    kind: Literal["yara"] = "yara"
    rules: tuple[str, ...] = ()  # files and folders
    starter: bool = True  # also the starter rules that come with tapscan
    timeout: float = 10.0  # seconds
    slots: int | None = None  # how many at once; unset: the engine's own default


@noun
class ClamdSettings:
    """[[engine]] kind = "clamd" """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str = "clamav"
    kind: Literal["clamd"] = "clamd"
    address: str = "/run/clamav/clamd.ctl"  # or HOST:PORT
    timeout: float = 60.0
    slots: int | None = None


@noun
class CommandSettings:
    """[[engine]] kind = "command" """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str
    argv: tuple[str, ...]  # {file} stands for the path of the object
    kind: Literal["command"] = "command"
    clean: tuple[int, ...] = (0,)  # exit codes; any other is an error
    malicious: tuple[int, ...] = (1,)
    suspicious: tuple[int, ...] = ()
    signature: str | None = None  # pattern; its first group, in the output
    version: tuple[str, ...] = ()  # command that prints the version
    network: bool = False  # whether it may use the network; without, the kernel keeps it off where it can
    timeout: float = 60.0
    slots: int | None = None


@noun
class HashesSettings:
    """[[engine]] kind = "hashes" """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str = "hashes"
    kind: Literal["hashes"] = "hashes"
    bad: tuple[str, ...] = ()  # files of known-bad hashes
    good: tuple[str, ...] = ()  # files of known-good hashes
    timeout: float = 10.0
    slots: int | None = None


EngineSettings: TypeAlias = YaraSettings | ClamdSettings | CommandSettings | HashesSettings

# What each `kind` reads; the kinds of LATER are part of the contract and come with their engines.
ENGINE_KINDS: dict[str, type[EngineSettings]] = {
    "yara": YaraSettings,
    "clamd": ClamdSettings,
    "command": CommandSettings,
    "hashes": HashesSettings,
}
LATER = ("icap", "office")


@noun
class SpoolSettings:
    """[spool]: documents on disk, from where they are sent; used when there is somewhere to send them."""

    directory: str | None = None  # unset: spool/ of the state directory
    max_bytes: int = 4 << 30  # what they may take, sent or not; the oldest go


@noun
class ElasticsearchSettings:
    """[elasticsearch]"""

    urls: tuple[str, ...] = ()
    namespace: str = "default"  # third part of the data streams' names
    api_key_file: str | None = None  # file with an API key; or $TAPSCAN_ELASTICSEARCH_API_KEY
    username: str | None = None
    password_file: str | None = None  # file with its password; or $TAPSCAN_ELASTICSEARCH_PASSWORD
    ca_file: str | None = None  # certificates that are believed, for https; unset: the system's
    verify: bool = True  # whether the server's certificate is checked
    proxy: str | None = None  # http://HOST:PORT
    compress: bool = False  # requests with gzip: for a slow link
    timeout: float = 30.0  # seconds for an answer
    flush_timeout: float = 30.0  # seconds that `scan` waits at its end for its documents to be stored


@noun
class CountermeasureSettings:
    """[countermeasures]"""

    mode: Literal["observe", "dry_run", "enforce"] = "observe"
    interface: str | None = None  # where frames go out; unset: where the flow came in
    gateway_mac: str | None = None  # to which frames are addressed, whatever the flow's; unset: as in the flow
    allow: tuple[str, ...] = ()  # networks (CIDR) to whose hosts nothing is ever done: gateways, DNS, management
    allow_ports: tuple[int, ...] = (22, 53, 179)  # the same by port of either end
    allow_macs: tuple[str, ...] = ()  # the same by hardware address
    per_second: float = 50.0  # flows that are acted on, in all; beyond, refused
    per_host: float = 5.0  # flows a minute and host that receives
    hosts: int = 50  # that were acted on within five minutes, after which everything stops until `actions resume`
    feeds: tuple[str, ...] = ()  # files with known-bad addresses, hosts, beginnings of files: met, they are blocked
    stop_file: str | None = None  # nothing is sent while it exists; unset: actions/stop of the state directory
    audit: str | None = None  # folder of the records of frames; unset: actions/ of the state directory


@noun
class PolicyWhen:
    """What a [[policy]] asks for; everything given must hold."""

    verdict: Literal["malicious", "suspicious"] | None = None
    severity: int | None = None  # at least
    agree: int | None = None  # so many engines, at least
    engine: str | None = None  # one that found it
    signature: str | None = None  # pattern, anywhere in the signature's name
    direction: Literal["inbound", "outbound", "internal", "external"] | None = None
    protocol: tuple[str, ...] = ()  # http, smtp, ...
    networks: tuple[str, ...] = ()  # of either end (CIDR)
    type: str | None = None  # pattern of the file's type, from its beginning
    hours: str | None = None  # local time, as 08:00-18:00


@noun
class PolicySettings:
    """[[policy]]: the first that matches wins."""

    when: PolicyWhen = field(default_factory=PolicyWhen)
    # observe: only noted; block_next: the same address and file are reset when somebody asks for them again;
    # block_page: the same, and who asks is told why
    do: tuple[Literal["observe", "reset", "block_page", "block_next", "command", "webhook"], ...] = ()
    block_hours: float = 24.0  # for which "block_page" and "block_next" hold
    argv: tuple[str, ...] = ()  # of "command": the action comes as JSON on its standard input
    url: str | None = None  # of "webhook"


@noun
class BlockPageSettings:
    """[block_page]: what takes the place of what was not let through."""

    status: int = 403  # 200, or one from 400 on
    content_type: str = "text/html; charset=utf-8"
    contact: str = "Please tell your service desk the number of the incident."
    # what comes from the wire is escaped for HTML before it is put in
    template: str | None = None  # file (UTF-8) with $reason, $incident, $url and $contact; unset: a plain page


@noun
class IcapSettings:
    """[icap]: `tapscan icap-server`, which holds what a proxy gives it until the engines have spoken."""

    listen: str = "127.0.0.1:1344"  # HOST:PORT; whoever reaches it can have things scanned
    mode: Literal["enforce", "observe"] = "enforce"  # observe: alarms only, everything is let through
    preview: int = 4096  # bytes that are sent before it is said whether the rest is wanted
    max_bytes: int = 256 << 20  # of one body
    on_large: Literal["open", "closed"] = "closed"  # whether what is larger, or over a limit of unpacking, goes on
    time_limit: float = 120.0  # seconds from its beginning to the verdict
    on_error: Literal["open", "closed"] = "closed"  # whether what takes longer, or no engine can scan, goes on
    trickle: float = 0.5  # seconds of silence after which single bytes are let go, for proxies that stall; 0: never
    timeout: float = 60.0  # seconds of silence after which a connection is closed
    max_connections: int = 200


@noun
class Settings:
    """The whole of tapscan.toml."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    sensor: SensorSettings = field(default_factory=SensorSettings)
    reassembly: ReassemblySettings = field(default_factory=ReassemblySettings)
    limits: Limits = field(default_factory=Limits)
    overload: OverloadSettings = field(default_factory=OverloadSettings)
    pool: PoolSettings = field(default_factory=PoolSettings)
    engine: tuple[EngineSettings, ...] = ()  # none: YARA with the starter rules, and clamd if its usual socket answers
    spool: SpoolSettings = field(default_factory=SpoolSettings)
    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    output: tuple[OutputSettings, ...] = ()
    countermeasures: CountermeasureSettings = field(default_factory=CountermeasureSettings)
    policy: tuple[PolicySettings, ...] = ()
    block_page: BlockPageSettings = field(default_factory=BlockPageSettings)
    icap: IcapSettings = field(default_factory=IcapSettings)
