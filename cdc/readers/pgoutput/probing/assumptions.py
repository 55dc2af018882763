"""What the pgoutput reader and the upsert sink take to be true of PostgreSQL: the table of the probe.

The manual prints it (`docs/probe.md`), a test keeps both equal.
"""

from __future__ import annotations

from cdc.assumptions import Assumption

_MANUAL = "PostgreSQL 17 documentation, "
_POOLER = "PgBouncer documentation, SQL feature map for pooling modes"

ASSUMPTIONS = (
    Assumption(
        "version",
        "the server is PostgreSQL 14 or later",
        "what the tests run on",
        "preflight",
    ),
    Assumption(
        "wal-level",
        "wal_level is logical",
        _MANUAL + "Logical Replication, Configuration Settings",
        "preflight",
    ),
    Assumption(
        "slots-free",
        "a replication slot is free, or ours is there",
        _MANUAL + "max_replication_slots",
        "preflight",
    ),
    Assumption(
        "senders-free",
        "a WAL sender is free",
        _MANUAL + "max_wal_senders",
        "preflight",
    ),
    Assumption(
        "sender-timeout",
        "wal_sender_timeout is 0 or at least 10 seconds",
        _MANUAL + "wal_sender_timeout",
        "session",
    ),
    Assumption(
        "primary",
        "the server is not a standby, and the role may write",
        _MANUAL + "Hot Standby",
        "slot",
    ),
    Assumption(
        "replication-session",
        "the address takes replication = database, and leads to the same server and database",
        _POOLER + ": no replication before 1.24",
        "session",
    ),
    Assumption(
        "settings-persist",
        "what a session sets stays set for its next statements",
        _POOLER,
        "connect, canonical",
    ),
    Assumption(
        "temporary-tables-persist",
        "a temporary table is there in the session's next transaction",
        _POOLER,
        "casting (sinks)",
    ),
    Assumption(
        "prepared-statements-persist",
        "a prepared statement is there in the session's next transaction",
        _POOLER,
        "upsert (sinks)",
    ),
    Assumption(
        "advisory-locks-persist",
        "an advisory lock of a session stays its own",
        _POOLER,
        "migrate (staging)",
    ),
    Assumption(
        "same-process",
        "one session is served by one server process",
        _POOLER,
        "session",
    ),
    Assumption(
        "start-options",
        "settings given at the start of a session are in force, limits of the role too",
        _MANUAL + "options of libpq; ALTER ROLE .. SET",
        "canonical",
    ),
    Assumption(
        "encoding",
        "the database's encoding is UTF8, or converts to it",
        _MANUAL + "Character Set Support",
        "connect",
    ),
    Assumption(
        "text-forms",
        "floats, times, bytes and numerics come as text in the forms we set, without loss",
        _MANUAL + "extra_float_digits, DateStyle, bytea_output",
        "canonical",
    ),
    Assumption(
        "key-collation",
        "no key column has a nondeterministic collation",
        _MANUAL + "Nondeterministic Collations",
        "upsert (sinks)",
    ),
    Assumption(
        "row-security",
        "a session with row_security = off is refused rather than shown fewer rows",
        _MANUAL + "Row Security Policies",
        "catalog, snapshot",
    ),
    Assumption(
        "origin-functions",
        "the role may use the replication origin functions",
        _MANUAL + "Replication Progress Tracking",
        "mark (sinks)",
    ),
    Assumption(
        "publication-features",
        "row filters and column lists exist from 15 on, and only then",
        _MANUAL + "release notes of 15",
        "catalog",
    ),
    Assumption(
        "decoding",
        "a logical slot with pgoutput can be made, and shows a transaction as BEGIN, rows, COMMIT",
        _MANUAL + "Logical Replication Message Formats",
        "transactions",
    ),
    Assumption(
        "key-update",
        "an update of the key shows the old key before the new row",
        _MANUAL + "REPLICA IDENTITY DEFAULT",
        "tuples",
    ),
    Assumption(
        "delete-key",
        "a delete shows the key",
        _MANUAL + "REPLICA IDENTITY DEFAULT",
        "tuples",
    ),
    Assumption(
        "unchanged-toast",
        "a large value that stays is marked as unchanged, and not sent",
        _MANUAL + "Logical Replication Message Formats, TupleData",
        "tuples",
    ),
    Assumption(
        "full-identity",
        "under REPLICA IDENTITY FULL an update shows the whole old row, large values too",
        _MANUAL + "REPLICA IDENTITY FULL",
        "tuples",
    ),
    Assumption(
        "truncate",
        "TRUNCATE is a message of its own",
        _MANUAL + "Logical Replication Message Formats",
        "transactions",
    ),
    Assumption(
        "rolled-back",
        "what a savepoint undid is not shown",
        _MANUAL + "Logical Decoding Concepts",
        "transactions",
    ),
    Assumption(
        "logical-messages",
        "messages of pg_logical_emit_message come where they are asked for, and only there",
        _MANUAL + "option messages of pgoutput, 14",
        "transactions",
    ),
)
