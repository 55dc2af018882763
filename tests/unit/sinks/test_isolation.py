"""Halving a range of rows until the refused ones are alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import RowError
from sinks.upsert.isolation import bisect_until_written
from sinks.upsert.statements.rejections import Rejection


class Savepoints:
    """Stands in for a connection: undoes what an attempt wrote when the attempt fails."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.attempts = 0
        self.closed = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.attempts += 1
        before = list(self.written)
        try:
            yield
        except BaseException:
            self.written = before
            raise

    def refusing(self, bad: set[int]) -> Callable[[int, int], None]:
        def attempt(low: int, high: int) -> None:
            for row in range(low, high):
                self.written.append(row)
                if row in bad:
                    raise psycopg.errors.CheckViolation

        return attempt


def explained(row: int, exc: Exception) -> Rejection:
    return Rejection(row, type(exc).__name__, "")


@given(low=st.integers(0, 50), rows=st.integers(0, 60), bad=st.sets(st.integers(0, 110)))
def test_exactly_the_bad_rows_are_refused_and_all_others_written_once(
    low: int, rows: int, bad: set[int]
) -> None:
    """Whatever rows are bad, the good ones are written in order and the bad ones named."""
    connection: Any = Savepoints()
    refused = bisect_until_written(connection, low, low + rows, connection.refusing(bad), explained)
    desired = range(low, low + rows)
    assert [one.row for one in refused] == [row for row in desired if row in bad]
    assert connection.written == [row for row in desired if row not in bad]


def test_a_range_without_bad_rows_is_one_attempt() -> None:
    """The ordinary case costs one savepoint."""
    connection: Any = Savepoints()
    bisect_until_written(connection, 0, 20_000, connection.refusing(set()), explained)
    assert connection.attempts == 1


def test_one_bad_row_costs_two_attempts_a_halving() -> None:
    """20,000 rows with one bad one: some 30 attempts, not 20,000."""
    connection: Any = Savepoints()
    bisect_until_written(connection, 0, 20_000, connection.refusing({12_345}), explained)
    assert connection.attempts <= 2 * math.ceil(math.log2(20_000)) + 1


def test_an_error_that_concerns_no_row_passes_through() -> None:
    """A missing right must not be taken for thousands of bad rows: it is missing for no row, too."""
    connection: Any = Savepoints()

    def attempt(low: int, high: int) -> None:
        raise psycopg.errors.InsufficientPrivilege

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        bisect_until_written(connection, 0, 8, attempt, explained)
    assert connection.attempts == 2


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.DeadlockDetected,
        psycopg.errors.AdminShutdown,
        psycopg.errors.DiskFull,
        psycopg.errors.ReadOnlySqlTransaction,
        psycopg.errors.QueryCanceled,
        psycopg.OperationalError,
    ],
)
def test_an_error_of_the_server_passes_through_at_once(error: type[psycopg.Error]) -> None:
    """What has nothing to do with any row is not looked for among them."""
    connection: Any = Savepoints()

    def attempt(low: int, high: int) -> None:
        if low < high:
            raise error

    with pytest.raises(error):
        bisect_until_written(connection, 0, 8, attempt, explained)
    assert connection.attempts == 1


NOT_THE_SERVER = [
    error
    for error in vars(psycopg.errors).values()
    if isinstance(error, type)
    and issubclass(error, psycopg.Error)
    and (error.sqlstate or "08")[:2] not in ("08", "25", "28", "40", "53", "57", "58")
]


@pytest.mark.parametrize("error", NOT_THE_SERVER, ids=lambda error: error.__name__)
def test_any_error_that_follows_a_row_isolates_the_row(error: type[psycopg.Error]) -> None:
    """Not a list of states decides, but what the error comes with."""
    connection: Any = Savepoints()

    def attempt(low: int, high: int) -> None:
        connection.written += range(low, high)
        if low <= 5 < high:
            raise error

    refused = bisect_until_written(connection, 0, 8, attempt, explained)
    assert [one.row for one in refused] == [5]
    assert connection.written == [0, 1, 2, 3, 4, 6, 7]


THE_SERVER = [
    error
    for error in vars(psycopg.errors).values()
    if isinstance(error, type)
    and issubclass(error, psycopg.Error)
    and error.sqlstate
    and error.sqlstate[:2] in ("08", "25", "28", "40", "53", "57", "58")
    and error.sqlstate != "40002"
]


