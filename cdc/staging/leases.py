"""Who is active: a lease in staging, on that database's clock, with a fencing token.

A holder renews its lease; once it has expired another process may take it over, and gets the next
token. The holder's session carries the token in its name (`cdc.postgres.sessions`): when the process dies
its session ends, and the next one need not wait for the lease to expire. Every writer to staging verifies
its token inside its own transaction, so a process that was stopped for a minute and wakes up again writes
nothing. A transaction of a process that lives may take as long as it needs, because the lease is renewed
meanwhile. A process that was frozen inside one holds the lease's row: once the lease has expired its sessions
are ended, which undoes what they did not commit.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Protocol

from psycopg.errors import LockNotAvailable, UndefinedTable

from cdc.config import PostgresConnection
from cdc.errors import LeaseLost, StagingRevision, TransientError
from cdc.postgres.connect import Connection, connect
from cdc.postgres.errors import postgres_errors
from cdc.postgres.sessions import Holder, site_of

_POLL_S = 0.25
_APPLICATION = "ccbridge lease"
"""Of every session for a lease; that of a standby has no token after it."""
_MISSED_S = 2.0
"""A holder without its session that did not renew for so long is taken for dead."""
_PATIENCE = "1s"
"""How long the lease's session waits for a lock before it looks around again."""

_FREE = """
(mine.expires_at <= clock_timestamp()
    or mine.renewed_at <= clock_timestamp() - %(missed)s::interval
    and not exists (
        select from pg_stat_activity
        where application_name = %(application)s || ' #' || %(site)s || '.' || mine.token))
"""
_TAKE = f"""
insert into staging.lease as mine
    (name, holder, token, acquired_at, renewed_at, expires_at, version, rule_set)
values (%(name)s, %(holder)s, 1, clock_timestamp(), clock_timestamp(), clock_timestamp() + %(ttl)s,
    %(version)s, %(rule_set)s)
on conflict (name) do update set name = excluded.name,
    holder = excluded.holder, token = mine.token + 1, acquired_at = excluded.acquired_at,
    renewed_at = excluded.renewed_at, expires_at = excluded.expires_at,
    version = excluded.version, rule_set = excluded.rule_set
where {_FREE}
returning token
"""  # noqa: S608 - parameters only
_LEFT_BY = f"select mine.token from staging.lease as mine where mine.name = %(name)s and {_FREE}"  # noqa: S608
_RENEW = """
update staging.lease set renewed_at = clock_timestamp(), expires_at = clock_timestamp() + %(ttl)s
where name = %(name)s and token = %(token)s
"""
_RELEASE = (
    "update staging.lease set expires_at = clock_timestamp() where name = %(name)s and token = %(token)s"
)
_VERIFY = """
select set_config('idle_in_transaction_session_timeout', %(ttl)s, true)
from staging.lease where name = %(name)s and token = %(token)s for key share
"""
"""The server itself ends a transaction whose client fell silent after this. The lock lets the holder renew
its lease while the transaction lasts, and keeps others from taking it over: only they touch the key."""


class _RowLocked(Exception):
    """The lease's row is locked by a transaction that verified it."""


class LeaseCheck(Protocol):
    """What writers of staging need of a lease."""

    def verify(self, connection: Connection) -> None:
        """Raise LeaseLost unless the lease is ours."""


