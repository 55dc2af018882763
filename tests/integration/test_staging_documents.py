"""The queries of docs/staging.md, run as an auditor copies them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import mapping_rules
from cdc.staging.migrate import migrate
from tests.unit.staging.world import settings_of

MANUAL = Path(__file__).parents[2] / "docs/staging.md"
QUERIES = re.findall(r"```sql\n(.*?)```", MANUAL.read_text(), re.DOTALL)


@pytest.fixture
def auditor(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A session in a staging database of the shipped rules."""
    migrate(settings_of(database), mapping_rules.load("ccb_prepaid"))
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def test_documented_queries_run_and_know_deleted_rows(auditor: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Each of them; and what was there at a moment is not there before it came or after it was deleted."""
    common = "'x', 'PRIM', 'ccb', 1, 0, 'u', '2024-01-01+00', now(), null"
    columns = (
        "(person_id, sequence, full_name, name_type, source_system, source_position, source_ordinal, operation, "
        "committed_at, staged_at, rule_set_id, staged_seq, tombstone"
    )
    key = "'0123456789', 1"
    auditor.execute(
        f"insert into staging.person_name {columns}) values ({key}, "
        f"{common.replace('2024-01-01', '2024-03-01')}, 3, true);"
        f"insert into staging.person_name_history {columns}, superseded_seq, valid_from, valid_to) values "
        f"({key}, {common}, 1, false, 2, '2024-01-01+00', '2024-02-01+00'), "
        f"({key}, {common.replace(chr(39) + 'x', chr(39) + 'y', 1)}, 2, false, 3, '2024-02-01+00', '2024-03-01+00')".encode()
    )
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
