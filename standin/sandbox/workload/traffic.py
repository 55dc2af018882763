"""Runs a player in a thread at a steady rate, until it is stopped.

A player opens its own connections, does one thing a step and says what it did; `Traffic` keeps the
pace and the counts. A player that fails ends its thread, and `stop` raises what ended it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Protocol


class Player(Protocol):
    """A worker on a system; used by one thread, opened and closed in it."""

    def open(self) -> None:
        """Connect and look around."""

    def step(self) -> str:
        """Do one thing and commit it; returns its name for the counts."""

    def close(self) -> None:
        """Disconnect; called also when `open` or `step` failed."""


class Traffic:
    """A player at work.

    Args:
        player: who works.
        steps_per_s: pace; a player that cannot keep it works without pause.
        name: thread name.
    """

    def __init__(self, player: Player, *, steps_per_s: float, name: str) -> None:
        self.counts: Counter[str] = Counter()
        """What was done so far, by the names that `step` returned; read it at any time."""
        self._player = player
        self._interval_s = 1 / steps_per_s
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    @property
    def failed(self) -> bool:
        """True if the player gave up."""
        return self._failure is not None

    def start(self) -> Traffic:
        """Begin to work."""
        self._thread.start()
        return self

    def stop(self, timeout_s: float = 60) -> Counter[str]:
        """Let the step at hand end, and disconnect; returns the counts.

        Raises:
            TimeoutError: the step did not end in time.
            Exception: what ended the player before, if it failed.
        """
        self._stopping.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._thread.name}: the step at hand did not end in {timeout_s} s")
        if self._failure is not None:
            raise self._failure
        return self.counts

    def __enter__(self) -> Traffic:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _work(self) -> None:
        try:
            self._player.open()
            due = time.monotonic()
            while not self._stopping.is_set():
                self.counts[self._player.step()] += 1
                due = max(due + self._interval_s, time.monotonic() - 1)  # catch up one second at most
                self._stopping.wait(max(0.0, due - time.monotonic()))
        except Exception as exc:  # noqa: BLE001 - raised where the traffic is stopped
            self._failure = exc
        finally:
            self._player.close()
