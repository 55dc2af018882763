"""End to end: PostgreSQL source to PostgreSQL target, captured, logged, with history, delivered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from benchmarks.bridge import Bridge, bridge, log_tail, peak_memory_mb, wait_until
from benchmarks.cpu import CpuMeter

_INSERTS = """
insert into item
select n, 'name ' || n, n / 100.0, n % 2 = 0, now(), repeat('x', (n % 40)::int)
from generate_series({low}, {high}) n
"""
_UPDATES = "update item set amount = amount + 0.01, changed_at = now() where item_id between {low} and {high}"


def rate(changes: int) -> Iterator[dict[str, Any]]:
    """Drain a backlog of `changes` (half inserts, half updates, 100 to a transaction)."""
    with bridge() as made:
        with made.running():
            _snapshot_done(made)
        with made.connected("source") as source:
            _write(source, changes // 2 - 1, 100)
            source.execute("insert into item values (0, 'last', 0, true, now(), null)")
        started = time.perf_counter()
        with made.running() as process, made.connected("target") as target:
            meter = _meter(made, process.pid)
            wait_until(
                lambda: _one(target, "select 1 from item where item_id = 0") == (1,),
                timeout_s=1_800,
                what="the last change in the target",
            )
            wait_until(
                lambda: _one(target, "select staged_seq from ccbridge.sink_mark") == _staged(made),
                timeout_s=60,
                what="the sink's mark to reach the last staged row",
            )
            elapsed, cpu = time.perf_counter() - started, meter.seconds()
            memory = peak_memory_mb(process.pid)
            _require_equal(made)
        yield {
            "bench": "postgres_to_postgres",
            "changes": changes,
            "seconds": round(elapsed, 2),
            "changes_per_s": round(changes / elapsed),
            "cpu_s": cpu,
            "changes_per_cpu_s": round(changes / cpu["ccbridge"]),
            "peak_memory_mb": round(memory),
        }


def latency(changes_per_s: int, seconds: int) -> Iterator[dict[str, Any]]:
    """Commit at the source to commit at the target, at a steady rate, one row a transaction.

    Both times are the server's own commit timestamps; both databases are on one server.
    """
    with bridge() as made, made.running() as process:
        _snapshot_done(made)
        started, meter = time.perf_counter(), _meter(made, process.pid)
        rows = changes_per_s * seconds
        _paced(made, rows, changes_per_s)
        writing = time.perf_counter() - started
        with made.connected("target") as target, made.connected("source") as source:
            wait_until(
                lambda: _one(target, "select count(*) from item") == (rows,),
                timeout_s=120,
                what="the target to hold every row",
            )
            cpu = meter.seconds()
            query = "select item_id, extract(epoch from pg_xact_commit_timestamp(xmin))::float8 from item"
            sent, arrived = _commit_times(source, query), _commit_times(target, query)
        memory = peak_memory_mb(process.pid)
    waits = sorted((arrived[key] - at) * 1000 for key, at in sent.items())
    yield {
        "bench": "commit_to_commit_latency",
        "changes": rows,
        "changes_per_s": round(rows / writing),
        "p50_ms": round(waits[len(waits) // 2], 1),
        "p99_ms": round(waits[int(len(waits) * 0.99)], 1),
        "max_ms": round(waits[-1], 1),
        "cpu_s": cpu,
        "peak_memory_mb": round(memory),
    }


def _meter(made: Bridge, process_id: int) -> CpuMeter:
    servers = {f"{name}_postgres": server.pid or 0 for name, server in made.servers.items()}
    return CpuMeter({"ccbridge": process_id, **servers})


def _paced(made: Bridge, rows: int, per_s: int) -> None:
    """Two writers insert `rows` in single-row transactions at `per_s` together."""

    def write(first: int) -> None:
        with made.connected("source") as connection:
            started = time.perf_counter()
            for done, key in enumerate(range(first, rows, 2)):
                ahead = started + done * 2 / per_s - time.perf_counter()
                if ahead > 0:
                    time.sleep(ahead)
                connection.execute(
                    "insert into item values (%s, 'name', 1.25, true, now(), null)", [key], prepare=True
                )

    threads = [threading.Thread(target=write, args=[first]) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _write(connection: psycopg.Connection[tuple[object, ...]], rows: int, at_once: int) -> None:
    for statement in (_INSERTS, _UPDATES):
        for low in range(1, rows + 1, at_once):
            connection.execute(statement.format(low=low, high=min(rows, low + at_once - 1)).encode())


def _snapshot_done(made: Bridge) -> None:
    with made.connected("staging") as staging:
        wait_until(
            lambda: _one(staging, "select count(*) from staging.checkpoint where snapshot_complete") == (1,),
            timeout_s=60,
            what=f"the first snapshot; log:\n{log_tail(made.config)}",
        )


def _commit_times(connection: psycopg.Connection[tuple[object, ...]], query: str) -> dict[object, float]:
    return {key: float(str(at)) for key, at in connection.execute(query.encode()).fetchall()}


def _staged(made: Bridge) -> tuple[object, ...]:
    with made.connected("staging") as staging:
        return _one(staging, "select max(staged_seq) from staging.item")


def _require_equal(made: Bridge) -> None:
    query = "select count(*), sum(amount), md5(string_agg(item::text, ',' order by item_id)) from item"
    with made.connected("source") as source, made.connected("target") as target:
        if _one(source, query) != _one(target, query):
            raise RuntimeError("source and target differ: the figure would be useless")


def _one(connection: psycopg.Connection[tuple[object, ...]], query: str) -> tuple[object, ...]:
    row = connection.execute(query.encode()).fetchone()
    return row if row is not None else ()
