"""Calls to Oracle that have not returned: supervision reports which server does not answer.

A thread has at most one call in progress, since the driver's calls block. `cdc.oracle.errors.oracle_errors`
notes them; nothing is asked of the database.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_in_progress: dict[int, Call] = {}


@dataclass(frozen=True)
class Call:
    """What a thread waits for, and since when (`time.monotonic`)."""

    subject: str
    since: float

    @property
    def age_s(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.since


@contextmanager
def in_progress(subject: str) -> Iterator[None]:
    """A call about `subject` is made inside, in this thread."""
    thread = threading.get_ident()
    outer = _in_progress.get(thread)
    _in_progress[thread] = Call(subject, time.monotonic())
    try:
        yield
    finally:
        if outer is None:
            _in_progress.pop(thread, None)
        else:
            _in_progress[thread] = outer


def unanswered(thread: int | None, *, longer_than_s: float) -> Call | None:
    """The call that a thread has been waiting for, if it takes longer than that."""
    call = _in_progress.get(thread) if thread is not None else None
    return call if call is not None and call.age_s > longer_than_s else None
