"""`tapscan kibana install` against a server that answers as Kibana's API is documented, and `export`."""

import json
import shutil
import socket
import subprocess
import threading

import pytest
from kibana_server import Kibana
from sensing import ROOT

from manager import kibana
from manager.cli import do
from manager.options import Stop

OBJECTS = [json.loads(line) for line in (ROOT / "kibana/tapscan.ndjson").read_text().splitlines()]
RULES = [json.loads(line) for line in (ROOT / "kibana/rules.ndjson").read_text().splitlines()]


@pytest.fixture
def install(capfd):
    """Does the command; its lines."""

    def call(*words):
        capfd.readouterr()
        assert do(["kibana", "install", *map(str, words)]) == 0
        return capfd.readouterr().out.splitlines()

    return call


def trouble(*words):
    with pytest.raises(Stop) as stop:
        do(["kibana", *map(str, words)])
    assert "\n" not in str(stop.value)
    return str(stop.value)


def test_every_object_is_imported(install):
    with Kibana() as server:
        lines = install(server.url)
    assert lines == [f"{len(OBJECTS)} objects imported", f"open {server.url}/app/dashboards#/view/tapscan-overview"]
    assert [*server.objects["default"].values()] == OBJECTS
    assert server.rules["default"] == {}


def test_installing_again_changes_nothing(install):
    with Kibana() as server:
        assert install(server.url + "/") == install(server.url)
    assert len(server.objects["default"]) == len(OBJECTS)


def test_rules_go_as_well_when_asked_for(install):
    with Kibana() as server:
        lines = install(server.url, "--rules")
    assert f"{len(RULES)} rules imported" in lines
    assert server.rules["default"] == {rule["rule_id"]: rule for rule in RULES}
    assert not any(rule["enabled"] for rule in RULES)


def test_a_rule_that_was_switched_on_stays_on(install):
    with Kibana() as server:
        install(server.url, "--rules")
        server.rules["default"]["tapscan-engines-agree"] |= {"enabled": True, "name": "old"}
        install(server.url, "--rules")
    there = server.rules["default"]
    assert [name for name, rule in there.items() if rule["enabled"]] == ["tapscan-engines-agree"]
    assert there["tapscan-engines-agree"]["name"] == "Tapscan: several engines agree"


def test_a_space_has_its_own(install):
    with Kibana(spaces=("default", "blue")) as server:
        lines = install(server.url, "--space", "blue", "--rules")
    assert lines[-1] == f"open {server.url}/s/blue/app/dashboards#/view/blue-tapscan-overview"
    assert len(server.objects["blue"]) == len(OBJECTS)
    assert {*server.rules["blue"]} == {rule["rule_id"] for rule in RULES}
    assert server.objects["default"] == {}


def test_each_space_has_ids_of_its_own_and_links_that_stay_there(install):
    with Kibana(spaces=("default", "blue")) as server:
        install(server.url)
        install(server.url, "--space", "blue")
    first, second = server.objects["default"], server.objects["blue"]
    assert {f"blue-{name}" for _, name in first} == {name for _, name in second}
    for one in second.values():
        assert all((reference["type"], reference["id"]) in second for reference in one["references"])
    text = second["dashboard", "blue-tapscan-flow"]["attributes"]["panelsJSON"]
    assert "#/view/blue-tapscan-overview" in text
    assert "index:'blue-tapscan-network'" in text
    assert "blue-tapscan.verdict" not in json.dumps([*second.values()])
    assert json.dumps([*second.values()]).replace("blue-", "") == json.dumps([*first.values()])


def test_a_space_that_is_not_there_is_named():
    with Kibana() as server:
        assert trouble("install", server.url, "--space", "none") == f"{server.url}: no space none"
    assert server.objects["default"] == {}


def test_a_space_with_odd_letters_is_no_path():
    with Kibana() as server:
        trouble("install", server.url, "--space", "../../x")
    assert server.asked[-1] == ("GET", "/api/spaces/space/..%2F..%2Fx", "")


@pytest.mark.parametrize("version", ["8.8.2", "7.17.0"])
def test_a_kibana_that_is_too_old_gets_nothing(version):
    with Kibana(version) as server:
        said = trouble("install", server.url)
    assert said == f"{server.url}: Kibana {version} is too old, 8.9.0 is the first that takes these objects"
    assert server.objects["default"] == {}


