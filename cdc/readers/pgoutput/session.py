"""A replication session: PostgreSQL's walsender, driven through libpq.

`WalSender` opens the session, runs its few commands, starts the stream and answers for it. While
the reader is busy elsewhere (a batch is being staged) a thread keeps reporting to the server that we
are alive, otherwise it would end the session after `wal_sender_timeout`.

Source: PostgreSQL 17 documentation, "Streaming Replication Protocol".
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from threading import Event, RLock, Thread
from typing import Any, Self

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.errors import error_from_result

from cdc.config import PostgresSystem
from cdc.errors import DatabaseUnreachable, OperatorError, RowError, SlotMissing, snapshot_hint
from cdc.ports import StopAsked
from cdc.positions import Lsn
from cdc.postgres.connect import conninfo
from cdc.postgres.errors import postgres_errors, translated
from cdc.postgres.sessions import Holder
from cdc.readers.pgoutput.wire.canonical import SESSION_OPTIONS
from cdc.readers.pgoutput.wire.messages import status_update

STATUS_INTERVAL_S = 10.0
"""Longest time without a status update; shorter where the server's own time-out is short."""

_TURN_S = 0.2
"""How long one wait lasts before `stop` is looked at."""


def wal_sender_name(system: str) -> str:
    """The application_name of a replication session, without the lease."""
    return f"ccbridge read {system}"


