"""End to end from the Oracle stand-in: LogMiner reader, rules, staging, delivery to PostgreSQL.

One table as wide as CI_PER, all its columns but the CLOB mapped and delivered. The stand-in is Python
on the same machine, so each figure says how many CPU seconds were its own: `reader` is our reader
alone, from the rows of V$LOGMNR_CONTENTS to typed batches, `end_to_end` the whole product.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import bridge
from benchmarks.cpu import CpuMeter
from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.flows.replicate import rest_collector
from cdc.readers.logminer import LogMinerReader
from sandbox.ccb.database import APPLICATION_USER, CcbDatabase, create
from sandbox.ccb.schema import OWNER, tables
from sandbox.oracle_process import OracleProcess
from sandbox.postgres import PostgresServer

RULES = Path(__file__).with_name("person_rules")
TABLE = TableName(OWNER, "CI_PER")
UPDATES_OF_A_ROW = 4
ROWS_PER_TRANSACTION = 100
_COLUMNS = [name for name in tables()["CI_PER"].columns if name != "PER_DATA_AREA"]
_GIVEN = (
    "PER_ID",
    "LANGUAGE_CD",
    "PER_OR_BUS_FLG",
    "EMAILID",
    "ADDRESS1",
    "ADDRESS2",
    "CITY",
    "NUM1",
    "POSTAL",
    "COUNTRY",
    "OVRD_MAIL_NAME1",
)
_UPDATE = (
    f"update {OWNER}.CI_PER set ADDRESS1 = 'Rue ' || VERSION || ' d''Église', EMAILID = :mail, "
    "VERSION = VERSION + 1 where PER_ID between :low and :high"
)


@dataclass
class Site:
    """The servers and the product's configuration."""

    oracle: OracleProcess
    ccb: CcbDatabase
    staging: PostgresServer
    target: PostgresServer
    config: Path

    def environment(self) -> Mapping[str, str]:
        """Environment of the product: its passwords."""
        return {
            **os.environ,
            "CCBRIDGE_STAGING__PASSWORD": self.staging.password,
            "CCBRIDGE_SYSTEMS__CCB__PASSWORD": self.ccb.passwords["CCBRIDGE"],
            "CCBRIDGE_SYSTEMS__TARGET__PASSWORD": self.target.password,
        }

    def one(self, server: PostgresServer, query: str) -> object:
        """The one value of a query in the database of a server."""
        name = "staging" if server is self.staging else "target"
        with psycopg.connect(server.conninfo(name)) as connection:
            row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None

    def snapshot_done(self) -> bool:
        """Was CC&B read once in full?"""
        query = "select count(*) from staging.checkpoint where snapshot_complete"
        return self.one(self.staging, query) == 1


