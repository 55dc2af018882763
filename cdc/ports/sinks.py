"""What a flow needs of a target: `Sink`, and what goes to and fro with it.

Suite: `tests/contract/sink_suite.py`. A walk-through: `docs/add-a-sink.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from cdc.bindings import Bound, Mark
from cdc.ports.extensions import Problem
from cdc.ports.readers import Finding, StopAsked

if TYPE_CHECKING:
    from cdc.config import Settings
    from cdc.postgres.connect import Connection
    from cdc.staging.leases import Lease
    from mapping_rules import OutboundProgram

DELIVERY_SCHEMA: Mapping[str, Any] = {
    "sink": pl.String,
    "target_table": pl.String,
    "key": pl.String,
    "decision": pl.String,
    "before": pl.String,
    "after": pl.String,
    "staged_seq": pl.Int64,
    "target_transaction": pl.String,
}
"""Columns of the frame handed to `record`; key, before and after are json texts."""

REJECTION_SCHEMA: Mapping[str, Any] = {
    "program": pl.String,
    "target_table": pl.String,
    "key": pl.String,
    "staged_seq": pl.Int64,
    "reason_code": pl.String,
    "reason": pl.String,
}
"""Columns of `Written.held`; key is a json object of the key columns as texts, in key order."""

LOCKED = "locked"
"""`reason_code` of a row that another session has locked: it is tried again four times a second."""

Desired = Sequence[tuple["OutboundProgram", pl.DataFrame]]
"""Rules, parents first, each with its desired rows: key columns and columns as texts (null for NULL),
`_deleted` Boolean (there should be no such row; the columns are null), `_staged_seq` Int64."""

Record = Callable[[pl.DataFrame], None]
"""Stores a frame in staging and commits; what it raises undoes the sink's write."""

Live = Callable[["OutboundProgram", pl.DataFrame, Mapping[str, str]], pl.DataFrame]
"""Asks staging: rule, keys as texts, and for each key column that is not compared by its text how texts may
differ and still be one value (`case`, `spelling`, `number`, `any`). Returns keys of live rows that may be
meant, those given too."""

Store = Callable[[Bound], None]
"""Has staging remember a target."""

NEVER_S = math.inf
"""`due_in_s` of a sink that does nothing by itself."""


@dataclass(frozen=True)
class Written:
    """What one write did.

    Args:
        written: rows of the target that changed.
        unchanged: desired rows that the target already had.
        held: rows that the target rejects, by REJECTION_SCHEMA; write them again later.
        elapsed_s: seconds that it took.
    """

    written: int
    unchanged: int
    held: pl.DataFrame
    elapsed_s: float


@dataclass(frozen=True)
class Polled:
    """What a sink did by itself.

    Args:
        rows: rows of the target that changed.
        staged: it staged rows, which other sinks may wait for.
    """

    rows: int = 0
    staged: bool = False


class Admission(Protocol):
    """What staging knows of one target, and whether it may be written; see `cdc.bindings`.

    A sink asks in each new session, before it reads or writes anything. `cdc.staging.bindings` implements it.
    """

    @property
    def staging(self) -> str:
        """Identity of the staging database."""

    def require(self, identity: Mapping[str, str], mark: Mark | None) -> None:
        """Raise TargetRefused if the target may not be written; nothing is stored."""

    def admit(self, identity: Mapping[str, str], mark: Mark | None) -> None:
        """As `require`, while no other process can write the target; binds it at its first use."""

    def require_unmarked(self, identity: Mapping[str, str]) -> None:
        """As `require`, for a target in which the sink keeps nothing of its own."""

    def admit_unmarked(self, identity: Mapping[str, str]) -> None:
        """As `admit`, for a target in which the sink keeps nothing of its own."""

    def low(self, mark: int) -> int:
        """The number from which to deliver into a target that says it is written up to `mark`."""

    def bound(self) -> Bound | None:
        """How the target is bound; None before its first use."""

    def bound_on(self) -> date | None:
        """Day on which it was bound, by staging's clock; None before its first use."""

    def seen(self, at: datetime) -> None:
        """What the target had of us up to this time of its own clock was compared with staging."""


