"""One flow of the product under its supervisor, watched by a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cdc.flows.progress.state import FlowState
from cdc.flows.supervision import Flow, Supervisor

PATIENCE_S = 30.0


@dataclass
class OneFlow:
    """What the only flow of a supervisor says of itself."""

    supervisor: Supervisor

    @property
    def figures(self) -> dict[str, str]:
        return (self.supervisor.state.rows() or [{"status": ""}])[0]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Return as soon as the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.supervisor.state.rows()}"
            time.sleep(0.02)

    def refused(self, system: str) -> str:
        """Wait until its target is refused, with the command that binds it; the code."""
        self.wait(lambda: self.figures["status"] == "waiting", "a refusal")
        assert f"ccbridge targets bind {system}" in self.figures["hint"]
        return str(self.figures["error_code"])


@contextmanager
def running(name: str, work: Callable[[FlowState], Callable[[Flow], None]]) -> Iterator[OneFlow]:
    """A flow until the block ends.

    Args:
        name: of the flow.
        work: makes what it does, of the state that it reports to.
    """
    supervisor = Supervisor(threading.Event(), FlowState())
    supervisor.start(name, work(supervisor.state))
    try:
        yield OneFlow(supervisor)
    finally:
        supervisor.stop.set()
        supervisor.join()
