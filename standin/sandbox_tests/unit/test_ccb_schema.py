"""The CC&B tables as DDL and INSERT statements."""

from __future__ import annotations

import pytest

from sandbox.ccb import people
from sandbox.ccb.database import BRIDGE_USER, bridge_grants, schema_statements
from sandbox.ccb.schema import CAPTURED, UPLOAD_CHECKS, UPLOAD_STAGING, tables


def test_insert_fills_what_is_not_given_as_ouaf_does() -> None:
    """Missing text is one blank, a missing number 0, VERSION 1, an optional date stays NULL."""
    statement = tables()["CI_SA_SP"].insert_statement(("SA_SP_ID", "SP_ID"), USAGE_FLG="+")
    columns, values = statement.removeprefix("insert into CISADM.CI_SA_SP (").split(") values (")
    row = dict(zip(columns.split(", "), values.rstrip(")").split(", "), strict=True))
    assert row == {
        "SP_ID": ":2",
        "SA_SP_ID": ":1",
        "SA_ID": "' '",
        "START_MR_ID": "' '",
        "USAGE_FLG": "'+'",
        "STOP_MR_ID": "' '",
        "VERSION": "1",
        "USE_PCT": "0",
    }


def test_insert_refuses_a_column_the_table_does_not_have() -> None:
    """A typing mistake in the sandbox fails where it is made, not at the database."""
    with pytest.raises(ValueError, match="CI_PER: no column PERSON_ID"):
        tables()["CI_PER"].insert_statement(("PERSON_ID",))


def test_every_table_has_key_and_full_supplemental_logging() -> None:
    """Change capture needs both on every table."""
    for table in tables().values():
        create, *_, logging = table.ddl()
        assert f"primary key ({', '.join(table.key)})" in create
        assert logging == f"alter table CISADM.{table.name} add supplemental log data (all) columns"
        assert set(table.key) <= table.columns.keys()


def test_money_has_two_decimals_and_ids_keep_their_width() -> None:
    """The types are the vendor's: a wrong width here would hide padding faults."""
    payment = tables()["CI_PAY"].columns
    assert payment["PAY_AMT"].type == "NUMBER(15,2) not null"
    assert payment["PAY_ID"].type == "CHAR(12 char) not null"
    assert tables()["CI_PAY_TNDR_ST"].columns["EXT_REFERENCE_ID"].size == 36


def test_bridge_may_insert_into_the_upload_staging_only() -> None:
    """The bridge has no right to change a table of CC&B other than the three documented ones."""
    for statement in bridge_grants():
        assert not any(right in statement for right in ("update", "delete", "any "))
        if "insert" in statement:
            assert statement.split(" on CISADM.")[1].split()[0] in UPLOAD_STAGING
        assert statement.endswith(f" to {BRIDGE_USER}")


def test_every_named_table_exists() -> None:
    """Lists of tables elsewhere name tables of the schema, and generated columns are theirs."""
    assert {*CAPTURED, *UPLOAD_CHECKS, *UPLOAD_STAGING, *people.COLUMNS} <= tables().keys()
    for table, columns in people.COLUMNS.items():
        assert tables()[table].insert_statement(columns, **people.FIXED.get(table, {}))


def test_users_are_made_before_their_tables() -> None:
    """The statements run in the order they come."""
    statements = schema_statements({"CISADM": "a", "CISUSER": "b", "CCBRIDGE": "c"})
    assert statements[0] == 'create user CISADM identified by "a"'
    first_table = next(n for n, s in enumerate(statements) if s.startswith("create table"))
    assert max(n for n, s in enumerate(statements) if s.startswith("create user")) < first_table
