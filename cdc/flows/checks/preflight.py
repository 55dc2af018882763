"""Everything that would keep replication from running, found before anything is written.

Used by `ccbridge check` and, first thing, by `ccbridge run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

import mapping_rules
from cdc.changes import TableName
from cdc.config import Settings
from cdc.errors import (
    CcbridgeError,
    DatabaseUnreachable,
    ExitCode,
    LoginRefused,
    PreflightFailed,
    RuleErrors,
    TargetRefused,
    snapshot_hint,
    table_snapshot_hint,
)
from cdc.flows import wiring
from cdc.flows.targets import look
from cdc.kinds import KINDS, resolve
from cdc.ports import Finding
from cdc.postgres.broad_rights import broad_rights
from cdc.postgres.connect import connect
from cdc.staging.checkpoints import Checkpoints, StoredCheckpoint
from cdc.staging.schema.migrate import check_revision
from cdc.staging.source_tables import SourceTables, StoredTable
from mapping_rules import RuleSet

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SystemFinding:
    """A finding and the system it is about, `staging` and `rules` included."""

    system: str
    finding: Finding

    def __str__(self) -> str:
        finding = self.finding
        return f"{self.system}: {finding.subject}: found {finding.found}, expected {finding.expected}"


@dataclass
class Report:
    """What the checks found; `exit_code` is that of the most severe finding, `advice` does not count."""

    findings: list[SystemFinding] = field(default_factory=list)
    advice: list[SystemFinding] = field(default_factory=list)
    exit_code: ExitCode = ExitCode.DONE
    out_of_reach: set[str] = field(default_factory=set)

    def run_check(self, system: str, check: Callable[[], list[Finding]]) -> None:
        """Run one check; a database that cannot be used is a finding like any other.

        A system that refused our password is not tried again: that can lock the account.
        """
        if system in self.out_of_reach:
            return
        try:
            self.add(system, check(), ExitCode.OPERATOR)
        except RuleErrors as exc:
            self.add("rules", [_rule_finding(error) for error in exc.errors], exc.exit_code)
        except CcbridgeError as exc:
            if isinstance(exc, LoginRefused | DatabaseUnreachable):
                self.out_of_reach.add(system)
            self.add(system, [Finding(exc.code, str(exc), "a usable connection", exc.hint)], exc.exit_code)

    def add(self, system: str, findings: Sequence[Finding], code: ExitCode) -> None:
        """Take findings over, each once."""
        found = [SystemFinding(system, finding) for finding in findings]
        self.advice += [one for one in found if one.finding.advice and one not in self.advice]
        failures = [one for one in found if not one.finding.advice]
        self.findings += [one for one in failures if one not in self.findings]
        if failures:
            # an unreachable database says more than what could be seen without it
            self.exit_code = max(self.exit_code, code, key=_severity)


def _severity(code: ExitCode) -> int:
    return (ExitCode.DONE, ExitCode.OPERATOR, ExitCode.USAGE, ExitCode.UNREACHABLE).index(code)


def preflight(settings: Settings, rule_set: RuleSet) -> Report:
    """All findings over rules, staging, sources and targets; none if everything is in order.

    A part that cannot be reached is a finding of its own, the others are still checked.
    """
    report = Report()
    report.add("configuration", list(_insecure(settings)), ExitCode.DONE)
    missing = sorted(rule_set.systems.keys() - settings.systems.keys())
    if missing:
        findings = [
            Finding(f"[systems.{name}]", "no such section", "where this system is", "ccbridge init shows how")
            for name in missing
        ]
        report.add("configuration", findings, ExitCode.USAGE)
        return report
    report.run_check("staging", lambda: check_revision(settings.staging, rule_set))
    known = _known_tables(settings, report)
    for name in wiring.sources(rule_set):
        report.run_check(name, partial(_source, settings, rule_set, name, known.get(name, {}), report))
    for name in wiring.targets(rule_set):
        report.run_check(name, partial(wiring.check_target, settings, rule_set, name))
    report.run_check("staging", partial(broad_rights, settings.staging))
    for name, system in settings.systems.items():
        for check in KINDS[system.kind].checks:
            report.run_check(name, partial(resolve(check), system))
    return report


def _insecure(settings: Settings) -> Iterator[Finding]:
    """Advice for the connections that need `insecure`, and for those that have it for nothing."""
    needed: list[str] = []
    idle: list[str] = []
    for name, one in {"staging": settings.staging, **settings.systems}.items():
        if getattr(one, "insecure", False):
            (needed if any(one.transport_errors(name, insecure=False)) else idle).append(name)
    if needed:
        yield Finding(
            ", ".join(needed),
            "insecure = true, not protected by verified TLS",
            "TLS with a verified certificate",
            "remove insecure, and give a dsn with tcps or sslmode verify-full",
            advice=True,
        )
    if idle:
        yield Finding(
            ", ".join(idle),
            "insecure = true, which the connection does not need",
            "no such key",
            "remove insecure: then less than verified TLS is refused",
            advice=True,
        )


def missing_log(settings: Settings, rule_set: RuleSet, report: Report) -> None:
    """Add what of the sources' logs is gone that their checkpoints need; replication would wait for it."""
    if report.findings:
        return
    with connect(settings.staging, application="ccbridge check", autocommit=True) as connection:
        saved = Checkpoints(connection).all()
    for checkpoint in saved:
        if checkpoint.snapshot_complete and checkpoint.system in wiring.sources(rule_set):
            report.run_check(checkpoint.system, partial(_missing_log, settings, rule_set, checkpoint))


