"""Captures of real traffic: nginx and an HTTP client, each in a network namespace of its own, tcpdump between them.

Needs root and Debian's nginx-light, tcpdump, iproute2 and ethtool. Contents are pieces of files of this machine, so
captures of two machines differ: figures are compared on one.

    python -m bench.traffic URLS ADDRESS REQUESTS    is the client, run inside its namespace
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Failed
from bench.peers import command, missing

SERVER, CLIENT = "10.201.0.1", "10.201.0.2"
CLIENTS = 6  # side by side
PLACES = ("/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/python3*", "/usr/share/doc", "/usr/share/perl")
NGINX = """\
worker_processes 1;
daemon off;
pid {home}/nginx.pid;
error_log {home}/nginx.log;
events {{ worker_connections 512; }}
http {{
    types {{ text/html html; text/plain txt py; application/gzip gz; }}
    access_log off;
    gzip on; gzip_types *; gzip_min_length 100;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    server {{ listen {address}:80; root {home}/www; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """How many responses of what size (log-normal, bytes), and how many requests a connection has at most."""

    responses: int
    median: int
    sigma: float
    requests: int


KINDS = {"A": Kind(4000, 12_000, 1.65, 12), "small": Kind(12_000, 2500, 0.8, 1)}


def make(path: Path, name: str) -> None:
    """Writes the capture `name`. Raises Failed when that can't be done here."""
    if os.geteuid() != 0:
        raise Failed("captures of real traffic need root")
    if lacking := missing("nginx", "tcpdump", "ip", "ethtool"):
        raise Failed(lacking)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        home = Path(directory)
        home.chmod(0o755)  # nginx serves as another user
        urls = _contents(home, KINDS[name])
        server, client = stack.enter_context(_namespaces())
        settings = home / "nginx.conf"
        settings.write_text(NGINX.format(home=home, address=SERVER))
        stack.enter_context(_running(inside(server, command("nginx"), "-c", str(settings), "-p", str(home))))
        dump = [command("tcpdump"), "-i", "user", "-s", "0", "-B", "65536", "-U", "-Z", "root", "-w", str(path), "tcp"]
        stack.enter_context(_running(inside(client, *dump)))
        time.sleep(1.5)  # until both have opened their sockets
        one = [sys.executable, "-m", "bench.traffic", str(urls), SERVER, str(KINDS[name].requests)]
        subprocess.run(inside(client, *one), check=True, cwd=Path(__file__).parents[1])
        time.sleep(1.5)  # the last packets


def _contents(home: Path, kind: Kind) -> Path:
    """www/ with pieces of files, and the list of their names."""
    dice = random.Random(kind.responses)
    (home / "www").mkdir()
    files = [file for place in PLACES for found in sorted(Path("/").glob(place[1:])) for file in _files(found)]
    names = []
    for number in range(kind.responses):
        size = min(int(dice.lognormvariate(0, kind.sigma) * kind.median) + 1, 20 << 20)
        first = dice.choice(files)
        data = first.read_bytes()
        while len(data) < size:
            data += dice.choice(files).read_bytes()
        names.append(f"{number:05}{first.suffix or '.bin'}")
        (home / "www" / names[-1]).write_bytes(data[:size])
    urls = home / "urls"
    urls.write_text("\n".join(names))
    return urls


def _files(folder: Path) -> list[Path]:
    """Plain files of a usual size with names that need no quoting."""
    found = (file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink())
    return [file for file in found if 200 < file.stat().st_size < 20 << 20 and file.suffix.isascii()]


@contextmanager
def _namespaces() -> Iterator[tuple[str, str]]:
    """Two namespaces with a wire between them that carries packets as a network would: none larger than its MTU."""
    names = f"tapscan-web-{os.getpid()}", f"tapscan-user-{os.getpid()}"
    ip = command("ip")
    try:
        for name in names:
            do(ip, "netns", "add", name)
        do(ip, "link", "add", "web", "netns", names[0], "type", "veth", "peer", "name", "user", "netns", names[1])
        for name, device, address in zip(names, ("web", "user"), (SERVER, CLIENT), strict=True):
            do(ip, "-n", name, "address", "add", f"{address}/24", "dev", device)
            do(ip, "-n", name, "link", "set", device, "up")
            offloads = [word for kind in ("gro", "gso", "tso", "tx", "rx") for word in (kind, "off")]
            do(*inside(name, command("ethtool"), "-K", device, *offloads))
        yield names
    finally:
        for name in names:
            subprocess.run([ip, "netns", "delete", name], stderr=subprocess.DEVNULL, check=False)


def inside(namespace: str, *argv: str) -> list[str]:
    """A command that runs there."""
    return [command("ip"), "netns", "exec", namespace, *argv]


def do(*argv: str) -> None:
    """Raises Failed with what the command said."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()}")


@contextmanager
def _running(argv: list[str]) -> Iterator[None]:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
        if process.poll() is not None:
            raise Failed(f"{' '.join(argv)}: ended early")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def fetch(urls: list[str], address: str, requests: int, seed: int) -> None:
    """Gets each URL, half of them gzip if the server likes, up to `requests` on one connection."""
    dice = random.Random(seed)
    while urls:
        connection = http.client.HTTPConnection(address, 80, timeout=30)
        count = dice.randint(1, requests)
        for url in urls[:count]:
            coding = dice.choice(("gzip, deflate", "identity"))
            connection.request("GET", "/" + url, headers={"Accept-Encoding": coding, "User-Agent": "bench/1"})
            connection.getresponse().read()
        connection.close()
        urls = urls[count:]


def main() -> None:
    """The client."""
    path, address, requests = sys.argv[1:]
    urls = Path(path).read_text().split()
    random.Random(1).shuffle(urls)
    with ThreadPoolExecutor(CLIENTS) as threads:
        done = [threads.submit(fetch, urls[each::CLIENTS], address, int(requests), each) for each in range(CLIENTS)]
    for one in done:
        one.result()


if __name__ == "__main__":
    main()
