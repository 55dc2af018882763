"""Rules made of a table."""

from __future__ import annotations

import pytest

import mapping_rules
from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from mapping_rules import Kind
from mapping_rules.starting import copied, rule_for, snake

NUMBER, TEXT = SourceType.NUMBER, SourceType.TEXT


def column(name: str, declared: str, type_: SourceType = TEXT, **more: bool) -> SourceColumn:
    """A column of that declaration."""
    return SourceColumn(name, type_, declared, **more)


TABLE = SourceTable(
    TableName("CISADM", "CM_METER"),
    (
        column("METER_ID", "CHAR(10)"),
        column("MULTIPLIER", "NUMBER(9,4)", NUMBER),
        column("DIGITS", "NUMBER(3,0)", NUMBER),
        column("ROUNDED", "NUMBER(5,-2)", NUMBER),
        column("HUGE", "NUMBER(38,0)", NUMBER),
        column("TINY", "NUMBER(2,5)", NUMBER),
        column("ANY", "NUMBER", NUMBER),
        column("READ_ON", "DATE", SourceType.TIMESTAMP),
        column("TOMBSTONE", "CHAR(1)"),
        column("Read On", "VARCHAR2(10)"),
        column("NO", "CHAR(1)"),
        column("NOTES", "CLOB", large=True),
    ),
    ("METER_ID",),
)


def test_a_rule_made_of_a_table_can_be_loaded_as_it_is() -> None:
    """Every column is mapped under a name that staging can have, in a type that holds each of its values."""
    files = copied("ccb_prepaid")
    yaml = {path: text for path, text in files.items() if path.endswith(".yaml")}
    made = rule_for("ccb", TABLE, entity="cm_meter", schema="CISADM", taken=yaml)
    rule_set = mapping_rules.from_files("mine", yaml | made)
    entity = rule_set.entities["cm_meter"]
    assert entity.key == ("meter_id",)
    kinds = {name: one.type.kind for name, one in entity.columns.items()}
    assert kinds == {
        "meter_id": Kind.TEXT,
        "multiplier": Kind.DECIMAL,
        "digits": Kind.INTEGER,
        "rounded": Kind.INTEGER,
        "huge": Kind.DECIMAL,
        "tiny": Kind.DECIMAL,
        "any": Kind.TEXT,
        "read_on": Kind.TIMESTAMP,
        "tombstone_value": Kind.TEXT,
        "read_on_2": Kind.TEXT,
        "no": Kind.TEXT,
    }
    assert (entity.columns["tiny"].type.precision, entity.columns["tiny"].type.scale) == (5, 5)
    errors = mapping_rules.check_source(rule_set, "ccb", {TABLE.name: TABLE}, only=TABLE.name)
    assert errors == []


@pytest.mark.parametrize(
    ("entity", "key", "reason"),
    [
        ("receipt", TABLE.key, "cannot be the name"),
        ("Meter", TABLE.key, "snake_case"),
        ("meter", (), "primary key"),
        ("person", TABLE.key, "entities/person.yaml"),
    ],
)
def test_what_cannot_be_written_is_refused(entity: str, key: tuple[str, ...], reason: str) -> None:
    """Nothing is overwritten."""
    with pytest.raises(ValueError, match=reason):
        rule_for(
            "ccb",
            SourceTable(TABLE.name, TABLE.columns, key),
            entity=entity,
            schema=None,
            taken=copied("ccb_prepaid"),
        )


def test_names_become_snake_case() -> None:
    """Whatever a vendor or an ORM calls things."""
    names = [snake(name) for name in ("CI_PER_NAME", "createdAt", "2nd Phase", "Größe $", "é", "A" * 70)]
    assert names == ["ci_per_name", "created_at", "c_2nd_phase", "gr_e", "c", "a" * 50]
