"""Databases and tables that capture cannot work with, or not well: each is found, with what fixes it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from cdc.errors import DatabaseUnreachable
from cdc.ports import Finding
from cdc.readers.logminer import LogMinerReader
from cdc.readers.logminer.checks import support_checks, table_checks
from cdc.readers.logminer.tables.dictionary import CapturedTable
from tests.contract.logminer_source import OracleSource, oracle_server, system_session
from tests.contract.reader_suite import snapshot

LONG_NAME = "A_NAME_OF_MORE_THAN_THIRTY_CHARS"


def administer(source: OracleSource, *statements: str) -> None:
    with system_session(source.settings.dsn) as cursor:
        for statement in statements:
            cursor.execute(statement.rstrip(";"))


def look(source: OracleSource, *tables: str, **settings: object) -> list[Finding]:
    changed = source.settings.model_copy(update=settings)
    names = [TableName(source.owner, name) for name in tables or ("ACCOUNT",)]
    with closing(LogMinerReader("ccb", changed, names)) as reader:
        return reader.preflight()


@pytest.mark.parametrize(
    ("break_it", "subject", "advice"),
    [
        ("alter database noarchivelog", "database log mode", False),
        ("alter database no force logging", "force logging", True),
        ("alter database drop supplemental log data", "minimal supplemental logging", False),
        (
            'alter system set "_transaction_auditing" = false scope = spfile',
            "parameter _transaction_auditing",
            False,
        ),
        ("alter system set max_string_size = extended scope = spfile", "parameter max_string_size", True),
        ("grant select any table to CCBRIDGE", "rights of CCBRIDGE", False),
        ("grant dba to CCBRIDGE", "rights of CCBRIDGE", False),
    ],
)
def test_settings_of_the_database(source: OracleSource, break_it: str, subject: str, *, advice: bool) -> None:
    """Each is found for itself; what data may flow without is advice. The printed statements fix it."""
    assert look(source) == []
    administer(source, break_it)
    try:
        (finding,) = look(source)
        assert (finding.subject, finding.advice) == (subject, advice)
        if "rights" in subject:
            right = break_it.removeprefix("grant ").removesuffix(" to CCBRIDGE")
            assert look(source, allowed_rights=(right,)) == [replace(finding, advice=True)]
        if "max_string_size" in subject:
            assert look(source, unescaped_apostrophes=True) == []
            administer(source, "alter system set max_string_size = standard scope = spfile")
        for statement in finding.fix.partition(" --")[0].split(";"):
            if statement.strip() and not statement.strip().startswith(("shutdown", "startup", "set ")):
                administer(source, statement.strip())
        assert look(source) == []
    finally:
        administer(source, "alter database archivelog", "alter database force logging")


@pytest.mark.parametrize(
    ("give", "name", "found"),
    [
        (("grant select any table to TEAM", "grant TEAM to CCBRIDGE"), "TEAM", "role TEAM (SELECT ANY "),
        (("grant dba to TEAM", "grant TEAM to CCBRIDGE"), "DBA", "role DBA (ALTER ANY TABLE, "),
        (
            ("grant dba to OPS", "grant OPS to TEAM", "grant TEAM to CCBRIDGE with admin option"),
            "DBA",
            "role DBA (ALTER ANY TABLE, ",
        ),
        (("grant alter system to PUBLIC",), "ALTER SYSTEM", "system privilege ALTER SYSTEM, through PUBLIC"),
        (("grant dba to TEAM", "grant TEAM to PUBLIC"), "DBA", "role DBA (ALTER ANY TABLE, "),
        (
            ('create role "Day Shift"', 'grant dba to "Day Shift"', 'grant "Day Shift" to CCBRIDGE'),
            "DBA",
            "role DBA (ALTER ANY TABLE, ",
        ),
        (
            ("grant lock any table to TEAM", "grant dba to OPS", "grant OPS to TEAM", "grant TEAM to PUBLIC"),
            "TEAM",
            "role TEAM (ALTER ANY TABLE, ",
        ),
        (("alter user SYSTEM grant connect through CCBRIDGE",), "PROXY SYSTEM", "may connect as SYSTEM"),
    ],
)
def test_rights_over_everything_by_detours(
    source: OracleSource, give: tuple[str, ...], name: str, found: str
) -> None:
    """Through roles of roles, PUBLIC, another user; allowed by the name it says, undone by what it prints."""
    administer(source, "create role TEAM", "create role OPS", *give)
    try:
        (finding,) = look(source)
        assert finding.found.startswith(found)
        assert not finding.advice
        assert f'allowed_rights = ["{name}"]' in finding.expected
        assert look(source, allowed_rights=(name,)) == [replace(finding, advice=True)]
        administer(source, finding.fix)
        assert look(source) == []
    finally:
        administer(source, "drop role TEAM", "drop role OPS", "revoke alter system from PUBLIC")


def test_undo_that_the_snapshot_may_outlast_is_advice(source: OracleSource) -> None:
    """By the optimizer's counts; the printed statement is enough."""
    rows = [(number,) for number in range(10_001)]
    with system_session(source.settings.dsn) as cursor:
        cursor.executemany(f"insert into {source.owner}.ACCOUNT (id, name) values (:1, 'x')", rows)
    administer(source, "alter system set undo_retention = 1")
    try:
        (finding,) = look(source)
        assert (finding.subject, finding.advice) == ("parameter undo_retention", True)
        assert "10,001 rows" in finding.found
        administer(source, finding.fix)
        assert look(source) == []
    finally:
        administer(source, "alter system set undo_retention = 900")


