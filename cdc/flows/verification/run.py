"""A run: every table that was asked for is compared, one after the other, and what was found is recorded.

One process compares at a time: it holds the lease `resync`. A run that ended before it was done, whatever the
reason, is continued by the next one of the same scope.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from cdc import __version__
from cdc.config import Settings
from cdc.digests.sort_key import encode, keyed
from cdc.errors import (
    CcbridgeError,
    ConfigurationError,
    ExitCode,
    LeaseLost,
    ResyncRunning,
    RowError,
    TransientError,
)
from cdc.flows import wiring
from cdc.flows.supervision import pause_s
from cdc.flows.verification.plan import (
    PlannedTable,
    Scope,
    chosen_systems,
    plan_system,
    require_tables,
)
from cdc.flows.verification.staged import StagedTable
from cdc.flows.verification.tables import TableComparison
from cdc.ports import TableReader
from cdc.postgres.connect import Connection, connect
from cdc.rule_set import load_rules
from cdc.staging.leases import Lease
from cdc.staging.resync_runs import Begun, ChunkRecord, Difference, Ending, ResyncRuns

LEASE = "resync"
TRIES = 5
"""Of one table after lost connections, counted from its last chunk on."""
_ACQUIRE_S = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a table is: rows compared, rows expected (None if not known), rows per second."""

    table: PlannedTable
    rows: int
    expected: int | None
    rate: float


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Args:
        run_id: its number in staging.resync_run.
        state: how it ended.
        account: of each table begun, see `ResyncRuns.account`.
        differences: see `ResyncRuns.differences`.
        not_compared: tables that were not begun, each with its reason.
    """

    run_id: int
    state: Ending
    account: Sequence[dict[str, Any]]
    differences: Sequence[dict[str, Any]]
    not_compared: Sequence[PlannedTable]

    @property
    def exit_code(self) -> ExitCode:
        """DONE only if everything that was asked for was compared, and is equal."""
        if any(one["class"] != "postponed" for one in self.differences):
            return ExitCode.DIFFERENCES
        is_whole = self.state == "done" and not self.differences and not self.not_compared
        return ExitCode.DONE if is_whole else ExitCode.INCOMPLETE


@dataclass
class Options:
    """How a run works.

    Args:
        until: asked before each chunk; the moment, of `time.time()`, at which the window ends, or None.
        load: share of time that a source is asked in.
        fresh: begin a new run, though the last one is not done.
        progress: called after each chunk.
    """

    until: float | None = None
    load: float = 1.0
    fresh: bool = False
    progress: Callable[[Progress], None] = field(default=lambda _: None)


class Verification:
    """Compares sources with staging; use it as a context manager.

    Args:
        settings: the configuration.
        scope: what to compare.
        stop: ends the run after the current chunk when set.

    Raises:
        RuleErrors: the rule set is wrong.
        ConfigurationError: a name of the scope is.
    """

    def __init__(self, settings: Settings, scope: Scope, stop: threading.Event) -> None:
        self._settings, self._scope, self._stop = settings, scope, stop
        self.rule_set = load_rules(settings)
        self._systems = chosen_systems(self.rule_set, scope)
        self._open = ExitStack()
        self._readers: dict[str, TableReader] = {}
        self._staging: Connection | None = None

    def __enter__(self) -> Verification:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        if self._staging is not None:
            self._staging.close()

    def plan(self) -> list[PlannedTable]:
        """Every table of the scope, those that cannot be compared with the reason.

        Raises:
            SourceChanged: a source is not the one that staging is made of.
            CcbridgeError: a database cannot be reached, or used.
        """
        for system in self._systems:
            if system not in self._readers:
                reader = wiring.open_table_reader(self._settings, self.rule_set, system)
                self._readers[system] = self._open.enter_context(closing(reader))
        planned = [
            table
            for reader in self._readers.values()
            for table in plan_system(self._settings, self.rule_set, reader, self._session(), self._scope)
        ]
        require_tables(planned, self._scope)
        return planned

    def run(self, planned: Sequence[PlannedTable], options: Options) -> Outcome:
        """Compare the tables of a plan; what is found is recorded chunk by chunk.

        Raises:
            ResyncRunning: another process compares right now.
            LeaseLost: another process took over.
            CcbridgeError: a database cannot be reached, or used; the run can be continued.
        """
        host = f"{socket.gethostname()}:{os.getpid()}"
        lease = Lease(
            self._settings.staging,
            LEASE,
            host,
            self._settings.run.lease_ttl_s,
            version=__version__,
            rule_set=self.rule_set.digest,
        )
        with closing(lease):
            if lease.acquire(wait_s=_ACQUIRE_S, stop=self._stop) is None:
                raise ResyncRunning()
            with renewed(lease, self._stop):
                runs = ResyncRuns(self._session(), lease)
                begun = runs.begin(
                    "verify", self._scope.as_json(), self.rule_set.digest, host, fresh=options.fresh
                )
                log.info(
                    "verification_started",
                    run=begun.run_id,
                    continued=begun.is_continued,
                    tables=len(planned),
                )
                try:
                    state = self._compare(planned, begun, lease, options)
                except LeaseLost:
                    raise
                except CcbridgeError as exc:
                    with suppress(CcbridgeError):
                        ResyncRuns(self._session(), lease).end(begun.run_id, "failed", (exc.code, str(exc)))
                    raise
                runs = ResyncRuns(self._session(), lease)
                runs.end(begun.run_id, state)
                log.info("verification_ended", run=begun.run_id, state=state)
                left = [table for table in planned if table.digest is None]
                return Outcome(
                    begun.run_id, state, runs.account(begun.run_id), runs.differences(begun.run_id), left
                )

    def _compare(
        self, planned: Sequence[PlannedTable], begun: Begun, lease: Lease, options: Options
    ) -> Ending:
        for table in planned:
            if table.digest is None:
                continue
            number, low = begun.ended_at.get((table.system, table.name), (0, None))
            if number and low is None:
                continue  # compared before it was continued
            if not self._ended(options) and self._table(table, begun.run_id, number, low, lease, options):
                continue
            if self._stop.is_set():
                return "interrupted"
            if self._ended(options):
                return "window ended"
        return "done"

    def _ended(self, options: Options) -> bool:
        return self._stop.is_set() or (options.until is not None and time.time() >= options.until)

    def _table(
        self, table: PlannedTable, run_id: int, number: int, low: str | None, lease: Lease, options: Options
    ) -> bool:
        """Compare one table, again from its last chunk on after a lost connection; whether it is done."""
        reporter = _Reporter(table, options.progress)
        failures = 0
        while True:
            work = _Work(run_id, table, lease, self._session(), reporter, number, low)
            try:
                return self._attempt(work, options)
            except TransientError as exc:
                failures = 1 if work.number > number else failures + 1
                number, low = work.number, work.low
                if failures > TRIES:
                    raise
                log.warning(
                    "comparison_retried",
                    system=table.system,
                    table=str(table.name),
                    error_code=exc.code,
                    reason=str(exc),
                )
                if self._stop.wait(pause_s(failures)):
                    return False

    def _attempt(self, work: _Work, options: Options) -> bool:
        table = work.table
        if table.digest is None:
            return False
        comparison = TableComparison(
            self._readers[table.system],
            StagedTable(self._session(), table.system, table.digest),
            table.digest,
            work.record,
            lambda: self._ended(options),
            load=options.load,
            wait=self._stop.wait,
        )
        if self._scope.keys:
            try:
                comparison.keys(_sort_keys(table, self._scope.keys))
            except RowError as exc:
                raise ConfigurationError([f"keys: not a value of the key's type: {exc}"]) from exc
            return True
        return comparison.run(number=work.number, low=work.low)

    def _session(self) -> Connection:
        if self._staging is None or self._staging.closed:
            self._staging = connect(self._settings.staging, application="ccbridge verify")
        return self._staging


@dataclass
class _Work:
    """A table that is compared: where it stands, and how its chunks are recorded."""

    run_id: int
    table: PlannedTable
    lease: Lease
    staging: Connection
    reporter: _Reporter
    number: int
    low: str | None

    def record(self, chunk: ChunkRecord, found: Sequence[Difference]) -> None:
        """Record a chunk; the next attempt begins behind it."""
        ResyncRuns(self.staging, self.lease).record(
            self.run_id, self.table.system, self.table.name, chunk, found
        )
        self.number, self.low = chunk.number, chunk.within.high
        self.reporter.compared(chunk)
        log.debug(
            "chunk_compared",
            system=self.table.system,
            table=str(self.table.name),
            rows=chunk.source_rows,
            differences=len(found),
            position=chunk.position,
        )


class _Reporter:
    """Counts the rows of a table for `Progress`."""

    def __init__(self, table: PlannedTable, tell: Callable[[Progress], None]) -> None:
        self._table, self._tell, self._rows, self._began = table, tell, 0, time.monotonic()

    def compared(self, chunk: ChunkRecord) -> None:
        self._rows += chunk.source_rows
        rate = self._rows / max(time.monotonic() - self._began, 0.001)
        known = [rows for rows in (self._table.source_rows, self._table.staged_rows) if rows is not None]
        self._tell(Progress(self._table, self._rows, max(known, default=None), rate))


@contextmanager
def renewed(lease: Lease, stop: threading.Event) -> Iterator[None]:
    """Renew a lease while the block runs; set `stop` if it is lost."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(lease.ttl_s / 3):
            try:
                lease.renew()
            except LeaseLost:
                stop.set()
                return
            except CcbridgeError as exc:
                log.warning("heartbeat_missed", error_code=exc.code, reason=str(exc))

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _sort_keys(table: PlannedTable, keys: Sequence[str]) -> list[str]:
    """Sort keys of what was given as values joined by commas.

    Raises:
        ConfigurationError: not as many values as the key has columns.
    """
    if table.digest is None:
        return []
    names = [column.name for column in table.digest.key]
    parts = {key: key.split(",") if len(names) > 1 else [key] for key in keys}
    wrong = [
        f"key {key}: {len(values)} values, expected {len(names)}: {', '.join(names)}"
        for key, values in parts.items()
        if len(values) != len(names)
    ]
    if wrong:
        raise ConfigurationError(wrong)
    return [encode(keyed(table.digest), values) for values in parts.values()]
