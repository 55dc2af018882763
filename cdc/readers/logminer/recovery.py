"""What a reader does about a LogMiner session that failed, and when operator action is required.

The stream is read again from the last batch; nothing here touches a database. Errors of the network
and of the login are not handled here: the flow knows what to do about them.
"""

from __future__ import annotations

import time

from cdc.errors import (
    OperatorError,
    RedoLogFailure,
    RedoNotAvailable,
    ServerFailure,
    ServerMemory,
    SessionLost,
    TransientError,
)
from cdc.ports import StopAsked

SESSION_ERRORS = (RedoLogFailure, ServerFailure, ServerMemory, SessionLost)
"""What a new LogMiner session may cure."""
FIRST_PAUSE_S = 0.2
LOG_TRIES = SESSION_TRIES = 5
FAILURE_TRIES = 2
STOP_POLL_S = 0.2


class Recovery:
    """Counts failures, one after the other, since a window was last read to its end."""

    def __init__(self) -> None:
        self._failures = 0

    def progressed(self) -> None:
        """A window was read to its end."""
        self._failures = 0

    def pause_s(self, exc: TransientError) -> float:
        """Pause before the next session, doubling.

        Raises:
            RedoNotAvailable: a redo log could not be read several times running.
            OperatorError: the server had the same internal error again.
            TransientError: `exc` itself, when new sessions do not help; the flow tries on, more slowly.
        """
        self._failures += 1
        if isinstance(exc, RedoLogFailure) and self._failures >= LOG_TRIES:
            raise RedoNotAvailable(
                f"{exc}, {self._failures} times running",
                hint="restore the log, or repair its member; reading then continues where it was",
            ) from exc
        if isinstance(exc, ServerFailure) and self._failures >= FAILURE_TRIES:
            raise OperatorError(
                f"{exc}, {self._failures} times running", hint="search the trace file, contact the vendor"
            ) from exc
        if self._failures > SESSION_TRIES:
            raise exc
        return float(FIRST_PAUSE_S * 2 ** (self._failures - 1))

    @staticmethod
    def wants_smaller_window(exc: TransientError) -> bool:
        """Memory of the server, or a call that took too long: less in one go may do."""
        return isinstance(exc, ServerMemory | SessionLost)


def wait(seconds: float, stop: StopAsked) -> None:
    """Pause, unless the process was asked to end."""
    until = time.monotonic() + seconds
    while not stop() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, STOP_POLL_S))
