"""What can go wrong, sorted by what happens next.

Three kinds: `TransientError` (try again later), `OperatorError` (the flow stops until a person
acts) and `RowError` (one row is set aside, the rest flows).

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


def read_anew(system: str) -> str:
    """What an operator does when the saved position of a system is worth nothing any more."""
    statement = f"delete from staging.checkpoint where system = '{system}';"  # noqa: S608 - to be read
    return f"to read the source anew, stop ccbridge, run in staging: {statement} and start it again"


def read_table_again(system: str, table: object) -> str:
    """What an operator does when one table alone is to be read again."""
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

    `tries` is how often in a row before a person is told, who may have to act; the flow still looks once a
    minute. None: what passes by itself, however long it lasts.
    """

    code = "CDC-001"
    exit_code = ExitCode.UNREACHABLE
    tries: int | None = None


class OperatorError(CcbridgeError):
    """Nothing goes on here until a person acts.

    `mended_outside` is True where the person acts on the database alone: the flow looks now and then
    whether it may go on, and needs no new start.
    """

    code = "CDC-002"
    exit_code = ExitCode.OPERATOR
    mended_outside = False


class RowError(CcbridgeError):
    """One row cannot be taken; it is set aside with its reason and its key waits."""

    code = "CDC-003"
    exit_code = ExitCode.DIFFERENCES


class ConfigurationError(OperatorError):
    """The configuration cannot be used; every fault found is listed, one a line."""

    code = "CDC-010"
    exit_code = ExitCode.USAGE

    def __init__(self, faults: Sequence[str], *, hint: str = "") -> None:
        super().__init__("\n".join(faults), hint=hint)
        self.faults = tuple(faults)


class DatabaseUnreachable(TransientError):
    """No connection could be made, or the one in use was lost."""

    code = "CDC-020"


class UnclassifiedError(TransientError):
    """An error without a class of its own, which the driver takes for passing; told once it lasts."""

    code = "CDC-023"
    tries = 10


class ConnectionMisconfigured(DatabaseUnreachable):
    """Something answers, but not as it is configured: TLS, certificate, database, service, a pooler.

    A person is told at once; the flow looks once a minute and goes on by itself once it is corrected.
    """

    code = "CDC-024"
    tries = 1


class LoginRefused(OperatorError):
    """User or password was refused; never retried, because a retry can lock the account."""

    code = "CDC-021"
    exit_code = ExitCode.UNREACHABLE


class NotGranted(OperatorError):
    """The database user lacks a right that the call needs."""

    code = "CDC-022"


class PreflightFailed(OperatorError):
    """One or more findings of `ccbridge check` must be mended before data may flow."""

    code = "CDC-030"


