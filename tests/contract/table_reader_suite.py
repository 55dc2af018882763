"""The contract that every TableReader passes, whatever it reads.

A reader's own tests subclass `TableReaderSuite` and give a fixture `tables`: a `TableSource` with the
captured tables `recharge` and `typed` of `reader_suite.Source`, and `keyed` with the key (name, n), text and
number, and the column v.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Literal, Protocol

import polars as pl
import pytest

from cdc.changes import TableName
from cdc.digests.definition import RowDigest, row_digest
from cdc.digests.frames import digests
from cdc.digests.sort_key import encode, keyed
from cdc.errors import TransientError
from cdc.ports import KeyRange, TableLook, TableReader
from tests.contract.reader_suite import Source

NAMES = ("a", "B", "b", "a b", "a  ", "é", "z", "\U0001f600", "Z9", "~")
"""Sorted otherwise by the rules of most languages than by code point."""
NUMBERS = ("-10.5", "-10", "-9", "0", "0.5", "5", "10", "100.25")
EVERY_KEY = KeyRange()


class TableSource(Protocol):
    """A source with a reader of its tables."""

    kind: Literal["oracle", "postgres"]

    @property
    def source(self) -> Source:
        """Where the application writes."""

    def name(self, table: str) -> TableName:
        """A table of it."""

    def table_reader(self) -> TableReader:
        """A new reader of its tables; the test closes it."""


@pytest.fixture
def reader(tables: TableSource) -> Iterator[TableReader]:
    """A reader of the source's tables."""
    with closing(tables.table_reader()) as made:
        yield made


def digest_of(tables: TableSource, reader: TableReader, table: str) -> RowDigest:
    """The digest of all columns of a table."""
    described = reader.describe()[tables.name(table)]
    return row_digest(described, described.column_names, kind=tables.kind)


def write(tables: TableSource, *statements: str) -> None:
    """Run statements in one transaction of the application."""
    with tables.source.session() as session:
        for statement in statements:
            session.execute(statement)
        session.commit()


def fill(tables: TableSource) -> None:
    """Every name with every number."""
    write(
        tables,
        *(
            f"insert into keyed (name, n, v) values ('{name}', {number}, '{name}{number}')"
            for name in NAMES
            for number in NUMBERS
        ),
    )


def sums(
    look: TableLook, digest: RowDigest, within: KeyRange = EVERY_KEY, *bounds: str
) -> list[tuple[int, int]]:
    """Count and sum of each range."""
    return look.range_sums(digest, within, bounds).select("count", "sum").rows()


