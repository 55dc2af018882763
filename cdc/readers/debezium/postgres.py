"""Debezium's PostgreSQL connector: settings, positions, types, idle marks.

The catalog, the slot and the preflight checks are those of our own reader (`cdc.readers.pgoutput`):
both read with the same plugin from the same kind of slot.

Positions. A transaction's position is the LSN at which its commit record ends: Debezium tells it in
the END record. Debezium's offset `{"lsn": n}`, without its other members, makes it start the stream
at exactly that LSN and leave the rest to the server.

While nothing captured changes, Debezium does not tell how far it has read. `idle` therefore writes a
logical message when the server's WAL has moved on; it comes back in the stream, in order.

Source: Debezium 3.6 documentation, PostgreSQL connector; PostgreSQL 17, pg_logical_emit_message.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

import polars as pl
import structlog

from cdc.changes import SourceTable, TableName
from cdc.config import PostgresSystem
from cdc.errors import CcbridgeError, OperatorError
from cdc.ports import Finding, RereadValues, SourceKey, StopAsked
from cdc.positions import Lsn, Position
from cdc.postgres.connect import connect
from cdc.postgres.errors import postgres_errors
from cdc.postgres.strangers import creators
from cdc.readers.debezium.engine.connector import Boundary, EventForm, Offset, OffsetOf
from cdc.readers.debezium.engine.failures import SqlFailure, postgres_failure
from cdc.readers.debezium.events import postgres_types
from cdc.readers.pgoutput import preflight
from cdc.readers.pgoutput.reread import Reread
from cdc.readers.pgoutput.session import WalSender
from cdc.readers.pgoutput.slot import check_slot, check_slot_free, check_slot_use, find_slot
from cdc.readers.pgoutput.tables.catalog import Catalog

SLOT_PATIENCE_S = 5.0
"""How long a slot may still be held by our own former run."""
MARK_PREFIX = "ccbridge"

_WAL_END = "select pg_current_wal_insert_lsn()::text as wal_end"
_MARK = "select pg_logical_emit_message(false, %(prefix)s, 'read to here')::text as wal_end"
_SOURCE = {"ts_us": pl.Int64, "txId": pl.Int64, "lsn": pl.Int64, "origin": pl.String}

log = structlog.get_logger(__name__)


_ROLE_PATH = """
select coalesce(array_agg(nspname), '{}')
from pg_settings s, unnest(string_to_array(replace(s.reset_val, '"', ''), ',')) as part, pg_namespace
where s.name = 'search_path'
    and nspname = case btrim(part) when '$user' then current_user else btrim(part) end
