"""The certificates of `ewallet.pem` as key stores that Oracle's JDBC driver opens.

The driver reads `cwallet.sso` and `ewallet.p12`, neither of which a site with thin clients has, and it
needs Oracle's own security provider for them. Java's PKCS12 stores need nothing: the authorities in the
wallet become a trust store, a client's own key and certificates a key store. Java itself does the work,
so that no further package is needed.

Source: Oracle Database JDBC Developer's Guide 23ai, "Configuring a JDBC Thin Client to use TLS"
(javax.net.ssl properties, oracle.net.ssl_server_dn_match); RFC 7468 for the text of the file.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cdc.errors import ConfigurationError
from cdc.readers.debezium.engine import jvm

FILE = "ewallet.pem"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s*(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATE, _KEY, _ENCRYPTED_KEY = "CERTIFICATE", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"
_ALGORITHMS = ("RSA", "EC", "Ed25519")


def store_properties(wallet: Path, password: str | None, folder: Path) -> dict[str, str]:
    """Write the stores of a wallet into a private folder.

    Args:
        wallet: directory of `ewallet.pem`.
        password: of the private key in it, if it is encrypted.
        folder: where the stores are written, not readable by other users.

    Returns:
        The driver's properties that name them.

    Raises:
        ConfigurationError: the file cannot be read, holds no certificate, or its key cannot be opened.
    """
    path = wallet / FILE
    jvm.start()
    certificates, key = _contents(path, password)
    if not certificates:
        raise ConfigurationError(
            [f"{path}: no certificate"], hint="export the wallet again, with its authorities"
        )
    chain, authorities = _split(certificates, key)
    secret = secrets.token_hex(16)
    stores = {"trustStore": _trusting(authorities)}
    if key is not None:
        stores["keyStore"] = _keeping(key, chain, secret)
    found: dict[str, str] = {}
    for name, store in stores.items():
        target = folder / f"{name}.p12"
        _write(store, target, secret)
        found |= {
            f"javax.net.ssl.{name}": str(target),
            f"javax.net.ssl.{name}Type": "PKCS12",
            f"javax.net.ssl.{name}Password": secret,
        }
    return found


def _contents(path: Path, password: str | None) -> tuple[list[Any], Any]:
    """Certificates and private key, as Java objects; no key is None."""
    try:
        text = path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(
            [f"{path}: {exc.strerror}"], hint=f"wallet names the directory of {FILE}"
        ) from exc
    certificates, key = [], None
    factory = jvm.java("java.security.cert.CertificateFactory").getInstance("X.509")
    for kind, content in _blocks(text, path):
        if kind == _CERTIFICATE:
            stream = jvm.java("java.io.ByteArrayInputStream")(content)
            certificates.append(factory.generateCertificate(stream))
        elif kind in (_KEY, _ENCRYPTED_KEY):
            key = _private_key(content, path, password, encrypted=kind == _ENCRYPTED_KEY)
        else:
            raise ConfigurationError(
                [f"{path}: {kind.lower()} is not a form of key that can be read"],
                hint="convert the key with: openssl pkcs8 -topk8",
            )
    return certificates, key


def _blocks(text: bytes, path: Path) -> Iterator[tuple[str, bytes]]:
    for kind, body in _BLOCK.findall(text):
        try:
            yield kind.decode(), base64.b64decode(body, validate=False)
        except ValueError as exc:
            raise ConfigurationError([f"{path}: a block that is not base64"]) from exc


def _private_key(content: bytes, path: Path, password: str | None, *, encrypted: bool) -> Any:
    failed = jvm.java("java.lang.Exception")
    specification: Any = jvm.java("java.security.spec.PKCS8EncodedKeySpec")(content)
    if encrypted:
        if password is None:
            raise ConfigurationError(
                [f"{path}: its private key is encrypted"], hint="set wallet_password or wallet_password_file"
            )
        try:
            information = jvm.java("javax.crypto.EncryptedPrivateKeyInfo")(content)
            factory = jvm.java("javax.crypto.SecretKeyFactory").getInstance(_cipher(information))
            key_spec = jvm.java("javax.crypto.spec.PBEKeySpec")(
                jvm.java("java.lang.String")(password).toCharArray()
            )
            specification = information.getKeySpec(_ciphered(information, factory.generateSecret(key_spec)))
        except failed as exc:
            raise ConfigurationError(
                [f"{path}: its private key cannot be opened with the password configured"]
            ) from exc
    for algorithm in _ALGORITHMS:
        try:
            return jvm.java("java.security.KeyFactory").getInstance(algorithm).generatePrivate(specification)
        except failed:
            continue
    raise ConfigurationError([f"{path}: its private key is none of {', '.join(_ALGORITHMS)}"])


def _cipher(information: Any) -> str:
    """Java's name of the key's encryption; PBES2 is named by its parameters."""
    parameters = information.getAlgParameters()
    return (
        str(parameters)
        if str(information.getAlgName()) in ("PBES2", _PBES2)
        else str(information.getAlgName())
    )


_PBES2 = "1.2.840.113549.1.5.13"


def _ciphered(information: Any, secret: Any) -> Any:
    cipher = jvm.java("javax.crypto.Cipher").getInstance(_cipher(information))
    mode = jvm.java("javax.crypto.Cipher").DECRYPT_MODE
    cipher.init(mode, secret, information.getAlgParameters())
    return cipher


def _split(certificates: list[Any], key: Any) -> tuple[list[Any], list[Any]]:
    """The chain of the key, own certificate first, and the authorities: those that may sign others."""
    authorities = [one for one in certificates if int(one.getBasicConstraints()) >= 0]
    if key is None:
        return [], authorities or certificates
    own = [one for one in certificates if int(one.getBasicConstraints()) < 0]
    chain = own[:1]
    while chain and (signers := [one for one in authorities if _signed(chain[-1], one)]):
        if signers[0].equals(chain[-1]):
            break
        chain.append(signers[0])
    return chain, authorities


def _signed(certificate: Any, authority: Any) -> bool:
    return bool(certificate.getIssuerX500Principal().equals(authority.getSubjectX500Principal()))


def _empty() -> Any:
    store = jvm.java("java.security.KeyStore").getInstance("PKCS12")
    store.load(None, None)
    return store


def _trusting(authorities: list[Any]) -> Any:
    store = _empty()
    for number, one in enumerate(authorities):
        store.setCertificateEntry(f"authority {number}", one)
    return store


def _keeping(key: Any, chain: list[Any], secret: str) -> Any:
    store = _empty()
    kinds = jvm.array("java.security.cert.Certificate", chain)
    store.setKeyEntry("client", key, jvm.java("java.lang.String")(secret).toCharArray(), kinds)
    return store


def _write(store: Any, path: Path, secret: str) -> None:
    path.touch(mode=0o600)
    stream = jvm.java("java.io.ByteArrayOutputStream")()
    store.store(stream, jvm.java("java.lang.String")(secret).toCharArray())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(bytes(stream.toByteArray()))
