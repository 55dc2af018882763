"""The shipped rule set fits the tables of CC&B and of the prepaid application."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from mapping_rules import (
    captured_tables,
    check_source,
    check_target,
    columns_read,
    from_files,
    ignored_columns,
    lineage,
    load,
    run_golden,
    shipped_sets,
    unmapped_columns,
)
from sandbox.ccb import schema as ccb

SHIPPED = load("ccb_prepaid")
PREPAID_DDL = (Path(__file__).parents[3] / "standin/sandbox/prepaid/schema.sql").read_text(encoding="utf-8")
CCB_TYPES = {
    "CHAR": SourceType.TEXT,
    "VARCHAR2": SourceType.TEXT,
    "NUMBER": SourceType.NUMBER,
    "DATE": SourceType.TIMESTAMP,
}
PREPAID_TYPES = {
    "text": SourceType.TEXT,
    "bigint": SourceType.NUMBER,
    "numeric": SourceType.NUMBER,
    "boolean": SourceType.BOOLEAN,
    "date": SourceType.DATE,
    "timestamptz": SourceType.TIMESTAMP_TZ,
}


def ccb_tables() -> Mapping[TableName, SourceTable]:
    """CC&B's tables as a reader describes them: without large objects."""
    found = {}
    for one in ccb.tables().values():
        name = TableName("CISADM", one.name)
        columns = tuple(
            SourceColumn(c.name, CCB_TYPES[c.kind], c.type)
            for c in one.columns.values()
            if c.kind in CCB_TYPES
        )
        found[name] = SourceTable(name, columns, one.key)
    return found


def prepaid_tables() -> Mapping[TableName, SourceTable]:
    """The prepaid application's tables, from its own script."""
    found = {}
    for name, body in re.findall(r"create table public\.(\w+) \((.*?)\n\);", PREPAID_DDL, re.DOTALL):
        lines = [line.split() for line in body.strip().splitlines()]
        columns = tuple(
            SourceColumn(line[0], PREPAID_TYPES[re.split(r"[(,]", line[1])[0]], line[1]) for line in lines
        )
        key = tuple(line[0] for line in lines if "primary" in line)
        found[TableName("public", name)] = SourceTable(TableName("public", name), columns, key)
    return found


def test_every_column_of_every_captured_table_is_mapped_or_ignored() -> None:
    """Nothing of the source is overlooked by accident, and no name is misspelt."""
    assert check_source(SHIPPED, "ccb", ccb_tables()) == []
    assert check_source(SHIPPED, "prepaid", prepaid_tables()) == []
    assert check_target(SHIPPED, "prepaid", prepaid_tables()) == []


def test_a_new_column_of_the_source_is_reported() -> None:
    """An upgrade of CC&B does not add columns unnoticed, and does not keep anything from running."""
    tables = dict(ccb_tables())
    name = TableName("CISADM", "CI_ACCT")
    extra = SourceColumn("CM_NEW", SourceType.TEXT, "CHAR(4)")
    tables[name] = replace(tables[name], columns=(*tables[name].columns, extra))
    assert check_source(SHIPPED, "ccb", tables) == []
    (error,) = unmapped_columns(SHIPPED, "ccb", tables)
    assert error.startswith("inbound/ci_acct.yaml:3:8: column CM_NEW of CISADM.CI_ACCT")


def test_a_large_column_need_be_neither_mapped_nor_ignored() -> None:
    """A CLOB that no one wants is not an error, and no reader is asked to read it."""
    tables = dict(ccb_tables())
    name = TableName("CISADM", "CI_ACCT")
    extra = SourceColumn("ACCT_DATA_AREA", SourceType.TEXT, "CLOB", large=True)
    tables[name] = replace(tables[name], columns=(*tables[name].columns, extra))
    assert check_source(SHIPPED, "ccb", tables) == []
    read = columns_read(SHIPPED, "ccb")[name]
    assert extra.name not in read.names
    assert {"ACCT_ID"} <= read.deciding <= read.names


