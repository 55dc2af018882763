"""Digests of source rows: what following the change log costs, and what staging's sums save.

A table of 12 columns is read by the snapshot of the pgoutput reader and staged; then `staging.source_row`
follows, and both sides add up their digests by ranges of 10,000 rows: the source by hashing its rows, staging
by adding what it keeps. The sums are compared before a figure is given.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import polars as pl
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import mapping_rules
from cdc.changes import ChangeBatch, SourceTable, TableChanges, TableName
from cdc.config import PostgresConnection, PostgresSystem
from cdc.digests.definition import RowDigest, row_digest
from cdc.digests.postgres import digest
from cdc.digests.sort_key import decode
from cdc.ports import KeyRange
from cdc.positions import Lsn
from cdc.postgres.connect import Connection, connect
from cdc.readers.pgoutput import PgoutputReader
from cdc.readers.pgoutput.wire.canonical import SESSION_OPTIONS
from cdc.staging.batches.stage import Stager
from cdc.staging.leases import Lease
from cdc.staging.schema.migrate import migrate
from cdc.staging.source_rows.own_changes import note_own_changes
from cdc.staging.source_rows.ranges import bounds, range_sums
from cdc.staging.source_rows.refresh import refresh
from sandbox.postgres import PostgresServer

ROWS_OF_A_RANGE = 10_000
BATCH = 20_000
NAME = TableName("public", "meter")
TYPES = {
    "meter_id": "bigint primary key",
    "serial": "text",
    "badge": "char(12)",
    "model": "text",
    "address": "text",
    "installed_on": "date",
    "read_at": "timestamptz",
    "seen_at": "timestamp",
    "reading": "numeric(15,3)",
    "credit": "numeric(15,2)",
    "active": "boolean",
    "note": "text",
}
_FILL = """
insert into meter
select n, 'SN-' || n * 7, to_char(n, 'FM000000000000'), 'model ' || n %% 40, n || ' rue de la Liberté',
    date '2020-01-01' + n %% 1500, timestamptz '2024-02-29' + n * interval '1 s',
    timestamp '2024-02-29' + n * interval '1 ms', n / 7.0, n %% 100000 / 100.0, n %% 3 > 0,
    case when n %% 4 = 0 then null else 'note ' || md5(n::text) end
