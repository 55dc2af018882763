"""The scripted list: errors and cut connections that wait for their moment.

A fault waits for a statement, a row of a query, a commit or a login that fits it, lets `skip` of them
pass, happens `times` times, and is then over. Sessions ask at those moments; nothing is asked while the
list is empty.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from sandbox.oracle.interface import Disconnect, OracleFault, Row


class Moment(StrEnum):
    """When a fault may happen."""

    STATEMENT = "STATEMENT"
    FETCH = "FETCH"
    COMMIT = "COMMIT"
    COMMITTED = "COMMITTED"
    LOGIN = "LOGIN"


@dataclass
class Fault:
    """One entry of the list.

    Attributes:
        number: place in the list.
        moment: before a statement, after some rows of one, before or after a commit, at a login.
        code: ORA number; 0 cuts the connection without a word.
        text: of the error.
        statement: part of the statements it waits for, in any case; '' for all.
        user: only in sessions of that user; '' for all.
        skip: matching moments still to let pass.
        left: times it still happens.
        after_rows: rows that come before it at moment FETCH.
        fired: times it happened.
        seconds: how long the session waits; then no error follows, unless `code` says one.
    """

    number: int
    moment: Moment
    code: int
    text: str = ""
    statement: str = ""
    user: str = ""
    skip: int = 0
    left: int = 1
    after_rows: int = 0
    fired: int = 0
    seconds: float = 0.0

    def fits(self, moment: Moment, user: str, statement: str) -> bool:
        """Does it wait for this?"""
        return (
            self.left > 0
            and self.moment is moment
            and self.user in ("", user)
            and self.statement.casefold() in statement.casefold()
        )

    def happen(self, wait: Wait) -> None:
        """Wait or raise, as it says.

        Raises:
            OracleFault: the error; what `wait` raises when the client gives up.
            Disconnect: the connection is to be cut.
        """
        if self.seconds:
            wait(self.seconds)
            if not self.code:
                return
        if self.code:
            raise OracleFault(self.code, self.text)
        raise Disconnect


Wait = Callable[[float], None]
"""Lets seconds pass in a session whose client may give up."""

OWN_CALLS = "sandbox_faults"
"""Statements that set faults are never hit by one."""


class FaultScript:
    """The list of a database; safe to use from all sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listed: list[Fault] = []
        self._numbers = 0

    def add(self, moment: Moment, code: int, text: str = "", **details: object) -> Fault:
        """Append a fault; `details` are fields of `Fault`."""
        with self._lock:
            self._numbers += 1
            fault = Fault(self._numbers, moment, code, text, **details)  # type: ignore[arg-type]
            self._listed.append(fault)
            return fault

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._listed = []

    def listed(self) -> list[Fault]:
        """All faults, also those that are over."""
        with self._lock:
            return list(self._listed)

    def at(self, moment: Moment, user: str, statement: str = "", wait: Wait = time.sleep) -> None:
        """A moment has come.

        Raises:
            OracleFault, Disconnect: a fault waited for it.
        """
        fault = self._due(moment, user, statement)
        if fault is not None:
            fault.happen(wait)

    def rows(self, user: str, statement: str, rows: Iterator[Row], wait: Wait = time.sleep) -> Iterator[Row]:
        """Rows of a query, up to the fault that waits for them; raises as `at`."""
        fault = self._due(Moment.FETCH, user, statement)
        return rows if fault is None else _cut(fault, rows, wait)

    def _due(self, moment: Moment, user: str, statement: str) -> Fault | None:
        if not self._listed or OWN_CALLS in statement.casefold():
            return None
        with self._lock:
            for fault in self._listed:
                if fault.fits(moment, user, statement):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.left -= 1
                    fault.fired += 1
                    return fault
        return None


def _cut(fault: Fault, rows: Iterator[Row], wait: Wait) -> Iterator[Row]:
    yield from islice(rows, fault.after_rows)
    fault.happen(wait)
    yield from rows  # where it only took its time
