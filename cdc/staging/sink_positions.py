"""How far each sink is whose target cannot hold it: `staging.sink_position`.

Such a sink makes durable in staging what it was given, as one does that sends orders to its target; the
position moves in the same transaction. Sinks whose target has a place for it keep it there: then the target
itself says what it holds.
"""

from __future__ import annotations

from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors

_LOAD = "select delivered_seq from staging.sink_position where sink = %s"
_SAVE = """
insert into staging.sink_position as mine (sink, delivered_seq) values (%s, %s)
on conflict (sink) do update set delivered_seq = excluded.delivered_seq, updated_at = now()
where mine.delivered_seq < excluded.delivered_seq
"""


class SinkPositions:
    """The positions of one staging database; part of the caller's transaction, the caller commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def load(self, sink: str) -> int:
        """All staged rows up to this number are taken by a sink; 0 before its first."""
        with postgres_errors("staging.sink_position"):
            row = self._connection.execute(_LOAD, [sink]).fetchone()
        return int(str(row[0])) if row else 0

    def save(self, sink: str, delivered_seq: int) -> None:
        """Move the position of a sink, never back."""
        with postgres_errors("staging.sink_position"):
            self._connection.execute(_SAVE, [sink, delivered_seq])
