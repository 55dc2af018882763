"""Whether the wallet's private key can be opened, asked before the driver does.

OpenSSL asks the terminal for a password that it was not given, and the driver continues without a client
certificate where the password is wrong: either would be found out late, under another name.

Source: python-oracledb user guide, "Two-way TLS connection to Oracle Database": `ewallet.pem` of thin mode.
"""

from __future__ import annotations

import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cdc.config import OracleSystem
from cdc.errors import ConfigurationError

FILE = "ewallet.pem"
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\s*", re.DOTALL)


def check_wallet(settings: OracleSystem, subject: str) -> None:
    """Open the private key of the configured wallet, if it has one.

    Raises:
        ConfigurationError: the file cannot be read, or its key cannot be opened with the password.
    """
    if settings.wallet is None:
        return
    path = settings.wallet / FILE
    try:
        key = _KEY.search(path.read_bytes())
    except OSError as exc:
        raise ConfigurationError(
            [f"{subject}: wallet {path}: {exc.strerror}"],
            hint="export the wallet with a PEM file: orapki wallet export_private_key, or download it",
        ) from exc
    if key is None:
        return
    password = settings.wallet_secret()
    encrypted = b"ENCRYPTED" in key.group()
    try:
        load_pem_private_key(key.group(), password.encode() if password and encrypted else None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigurationError(
            [f"{subject}: the private key in {path} cannot be opened"],
            hint="set CCBRIDGE_SYSTEMS__<NAME>__WALLET_PASSWORD, or wallet_password_file, "
            "to the password that the wallet was exported with",
        ) from exc
