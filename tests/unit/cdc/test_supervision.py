"""Supervised flows: what is tried again by itself, and how a flow says that it waits for a person."""

from __future__ import annotations

import threading

import pytest

from cdc.errors import OperatorError, RedoNotAvailable
from cdc.flows import supervision
from cdc.flows.state import FlowState
from cdc.flows.supervision import Flow, Supervisor


def test_flow_waits_for_redo_to_be_restored_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DBA restores the logs; nobody has to start ccbridge again, and status said what was missing."""
    monkeypatch.setattr(supervision, "WAITING_PAUSE_S", 0.01)
    state, seen = FlowState(), []

    def work(flow: Flow) -> None:
        (figures,) = state.all()
        seen.append((figures.status, figures.error_code))
        if len(seen) < 3:
            raise RedoNotAvailable("ccb: thread 1 sequence 7 was never archived", hint="restore it")

    supervisor = Supervisor(threading.Event(), state)
    supervisor.start("capture:ccb", work)
    supervisor.join()
    assert seen == [("running", None), ("waiting", "CDC-104"), ("waiting", "CDC-104")]
    supervisor.raise_first()
    assert state.all()[0].status == "stopped"


def test_other_errors_for_a_person_end_the_flow() -> None:
    """What only a new configuration or a new start mends is not tried again."""
    tries = []

    def work(flow: Flow) -> None:
        tries.append(1)
        raise OperatorError("ccb: no")

    supervisor = Supervisor(threading.Event(), FlowState())
    supervisor.start("capture:ccb", work)
    supervisor.join()
    assert len(tries) == 1
    with pytest.raises(OperatorError):
        supervisor.raise_first()