@pytest.mark.parametrize("version", ["8.9.0", "8.10.1", "9.2.0-SNAPSHOT"])
def test_a_newer_one_is_right(install, version):
    with Kibana(version) as server:
        assert install(server.url)


def test_a_status_without_a_version_is_no_reason_to_stop(install):
    with Kibana(answers={"/api/status": (200, {"status": {"overall": {"level": "available"}}})}) as server:
        assert install(server.url)


def test_a_key_lets_us_in(install, tmp_path):
    (tmp_path / "key").write_text("a2V5OnNlY3JldA==\n")
    with Kibana(key="a2V5OnNlY3JldA==") as server:
        assert install(server.url, "--api-key-file", tmp_path / "key")


def test_a_password_lets_us_in(install, tmp_path):
    (tmp_path / "password").write_text("sécret\n", "utf-8")
    with Kibana(login="ann:sécret") as server:
        assert install(server.url, "--user", "ann", "--password-file", tmp_path / "password")


@pytest.mark.parametrize("words", [(), ("--api-key-file", "wrong")])
def test_who_is_not_known_is_told_how(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong").write_text("wrong")
    with Kibana(key="right") as server:
        said = trouble("install", server.url, *words)
    assert said == f"{server.url}: it doesn't know who we are: --api-key-file, or --user and --password-file"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--user", "ann"), "--user needs --password-file"),
        (("--user", "ann", "--api-key-file", "key"), "--api-key-file and --user: give one of them"),
        (("--api-key-file", "none"), "--api-key-file: none: No such file or directory"),
        (("--api-key-file", "empty"), "--api-key-file: empty: is empty"),
        (("--api-key-file", "binary"), "--api-key-file: binary: no text"),
        (("--api-key-file", "two"), "--api-key-file: two: more than one line"),
        (("--api-key-file", "odd"), "--api-key-file: odd: no API key"),
        (("--user", "ann", "--password-file", "none"), "--password-file: none: No such file or directory"),
    ],
)
def test_secrets_that_can_not_be_had_are_named(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    for name, data in {
        "key": b"k",
        "empty": b"\n",
        "binary": b"\xff",
        "two": b"a\r\nx-more: b",
        "odd": "ä".encode(),
    }.items():
        (tmp_path / name).write_bytes(data)
    assert trouble("install", "http://127.0.0.1:9", *words) == said


@pytest.mark.parametrize("url", ["kibana:5601", "ftp://kibana", "http://", "http://[::1", "http://a:b:c"])
def test_what_is_no_url_is_said(url):
    assert trouble("install", url) == f"{url}: no URL, as in http://kibana:5601"


def test_a_secret_in_the_url_is_refused():
    assert "take --user and --password-file" in trouble("install", "http://ann:secret@kibana:5601")


def test_a_server_that_is_not_there_is_said():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert trouble("install", url) == f"{url}: can't be reached: Connection refused"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "Remote end closed connection without response"),
        (b"220 mail.example.org ESMTP\r\n", "220 mail.example.org ESMTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", "IncompleteRead(1 bytes read, 98 more expected)"),
    ],
)
def test_a_server_that_speaks_no_http_is_one_line(answer, said):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=_says, args=(server, answer))
        thread.start()
        assert trouble("install", url) == f"{url}: can't be reached: {said}"
        thread.join()


def _says(server, answer):
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, b"Kibana server is not ready yet"), "it answered 503: Kibana server is not ready yet"),
        ((404, b"nothing"), "no Kibana: it answered 404: nothing"),
        ((200, b"<html>"), "no Kibana: its answer is no JSON"),
        ((200, []), "no Kibana: its answer is no JSON"),
        ((302, ({"location": "/login"}, b"")), "it sends us to /login: name the address of Kibana itself"),
        ((500, b"\x1b[31mred"), r"it answered 500: \x1b[31mred"),
    ],
)
def test_other_servers_are_told_from_kibana(answer, said):
    with Kibana(answers={"/api/status": answer}) as server:
        assert trouble("install", server.url) == f"{server.url}: {said}"


def test_who_may_not_import_is_told_why():
    answer = 403, {"statusCode": 403, "error": "Forbidden", "message": "Unable to bulk_create dashboard"}
    with Kibana(answers={"/api/saved_objects/_import": answer}) as server:
        said = trouble("install", server.url)
    assert said == f"{server.url}: who we are there may not do this: Unable to bulk_create dashboard"