@pytest.mark.parametrize("error", THE_SERVER, ids=lambda error: error.__name__)
def test_an_error_of_the_server_that_is_doubted_follows_its_row(error: type[psycopg.Error]) -> None:
    """A trigger may raise any; where the server takes no write, or the session is lost, it passes through."""
    connection: Any = Savepoints()
    bad = {5}

    def attempt(low: int, high: int) -> None:
        connection.written += range(low, high)
        if bad & set(range(low, high)):
            raise error

    def bisect(low: int, high: int, *, server_writes: bool) -> list[int]:
        refused = bisect_until_written(
            connection, low, high, attempt, explained, server_writes=lambda: server_writes
        )
        return [one.row for one in refused]

    assert bisect(0, 8, server_writes=True) == [5]
    with pytest.raises(error):
        bisect(5, 6, server_writes=False)
    bad |= set(range(50))
    assert bisect(0, 60, server_writes=True) == list(range(50))
    with pytest.raises(error):
        bisect(0, 60, server_writes=False)
    connection.closed = True
    with pytest.raises(error):
        bisect(5, 6, server_writes=True)


def test_an_error_without_a_state_is_not_an_answer_of_the_server() -> None:
    """The driver's own: it has lost the session, whatever it says of it."""
    connection: Any = Savepoints()

    def attempt(low: int, high: int) -> None:
        raise psycopg.OperationalError

    with pytest.raises(psycopg.OperationalError):
        bisect_until_written(connection, 0, 8, attempt, explained, server_writes=lambda: True)
    assert connection.attempts == 1


@pytest.mark.parametrize("error", [psycopg.errors.UndefinedTable, psycopg.errors.QueryCanceled])
def test_a_table_that_rejects_everything_is_not_searched_to_the_end(error: type[psycopg.Error]) -> None:
    """A broken trigger rejects ten thousand rows in some hundred tries, and nothing is passed over."""
    connection: Any = Savepoints()

    def attempt(low: int, high: int) -> None:
        if low < high:
            raise error

    refused = bisect_until_written(connection, 0, 10_000, attempt, explained, server_writes=lambda: True)
    assert [one.row for one in refused] == list(range(10_000))
    assert connection.attempts < 400


def test_a_table_that_is_slow_to_reject_is_left_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try waits for a foreign server that is down; the other tables wait behind it."""
    connection: Any = Savepoints()
    now = iter(range(10_000))
    monkeypatch.setattr("sinks.upsert.isolation.time.monotonic", lambda: float(next(now)))

    def attempt(low: int, high: int) -> None:
        raise psycopg.errors.FdwUnableToEstablishConnection if low < high else psycopg.errors.CheckViolation

    assert len(bisect_until_written(connection, 0, 10_000, attempt, explained)) == 10_000
    assert connection.attempts < 50


def test_rows_behind_many_that_are_rejected_are_found_once_one_was_written() -> None:
    """The search ends early only where nothing at all gets through."""
    connection: Any = Savepoints()
    bad = set(range(1, 400)) | {405}

    def attempt(low: int, high: int) -> None:
        connection.written += range(low, high)
        if bad & set(range(low, high)):
            raise psycopg.errors.UndefinedTable

    refused = bisect_until_written(connection, 0, 410, attempt, explained)
    assert [one.row for one in refused] == sorted(bad)
    assert connection.written == [0, *range(400, 405), *range(406, 410)]


def test_attempt_is_repeated_as_it_was_when_it_learned_from_the_error() -> None:
    """Rows that the next attempt rejects by itself need no halving."""
    connection: Any = Savepoints()
    bad = {3, 5, 7}

    def adapt(exc: psycopg.Error | RowError) -> bool:
        bad.clear()
        return bool(connection.attempts == 1)

    def attempt(low: int, high: int) -> None:
        connection.refusing(bad)(low, high)

    assert bisect_until_written(connection, 0, 1000, attempt, explained, adapt) == []
    assert connection.attempts == 2


def test_another_error_without_rows_does_not_excuse_the_row() -> None:
    """What fails for no row in another way says nothing about this one."""
    connection: Any = Savepoints()

    def attempt(low: int, high: int) -> None:
        if low == high:
            raise psycopg.errors.InsufficientPrivilege
        if low <= 5 < high:
            raise psycopg.errors.UndefinedTable

    assert [one.row for one in bisect_until_written(connection, 0, 8, attempt, explained)] == [5]