class TableReaderSuite:
    """What a comparison may rely on."""

    def test_texts_digests_and_sums_agree(self, tables: TableSource, reader: TableReader) -> None:
        """For each type: the database's digest is that of the texts the reader gives, and adds up."""
        columns = ", ".join(("id", *(case.column for case in tables.source.type_cases)))
        values = ", ".join(("1", *(case.literal for case in tables.source.type_cases)))
        write(tables, f"insert into typed ({columns}) values ({values})", "insert into typed (id) values (2)")
        digest = digest_of(tables, reader, "typed")
        with reader.look() as look:
            found = look.digests_in(digest, KeyRange())
            rows = look.rows(digest, found["sort_key"].to_list()).sort("sort_key")
            total = sums(look, digest)
        assert rows["sort_key"].to_list() == [encode(keyed(digest), [number]) for number in ("1", "2")]
        expected = {tables.source.spelled(case.column): case.canonical for case in tables.source.type_cases}
        assert {name: rows[name][0] for name in expected} == expected
        assert digests(digest, rows).to_list() == found.sort("sort_key")["digest"].to_list()
        assert total == [(2, sum(found["digest"].to_list()) % 2**64)]

    def test_a_look_is_of_one_position(self, tables: TableSource, reader: TableReader) -> None:
        """What is committed while one looks is in the next look."""
        write(tables, "insert into recharge (id, name, amount) values (1, 'a', 1)")
        digest = digest_of(tables, reader, "recharge")
        with reader.look() as look:
            before = sums(look, digest)
            write(tables, "update recharge set amount = 2", "insert into recharge (id, name) values (2, 'b')")
            assert sums(look, digest) == before
            assert look.rows(digest, look.digests_in(digest, KeyRange())["sort_key"].to_list()).height == 1
            position = look.position
        with reader.look() as look:
            assert sums(look, digest) != before
            assert look.position > position
            assert look.low <= look.position
        reader.nudge()
        with reader.look() as later:
            assert later.position >= look.position

    @pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
    def test_ranges_cover_every_key_once(self, tables: TableSource, reader: TableReader, seed: int) -> None:
        """Cut at keys that exist and at keys that do not, with open ends: no row twice, none never."""
        fill(tables)
        digest = digest_of(tables, reader, "keyed")
        shuffled = random.Random(seed)  # noqa: S311 - to be repeated
        there = [(name, number) for name in NAMES for number in NUMBERS]
        nowhere = [("", "0"), ("a!", "1"), ("é", "7.25"), ("zz", "-3"), ("\U0001f601", "0")]
        chosen = shuffled.sample([*there, *nowhere], 7)
        bounds = sorted(encode(keyed(digest), key) for key in chosen)
        with reader.look() as look:
            every = look.digests_in(digest, KeyRange()).sort("sort_key")
            ranges = KeyRange().cut(bounds)
            parts = [look.digests_in(digest, one).sort("sort_key") for one in ranges]
            totals = sums(look, digest, KeyRange(), *bounds)
        assert every["sort_key"].to_list() == sorted(encode(keyed(digest), key) for key in there)
        assert pl.concat(parts).equals(every)
        for one, part, total in zip(ranges, parts, totals, strict=True):
            keys = part["sort_key"].to_list()
            assert all((one.low or "") <= key and (one.high is None or key < one.high) for key in keys)
            assert total == (part.height, sum(part["digest"].to_list()) % 2**64)

    def test_bounds_cut_into_ranges_of_that_size(self, tables: TableSource, reader: TableReader) -> None:
        """A range that only the source knows is cut where its keys are."""
        fill(tables)
        digest = digest_of(tables, reader, "keyed")
        low = encode(keyed(digest), ("a", "0"))
        with reader.look() as look:
            bounds = look.bounds(digest, KeyRange(low), rows=10)
            counts = [count for count, _ in sums(look, digest, KeyRange(low), *bounds)]
            assert look.bounds(digest, KeyRange(low), rows=1000) == []
            assert look.bound(digest, KeyRange(low), rows=10) == bounds[0]
            assert look.bound(digest, KeyRange(low), rows=1000) is None
        assert bounds == sorted(set(bounds))
        assert set(counts[:-1]) == {10}
        assert 0 < counts[-1] <= 10

    def test_rows_are_found_by_key(self, tables: TableSource, reader: TableReader) -> None:
        """Each key that is there, none that is not, whatever is in its text."""
        fill(tables)
        digest = digest_of(tables, reader, "keyed")
        asked = [("a b", "-10.5"), ("\U0001f600", "100.25"), ("a  ", "0.5"), ("a", "7")]
        keys = [encode(keyed(digest), key) for key in asked]
        v, n = (tables.source.spelled(name) for name in ("v", "n"))
        with reader.look() as look:
            rows = look.rows(digest, keys)
        found = {key: (Decimal(number), value) for key, number, value in rows.select("sort_key", n, v).rows()}
        assert found == {
            key: (Decimal(number), f"{name}{number}")
            for key, (name, number) in zip(keys[:3], asked[:3], strict=True)
        }

    def test_swapped_and_doubled_values_change_the_sum(
        self, tables: TableSource, reader: TableReader
    ) -> None:
        """Two rows that swap their values, two equal wrong ones: sums of anything weaker would not tell."""
        write(
            tables,
            *(f"insert into recharge (id, name, amount) values ({n}, 'n{n}', 5)" for n in (1, 2, 3, 4)),
        )
        digest = digest_of(tables, reader, "recharge")
        seen = set()
        for statements in (
            ["update recharge set name = name"],
            ["update recharge set name = 'n' || (3 - id) where id < 3"],
            ["update recharge set amount = 6 where id > 2"],
            ["update recharge set name = name || ' ' where id = 1"],
            ["delete from recharge where id = 4"],
        ):
            write(tables, *statements)
            with reader.look() as look:
                seen.add(tuple(sums(look, digest)))
        assert len(seen) == 5

    def test_a_change_is_included_only_if_it_is_seen(self, tables: TableSource, reader: TableReader) -> None:
        """A row of a snapshot counts by its position; what comes later than the look is not in it."""
        with reader.look() as look:
            assert look.includes(look.low, None)
            assert not look.includes(look.position + 1, None)

    def test_a_reader_continues_after_a_lost_connection(
        self, tables: TableSource, reader: TableReader
    ) -> None:
        """The next look has a session of its own."""
        digest = digest_of(tables, reader, "recharge")
        with reader.look() as look:
            sums(look, digest)
        tables.source.cut()
        for _ in range(2):  # a session that was cut while idle may be noticed at its first use only
            try:
                with reader.look() as look:
                    assert sums(look, digest) == [(0, 0)]
                return
            except TransientError:
                continue
        pytest.fail("the connection was not opened again")
