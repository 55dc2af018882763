"""Running flows: a thread each, retried with back-off, ended together.

A flow is a callable that opens its own connections, works until `stop` is set and calls
`progressed` whenever it made progress. After a `TransientError` it is started again with a pause that doubles
up to 30 s and is reset by progress. An error with `tries` is reported after so many failures in a row and
then retried once a minute. An error that an operator fixes in the database (`retried_when_fixed`: redo logs
to be restored) is reported at once and retried once a minute; so is a rejected row that could not be
isolated, which never ends a flow. Any other error of ours ends this flow only; the others continue. Errors of
the drivers are translated to ours before: none of them ends the process.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import oracledb
import psycopg
import structlog
import tenacity

import cdc.oracle.errors
import cdc.postgres.errors
from cdc.errors import (
    CcbridgeError,
    DatabaseUnreachable,
    LeaseLost,
    OperatorError,
    RowError,
    TransientError,
    UnclassifiedError,
)
from cdc.flows.progress.state import FlowState
from cdc.oracle.calls import unanswered

log = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 30.0
FIRST_PAUSE_S = 0.2
WAITING_PAUSE_S = 60.0
"""Between two retries of a flow that waits for an operator."""
UNANSWERED_S = 30.0
"""A call that takes longer is reported, though it may still be answered."""
ABANDONED_S, JOIN_TURN_S = 5.0, 0.2
"""When the process ends, an answer is awaited no longer than this."""


def pause_s(failures: int) -> float:
    """Pause before the next try after `failures` in a row: doubling, bounded, with jitter.

    >>> 0.1 <= pause_s(1) <= 0.2
    True
    """
    longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - 1, 30))
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads retries, protects nothing


@dataclass
class Flow:
    """One supervised thread."""

    name: str
    work: Callable[[Flow], None]
    stop: threading.Event
    state: FlowState
    failures: int = 0
    error: CcbridgeError | None = None
    crash: BaseException | None = None
    thread: threading.Thread | None = field(default=None, repr=False)
    _silent: bool = False

    def progressed(self) -> None:
        """The flow made progress: the next failure starts with the shortest pause again."""
        if self.failures:
            log.info("flow_recovered", flow=self.name, failures=self.failures)
        self.failures = 0

    def _failed(self, retry: tenacity.RetryCallState) -> None:
        self.failures += 1
        exc = retry.outcome.exception() if retry.outcome else None
        if self._waits(exc):
            log.error(
                "flow_waiting",
                flow=self.name,
                error_code=getattr(exc, "code", None),
                reason=str(exc),
                hint=getattr(exc, "hint", ""),
                failures=self.failures,
            )
            self.state.report(self.name, "waiting", error=exc if isinstance(exc, CcbridgeError) else None)
            return
        log.warning(
            "flow_retried",
            flow=self.name,
            error_code=getattr(exc, "code", None),
            reason=str(exc),
            failures=self.failures,
        )
        self.state.report(self.name, "retrying", error=exc if isinstance(exc, CcbridgeError) else None)

    def _pause_s(self, retry: tenacity.RetryCallState) -> float:
        exc = retry.outcome.exception() if retry.outcome else None
        return WAITING_PAUSE_S if self._waits(exc) else pause_s(self.failures)

    def _waits(self, exc: BaseException | None) -> bool:
        """Whether the failure is reported as waiting for an operator, and retried once a minute."""
        tries = exc.tries if isinstance(exc, TransientError) else None
        return _is_retried_when_fixed(exc) or (tries is not None and self.failures >= tries)

    def watch(self) -> None:
        """Report a call that has not returned for long; called while the flow's thread waits for it."""
        call = unanswered(self._thread_id, longer_than_s=UNANSWERED_S)
        if call is None:
            if self._silent:
                self._silent = False
                self.state.answered(self.name)
            return
        error = DatabaseUnreachable(
            f"{call.subject}: a call has had no answer for {call.age_s:.0f} s",
            hint="check whether the server hangs; the call is cancelled after query_timeout_s",
        )
        if not self._silent:
            log.warning("call_unanswered", flow=self.name, reason=str(error))
        self._silent = True
        self.state.report(self.name, "waiting", error=error)

    @property
    def _thread_id(self) -> int | None:
        return self.thread.ident if self.thread is not None else None

    def join(self) -> None:
        """Return when the flow ended, or when it hangs in a call that is not answered."""
        while self.thread is not None and self.thread.is_alive():
            self.thread.join(JOIN_TURN_S)
            call = unanswered(self._thread_id, longer_than_s=ABANDONED_S)
            if call is not None and self.thread.is_alive():
                # nothing is lost: what was not committed is read again at the next start
                self.error = self.error or DatabaseUnreachable(
                    f"{call.subject}: no answer when it was left", hint="check whether the server hangs"
                )
                log.warning("flow_abandoned", flow=self.name, reason=str(self.error))
                return

    def _try(self) -> None:
        """One attempt; a driver's error that was not translated before is classified here."""
        try:
            self.work(self)
        except psycopg.Error as exc:
            raise cdc.postgres.errors.translated(exc, self.name) from exc
        except oracledb.Error as exc:
            raise cdc.oracle.errors.translated(exc, self.name) from exc
        except OSError as exc:
            place = f" {exc.filename}" if exc.filename else ""
            raise UnclassifiedError(
                f"{self.name}: {type(exc).__name__}{place}: {exc.strerror or 'no reason given'}",
                hint="check what the operating system reported; the flow is retried",
            ) from exc

    def _run(self) -> None:
        logger = log.bind(flow=self.name)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_retried),
            wait=self._pause_s,
            after=self._failed,
            sleep=tenacity.sleep_using_event(self.stop),
            stop=tenacity.stop_when_event_set(self.stop),
            reraise=True,
        )
        try:
            self.state.report(self.name, "running")
            retrying(self._try)
            self.state.report(self.name, "stopped")
        except CcbridgeError as exc:
            if _is_retried(exc):  # it would be tried again, but is asked to stop
                logger.info("flow_stopped", reason=str(exc))
                self.state.report(self.name, "stopped", error=exc)
                return
            self.error = exc
            logger.error("flow_failed", error_code=exc.code, reason=str(exc), hint=exc.hint)
            self.state.report(self.name, "failed", error=exc)
            if isinstance(exc, LeaseLost):
                self.stop.set()
        except Exception as exc:
            self.crash = exc
            self.stop.set()
            self.state.report(self.name, "failed")
            logger.exception("flow_crashed")