def test_amazon_rds_is_reported_what_its_administrator_can_do(source: OracleSource) -> None:
    """Where RDSADMIN is, no one is SYS: its procedures are printed."""
    administer(
        source,
        "create user RDSADMIN identified by x",
        "alter database no force logging",
        f"revoke select on sys.v_$log from {source.settings.user}",
    )
    try:
        fixes = " ".join(finding.fix for finding in look(source))
    finally:
        administer(
            source,
            "drop user RDSADMIN",
            "alter database force logging",
            f"grant select on sys.v_$log to {source.settings.user}",
        )
    assert "rdsadmin.rdsadmin_util.grant_sys_object('V_$LOG', 'CCBRIDGE', 'SELECT')" in fixes
    assert "rdsadmin.rdsadmin_util.force_logging(p_enable => true)" in fixes


@pytest.mark.parametrize(
    ("ddl", "found"),
    [
        ("create global temporary table {} (id number primary key)", "temporary table"),
        (f"create table {{}} (id number primary key, {LONG_NAME} number)", "a name of 32 characters"),
        ("create table {} (id number)", "no primary key"),
    ],
)
def test_tables_that_logminer_cannot_give(source: OracleSource, ddl: str, found: str) -> None:
    """Known before data is missed, not when a row is UNSUPPORTED."""
    table, user = f"{source.owner}.ODD", source.settings.user
    administer(
        source,
        ddl.format(table),
        f"grant select, flashback on {table} to {user}",
        f"alter table {table} add supplemental log data (all) columns",
    )
    (finding,) = look(source, "ODD")
    assert found in finding.found
    assert not finding.advice


def test_an_identity_column_is_advice(source: OracleSource) -> None:
    """Releases differ in what they show of such a table."""
    administer(
        source,
        f"create table {source.owner}.COUNTED (id number generated always as identity primary key)",
        f"grant select, flashback on {source.owner}.COUNTED to {source.settings.user}",
        f"alter table {source.owner}.COUNTED add supplemental log data (all) columns",
    )
    (finding,) = look(source, "COUNTED")
    assert finding.found.startswith("identity column")
    assert finding.advice


@pytest.mark.parametrize(
    ("opened", "subject", "found"),
    [
        ("mode => 'READ ONLY WITH APPLY', role => 'PHYSICAL STANDBY'", "database role", "PHYSICAL STANDBY"),
        ("mode => 'READ WRITE', role => 'LOGICAL STANDBY'", "database role", "LOGICAL STANDBY"),
        ("mode => 'READ WRITE', role => 'SNAPSHOT STANDBY'", "database role", "SNAPSHOT STANDBY"),
        ("mode => 'READ ONLY'", "open mode", "READ ONLY"),
    ],
)
def test_only_a_primary_that_is_open_for_writing_is_mined(
    source: OracleSource, opened: str, subject: str, found: str
) -> None:
    """A standby, or a database opened read only, is reported before LogMiner refuses it (ORA-01300)."""
    administer(source, f"begin sandbox_faults.open_database({opened}); end;")
    try:
        (finding,) = look(source)
    finally:
        administer(source, "begin sandbox_faults.open_database; end;")
    assert finding.subject == subject
    assert finding.found.startswith(found)
    assert finding.fix
    assert not finding.advice


def test_a_database_in_restricted_mode_is_out_of_reach_for_now(source: OracleSource) -> None:
    """It is opened for maintenance: reading waits, and says for what."""
    administer(source, "begin sandbox_faults.open_database(restricted => 1); end;")
    try:
        with pytest.raises(DatabaseUnreachable, match="RESTRICTED SESSION") as refused:
            look(source)
    finally:
        administer(source, "begin sandbox_faults.open_database; end;")
    assert "disable restricted session" in refused.value.hint


