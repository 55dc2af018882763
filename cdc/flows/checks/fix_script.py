"""What `check` found for one system, as a script for its DBA: `ccbridge check --sql`.

The first line says who runs it and where. A statement that would fail the second time is guarded, so the
script can be run again; what is not SQL, stops the database, or is advice only stands in it as a comment.
Source: PostgreSQL 17 documentation, psql; SQL*Plus User's Guide 19c, "Running scripts".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cdc.config import PostgresSystem, Settings
from cdc.errors import ConfigurationError
from cdc.flows.checks.preflight import SystemFinding
from cdc.kinds import KINDS
from cdc.printable import printable

_SQL = re.compile(r"(?:alter|create|grant|revoke|select|begin)\s.*;\s*(?:--.*)?$", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"<[\w ]+>")
_ONCE = re.compile(
    r"(?:create|alter publication|alter table .+ add constraint|select pg_\w+\()", re.IGNORECASE
)
"""What fails when it is done already."""
_DONE = "duplicate_object or duplicate_schema or duplicate_table or unique_violation"
_PARTS = re.compile(r";\s+(?=alter|create|grant|revoke|select)", re.IGNORECASE)
_DROP = re.compile(r"alter publication .+ drop table", re.IGNORECASE)
_GUARD = """do $ccbridge$ begin
    {statement}
exception when {done}
    then raise notice 'done already';
end $ccbridge$;"""


def fix_script(settings: Settings, system: str, found: Sequence[SystemFinding]) -> Iterator[str]:
    """Lines of a script for psql or SQL*Plus.

    Args:
        settings: the configuration.
        system: one of its systems, or `staging`.
        found: findings and advice of all systems.

    Raises:
        ConfigurationError: there is no such system.
    """
    known = {"staging": "psql", **{name: KINDS[one.kind].script for name, one in settings.systems.items()}}
    script = known.get(system)
    if script is None:
        raise ConfigurationError(
            [f"no system {system!r} is configured, expected one of: {', '.join(sorted(known))}"]
        )
    of_system = [one for one in found if one.system == system]
    if script == "sqlplus":
        yield f"-- run as SYS, in SQL*Plus on the server of system {system}: sqlplus / as sysdba @FILE"
        yield "-- what is there already is reported (ORA-32588, for example) and does no harm"
        yield "set define off"
    elif script == "psql":
        where = settings.staging if system == "staging" else settings.system(system, PostgresSystem)
        yield (
            f"-- run as a superuser in database {where.database}: "
            f"psql -h {where.host} -p {where.port} -d {where.database} -f FILE"
        )
        yield r"\set ON_ERROR_STOP on"
        yield "set search_path = pg_catalog, pg_temp;"
    for one in of_system:
        finding = one.finding
        yield ""
        yield _comment(f"{finding.subject}: found {finding.found}, expected {finding.expected}")
        for line in finding.fix.splitlines():
            yield from _lines(line, oracle=script == "sqlplus", advice=finding.advice)
    if not of_system:
        yield "-- nothing to do"


def _lines(fix: str, *, oracle: bool, advice: bool) -> Iterator[str]:
    fix = printable(fix).strip()
    if not _SQL.match(fix) or _PLACEHOLDER.search(fix):
        yield _comment(f"by hand: {fix}")
        return
    if advice:
        yield _comment(f"advice: {fix}")
        return
    if oracle and fix.lower().startswith("begin"):
        yield fix
        yield "/"
        return
    statements, _, remark = fix.partition(" -- ")
    for part in _PARTS.split(statements.strip().removesuffix(";")):
        guarded = not oracle and _ONCE.match(part)
        statement = re.sub(r"^select (?=pg_)", "perform ", part) if guarded else part
        done = "undefined_object" if _DROP.match(part) else _DONE
        yield _GUARD.format(statement=f"{statement};", done=done) if guarded else f"{statement};"
    if remark:
        yield _comment(remark)


def _comment(text: str) -> str:
    return f"-- {printable(text)}"
