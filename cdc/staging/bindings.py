"""Which database each sink writes, and how far: `staging.target_binding`.

A write is counted here, with its delivery records, before the target commits it. The rule that compares both
sides is `cdc.bindings`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import polars as pl
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cdc.bindings import Bound, Mark, Ours, judge, require_same
from cdc.errors import StagingRevision
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.deliveries import record_deliveries
from cdc.staging.desired import high_staged_seq
from cdc.staging.leases import Lease

FIRST_USE = "first use"
REACHED_EVERY_S = 60.0
"""How often a sink that writes nothing says how far it is; so much is looked at again after a restart."""

_NEWEST = "select coalesce(max(token), 0) from staging.lease"
_INSTALLATION = "select installation_id::text from staging.installation order by made_at limit 1"
_LOAD = "select identity, writes, delivered_seq, seen_at from staging.target_binding where sink = %s"
_BOUND_ON = "select (bound_at at time zone 'UTC')::date from staging.target_binding where sink = %s"
COLUMNS = ("system", "sink", "identity", "writes", "delivered_seq", "bound_at", "bound_by", "reason")
_LISTED = f"select {', '.join(COLUMNS)} from staging.target_binding order by system"  # noqa: S608 - our names
_BIND = """
insert into staging.target_binding as mine (sink, system, identity, writes, delivered_seq, seen_at, reason)
values (%(sink)s, %(system)s, %(identity)s, %(writes)s, %(delivered_seq)s, %(seen_at)s, %(reason)s)
on conflict (sink) do update set
    system = excluded.system, identity = excluded.identity, writes = excluded.writes,
    delivered_seq = excluded.delivered_seq, seen_at = excluded.seen_at,
    bound_at = now(), bound_by = session_user, reason = excluded.reason, updated_at = now()
