"""What the redo of a probe shows, and what the reader made of it: the evidence for the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from cdc.assumptions import NotTried, Said, differs, holds
from cdc.readers.logminer.mining.rows import Code
from cdc.readers.logminer.probing.recording import Recording, Row
from cdc.readers.logminer.probing.replay import Replayed, replayed

DATA = frozenset((Code.INSERT, Code.DELETE, Code.UPDATE))
CONTROL = frozenset((Code.START, Code.COMMIT, Code.ROLLBACK))
ZERO = "A" * 12
SHOWN = 3


@dataclass(frozen=True)
class Evidence:
    """A recording and what the reader made of it.

    Args:
        recording: the redo of the workload.
        split: rows of step `split` that LogMiner showed when it started in its middle.
    """

    recording: Recording
    split: tuple[Row, ...] = ()

    @cached_property
    def replays(self) -> Mapping[str, Replayed]:
        """The transactions as the reader understood them, by step."""
        return replayed(self.recording)

    def rows(self, *steps: str) -> list[Row]:
        """Rows of transactions.

        Raises:
            NotTried: one was not made, or is not in the redo.
        """
        return [row for step in steps for row in self._found(step)]

    def _found(self, name: str) -> list[Row]:
        step = self.recording.steps.get(name)
        if step is None:
            raise NotTried(f"the transaction {name} was not reached")
        if step.error:
            raise NotTried(step.error, hint=step.hint)
        rows = self.recording.of_step(name)
        if not rows:
            raise NotTried(f"the redo shows no row of the transaction {name}")
        return rows

    def read_right(self, *steps: str) -> Said:
        """Whether the reader understood transactions as the database had them."""
        problems, count = [], 0
        for name in steps:
            count += len(self._found(name))
            one = self.replays[name]
            problems += [f"{name}: {problem}" for problem in one.problems]
        if problems:
            return differs("; ".join(problems[:SHOWN]) + _more(problems))
        return holds(f"{form(self.rows(*steps))}: read as the database had it")

    def all_rows(self) -> list[Row]:
        """All rows of the workload.

        Raises:
            NotTried: there are none.
        """
        if not self.recording.rows:
            raise NotTried("the redo shows no row of the workload")
        return self.recording.rows


def _more(items: list[str]) -> str:
    return f" (and {len(items) - SHOWN} more)" if len(items) > SHOWN else ""


def form(rows: Iterable[Row]) -> str:
    """Operations and how many rows each has; compensations marked."""
    counts = Counter(
        f"{row['OPERATION']}{' (undone)' if row['ROLLBACK'] else ''}"
        for row in rows
        if row["OPERATION_CODE"] not in CONTROL
    )
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def named(rows: Iterable[Row], what: str) -> str:
    """The values that a column of rows has."""
    found = sorted({str(row[what]) for row in rows})
    return ", ".join(found)


def read_right(*steps: str) -> Callable[[Evidence], Said]:
    """A check that the reader understood transactions as the database had them."""
    return lambda found: found.read_right(*steps)
