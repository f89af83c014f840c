"""Certificates for tests, made by openssl."""

import shutil
import subprocess

import pytest

NEW = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


def certificates(folder, *names):
    """A folder with cert.pem and key.pem of a host with these names (`IP:...`, `DNS:...`), and ca.pem of who signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl not installed")
    folder.mkdir()
    (folder / "names").write_text(f"subjectAltName={','.join((*names, 'IP:127.0.0.1', 'DNS:localhost'))}\n")
    for words in (
        f"req -x509 {NEW} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        f"req {NEW} -subj /CN=host -keyout key.pem -out host.csr",
        "x509 -req -in host.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    return str(folder)