class Sink(Protocol):
    """Brings one target to what staging says: the desired rows of the outbound rules.

    **Idempotent.** Rows come again: after a crash, after `position` went back, when they were held. Written
    twice they leave the target as written once; what must not happen twice outside, such as an order, is
    looked for before it is done.

    **Atomic with its position.** `position` moves to `up_to` in the same transaction that makes the rows of
    that `write` durable, in the target where it can hold one, else in staging (`cdc.staging.sink_positions`).
    A sink that hands over later what it was given, as one that sends orders does, makes durable what it will
    hand over. There is no moment at which the position says more than was taken, whatever is killed when.

    **Durable when.** What `write` took is on disk when it returns. Before that: what is held is stored
    (`hold`), then the deliveries (`record`), then the target commits. So after a crash staging may have
    records of a write that never happened, which `committed` tells and the flow voids; never the reverse.

    **Order.** Within one `write` parents come before children, deletions the other way round. Writes come in
    the order of `staged_seq`, except rows that were held: those are desired as they are now, so the last
    write of a key is always its newest state. A row that is refused never keeps the others of its write back.

    **Fenced.** Of two processes only the one with the newer lease can write; the other gets `LeaseLost`.

    **Threads.** One sink, one thread. It opens its session at first use, and again after `close`; every
    call may raise `TransientError` (open and call again), `TargetRefused` (may not be written) or
    `OperatorError` (stop), and leaves nothing half done.

    Attributes:
        name: `<system>.<sink>`; its name in staging's tables.
        system: name of the system in the configuration.
        admission: set before the first call; None for a tool that runs alone.
        next_write: number that the next write gets if it changes a row; the mark in the target counts them.
        outlived: the last write failed with an error about the server, and its session lived on: a row may
            have raised it.
        doubtful: set by the flow where that came again and again: rows are to be tried by themselves.
    """

    name: str
    system: str
    outlived: bool
    doubtful: bool

    @property
    def admission(self) -> Admission | None:
        """Who decides whether the target may be written."""

    @admission.setter
    def admission(self, admission: Admission | None) -> None: ...

    @property
    def next_write(self) -> int:
        """See above; 0 for a sink whose target counts nothing."""

    def prepare(self) -> None:
        """Make sure that the target may be written, and make what the sink itself needs in it.

        Raises:
            TargetRefused: it may not; nothing was made.
            NotGranted: the user may not; `ccbridge check` has the statements for an administrator.
        """

    def position(self) -> int:
        """All staged rows up to this number are taken, durably. Claims the target for this process.

        Afterwards no write of an earlier process can be under way, so `committed` knows its outcome.
        """

    def committed(self, target_transaction: str) -> bool | None:
        """Did a write that was recorded happen? None if the target no longer knows."""

    def write(self, desired: Desired, *, up_to: int, record: Record, hold: Record, live: Live) -> Written:
        """Take rows and move the position to `up_to`, never back: all of it, or nothing.

        Args:
            desired: what the target should have; may be empty, when only the position moves.
            up_to: all staged changes up to this number are in `desired` or were written before.
            record: stores the deliveries (DELIVERY_SCHEMA); called at most once, as the last thing before
                the commit, and not at all when no row changes.
            hold: stores what is held (REJECTION_SCHEMA), before `record`; once the position has moved, a held
                row without a record would never be retried.
            live: asks staging for rows with an equal key.

        Raises:
            LeaseLost: another process writes now; nothing was written.
            TransientError: nothing was written, or the answer to the commit was lost. `position` and
                `committed` know; then write again.
        """

    def due_in_s(self) -> float:
        """Until the next `poll` that is of use without a `write` before it; endless for most sinks."""

    def poll(self, stop: StopAsked) -> Polled:
        """Do what is not the answer to a change: called after each `write`, and when it is due.

        Ends early, with nothing half done, when `stop()` is true.
        """

    def look(self) -> None:
        """Return if the target may be written as it is now; nothing is claimed, made or stored.

        Raises:
            TargetRefused: it may not.
        """

    def bind(self, staging: str, newest_seq: int, store: Store) -> list[Problem]:
        """Have the target written from a staging database from now on, whatever it said before.

        Args:
            staging: identity of the staging database.
            newest_seq: highest number of a row in it.
            store: has staging remember the target; called while it cannot be written.

        Returns:
            What an operator has to decide now, such as on rows that a restored target lost.
        """

    def close(self) -> None:
        """Release connections and files; what was not committed is undone. Safe to call twice."""


@dataclass(frozen=True)
class SinkOpening:
    """What a sink is opened with.

    Args:
        settings: the configuration.
        system: name of the target in it.
        staging: the flow's session in staging, in autocommit.
        lease: under which is written; None for a tool that only looks.
    """

    settings: Settings
    system: str
    staging: Connection
    lease: Lease | None = None

    @property
    def target(self) -> Any:
        """The target's section of the configuration."""
        return self.settings.systems[self.system]


def _no_errors(programs: Sequence[OutboundProgram]) -> list[str]:
    del programs
    return []


@dataclass(frozen=True)
class SinkKind:
    """How one kind of sink is opened and checked; `cdc.kinds` says for which systems.

    Args:
        open: makes the sink; it connects when first used.
        findings: everything that would keep it from writing these rules into a target, all at once; read
            only, and without staging.
        rule_errors: what of these rules it cannot write, whatever the target; their texts.
    """

    open: Callable[[SinkOpening], Sink]
    findings: Callable[[Settings, str, Sequence[OutboundProgram]], list[Finding]]
    rule_errors: Callable[[Sequence[OutboundProgram]], list[str]] = _no_errors
