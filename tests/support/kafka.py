"""A real Kafka, one broker that is its own controller (KRaft), from the jars of Maven Central."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from certificates import certificates
from elastic_node import KEPT, Lacking, free_port, java

VERSION = "4.1.1"
SECONDS = 60  # to come up, on a busy machine
MAVEN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>t</groupId><artifactId>t</artifactId><version>1</version><dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
</dependency></dependencies></project>"""
OPTIONS = "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"
SETTINGS = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{secure}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs={folder}/data
offsets.topic.replication.factor=1
num.partitions=3
offsets.topic.num.partitions=1
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
message.max.bytes=100000
group.initial.rebalance.delay.ms=0
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config={module} required user_tapscan="a word";
ssl.keystore.type=PEM
ssl.keystore.location={folder}/store.pem
ssl.truststore.type=PEM
ssl.truststore.location={tls}/ca.pem
ssl.client.auth=required
"""


def jars():
    """The folder of them, fetched once."""
    folder = KEPT / f"kafka-{VERSION}"
    if folder.exists():
        return folder
    if shutil.which("mvn") is None:
        raise Lacking("Kafka comes by Maven, which isn't here (Debian: maven)")
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as made:
        (Path(made) / "pom.xml").write_text(POM)
        words = ["mvn", "-q", "-B", MAVEN, "-DincludeScope=runtime", f"-DoutputDirectory={made}/libs"]
        done = subprocess.run(words, cwd=made, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise Lacking(f"Maven could not get Kafka {VERSION}: {done.stdout.strip()[:500]}")
        with contextlib.suppress(OSError):  # another process was quicker
            (Path(made) / "libs").rename(folder)
    return folder


class Kafka:
    """One in a folder of its own; it can be killed, and comes back with its data.

    `address`: for everybody; `secure`: by TLS, with a certificate of the folder `tls`, for "tapscan" with "a word".
    """

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="tapscan-kafka-"))
        self.port = free_port()
        secure = free_port()
        self.address, self.secure = f"127.0.0.1:{self.port}", f"127.0.0.1:{secure}"
        self._process = None
        try:
            self._java = [java("8.19.0") / "bin/java", *OPTIONS, "-cp", f"{jars()}/*"]
        except Lacking as lacking:
            pytest.skip(str(lacking))
        self._settings, self.tls = self.folder / "server.properties", certificates(self.folder / "tls")
        both = (Path(self.tls, name).read_text() for name in ("key.pem", "cert.pem"))
        (self.folder / "store.pem").write_text("".join(both))
        given = {"port": self.port, "controller": free_port(), "folder": self.folder, "tls": self.tls}
        given |= {"secure": secure, "module": "org.apache.kafka.common.security.plain.PlainLoginModule"}
        self._settings.write_text(SETTINGS.format(**given))
        words = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c", self._settings]
        subprocess.run([*self._java, *words], check=True, capture_output=True)

    def start(self):
        """Returns when it takes messages."""
        from confluent_kafka.admin import AdminClient

        bound = ["setpriv", "--pdeathsig", "KILL"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*bound, *self._java, "kafka.Kafka", self._settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until = threading.Event()
        for _ in range(SECONDS * 10):
            assert self._process.poll() is None, (self.folder / "log").read_text()[-3000:]
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                AdminClient({"bootstrap.servers": self.address}).list_topics(timeout=SECONDS)
                return self
            until.wait(0.1)
        raise AssertionError("Kafka does not come up")

    def kill(self):
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def messages(self, topic, count):
        """At least so many of a topic, oldest first in each partition."""
        from confluent_kafka import Consumer

        words = {"bootstrap.servers": self.address, "group.id": os.urandom(4).hex(), "auto.offset.reset": "earliest"}
        consumer, found = Consumer(words | {"allow.auto.create.topics": True}), []
        consumer.subscribe([topic])
        try:
            for _ in range(SECONDS * 10):
                if (message := consumer.poll(0.1)) is not None and message.error() is None:
                    found.append(message)
                elif len(found) >= count:
                    return found
        finally:
            consumer.close()
        raise AssertionError(f"{len(found)} messages, {count} were expected")

    def close(self):
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder)
