"""`tapscan icap-server` as a process; asked by c-icap-client, and by bytes that a proxy sends."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from random import Random

import pytest
from icap import HOST, YARA, Asking, IcapServer, asked, chunked, client
from machine import small_disk

CLEAN = b"nothing to see here\n" * 1000
PAGE = re.compile(rb"Incident: <b>(\w+)</b>")
# scanners that are too slow, broken, and of two minds
SLOW = "[[engine]]\nkind = 'command'\nname = 'slow'\nargv = ['sh', '-c', 'sleep 2', '{file}']\n"
BROKEN = "[[engine]]\nkind = 'command'\nname = 'broken'\nargv = ['sh', '-c', 'exit 9', '{file}']\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with IcapServer(tmp_path_factory.mktemp("icap")) as made:
        yield made


@pytest.fixture
def proxy(server):
    with Asking(server.port) as made:
        yield made


def zipped(payload, name="inside.txt"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, payload)
    return out.getvalue()


def test_the_real_client_asks_for_options(server):
    said = client(server.port, "-s", "respmod")
    for text in ("Allow 204: Yes", "Preview: 4096", "Keep alive: Yes", "Methods: RESPMOD\n", "Max-Connections: 200"):
        assert text in said
    assert "Transfer-Preview: *" in said
    assert re.search(r'ISTag: "[0-9a-f]{1,32}"', said)
    assert "Methods: RESPMOD, REQMOD\n" in client(server.port, "-s", "avscan")


@pytest.mark.parametrize("words", [(), ("-nopreview",), ("-no204",), ("-no204", "-nopreview")])
@pytest.mark.parametrize("size", [0, 600, 4096, 4097, 3_000_000])
def test_the_real_client_gets_back_what_is_clean(server, tmp_path, words, size):
    payload = os.urandom(size)
    (tmp_path / "given").write_bytes(payload)
    url = "http://www.example.org/a"
    said = client(server.port, "-s", "respmod", "-f", tmp_path / "given", "-o", tmp_path / "back", "-req", url, *words)
    if "Allow 204 response" in said:
        assert not (tmp_path / "back").exists()
    else:
        assert words
        assert (tmp_path / "back").read_bytes() == payload


@pytest.mark.parametrize("words", [(), ("-nopreview",), ("-no204",), ("-no204", "-nopreview")])
def test_the_real_client_gets_the_page_for_what_is_not(server, tmp_path, words, eicar):
    (tmp_path / "given").write_bytes(eicar)
    said = client(server.port, "-s", "respmod", "-f", tmp_path / "given", "-o", tmp_path / "back", *words)
    assert "HTTP/1.1 403 Forbidden" in said
    assert "X-Infection-Found: Type=0; Resolution=2; Threat=EICAR_test_file;" in said
    assert b"EICAR_test_file" in (tmp_path / "back").read_bytes()


def test_what_is_decoded_and_unpacked_is_scanned_and_told(tmp_path, eicar):
    import gzip

    body = gzip.compress(zipped(eicar))
    with (
        IcapServer(tmp_path, more=YARA + "[sensor]\nhome = ['192.0.2.0/24']\n") as server,
        Asking(server.port) as proxy,
    ):
        proxy.send(asked(body=body, response=("Content-Encoding: gzip",), fields=("X-Client-IP: 192.0.2.7",)))
        status, fields, head, page = proxy.answer()
        assert (status, fields["Connection"]) == (200, "keep-alive")
        assert head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert b"Connection" not in head
        assert f"Content-Length: {len(page)}\r\n".encode() in head
        (alarm,) = server.documents("alarm")
        (action,) = server.documents("action")
        outer, inner = server.documents("object", 2)
        server.end()
    assert PAGE.search(page)[1].decode() == alarm["tapscan"]["alarm"]["id"]
    assert (outer["file"]["mime_type"], inner["file"]["name"]) == ("application/zip", "inside.txt")
    assert outer["tapscan"]["object"]["codings"] == ["gzip"]
    assert inner["url"]["full"] == "http://www.example.org/a.bin"
    assert (alarm["source"]["ip"], alarm["network"]["direction"]) == ("192.0.2.7", "outbound")
    assert alarm["observer"]["ingress"]["interface"]["name"] == "icap"
    assert action["event"]["type"] == ["info", "denied"]
    assert (action["tapscan"]["action"]["outcome"], action["event"]["action"]) == ("confirmed", "block_page")
    assert action["tapscan"]["flow"]["id"] == alarm["tapscan"]["flow"]["id"]


def test_a_form_that_is_sent_is_taken_apart(proxy, eicar):
    body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="e.txt"\r\n\r\n' + eicar + b"\r\n--x--\r\n"
    head = (
        b"POST http://www.example.org/up HTTP/1.1\r\nHost: www.example.org\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    encapsulated = f"Encapsulated: req-hdr=0, req-body={len(head)}\r\n\r\n".encode()
    proxy.send(b"REQMOD icap://a/reqmod ICAP/1.0\r\nAllow: 204\r\n", encapsulated, head, chunked(body))
    status, _, head, page = proxy.answer()
    assert status == 200
    assert head.startswith(b"HTTP/1.1 403 ")
    assert b"EICAR" in page


def test_a_connection_serves_many_with_and_without_preview(proxy, eicar):
    for _ in range(3):
        proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
        assert proxy.answer()[0] == 204
        proxy.send(asked(body=CLEAN, preview=1024))
        assert proxy.head() == (100, {})
        proxy.send(chunked(CLEAN[1024:]))
        status, _, head, body = proxy.answer()
        assert (status, head, body) == (200, b"HTTP/1.1 200 OK\r\n\r\n", CLEAN)
        proxy.send(asked(body=eicar, preview=1024))
        assert proxy.answer()[3].startswith(b"<!DOCTYPE html>")
        proxy.send(asked(body=CLEAN[:100], preview=1024))
        assert proxy.answer()[0] == 204
        proxy.send(asked("REQMOD", body=CLEAN))
        status, fields, head, body = proxy.answer()
        assert (status, body) == (200, CLEAN)
        assert head.startswith(b"POST http://www.example.org/a.bin HTTP/1.1\r\n")
        assert fields["Encapsulated"] == f"req-hdr=0, req-body={len(head)}"


def test_what_has_no_body_is_let_through(proxy):
    head = b"GET http://www.example.org/ HTTP/1.1\r\n\r\n"
    begin = b"REQMOD icap://a/reqmod ICAP/1.0\r\n"
    encapsulated = f"Encapsulated: req-hdr=0, null-body={len(head)}\r\n\r\n".encode()
    proxy.send(begin, b"Allow: 204\r\n", encapsulated, head, begin, encapsulated, head)
    assert proxy.answer()[0] == 204
    status, fields, back, _ = proxy.answer()
    assert (status, back, fields["Encapsulated"]) == (200, head, f"req-hdr=0, null-body={len(head)}")


def test_who_wants_no_more_is_left(proxy):
    proxy.send(asked(body=CLEAN, fields=("Allow: 204", "Connection: close")))
    assert proxy.answer()[0] == 204
    assert proxy.over()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"A" * 70_000, 400),
        (b"RESPMOD icap://a/b ICAP/1.0\r\nEncapsulated: res-hdr=0, res-body=99999999\r\n\r\n", 413),
        (b"RESPMOD icap://a/b ICAP/1.0\r\nEncapsulated: res-body=0\r\n\r\nxyz\r\n", 400),
        (b"RESPMOD icap://a/b ICAP/1.0\r\nEncapsulated: res-body=0\r\n\r\n5;" + b"a" * 9000, 400),
        (b"FILEMOD icap://a/b ICAP/1.0\r\n\r\n", 501),
        (b"OPTIONS icap://a/b ICAP/3.1\r\n\r\n", 505),
    ],
)
def test_what_is_no_icap_is_answered_and_left(server, sent, status):
    with Asking(server.port) as proxy:
        proxy.send(sent)
        assert proxy.head() == (status, {"Connection": "close"})
        assert proxy.over()


def test_heads_that_are_no_http_are_read_as_far_as_they_go(proxy, eicar):
    junk = b"\0\xff no head \r\n\r\n"
    parts = f"Encapsulated: req-hdr=0, res-hdr={len(junk)}, res-body={2 * len(junk)}\r\n\r\n".encode()
    for body, status in (CLEAN, 204), (eicar, 200):
        proxy.send(b"RESPMOD icap://a/b ICAP/1.0\r\nAllow: 204\r\nX-Client-IP: nobody\r\n", parts, junk, junk)
        proxy.send(chunked(body))
        assert proxy.answer()[0] == status


def test_whatever_is_sent_it_goes_on(tmp_path, eicar):
    random = Random(3507)
    whole = (
        asked(body=CLEAN, preview=1024),
        asked(body=eicar, response=("Content-Encoding: gzip", "Content-Type: multipart/mixed; boundary=x")),
        asked("REQMOD", body=zipped(eicar)),
        b"OPTIONS icap://a/b ICAP/1.0\r\nEncapsulated: opt-body=0\r\n\r\n" + chunked(CLEAN),
    )
    with IcapServer(tmp_path) as server:
        for number in range(300):
            data = bytearray(whole[number % 4])
            for _ in range(random.randrange(8)):
                at = random.randrange(len(data))
                data[at : at + random.randrange(3)] = random.choice(
                    (b"\0", b"\r\n", b"9", b"f" * 9, b";", b"", b"\xff")
                )
            with Asking(server.port) as proxy:
                said = proxy.last(data[: random.randrange(len(data) + 1)])
            assert not said or said.startswith(b"ICAP/1.0 ")
            assert not said.startswith(b"ICAP/1.0 500")
        with Asking(server.port) as proxy:
            proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
            assert proxy.answer()[0] == 204
        code, _, err = server.end()
    assert code == 0
    assert all(line.startswith("tapscan: ") for line in err.splitlines())


def test_who_is_silent_or_drips_is_left_and_others_are_served(tmp_path):
    with IcapServer(tmp_path, "timeout = 1.0\ntrickle = 0.0") as server:
        with Asking(server.port) as silent, Asking(server.port) as half, Asking(server.port) as other:
            half.send(asked(body=CLEAN)[:-20])
            other.send(asked(body=CLEAN, fields=("Allow: 204",)))
            assert other.answer()[0] == 204
            assert silent.over()
            assert half.head() is None
        code, _, err = server.end()
    assert (code, err) == (0, "")


def test_no_more_connections_than_allowed(tmp_path):
    with IcapServer(tmp_path, "max_connections = 2") as server, Asking(server.port) as one, Asking(server.port) as two:
        for proxy in (one, two):
            proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
            assert proxy.answer()[0] == 204
        with Asking(server.port) as three:
            assert three.head() == (503, {"Connection": "close"})
        server.says("2 connections are open already")
        one.send(asked(body=CLEAN, fields=("Allow: 204",)))
        assert one.answer()[0] == 204


@pytest.mark.parametrize("way", ["open", "closed"])
def test_what_is_too_large(tmp_path, way, eicar):
    large = b"\n".join([CLEAN] * 40)
    with IcapServer(tmp_path, f"max_bytes = 500000\non_large = '{way}'") as server, Asking(server.port) as proxy:
        proxy.send(asked(body=large, response=(f"Content-Length: {len(large)}",), preview=1000))
        status, fields, _, body = proxy.answer()  # known by its head: the rest isn't asked for
        assert (status, fields["Connection"]) == (204 if way == "open" else 200, "keep-alive")
        assert (b"too large to be scanned (limit:max_bytes)" in body) == (way == "closed")
        proxy.send(asked(body=eicar, response=(f"Content-Length: {len(large)}",), preview=1000))
        assert proxy.answer()[0] == 200
        proxy.send(asked(body=large))  # found out on the way
        if way == "open":
            assert proxy.answer()[3] == large
        else:
            assert b"too large" in proxy.answer()[3]
            assert proxy.over()
        found = server.documents("object", 3)
        server.says("too large to be scanned")
    assert [one["tapscan"]["object"]["cut"] for one in found[::2]] == ["limit:max_bytes"] * 2
    assert found[0]["tapscan"]["verdict"] == "clean_so_far"


def test_what_a_limit_of_unpacking_keeps_from_the_engines_is_too_large(tmp_path, eicar):
    inner = zipped(CLEAN)
    with IcapServer(tmp_path, more=YARA + "[limits]\nunpack_depth = 1\n") as server, Asking(server.port) as proxy:
        proxy.send(asked(body=inner, fields=("Allow: 204",)))
        assert proxy.answer()[0] == 204
        proxy.send(asked(body=zipped(inner, "inner.zip"), fields=("Allow: 204",)))
        status, _, _, body = proxy.answer()
    assert status == 200
    assert b"too large to be scanned (limit:unpack_depth)" in body


def test_a_full_disk_lets_nothing_through_unseen(tmp_path):
    (disk := Path(tempfile.mkdtemp())).chmod(0o755)
    large = bytes(6 << 20)  # more than is kept in memory
    with (
        small_disk(disk, "1m"),
        IcapServer(tmp_path, more=f"{YARA}[sensor]\ntemporary = '{disk}'\n") as server,
        Asking(server.port) as kept,
        Asking(server.port) as proxy,
    ):
        kept.send(asked(body=large))  # it would have to be given back
        assert kept.head() == (500, {"Connection": "close"})
        server.says("a body can't be kept: No space left on device")
        proxy.send(asked(body=large, fields=("Allow: 204",)))
        assert b"too large to be scanned (limit:disk)" in proxy.answer()[3]
        proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
        assert proxy.answer()[0] == 204
    disk.rmdir()


@pytest.mark.parametrize("way", ["open", "closed"])
def test_what_no_engine_can_scan(tmp_path, way):
    with IcapServer(tmp_path, f"on_error = '{way}'", BROKEN) as server, Asking(server.port) as proxy:
        proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
        status, _, _, body = proxy.answer()
        assert status == (204 if way == "open" else 200)
        assert (b"could not be scanned: broken" in body) == (way == "closed")
        server.says("could not be scanned: broken")


@pytest.mark.parametrize("way", ["open", "closed"])
def test_what_takes_too_long(tmp_path, way):
    limits = f"time_limit = 1.0\ntrickle = 0.0\non_error = '{way}'"
    with IcapServer(tmp_path, limits, SLOW) as server, Asking(server.port) as proxy:
        proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
        status, _, _, body = proxy.answer()
        assert status == (204 if way == "open" else 200)
        assert (b"could not be scanned within 1 seconds" in body) == (way == "closed")
        half = asked(body=CLEAN)
        proxy.send(half[:-4000])  # slow itself
        if way == "closed":
            assert b"within 1 seconds" in proxy.answer()[3]
        else:
            status, _ = proxy.head()
            proxy.send(half[-4000:])
            assert status == 200


def test_what_is_found_after_it_was_let_through_is_late(tmp_path, eicar):
    with IcapServer(tmp_path, "time_limit = 0.5\non_error = 'open'", YARA + SLOW) as server:
        with Asking(server.port) as proxy:
            proxy.send(asked(body=eicar, fields=("Allow: 204",)))
            assert proxy.answer()[0] == 204
        (action,) = server.documents("action")
        server.documents("alarm")
    assert action["tapscan"]["action"]["outcome"] == "late"


def test_one_finding_that_is_only_observed_does_not_cover_another(tmp_path, eicar):
    rules = 'rule Odd { meta: verdict = "suspicious" strings: $a = "nothing to see" condition: $a }'
    (tmp_path / "own.yar").write_text(rules)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("odd.txt", CLEAN)
        archive.writestr("eicar.txt", eicar)
    more = (
        "[[engine]]\nkind = 'yara'\nrules = ['own.yar']\n"
        "[[policy]]\nwhen = { signature = 'Odd' }\ndo = ['observe']\n[[policy]]\ndo = ['reset']\n"
    )
    with IcapServer(tmp_path, more=more) as server, Asking(server.port) as proxy:
        proxy.send(asked(body=out.getvalue()))
        assert proxy.answer()[2].startswith(b"HTTP/1.1 403 ")
        done = [one["tapscan"]["action"]["outcome"] for one in server.documents("action", 2)]
    assert sorted(done) == ["confirmed", "observed"]


def test_the_policy_decides_by_the_clients_network(tmp_path, eicar):
    policy = (
        "[[policy]]\nwhen = { networks = ['192.0.2.0/25'] }\ndo = ['observe']\n"
        "[[policy]]\nwhen = { verdict = 'malicious' }\ndo = ['reset']\n"
        "[countermeasures]\nallow = ['192.0.2.200/32']\n"
    )
    with IcapServer(tmp_path, more=YARA + policy) as server, Asking(server.port) as proxy:
        for address, status in (
            ("192.0.2.7", 204),
            ("192.0.2.130", 200),
            ("::ffff:192.0.2.8", 204),
            ("192.0.2.200", 204),
        ):
            proxy.send(asked(body=eicar, fields=("Allow: 204", f"X-Client-IP: {address}")))
            assert proxy.answer()[0] == status
        done = [one["tapscan"]["action"]["outcome"] for one in server.documents("action", 4)]
    assert done == ["observed", "confirmed", "observed", "refused"]


def test_observing_and_the_stop_file_let_all_through(tmp_path, eicar):
    stop = tmp_path / "actions" / "stop"
    more = f"{YARA}[countermeasures]\nstop_file = '{stop}'\n"
    for number, mode in enumerate(("observe", "enforce")):
        (folder := tmp_path / str(number)).mkdir()
        with IcapServer(folder, f"mode = '{mode}'", more) as server, Asking(server.port) as proxy:
            stop.touch() if mode == "enforce" else None
            proxy.send(asked(body=eicar, fields=("Allow: 204",)))
            assert proxy.answer()[0] == 204
            (action,) = server.documents("action")
            server.documents("alarm")
            assert action["tapscan"]["action"]["outcome"] == ("refused" if mode == "enforce" else "observed")
            stop.unlink(missing_ok=True)
            proxy.send(asked(body=eicar, fields=("Allow: 204",)))
            assert proxy.answer()[0] == (200 if mode == "enforce" else 204)


def test_a_command_of_the_policy_runs_beside_the_page(tmp_path, eicar):
    policy = "[[policy]]\ndo = ['reset', 'command']\nargv = ['grep', 'EICAR']\n"
    with IcapServer(tmp_path, more=YARA + policy) as server, Asking(server.port) as proxy:
        proxy.send(asked(body=eicar))
        assert proxy.answer()[0] == 200
        done = {one["event"]["action"]: one["tapscan"]["action"]["outcome"] for one in server.documents("action", 2)}
    assert done == {"block_page": "confirmed", "command": "done"}


def test_rules_are_read_anew_and_the_proxy_is_told(tmp_path):
    rules = tmp_path / "own.yar"
    rules.write_text("rule none { condition: false }")
    more = '[[engine]]\nkind = "yara"\nrules = ["own.yar"]\n'
    with IcapServer(tmp_path, more=more) as server, Asking(server.port) as proxy:
        proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
        status, before, *_ = proxy.answer()
        assert status == 204
        rules.write_text('rule see { strings: $a = "nothing to see" condition: $a }')
        server.process.send_signal(signal.SIGHUP)
        server.says("settings have been read again")
        proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
        status, after, *_ = proxy.answer()
    assert status == 200
    assert before["ISTag"] != after["ISTag"]


def test_a_stalling_proxy_gets_single_bytes_and_what_is_bad_is_cut(tmp_path, eicar):
    bad = zipped(eicar) + bytes(100_000)
    with IcapServer(tmp_path, "trickle = 0.1") as server, Asking(server.port) as proxy:
        for whole, cut in (CLEAN * 10, False), (bad, True):
            proxy.send(asked(body=whole, preview=0))
            assert proxy.head() == (100, {})
            rest = chunked(whole)
            proxy.send(rest[:-100])
            assert proxy.head()[0] == 200  # though not all has come
            proxy.send(rest[-100:])
            assert proxy._file.read(19) == b"HTTP/1.1 200 OK\r\n\r\n"
            if not cut:
                assert proxy.chunks() == whole
                continue
            with pytest.raises(EOFError):
                proxy.chunks()
        with Asking(server.port) as again:  # who asks again gets the page
            again.send(asked(body=bad, preview=1024))
            assert PAGE.search(again.answer()[3])
            again.send(asked(body=CLEAN, fields=("Allow: 204",), url="http://www.example.org/other"))
            assert again.answer()[0] == 204


def test_who_does_not_read_documents_or_is_gone_holds_nothing_up(tmp_path):
    reading, writing = os.pipe()
    with IcapServer(tmp_path, out=writing) as server, Asking(server.port) as proxy:
        os.close(writing)
        for number in range(200):  # a pipe holds some fifty documents
            proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
            assert proxy.answer()[0] == 204
            if number == 150:
                os.close(reading)
        assert server.end()[0] == 0


def test_nothing_of_it_is_root(server, proxy):
    proxy.send(asked(body=CLEAN, fields=("Allow: 204",)))
    assert proxy.answer()[0] == 204
    threads = [path.read_text() for path in Path(f"/proc/{server.process.pid}/task").glob("*/status")]
    assert len(threads) > 3
    for text in threads:
        users, capabilities = (re.search(rf"^{name}:\t(.*)$", text, re.M)[1] for name in ("Uid", "CapEff"))
        assert "0" not in users.split()
        assert int(capabilities, 16) == 0


def test_it_ends_in_order_with_what_is_held(tmp_path):
    with IcapServer(tmp_path) as server, Asking(server.port) as busy, Asking(server.port) as idle:
        idle.send(asked(body=CLEAN, fields=("Allow: 204",)))
        assert idle.answer()[0] == 204
        busy.send(asked(body=CLEAN, preview=1024, fields=("Allow: 204",)))
        assert busy.head() == (100, {})
        server.process.send_signal(signal.SIGTERM)
        assert idle.over()
        busy.send(chunked(CLEAN[1024:]))
        assert busy.answer()[0] == 204
        server.process.wait(30)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, server.port))
        assert server.end()[0] == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[icap]\nlisten = 'here'", "icap.listen: 'here' won't do: write HOST:PORT"),
        ("[icap]\nlisten = '192.0.2.1:1344'", "icap.listen: 192.0.2.1:1344: "),
        ("[icap]\non_error = 'ask'", "icap.on_error: "),
        ("[icap]\ntime_limit = 0", "icap.time_limit: 0 won't do: it has to be more than 0"),
        ("[icap]\npreview = 100000", "icap.preview: 100000 won't do: it has to be 65536 or less"),
        ("[block_page]\nstatus = 100", "block_page.status: 100 won't do"),
        ("[block_page]\ntemplate = 'absent.html'", "absent.html: No such file"),
    ],
)
def test_bad_settings_are_one_line_and_exit_code_2(tmp_path, text, says):
    (tmp_path / "bad.toml").write_text(text)
    words = [sys.executable, "-m", "manager.cli", "icap-server", "-q", "--config", tmp_path / "bad.toml"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert says in last
    assert all(line.startswith("tapscan: ") for line in done.stderr.splitlines())
