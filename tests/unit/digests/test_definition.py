"""What the digest of a row is made of, and that no two rows have one text."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from cdc.digests.definition import GROUP_BYTES, Algorithm, RowDigest, row_digest
from cdc.digests.frames import digests

KINDS = st.sampled_from(
    [
        (SourceType.TEXT, "VARCHAR2({n})"),
        (SourceType.BINARY, "RAW({n})"),
        (SourceType.NUMBER, "NUMBER"),
        (SourceType.NUMBER, "BINARY_DOUBLE"),
        (SourceType.TIMESTAMP_TZ, "TIMESTAMP(6) WITH TIME ZONE"),
        (SourceType.OTHER, "INTERVAL DAY(2) TO SECOND(6)"),
    ]
)


def table(*columns: SourceColumn, key: tuple[str, ...] = ()) -> SourceTable:
    return SourceTable(TableName("S", "T"), columns, key)


def text(name: str, length: int | None = None, *, large: bool = False) -> SourceColumn:
    return SourceColumn(name, SourceType.TEXT, "VARCHAR2", length=length, large=large)


def whole(definition: RowDigest, frame: pl.DataFrame) -> list[int | None]:
    return digests(definition, frame).to_list()


def test_text_of_a_row_is_as_written() -> None:
    """The documented text, so that a reader of the manual can compute a digest by hand."""
    columns = (text("B"), SourceColumn("A", SourceType.NUMBER, "NUMBER"), text("C"), text("D"))
    definition = row_digest(table(*columns), "ABCD", kind="postgres")
    frame = pl.DataFrame(
        {"A": ["1.50"], "B": ["é;"], "C": [None], "D": [""]}, schema_overrides={"C": pl.String}
    )
    by_hand = hashlib.md5("1.50;3:é;:0:".encode(), usedforsecurity=False).hexdigest()[:15]
    assert whole(definition, frame) == [int(by_hand, 16)]


def test_key_is_always_part_of_it_and_large_columns_never() -> None:
    """Two rows that swap their values must not add up to the same; large columns have no digest in SQL."""
    columns = (text("ID", 10), text("NAME", 10), text("MEMO", large=True), text("OTHER", 10))
    definition = row_digest(table(*columns, key=("ID",)), {"NAME", "MEMO", "ELSEWHERE"}, kind="oracle")
    assert [column.name for column in definition.columns] == ["ID", "NAME"]
    assert definition.left_out == ("MEMO",)


def test_identity_follows_what_is_hashed() -> None:
    """Columns, hash and groups make another definition; the order of the table's columns does not."""
    a, b, long = text("A", 10), text("B", 10), text("C", 4_000)
    one = row_digest(table(a, b, long), "AB", kind="oracle")
    assert row_digest(table(long, b, a), "AB", kind="oracle").identity == one.identity
    others = [
        row_digest(table(a, b, long), "ABC", kind="oracle"),
        row_digest(table(a, b, long), "AB", kind="oracle", algorithm=Algorithm.SHA256),
        row_digest(table(a, replace(b, type=SourceType.NUMBER)), "AB", kind="oracle"),
        row_digest(table(a, text("B", 4_000)), "AB", kind="oracle"),
    ]
    assert len({one.identity, *(other.identity for other in others)}) == 5


@given(st.lists(st.tuples(KINDS, st.integers(1, 4_000)), min_size=1, max_size=40))
def test_no_group_can_pass_oracles_limit(
    chosen: list[tuple[tuple[SourceType, str], int]],
) -> None:
    """Whatever the columns: filled with the longest values a group stays below 4,000 bytes."""
    columns, longest = [], {}
    for number, ((kind, declared), length) in enumerate(chosen):
        name = f"C{number:02}"
        size = min(length, 2_000) if kind is SourceType.BINARY else length
        columns.append(
            SourceColumn(
                name,
                kind,
                declared.format(n=size),
                length=size if kind is SourceType.TEXT else None,
            )
        )
        # a VARCHAR2 holds 4,000 bytes, whatever its characters
        longest[name] = {
            SourceType.TEXT: min(size * 4, 4_000),
            SourceType.BINARY: size * 2,
            SourceType.NUMBER: 328 if declared.startswith("BINARY") else 132,
            SourceType.TIMESTAMP_TZ: 33,
            SourceType.OTHER: 40,
        }[kind]
    definition = row_digest(table(*columns), longest, kind="oracle")
    for group in definition.groups:
        size = 0
        for piece in group:
            narrow = 1 if piece.column.type is not SourceType.TEXT else 4
            left = longest[piece.column.name] - piece.start * narrow
            size += min(left, (piece.length or 10_000) * narrow) + 5
        assert size <= GROUP_BYTES + 5
    pieces: dict[str, list[tuple[int, int | None]]] = {}
    for piece in (piece for group in definition.groups for piece in group):
        pieces.setdefault(piece.column.name, []).append((piece.start, piece.length))
    for name, parts in pieces.items():
        assert parts == sorted(parts)
        assert parts == [(0, None)] or all(start == n * 900 for n, (start, _) in enumerate(parts)), name


@pytest.mark.parametrize("kind", ["oracle", "postgres"])
@given(data=st.data())
def test_rows_that_differ_have_other_digests(kind: str, data: st.DataObject) -> None:
    """NULL, nothing and a blank, and values that move from one column to the next."""
    texts = st.none() | st.text(alphabet="1:; a\U0001f600", max_size=4)
    rows = data.draw(st.lists(st.tuples(texts, texts, texts), unique=True, min_size=1, max_size=30))
    if kind == "oracle":  # where '' is NULL
        rows = list({(a or None, b or None, c or None) for a, b, c in rows})
    frame = pl.DataFrame(rows, schema=dict.fromkeys("ABC", pl.String), orient="row")
    definition = row_digest(table(text("A", 8), text("B", 2_000), text("C", 8)), "ABC", kind=kind)  # type: ignore[arg-type]
    assert len(set(whole(definition, frame))) == len(rows)
