"""Other hosts on this machine: network namespaces, joined by a bridge."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NET = "10.213.77"
# Names of devices have at most 15 letters.
_OWN = f"aml{os.getpid()}"
BRIDGE = f"{_OWN}b"
HERE = f"{NET}.1"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Network:
    """A bridge in the namespace of the tests, and hosts at its ends."""

    def __init__(self):
        self.hosts = []
        # Left by a run that was killed; it would have our address.
        for line in subprocess.run(
            ["ip", "-o", "addr", "show", "to", HERE], capture_output=True, text=True, check=True
        ).stdout.splitlines():
            ip("link", "del", line.split()[1])
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{HERE}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")

    def host(self):
        """Add a host; its name is that of its namespace."""
        number = len(self.hosts) + 2
        name, cable = f"{_OWN}-{number}", f"{_OWN}v{number}"
        ip("netns", "add", name)
        self.hosts.append(Host(name, cable, f"{NET}.{number}"))
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", cable, "master", BRIDGE, "up")
        ip("-n", name, "addr", "add", f"{NET}.{number}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        return self.hosts[-1]

    def close(self):
        for host in self.hosts:
            host.close()
        ip("link", "del", BRIDGE)


class Host:
    def __init__(self, name, cable, address):
        self.name, self.cable, self.address = name, cable, address
        self._running = []

    def run(self, *command, log, **options):
        """Start a process that sees only this host's network."""
        with log.open("ab") as file:
            started = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True, **options,
            )  # fmt: skip
        self._running.append(started)

    def cut_off(self):
        """Pull the cable: nobody is told, packets are lost."""
        ip("link", "set", self.cable, "down")

    def close(self):
        for process in self._running:
            process.kill()
            process.wait()
        found = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        for pid in found.stdout.split():
            subprocess.run(["kill", "-9", pid], check=False)
        ip("netns", "del", self.name)


def certificate(folder):
    """Write a key and a certificate that signs itself; return the options of Dask's TLS."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pool")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    return {"ca": cert, "cert": cert, "key": key}


def dask_command(kind, tls, *more):
    """Return the command that starts a scheduler or a worker of Dask."""
    files = ("--tls-ca-file", tls["ca"], "--tls-cert", tls["cert"], "--tls-key", tls["key"])
    return [sys.executable, "-m", "dask", kind, *files, "--no-dashboard", *more]
