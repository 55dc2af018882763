"""Findings of the upsert sink: complete at once, and fixed by exactly the SQL they give."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from cdc.changes import TableName
from cdc.config import Settings
from cdc.errors import ConfigurationError
from cdc.flows.checks.fix_script import fix_script
from cdc.flows.checks.preflight import SystemFinding
from cdc.ports import Finding
from tests.integration.sinks.upsert_target import (
    ACCOUNT,
    ACKNOWLEDGEMENT,
    CUSTOMER,
    TABLES,
    Target,
    desired,
    program,
)
from tests.support.psql import run_psql


@pytest.fixture
def target(database: str) -> Iterator[Target]:
    """A target whose administrator has given the sink's user a login and nothing else."""
    admin = Target(database)
    user = f"u_{uuid.uuid4().hex[:12]}"
    admin.run(f"create role {user} login password 'sandbox'; {TABLES}")
    admin.settings = admin.settings.model_copy(update={"user": user})
    yield admin
    admin.rows("select pg_terminate_backend(pid) from pg_stat_activity where usename = '" + user + "'")
    admin.rows(
        "select pg_replication_origin_drop(roname) from pg_replication_origin "
        f"where roname = '{admin.settings.origin}'"
    )
    admin.run(f"drop owned by {user}; drop role {user}")


def test_every_fix_given_fixes_its_finding_and_then_the_sink_can_write(target: Target) -> None:
    """An administrator runs the statements as printed; nothing is found any more and writing works."""
    programs = [CUSTOMER, ACCOUNT, ACKNOWLEDGEMENT]
    sink = target.sink()
    found = sink.preflight(programs)
    subjects = {finding.subject for finding in found}
    assert {
        "schema ccbridge",
        f"replication origin {target.settings.origin}",
        "table public.customer",
        "table public.account",
        "table public.recharge",
    } <= subjects
    with psycopg.connect(target.conninfo, autocommit=True) as admin:
        for finding in found:
            admin.execute(finding.fix)
    assert sink.preflight(programs) == []
    sink.prepare()
    assert sink.preflight(programs) == []
    rows = [(CUSTOMER, desired(CUSTOMER, ["1", "A", None, None], gone=["0"]))]
    assert sink.write(rows, up_to=1, record=target.record).written == 1
    sink.close()


def test_script_of_all_findings_runs_in_psql_and_again(target: Target) -> None:
    """Names that must be quoted, things made once, advice and prose: the script runs whole, twice."""
    target.run('create table "Odd Ones" ("Id" text, v int); create role "O\'Hara"')
    rule = replace(program("x", ["Id"], ["v"]), table=TableName("public", "Odd Ones"))
    programs = [CUSTOMER, ACCOUNT, ACKNOWLEDGEMENT, rule]
    settings = Settings.model_construct(staging=target.settings, systems={"prepaid": target.settings})
    try:
        found = target.sink().preflight(programs)
        assert any("unique" in finding.expected for finding in found)
        others = [
            Finding("publication p", "does not exist", "it", "create publication p;"),
            Finding("publication p", "no", "yes", "alter publication p add table public.account;"),
            Finding("server", "old", "new", "upgrade the server\x1b[31m"),
            Finding("table t", "no key", "key", "alter table t add primary key (<key columns>);"),
            Finding("role", "much", "less", 'alter role "O\'Hara" nosuperuser;', advice=True),
        ]
        lines = list(
            fix_script(settings, "prepaid", [SystemFinding("prepaid", one) for one in [*found, *others]])
        )
        assert lines[0].startswith(f"-- run as a superuser in database {target.settings.database}: psql -h ")
        script = "\n".join(lines)
        assert "-- by hand: upgrade the server [31m" in script
        assert "-- advice: alter role" in script
        run_psql(target.conninfo, script)
        assert "done already" in run_psql(target.conninfo, script)
        assert target.sink().preflight(programs) == []
        constraints = "select count(*) from pg_constraint where conrelid = '\"Odd Ones\"'::regclass"
        assert target.rows(constraints + " and contype = 'u'") == [(1,)]
    finally:
        target.run('drop role "O\'Hara"')
    assert list(fix_script(settings, "staging", []))[-1] == "-- nothing to do"
    with pytest.raises(ConfigurationError, match="expected one of: prepaid, staging"):
        list(fix_script(settings, "prepayed", []))


def test_acknowledgement_needs_no_more_than_its_own_columns(target: Target) -> None:
    """A rule that only updates two columns asks for the right to update those two, not to insert."""
    fixes = [f.fix for f in target.sink().preflight([ACKNOWLEDGEMENT]) if "recharge" in f.fix]
    assert len(fixes) == 2
    assert any('update ("payment_id", "posted_at")' in fix for fix in fixes)
    assert not any("insert" in fix or "delete" in fix for fix in fixes)


def test_rules_that_do_not_fit_the_target_are_found(target: Target) -> None:
    """Missing table and column, no unique key, a column that nothing fills, a computed column."""
    target.run(
        "create table loose (id text, kind text not null, shout text generated always as (upper(id)) stored)"
    )
    loose = program("loose", ["id"], ["colour", "shout"], on_delete="ignore")
    found = target.sink().preflight([loose, program("nowhere", ["id"], [])])

    def of(subject: str) -> list[Finding]:
        return [finding for finding in found if finding.subject == subject]

    assert of("column public.loose.colour")[0].found == "missing"
    assert of("column public.loose.shout")[0].found == "generated by the server"
    assert "no rule fills it" in of("column public.loose.kind")[0].found
    assert of("table public.nowhere")[0].found == "missing"
    unique = next(f for f in of("table public.loose") if "unique" in f.found)
    assert unique.fix == 'alter table "public"."loose" add constraint "loose_ccbridge_key" unique ("id");'


def test_preflight_writes_nothing(target: Target) -> None:
    """A check is safe at any time."""
    sink = target.sink()
    sink.preflight([CUSTOMER])
    assert target.rows("select count(*) from pg_namespace where nspname = 'ccbridge'") == [(0,)]