"""
_RECORD = """
insert into staging.operator_action (who, action, object, detail)
values (session_user, 'bind target', %(sink)s, %(detail)s)
"""
_IDENTITY = "update staging.target_binding set identity = %s where sink = %s"
_COUNT = """
update staging.target_binding set writes = %s, delivered_seq = %s, updated_at = now() where sink = %s
"""
_SEEN = "update staging.target_binding set seen_at = %s, updated_at = now() where sink = %s"
_REACHED = "update staging.target_binding set delivered_seq = %s, updated_at = now() where sink = %s"


class TargetBinding:
    """The binding of one sink: its `cdc.ports.Admission`, and the count of its writes.

    Args:
        connection: to staging, with no transaction open.
        system: the target's name in the configuration.
        sink: the sink's name.
        lease: verified in every transaction that writes; None for a tool that only looks, which takes the
            newest token that staging has given.

    Attributes:
        staging: identity of this staging database.

    Raises:
        StagingRevision: staging has no identity yet.
    """

    def __init__(self, connection: Connection, system: str, sink: str, lease: Lease | None) -> None:
        self._connection, self._lease = connection, lease
        self.system, self.sink = system, sink
        self.staging = installation(connection)
        self._noted_at = 0.0

    def bound(self) -> Bound | None:
        """What staging knows of the target; None before its first use."""
        with postgres_errors("staging.target_binding"), self._connection.transaction():
            return load(self._connection, self.sink)

    def bound_on(self) -> date | None:
        """Day on which the target was bound, by staging's clock; None before its first use."""
        with postgres_errors("staging.target_binding"), self._connection.transaction():
            row = self._connection.execute(_BOUND_ON, [self.sink]).fetchone()
        return None if row is None else row[0]  # type: ignore[return-value]

    def require(self, identity: Mapping[str, str], mark: Mark | None) -> None:
        """Judge a target; nothing is written.

        Raises:
            LeaseLost: another process is active.
            TargetRefused: it may not be written; see `cdc.bindings.judge`.
        """
        self._judge(identity, mark)

    def admit(self, identity: Mapping[str, str], mark: Mark | None) -> None:
        """Judge a target whose mark is locked, and bind it at its first use.

        Raises:
            LeaseLost: another process is active.
            TargetRefused: it may not be written; see `cdc.bindings.judge`.
        """
        bound = self._judge(identity, mark)
        if bound is not None and bound.identity == identity:
            return
        with postgres_errors("staging.target_binding"), self._connection.transaction():
            self._verify()
            if bound is not None:  # promoted: the timeline grew
                self._connection.execute(_IDENTITY, [Jsonb(dict(identity)), self.sink])
            else:
                writes, seq = (mark.writes, mark.staged_seq) if mark else (0, 0)
                bind(self._connection, self.system, self.sink, Bound(identity, writes, seq), FIRST_USE)

    def require_unmarked(self, identity: Mapping[str, str]) -> None:
        """Compare a target that has no mark; nothing is written.

        Raises:
            TargetChanged: it is not the one that staging is bound to.
        """
        bound = self.bound()
        if bound is not None:
            require_same(self.system, bound, identity)

    def admit_unmarked(self, identity: Mapping[str, str]) -> None:
        """Compare a target that has no mark, and bind it at its first use.

        Raises:
            LeaseLost: another process is active.
            TargetChanged: it is not the one that staging is bound to.
        """
        self.require_unmarked(identity)
        if self.bound() is not None:
            return
        with postgres_errors("staging.target_binding"), self._connection.transaction():
            self._verify()
            bind(self._connection, self.system, self.sink, Bound(identity, 0, 0), FIRST_USE)

    def seen(self, at: datetime) -> None:
        """What the target has of us up to this time of its own clock is what staging sent.

        Raises:
            LeaseLost: another process is active.
        """
        with postgres_errors("staging.target_binding"), self._connection.transaction():
            self._verify()
            self._connection.execute(_SEEN, [at, self.sink])

    def _judge(self, identity: Mapping[str, str], mark: Mark | None) -> Bound | None:
        with postgres_errors("staging.target_binding"), self._connection.transaction():
            # a token in the target that is greater than a valid one of ours was given by a lost staging
            self._verify()
            token = self._lease.token if self._lease is not None else self._newest_token()
            ours = Ours(self.system, self.staging, high_staged_seq(self._connection), token)
            bound = load(self._connection, self.sink)
        judge(ours, bound, identity, mark)
        return bound

    def _verify(self) -> None:
        if self._lease is not None:
            self._lease.verify(self._connection)

    def _newest_token(self) -> int:
        row = self._connection.execute(_NEWEST).fetchone()
        return int(str(row[0])) if row else 0

    def low(self, mark: int) -> int:
        """The number from which to deliver, for a target that is written up to `mark`.

        After a restore the target may be further than what this staging ever gave it.
        """
        bound = self.bound()
        return mark if bound is None else min(mark, bound.delivered_seq)

    def record(self, deliveries: pl.DataFrame, *, write: int, up_to: int) -> None:
        """Store what is about to be committed in the target, durably: commits.

        Args:
            deliveries: columns of staging.delivery but its number and time.
            write: number of the write.
            up_to: all staged rows up to this number will be delivered with it.

        Raises:
            LeaseLost: another process is active; the target must roll back.
            TransientError: not stored; the target must roll back.
        """
        with postgres_errors("staging.delivery"), self._connection.transaction():
            self._verify()
            self._connection.execute(_COUNT, [write, up_to, self.sink])
            record_deliveries(self._connection, deliveries)
        self._noted_at = time.monotonic()

    def reached(self, up_to: int, *, at_once: bool = False) -> None:
        """All up to this number is in the target, without a write; stored now and then.

        Raises:
            LeaseLost: another process is active.
        """
        if not at_once and time.monotonic() - self._noted_at < REACHED_EVERY_S:
            return
        with postgres_errors("staging.target_binding"), self._connection.transaction():
            self._verify()
            self._connection.execute(_REACHED, [up_to, self.sink])
        self._noted_at = time.monotonic()


def installation(connection: Connection) -> str:
    """The identity of a staging database.

    Raises:
        StagingRevision: it has none: `ccbridge migrate` makes it.
    """
    with postgres_errors("staging.installation"), connection.transaction():
        row = connection.execute(_INSTALLATION).fetchone()
    if row is None:
        raise StagingRevision("staging.installation: no row", hint="restore the row from a backup of staging")
    return str(row[0])


def listed(connection: Connection) -> list[dict[str, Any]]:
    """All bindings, by system: COLUMNS."""
    with postgres_errors("staging.target_binding"), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_LISTED).fetchall()


def load(connection: Connection, sink: str) -> Bound | None:
    """The stored binding of a sink; the caller's transaction."""
    row = connection.execute(_LOAD, [sink]).fetchone()
    return None if row is None else Bound(*row)  # type: ignore[arg-type]


def bind(connection: Connection, system: str, sink: str, bound: Bound, reason: str) -> None:
    """Bind a sink to a target, and put it on record; the caller commits."""
    former = load(connection, sink)
    values = {
        "sink": sink,
        "system": system,
        "identity": Jsonb(dict(bound.identity)),
        "writes": bound.writes,
        "delivered_seq": bound.delivered_seq,
        "seen_at": bound.seen_at,
        "reason": reason,
    }
    connection.execute(_BIND, values)
    detail = {
        "reason": reason,
        "identity": dict(bound.identity),
        "former_identity": dict(former.identity) if former else None,
        "former_writes": former.writes if former else None,
        "writes": bound.writes,
    }
    connection.execute(_RECORD, {"sink": sink, "detail": Jsonb(detail)})
