"""Keys as texts: the same order, the same keys back, the same in columns and alone."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from cdc.changes import AFTER, SourceColumn, SourceTable, SourceType, TableName
from cdc.digests.sort_key import decode, encode, sort_key

TABLE = SourceTable(
    TableName("s", "t"),
    (
        SourceColumn("n", SourceType.NUMBER, "numeric"),
        SourceColumn("t", SourceType.TEXT, "text"),
    ),
    ("n", "t"),
)
NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14, places=4),
    st.integers(-(10**40), 10**40).map(Decimal),
    st.sampled_from([Decimal(0), Decimal("-0.5"), Decimal("0.05"), Decimal(10), Decimal(-10)]),
)
TEXTS = st.text(st.sampled_from("\x01\x02\x03 aAé\u2400\U0001f600"), max_size=4)
KEYS = st.tuples(NUMBERS, TEXTS)


def _texts(key: tuple[Decimal, str]) -> tuple[str, str]:
    return f"{key[0]:f}", key[1]


@given(st.lists(KEYS, min_size=2, max_size=8))
def test_sort_keys_have_the_order_of_the_keys(keys: list[tuple[Decimal, str]]) -> None:
    """A range of sort keys is a range of keys, whatever their types."""
    assert sorted(keys, key=lambda key: encode(TABLE, _texts(key))) == sorted(keys)
    assert len({encode(TABLE, _texts(key)) for key in keys}) == len(set(keys))


@given(KEYS)
def test_a_sort_key_gives_the_key_back(key: tuple[Decimal, str]) -> None:
    """Rows are looked up in their source by what the sort key says."""
    number, text = decode(TABLE, encode(TABLE, _texts(key)))
    assert (Decimal(number), text) == key


@given(st.lists(KEYS, min_size=1, max_size=8))
def test_columns_and_single_keys_are_encoded_alike(keys: list[tuple[Decimal, str]]) -> None:
    """Staging writes them a batch at a time; a range is named one at a time."""
    texts = [*map(_texts, keys), ("NaN", "\0"), ("Infinity", ""), ("-Infinity", ""), ("-0.00", "a")]
    frame = pl.DataFrame(texts, schema=[AFTER + "n", AFTER + "t"], orient="row")
    assert frame.select(sort_key(TABLE, AFTER)).to_series().to_list() == [encode(TABLE, key) for key in texts]


def test_special_numbers_have_their_place() -> None:
    """As PostgreSQL sorts them."""
    ordered = ["-Infinity", "-10", "-9.5", "-9", "0", "0.5", "9", "9.5", "10", "Infinity", "NaN"]
    keys = [encode(TABLE, (number, "")) for number in ordered]
    assert keys == sorted(keys)
    assert [decode(TABLE, key)[0] for key in keys] == ordered


def test_a_row_without_its_key_has_no_sort_key() -> None:
    """It cannot be compared by key."""
    frame = pl.DataFrame(
        {AFTER + "n": [None, "1"], AFTER + "t": ["a", None]}, schema_overrides={AFTER + "n": pl.String}
    )
    assert frame.select(sort_key(TABLE, AFTER)).to_series().to_list() == [None, None]
