"""What Ray is told so that the hosts of a cluster trust each other: the token of all, and certificates (TLS)."""

from __future__ import annotations

import os
from pathlib import Path

from manager.options import Stop

CERTIFICATES = {"RAY_TLS_SERVER_CERT": "cert.pem", "RAY_TLS_SERVER_KEY": "key.pem", "RAY_TLS_CA_CERT": "ca.pem"}


def token_file(named: str | None) -> Path:
    """Where the token is: as named, or as Ray itself would look for it."""
    return Path(named or os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def access(token: str | None, tls: str | None) -> dict[str, str]:
    """Of Ray's environment. `tls`: a folder with this host's certificate and key, and who has signed all. Raises Stop.

    Where there is no token, as for a cluster of one's own, Ray is told of none.
    """
    told: dict[str, str] = {}
    if token is not None or token_file(token).is_file():
        told |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": _readable(token_file(token), "the cluster's token")}
    if tls is not None:
        told["RAY_USE_TLS"] = "1"
        needs = f"--tls: a folder with {', '.join(CERTIFICATES.values())}"
        told |= {name: _readable(Path(tls, file), needs) for name, file in CERTIFICATES.items()}
    return told


def _readable(file: Path, what: str) -> str:
    path = file.expanduser().absolute()  # Ray's processes have folders of their own
    try:
        path.open("rb").close()
    except OSError as error:
        raise Stop(f"{path}: {error.strerror} ({what})") from None
    return str(path)