def test_a_gone_column_a_changed_key_and_a_missing_table_are_reported() -> None:
    """Each with its place in the rules."""
    tables = dict(ccb_tables())
    account, person = TableName("CISADM", "CI_ACCT"), TableName("CISADM", "CI_PER")
    tables[account] = replace(
        tables[account],
        columns=tuple(c for c in tables[account].columns if c.name != "CUST_CL_CD"),
        key=("ACCT_ID", "X"),
    )
    del tables[person]
    text = "\n".join(check_source(SHIPPED, "ccb", tables))
    assert "unknown column of CISADM.CI_ACCT 'CUST_CL_CD'" in text
    assert "key (ACCT_ID) of CISADM.CI_ACCT: expected the table's own, ACCT_ID, X" in text
    assert "unknown table of ccb 'CISADM.CI_PER'" in text


def test_a_column_finer_than_its_entity_column_is_reported() -> None:
    """Every amount with a third decimal would be rejected: better to know before."""
    tables = dict(ccb_tables())
    name = TableName("CISADM", "CI_PAY")
    finer = tuple(
        replace(c, scale=4, declared="NUMBER(15,4)") if c.name == "PAY_AMT" else c
        for c in tables[name].columns
    )
    tables[name] = replace(tables[name], columns=finer)
    (error,) = check_source(SHIPPED, "ccb", tables)
    assert "PAY_AMT is NUMBER(15,4), finer than decimal(15,2)" in error


def test_a_target_column_that_does_not_exist_is_reported() -> None:
    """With the name that was probably meant."""
    files = dict(SHIPPED.files)
    files["outbound/customer.yaml"] = files["outbound/customer.yaml"].replace("phone: phone.", "fone: phone.")
    (error,) = check_target(from_files("x", files), "prepaid", prepaid_tables())
    assert "unknown column of public.customer 'fone', did you mean 'phone'?" in error


def test_golden_rows_come_out_as_written() -> None:
    """What the rules mean, row by row, as an operator wrote it down."""
    assert [result for result in run_golden(SHIPPED) if not result.passed] == []


def test_every_inbound_rule_has_golden_rows() -> None:
    """A rule without an example can change its meaning unseen."""
    assert {result.rule for result in run_golden(SHIPPED)} == {rule.name for rule in SHIPPED.inbound}


def test_a_golden_row_that_comes_out_otherwise_is_reported_column_by_column() -> None:
    """Who changed a rule sees what it does."""
    files = dict(SHIPPED.files)
    files["lookups/agreement_may_vend.yaml"] = (
        "lookup: agreement_may_vend\nvalues: {'20': true}\ndefault: false\n"
    )
    (failed,) = [result for result in run_golden(from_files("x", files)) if not result.passed]
    assert failed.differences == ("row 1, may_vend: expected true, found false",)


def test_secrets_of_ccb_are_ignored() -> None:
    """Passwords, bank data and free text about people reach no entity and no repair row."""
    ignored = {name for names in ignored_columns(SHIPPED, "ccb").values() for name in names}
    assert {"WEB_PASSWD", "WEB_PASSWD_ANS", "WEB_PWD_HINT_FLG", "ALERT_INFO", "MICR_ID"} <= ignored


def test_readers_know_what_to_capture() -> None:
    """All the tables that customers, accounts and payments need, each once."""
    assert [str(name) for name in captured_tables(SHIPPED, "prepaid")] == [
        "public.account",
        "public.counter_payment",
        "public.customer",
        "public.recharge",
    ]
    assert len(captured_tables(SHIPPED, "ccb")) == 14


def test_every_target_column_has_a_source() -> None:
    """An auditor asks where a name comes from, and is answered."""
    (row,) = [row for row in lineage(SHIPPED) if row["target"] == "prepaid: public.customer.full_name"]
    assert row["source"] == "ccb: CISADM.CI_PER_NAME.ENTITY_NAME"
    assert (row["entity_column"], row["how"]) == ("person_name.full_name", "trim")


def test_every_entity_and_column_has_a_comment() -> None:
    """The data dictionary is made of them."""
    assert shipped_sets() == ("ccb_prepaid",)
    for entity in SHIPPED.entities.values():
        assert entity.comment
        assert all(column.comment for column in entity.columns.values()), entity.name
