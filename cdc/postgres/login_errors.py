"""Why a connection could not be made, from the text of libpq: it gives no SQLSTATE then.

libpq's messages are its own, in English; those that the server sends before the login is over follow the
server's `lc_messages`, and are asked for in vain where that is another language: then the general hint is
given.
Source: PostgreSQL 17, `src/interfaces/libpq` and `src/backend/utils/init/postinit.c`.
"""

from __future__ import annotations

from typing import NamedTuple

from cdc.errors import CcbridgeError, ConnectionMisconfigured, DatabaseUnreachable, LoginRefused


class Cause(NamedTuple):
    """What libpq's text says: which of our errors, and what to do."""

    words: tuple[str, ...]
    kind: type[CcbridgeError]
    hint: str


CAUSES = (
    Cause(
        ("server does not support ssl",),
        ConnectionMisconfigured,
        "TLS is off in the server: set ssl = on with a certificate there; "
        "a pooler or load balancer in between has its own setting",
    ),
    Cause(
        ("does not match host name",),
        ConnectionMisconfigured,
        "the certificate is of another host: set host to a name that the certificate has, "
        "or have the server's certificate issued for this name",
    ),
    Cause(
        ("certificate verify failed", "certificate has expired", "self-signed", "self signed"),
        ConnectionMisconfigured,
        "the server's certificate is not signed by the CA in sslrootcert, or has expired: "
        "set sslrootcert to the CA of that certificate, or renew it",
    ),
    Cause(
        ("root certificate file", "root.crt"),
        ConnectionMisconfigured,
        "set sslrootcert to the file of the CA that signed the server's certificate",
    ),
    Cause(
        ("ssl syscall error", "unexpected eof", "terminated the handshake"),
        DatabaseUnreachable,
        "the other end closed the connection while TLS was agreed on: check the server's log, "
        "and what is between",
    ),
    Cause(
        ("ssl error",),
        ConnectionMisconfigured,
        "TLS could not be agreed on: check what listens at host and port, and its TLS versions",
    ),
    Cause(
        ("unsupported startup parameter", "no such database:", "replication connections are not allowed"),
        ConnectionMisconfigured,
        "a pooler answers in place of the server: set host and port to PostgreSQL itself",
    ),
    Cause(
        ("authentication method requirement",),
        LoginRefused,
        "the server asks for the password in clear or as MD5: set password_encryption = 'scram-sha-256', "
        "set the password again, and use scram-sha-256 in pg_hba.conf",
    ),
    Cause(
        ("no password supplied",),
        LoginRefused,
        "no password is configured: set CCBRIDGE_STAGING__PASSWORD or CCBRIDGE_SYSTEMS__<NAME>__PASSWORD, "
        "or password_file",
    ),
    Cause(("password authentication failed",), LoginRefused, "check user and password"),
    Cause(
        ("no pg_hba.conf entry", "pg_hba.conf rejects"),
        LoginRefused,
        "add a line for this user, database and address to pg_hba.conf of the server, then reload it",
    ),
    Cause(
        ("authentication failed for user", 'role "', "not permitted to log in"),
        LoginRefused,
        "create the role with LOGIN, or correct user",
    ),
    Cause(
        ('database "',),
        ConnectionMisconfigured,
        "create the database, or set database to one that the server has",
    ),
    Cause(
        ("could not translate host name",),
        DatabaseUnreachable,
        "the host name is not known: check host and the name service",
    ),
    Cause(
        ("connection refused",),
        DatabaseUnreachable,
        "nothing listens there: check host and port, start the server",
    ),
    Cause(
        ("timeout expired", "timed out", "no route to host", "network is unreachable"),
        DatabaseUnreachable,
        "no answer: check host, port and firewalls",
    ),
    Cause(
        ("too many connections", "too many clients", "remaining connection slots"),
        DatabaseUnreachable,
        "raise max_connections of the server, or the role's connection limit",
    ),
    Cause(
        ("invalid response to ssl negotiation", "expected authentication request"),
        ConnectionMisconfigured,
        "what listens there is not PostgreSQL: check host and port",
    ),
)
GENERAL = Cause((), DatabaseUnreachable, "check that the server is up and that host and port are right")
LOST = Cause(
    (), DatabaseUnreachable, "the connection was lost while in use: check server and network if it persists"
)
_IN_USE = (
    "consuming input",
    "flushing",
    "sending",
    "receiving",
    "executing",
    "preparing",
    "describe",
    "close",
)
"""How psycopg begins when a session that was made is lost. It may mention SSL; no setting is wrong."""


def cause_of(text: str) -> Cause:
    """The first cause whose words are in libpq's text; the general one if there is none."""
    lower = text.lower()
    if lower.startswith(_IN_USE):
        return LOST
    return next((cause for cause in CAUSES if any(words in lower for words in cause.words)), GENERAL)
