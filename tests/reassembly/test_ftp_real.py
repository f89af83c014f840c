"""What ftplib says to pyftpdlib, heard in between; the data connections pass straight."""

import ftplib
import io
import random
import threading
import warnings

import pytest
from relay import Relay
from session import bytewise, flow, origin, packed, run, whole

from reassembly.events import Expect
from reassembly.protocols import Answer
from reassembly.protocols.ftp import Parser, probe

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # pyftpdlib stands on asyncore
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

LOOPBACK = packed("127.0.0.1")
DATA = random.Random(2).randbytes(200_000)


@pytest.fixture
def server(tmp_path):
    """A server with a file in it, in a thread; its handler counts the data connections it opens."""
    (tmp_path / "pub").mkdir()
    (tmp_path / "pub" / "big.bin").write_bytes(DATA)
    authorizer = DummyAuthorizer()
    authorizer.add_user("me", "secret", str(tmp_path), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "permit_foreign_addresses": True})
    server = FTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.02, "handle_exit": False})
    thread.start()
    yield server
    server.close_all()
    thread.join(10)


def talk(server, passive):
    """A session with every kind of transfer; gives the control connection as it was heard."""
    with Relay(server.address) as relay, ftplib.FTP() as ftp:
        ftp.connect("127.0.0.1", relay.port)
        ftp.login("me", "secret")
        ftp.set_pasv(passive)
        got = io.BytesIO()
        ftp.retrbinary("RETR pub/big.bin", got.write)
        ftp.retrbinary("RETR pub/big.bin", got.write, rest=150_000)
        assert got.getvalue() == DATA + DATA[150_000:]
        ftp.storbinary("STOR pub/up.bin", io.BytesIO(DATA[:1000]))
        with pytest.raises(ftplib.error_perm):
            ftp.retrbinary("RETR no-such-file", got.write)
        ftp.storbinary("APPE pub/up.bin", io.BytesIO(DATA[1000:]))
        ftp.retrlines("LIST pub", lambda line: None)
        list(ftp.mlsd("pub"))
        ftp.storbinary("STOU", io.BytesIO(DATA))
    (session,) = relay.sessions
    return session


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_every_transfer_is_announced(server, passive, cut, tmp_path):
    session = talk(server, passive)
    of = flow(orig=("127.0.0.1", 40000), resp=("127.0.0.1", server.address[1]))
    expected = [one for one in run(Parser(origin(of)), cut(session)) if isinstance(one, Expect)]
    used = [one for one in expected if one.facts]
    assert {one.ip for one in expected} == {LOOPBACK}
    assert [(one.facts["tapscan.ftp.command"], one.facts.get("tapscan.ftp.path")) for one in used[:3]] == [
        ("RETR", "pub/big.bin"),
        ("RETR", "pub/big.bin"),
        ("STOR", "pub/up.bin"),
    ]
    assert [one.facts["tapscan.ftp.command"] for one in used[3:]] == ["APPE", "LIST", "MLSD", "STOU"]
    assert [one.facts.get("tapscan.ftp.rest") for one in used[:3]] == [None, 150_000, None]
    assert {one.facts["tapscan.ftp.reply_code"] for one in used} == {226}
    assert (tmp_path / used[-1].facts["tapscan.ftp.path"]).read_bytes() == DATA
    heads = [b"".join(piece for side, piece in session if side == one) for one in (0, 1)]
    assert probe(*heads) is Answer.YES