class SourceChanged(OperatorError):
    """The source is not the one the saved position belongs to; `changed` are the parts that differ."""

    code = "CDC-101"

    def __init__(self, message: str, *, hint: str = "", changed: Collection[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.changed = frozenset(changed)


class SlotMissing(OperatorError):
    """The replication slot that holds our position is gone or was invalidated."""

    code = "CDC-102"


class TableChanged(OperatorError):
    """A captured table no longer has the columns that the rules need."""

    code = "CDC-103"


class RedoNotAvailable(OperatorError):
    """The redo needed to resume is in no online or archived log; it may be restored."""

    code = "CDC-104"
    mended_outside = True


class TableOutdated(OperatorError):
    """A captured table has values in its older rows that no log brings; it is read on."""

    code = "CDC-113"

    def __init__(self, system: str, message: str) -> None:
        super().__init__(message, hint=f"the table is read on; {read_anew(system)}")


class TableTruncated(TableChanged):
    """A captured table was emptied by TRUNCATE, which is never carried over by itself."""

    code = "CDC-111"

    def __init__(self, system: str, message: str) -> None:
        super().__init__(
            message, hint=f"put the rows back if they are still needed; then, {read_anew(system)}"
        )

    @classmethod
    def of(cls, system: str, table: object, *, at: object) -> TableTruncated:
        """The error of a TRUNCATE that was just read."""
        return cls(
            system,
            f"{system}: TRUNCATE of {table} at {at} took away: all rows; "
            "the table is not read any more, the others are",
        )


class TableNotRead(TableChanged):
    """Rules read a table, or a column of it, whose rows were never read: only its changes could be taken."""

    code = "CDC-114"

    @classmethod
    def of(cls, system: str, table: object) -> TableNotRead:
        """The error of a table that is new in the rules."""
        return cls(
            f"{system}: {table} is new in the rules and was never read; its changes are not taken, "
            "the other tables are read on",
            hint=read_anew(system),
        )

    @classmethod
    def columns(cls, system: str, table: object, columns: str) -> TableNotRead:
        """The error of columns that are new in the rules."""
        return cls(
            f"{system}: {columns} of {table} is new in the rules; rows staged before have no value of it "
            "until they change",
            hint=read_anew(system),
        )

    @classmethod
    def alone(cls, system: str, table: object) -> TableNotRead:
        """The error of a request that the reader cannot meet."""
        return cls(f"{system}: {table} cannot be read again alone by this reader", hint=read_anew(system))


class RedoUnreadable(OperatorError):
    """LogMiner gave a row that cannot be understood, so going on would lose a change."""

    code = "CDC-105"


class StagingRevision(OperatorError):
    """The staging schema is at another revision than this release needs."""

    code = "CDC-201"


class LeaseLost(OperatorError):
    """Another process has taken over; this one may write no more."""

    code = "CDC-202"


def bind_target(system: str) -> str:
    """What an operator does when a target is the right one all the same."""
    return f"run: ccbridge targets bind {system} --reason '...'"


class TargetRefused(OperatorError):
    """A target that may not be written now, as its source was refused; the flow looks again now and then."""

    code = "CDC-203"
    mended_outside = True


class TargetChanged(TargetRefused):
    """The target is not the database that staging is bound to."""

    code = "CDC-204"


class TargetTaken(TargetRefused):
    """The target is written from another staging database."""

    code = "CDC-205"


class StagingOlder(TargetRefused):
    """The target holds writes of which staging knows nothing: staging was restored from a backup."""

    code = "CDC-206"


class TargetOlder(TargetRefused):
    """The target lacks writes that staging knows of: it was restored from a backup, or is a copy."""

    code = "CDC-207"


class RuleFaults(OperatorError):
    """The rule set has faults; each is one line `file:line:column: text`."""

    code = "CDC-301"
    exit_code = ExitCode.USAGE

    def __init__(self, faults: Sequence[str], *, hint: str = "run: ccbridge rules check") -> None:
        super().__init__("\n".join(faults), hint=hint)
        self.faults = tuple(faults)


class ReceiptMismatch(OperatorError):
    """CC&B holds something else under a receipt's keys than what we sent."""

    code = "CDC-401"


class ServerMemory(TransientError):
    """The LogMiner session ran out of memory: a new session reads a smaller window."""

    code = "CDC-106"


class SessionLost(TransientError):
    """The LogMiner session or a cursor is gone: a new session reads on from the saved position."""

    code = "CDC-107"


class RedoLogTrouble(TransientError):
    """A redo log could not be read: the log list is made anew; if that does not help, a person acts."""

    code = "CDC-108"


class RedoHeldBack(OperatorError):
    """An instance of a cluster writes no redo, and reading may not pass it: what others commit waits."""

    code = "CDC-112"


class DirectoryRefused(TransientError):
    """Open transactions cannot be kept on disk: no room, read only, or not ours; looked at once a minute."""

    code = "CDC-115"
    tries = 1


class SnapshotTooOld(TransientError):
    """Undo no longer reaches back to the snapshot's SCN: a new snapshot is taken."""

    code = "CDC-109"


class ServerFault(TransientError):
    """An internal error (ORA-00600), or a window refused (ORA-01281): tried once more, then a person acts."""

    code = "CDC-110"
    tries = 5
