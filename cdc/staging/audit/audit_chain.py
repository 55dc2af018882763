"""The audit chain: each batch's digest covers its rows and the digest of the batch before it.

A change that was altered, removed or slipped in later, and a batch that is missing, break the chain
at that batch. `broken_batches` computes every digest again from what is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b

import polars as pl
from psycopg import sql

from cdc.changes import WHO
from cdc.postgres.connect import Connection
from cdc.postgres.copy import csv_bytes
from cdc.staging.audit.change_log import COLUMNS

_ALL = (*COLUMNS, *WHO)
_SCHEMA = {
    name: {"committed_at": pl.Datetime("us", "UTC")}.get(
        name, pl.Int64 if name in ("source_position", "source_ordinal", "batch_id") else pl.String
    )
    for name in _ALL
}


def rows_hash() -> blake2b:
    """The hash that the csv bytes of a batch's rows, in stream order, go into."""
    return blake2b(digest_size=32)


def batch_digest(previous: bytes | None, facts: dict[str, object], rows_digest: bytes) -> bytes:
    """Digest of a batch: over the previous one, what the batch row says (JSON types), and its rows."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    return blake2b((previous or b"") + text + rows_digest, digest_size=32).digest()


def last_digest(connection: Connection, system: str) -> bytes | None:
    """Digest of a system's last batch, None before the first."""
    row = connection.execute(
        "select digest from staging.batch where system = %s order by batch_id desc limit 1", [system]
    ).fetchone()
    return None if row is None else bytes(row[0])  # type: ignore[call-overload]


def broken_batches(connection: Connection, system: str) -> Iterator[tuple[int, str]]:
    """Batches of a system at which the chain does not hold, with what is wrong, in words."""
    batches = connection.execute(
        "select batch_id, from_position, to_position, change_count, counts, rule_set_id, run_id::text, "
        "reader, rows_digest, previous_digest, digest from staging.batch where system = %s order by batch_id",
        [system],
    ).fetchall()
    before: bytes | None = None
    for batch_id, low, high, count, counts, rule_set_id, run_id, reader, rows, previous, digest in batches:
        facts = {
            "batch_id": batch_id,
            "system": system,
            "from_position": low,
            "to_position": high,
            "change_count": count,
            "counts": counts,
            "rule_set_id": rule_set_id,
            "run_id": run_id,
            "reader": reader,
        }
        if previous != before:
            yield int(str(batch_id)), "the batch before it is missing or was altered"
        if rows not in _stored_rows_digests(connection, system, int(str(batch_id))):
            yield int(str(batch_id)), "its changes were altered, removed or added to"
        if batch_digest(previous, facts, rows) != digest:  # type: ignore[arg-type]
            yield int(str(batch_id)), "its batch row was altered"
        before = digest  # type: ignore[assignment]


def _stored_rows_digests(connection: Connection, system: str, batch_id: int) -> list[bytes]:
    """What the digest of a batch's rows may be, from the stored rows.

    Readers whose log does not name a user, and earlier releases, put no columns WHO into it: that counts only
    where no row names a user.
    """
    statement = sql.SQL(
        "select {} from staging.change where batch_id = %s and system = %s "
        "order by source_position, source_ordinal"
    ).format(sql.SQL(", ").join(map(sql.Identifier, _ALL)))
    digest, without, named = rows_hash(), rows_hash(), False
    with connection.cursor() as cursor:
        cursor.execute(statement, [batch_id, system])
        while rows := cursor.fetchmany(10_000):
            frame = pl.DataFrame([_as_copied(row) for row in rows], schema=_SCHEMA, orient="row")
            digest.update(csv_bytes(frame))
            without.update(csv_bytes(frame.select(COLUMNS)))
            named = named or any(frame[name].null_count() < frame.height for name in WHO)
    return [digest.digest()] if named else [digest.digest(), without.digest()]


def _as_copied(row: tuple[object, ...]) -> tuple[object, ...]:
    """Json as it was copied in: compact, members in jsonb's order."""
    return tuple(
        json.dumps(value, separators=(",", ":"), ensure_ascii=False) if isinstance(value, dict) else value
        for value in row
    )
