"""Changes as rows of the change log."""

from __future__ import annotations

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from cdc.staging.audit.change_log import COLUMNS, change_rows, in_stream_order, json_order, storable_json
from tests.unit.staging.doubles import PURCHASE, Event, changes, customer


def logged(*events: Event) -> list[dict[str, object]]:
    frame = change_rows("shop", changes(events), batch_id=7)
    assert tuple(frame.columns) == COLUMNS
    return [
        {
            name: json.loads(value) if name in ("key", "before", "after") and value else value
            for name, value in row.items()
        }
        for row in frame.to_dicts()
    ]


def test_change_rows_hold_the_images_each_operation_has() -> None:
    """A create has no before, a delete no after, a truncate neither; the key is never missing."""
    rows = logged(
        Event("c", 1, after=customer("a")),
        Event("u", 2, before=customer("a"), after=customer("b")),
        Event("d", 3, before=customer("b")),
        Event("t", 4),
    )
    assert [(r["before"] is not None, r["after"] is not None) for r in rows] == [
        (False, True),
        (True, True),
        (True, False),
        (False, False),
    ]
    assert [r["key"] for r in rows] == [{"id": "a"}, {"id": "b"}, {"id": "b"}, None]


def test_change_rows_leave_absent_columns_out() -> None:
    """Absent is not NULL: an auditor must see the difference, in each row by itself."""
    rows = logged(
        Event("u", 1, before={"id": "a"}, after={"id": "a", "note": None}),
        Event("u", 2, before=customer("b"), after={"name": "Eve"}),
        Event("u", 3, before=customer("c"), after=customer("c")),
    )
    assert [r["after"] for r in rows] == [
        {"id": "a", "note": None},
        {"name": "Eve"},
        customer("c"),
    ]
    assert rows[0]["before"] == {"id": "a"}
    assert rows[1]["key"] == {"id": "b"}, "a key that was not logged after is the one before"


def test_change_rows_never_copy_what_all_rules_ignore() -> None:
    """Secrets of the source do not reach staging."""
    frame = change_rows(
        "shop", changes([Event("c", 1, after=customer("a"))]), batch_id=1, left_out=frozenset({"secret"})
    )
    assert "secret" not in str(frame["after"][0])


def test_change_rows_of_several_tables_are_in_stream_order() -> None:
    """The chain of digests depends on it."""
    purchase = {"customer_id": "a", "number": "1", "bought_on": None, "paid": None, "paid_at": None}
    frames = [
        change_rows("shop", changes(found), batch_id=1)
        for found in (
            [Event("c", 1, 0, after=customer("a")), Event("c", 2, 5, after=customer("b"))],
            [Event("c", 2, 4, after=purchase, table=PURCHASE)],
        )
    ]
    rows = in_stream_order(frames).select("source_position", "source_ordinal").rows()
    assert rows == [(1, 0), (2, 4), (2, 5)]


@given(st.lists(st.text(st.sampled_from('\x00\\u0"n'), max_size=8), min_size=1))
def test_storable_json_replaces_the_nul_character_only(texts: list[str]) -> None:
    """PostgreSQL cannot store U+0000; text that merely looks like its escape stays."""
    frame = pl.DataFrame({"a": texts}).select(pl.struct("a").struct.json_encode())
    found = [json.loads(text)["a"] for text in storable_json(frame, ("a",))["a"]]
    assert found == [text.replace("\x00", "\u2400") for text in texts]


def test_json_order_is_that_of_jsonb() -> None:
    """Shorter names first, then by bytes, so stored rows give the same bytes again."""
    assert json_order(["bb", "a", "B", "é"]) == ["B", "a", "bb", "é"]
