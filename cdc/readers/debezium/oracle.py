"""Debezium's Oracle connector (LogMiner): settings, positions, types.

Dictionary, identity and preflight are those of our own reader (`cdc.readers.logminer`): both read the
same views. The connector needs more rights than ours, and writes: see the Debezium documentation,
"Creating users for the connector"; its table LOG_MINING_FLUSH lies in the reader's schema.

Positions. A transaction's position is its commit SCN; END's offset tells it. A heartbeat's offset
names the last commit that was handled, so it moves the position while nothing captured changes.

One instance writes, and the tables are in the database that the dsn names: RAC is refused when reading
begins, a pluggable database in the configuration. Debezium would look for open transactions on one
instance only, and mine without a filter on the container.

What Debezium knows of the tables is built again at each start (`snapshot.mode=recovery`), from the
dictionary as it is then.

Source: Debezium 3.6 documentation, Oracle connector.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import oracledb
import polars as pl

from cdc.changes import SourceTable, SourceType, TableName
from cdc.config import OracleSystem
from cdc.errors import OperatorError, RedoNotAvailable, snapshot_hint
from cdc.oracle.connect import connect
from cdc.oracle.errors import oracle_errors
from cdc.ports import Finding, RereadValues, SourceKey, StopAsked
from cdc.positions import Position, Scn
from cdc.readers.debezium.engine.connector import Boundary, EventForm, Offset, OffsetOf
from cdc.readers.debezium.engine.failures import SqlFailure, oracle_failure
from cdc.readers.debezium.engine.wallet import store_properties
from cdc.readers.debezium.events import cells
from cdc.readers.logminer import LogMinerReader

_OLDEST = """
select min(first_change#) from (
    select first_change# from v$log where status <> 'UNUSED'
    union all select a.first_change# from v$archived_log a join v$database d
        on a.resetlogs_change# = d.resetlogs_change# and a.resetlogs_time = d.resetlogs_time
    where a.name is not null and a.deleted = 'NO' and a.standby_dest = 'NO')
