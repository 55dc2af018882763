"""Laws that hold for any stream of changes: mapping is a function of the changes, split as you like."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cdc.changes import SourceType, TableChanges
from tests.unit.mapping_rules.sets import PRESENT, changes, program, rule_set, table

ENTITY = """\
entity: e
key: [e_id]
columns:
  e_id: {type: text}
  amount: {type: decimal, precision: 5, scale: 2}
  note: {type: text}
"""
RULE = """\
system: ccb
table: T
key: [ID]
entity: e
where: {STATUS: {not: "X"}}
columns: {e_id: ID, amount: AMOUNT, note: {from: NOTE, if_null: none}}
"""
COLUMNS = {
    "ID": SourceType.TEXT,
    "STATUS": SourceType.TEXT,
    "AMOUNT": SourceType.NUMBER,
    "NOTE": SourceType.TEXT,
}
TABLE = table(COLUMNS, ["ID"])
SHAPES = (
    PRESENT,
    frozenset({"AMOUNT"}),
    frozenset({"AMOUNT", "NOTE"}),
    frozenset({"STATUS", "AMOUNT", "NOTE"}),
)
PROGRAM = program(rule_set(entities__e=ENTITY, inbound__t=RULE))

images = st.fixed_dictionaries(
    {
        "ID": st.sampled_from(["1", "2 ", "3"]),
        "STATUS": st.sampled_from(["A", "X", " ", None]),
        "AMOUNT": st.sampled_from(["1.5", "0", "1.555", None, "12345"]),
        "NOTE": st.sampled_from(["n", " ", None]),
    }
)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    operation = draw(st.sampled_from("crud"))
    before_shape, after_shape = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    before, after = draw(images), draw(images)
    return {
        "operation": operation,
        "before": {n: None if n in SHAPES[before_shape] else v for n, v in before.items()}
        if operation in "ud"
        else {},
        "after": {n: None if n in SHAPES[after_shape] else v for n, v in after.items()}
        if operation in "cru"
        else {},
        "before_shape": before_shape if operation in "ud" else 0,
        "after_shape": after_shape if operation in "cru" else 0,
    }


streams = st.lists(rows(), max_size=12).map(lambda given: changes(TABLE, given, SHAPES))


@given(streams, st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_a_stream_may_be_split_anywhere(stream: TableChanges, at: int) -> None:
    """Batches are cut by size and restart: the rows that come out are the same, rejected ones too."""
    whole = PROGRAM.apply(stream)
    parts = [
        PROGRAM.apply(TableChanges(TABLE, part, SHAPES)) for part in (stream.frame[:at], stream.frame[at:])
    ]
    assert_frame_equal(whole.rows, pl.concat([part.rows for part in parts]))
    assert_frame_equal(whole.rejected, pl.concat([part.rejected for part in parts]))


@given(streams)
@settings(max_examples=60, deadline=None)
def test_every_change_is_mapped_rejected_or_outside_the_entity(stream: TableChanges) -> None:
    """Nothing is lost in between: a live row is staged or rejected, never both, never neither."""
    out = PROGRAM.apply(stream)
    live = set(out.rows.filter(~pl.col("tombstone"))["source_ordinal"])
    rejected = set(out.rejected["source_ordinal"])
    assert not live & rejected
    for row in stream.frame.to_dicts():
        known = "?"
        if "STATUS" not in SHAPES[row["after_shape"]]:
            known = row["after.STATUS"]
        elif row["operation"] == "u" and "STATUS" not in SHAPES[row["before_shape"]]:
            known = row["before.STATUS"]
        if row["operation"] != "d" and known != "X":
            assert (row["ordinal"] in live) != (row["ordinal"] in rejected)
        else:
            assert row["ordinal"] not in live


@given(streams)
@settings(max_examples=60, deadline=None)
def test_absent_is_never_null_and_null_is_never_absent(stream: TableChanges) -> None:
    """A column is absent only where neither image holds it; `if_null` fills NULL, not what is unknown."""
    by_ordinal = {row["ordinal"]: row for row in stream.frame.to_dicts()}
    for row in PROGRAM.apply(stream).rows.filter(~pl.col("tombstone")).to_dicts():
        source, absent = by_ordinal[row["source_ordinal"]], row["absent"] or []
        for column, name in (("AMOUNT", "amount"), ("NOTE", "note")):
            unknown = column in SHAPES[source["after_shape"]] and (
                source["operation"] != "u" or column in SHAPES[source["before_shape"]]
            )
            assert (name in absent) == unknown
        assert (row["note"] is None) == ("note" in absent)


@given(streams)
@settings(max_examples=30, deadline=None)
def test_mapping_again_gives_the_same(stream: TableChanges) -> None:
    """Replay after a crash must not differ from what was mapped before."""
    first, second = PROGRAM.apply(stream), PROGRAM.apply(stream)
    assert_frame_equal(first.rows, second.rows)
    assert_frame_equal(first.rejected, second.rejected)