def _is_retried_when_fixed(exc: BaseException | None) -> bool:
    return isinstance(exc, RowError) or (isinstance(exc, OperatorError) and exc.retried_when_fixed)


def _is_retried(exc: BaseException) -> bool:
    return isinstance(exc, TransientError) or _is_retried_when_fixed(exc)


@dataclass
class Supervisor:
    """All flows of one process."""

    stop: threading.Event
    state: FlowState
    flows: list[Flow] = field(default_factory=list)

    def start(self, name: str, work: Callable[[Flow], None]) -> None:
        """Run `work` in a thread of its own."""
        flow = Flow(name, work, self.stop, self.state)
        flow.thread = threading.Thread(target=flow._run, name=name, daemon=True)
        self.flows.append(flow)
        flow.thread.start()

    def alive(self) -> bool:
        """True while any flow runs."""
        return any(flow.thread is not None and flow.thread.is_alive() for flow in self.flows)

    def join(self) -> None:
        """Return when every flow ended; a flow ends after its current batch once `stop` is set."""
        for flow in self.flows:
            flow.join()

    def watch(self) -> None:
        """Report flows that wait for an answer."""
        for flow in self.flows:
            flow.watch()

    def raise_first(self) -> None:
        """Raise what ended a flow, a crash first; nothing if all stopped when asked."""
        for flow in self.flows:
            if flow.crash is not None:
                raise flow.crash
        for flow in self.flows:
            if flow.error is not None:
                raise flow.error