class WalSender:
    """One replication session on the system's database; not thread-safe but for its own heartbeat.

    Args:
        settings: where and as whom.
        system: name of the system, for messages.
        holder: the lease under which it reads, shown in the session's name.

    Raises:
        DatabaseUnreachable, LoginRefused, NotGranted: no session; the role needs REPLICATION.
    """

    def __init__(self, settings: PostgresSystem, system: str, holder: Holder | None = None) -> None:
        self._system = system
        self._publication = settings.publication
        self._subject = f"{system}: {settings.user}@{settings.host}:{settings.port}/{settings.database}"
        application = wal_sender_name(system)
        name = application if holder is None else holder.name(application)
        info = conninfo(settings, application=name, replication=True)
        with postgres_errors(self._subject):
            self._connection = psycopg.connect(make_conninfo(info, options=SESSION_OPTIONS), autocommit=True)
        self._pg = self._connection.pgconn
        self.get: Callable[[int], tuple[int, Any]] = self._pg.get_copy_data
        self.lock = RLock()
        self.received = Lsn(0)
        self.flushed = Lsn(0)
        self._sent_at = time.monotonic()
        self._poll = select.poll()
        self._poll.register(self._pg.socket, select.POLLIN)
        self._ended = Event()
        self._heartbeat: Thread | None = None
        self._interval_s = STATUS_INTERVAL_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, text: str) -> list[dict[str, str | None]]:
        """Run a replication command or a simple query; rows as column name -> text."""
        with postgres_errors(self._subject):
            return self._rows(self._pg.exec_(text.encode()))

    def command_until(self, text: str, stop: StopAsked) -> list[dict[str, str | None]] | None:
        """The same for one that may wait for others; cancelled, and None, once `stop()` is true."""
        with postgres_errors(self._subject):
            self._pg.send_query(text.encode())
            while self._pg.flush():
                self._wait(_TURN_S)
            while self._pg.is_busy():
                if stop():
                    self._pg.get_cancel().cancel()
                    return None
                if self._wait(_TURN_S):
                    self._pg.consume_input()
            result = self._pg.get_result()
            while self._pg.get_result() is not None:
                pass
            return self._rows(result) if result is not None else []

    def command_in_turns(self, text: str) -> Iterator[list[dict[str, str | None]] | None]:
        """The same without waiting: None as long as the command runs, then its rows."""
        with postgres_errors(self._subject):
            self._pg.send_query(text.encode())
            while self._pg.flush():
                self._wait(_TURN_S)
        while True:
            with postgres_errors(self._subject):
                if self._wait(0):
                    self._pg.consume_input()
                if not self._pg.is_busy():
                    break
            yield None
        with postgres_errors(self._subject):
            result = self._pg.get_result()
            while self._pg.get_result() is not None:
                pass
            found = self._rows(result) if result is not None else []
        yield found

    def start(self, slot: str, publication: str, lsn: Lsn) -> None:
        """Start the stream with the first transaction that commits at `lsn` or later.

        Raises:
            TransientError: another session holds the slot.
            OperatorError: the slot or the publication cannot be used.
        """
        timeout = self.command("show wal_sender_timeout")[0]["wal_sender_timeout"] or "0"
        self._interval_s = min(STATUS_INTERVAL_S, _seconds(timeout) / 3 or STATUS_INTERVAL_S)
        text = (
            f"START_REPLICATION SLOT {quoted(slot)} LOGICAL {lsn.text} "
            f"(proto_version '1', publication_names {literal(quoted(publication))})"
        )
        with postgres_errors(self._subject):
            result = self._pg.exec_(text.encode())
            if result.status != pq.ExecStatus.COPY_BOTH:
                raise error_from_result(result)
        self.received = self.flushed = lsn
        self._heartbeat = Thread(target=self._beat, name="ccbridge-walsender", daemon=True)
        self._heartbeat.start()

    def receive(self, timeout_s: float) -> bool:
        """Wait for input, at most so long, and take it in; False if there was none.

        Raises:
            DatabaseUnreachable: the connection is lost (TCP keepalives notice it in under a minute).
        """
        with postgres_errors(self._subject):
            if self._wait(timeout_s):
                self._pg.consume_input()
                return True
        return False

    def keep_alive(self, *, now: bool = False) -> None:
        """Send a status update if one is due, or `now`."""
        with self.lock, postgres_errors(self._subject):
            if now or time.monotonic() - self._sent_at >= self._interval_s:
                self._send_status()

    def ended(self) -> None:
        """Raise why the server ended the stream; called after `get` returned -1.

        Raises:
            SlotMissing: the publication did not exist when the WAL that is read was written.
            OperatorError: the server cannot decode a row, so the stream cannot get past it.
            DatabaseUnreachable: the connection was lost.
        """
        result = self._pg.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            exc = error_from_result(result)
            if isinstance(exc, psycopg.errors.UndefinedObject):
                raise SlotMissing(
                    f"{self._subject}: publication {self._publication} did not exist when the WAL at "
                    f"{self.received} was written: it was dropped, and perhaps created again since",
                    hint=f"create the publication if it is missing; then, {snapshot_hint(self._system)}",
                ) from exc
            found = translated(exc, self._subject)
            if isinstance(found, RowError):  # there is no row yet that could be taken out of the stream
                raise OperatorError(
                    f"{found}, while decoding the WAL at {self.received}",
                    hint="correct the value in the source if the server allows it; then, "
                    f"{snapshot_hint(self._system)}",
                ) from exc
            raise found from exc
        raise DatabaseUnreachable(
            f"{self._subject}: the server ended the replication stream",
            hint="check the server's log: it was stopped, or an administrator ended the session",
        )

    def close(self) -> None:
        """End the session; safe to call twice."""
        self._ended.set()
        if self._heartbeat is not None:
            self._heartbeat.join()
            self._heartbeat = None
        self._connection.close()

    def _beat(self) -> None:
        while not self._ended.wait(self._interval_s / 2):
            with self.lock:
                if time.monotonic() - self._sent_at >= self._interval_s:
                    try:
                        self._send_status()
                    except psycopg.Error:
                        return  # the reader meets the same error at its next turn

    def _send_status(self) -> None:
        update = status_update(received=self.received, flushed=self.flushed, clock_us=time.time_ns() // 1000)
        self._pg.put_copy_data(update)
        self._sent_at = time.monotonic()
        self._pg.flush()  # what does not fit now goes with the next call

    def _wait(self, timeout_s: float) -> bool:
        return bool(self._poll.poll(timeout_s * 1000))

    def _rows(self, result: pq.abc.PGresult) -> list[dict[str, str | None]]:
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            raise error_from_result(result)
        names = [(result.fname(i) or b"").decode() for i in range(result.nfields)]
        return [
            {name: _decoded(result.get_value(row, i)) for i, name in enumerate(names)}
            for row in range(result.ntuples)
        ]


def quoted(name: str) -> str:
    """An identifier in double quotes, as the replication commands take it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _seconds(setting: str) -> float:
    """A server time setting such as `1min` or `500ms` in seconds."""
    units = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    number = setting.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number) * units.get(setting[len(number) :], 0.001)
