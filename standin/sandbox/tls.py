"""A certificate authority of our own, so that the sandbox can be reached over TLS.

`Authority.create` makes one in a folder; `issue` makes a certificate for 127.0.0.1 and localhost
for a server (`sandbox.postgres`, `sandbox.oracle`) or for a client; `write_wallet` writes the
`ewallet.pem` that the python-oracledb thin driver reads. Keys are readable by their owner only.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.postgres import TlsFiles

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LIFE = timedelta(days=30)
_SKEW = timedelta(hours=1)  # a clock a little behind must not refuse a fresh certificate


@dataclass(frozen=True)
class Authority:
    """A certificate authority that lives in `folder`; `certificate` is what clients trust."""

    folder: Path
    certificate: Path
    key: Path

    @classmethod
    def create(cls, folder: Path, *, name: str = "ccbridge sandbox authority") -> Authority:
        """Make a new authority in `folder` (`ca.crt`, `ca.key`), replacing what is there."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        authority = cls(folder, folder / "ca.crt", folder / "ca.key")
        authority.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_private(authority.key, _pem(key))
        return authority

    def issue(self, name: str, *, client: bool = False, hosts: Sequence[str] = LOOPBACK) -> TlsFiles:
        """Make `<name>.crt` and `<name>.key`, signed by this authority.

        Args:
            name: common name and file stem; for a client certificate PostgreSQL compares it with the user.
            client: a client certificate; otherwise one for a server.
            hosts: names and addresses of the server.
        """
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        issuer_key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.key}: not the elliptic curve key that create() wrote")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            _builder(subject, issuer.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
            )
        )
        if not client:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(issuer_key, hashes.SHA256())
        files = TlsFiles(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_private(files.key, _pem(key))
        return files

    def write_wallet(
        self, folder: Path, client: TlsFiles | None = None, *, password: str | None = None
    ) -> Path:
        """Write `ewallet.pem` into `folder` for the thin driver's `wallet_location`; returns `folder`.

        Args:
            folder: created if missing.
            client: the client's own certificate and key, for servers that ask for one.
            password: encrypts the key, as orapki does for a wallet that it exports.
        """
        folder.mkdir(parents=True, exist_ok=True)
        parts = [self.certificate.read_bytes()]
        if client is not None:
            key = client.key.read_bytes()
            if password is not None:
                loaded = serialization.load_pem_private_key(key, password=None)
                key = loaded.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.BestAvailableEncryption(password.encode()),
                )
            parts = [key, client.certificate.read_bytes(), *parts]
        _write_private(folder / "ewallet.pem", b"".join(parts))
        return folder


def server_context(files: TlsFiles, client_authority: Path | None = None) -> ssl.SSLContext:
    """A TLS context for a server; with `client_authority` clients must show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    if client_authority is not None:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFE)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
