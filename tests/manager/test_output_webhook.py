"""Documents as webhooks: a real HTTP server that looks at signatures and answers whatever it likes."""

import json
import threading

import pytest
from certificates import certificates
from receivers import Web, document, record

from manager.bulk import Later, Refused
from manager.output_settings import WebhookSettings
from manager.output_webhook import WebhookTarget, signature

RECORDS = [record(number) for number in range(10)]


def target(receiver, **more):
    return WebhookTarget(WebhookSettings("hook", receiver.url, timeout=more.pop("timeout", 5.0), **more))


@pytest.fixture
def sent():
    """Sends with a target of its own, which is closed."""
    made = []

    def send(receiver, records=RECORDS, **more):
        made.append(target(receiver, **more))
        return made[-1].send(records)

    yield send
    for one in made:
        one.close()


def numbers(documents):
    return [int(one["event"]["id"].removeprefix("id-")) for one in documents]


def test_documents_as_a_list(sent):
    with Web() as receiver:
        assert sent(receiver, batch=4).stored == 10
        assert receiver.take(10) == [document(number) for number in range(10)]
    assert receiver.statuses == [200] * 3
    (headers, *_) = receiver.headers
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("tapscan/")
    assert "Tapscan-Signature" not in headers


def test_documents_alone(sent):
    with Web() as receiver:
        assert sent(receiver, RECORDS[:3], batch=1).stored == 3
        assert receiver.take(3) == [document(number) for number in range(3)]
    assert receiver.statuses == [200] * 3


def test_only_what_is_wanted(sent):
    with Web() as receiver:
        assert sent(receiver, [record(1, "object"), record(2)]).stored == 1
        assert numbers(receiver.take(1)) == [2]
        assert sent(receiver, [record(1, "object")]).stored == 0
    assert receiver.statuses == [200]


def test_signed(sent, tmp_path):
    (tmp_path / "secret").write_text("a secret\n")
    (tmp_path / "other").write_text("another")
    (tmp_path / "token").write_text("a token\n")
    with Web(secret="a secret") as receiver:
        words = {"secret_file": str(tmp_path / "secret"), "token_file": str(tmp_path / "token")}
        assert sent(receiver, **words).stored == 10
        assert receiver.headers[0]["Authorization"] == "Bearer a token"
        with pytest.raises(Refused, match="401"):
            sent(receiver, secret_file=str(tmp_path / "other"))
    assert receiver.statuses == [200, 401]


def test_the_secret_of_the_environment(sent, monkeypatch):
    monkeypatch.setenv("TAPSCAN_WEBHOOK_SECRET", "of the environment")
    with Web(secret="of the environment") as receiver:
        assert sent(receiver).stored == 10


def test_a_signature_as_openssl_makes_it():
    # printf '1700000000.[{}]' | openssl dgst -sha256 -hmac key
    found = signature(b"key", "1700000000", b"[{}]")
    assert found == "v1=33636f09095dbe949cba048be4a555f24b06fb6b8393e27da077be1726e84c5a"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_what_may_go_later_is_sent_again(sent, status):
    with Web(status) as receiver:
        with pytest.raises(Later, match=str(status)):
            sent(receiver)
        assert sent(receiver).stored == 10


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 405, 410])
def test_where_nothing_of_ours_is_taken_nothing_is_thrown_away(sent, status):
    with Web(status) as receiver, pytest.raises(Refused, match=str(status)):
        sent(receiver)
    assert receiver.statuses == [status]


def test_redirects_are_said_and_not_followed(sent):
    with Web(307) as receiver, pytest.raises(Refused, match=r"307 .*to http://elsewhere\.example\.org/"):
        sent(receiver)


def test_the_one_at_fault_is_found(sent):
    def answer(documents):
        return 400 if {3, 7} & {*numbers(documents)} else 200

    with Web() as receiver:
        receiver.always = answer
        outcome = sent(receiver)
        assert outcome.stored == 8
        assert [(dead.record, dead.status) for dead in outcome.dead] == [(RECORDS[3], 400), (RECORDS[7], 400)]
        assert numbers(receiver.take(8)) == [0, 1, 2, 4, 5, 6, 8, 9]


def test_too_large_is_halved(sent):
    with Web() as receiver:
        receiver.always = lambda documents: 413 if len(documents) > 3 else 200
        assert sent(receiver).stored == 10
        assert numbers(receiver.take(10)) == list(range(10))


def test_what_was_taken_is_not_sent_again(sent):
    with Web(200, 503) as receiver:
        outcome = sent(receiver, batch=4)
        assert (outcome.stored, outcome.again) == (4, RECORDS[4:])
        assert "503" in outcome.why
    with Web(200, 400, 200, 429) as receiver:  # the second request was halved
        outcome = sent(receiver, batch=4)
        assert (outcome.stored, outcome.again) == (6, RECORDS[6:])


def test_nobody_answers(sent):
    with Web() as receiver:
        pass
    with pytest.raises(Later, match="Connection refused"):
        sent(receiver)


def test_an_answer_that_takes_too_long(sent):
    over = threading.Event()
    with Web() as receiver:
        receiver.always = lambda _: over.wait(20) and 200
        with pytest.raises(Later, match="timed out"):
            sent(receiver, timeout=0.2)
        over.set()


def test_over_https(sent, tmp_path):
    folder = certificates(tmp_path / "tls")
    with Web(folder=folder) as receiver:
        assert sent(receiver, ca_file=f"{folder}/ca.pem").stored == 10
        with pytest.raises(Refused, match="CERTIFICATE_VERIFY_FAILED"):
            sent(receiver)
        assert sent(receiver, verify=False).stored == 10


def test_eve(sent):
    one = record(1, network={"transport": "tcp"}, source={"ip": "192.0.2.1", "port": 1})
    with Web() as receiver:
        assert sent(receiver, [one, record(2, "health")], format="eve").stored == 1
        (found,) = receiver.take(1)
    assert (found["event_type"], found["src_ip"], found["proto"]) == ("alert", "192.0.2.1", "TCP")
    assert json.dumps(found).count("tapscan") == 1
