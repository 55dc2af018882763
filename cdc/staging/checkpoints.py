"""Where each source is read on. A checkpoint moves in the transaction that stages the rows before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors

_COLUMNS = """
system, reader, identity, source_position, source_ordinal, resume, snapshot_complete, batch_id, updated_at
"""
_SAVE = """
insert into staging.checkpoint as mine (system, reader, identity, source_position, source_ordinal,
    resume, snapshot_complete, batch_id, updated_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, now())
on conflict (system) do update set
    reader = excluded.reader, identity = excluded.identity, source_position = excluded.source_position,
    source_ordinal = excluded.source_ordinal, resume = excluded.resume,
    snapshot_complete = excluded.snapshot_complete,
    batch_id = coalesce(excluded.batch_id, mine.batch_id), updated_at = excluded.updated_at
"""


@dataclass(frozen=True)
class StoredCheckpoint:
    """A saved place in one source's stream.

    Args:
        system: whose stream.
        reader: which reader made it.
        identity: what the position is bound to; empty until a flow has said it.
        position: all up to here is durably staged.
        ordinal: order of the last staged change at that position, -1 if there was none.
        resume: what the reader needs to continue.
        snapshot_complete: the first load was done.
        batch_id: last batch, None before the first.
        updated_at: when it last moved, by the staging database's clock.
    """

    system: str
    reader: str
    identity: Mapping[str, str]
    position: int
    ordinal: int
    resume: Mapping[str, Any]
    snapshot_complete: bool
    batch_id: int | None = None
    updated_at: datetime | None = None


class Checkpoints:
    """Reads and writes checkpoints; the caller's transaction, the caller commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def load(self, system: str) -> StoredCheckpoint | None:
        """The checkpoint of a system, None before its first batch."""
        return next((found for found in self._select("where system = %s", [system])), None)

    def all(self) -> list[StoredCheckpoint]:
        """Every checkpoint, by system."""
        return self._select("order by system", [])

    def save(self, checkpoint: StoredCheckpoint) -> None:
        """Move the checkpoint of a system."""
        self._connection.execute(
            _SAVE,
            [
                checkpoint.system,
                checkpoint.reader,
                Jsonb(dict(checkpoint.identity)),
                checkpoint.position,
                checkpoint.ordinal,
                Jsonb(dict(checkpoint.resume)),
                checkpoint.snapshot_complete,
                checkpoint.batch_id,
            ],
        )

    def _select(self, where: str, parameters: list[object]) -> list[StoredCheckpoint]:
        statement = f"select {_COLUMNS} from staging.checkpoint {where}"  # noqa: S608 - our own text
        with postgres_errors("staging.checkpoint"):
            rows = self._connection.execute(statement, parameters).fetchall()
        return [StoredCheckpoint(*row) for row in rows]  # type: ignore[arg-type]
