"""Sorts Debezium's records into whole transactions, with bounded memory.

Events of a transaction come between its BEGIN and its END record, and only END tells the position.
What is open is kept as text, beyond `max_bytes` in a temporary file. What is ready leaves as a
`Portion`: whole transactions, or slices of a very large one.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

from cdc.readers.debezium.engine.connector import Boundary

Event = tuple[str, str]
"""Number of the event's schema, and its JSON."""

_OP = '"op":'


@dataclass(frozen=True)
class Part:
    """How many events of a portion belong to one transaction, and where they stand in it."""

    position: int
    first_ordinal: int
    events: int


@dataclass(frozen=True)
class Portion:
    """Events of whole transactions in commit order, or of a slice of one.

    Args:
        events: `sum(part.events for part in parts)` of them.
        parts: their transactions.
        end: the boundary after them; for a slice the one before its transaction.
        record: the engine's record at `end`, None for a slice.
        continues: the transaction continues in the next portion.
    """

    events: list[Event]
    parts: list[Part]
    end: Boundary
    record: Any
    continues: bool = False


@dataclass
class TransactionBuffer:
    """What has been read and not yet handed on.

    Args:
        start: the boundary the stream starts at.
        first_ordinal: ordinal after the last change at `start`, where several transactions share
            a position.
        max_rows: a portion has about so many events.
        max_bytes: the open transaction is spilled to disk beyond this.
    """

    start: Boundary
    max_rows: int
    max_bytes: int
    first_ordinal: int = 0
    _open: list[Event] = field(default_factory=list)
    _open_bytes: int = 0
    _spilled: IO[str] | None = None
    _spilled_events: int = 0
    _done: list[Event] = field(default_factory=list)
    _parts: list[Part] = field(default_factory=list)
    _end: Boundary | None = None
    _record: Any = None
    _ready: deque[Portion] = field(default_factory=deque)

    @property
    def is_empty(self) -> bool:
        """True while nothing is open and nothing waits to leave."""
        return not (self._open or self._spilled_events or self._done or self._ready)

    def add(self, event: Event) -> None:
        """Take an event of the open transaction."""
        self._open.append(event)
        self._open_bytes += len(event[1])
        if self._open_bytes >= self.max_bytes:
            self._spill()

    def end(self, boundary: Boundary, record: Any) -> Iterator[Portion]:
        """The open transaction is complete at `boundary`; yields what is full with it."""
        events = self._spilled_events + len(self._open)
        if events and len(self._done) + events > self.max_rows:
            yield from self.flush()
        if boundary.position != self.start.position:
            self.first_ordinal = 0
        if events > 2 * self.max_rows:
            yield from self._sliced(boundary, record, events)
        else:
            taken = list(self._take())
            if taken:
                self._parts.append(Part(boundary.position, self.first_ordinal, events))
            self._done += taken
            self._end, self._record = boundary, record
            self.start = boundary
            self.first_ordinal += events

    def flush(self) -> Iterator[Portion]:
        """The complete transactions leave."""
        if self._parts and self._end is not None:
            yield Portion(self._done, self._parts, self._end, self._record)
            self._done, self._parts = [], []

    def close(self) -> None:
        """Remove the temporary file; safe to call twice."""
        if self._spilled is not None:
            self._spilled.close()
            self._spilled = None

    def _sliced(self, boundary: Boundary, record: Any, events: int) -> Iterator[Portion]:
        before, stream, left, ordinal = self.start, self._take(), events, self.first_ordinal
        while left:
            taken = list(islice(stream, self.max_rows if left > 2 * self.max_rows else left))
            while left > len(taken) and _is_delete(taken[-1]):
                taken.append(next(stream))  # both halves of a changed key stay together
            left -= len(taken)
            part = Part(boundary.position, ordinal, len(taken))
            ordinal += len(taken)
            if left:
                yield Portion(taken, [part], before, None, continues=True)
            else:
                yield Portion(taken, [part], boundary, record)
        self.start = self._end = boundary
        self._record = record
        self.first_ordinal = ordinal

    def _spill(self) -> None:
        if self._spilled is None:
            self._spilled = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", prefix="ccbridge-")  # noqa: SIM115
        if not self._spilled_events:
            self._spilled.seek(0)
            self._spilled.truncate()
        self._spilled.writelines(f"{schema}\t{line}\n" for schema, line in self._open)
        self._spilled_events += len(self._open)
        self._open, self._open_bytes = [], 0

    def _take(self) -> Iterator[Event]:
        """The events of the open transaction, which then is none."""
        rest, self._open, self._open_bytes = self._open, [], 0
        on_disk, self._spilled_events = self._spilled_events, 0
        if self._spilled is not None and on_disk:
            self._spilled.seek(0)
            for line in islice(self._spilled, on_disk):
                schema, _, text = line.removesuffix("\n").partition("\t")
                yield schema, text
        yield from rest


def _is_delete(event: Event) -> bool:
    """Whether an event's operation is a delete; its own member `op` comes after those of the images."""
    line = event[1]
    at = line.rfind(_OP)
    return line[at + len(_OP) : at + len(_OP) + 3] == '"d"'
