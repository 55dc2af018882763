"""The queries of docs/staging.md, run as an auditor copies them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import mapping_rules
from cdc.staging.schema.migrate import migrate
from tests.support.migrated import settings_of

MANUAL = Path(__file__).parents[3] / "docs/staging.md"
QUERIES = re.findall(r"```sql\n(.*?)```", MANUAL.read_text(), re.DOTALL)


@pytest.fixture
def auditor(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A session in a staging database of the shipped rules."""
    migrate(settings_of(database), mapping_rules.load("ccb_prepaid"))
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


_COLUMNS = (
    "person_id, sequence, source_system, source_position, source_ordinal, operation, "
    "full_name, committed_at, staged_seq, tombstone"
)


def _versions(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """A name that was x in January 2024, y in February, and was deleted in March."""
    key = "'0123456789', 1, 'ccb', 1, 0, 'u'"
    for values in (
        "'x', '2024-01-01', 1, false, 2, '2024-01-01', '2024-02-01'",
        "'y', '2024-02-01', 2, false, 3, '2024-02-01', '2024-03-01'",
    ):
        connection.execute(
            f"insert into staging.person_name_history ({_COLUMNS}, superseded_seq, valid_from, valid_to) "
            f"values ({key}, {values})".encode()
        )
    connection.execute(
        f"insert into staging.person_name ({_COLUMNS}) values ({key}, 'y', '2024-03-01', 3, true)".encode()
    )


def test_documented_queries_run_and_know_deleted_rows(auditor: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Each of them; and what was there at a moment is not there before it came or after it was deleted."""
    _versions(auditor)
    for query in QUERIES:
        auditor.execute(query.encode())
    (as_of,) = [query for query in QUERIES if "'infinity'" in query]
    names = [
        [row[0] for row in auditor.execute(as_of.replace("2024-02-29 12:00", moment).encode())]
        for moment in (
            "2023-12-31",
            "2024-01-15",
            "2024-02-01",
            "2024-02-29 12:00",
            "2024-03-01",
            "2025-01-01",
        )
    ]
    assert names == [[], ["x"], ["y"], ["y"], [], []]
    (deleted,) = [query for query in QUERIES if "deleted_at" in query]
    assert [row[0] for row in auditor.execute(deleted.encode())] == ["0123456789"]
