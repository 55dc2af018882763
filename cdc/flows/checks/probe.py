"""`ccbridge probe`: is a real database what the readers take it for?

Each vendor's part is beside its reader: `cdc.readers.logminer.probing`, `cdc.readers.pgoutput.probing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import mapping_rules
from cdc.assumptions import Assumption, Deadline, NotTried, Outcome, Report, Said, Verdict, judge, tried
from cdc.changes import SourceTable, TableName
from cdc.config import OracleSystem, PostgresSystem, Settings
from cdc.errors import ConfigurationError, DatabaseUnreachable, LoginRefused, OperatorError
from cdc.flows.checks.statements import Place, Statement, of_sinks, parsed, statements
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.probing import recording
from cdc.readers.logminer.probing.scratch import ScratchPlace
from cdc.readers.logminer.probing.trial import Trial
from cdc.readers.logminer.tables.dictionary import captured_tables
from cdc.readers.pgoutput.probing.server_checks import connected
from cdc.readers.pgoutput.probing.trial import trial as postgres_trial
from cdc.rule_set import load_rules

Progress = Callable[[str], None]


System = TypeVar("System", OracleSystem, PostgresSystem)


def chosen(settings: Settings, name: str | None, kind: type[System]) -> tuple[str, System]:
    """The system that is meant: by name, or the only one of its kind.

    Raises:
        ConfigurationError: there is none, or several and no name.
    """
    fitting = {n: s for n, s in settings.systems.items() if isinstance(s, kind)}
    if name is None and len(fitting) == 1:
        return next(iter(fitting.items()))
    if name is not None and name in fitting:
        return name, fitting[name]
    vendor = "oracle" if kind is OracleSystem else "postgres"
    listed = ", ".join(sorted(fitting)) or "none"
    raise ConfigurationError(
        [f"probe: which system of kind {vendor}? the configuration has: {listed}"],
        hint="name one of them, as in: ccbridge probe " + vendor + " <system>",
    )


def parse_statements(
    settings: Settings, system: str | None, *, deadline: Deadline, progress: Progress
) -> Report:
    """Parse every statement that the product sends to an Oracle system, for the tables of the rule set.

    Nothing is run: DDL, which Oracle runs when it parses it, is never sent by the product.

    Raises:
        ConfigurationError: no such system.
        RuleErrors: the rule set cannot be used.
    """
    name, oracle = chosen(settings, system, OracleSystem)
    rule_set = load_rules(settings)
    names = mapping_rules.captured_tables(rule_set, name)
    session = MiningSession(name, oracle, names)
    report = Report()
    try:
        progress("reading the dictionary")
        session.connection.call_timeout = max(1_000, int(deadline.left_s * 1000))
        read = mapping_rules.columns_read(rule_set, name)
        captured = captured_tables(session.tables_connection, names, name, read=read)
        tables = {table: one.table for table, one in captured.items()}
        for table in names:
            if table not in tables:
                report.outcomes.append(
                    _not_seen(f"snapshot {table}", f"{table} does not exist or is not seen")
                )
        others = _of_sinks(session, oracle, report)
        progress("parsing the statements")
        found = {one.name: one for one in statements(oracle, tables, others)}
        beliefs = [
            Assumption(one.name, "the database parses it", "the product's own text", one.name)
            for one in found.values()
        ]
        checks = {one.name: partial(_parsed, session, one, oracle.user) for one in found.values()}
        report.outcomes += tried(beliefs, checks, deadline)
    except (LoginRefused, DatabaseUnreachable) as exc:
        report.unreachable = exc
        report.outcomes.append(_not_seen("connection", str(exc), exc.hint))
    finally:
        session.close()
    return report


def _of_sinks(session: MiningSession, oracle: OracleSystem, report: Report) -> list[tuple[str, str]]:
    """Label and text of what sinks send to this database."""
    found: list[tuple[str, str]] = []
    for one in of_sinks():
        try:
            with session.tables_connection.cursor() as cursor:
                found += one.of_site(cursor, oracle)
        except OperatorError as exc:
            report.outcomes.append(_not_seen(one.name, str(exc), exc.hint))
    return found


def _not_seen(name: str, reason: str, hint: str = "run: ccbridge check") -> Outcome:
    assumption = Assumption(name, "the database parses it", "the product's own text", name)
    return Outcome(assumption, Verdict.COULD_NOT_TRY, reason, hint)


def _parsed(session: MiningSession, statement: Statement, user: str) -> Said:
    place = session.connection if statement.place is Place.MINING else session.tables_connection
    return parsed(place, statement, user)


def parse_all(oracle: OracleSystem, session: MiningSession, tables: Mapping[TableName, SourceTable]) -> Said:
    """One verdict over every statement, for the test tables of a probe."""
    refused, unseen = [], 0
    found = statements(oracle, tables)
    for statement in found:
        try:
            said = _parsed(session, statement, oracle.user)
        except NotTried:
            unseen += 1
            continue
        if said.verdict is Verdict.DIFFERS:
            refused.append(f"{statement.name}: {said.reason}")
    text = f"{len(found) - len(refused) - unseen} parsed, {unseen} of objects not granted"
    return judge(not refused, "; ".join((text, *refused[:3])))


def probe_oracle(
    settings: Settings,
    system: str | None,
    place: ScratchPlace,
    *,
    file: Path | None,
    deadline: Deadline,
    watch_s: float,
    progress: Progress,
) -> Report:
    """Try the assumptions of the LogMiner reader.

    Args:
        settings: the configuration.
        system: an Oracle system of it; the only one if None.
        place: the scratch schema.
        file: where the recording is written; nowhere if None.
        deadline: the time it may take.
        watch_s: seconds for which the flushed SCN is watched.
        progress: called with what is being done.

    Raises:
        ConfigurationError: no such system.
        OperatorError: the scratch schema has tables of the probe's names that no probe made, or the file
            cannot be written.
    """
    name, oracle = chosen(settings, system, OracleSystem)
    trial = Trial(name, oracle, place, deadline, watch_s, progress, partial(parse_all, oracle))
    report = Report(trial.outcomes)
    try:
        trial.run()
    except KeyboardInterrupt:
        report.interrupted = True
    report.unreachable = trial.unreachable
    if file is not None and trial.recording is not None:
        recording.write(file, trial.recording, trial.outcomes)
    return report


def probe_postgres(
    settings: Settings, system: str | None, *, schema: str | None, deadline: Deadline
) -> Report:
    """Try the assumptions about a PostgreSQL system.

    Args:
        settings: the configuration.
        system: a PostgreSQL system of it; the only one if None.
        schema: scratch schema for a test table; what needs it is not tried if None.
        deadline: the time it may take.

    Raises:
        ConfigurationError: no such system.
        OperatorError: the schema has a table of the probe's name that no probe made.
    """
    name, postgres = chosen(settings, system, PostgresSystem)
    return postgres_trial(name, postgres, schema, connect=partial(connected, postgres), deadline=deadline)
