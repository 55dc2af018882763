"""The script of `check --sql` for Oracle: statement by statement, as SQL*Plus takes them."""

from __future__ import annotations

from cdc.config import OracleSystem, PostgresConnection, Settings
from cdc.flows.checks.fix_script import fix_script
from cdc.flows.checks.preflight import SystemFinding
from cdc.ports import Finding

WHAT = "-- s: found f, expected e"


def script(*fixes: str, advice: bool = False) -> list[str]:
    """Lines after the head, without what was found."""
    ccb = OracleSystem(kind="oracle", dsn="tcps://h:2484/CCB", user="CCBRIDGE")
    staging = PostgresConnection(host="h", database="d", user="u")
    settings = Settings.model_construct(staging=staging, systems={"ccb": ccb})
    found = [SystemFinding("ccb", Finding("s", "f", "e", fix, advice=advice)) for fix in fixes]
    other = SystemFinding("prepaid", Finding("x", "y", "z", "grant a to b;"))
    lines = list(fix_script(settings, "ccb", [*found, other]))
    assert lines[0] == "-- run as SYS, in SQL*Plus on the server of system ccb: sqlplus / as sysdba @FILE"
    assert WHAT in lines
    return [line for line in lines[3:] if line not in ("", WHAT)]


def test_each_statement_has_its_line_and_a_block_its_slash() -> None:
    """SQL*Plus takes the first statement of a line alone, and runs a block at the slash."""
    block = "begin rdsadmin.rdsadmin_util.force_logging(p_enable => true); end;"
    first, second = "alter database disable thread 2;", "alter database enable public thread 2;"
    enter, grant = 'alter session set container = "P";', "grant select on a to b;"
    assert script(f"{enter}\n{grant}", f"{first} {second} -- while it is down", block) == [
        enter,
        grant,
        first,
        second,
        "-- while it is down",
        block,
        "/",
    ]


def test_what_stops_the_database_or_is_not_a_sql_is_left_to_an_operator() -> None:
    """A script that is run unread must not shut anything down."""
    stops = "shutdown immediate; startup mount; alter database archivelog; alter database open;"
    by_hand = (stops, "RMAN: restore archivelog from sequence 7 thread 1;", "set pdb")
    assert script(*by_hand) == [f"-- by hand: {text}" for text in by_hand]
    assert script("revoke DBA from CCBRIDGE;", advice=True) == ["-- advice: revoke DBA from CCBRIDGE;"]


def test_only_what_is_done_already_is_passed_over() -> None:
    """A publication that is missing is an error of psql, one that has lost the table already is not."""
    staging = PostgresConnection(host="h", database="d", user="u")
    settings = Settings.model_construct(staging=staging, systems={})
    fix = 'alter publication "p" drop table "t"; alter publication "p" add table "t";'
    found = [SystemFinding("staging", Finding("s", "f", "e", fix))]
    drop, add = "\n".join(fix_script(settings, "staging", found)).split("do $ccbridge$")[1:]
    assert "undefined_object" in drop
    assert "undefined_object" not in add
    assert "duplicate_object" in add
