"""A file fetched in passive mode, one in extended passive mode; the data of the second come before its command."""

from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet

CLIENT, SERVER = "192.0.2.10", "198.51.100.21"


def packets() -> Iterator[Packet]:
    """A control connection and two data connections."""
    control = Conversation(f"{CLIENT}:41003", f"{SERVER}:21")
    first = Conversation(f"{CLIENT}:41004", f"{SERVER}:50001", at=0.05)
    second = Conversation(f"{CLIENT}:41005", f"{SERVER}:50002", at=0.25)
    yield from control.open()
    yield from control.talk(
        b"220 Ready\r\n", b"USER alice\r\n", b"331 Password\r\n", b"PASS secret\r\n", b"230 Welcome\r\n"
    )
    yield from control.orig(b"PASV\r\n")
    yield from control.talk(b"227 Entering Passive Mode (198,51,100,21,195,81).\r\n", b"RETR first.txt\r\n")
    yield from first.open()
    control.wait(0.1)
    yield from control.talk(b"150 Here it comes\r\n")
    first.wait(0.1)
    yield from first.resp(b"The first file.\n" * 200)
    yield from first.close()
    control.wait(0.05)
    yield from control.talk(b"226 Done\r\n", b"EPSV\r\n", b"229 Entering Extended Passive Mode (|||50002|)\r\n")
    yield from second.open()
    yield from second.orig(b"PK\5\6" + bytes(18))
    control.wait(0.2)
    yield from control.orig(b"STOR second.zip\r\n")
    yield from control.talk(b"150 Send it\r\n")
    second.wait(0.2)
    yield from second.close()
    control.wait(0.1)
    yield from control.talk(b"226 Done\r\n", b"QUIT\r\n", b"221 Bye\r\n")
    yield from control.close()