"""


class PostgresConnector:
    """Debezium's PostgreSQL connector for one system; see `connector.Connector`.

    Args:
        system: name of the source system in the configuration.
        settings: how to reach it; its slot, publication and origin.
        tables: the captured tables.
    """

    type_of_position: type[Position] = Lsn

    def __init__(self, system: str, settings: PostgresSystem, tables: Sequence[TableName]) -> None:
        self._system = system
        self._settings = settings
        self._tables = tuple(tables)
        self._catalog = Catalog(settings, system, self._tables)
        self._reread = Reread(settings, system)
        self._before: dict[TableName, frozenset[str] | None] = {}
        self._marked_to = Lsn(0)
        self._marks = True
        self.sql_failure: SqlFailure = postgres_failure
        self.form = EventForm(
            source=_SOURCE,
            transaction=pl.col("txId").cast(pl.String),
            committed_us=pl.col("ts_us"),
            ours=pl.col("origin") == settings.origin,
            same_row=("lsn",),
            absent=f"absent {uuid.uuid4()}",
        )

    def properties(self, tables: Sequence[TableName], *, snapshot: bool) -> dict[str, str]:
        """Debezium's settings; they hold the password."""
        s = self._settings
        found = {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            "database.hostname": s.host,
            "database.port": str(s.port),
            "database.user": s.user,
            "database.dbname": s.database,
            "database.sslmode": s.sslmode,
            "driver.connectTimeout": str(s.connect_timeout_s),
            "slot.name": s.slot,
            "slot.max.retries": "15",
            "slot.retry.delay.ms": "200",
            "publication.name": s.publication,
            "publication.autocreate.mode": "disabled",
            "table.include.list": ",".join(f"{_pattern(t.schema)}\\.{_pattern(t.name)}" for t in tables),
            "snapshot.mode": "initial",  # does nothing where an offset is given
            "unavailable.value.placeholder": self.form.absent,
        }
        if s.sslrootcert is not None:
            found["database.sslrootcert"] = str(s.sslrootcert)
        password = s.secret()
        if password is not None:
            found["database.password"] = password
        return found

    def preflight(self) -> list[Finding]:
        """What our own reader asks of the source, Debezium asks too; and who can hijack its own sessions."""
        return [*preflight.findings(self._catalog, self._settings, self._system), *self._path_findings()]

    def _path_findings(self) -> list[Finding]:
        """Its sessions have the role's search_path: with ours it finds no type outside pg_catalog."""
        application = f"ccbridge check {self._system}"
        with (
            connect(self._settings, application=application, autocommit=True) as connection,
            postgres_errors(self._system),
        ):
            (schemas,) = connection.execute(_ROLE_PATH).fetchone() or ([],)
            return creators(connection, cast(list[str], schemas), "Debezium")

    def identity(self) -> Mapping[str, str]:
        """System identifier, timeline, database and slot."""
        with WalSender(self._settings, self._system) as sender:
            (row,) = sender.command("IDENTIFY_SYSTEM")
        return {
            "system_identifier": str(row["systemid"]),
            "timeline": str(row["timeline"]),
            "database": self._settings.database,
            "slot": self._settings.slot,
        }

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables, without columns of types that Debezium does not hand on as text."""
        for fact in self._catalog.facts():
            held = {"f": None, "i": frozenset(fact.identity_index)}
            self._before[fact.name] = held.get(fact.replica_identity, frozenset(fact.key))
        return {
            name: SourceTable(name, tuple(filter(postgres_types.is_exact, table.columns)), table.key)
            for name, table in self._catalog.describe().items()
        }

    def before_columns(self, table: TableName) -> frozenset[str] | None:
        """The replica identity; None where it is FULL."""
        return self._before.get(table, frozenset())

    def cell_type(self, table: SourceTable, column: str) -> Any:
        """Arrays come as JSON lists."""
        return postgres_types.cell_type(table, column)

    def canonical(self, frame: pl.DataFrame, table: SourceTable, *sides: str) -> pl.DataFrame:
        """Turn Debezium's values into canonical text."""
        return postgres_types.canonical(frame, table, sides)

    def prepare_snapshot(self, stop: StopAsked) -> bool:
        """Drop a free slot of our name: without a complete snapshot its position cannot be used."""
        deadline = time.monotonic() + SLOT_PATIENCE_S
        while (slot := find_slot(self._catalog, self._settings.slot)) is not None:
            check_slot_use(slot, self._settings, self._system)
            if slot.holder is None:
                self._catalog.query("select pg_drop_replication_slot(%(slot)s)", slot=slot.name)
                break
            if time.monotonic() > deadline:
                check_slot_free(slot, self._system)
            if stop():
                return False
            time.sleep(0.05)  # our own former run may just be ending
        return True

    def check(self, start: Boundary) -> None:
        """Make sure that the slot still holds everything later than `start`."""
        check_slot(self._catalog, self._settings, self._system, Lsn(start.position), self._wal_end())

    def end_of_transaction(self, metadata: Mapping[str, Any], offset: OffsetOf) -> Boundary:
        """END's id is `<transaction>:<LSN where the commit record ends>`."""
        return _boundary(int(str(metadata["id"]).partition(":")[2]))

    def end_of_snapshot(self, offset: Offset) -> Boundary:
        """The slot's consistent point."""
        return _boundary(int(offset["lsn"]))

    def idle_boundary(self, value: Mapping[str, Any], offset: OffsetOf) -> Boundary | None:
        """A message outside of transactions stands where it was written."""
        source = value.get("source")
        if value.get("op") != "m" or not isinstance(source, dict) or source.get("txId") is not None:
            return None
        return _boundary(int(source["lsn"]))

    def idle(self) -> None:
        """Write a mark if the WAL has moved on since the last one."""
        if self._marks and self._wal_end() > self._marked_to:
            try:
                (row,) = self._catalog.query(_MARK, prefix=MARK_PREFIX)
            except (
                OperatorError
            ) as exc:  # a standby, or no right to: the position moves with the changes only
                self._marks = False
                log.warning("idle_marks_disabled", system=self._system, reason=str(exc))
            else:
                self._marked_to = Lsn.parse(str(row["wal_end"]))

    def reread(
        self, table: SourceTable, columns: Sequence[str], rows: Mapping[int, Sequence[SourceKey]]
    ) -> RereadValues:
        """As our own reader does."""
        return self._reread.values(table, columns, rows)

    def source_lag(self, read_to: int) -> Mapping[str, float | int]:
        """`lag_bytes` of WAL not yet read and `retained_bytes` of WAL that the slot keeps."""
        wal_end = self._wal_end()
        slot = find_slot(self._catalog, self._settings.slot)
        confirmed = slot.confirmed if slot is not None and slot.confirmed is not None else wal_end
        kept_from = slot.restart if slot is not None and slot.restart is not None else wal_end
        return {
            "lag_bytes": max(0, wal_end - max(read_to, confirmed)),
            "retained_bytes": max(0, wal_end - kept_from),
        }

    def close(self) -> None:
        """Release the connection; safe to call twice."""
        self._reread.close()
        self._catalog.close()

    def _wal_end(self) -> Lsn:
        try:
            (row,) = self._catalog.query(_WAL_END)
        except CcbridgeError:
            (row,) = self._catalog.query("select pg_last_wal_replay_lsn()::text as wal_end")
        return Lsn.parse(str(row["wal_end"]))


def _boundary(lsn: int) -> Boundary:
    return Boundary(lsn, {"lsn": lsn})


def _pattern(name: str) -> str:
    """A name as the regular expression that Debezium's lists take; a comma would end it."""
    return "".join(one if one.isalnum() or one == "_" else f"\\x{{{ord(one):x}}}" for one in name)