def test_a_kibana_without_security_has_no_rules():
    path = "/api/detection_engine/rules/_find"
    with Kibana(answers={path: (404, {"statusCode": 404, "message": "Not Found"})}) as server:
        assert trouble("install", server.url, "--rules") == f"{server.url}: it has no {path}"
    assert len(server.objects["default"]) == len(OBJECTS)


def test_what_could_not_be_imported_is_named_though_the_answer_is_200():
    with Kibana() as server:
        server.refused["tapscan-overview"] = {"type": "unsupported_type"}
        server.refused["tapscan-flow"] = {"type": "unknown", "message": "it broke", "statusCode": 500}
        said = trouble("install", server.url)
    both = "dashboard tapscan-flow: it broke", "dashboard tapscan-overview: unsupported type"
    assert said.startswith(f"{server.url}: 2 objects not imported: ")
    assert all(one in said for one in both)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("manager.kibana_install._data", lambda _: kibana.ndjson(OBJECTS[-1:]).encode())
    with Kibana() as server:
        said = trouble("install", server.url)
    assert f"dashboard {OBJECTS[-1]['id']}: missing references index-pattern tapscan-documents, " in said


def test_many_errors_are_few_words():
    with Kibana() as server:
        server.refused |= {one["id"]: {"type": "unknown", "message": "no"} for one in OBJECTS}
        said = trouble("install", server.url)
    assert said.startswith(f"{server.url}: {len(OBJECTS)} objects not imported: ")
    assert said.endswith(f"; and {len(OBJECTS) - 5} more")


def test_a_rule_that_is_refused_is_named():
    with Kibana() as server:
        server.refused[RULES[0]["rule_id"]] = {"status_code": 400, "message": "name: Required"}
        said = trouble("install", server.url, "--rules")
    assert said == f"{server.url}: 1 rules not imported: {RULES[0]['rule_id']}: name: Required"


def test_less_than_all_without_an_error_is_not_taken_for_all():
    body = {"success": True, "successCount": 3}
    with Kibana(answers={"/api/saved_objects/_import": (200, body)}) as server:
        assert trouble("install", server.url) == f"{server.url}: 3 of {len(OBJECTS)} objects imported"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Of 127.0.0.1, signed by itself; with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate (Debian: openssl)")
    folder = tmp_path_factory.mktemp("tls")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-days", "2", "-subj", "/CN=kibana"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(words, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_a_certificate_is_believed_when_it_is_named(install, certificate):
    with Kibana(certificate=certificate) as server:
        assert install(server.url, "--ca", certificate[0])


def test_a_certificate_that_nobody_knows_is_not_believed(certificate):
    with Kibana(certificate=certificate) as server:
        said = trouble("install", server.url)
    assert said.startswith(f"{server.url}: can't be reached: ")
    assert "certificate verify failed" in said
    assert server.asked == []


@pytest.mark.parametrize(("name", "said"), [("none", "No such file or directory"), ("odd", "no certificates")])
def test_certificates_that_can_not_be_read_are_named(tmp_path, name, said):
    (tmp_path / "odd").write_text("nothing")
    path = tmp_path / name
    assert trouble("install", "https://127.0.0.1:9", "--ca", path) == f"--ca: {path}: {said}"


def test_export_writes_what_is_imported_by_hand(tmp_path):
    assert do(["kibana", "export", str(tmp_path / "o.ndjson")]) == 0
    assert (tmp_path / "o.ndjson").read_bytes() == (ROOT / "kibana/tapscan.ndjson").read_bytes()
    assert do(["kibana", "export", str(tmp_path / "r.ndjson"), "--rules"]) == 0
    assert (tmp_path / "r.ndjson").read_bytes() == (ROOT / "kibana/rules.ndjson").read_bytes()


def test_export_to_where_nothing_can_be_written_is_one_line(tapscan):
    done = tapscan("kibana", "export", "none/o.ndjson")
    assert (done.returncode, done.stderr) == (2, b"tapscan: none/o.ndjson: No such file or directory\n")


def test_the_command_line_says_what_is_wrong_in_one_line(tapscan):
    done = tapscan("kibana", "install", "kibana:5601")
    assert (done.returncode, done.stderr) == (2, b"tapscan: kibana:5601: no URL, as in http://kibana:5601\n")
