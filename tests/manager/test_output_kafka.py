"""Documents in Kafka: a real broker, which is killed and comes back."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka import Kafka
from receivers import document, record

from manager.bulk import Later, Refused
from manager.output_kafka import KafkaTarget
from manager.output_settings import KafkaSettings


@pytest.fixture(scope="module")
def kafka():
    made = Kafka()
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def target(kafka):
    made = []

    def make(topic="tapscan", address=kafka.address, **more):
        made.append(
            KafkaTarget(KafkaSettings("bus", (address,), topic=topic, timeout=more.pop("timeout", 30.0), **more))
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_each_is_there_once_with_its_key(kafka, target):
    made = target()
    records = [record(number) for number in range(200)]
    assert made.send([*records[:100], record(1, "object")]).stored == 100
    assert made.send(records[100:]).stored == 100
    found = kafka.messages("tapscan", 200)
    assert len(found) == 200
    assert {one.key() for one in found} == {b"1:0", b"1:1", b"1:2"}
    assert sorted((json.loads(one.value()) for one in found), key=lambda one: int(one["event"]["id"][3:])) == [
        document(number) for number in range(200)
    ]
    headers = dict(found[0].headers())
    assert (headers["id"].decode(), headers["dataset"]) == (
        json.loads(found[0].value())["event"]["id"],
        b"tapscan.alarm",
    )


def test_one_flow_is_in_order(kafka, target):
    target("ordered").send([record(number) for number in range(60)])
    places = {}
    for one in kafka.messages("ordered", 60):
        places.setdefault(one.key(), []).append((one.partition(), json.loads(one.value())["event"]["id"]))
    for key, found in places.items():
        assert len({partition for partition, _ in found}) == 1
        assert [text for _, text in found] == [f"id-{n}" for n in range(60) if f"1:{n % 3}".encode() == key]


def test_one_that_is_too_large_is_a_dead_letter(kafka, target):
    large = record(1, note=os.urandom(400_000).hex())
    outcome = target("large").send([record(0), large, record(2)])
    assert outcome.stored == 2
    assert [(dead.record, dead.status) for dead in outcome.dead] == [(large, 413)]
    assert len(kafka.messages("large", 2)) == 2


def test_nobody_there(target):
    made = target(address="127.0.0.1:9", timeout=0.5)
    with pytest.raises(Later, match=r"(?i)refused|timed out"):
        made.send([record(1)])


def test_by_tls_with_a_certificate_and_a_password(kafka, target, tmp_path):
    for name, word in (("right", "a word"), ("wrong", "another")):
        (tmp_path / name).write_text(f"{word}\n")
    ours = {"cert_file": f"{kafka.tls}/cert.pem", "key_file": f"{kafka.tls}/key.pem"}
    who = {"username": "tapscan", "mechanism": "PLAIN", "password_file": str(tmp_path / "right")}
    words = {"address": kafka.secure, "tls": True, "ca_file": f"{kafka.tls}/ca.pem"} | ours | who
    assert target("secret", **words).send([record(1), record(2)]).stored == 2
    assert len(kafka.messages("secret", 2)) == 2
    with pytest.raises(Refused, match=r"(?i)authentication"):
        target(**words | {"password_file": str(tmp_path / "wrong")}, timeout=2.0).send([record(1)])
    with pytest.raises(Refused, match=r"(?i)certificate"):
        target(**words | {"ca_file": None}, timeout=2.0).send([record(1)])


def test_a_broker_that_is_killed_and_comes_back(kafka, target):
    made = target("killed", timeout=60.0)
    assert made.send([record(number) for number in range(50)]).stored == 50
    kafka.kill()
    with ThreadPoolExecutor() as at_once:
        sent = at_once.submit(made.send, [record(number) for number in range(50, 100)])
        kafka.start()
        assert sent.result().stored == 50
    found = [json.loads(one.value())["event"]["id"] for one in kafka.messages("killed", 100)]
    assert sorted(found) == sorted(f"id-{number}" for number in range(100))
