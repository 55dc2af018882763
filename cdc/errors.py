"""What can go wrong, sorted by what happens next.

Three kinds: `TransientError` (retried), `OperatorError` (operator action required; the flow stays stopped)
and `RowError` (one row is rejected, the others continue).

Each class has a stable `code`; `docs/errors.md` lists them all. Messages name the object, what was
found and what was expected; they never hold row values, passwords or whole connection strings.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    DIFFERENCES = 1
    USAGE = 2
    UNREACHABLE = 3
    OPERATOR = 4
    INCOMPLETE = 5


def snapshot_hint(system: str) -> str:
    """How to take a new snapshot of a source whose saved position cannot be used."""
    statement = f"delete from staging.checkpoint where system = '{system}';"  # noqa: S608 - to be read
    return (
        f"to take a new snapshot of the source, stop ccbridge, run in staging: {statement} and start it again"
    )


def table_snapshot_hint(system: str, table: object) -> str:
    """How to take a new snapshot of one table."""
    return f"run: ccbridge snapshot {system} {table}"


class CcbridgeError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: which object, what happened, found and expected; lower case, no full stop.
        hint: what to do, a command if there is one.
    """

    code = "CDC-000"
    exit_code = ExitCode.OPERATOR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class TransientError(CcbridgeError):
    """The same call may succeed later: retried with back-off.

    After `tries` failures in a row operator action may be required: `ccbridge status` reports a problem, and
    the flow retries once a minute. None: no action is required, however long it lasts.
    """

    code = "CDC-001"
    exit_code = ExitCode.UNREACHABLE
    tries: int | None = None


class OperatorError(CcbridgeError):
    """Operator action is required; the flow stays stopped.

    `retried_when_fixed` is True where the action is taken in the database alone: the flow checks once a
    minute and continues without a restart.
    """

    code = "CDC-002"
    exit_code = ExitCode.OPERATOR
    retried_when_fixed = False


class RowError(CcbridgeError):
    """One row is rejected: it becomes a dead letter with its reason."""

    code = "CDC-003"
    exit_code = ExitCode.DIFFERENCES


class ConfigurationError(OperatorError):
    """The configuration cannot be used; every error found is listed, one a line."""

    code = "CDC-010"
    exit_code = ExitCode.USAGE

    def __init__(self, errors: Sequence[str], *, hint: str = "") -> None:
        super().__init__("\n".join(errors), hint=hint)
        self.errors = tuple(errors)


class DatabaseUnreachable(TransientError):
    """No connection could be made, or the one in use was lost."""

    code = "CDC-020"


class UnclassifiedError(TransientError):
    """An error without a class of its own that the driver calls recoverable; reported once it persists."""

    code = "CDC-023"
    tries = 10


class ConnectionMisconfigured(DatabaseUnreachable):
    """The server answers, but not as configured: TLS, certificate, database, service, a pooler.

    Reported at once; the flow retries once a minute and continues when the setting is corrected.
    """

    code = "CDC-024"
    tries = 1


class LoginRefused(OperatorError):
    """The server refused user or password; never retried, because a retry can lock the account."""

    code = "CDC-021"
    exit_code = ExitCode.UNREACHABLE


class NotGranted(OperatorError):
    """The database user does not have a privilege that the call needs."""

    code = "CDC-022"


class PreflightFailed(OperatorError):
    """One or more findings of `ccbridge check` must be fixed before data may flow."""

    code = "CDC-030"


