"""Supervised flows: what is tried again by itself, and how a flow says that it waits for an operator."""

from __future__ import annotations

import threading
from collections.abc import Callable

import oracledb
import psycopg
import pytest

from cdc.errors import DatabaseUnreachable, OperatorError, RedoNotAvailable, UnclassifiedError
from cdc.flows import supervision
from cdc.flows.progress.state import FlowState
from cdc.flows.supervision import Flow, Supervisor
from cdc.oracle.errors import oracle_errors


def test_flow_waits_for_redo_to_be_restored_and_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DBA restores the logs; no one has to start ccbridge again, and status said what was missing."""
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


def test_a_flow_that_waits_and_is_asked_to_stop_has_not_failed() -> None:
    """SIGTERM ends it as it ends one that works: no exit code of its own, and nothing to start again."""
    stop, state = threading.Event(), FlowState()

    def work(flow: Flow) -> None:
        stop.set()
        raise RedoNotAvailable("ccb: thread 1 sequence 7 was never archived", hint="restore it")

    supervisor = Supervisor(stop, state)
    supervisor.start("capture:ccb", work)
    supervisor.join()
    supervisor.raise_first()
    (figures,) = state.all()
    assert (figures.status, figures.error_code) == ("stopped", "CDC-104")


def test_an_error_that_may_pass_is_reported_once_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is retried without end, as it may pass; after some tries it is reported."""
    monkeypatch.setattr(supervision, "WAITING_PAUSE_S", 0.01)
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE_S", 0.001)
    state, seen = FlowState(), []

    def work(flow: Flow) -> None:
        seen.append(state.all()[0].status)
        if len(seen) <= UnclassifiedError.tries + 2:
            raise UnclassifiedError("ccb: ORA-56600: text")

    supervisor = Supervisor(threading.Event(), state)
    supervisor.start("capture:ccb", work)
    supervisor.join()
    assert seen == ["running", *["retrying"] * (UnclassifiedError.tries - 1), *["waiting"] * 3]
    supervisor.raise_first()


def test_a_call_without_an_answer_is_named_and_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the thread hangs in it; once the answer comes the flow continues as before."""
    monkeypatch.setattr(supervision, "UNANSWERED_S", 0.0)
    monkeypatch.setattr(supervision, "ABANDONED_S", 0.0)
    state, calls, answers = FlowState(), threading.Semaphore(0), threading.Semaphore(0)

    def work(flow: Flow) -> None:
        for _ in range(2):
            with oracle_errors("CCBRIDGE@db:1521/CCB"):
                calls.release()
                answers.acquire()
            calls.release()
            answers.acquire()

    supervisor = Supervisor(threading.Event(), state)
    supervisor.start("capture:ccb", work)
    calls.acquire()
    supervisor.watch()
    (figures,) = state.all()
    assert (figures.status, figures.error_code) == ("waiting", "CDC-020")
    assert "CCBRIDGE@db:1521/CCB: a call has had no answer" in (figures.error_text or "")
    answers.release()
    calls.acquire()
    supervisor.watch()
    (figures,) = state.all()
    assert (figures.status, figures.error_code) == ("running", None)
    answers.release()
    calls.acquire()
    supervisor.join()
    with pytest.raises(DatabaseUnreachable):
        supervisor.raise_first()
    answers.release(2)


def test_no_error_of_a_driver_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the call that raised it forgot to classify it: retried, or the end of its own flow."""
    monkeypatch.setattr(supervision, "WAITING_PAUSE_S", 0.001)
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.001)
    kinds = {one for one in vars(psycopg.errors).values() if _is_error(one, psycopg.Error)}
    kinds |= {one for one in vars(oracledb).values() if _is_error(one, oracledb.Error)}
    assert len(kinds) > 250
    supervisor = Supervisor(threading.Event(), FlowState())
    for kind in kinds:
        supervisor.start(kind.__name__, raising_twice(kind))
    supervisor.join()
    assert not supervisor.stop.is_set()
    assert [flow.name for flow in supervisor.flows if flow.crash is not None] == []


def raising_twice(kind: type[Exception]) -> Callable[[Flow], None]:
    """Work that fails with that error, and then does not."""
    failures = iter((kind("words"), kind("words")))

    def work(flow: Flow) -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure

    return work


def _is_error(found: object, base: type[Exception]) -> bool:
    return isinstance(found, type) and issubclass(found, base)


def test_other_errors_for_an_operator_end_the_flow() -> None:
    """What only a new configuration or a new start fixes is not tried again."""
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
