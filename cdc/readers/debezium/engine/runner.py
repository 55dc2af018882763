"""One run of Debezium's embedded engine, read like a queue.

The engine calls us on a thread of its own with a list of records; each list becomes a `Block`, and
the call returns only when there is room again, so the engine never runs far ahead. Nothing counts as
processed, for Debezium and so for the source, before `Engine.commit`.

Source: Debezium 3.6 documentation, "Debezium Engine".
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from cdc.errors import CcbridgeError, TransientError
from cdc.readers.debezium.engine import jvm
from cdc.readers.debezium.engine.failures import SqlFailure, failure
from cdc.readers.debezium.engine.offsets import NAME, as_json_types, write_offset

MAX_WAITING = 4
"""Blocks that wait to be taken; a block has up to `max.batch.size` records."""
START_PATIENCE_S = 60.0
CALL_PATIENCE_S = 5.0
_TURN_S = 0.02

COMMON = {
    "name": NAME,
    "topic.prefix": NAME,
    "tombstones.on.delete": "false",
    "provide.transaction.metadata": "true",
    "skipped.operations": "none",
    "decimal.handling.mode": "string",
    "binary.handling.mode": "hex",
    "time.precision.mode": "isostring",
    "interval.handling.mode": "string",
    "errors.max.retries": "0",  # retrying is the flow's work
    "notification.enabled.channels": "sink",
    "notification.sink.topic.name": "notification",
    "heartbeat.interval.ms": "500",
    "poll.interval.ms": "5",
    "max.batch.size": "2048",
    "max.queue.size": "8192",
    "key.converter.schemas.enable": "false",
    "value.converter.schemas.enable": "false",
    "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
    "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
}
"""Settings that every connector runs with; the connector adds its own."""

log = structlog.get_logger(__name__)

_running: weakref.WeakSet[Engine] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """End what still runs: a Java thread that calls into an interpreter which is gone aborts the process."""
    for engine in list(_running):
        engine.close()
    jvm.detach()


@dataclass(frozen=True)
class Block:
    """Records as the engine handed them over: their JSON, their schemas' numbers, the Java list."""

    values: list[str]
    schemas: list[str]
    records: Any

    def offset(self, index: int) -> dict[str, Any]:
        """Debezium's offset after a record."""
        return as_json_types(self.records.get(index).sourceRecord().sourceOffset())

    def schema(self, index: int) -> Any:
        """The Java schema of a record's value."""
        return self.records.get(index).sourceRecord().valueSchema()


class Engine:
    """One run of a connector, from an offset on or from its own snapshot.

    Args:
        system: name of the system, for messages.
        properties: the connector's settings next to COMMON; they hold the password.
        offset: where to continue; None lets the connector take its snapshot first.
        sql_failure: translates the database driver's exception.
    """

    def __init__(
        self,
        system: str,
        properties: Mapping[str, str],
        offset: Mapping[str, Any] | None,
        sql_failure: SqlFailure,
    ) -> None:
        jvm.start()
        self._system = system
        self._sql_failure = sql_failure
        self._extract = jvm.extract()
        self._changed = threading.Condition()
        self._blocks: deque[Block] = deque()
        self._failure: CcbridgeError | None = None
        self._ended = False
        self._calls = 0
        self._closing = self._closed = False
        self._committer: Any = None
        self._folder = Path(tempfile.mkdtemp(prefix="ccbridge-debezium-"))
        settings = jvm.java("java.util.Properties")()
        for name, value in {**COMMON, **properties, **self._files()}.items():
            settings.setProperty(name, value)
        if offset is not None:
            write_offset(self._folder / "offset", offset)
        try:
            self._engine = self._built(settings)
        except jvm.java("java.lang.Exception") as exc:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise failure(exc, "", system, sql_failure) from exc
        self._thread = threading.Thread(target=self._run, name=f"debezium {system}", daemon=True)
        self._thread.start()
        _running.add(self)

    def take(self, timeout_s: float) -> Block | None:
        """The next block; None if none came in time.

        Raises:
            CcbridgeError: the engine ended; what it had handed over before is taken first.
        """
        with self._changed:
            if not self._blocks and not self._ended:
                self._changed.wait(timeout_s)
            if self._blocks:
                block = self._blocks.popleft()
                self._changed.notify_all()
                return block
            if self._ended:
                raise self._failure or TransientError(
                    f"{self._system}: debezium ended the stream",
                    hint="check the lines of debezium in the log",
                )
        return None

    def commit(self, record: Any) -> None:
        """A record and all before it are durably staged: the source may discard older log."""
        with self._changed:
            committer, ended = self._committer, self._ended or self._closing
        if committer is None or ended:
            return
        try:
            committer.markProcessed(record)
            committer.markBatchFinished()
        except jvm.java("java.lang.Exception") as exc:  # the run is ending: `take` tells why
            log.debug("debezium_commit_failed", system=self._system, reason=str(exc.getClass().getName()))

    def close(self) -> None:
        """End the run and wait until its connections are closed; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        with self._changed:
            self._closing = True
            self._blocks.clear()
            self._changed.notify_all()
        illegal = jvm.java("java.lang.IllegalStateException")
        deadline = time.monotonic() + START_PATIENCE_S
        while self._thread.is_alive() and time.monotonic() < deadline:
            try:
                self._engine.close()
            except illegal:  # still starting its tasks, or ending by itself
                self._thread.join(_TURN_S)
            else:
                self._thread.join(_TURN_S)
        with self._changed:  # the engine does not wait for a call into this interpreter
            self._changed.wait_for(lambda: not self._calls, CALL_PATIENCE_S)
        if self._thread.is_alive():
            log.warning("debezium_close_overdue", system=self._system, elapsed_s=START_PATIENCE_S)
        _running.discard(self)
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- called by the engine ------------------------------------------------------------------

    def _run(self) -> None:
        self._engine.run()

    def _handle(self, records: Any, committer: Any) -> None:
        with self._changed:
            self._calls += 1
        try:
            self._take_in(records, committer)
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def _take_in(self, records: Any, committer: Any) -> None:
        with self._changed:
            while len(self._blocks) >= MAX_WAITING and not self._closing:
                self._changed.wait()
            if self._closing:
                return
            self._committer = committer
        block = Block(self._extract.values(records), self._extract.schemas(records), records)
        with self._changed:
            self._blocks.append(block)
            self._changed.notify_all()

    def _completed(self, success: bool, message: Any, error: Any) -> None:
        found = None
        if not success:
            found = failure(error, str(message), self._system, self._sql_failure)
        with self._changed:
            self._failure, self._ended = found, True
            self._changed.notify_all()

    # -- settings ------------------------------------------------------------------------------

    def _built(self, settings: Any) -> Any:
        api = "io.debezium.engine"
        completed = jvm.implement(f"{api}.DebeziumEngine$CompletionCallback", {"handle": self._completed})
        consumer = jvm.implement(
            f"{api}.DebeziumEngine$ChangeConsumer",
            {"handleBatch": self._handle, "supportsTombstoneEvents": lambda: True},
        )
        builder = jvm.java(f"{api}.DebeziumEngine").create(jvm.java(f"{api}.format.Json")).using(settings)
        always = jvm.java(f"{api}.spi.OffsetCommitPolicy").always()
        return builder.using(always).using(completed).notifying(consumer).build()

    def _files(self) -> dict[str, str]:
        return {
            "offset.storage.file.filename": str(self._folder / "offset"),
            "schema.history.internal.file.filename": str(self._folder / "schema"),
        }