def refused_targets(settings: Settings, rule_set: RuleSet, report: Report) -> None:
    """Add the targets that a running process would not write: another database, or a restore."""
    if report.findings:
        return
    for name in wiring.targets(rule_set):
        report.run_check(name, partial(_refused, settings, name))


def _refused(settings: Settings, name: str) -> list[Finding]:
    try:
        look(settings, name)
    except TargetRefused as exc:
        return [Finding(exc.code, str(exc), "the database that staging is bound to", exc.hint)]
    return []


def _missing_log(settings: Settings, rule_set: RuleSet, checkpoint: StoredCheckpoint) -> list[Finding]:
    reader = wiring.open_reader(settings, rule_set, checkpoint.system)
    try:
        # another database, or another reader's place, is for the flow to refuse
        if dict(reader.identity()) != dict(checkpoint.identity):
            return []
        return reader.missing_log(checkpoint.resume)
    finally:
        reader.close()


def require(settings: Settings, rule_set: RuleSet) -> None:
    """Raise when there is a finding that stops more than one table.

    Raises:
        PreflightFailed: every finding, one a line; its exit code is that of the most severe one.
    """
    report = preflight(settings, rule_set)
    for one in report.advice:
        log.warning("advice_reported", system=one.system, advice=str(one), fix=one.finding.fix)
    for one in report.findings:
        if one.finding.table is not None:
            log.warning("table_finding_reported", system=one.system, finding=str(one), fix=one.finding.fix)
    findings = [one for one in report.findings if one.finding.table is None]
    if findings:
        failed = PreflightFailed(
            "\n".join(map(str, findings)),
            hint="run: ccbridge check, which prints the statements that fix these",
        )
        failed.exit_code = report.exit_code
        raise failed


def _known_tables(settings: Settings, report: Report) -> dict[str, dict[TableName, StoredTable]]:
    """What staging knows of captured tables, by system; nothing if staging is not ready."""
    if report.findings or "staging" in report.out_of_reach:
        return {}
    with connect(settings.staging, application="ccbridge check", autocommit=True) as connection:
        return {name: SourceTables(connection, name).load() for name in settings.systems}


def _source(
    settings: Settings,
    rule_set: RuleSet,
    name: str,
    known: Mapping[TableName, StoredTable],
    report: Report,
) -> list[Finding]:
    """What the reader finds, and what of the rules does not fit the tables that can be seen, at once."""
    reader = wiring.open_reader(settings, rule_set, name)
    try:
        found = reader.preflight()
        again = table_snapshot_hint if reader.can_read_tables else None
        findings = [_of_table(name, finding, known, again) for finding in found]
        blocked = [finding for finding in found if not finding.advice]
        try:
            tables = reader.describe()
        except CcbridgeError:
            if not blocked:
                raise
            return findings  # they say why
        errors: list[str] = []
        for table in mapping_rules.captured_tables(rule_set, name):
            if blocked and table not in tables:
                continue
            wrong = mapping_rules.check_source(rule_set, name, tables, only=table)
            if table not in known:
                errors += wrong
            elif not any(finding.table == table for finding in findings):
                findings += [
                    _of_table(name, replace(_rule_finding(error), table=table), known, again)
                    for error in wrong
                ]
        report.add("rules", [_rule_finding(error) for error in errors], RuleErrors.exit_code)
        unmapped = mapping_rules.unmapped_columns(rule_set, name, tables)
        return [*findings, *map(_unmapped, unmapped), *_stopped(name, known, again)]
    finally:
        reader.close()


def _of_table(
    system: str,
    finding: Finding,
    known: Mapping[TableName, StoredTable],
    again: Callable[[str, object], str] | None,
) -> Finding:
    """A finding about a table that was read says that correcting it is not enough."""
    table = finding.table
    if table is None or table not in known:
        return replace(finding, table=None)
    way_back = again(system, table) if again is not None else snapshot_hint(system)
    return replace(finding, fix=f"{finding.fix}\n-- its changes since are lost; then {way_back}")


def _stopped(
    system: str, known: Mapping[TableName, StoredTable], again: Callable[[str, object], str] | None
) -> list[Finding]:
    """Tables that `run` no longer reads, even if nothing is wrong with them now."""
    return [
        Finding(
            f"table {name}",
            f"no longer read: {one.reason}",
            "a table that is read",
            again(system, name) if again is not None else snapshot_hint(system),
            table=name,
        )
        for name, one in known.items()
        if one.state == "stopped" and not one.requested
    ]


def _unmapped(error: str) -> Finding:
    place, _, text = error.partition(": ")
    return Finding(
        place, text, "every column mapped or ignored", "map it, or add it to `ignore`", advice=True
    )


def _rule_finding(error: str) -> Finding:
    place, _, text = error.partition(": ")
    return Finding(place, text, "a rule that fits the database", "correct the rule file")