"""
_OPEN_THREADS = "select count(*) from v$thread where status = 'OPEN'"
_CURRENT = "select current_scn from v$database"
_SOURCE = {
    "ts_us": pl.Int64,
    "commit_ts_ms": pl.Int64,
    "txId": pl.String,
    "scn": pl.String,
    "rs_id": pl.String,
    "ssn": pl.Int64,
    "user_name": pl.String,
}
_SUBJECT = "reader debezium"
_ONE_THREAD = "one: transactions of other instances that are open at the snapshot would be lost"
_KEPT = ("scn", "commit_scn", "snapshot_scn", "snapshot_pending_tx")
"""Members of an offset that say where to continue."""


class OracleConnector:
    """Debezium's Oracle connector for one system; see `connector.Connector`.

    Args:
        system: name of the source system in the configuration.
        settings: how to reach it.
        tables: the captured tables; LOB, LONG and XML columns of theirs are not captured.
    """

    type_of_position: type[Position] = Scn

    def __init__(self, system: str, settings: OracleSystem, tables: Sequence[TableName]) -> None:
        self._system = system
        self._settings = settings
        self._ours = LogMinerReader(system, settings, tables)
        self._session: oracledb.Connection | None = None
        self._folder: Path | None = None
        self.sql_failure: SqlFailure = oracle_failure
        self.form = EventForm(
            source=_SOURCE,
            transaction=pl.col("txId"),
            committed_us=pl.coalesce(pl.col("commit_ts_ms") * 1000, "ts_us"),
            ours=pl.col("user_name") == settings.user.upper(),
            same_row=("scn", "rs_id", "ssn"),
            absent=f"absent {uuid.uuid4()}",
        )

    def properties(self, tables: Sequence[TableName], *, snapshot: bool) -> dict[str, str]:
        """Debezium's settings; they hold the password."""
        s = self._settings
        found = {
            "connector.class": "io.debezium.connector.oracle.OracleConnector",
            "database.url": jdbc_url(s.dsn),
            "database.user": s.user,
            "database.dbname": service(s.dsn),
            "driver.v$session.program": "ccbridge debezium",
            "driver.oracle.net.CONNECT_TIMEOUT": str(s.connect_timeout_s * 1000),
            "table.include.list": ",".join(f"{_pattern(t.schema)}\\.{_pattern(t.name)}" for t in tables),
            "unavailable.value.placeholder": self.form.absent,
            "log.mining.strategy": "online_catalog",
            "internal.log.mining.transaction.snapshot.boundary.mode": "transaction_view_only",
            "log.mining.sleep.time.min.ms": "0",
            "log.mining.sleep.time.default.ms": str(s.poll_interval_ms),
            "log.mining.sleep.time.max.ms": str(4 * s.poll_interval_ms),
            "log.mining.sleep.time.increment.ms": str(s.poll_interval_ms),
            "snapshot.locking.mode": "none",  # an application's tables are never locked
            "snapshot.mode": "initial" if snapshot else "recovery",
            "schema.history.internal.store.only.captured.tables.ddl": "true",
        }
        found |= {f"driver.{name}": value for name, value in self._transport().items()}
        password = s.secret()
        if password is not None:
            found["database.password"] = password
        return found

    def _transport(self) -> dict[str, str]:
        """The driver's settings of TLS: the server's name is compared, whatever the driver's default is."""
        s = self._settings
        found = {} if s.insecure else {"oracle.net.ssl_server_dn_match": "true"}
        if s.wallet is not None:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="ccbridge-wallet-"))
            found |= store_properties(s.wallet, s.wallet_secret(), self._folder)
        return found

    def preflight(self) -> list[Finding]:
        """What our own reader asks of the source, Debezium asks too; and one instance."""
        found = self._ours.preflight()
        if not any(finding.subject == _SUBJECT for finding in found) and self._instances() > 1:
            found.append(Finding(_SUBJECT, "more than one open redo thread (RAC)", _ONE_THREAD))
        return found

    def _instances(self) -> int:
        return self._number(_OPEN_THREADS)

    def identity(self) -> Mapping[str, str]:
        """DBID and the incarnation."""
        return self._ours.identity()

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables, without LOB, LONG and XML columns and extended strings."""
        return {
            name: replace(table, columns=tuple(column for column in table.columns if not column.large))
            for name, table in self._ours.describe().items()
        }

    def before_columns(self, table: TableName) -> frozenset[str] | None:
        """All columns: preflight asks for supplemental logging of all of them."""
        return None

    def cell_type(self, table: SourceTable, column: str) -> Any:
        """Text for every column."""
        return pl.String

    def canonical(self, frame: pl.DataFrame, table: SourceTable, *sides: str) -> pl.DataFrame:
        """Turn Debezium's values into canonical text."""
        forms = {
            SourceType.NUMBER: cells.short_number,
            SourceType.TIMESTAMP: cells.timestamp,
            SourceType.TIMESTAMP_TZ: cells.timestamp_with_offset,
        }
        return frame.with_columns(
            forms[column.type](pl.col(f"{side}{column.name}")).alias(f"{side}{column.name}")
            for side in sides
            for column in table.columns
            if column.type in forms
        )

    def prepare_snapshot(self, stop: StopAsked) -> bool:
        """Refuse what Debezium would read with gaps."""
        self._require_one_instance()
        return True

    def _require_one_instance(self) -> None:
        if self._instances() > 1:
            raise OperatorError(
                f"{self._system}: reader 'debezium' found more than one open redo thread (RAC), "
                f"expected {_ONE_THREAD}",
                hint=f'use reader = "logminer" in systems.{self._system}, which reads all of them',
            )

    def check(self, start: Boundary) -> None:
        """Make sure that one instance writes, and that the redo from `start` on is there."""
        self._require_one_instance()
        needed, oldest = int(start.offset["scn"]), self._number(_OLDEST)
        if oldest > needed:
            raise RedoNotAvailable(
                f"{self._system}: redo from {Scn(needed)} is gone, oldest available is {Scn(oldest)}",
                hint=f"restore the archived logs, or, {snapshot_hint(self._system)}",
            )

    def end_of_transaction(self, metadata: Mapping[str, Any], offset: OffsetOf) -> Boundary:
        """The offset of END names the commit."""
        return _boundary(offset())

    def end_of_snapshot(self, offset: Offset) -> Boundary:
        """The SCN the tables were read at."""
        return Boundary(int(offset["snapshot_scn"]), _kept(offset))

    def idle_boundary(self, value: Mapping[str, Any], offset: OffsetOf) -> Boundary | None:
        """A heartbeat names the last commit that was handled, captured or not."""
        found = offset()
        return _boundary(found) if found.get("commit_scn") else None

    def idle(self) -> None:
        """Nothing to do: heartbeats come by themselves."""

    def reread(
        self, table: SourceTable, columns: Sequence[str], rows: Mapping[int, Sequence[SourceKey]]
    ) -> RereadValues:
        """As our own reader does."""
        return self._ours.reread(table, columns, rows)

    def source_lag(self, read_to: int) -> Mapping[str, float | int]:
        """`lag_scn`: SCNs between what was read and the database's current one."""
        return {"lag_scn": max(0, self._number(_CURRENT) - read_to) if read_to else 0}

    def close(self) -> None:
        """Release the connections; safe to call twice."""
        self._ours.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._session is not None:
            self._session.close()
            self._session = None

    def _number(self, query: str) -> int:
        if self._session is None or not self._session.is_healthy():
            self._session = connect(self._settings, module=f"ccbridge reader {self._system}")
        with oracle_errors(self._system), self._session.cursor() as cursor:
            cursor.execute(query, fetch_decimals=False)
            return int(cursor.fetchone()[0])


def jdbc_url(dsn: str) -> str:
    """The JDBC URL of a dsn: a descriptor, `tcps://host:port/service` or `host:port/service`."""
    plain = dsn.strip().startswith("(") or "://" in dsn
    return f"jdbc:oracle:thin:@{'' if plain else '//'}{dsn.strip()}"


def service(dsn: str) -> str:
    """The service a dsn names."""
    found = re.search(r"SERVICE_NAME\s*=\s*([^)\s]+)", dsn, re.IGNORECASE) or re.search(
        r"/([\w.$#]+)[^/]*$", dsn
    )
    return found.group(1) if found else dsn


def _boundary(offset: Offset) -> Boundary:
    """The latest commit of any thread: `scn:thread:transactions`, one for each thread."""
    commits = [int(one.partition(":")[0]) for one in str(offset["commit_scn"]).split(",")]
    return Boundary(max(commits), _kept(offset))


def _kept(offset: Offset) -> dict[str, Any]:
    return {name: offset[name] for name in _KEPT if name in offset}


def _pattern(name: str) -> str:
    return re.escape(name)
