"""Real servers and clients, one of each a protocol: run by `python traffic.py ROLE ...` inside a namespace.

serve ADDRESS FOLDER        HTTP on 80, FTP on 21, SMTP on 25; prints "ready"
fetch ADDRESS NAME...       gets each by HTTP and FTP, and mails each
"""

from __future__ import annotations

import ftplib
import http.server
import logging
import smtplib
import socket
import sys
import threading
import time
import urllib.request
from email.message import EmailMessage
from functools import partial


def serve(address, folder):
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    web = type("Web", (http.server.ThreadingHTTPServer,), {"address_family": family})(
        (address, 80), partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    )
    threading.Thread(target=web.serve_forever, daemon=True).start()
    Controller(Sink(), hostname=address, port=25).start()
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(folder)
    files = type("Files", (FTPHandler,), {"authorizer": authorizer, "use_sendfile": False})
    server = FTPServer((address, 21), files)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()


def fetch(address, *names):
    host = f"[{address}]" if ":" in address else address
    for name in names:
        with urllib.request.urlopen(f"http://{host}/{name}") as answer:
            payload = answer.read()
        with ftplib.FTP(address, timeout=10) as ftp:
            ftp.login()
            received = []
            ftp.retrbinary(f"RETR {name}", received.append)
            assert b"".join(received) == payload
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", name
        mail.set_content("see attachment\n")
        mail.add_attachment(payload, maintype="application", subtype="octet-stream", filename=name)
        with smtplib.SMTP(address) as smtp:
            smtp.send_message(mail)
    time.sleep(0.2)  # the last FINs


if __name__ == "__main__":
    {"serve": serve, "fetch": fetch}[sys.argv[1]](*sys.argv[2:])
