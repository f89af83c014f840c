"""How the client gets to a server: TLS, a proxy, several addresses, secrets from files and from the environment."""

import ssl

import pytest
from certificates import certificates
from elastic_proxy import Proxy
from forward_proxy import ForwardProxy

from manager.bulk import Bulk, Later
from manager.dead_letters import record
from manager.elastic_client import KEY, PASSWORD, client
from manager.options import Stop
from manager.settings import ElasticsearchSettings

NOWHERE = "http://127.0.0.1:9"


def health(**settings):
    """The color of the cluster, as the settings reach it."""
    with client(ElasticsearchSettings(**settings)) as server:
        return server.cluster.health().body["status"]


@pytest.fixture
def certified(tmp_path):
    return certificates(tmp_path / "tls")


@pytest.fixture
def encrypted(elastic, certified):
    """The server behind TLS."""
    with Proxy(elastic.url) as proxy:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(f"{certified}/cert.pem", f"{certified}/key.pem")
        proxy._server.socket = context.wrap_socket(proxy._server.socket, server_side=True)
        yield proxy.url.replace("http:", "https:")


def test_the_authority_of_the_settings_is_believed(encrypted, certified):
    assert health(urls=(encrypted,), ca_file=f"{certified}/ca.pem") in ("green", "yellow")


def test_another_authority_is_not(encrypted, tmp_path):
    other = certificates(tmp_path / "other")
    with client(ElasticsearchSettings(urls=(encrypted,), ca_file=f"{other}/ca.pem")) as server:
        with pytest.raises(Later, match=r"(?i)certificate"):
            Bulk(server).send([record("logs-a-b", "1", b"{}")])
        assert not server.ping()


def test_without_a_check_any_certificate_will_do(encrypted):
    assert health(urls=(encrypted,), verify=False) in ("green", "yellow")


@pytest.mark.parametrize("compress", [False, True])
def test_a_proxy_is_told_the_whole_address(elastic, compress):
    with ForwardProxy() as proxy:
        assert health(urls=(elastic.url,), proxy=proxy.url, compress=compress) in ("green", "yellow")
    assert proxy.asked == [f"GET {elastic.url}/_cluster/health"]


def test_a_proxy_tunnels_what_is_encrypted(encrypted, certified):
    with ForwardProxy() as proxy:
        assert health(urls=(encrypted,), proxy=proxy.url, ca_file=f"{certified}/ca.pem") in ("green", "yellow")
    assert proxy.asked == [f"CONNECT {encrypted.removeprefix('https://')}"]


def test_a_proxy_that_is_not_there_is_for_later():
    settings = ElasticsearchSettings(urls=("http://192.0.2.1:9200",), proxy=NOWHERE)
    with client(settings) as server, pytest.raises(Later):
        Bulk(server).send([record("logs-a-b", "1", b"{}")])


def test_of_several_addresses_one_that_answers_is_found(elastic):
    with client(ElasticsearchSettings(urls=(NOWHERE, elastic.url))) as server:
        answers = 0
        for _ in range(3):
            try:
                Bulk(server).send([record("logs-nobody.knows-x", "1", b"{}")])
            except Later:
                continue
            except Exception as error:  # noqa: BLE001 - there is no such stream: it has been asked
                answers += "index_not_found" in str(error)
        assert answers >= 2  # the dead one is passed over, once it is known


def test_secrets_come_from_files_and_from_the_environment(secured, tmp_path, monkeypatch):
    (tmp_path / "word").write_text("admin-of-tests\n")
    where = {"urls": (secured.url,), "username": "admin"}
    assert health(**where, password_file=str(tmp_path / "word")) in ("green", "yellow")
    monkeypatch.setenv(PASSWORD, "admin-of-tests")
    assert health(**where) in ("green", "yellow")


def test_an_api_key_is_sent_as_one(monkeypatch, tmp_path):
    monkeypatch.setenv(KEY, "a2V5")
    made = client(ElasticsearchSettings(urls=(NOWHERE,)))
    assert made._headers["authorization"] == "ApiKey a2V5"
    (tmp_path / "key").write_text(" b3RoZXI= \n")
    made = client(ElasticsearchSettings(urls=(NOWHERE,), api_key_file=str(tmp_path / "key")))
    assert made._headers["authorization"] == "ApiKey b3RoZXI="


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"username": "me"}, PASSWORD),
        ({"api_key_file": "/nonexistent/key"}, "api_key_file: /nonexistent/key: No such file"),
        ({"username": "me", "password_file": "/dev/null"}, "password_file: /dev/null is empty"),
        ({"urls": ("https://127.0.0.1:9",), "ca_file": "/nonexistent/ca"}, "ca_file: /nonexistent/ca: No such file"),
        ({"urls": ("https://127.0.0.1:9",), "ca_file": __file__}, "ca_file"),
        ({"urls": ("http://",)}, "elasticsearch.urls"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_line(settings, says):
    with pytest.raises(Stop) as caught:
        client(ElasticsearchSettings(**({"urls": (NOWHERE,)} | settings)))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