class SourceChanged(OperatorError):
    """The source is not the one the saved position belongs to; `changed` are the parts that differ."""

    code = "CDC-101"

    def __init__(self, message: str, *, hint: str = "", changed: Collection[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.changed = frozenset(changed)


class SlotMissing(OperatorError):
    """The replication slot that holds our position was dropped or invalidated."""

    code = "CDC-102"


class TableChanged(OperatorError):
    """A captured table no longer has the columns that the rules need."""

    code = "CDC-103"


class RedoNotAvailable(OperatorError):
    """The redo needed to resume is in no online or archived log; it may be restored."""

    code = "CDC-104"
    retried_when_fixed = True


class TableOutdated(OperatorError):
    """Older rows of a captured table have values that the log does not hold; its changes are still read."""

    code = "CDC-113"

    def __init__(self, system: str, message: str) -> None:
        super().__init__(message, hint=f"its changes are still read; {snapshot_hint(system)}")


class TableTruncated(TableChanged):
    """A captured table was truncated; a TRUNCATE is never replicated."""

    code = "CDC-111"

    def __init__(self, system: str, message: str) -> None:
        super().__init__(
            message, hint=f"restore the rows if they are still needed; then, {snapshot_hint(system)}"
        )

    @classmethod
    def of(cls, system: str, table: object, *, at: object) -> TableTruncated:
        """The error of a TRUNCATE that was just read."""
        return cls(
            system,
            f"{system}: TRUNCATE of {table} at {at} removed: all rows; "
            "the table is no longer read, the others are",
        )


class TableNotRead(TableChanged):
    """A table or column is new in the rules, and rows older than its changes were never read."""

    code = "CDC-114"

    @classmethod
    def of(cls, system: str, table: object) -> TableNotRead:
        """The error of a table that is new in the rules."""
        return cls(
            f"{system}: {table} is new in the rules and was never read; its changes are not staged, "
            "the other tables are read",
            hint=snapshot_hint(system),
        )

    @classmethod
    def columns(cls, system: str, table: object, columns: str) -> TableNotRead:
        """The error of columns that are new in the rules."""
        return cls(
            f"{system}: {columns} of {table} is new in the rules; rows staged before have no value of it "
            "until they change",
            hint=snapshot_hint(system),
        )

    @classmethod
    def alone(cls, system: str, table: object) -> TableNotRead:
        """The error of a request for one table that the reader does not support."""
        return cls(
            f"{system}: this reader cannot take a snapshot of {table} alone", hint=snapshot_hint(system)
        )


class RedoUnreadable(OperatorError):
    """LogMiner returned a row that cannot be decoded; to continue would lose a change."""

    code = "CDC-105"


class StagingRevision(OperatorError):
    """The staging schema is not at the revision that this release needs."""

    code = "CDC-201"


class LeaseLost(OperatorError):
    """Another process holds the lease; this one may not write."""

    code = "CDC-202"


class ResyncRunning(OperatorError):
    """Another process compares sources with staging; only one does at a time."""

    code = "CDC-208"

    def __init__(self) -> None:
        super().__init__(
            "another process compares sources with staging",
            hint="wait until it ends; staging.lease says which one it is",
        )


def bind_hint(system: str) -> str:
    """How to accept a target that is not the bound one."""
    return f"run: ccbridge targets bind {system} --reason '...'"


class TargetRefused(OperatorError):
    """A target may not be written, because its capture found another database; checked once a minute."""

    code = "CDC-203"
    retried_when_fixed = True


class TargetChanged(TargetRefused):
    """The target is not the database that staging is bound to."""

    code = "CDC-204"


class TargetTaken(TargetRefused):
    """The target is written from another staging database."""

    code = "CDC-205"


class StagingOlder(TargetRefused):
    """The target holds writes that are not in staging: staging was restored from a backup."""

    code = "CDC-206"


class TargetOlder(TargetRefused):
    """Writes in staging are missing from the target: it was restored from a backup, or is a copy."""

    code = "CDC-207"


class RuleErrors(OperatorError):
    """The rule set has errors; each is one line `file:line:column: text`."""

    code = "CDC-301"
    exit_code = ExitCode.USAGE

    def __init__(self, errors: Sequence[str], *, hint: str = "run: ccbridge rules check") -> None:
        super().__init__("\n".join(errors), hint=hint)
        self.errors = tuple(errors)


class ServerMemory(TransientError):
    """The LogMiner session ran out of memory: a new session reads a smaller window."""

    code = "CDC-106"


class SessionLost(TransientError):
    """The LogMiner session or a cursor was lost: a new session continues from the saved position."""

    code = "CDC-107"


class RedoLogFailure(TransientError):
    """A redo log could not be read: retried with a new list of logs; CDC-104 if that does not help."""

    code = "CDC-108"


class RedoHeldBack(OperatorError):
    """An instance of a cluster writes no redo; commits of the others are not read past its position."""

    code = "CDC-112"


class SpillFailed(TransientError):
    """Open transactions cannot be spilled: no space, read only, or not permitted; retried once a minute."""

    code = "CDC-115"
    tries = 1


class SnapshotTooOld(TransientError):
    """Undo for the snapshot's SCN was overwritten: a new snapshot is taken."""

    code = "CDC-109"


class ServerFailure(TransientError):
    """An internal error (ORA-00600), or LogMiner rejects a window (ORA-01281); reported if it persists."""

    code = "CDC-110"
    tries = 5
