"""Everything that would keep replication from running, found before anything is written.

Used by `ccbridge check` and, first thing, by `ccbridge run`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import mapping_rules
from cdc.config import OracleSystem, Settings
from cdc.errors import CcbridgeError, ExitCode, PreflightFailed
from cdc.flows import parts
from cdc.ports import Finding
from cdc.staging.migrate import check_revision
from mapping_rules import RuleSet


@dataclass
class Report:
    """What the checks found; `exit_code` is the gravest of them."""

    findings: list[Finding] = field(default_factory=list)
    exit_code: ExitCode = ExitCode.DONE

    def look(self, subject: str, check: Callable[[], list[Finding]]) -> None:
        """Run one check; a database that cannot be used is a finding like any other."""
        try:
            found = check()
            code = ExitCode.OPERATOR
        except CcbridgeError as exc:
            found = [Finding(subject, str(exc), "a usable connection", exc.hint)]
            code = exc.exit_code
        for finding in found:
            if finding not in self.findings:
                self.findings.append(finding)
        if found:
            # an unreachable database says more than what could be seen without it
            self.exit_code = max(self.exit_code, code, key=_gravity)


def _gravity(code: ExitCode) -> int:
    return (ExitCode.DONE, ExitCode.OPERATOR, ExitCode.USAGE, ExitCode.UNREACHABLE).index(code)


def preflight(settings: Settings) -> Report:
    """All findings over rules, staging, sources and targets; none if everything is in order.

    A part that cannot be reached is a finding of its own, the others are still checked.

    Raises:
        RuleFaults: the rule set itself is wrong; nothing else can be checked.
    """
    rule_set = parts.load_rules(settings)
    report = Report()
    missing = sorted(rule_set.systems.keys() - settings.systems.keys())
    if missing:
        report.findings = [
            Finding(f"rules {rule_set.name}", f"no system {name!r} configured", f"[systems.{name}]")
            for name in missing
        ]
        report.exit_code = ExitCode.USAGE
        return report
    report.look("staging", lambda: check_revision(settings.staging, rule_set))
    for name in parts.sources(rule_set):
        report.look(name, partial(_source, settings, rule_set, name))
    for name in parts.targets(rule_set):
        report.look(name, partial(_target, settings, rule_set, name))
    return report


def require(settings: Settings) -> None:
    """Refuse to go on when there is a finding.

    Raises:
        PreflightFailed: every finding, one a line; its exit code is the gravest one's.
    """
    report = preflight(settings)
    if report.findings:
        lines = [f"{f.subject}: found {f.found}, expected {f.expected}" for f in report.findings]
        failed = PreflightFailed(
            "\n".join(lines), hint="ccbridge check prints the statements that mend these"
        )
        failed.exit_code = report.exit_code
        raise failed


def _source(settings: Settings, rule_set: RuleSet, name: str) -> list[Finding]:
    reader = parts.open_reader(settings, rule_set, name)
    try:
        findings = reader.preflight()
        if not findings:
            faults = mapping_rules.check_source(rule_set, name, reader.describe())
            findings = [_rule_finding(fault) for fault in faults]
        return findings
    finally:
        reader.close()


def _target(settings: Settings, rule_set: RuleSet, name: str) -> list[Finding]:
    target = settings.systems[name]
    programs = parts.programs(settings, rule_set, name)
    if isinstance(target, OracleSystem):
        upload = parts.upload_sink(settings, name, target)
        try:
            return upload.preflight()
        finally:
            upload.close()
    return parts.upsert_sink(name, target, fencing_token=0).preflight(programs)


def _rule_finding(fault: str) -> Finding:
    return Finding("rules", fault, "a rule that fits the database", "correct the rule file")
