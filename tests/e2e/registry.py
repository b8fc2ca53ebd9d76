"""A real registry (Debian's docker-registry) as sites run it: with TLS of the site's own CA and htpasswd."""

import base64
import ctypes
import datetime
import ipaddress
import json
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from routeiq_appliance.cli.sealed.process import Service

USER, PASSWORD = "mirror", "planted-password"


@dataclass(frozen=True)
class RealRegistry:
    """`address` is HOST:PORT, `data` its storage, `ca` the CA's certificate (with TLS), `config` Docker's folder."""

    address: str
    data: Path
    ca: Path
    config: Path

    @property
    def blobs(self) -> set[str]:
        """Digests of all blobs that it keeps, manifests among them."""
        return {
            f"sha256:{path.parent.name}"
            for path in self.data.glob("docker/registry/v2/blobs/sha256/*/*/data")
        }


@contextmanager
def real_registry(folder: Path, *, secure: bool) -> Iterator[RealRegistry]:
    """Serve an empty registry on a free port of the loopback; `secure`: TLS and htpasswd, else neither."""
    folder.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    settings = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    registry = RealRegistry(address, folder / "data", folder / "ca.pem", folder / "login")
    registry.config.mkdir()
    if secure:
        _make_certificates(folder)
        (folder / "htpasswd").write_text(f"{USER}:{_bcrypt(PASSWORD)}\n", encoding="ascii")
        settings["auth"] = {"htpasswd": {"realm": "site", "path": str(folder / "htpasswd")}}
        settings["http"] |= {"tls": {"certificate": str(folder / "tls.pem"), "key": str(folder / "tls.key")}}  # type: ignore[operator]
        log_in(registry, PASSWORD)
    path = folder / "config.json"
    path.write_text(json.dumps(settings), encoding="ascii")  # JSON is YAML
    environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    command = ["docker-registry", "serve", str(path)]
    with Service("docker-registry", command, log=folder / "log", environ=environ) as service:
        service.wait_until(lambda: _answers(registry, secure), seconds=20)
        yield registry


def log_in(registry: RealRegistry, password: str) -> None:
    """Leave credentials as `docker login` does."""
    pair = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (registry.config / "config.json").write_text(
        json.dumps({"auths": {registry.address: {"auth": pair}}}), encoding="ascii"
    )


def _answers(registry: RealRegistry, secure: bool) -> bool:
    context = ssl.create_default_context(cafile=str(registry.ca)) if secure else None
    try:
        urllib.request.urlopen(
            f"{'https' if secure else 'http'}://{registry.address}/v2/", timeout=5, context=context
        ).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 401
    except OSError:
        return False
    return True


def _bcrypt(password: str) -> str:
    """Hash as `htpasswd -B` does, with the C library's own crypt(3): the registry takes nothing else."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed: bytes = crypt(password.encode(), b"$2b$05$" + b"abcdefghijklmnopqrstuu")
    return hashed.decode()


def _make_certificates(folder: Path) -> None:
    """Write ca.pem, tls.pem and tls.key: the site's CA, and a server certificate for 127.0.0.1."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the site's CA")])

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    ca = certificate(ca_name, ca_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    server = certificate(server_name, key.public_key()).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
    )
    for name, built in (("ca.pem", ca), ("tls.pem", server)):
        signed = built.sign(ca_key, hashes.SHA256())
        (folder / name).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
