"""A file fetched in active mode: the server opens the data connection to the port that the client announced."""

from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet

CLIENT, SERVER = "2001:db8::10", "2001:db8::21"


def packets() -> Iterator[Packet]:
    """A control connection over IPv6, and the data connection the other way round."""
    control = Conversation(f"[{CLIENT}]:41006", f"[{SERVER}]:2121")
    data = Conversation(f"[{SERVER}]:20", f"[{CLIENT}]:41007", at=0.05)
    yield from control.open()
    yield from control.talk(
        b"220 Ready\r\n",
        b"USER alice\r\n",
        b"230 Welcome\r\n",
        b"EPRT |2|2001:db8::10|41007|\r\n",
        b"200 OK\r\n",
        b"RETR song.mp3\r\n",
    )
    yield from data.open()
    control.wait(0.1)
    yield from control.talk(b"150 Here it comes\r\n")
    data.wait(0.1)
    yield from data.orig(b"ID3\3\0\0\0\0\0\0" + bytes(3000))
    yield from data.close()
    control.wait(0.1)
    yield from control.talk(b"226 Done\r\n")
    yield from control.close()