class Lease:
    """The right to work under one name; one process holds it at a time.

    Args:
        settings: the staging database.
        name: what is leased.
        holder: who asks, for people, for example `host:pid`.
        ttl_s: a lease not renewed for so long may be taken over.
        version, rule_set: what the process runs, for people.
    """

    def __init__(
        self,
        settings: PostgresConnection,
        name: str,
        holder: str,
        ttl_s: float,
        *,
        version: str | None = None,
        rule_set: str | None = None,
    ) -> None:
        self.name, self.holder, self.ttl_s = name, holder, ttl_s
        self._runs = {"version": version, "rule_set": rule_set}
        self._settings = settings
        self._subject = f"lease {name}"
        self._token: int | None = None
        self._site = ""
        self._shown: int | None = None
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    @property
    def token(self) -> int:
        """The fencing token.

        Raises:
            LeaseLost: the lease was never acquired.
        """
        if self._token is None:
            raise LeaseLost(f"{self._subject}: not acquired", hint="acquire it first")
        return self._token

    @property
    def session(self) -> Holder:
        """What the sessions of this process carry in their names.

        Raises:
            LeaseLost: the lease was never acquired.
        """
        return Holder(self._site, self.token)

    def acquire(self, *, wait_s: float | None = None, stop: threading.Event | None = None) -> int | None:
        """Take the lease, waiting until its holder releases it or lets it expire.

        Args:
            wait_s: longest wait; None waits for ever.
            stop: ends the wait when set.

        Returns:
            The fencing token, or None when the wait ended without the lease.

        Raises:
            StagingRevision: there is no staging schema yet.
            TransientError: staging is not reachable.
        """
        deadline = None if wait_s is None else time.monotonic() + wait_s
        pause = stop or threading.Event()
        while not pause.is_set():
            token = self._take()
            if token is not None:
                self._token = token
                self._show()
                return token
            left = _POLL_S if deadline is None else min(_POLL_S, deadline - time.monotonic())
            if left <= 0:
                break
            pause.wait(left)
        return None

    def renew(self) -> None:
        """Hold the lease for another `ttl_s`; a lease that expired but was not taken is kept.

        Raises:
            LeaseLost: another process has taken it over.
            TransientError: staging is not reachable; try again soon.
        """
        try:
            renewed = self._execute(_RENEW)
        except _RowLocked:
            return  # another process takes it over right now, or waits to; the next renewal shows
        if not renewed:
            raise self._lost()

    def verify(self, connection: Connection) -> None:
        """Make sure, inside the caller's transaction, that the lease is ours until that ends.

        Args:
            connection: the transaction that is about to commit. The holder renews the lease meanwhile;
                no other process can take it over.

        Raises:
            LeaseLost: another process has taken it over.
        """
        parameters = {"name": self.name, "token": self.token, "ttl": f"{self.ttl_s}s"}
        row = connection.execute(_VERIFY, parameters).fetchone()
        if row is None:
            raise self._lost()

    def release(self) -> None:
        """Let another process take the lease at once; does nothing if it is no longer ours."""
        if self._token is not None:
            with suppress(_RowLocked):  # it expires then
                self._execute(_RELEASE)
            self._token = self._shown = None

    def close(self) -> None:
        """Release the lease as far as staging can be reached, and disconnect."""
        try:
            with self._lock:
                connection, self._connection = self._connection, None
            if connection is not None and not connection.closed and self._token is not None:
                with suppress(TransientError), postgres_errors(self._subject):
                    connection.execute(_RELEASE, {"name": self.name, "token": self._token})
        finally:
            self._token = None
            if connection is not None:
                connection.close()

    def _take(self) -> int | None:
        with self._lock, postgres_errors(self._subject):
            session = self._session()
            parameters = {
                "name": self.name,
                "holder": self.holder,
                "ttl": _interval(self.ttl_s),
                "site": self._site,
                "application": _APPLICATION,
                "missed": _interval(_MISSED_S),
                **self._runs,
            }
            try:
                left = session.execute(_LEFT_BY, parameters).fetchone()
                if left is not None:
                    # frozen inside a transaction, it would keep the row locked
                    Holder(self._site, int(str(left[0])) + 1).end_former(session, _APPLICATION)
                row = session.execute(_TAKE, parameters).fetchone()
            except UndefinedTable as exc:
                raise StagingRevision(
                    f"staging {self._settings.database}: no staging schema", hint="run: ccbridge migrate"
                ) from exc
            except LockNotAvailable:
                return None  # another session verifies the lease right now; try again
        return None if row is None else int(str(row[0]))

    def _show(self) -> None:
        """Show other processes that the holder lives: its session carries the token."""
        with self._lock, postgres_errors(self._subject):
            self._session()

    def _execute(self, statement: str) -> int:
        parameters = {"name": self.name, "token": self.token, "ttl": _interval(self.ttl_s)}
        with self._lock, postgres_errors(self._subject):
            try:
                return self._session().execute(statement, parameters).rowcount
            except LockNotAvailable as exc:
                raise _RowLocked from exc

    def _session(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._settings, application=_APPLICATION, autocommit=True)
            self._connection.execute(f"set lock_timeout = '{_PATIENCE}'")
            self._site, self._shown = site_of(self._connection), None
        if self._token is not None and self._shown != self._token:
            self._connection.execute(
                "select set_config('application_name', %s, false)", [self.session.name(_APPLICATION)]
            )
            self._shown = self._token
        return self._connection

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"{self._subject}: token {self._token} of {self.holder} is no longer valid",
            hint="another process is active; start this one again to wait as its standby",
        )


def _interval(seconds: float) -> str:
    return f"{seconds} seconds"