def test_logminer_is_tried_before_it_is_relied_on(source: OracleSource) -> None:
    """What only START_LOGMNR or the view refuses is found too; the session is left without a run."""
    for statement in ("start_logmnr", "where rownum = 1"):
        administer(source, f"begin sandbox_faults.add_error(code => 1031, statement => '{statement}'); end;")
        (finding,) = look(source)
        assert finding.subject == "DBMS_LOGMNR"
        assert f"grant logmining to {source.settings.user};" in finding.fix
    administer(source, "begin sandbox_faults.add_error(code => 1356, statement => 'start_logmnr'); end;")
    (finding,) = look(source)
    assert finding.found == "does not start (ORA-01356)"


def test_an_unknown_character_set_is_advice(source: OracleSource) -> None:
    """Only rows from before a DDL are decoded here, so it keeps nothing from flowing."""
    administer(source, "begin sandbox_faults.set_character_set(name => 'WE8DEC'); end;")
    try:
        (finding,) = look(source)
        with closing(source.reader()) as reader:
            assert snapshot(reader)[-1].resume
    finally:
        administer(source, "begin sandbox_faults.set_character_set; end;")
    assert (finding.subject, finding.advice) == ("database character set", True)


def test_columns_that_take_their_table_with_them() -> None:
    """A BFILE column, or a long name, and LogMiner shows nothing of the table."""
    name = TableName("CISADM", LONG_NAME)
    column = SourceColumn("ID", SourceType.NUMBER, "NUMBER")
    table = SourceTable(name, (column,), ("ID",))
    excluded = {"PICTURE": "BFILE", "NOTE": "large, read by no rule", "OLD": "LONG"}
    captured = CapturedTable(table, table, excluded | {"TOTAL": "virtual"})
    found = [*table_checks.name_findings(captured), *support_checks.type_findings(captured, 19)]
    assert [finding.found for finding in found] == [
        "a name of 32 characters: LogMiner does not support the table",
        "BFILE column PICTURE: LogMiner does not support the table",
    ]


@pytest.mark.parametrize("kind", ["BFILE", "BOOLEAN", "JSON", "ROWID", "UROWID", "VECTOR"])
@pytest.mark.parametrize("release", [12, 19, 21, 23])
def test_types_that_make_their_rows_unsupported(kind: str, release: int) -> None:
    """Not even the other columns of such a row are shown, so the table cannot be captured."""
    (finding,) = support_checks.type_findings(excluding("DOC", kind), release)
    assert finding.found == f"{kind} column DOC: LogMiner does not support the table"
    assert not finding.advice


def test_xml_is_not_captured_and_may_hide_its_rows() -> None:
    """How LogMiner shows them depends on how the XML is stored."""
    (finding,) = support_checks.type_findings(excluding("DOC", "XMLTYPE"), 19)
    assert finding.advice


@pytest.mark.parametrize(("release", "advice"), [(12, False), (18, True), (19, True), (23, True)])
def test_object_types_depend_on_the_release(release: int, *, advice: bool) -> None:
    """Simple ones are shown from 18 on; collections in them are not, so it stays advice."""
    (finding,) = support_checks.type_findings(excluding("SHAPE", "SDO_GEOMETRY"), release)
    assert "type SDO_GEOMETRY" in finding.found
    assert finding.advice is advice


def excluding(column: str, why: str) -> CapturedTable:
    table = SourceTable(TableName("CISADM", "T"), (SourceColumn("ID", SourceType.NUMBER, "NUMBER"),), ("ID",))
    return CapturedTable(table, table, {column: why})


def test_a_destination_that_has_no_logs_is_a_finding(source: OracleSource) -> None:
    """A wrong DEST_ID would look like missing redo at the first log switch."""
    administer(source, "alter system switch logfile")
    (finding,) = look(source, archive_destinations=(7,))
    assert finding.found == "7; its logs are at 1 only"
    assert look(source, archive_destinations=(7, 1)) == []


def test_logs_that_a_stopped_reader_needs_and_are_gone_are_found(tmp_path: Path) -> None:
    """Check says before the start what must be restored, by thread and sequence."""
    with oracle_server(tmp_path) as dsn:
        source = OracleSource(dsn)
        with closing(LogMinerReader("ccb", source.settings, [TableName(source.owner, "ACCOUNT")])) as reader:
            resume = snapshot(reader)[-1].resume
            assert reader.missing_log(resume) == []
            for _ in range(5):
                administer(source, "alter system switch logfile")
            assert reader.missing_log(resume) == []
            administer(source, "begin sandbox_faults.purge_logs(how => 'DELETED', up_to => 2); end;")
            (finding,) = reader.missing_log(resume)
    assert finding.subject == "archived logs of thread 1"
    assert finding.fix == "RMAN: restore archivelog from sequence 1 until sequence 2 thread 1;"