@contextmanager
def site() -> Iterator[Site]:
    """An empty CC&B on the stand-in, staging and target, migrated, nothing running yet."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ccbridge-bench-")))
        oracle = stack.enter_context(OracleProcess(folder / "oracle.log"))
        ccb = CcbDatabase("127.0.0.1", oracle.port)
        create(ccb)
        staging, target = (stack.enter_context(PostgresServer()) for _ in range(2))
        staging.create_database("staging")
        columns = ", ".join(
            f"{name} {'integer' if name == 'VERSION' else 'text'}{' primary key' if name == 'PER_ID' else ''}"
            for name in _COLUMNS
        )
        with psycopg.connect(target.create_database("target")) as connection:
            connection.execute(f"create table person ({columns})".encode())
        made = Site(oracle, ccb, staging, target, folder / "ccbridge.toml")
        made.config.write_text(_config(made))
        bridge.migrate(made.config, made.environment())
        yield made


def _config(made: Site) -> str:
    staging, target = (
        f'database = "{name}"\nhost = "127.0.0.1"\nport = {server.port}\nuser = "{server.user}"\n'
        'sslmode = "disable"\ninsecure = true\nallowed_rights = ["superuser"]\n'
        for name, server in (("staging", made.staging), ("target", made.target))
    )
    return (
        f"[staging]\n{staging}"
        f'[systems.ccb]\nkind = "oracle"\ndsn = "{made.ccb.dsn}"\nuser = "CCBRIDGE"\ninsecure = true\n'
        "poll_interval_ms = 25\n"
        f'time_zone = "Africa/Douala"\n'
        f'[systems.target]\nkind = "postgres"\n{target}'
        f'[rules]\npath = "{RULES}"\n'
    )


def drain(changes: int) -> Iterator[dict[str, Any]]:
    """Drain a backlog of `changes`: each row inserted once and updated four times."""
    rows = changes // (UPDATES_OF_A_ROW + 1)
    changes = rows * (UPDATES_OF_A_ROW + 1)
    with site() as made:
        with bridge.product(made.config, made.environment()):
            _wait(made, made.snapshot_done, "the first snapshot")
        bridge.progress(f"oracle: making {changes} changes")
        _write(made.ccb, rows)
        bridge.progress("oracle: the reader alone")
        yield from _reader(made, changes)
        bridge.progress("oracle: end to end")
        yield from _end_to_end(made, rows, changes)


def _reader(made: Site, changes: int) -> Iterator[dict[str, Any]]:
    """The reader alone, in this process."""
    with psycopg.connect(made.staging.conninfo("staging")) as connection:
        [resume] = connection.execute("select resume from staging.checkpoint").fetchone() or [{}]
    settings = OracleSystem(
        kind="oracle",
        dsn=made.ccb.dsn,
        user="CCBRIDGE",
        password=made.ccb.passwords["CCBRIDGE"],
        poll_interval_ms=25,
        insecure=True,
    )
    reader = LogMinerReader("ccb", settings, [TABLE])
    seen = 0
    rest_collector()  # as `ccbridge run` does
    meter = CpuMeter({"oracle_stand_in": made.oracle.pid or 0})
    started, cpu = time.perf_counter(), time.process_time()
    stream = reader.read(resume, max_changes=20_000, stop=lambda: seen >= changes)
    try:
        for batch in stream:
            seen += batch.rows
        elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
        stand_in = meter.seconds()
    finally:
        reader.close()
    if seen != changes:
        raise RuntimeError(f"{seen} changes read, {changes} made: the figure would be useless")
    yield {
        "bench": "oracle_reader",
        "changes": changes,
        "seconds": round(elapsed, 2),
        "changes_per_s": round(changes / elapsed),
        "cpu_s": {"reader": round(cpu, 2), **stand_in},
        "changes_per_cpu_s": round(changes / cpu),
        "bar_changes_per_cpu_s": 30_000,
    }


def _end_to_end(made: Site, rows: int, changes: int) -> Iterator[dict[str, Any]]:
    def delivered() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"ccbridge run ended by itself:\n{bridge.log_tail(made.config)}")
        if made.one(made.target, "select coalesce(sum(version), 0) from person") != last:
            return False
        mark = made.one(made.target, "select staged_seq from ccbridge.sink_mark")
        return mark == made.one(made.staging, "select max(staged_seq) from staging.person")

    last = rows * (UPDATES_OF_A_ROW + 1)
    with bridge.product(made.config, made.environment()) as process:
        started = time.perf_counter()
        meter = CpuMeter(
            {
                "ccbridge": process.pid,
                "oracle_stand_in": made.oracle.pid or 0,
                "staging_postgres": made.staging.pid or 0,
                "target_postgres": made.target.pid or 0,
            }
        )
        _wait(made, delivered, "the last change in the target")
        elapsed, cpu = time.perf_counter() - started, meter.seconds()
        memory = bridge.peak_memory_mb(process.pid)
    _require_equal(made)
    yield {
        "bench": "oracle_to_postgres",
        "changes": changes,
        "columns": len(_COLUMNS),
        "seconds": round(elapsed, 2),
        "changes_per_s": round(changes / elapsed),
        "cpu_s": cpu,
        "stand_in_cpu_share": round(cpu["oracle_stand_in"] / sum(cpu.values()), 2),
        "changes_per_cpu_s": round(changes / cpu["ccbridge"]),
        "peak_memory_mb": round(memory),
    }


def _write(ccb: CcbDatabase, rows: int) -> None:
    """Inserts, then updates of every row, as the application, 100 rows a transaction."""
    insert = tables()["CI_PER"].insert_statement(_GIVEN, IN_CITY_LIMIT="Y", LS_SL_FLG="N")
    with ccb.connect(APPLICATION_USER) as connection, connection.cursor() as cursor:
        for low in range(0, rows, ROWS_PER_TRANSACTION):
            cursor.executemany(
                insert, [_person(n) for n in range(low, min(rows, low + ROWS_PER_TRANSACTION))]
            )
            connection.commit()
        for turn in range(UPDATES_OF_A_ROW):
            for low in range(0, rows, ROWS_PER_TRANSACTION):
                high = min(rows, low + ROWS_PER_TRANSACTION) - 1
                cursor.execute(
                    _UPDATE, mail=f"person{low}.{turn}@example.org", low=f"{low:010d}", high=f"{high:010d}"
                )
                connection.commit()


def _person(number: int) -> tuple[str, ...]:
    return (
        f"{number:010d}",
        "FRA",
        "P",
        f"person{number}@example.org",
        f"{number % 300} rue de la Liberté",
        f"Bloc {number % 40}",
        "Douala",
        str(number % 1000),
        f"{number % 100_000:05d}",
        "CMR",
        f"O'Brien {number}",
    )


def _wait(made: Site, true: Any, what: str) -> None:
    try:
        bridge.wait_until(true, timeout_s=1_800, what=what, every_s=0.5)
    except TimeoutError as exc:
        raise TimeoutError(f"{exc}; log:\n{bridge.log_tail(made.config)}") from exc


def _require_equal(made: Site) -> None:
    """Every column of every row, as CC&B means it: padding is nothing, one blank is missing."""
    names = ", ".join(_COLUMNS)
    with (
        made.ccb.connect(APPLICATION_USER) as source,
        psycopg.connect(made.target.conninfo("target")) as target,
        target.cursor("person") as written,
        source.cursor() as cursor,
    ):
        cursor.arraysize = 5_000
        written.itersize = 5_000
        expected = map(_meant, cursor.execute(f"select {names} from {TABLE} order by PER_ID"))
        written.execute(f'select {names} from person order by per_id collate "C"'.encode())
        for due, found in zip_longest(expected, written):
            if due != found:
                raise RuntimeError("source and target differ: the figure would be useless")


def _meant(row: tuple[object, ...]) -> tuple[object, ...]:
    return tuple((cell.rstrip(" ") or None) if isinstance(cell, str) else cell for cell in row)
