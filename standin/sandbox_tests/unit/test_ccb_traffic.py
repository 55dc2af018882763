"""Players at work: counted, stopped between steps, failing loudly."""

from __future__ import annotations

import threading

import pytest

from sandbox.workload.traffic import Traffic


class Clerk:
    """A player that counts, and fails at a given step."""

    def __init__(self, fails_at: int = 0) -> None:
        self.steps, self.closed, self.fails_at = 0, False, fails_at
        self.worked = threading.Event()

    def open(self) -> None:
        self.worked.clear()

    def step(self) -> str:
        self.steps += 1
        if self.steps == self.fails_at:
            raise ValueError("the pen broke")
        if self.steps >= 5:
            self.worked.set()
        return "stamped"

    def close(self) -> None:
        self.closed = True
        self.worked.set()


def test_stop_ends_between_two_steps_and_reports_counts() -> None:
    """After stop nothing is written any more, and what was done is counted."""
    clerk = Clerk()
    traffic = Traffic(clerk, steps_per_s=10_000, name="clerk").start()
    assert clerk.worked.wait(10)
    counts = traffic.stop()
    assert counts == {"stamped": clerk.steps}
    assert clerk.closed


def test_failure_of_a_player_is_raised_when_it_is_stopped() -> None:
    """A demo whose traffic died must not pass for lack of changes."""
    clerk = Clerk(fails_at=3)
    traffic = Traffic(clerk, steps_per_s=10_000, name="clerk").start()
    assert clerk.worked.wait(10)
    with pytest.raises(ValueError, match="the pen broke"):
        traffic.stop()
    assert traffic.failed
    assert traffic.counts == {"stamped": 2}
