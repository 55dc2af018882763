"""The password handshake (12c verifier): neither side ever sends the password or its hash.

The server keeps a salt and a verifier per user. Both sides encrypt a random half of the session key
with it; the client then proves itself with the combined key. Source: observed exchanges of thin
clients; algorithms PBKDF2-HMAC-SHA512 and AES-256-CBC with a zero vector.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sandbox.oracle.interface import Verifier

_SPEEDY_LABEL = b"AUTH_PBKDF2_SPEEDY_KEY"
_VERIFIER_ROUNDS = 4096
_SESSION_ROUNDS = 3
_VERIFIER_12C = 0x4815
_BLOCK = 16
Pair = tuple[str, str, int]


def unknown_user(user: str) -> Verifier:
    """A verifier that no password fits, the same at each try, so that names cannot be probed."""
    digest = hashlib.sha512(_SEED + user.encode()).digest()
    return Verifier(digest[:16], digest[16:48])


_SEED = secrets.token_bytes(32)


def _derive(password: bytes, salt: bytes) -> bytes:
    key = hashlib.pbkdf2_hmac("sha512", password, salt + _SPEEDY_LABEL, _VERIFIER_ROUNDS, 64)
    return hashlib.sha512(key + salt).digest()[:32]


def _encrypt(key: bytes, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(_BLOCK))).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def _decrypt(key: bytes, data: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(_BLOCK))).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def _unpad(data: bytes) -> bytes | None:
    if not data or not 1 <= data[-1] <= _BLOCK or data[-data[-1] :] != bytes((data[-1],)) * data[-1]:
        return None
    return data[: -data[-1]]


@dataclass
class Logon:
    """One attempt to log in: phase one gives the challenge, phase two checks the proof.

    Args:
        user: upper-case name.
        verifier: of that user; `unknown_user` when there is none.
    """

    user: str
    verifier: Verifier
    half: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: bytes = b""

    def challenge(self) -> list[Pair]:
        """The pairs of the first answer."""
        sealed = _encrypt(self.verifier.verifier, self.half)
        return [
            ("AUTH_SESSKEY", sealed.hex().upper(), 0),
            ("AUTH_VFR_DATA", self.verifier.salt.hex().upper(), _VERIFIER_12C),
            ("AUTH_PBKDF2_CSK_SALT", self.salt.hex().upper(), 0),
            ("AUTH_PBKDF2_VGEN_COUNT", str(_VERIFIER_ROUNDS), 0),
            ("AUTH_PBKDF2_SDER_COUNT", str(_SESSION_ROUNDS), 0),
        ]

    def prove(self, pairs: Mapping[str, str]) -> bool:
        """True when the client's pairs show that it knows the password."""
        try:
            theirs = _decrypt(self.verifier.verifier, bytes.fromhex(pairs["AUTH_SESSKEY"])[:32])
        except (KeyError, ValueError):
            return False
        both = (theirs + self.half).hex().upper().encode()
        self.key = hashlib.pbkdf2_hmac("sha512", both, self.salt, _SESSION_ROUNDS, 32)
        password = self.open_password(pairs.get("AUTH_PASSWORD", ""))
        if password is None:
            return False
        return self.fits(password)

    def fits(self, password: bytes) -> bool:
        """True when this is the user's password."""
        return hmac.compare_digest(_derive(password, self.verifier.salt), self.verifier.verifier)

    def open_password(self, sealed: str) -> bytes | None:
        """A password sealed with the session's key; None when it does not open."""
        try:
            plain = _unpad(_decrypt(self.key, bytes.fromhex(sealed)))
        except ValueError:
            return None
        return plain[_BLOCK:] if plain and len(plain) > _BLOCK else None

    def response(self) -> str:
        """AUTH_SVR_RESPONSE: shows the client that this server knew the verifier too."""
        plain = secrets.token_bytes(_BLOCK) + b"SERVER_TO_CLIENT"
        return _encrypt(self.key, plain + bytes((_BLOCK,)) * _BLOCK).hex().upper()
