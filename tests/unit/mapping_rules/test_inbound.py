"""Inbound programs: what comes of a change, and which rows are rejected."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from cdc.changes import NOT_TEXT, SourceType, unreadable
from cdc.errors import TableChanged
from mapping_rules import InboundProgram, Mapped
from mapping_rules.language.expressions import evaluate
from tests.unit.mapping_rules.sets import PRESENT, changes, program, rule_set, table

ENTITY = """\
entity: thing
key: [thing_id]
columns:
  thing_id: {type: text}
  amount: {type: decimal, precision: 7, scale: 2}
  count: {type: integer}
  open: {type: boolean}
  day: {type: date}
  at: {type: timestamp}
  note: {type: text}
  kind: {type: text, lookup: kind}
"""
RULE = """\
system: ccb
table: T
key: [ID]
entity: thing
where: {STATUS: ["10", "20"]}
columns:
  thing_id: ID
  amount: AMOUNT
  count: {from: COUNT, zero: null}
  open: OPEN_SW
  day: DAY
  at: AT
  note: {from: NOTE, if_null: none}
  kind: KIND
ignore: [SECRET]
"""
LOOKUP = "lookup: kind\nvalues: {A: first, B: second}\n"
TABLE = table(
    {
        "ID": SourceType.TEXT,
        "STATUS": SourceType.TEXT,
        "AMOUNT": SourceType.NUMBER,
        "COUNT": SourceType.NUMBER,
        "OPEN_SW": SourceType.TEXT,
        "DAY": SourceType.TIMESTAMP,
        "AT": SourceType.TIMESTAMP,
        "NOTE": SourceType.TEXT,
        "KIND": SourceType.TEXT,
        "SECRET": SourceType.TEXT,
    },
    ["ID"],
)
LOADED = rule_set(entities__thing=ENTITY, inbound__t=RULE, lookups__kind=LOOKUP)
GOOD: dict[str, str | None] = {
    "ID": "K1  ",
    "STATUS": "10",
    "AMOUNT": "12345.60",
    "COUNT": "7",
    "OPEN_SW": "Y",
    "DAY": "2024-02-29 00:00:00",
    "AT": "2024-07-01 12:00:00",
    "NOTE": "x  ",
    "KIND": "A   ",
    "SECRET": "hidden",
}
REST = [name for name in GOOD if name != "ID"]


def mapped(
    *rows: dict[str, Any], shapes: tuple[frozenset[str], ...] = (PRESENT,), zone: str = "UTC"
) -> Mapped:
    return thing(zone).apply(changes(TABLE, rows, shapes))


def thing(zone: str = "UTC") -> InboundProgram:
    return program(LOADED, time_zone=zone)


def create(**changed: str | None) -> dict[str, Any]:
    return {"operation": "c", "after": {**GOOD, **changed}}


def test_values_are_typed_and_freed_of_the_vendors_conventions() -> None:
    """Padding, switches and local times of CC&B become what an auditor expects, to the cent."""
    row = mapped(create(), zone="Europe/Paris").rows.row(0, named=True)
    assert row["thing_id"] == "K1"
    assert row["amount"] == Decimal("12345.60")
    assert row["open"] is True
    assert row["day"] == date(2024, 2, 29)
    assert row["at"] == datetime(2024, 7, 1, 10, tzinfo=UTC)
    assert (row["note"], row["kind"]) == ("x", "first")
    assert (row["source_position"], row["source_ordinal"], row["operation"]) == (1, 1, "c")
    assert row["absent"] is None


def test_one_blank_is_not_a_value_and_zero_only_where_declared() -> None:
    """CC&B writes a blank for missing text always, but 0 for a missing number only in some columns."""
    row = mapped(create(NOTE=" ", COUNT="0", AMOUNT="0")).rows.row(0, named=True)
    assert (row["note"], row["count"], row["amount"]) == ("none", None, Decimal(0))


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("AMOUNT", "1.005", "number_too_fine"),
        ("AMOUNT", "123456.00", "number_out_of_range"),
        ("AMOUNT", "1E3", "not_a_number"),
        ("AMOUNT", "NaN", "not_a_number"),
        ("AMOUNT", ".", "not_a_number"),
        ("COUNT", "1.5", "number_too_fine"),
        ("COUNT", "9223372036854775808", "number_out_of_range"),
        ("OPEN_SW", "t", "unknown_switch"),
        ("DAY", "2024-02-30 00:00:00", "bad_date"),
        ("AT", "2024-02-30 00:00:00", "bad_timestamp"),
        ("AT", "2024-02-29 00:00:00.0000001", "bad_timestamp"),
        ("KIND", "Z", "unknown_lookup"),
        ("NOTE", "a\0b", "nul_character"),
        ("ID", "    ", "null_key"),
    ],
)
def test_a_value_that_does_not_fit_rejects_its_row_alone(column: str, value: str, code: str) -> None:
    """The rest of the batch flows; the reason names column and expectation, never the value."""
    out = mapped(create(ID="K0"), create(**{column: value}), create(ID="K2"))
    assert out.rows["thing_id"].to_list() == ["K0", "K2"]
    (rejected,) = out.rejected.to_dicts()
    assert rejected["reason_code"] == code
    assert f"from {column}" in rejected["reason"]
    assert repr(value) not in rejected["reason"]
    assert (rejected["source_position"], rejected["operation"]) == (2, "c")
    assert json.loads(rejected["source_key"]) == {"ID": value if column == "ID" else "K1  "}
    assert rejected["entity_key"] == (None if column == "ID" else '{"thing_id":"K1"}')


UNREAD = unreadable(NOT_TEXT, r"caf\xe9")


def unread(*rows: dict[str, Any], columns: str) -> Mapped:
    """The rows mapped where these columns, by blanks, have cells that could not be read."""
    return thing().apply(replace(changes(TABLE, rows), unreadable=frozenset(columns.split())))


@pytest.mark.parametrize("column", [name for name in GOOD if name != "SECRET"])
def test_a_value_that_could_not_be_read_rejects_its_row_alone(column: str) -> None:
    """Whatever the type, also where it decides about the row; the reason names the column, not the value."""
    out = unread(create(ID="K0"), create(**{column: UNREAD}), create(ID="K2"), columns=column)
    assert out.rows["thing_id"].to_list() == ["K0", "K2"]
    (rejected,) = out.rejected.to_dicts()
    assert (rejected["reason_code"], rejected["reason"]) == (
        "unreadable_value",
        f"CISADM.T: column {column}: {NOT_TEXT}",
    )
    assert json.loads(rejected["raw"])[column] == UNREAD
    assert json.loads(rejected["source_key"]) == {"ID": UNREAD if column == "ID" else "K1  "}


def test_all_values_of_a_row_that_could_not_be_read_are_named() -> None:
    """Who corrects the row sees everything at once."""
    (rejected,) = unread(create(NOTE=UNREAD, KIND=UNREAD), columns="NOTE KIND").rejected.to_dicts()
    assert "column KIND" in rejected["reason"]
    assert "column NOTE" in rejected["reason"]


def test_a_value_that_could_not_be_read_does_not_matter_where_no_one_reads_it() -> None:
    """An ignored column, a row that is not of the entity, a row that goes."""
    gone = {"operation": "d", "before": GOOD}
    out = unread(create(SECRET=UNREAD), create(NOTE=UNREAD, STATUS="99"), gone, columns="SECRET NOTE")
    assert out.rejected.is_empty()
    assert out.rows["tombstone"].to_list() == [False, True]


def test_a_key_that_can_be_read_again_has_no_row_under_the_former_one() -> None:
    """No row was ever staged under a key that could not be read: nothing to take away, nothing to refuse."""
    fixed = {"operation": "u", "before": {**GOOD, "ID": UNREAD}, "after": GOOD}
    gone = {"operation": "d", "before": {**GOOD, "ID": UNREAD}}
    out = unread(fixed, gone, columns="ID")
    assert out.rejected.is_empty()
    assert (out.rows["thing_id"].to_list(), out.rows["tombstone"].to_list()) == (["K1"], [False])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.500", "1.50"),
        ("-0.01", "-0.01"),
        (".5", "0.50"),
        ("00012345.6", "12345.60"),
        ("99999.99", "99999.99"),
    ],
)
def test_numbers_that_fit_are_exact(value: str, expected: str) -> None:
    """Trailing zeros are not lost digits; nothing else is adapted."""
    assert mapped(create(AMOUNT=value)).rows["amount"].to_list() == [Decimal(expected)]


def test_a_row_with_several_errors_is_rejected_once_with_all_of_them() -> None:
    """Who repairs it sees everything at once."""
    (rejected,) = mapped(create(AMOUNT="x", KIND="Z")).rejected.to_dicts()
    assert rejected["reason_code"] == "not_a_number"
    assert "column amount" in rejected["reason"]
    assert "column kind" in rejected["reason"]


def test_a_rejected_row_keeps_its_image_without_ignored_columns() -> None:
    """Replay needs the row; secrets that the rules ignore have no business in staging."""
    shapes = (PRESENT, frozenset({"NOTE"}))
    (rejected,) = mapped({**create(AMOUNT="x"), "after_shape": 1}, shapes=shapes).rejected.to_dicts()
    raw = json.loads(rejected["raw"])
    assert raw["AMOUNT"] == "x"
    assert "NOTE" not in raw
    assert "SECRET" not in raw


def test_the_hour_shown_twice_is_the_earlier_and_the_skipped_hour_never_was() -> None:
    """Clocks change; a local time is an instant, or is said to be none."""
    out = mapped(create(AT="2024-10-27 02:30:00"), create(AT="2024-03-31 02:30:00"), zone="Europe/Paris")
    assert out.rows["at"].to_list() == [datetime(2024, 10, 27, 0, 30, tzinfo=UTC)]
    assert out.rejected["reason_code"].to_list() == ["nonexistent_local_time"]


def test_a_deleted_row_leaves_a_tombstone_with_its_key_only() -> None:
    """Targets learn of the deletion; nothing else of the row is claimed to be known."""
    (row,) = mapped({"operation": "d", "before": GOOD}).rows.to_dicts()
    assert (row["thing_id"], row["tombstone"], row["amount"]) == ("K1", True, None)


def test_a_moved_key_leaves_a_tombstone_before_the_new_row() -> None:
    """Both keys are staged at the same place of the stream, the old one as gone."""
    out = mapped({"operation": "u", "before": GOOD, "after": {**GOOD, "ID": "K9"}})
    assert out.rows.select("thing_id", "tombstone", "source_ordinal").rows() == [
        ("K1", True, 1),
        ("K9", False, 1),
    ]


def test_the_old_key_is_gone_even_if_the_new_row_cannot_be_mapped() -> None:
    """That much is certain, whatever is wrong with the new row."""
    out = mapped({"operation": "u", "before": GOOD, "after": {**GOOD, "ID": "K9", "AMOUNT": "x"}})
    assert out.rows.select("thing_id", "tombstone").rows() == [("K1", True)]
    assert out.rejected["entity_key"].to_list() == ['{"thing_id":"K9"}']


@pytest.mark.parametrize(
    ("before", "after", "tombstones"),
    [("10", "90", [True]), ("90", "91", []), ("90", "10", [False]), ("10", "20", [False])],
)
def test_a_row_belongs_while_where_holds(before: str, after: str, tombstones: list[bool]) -> None:
    """One that stops matching leaves the entity, one that never matched is nothing."""
    given = {"operation": "u", "before": {**GOOD, "STATUS": before}, "after": {**GOOD, "STATUS": after}}
    assert mapped(given).rows["tombstone"].to_list() == tombstones


def test_rows_that_do_not_match_are_not_errors_whatever_they_hold() -> None:
    """Rows outside `where` are not looked at further."""
    out = mapped(create(STATUS="90", AMOUNT="x"), {"operation": "d", "before": {**GOOD, "STATUS": "90"}})
    assert out.rows.is_empty()
    assert out.rejected.is_empty()


def test_an_absent_column_is_named_and_not_taken_for_null() -> None:
    """The staged value stays: absent means that the log does not know, NULL that there is none."""
    shapes = (PRESENT, frozenset({"NOTE", "AMOUNT"}))
    given = {
        "operation": "u",
        "before": {"ID": "K1"},
        "after": {**GOOD, "NOTE": None, "AMOUNT": None},
        "before_shape": 1,
        "after_shape": 1,
    }
    (row,) = mapped(given, shapes=shapes).rows.to_dicts()
    assert sorted(row["absent"]) == ["amount", "note"]
    assert (row["note"], row["amount"]) == (None, None)


def test_what_an_update_does_not_log_is_taken_from_before() -> None:
    """An update leaves the columns that it does not name as they were."""
    shapes = (PRESENT, frozenset({"NOTE", "STATUS"}))
    given = {
        "operation": "u",
        "before": GOOD,
        "after": {**GOOD, "NOTE": None, "STATUS": None},
        "after_shape": 1,
    }
    (row,) = mapped(given, shapes=shapes).rows.to_dicts()
    assert (row["note"], row["absent"]) == ("x", None)


def test_where_on_a_column_that_no_one_logged_sets_the_row_aside() -> None:
    """Neither keeping nor removing the row could be justified."""
    shapes = (PRESENT, frozenset({"STATUS"}), frozenset(REST))
    given = {
        "operation": "u",
        "before": {"ID": "K1"},
        "after": {**GOOD, "STATUS": None},
        "before_shape": 2,
        "after_shape": 1,
    }
    out = mapped(given, shapes=shapes)
    assert out.rows.is_empty()
    assert out.rejected["reason_code"].to_list() == ["where_unknown"]


def test_a_before_image_without_the_key_means_that_the_key_stayed() -> None:
    """PostgreSQL logs no before image unless the key changes."""
    shapes = (PRESENT, frozenset(GOOD))
    out = mapped({"operation": "u", "after": GOOD, "before_shape": 1}, shapes=shapes)
    assert out.rows.select("thing_id", "tombstone").rows() == [("K1", False)]


def test_a_delete_of_an_unknown_row_still_leaves_a_tombstone() -> None:
    """With only the key logged it may have matched; a tombstone too many does no harm."""
    shapes = (PRESENT, frozenset(REST))
    out = mapped({"operation": "d", "before": {"ID": "K1"}, "before_shape": 1}, shapes=shapes)
    assert out.rows.select("thing_id", "tombstone").rows() == [("K1", True)]


def test_emptying_a_table_is_not_mapped_in_silence() -> None:
    """TRUNCATE says nothing of rows; the flow stops on it."""
    out = mapped({"operation": "t"})
    assert out.rejected["reason_code"].to_list() == ["truncate"]


def test_a_column_that_is_gone_stops_the_flow() -> None:
    """Mapping on without it would empty the column in every target."""
    fewer = table({c.name: c.type for c in TABLE.columns if c.name != "NOTE"}, ["ID"])
    given = {name: value for name, value in GOOD.items() if name != "NOTE"}
    with pytest.raises(TableChanged, match=r"CISADM\.T: column NOTE"):
        thing().apply(changes(fewer, [{"operation": "c", "after": given}]))


def test_a_sql_expression_that_stops_at_a_row_sets_that_row_aside() -> None:
    """One bad row does not stop the batch, though Polars stops a whole frame at it."""
    notes = pl.DataFrame({"NOTE": ["1", "2", "rubbish", "4", None]})
    stopping = pl.col("NOTE").cast(pl.Int64, strict=True).cast(pl.String)
    result, failed = evaluate(notes, stopping)
    assert result.to_list() == ["1", "2", None, "4", None]
    assert failed.to_list() == [False, False, True, False, False]


def test_an_empty_frame_gives_the_same_columns() -> None:
    """Who writes the rows need not ask whether there are any."""
    empty, full = mapped(), mapped(create())
    assert empty.rows.schema == full.rows.schema
    assert empty.rejected.schema == mapped(create(KIND="Z")).rejected.schema
    assert isinstance(empty.rows, pl.DataFrame)