from generate_series(1, %s) n
"""
_KINDS = {
    "bigint": "integer",
    "date": "date",
    "timestamptz": "timestamp",
    "numeric(15,3)": "decimal, precision: 15, scale: 3",
    "numeric(15,2)": "decimal, precision: 15, scale: 2",
    "boolean": "boolean",
}


def rules() -> mapping_rules.RuleSet:
    """One entity that takes the table as it is."""
    columns = {name: _KINDS.get(declared.split()[0], "text") for name, declared in TYPES.items()}
    listed = "".join(f"  {name}: {{type: {kind}}}\n" for name, kind in columns.items())
    copied = "".join(f"  {name}: {name}\n" for name in columns)
    return mapping_rules.from_files(
        "meters",
        {
            "systems.yaml": "source: {conventions: plain, schema: public}\n",
            "entities/meter.yaml": f"entity: meter\nkey: [meter_id]\ncolumns:\n{listed}",
            "inbound/meter.yaml": "system: source\ntable: meter\nkey: [meter_id]\nentity: meter\n"
            f"columns:\n{copied}",
        },
    )


def cost(rows: int) -> Iterator[dict[str, object]]:
    """Stage `rows` rows, follow them, add them up on both sides."""
    with PostgresServer() as server:
        info, staging = (server.create_database(name) for name in ("source", "staging"))
        with psycopg.connect(info, autocommit=True) as source:
            columns = ", ".join(f"{name} {declared}" for name, declared in TYPES.items())
            source.execute(f"create table meter ({columns})".encode())
            source.execute(_FILL, [rows])
            source.execute("create publication ccbridge for table meter")
            source.execute("analyze meter")
        settings = PostgresConnection.model_validate(_section(staging))
        migrate(settings, rules())
        with closing(Lease(settings, "replication", "benchmark", 3_600)) as lease:
            lease.acquire()
            yield from _measured(info, settings, lease, rows)


def _measured(
    info: str, settings: PostgresConnection, lease: Lease, rows: int
) -> Iterator[dict[str, object]]:
    stager = Stager(
        connect(settings, application="benchmark stager"),
        rules(),
        "source",
        kind="postgres",
        time_zone="UTC",
        run_id=uuid.uuid4(),
        lease=lease,
    )
    system = PostgresSystem.model_validate(_section(info) | {"kind": "postgres", "slot": "benchmark"})
    kept: list[ChangeBatch] = []
    with closing(stager), closing(PgoutputReader("source", system, [NAME])) as reader:
        table = reader.describe()[NAME]
        started = time.perf_counter()
        for batch in reader.snapshot(max_rows=BATCH, stop=lambda: False):
            stager.stage(batch)
            if len(kept) < 10 and batch.tables:
                kept.append(batch)
        stage_s = time.perf_counter() - started
        definition = row_digest(table, TYPES, kind="postgres")
        with closing(connect(settings, application="benchmark compare")) as session:
            first_s = _refreshed(session, definition)
            changed = _changed(kept)
            started = time.perf_counter()
            for batch in changed:
                stager.stage(batch)
            changed_s = time.perf_counter() - started
            again_s = _refreshed(session, definition)
            yield {
                "bench": "source_rows",
                "rows": rows,
                "stage_rows_per_s": round(rows / stage_s),
                "refresh_rows_per_s": round(rows / first_s),
                "refresh_us_per_row": round(first_s / rows * 1e6, 1),
                "changes": (changes := sum(batch.rows for batch in changed)),
                "stage_us_per_change": round(changed_s / changes * 1e6, 1),
                "refresh_us_per_change": round(again_s / changes * 1e6, 1),
                "own_write_us": round(_own(session, kept, definition) * 1e6, 1),
            }
            yield from _sums(info, session, table, definition)


def _refreshed(session: Connection, definition: RowDigest) -> float:
    started = time.perf_counter()
    refresh(session, "source", {NAME: definition})
    return time.perf_counter() - started


def _changed(batches: list[ChangeBatch]) -> list[ChangeBatch]:
    """The same rows changed once more, by one transaction a batch, later."""
    changed = []
    for number, batch in enumerate(batches, 1):
        changes = batch.tables[NAME]
        position = Lsn(int(batch.position) + number)
        before = [pl.col(f"after.{name}").alias(f"before.{name}") for name in TYPES]
        frame = changes.frame.with_columns(
            pl.lit("u").alias("operation"),
            pl.lit(int(position)).alias("position"),
            pl.int_range(pl.len()).alias("ordinal"),
            pl.lit(str(number)).alias("transaction_id"),
            pl.lit(0, pl.Int16).alias("before_shape"),
            *before,
        )
        changed.append(
            replace(batch, position=position, tables={NAME: replace(changes, frame=frame)}, snapshot_done=())
        )
    return changed


def _own(session: Connection, batches: list[ChangeBatch], definition: RowDigest) -> float:
    """Seconds a change that noting our own writes takes, nothing kept."""
    own: list[TableChanges] = [batch.tables[NAME] for batch in batches]
    with session.cursor() as cursor:
        started = time.perf_counter()
        for changes in own:
            note_own_changes(cursor, "source", changes, definition, 0)
        taken = time.perf_counter() - started
    session.rollback()
    return taken / sum(map(len, own))


def _sums(
    info: str, session: Connection, table: SourceTable, definition: RowDigest
) -> Iterator[dict[str, object]]:
    session.autocommit = True
    session.execute("vacuum analyze staging.source_row")
    cuts = bounds(session, "source", NAME, ROWS_OF_A_RANGE)
    ranges = KeyRange().cut(cuts)
    started = time.perf_counter()
    kept = range_sums(session, "source", NAME, ranges)
    kept_s = time.perf_counter() - started
    ids = [decode(table, cut)[0] for cut in cuts]
    hashed = sql.SQL(
        "select count(*), mod(sum({}), 18446744073709551616) from public.meter "
        "where meter_id >= %s and meter_id < %s"
    ).format(sql.SQL(digest(definition)))
    edges = [0, *map(int, ids), 2**62]
    with psycopg.connect(make_conninfo(info, options=SESSION_OPTIONS)) as source:
        started = time.perf_counter()
        sums = [source.execute(hashed, [low, high]).fetchone() for low, high in pairwise(edges)]
        hashed_s = time.perf_counter() - started
    by_source = [(int(str(count)), int(str(total))) for count, total in filter(None, sums)]
    if by_source != kept.select("count", "sum").rows():
        raise AssertionError("the sums of source and staging differ")
    yield {
        "bench": "range_sums",
        "rows": kept["count"].sum(),
        "ranges": len(ranges),
        "staging_s": round(kept_s, 3),
        "source_s": round(hashed_s, 3),
        "staging_to_source": round(kept_s / hashed_s, 3),
    }


def _section(info: str) -> dict[str, object]:
    parts = conninfo_to_dict(info)
    return {
        "host": str(parts["host"]),
        "port": int(str(parts["port"])),
        "database": str(parts["dbname"]),
        "user": str(parts["user"]),
        "password": str(parts["password"]),
        "sslmode": "disable",
        "insecure": True,
    }
