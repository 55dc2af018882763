"""The table in `merge.sql`: what becomes of a row, by what is staged and what comes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import polars as pl
import pytest

from cdc.postgres.connect import Connection, connect
from cdc.staging.entity_rows.merge import EntityMerge, Merged
from cdc.staging.entity_rows.versions import versions
from cdc.staging.schema.tables import TRAILING, fixed_tables, history_columns
from mapping_rules.language.builtin import RESERVED_COLUMNS
from sandbox.postgres import PostgresServer
from tests.unit.staging.doubles import EPOCH, rule_set
from tests.unit.staging.world import World, staging

ENTITY = rule_set().entities["customer"]
STAGED_AT, OLDER, NEWER = 50, 40, 60
ROW = re.compile(r"^-- \| (?!staged|-)(.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """A line of the table."""

    staged: str
    incoming: Sequence[str]
    row: str
    history: Sequence[str]
    counted: int

    def __str__(self) -> str:
        return f"{self.staged} then {' then '.join(self.incoming)}"


def cases() -> Iterator[Case]:
    text = resources.files("cdc.staging.entity_rows").joinpath("merge.sql").read_text(encoding="utf-8")
    for line in ROW.findall(text):
        staged, incoming, row, history, counted = (cell.strip() for cell in line.split("|"))
        kept = [] if history == "nothing" else history.split(", ")
        yield Case(staged, incoming.split(", "), row, kept, int(counted))


@dataclass
class Table:
    """Table customer with its history, as one session merges into it."""

    connection: Connection
    next: int = 1
    merge: EntityMerge = field(default_factory=lambda: EntityMerge(ENTITY, "shop", 1))

    def put(self, *changes: tuple[str, int]) -> Merged:
        """Merge versions of one row: a word of the table, and a position."""
        rows = pl.DataFrame(
            [
                {
                    "customer_id": "a",
                    "name": None if what in ("end", "absent") else {"same": "row"}.get(what, what),
                    "note": None,
                    "credit": None,
                    "source_position": position,
                    "source_ordinal": 0,
                    "operation": "d" if what == "end" else "u",
                    "committed_at": EPOCH,
                    "tombstone": what == "end",
                    "absent": ["name"] if what == "absent" else [],
                }
                for what, position in changes
            ],
            schema_overrides={
                "note": pl.String,
                "name": pl.String,
                "credit": pl.Decimal(15, 2),
                "absent": pl.List(pl.String),
            },
        )
        found = versions(ENTITY, rows)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            self.merge.load(cursor, found)
            merged = self.merge.merge(cursor, base=self.next, chained=found.height > 1)
        self.next += found.height
        return merged

    def row(self) -> tuple[Any, ...] | None:
        """Name, tombstone, number and position."""
        return self.connection.execute(
            "select name, tombstone, staged_seq, source_position from staging.customer"
        ).fetchone()

    def kept(self) -> list[str]:
        """The versions in the history, oldest first."""
        return [
            "the tombstone" if tombstone else f"the {name}"
            for name, tombstone in self.connection.execute(
                "select name, tombstone from staging.customer_history order by superseded_seq"
            )
        ]


@pytest.fixture(scope="module")
def world(postgres: PostgresServer) -> Iterator[World]:
    with staging(postgres.create_database("merge_table")) as made:
        yield made


@pytest.fixture
def table(world: World) -> Iterator[Table]:
    world.execute("truncate staging.customer, staging.customer_history")
    with connect(world.settings, application="test merge", autocommit=True) as connection:
        made = Table(connection)
        with connection.cursor() as cursor:
            made.merge.prepare(cursor)
        yield made


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_what_becomes_of_a_row(table: Table, case: Case) -> None:
    """As the statement's own table says, for the row, its history and the number of versions."""
    if case.staged != "nothing":
        table.put(("row", STAGED_AT))
    if case.staged == "tombstone":
        table.put(("end", STAGED_AT + 1))
    before, history = table.row(), table.kept()
    incoming = [word for word in case.incoming if word != "ends are kept"]
    table.merge.keeps_ends = incoming != list(case.incoming)
    changes = []
    for number, words in enumerate(incoming):
        *older, what = words.split()
        position = OLDER if older else STAGED_AT if what == "replayed" else NEWER + number
        changes.append(("row" if what == "replayed" else what, position))
    merged = table.put(*changes)
    now = table.row()
    if case.row == "as it was":
        assert now == before
    elif case.row == "position moves on":
        assert before is not None
        assert now == (*before[:3], changes[-1][1])
    else:
        expected = {"nothing": None, "tombstone": True}.get(case.row, case.row.removeprefix("the "))
        assert (now and (now[1] or now[0])) == expected
    assert table.kept()[len(history) :] == case.history
    assert merged.rows == case.counted


def test_the_rule_language_reserves_what_every_row_carries() -> None:
    """A column of an entity with the name of one of ours could not be made."""
    history = {column.name for column in history_columns()}
    assert {*TRAILING, *history, "absent"} == RESERVED_COLUMNS
    columns = fixed_tables().tables["staging.receipt_history"].columns
    assert {*TRAILING, *history} <= {column.name for column in columns}
