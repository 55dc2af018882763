"""A probe of one Oracle system: the workload is made, its redo is read, every assumption is tried.

Whatever cannot be had (a right, the schema, the time) is the reason of those assumptions alone that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from cdc.assumptions import Check, Deadline, NotTried, Outcome, Said, Verdict, tried
from cdc.changes import SourceTable, TableName
from cdc.config import OracleSystem
from cdc.errors import CcbridgeError, DatabaseUnreachable, LoginRefused
from cdc.readers.logminer.checks.grants import needed_views, sys_grant
from cdc.readers.logminer.checks.mining_checks import MiningChecks
from cdc.readers.logminer.checks.preflight import VISIBLE
from cdc.readers.logminer.mining.containers import container_of
from cdc.readers.logminer.mining.probe import Probe
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.probing import kind_checks, redo_checks, value_checks
from cdc.readers.logminer.probing.assumptions import ASSUMPTIONS
from cdc.readers.logminer.probing.call_checks import CallChecks
from cdc.readers.logminer.probing.evidence import Evidence
from cdc.readers.logminer.probing.recorder import Recorder
from cdc.readers.logminer.probing.recording import Recording
from cdc.readers.logminer.probing.scratch import Progress, Scratch, ScratchPlace
from cdc.readers.logminer.probing.view_checks import ViewChecks
from cdc.readers.logminer.probing.watch import Watch, watched
from cdc.readers.logminer.probing.workload import TABLES

Parse = Callable[[MiningSession, Mapping[TableName, SourceTable]], Said]


@dataclass
class Trial:
    """One run of the probe.

    Args:
        system: name of the system, for messages.
        settings: how the bridge reaches it.
        place: the scratch schema.
        deadline: the probe's time.
        watch_s: seconds for which the flushed SCN is watched.
        progress: called with what is being done.
        parse: parses every statement of the product, for some tables.

    Attributes:
        outcomes: what was found so far, in the order of the table.
        recording: the redo of the workload, once it was read.
        unreachable: the database could not be used at all.
    """

    system: str
    settings: OracleSystem
    place: ScratchPlace
    deadline: Deadline
    watch_s: float
    progress: Progress
    parse: Parse
    outcomes: list[Outcome] = field(default_factory=list)
    recording: Recording | None = None
    unreachable: CcbridgeError | None = None
    _stopped: NotTried | CcbridgeError | None = None
    _evidence: Evidence | None = None
    _watch: Watch | None = None

    def run(self) -> None:
        """Try everything; the scratch schema is as it was when this returns or raises.

        Raises:
            OperatorError: the schema has tables of the probe's names that no probe made.
        """
        names = [TableName(self.place.schema, table.name) for table in TABLES if table.replayed]
        session = MiningSession(self.system, self.settings, names)
        try:
            session.connection.call_timeout = self._call_timeout_ms
            self._run(session)
        except (LoginRefused, DatabaseUnreachable) as exc:
            self.unreachable = exc
        except KeyboardInterrupt:
            self._stopped = NotTried("the probe was interrupted")
            self._rest()
            raise
        finally:
            session.close()
        self._rest()

    @property
    def _call_timeout_ms(self) -> int:
        return max(1_000, int(self.deadline.left_s * 1000))

    def _rest(self) -> None:
        """Name what was not reached."""
        reason = self.unreachable or self._stopped
        for assumption in ASSUMPTIONS[len(self.outcomes) :]:
            text = str(reason or "was not reached")
            hint = reason.hint if reason is not None else ""
            self.outcomes.append(Outcome(assumption, Verdict.COULD_NOT_TRY, text, hint))

    def _run(self, session: MiningSession) -> None:
        scratch = Scratch(
            self.system, self.settings, self.place, self.deadline, lambda: session.tables_connection
        )
        recorder = Recorder(self.system, self.settings, session, scratch, self.deadline)
        with ExitStack() as stack:
            try:
                scratch.require_schema()
                stack.enter_context(scratch.opened(self.progress))
            except NotTried as exc:
                self._stopped = exc
            except LoginRefused as exc:
                self._stopped = NotTried(str(exc), hint="correct CCBRIDGE_PROBE_PASSWORD")
            else:
                self._record(session, recorder, stack)
            self.progress("trying the assumptions")
            checks = self._checks(session, scratch, recorder)
            for outcome in tried(ASSUMPTIONS, checks, self.deadline):
                self.outcomes.append(outcome)

    def _record(self, session: MiningSession, recorder: Recorder, stack: ExitStack) -> None:
        try:
            self._require_rights(session)
            self.recording = stack.enter_context(recorder.made(self.progress))
        except NotTried as exc:
            self._stopped = exc
        except CcbridgeError as exc:
            if isinstance(exc, DatabaseUnreachable):
                raise
            self._stopped = NotTried(str(exc), hint=exc.hint)
        else:
            self._evidence = Evidence(self.recording, tuple(recorder.split))
            seconds = min(self.watch_s, self.deadline.left_s / 2)
            if not seconds:
                return
            self._watch = watched(
                session.look, session.current_scn, recorder.beat, seconds=seconds, progress=self.progress
            )

    def _require_rights(self, session: MiningSession) -> None:
        """Name every missing right of reading the redo, at once.

        Raises:
            NotTried: with the grants.
        """
        probe = Probe(session.connection, self.system)
        place = container_of(session.connection, self.system)
        views = needed_views(self.settings, root=self.settings.pdb is not None, inside=place.is_pdb)
        hidden = [view for view in views if probe.is_refused(VISIBLE.format(view=view))]
        fixes = [sys_grant(view, self.settings.user) for view in hidden]
        for finding in MiningChecks(probe, self.settings, place, rds=False).executable():
            hidden.append(finding.subject)
            fixes.append(finding.fix)
        if hidden:
            raise NotTried(f"{self.settings.user} may not use {', '.join(hidden)}", hint="\n".join(fixes))

    def _checks(self, session: MiningSession, scratch: Scratch, recorder: Recorder) -> Mapping[str, Check]:
        views = ViewChecks(self.system, session, scratch, recorder, self._seen, self._watched)

        def require() -> None:
            if scratch.connection is None:
                raise self._stopped or NotTried("the scratch schema is not open")

        calls = CallChecks(self.system, self.settings, session, scratch, require)
        of_redo = {**redo_checks.CHECKS, **kind_checks.CHECKS, **value_checks.CHECKS}
        return {
            **{name: partial(self._of_redo, check) for name, check in of_redo.items()},
            **views.checks,
            **calls.checks,
            "statements-parse": partial(self._statements_parse, session, scratch),
        }

    def _of_redo(self, check: Callable[[Evidence], Said]) -> Said:
        return check(self._seen())

    def _statements_parse(self, session: MiningSession, scratch: Scratch) -> Said:
        described = {one.described.name: one.described for one in scratch.described.values()}
        if not described:
            raise self._stopped or NotTried("the scratch schema is not open")
        return self.parse(session, described)

    def _seen(self) -> Evidence:
        if self._evidence is None:
            raise self._stopped or NotTried("the redo was not read")
        return self._evidence

    def _watched(self) -> Watch:
        if self._watch is None:
            raise self._stopped or NotTried("V$THREAD was not watched: --watch 0")
        return self._watch
