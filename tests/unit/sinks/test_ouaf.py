"""CC&B's conventions on the way back."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from cdc.errors import OperatorError
from sinks.ccb_payment_upload.ccb import tables
from sinks.ccb_payment_upload.ccb.ouaf import Column, in_lists, left_to_fill

CHAR = Column("TENDER_TYPE_CD", "CHAR", 4, False)
TEXT = Column("MICR_ID", "VARCHAR2", 30, False)
NUMBER = Column("LAST_UPDATE_INST", "NUMBER", 0, False)
OPTIONAL = Column("ENCR_MICR_ID", "VARCHAR2", 64, True)


@pytest.mark.parametrize(
    ("column", "value", "stored"),
    [
        (CHAR, None, " "),
        (TEXT, None, " "),
        (TEXT, "", " "),
        (TEXT, "a", "a"),
        (NUMBER, None, 0),
        (OPTIONAL, None, None),
        (OPTIONAL, "", None),
        (NUMBER, Decimal("0.10"), Decimal("0.10")),
    ],
)
def test_missing_values_are_blank_or_zero_where_ccb_takes_no_null(
    column: Column, value: str | Decimal | None, stored: object
) -> None:
    """Oracle takes '' for NULL, and CC&B's columns refuse NULL."""
    assert column.stored(value) == stored


def test_date_is_stored_as_midnight() -> None:
    """An Oracle DATE has a time of day; an accounting date has none."""
    assert Column("ACCOUNTING_DT", "DATE", 0, True).stored(date(2026, 2, 3)) == datetime(2026, 2, 3)  # noqa: DTZ001


def test_text_compared_with_char_is_padded_and_with_varchar_is_not() -> None:
    """A bind is VARCHAR2: unpadded it would miss every CHAR value shorter than its column."""
    assert (CHAR.compared("ON"), TEXT.compared("ON")) == ("ON  ", "ON")
    assert (CHAR.comparable("a(i)"), TEXT.comparable("a(i)")) == ("rpad(a(i), 4)", "a(i)")


def test_in_lists_hold_every_value_and_never_more_than_oracle_takes() -> None:
    """Filled up by repeating a value, so that few different statements are parsed."""
    values = [str(number) for number in range(1, 2_013)]
    lists = in_lists(values)
    assert [len(part) for part in lists] == [1000, 1000, 100]
    assert {value for part in lists for value in part} == set(values)
    assert in_lists([]) == []


def test_an_insert_fills_every_column_that_must_have_a_value() -> None:
    """A column that a newer release added as NOT NULL gets its blank without a change here."""
    table = {column.name: column for column in (CHAR, TEXT, NUMBER, OPTIONAL)}
    left = left_to_fill(table, ["TENDER_TYPE_CD"])
    assert [(column.name, column.blank) for column in left] == [("MICR_ID", " "), ("LAST_UPDATE_INST", 0)]


@pytest.mark.parametrize(
    "kind", ["DATE", "TIMESTAMP(6)", "RAW", "CLOB", "BINARY_DOUBLE", "INTERVAL DAY(2) TO SECOND(6)"]
)
def test_a_column_without_a_blank_is_refused_by_name(kind: str) -> None:
    """CC&B has a blank for a missing text and 0 for a number; what else must not be NULL needs a default."""
    table = {"TENDER_TYPE_CD": CHAR, "ODD": Column("ODD", kind, 0, nullable=False)}
    with pytest.raises(OperatorError, match=r"NOT NULL column ODD \("):
        left_to_fill(table, ["TENDER_TYPE_CD"])
    assert left_to_fill(table, ["TENDER_TYPE_CD", "ODD"]) == []
    table["ODD"] = Column("ODD", kind, 0, nullable=False, defaulted=True)
    assert left_to_fill(table, ["TENDER_TYPE_CD"]) == []
    control = {"ODD": Column("ODD", kind, 0, nullable=False)}
    assert tables.unfillable({tables.CONTROL: control}) == [f"CI_TNDR_CTL_ST.ODD ({kind})"]


@pytest.mark.parametrize("name", tables.CONTROL_STATUS)
def test_the_status_of_a_tender_control_has_either_name(name: str) -> None:
    """Databases and Oracle's help spell it differently; what the dictionary has is used."""
    columns = [*tables.NEEDED[tables.CONTROL], name]
    table = {one: Column(one, "CHAR", 2, nullable=False) for one in columns}
    for other in tables.CONTROL_STATUS:
        if other != name:
            table.pop(other, None)
    assert tables.control_status(table) == name
    assert not [missing for missing in tables.missing({tables.CONTROL: table}) if "STG_ST" in missing]
