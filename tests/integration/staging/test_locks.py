"""Locks that order flows and migrations: no one without rights on the schema can take one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from cdc.errors import TransientError
from cdc.staging.schema.migrate import migrate
from cdc.staging.staged_seq import reserve_numbers
from tests.support.migrated import migrated
from tests.unit.staging.doubles import rule_set

ROOT = Path(__file__).parents[3]


@contextmanager
def stranger(database: str) -> Iterator[psycopg.Connection]:
    """A role that may do nothing but connect."""
    role = f"stranger_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        try:
            with psycopg.connect(database) as connection:
                connection.execute(sql.SQL("set session authorization {}").format(sql.Identifier(role)))
                yield connection
        finally:
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_a_stranger_can_take_none_of_our_locks(database: str) -> None:
    """CONNECT is not a right to hold up replication or a migration."""
    migrated(database, rule_set())
    for table in ("staged_order", "migration", "change", "lease"):
        with stranger(database) as other, pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute(f"lock table staging.{table} in access share mode")


def test_nothing_waits_for_an_advisory_lock() -> None:
    """Any role of the database may take one."""
    texts = [path for folder in ("cdc", "sinks", "migrations") for path in (ROOT / folder).rglob("*.py")]
    texts = [path for path in texts if path.parent.name != "probing"]  # tries whether a pooler keeps one
    assert [path.name for path in texts if re.search("pg_(try_)?advisory", path.read_text())] == []


def test_numbers_are_given_to_one_transaction_at_a_time(database: str) -> None:
    """So they become visible in growing order, and a sink passes none."""
    migrated(database, rule_set())
    with psycopg.connect(database) as first, psycopg.connect(database) as second:
        assert reserve_numbers(first.cursor(), 3) == 1
        second.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            reserve_numbers(second.cursor(), 1)
        second.rollback()
        first.commit()
        assert reserve_numbers(second.cursor(), 1) == 4


def test_a_second_migrate_says_that_one_is_running(database: str) -> None:
    """It does not wait without end, and changes nothing."""
    settings = migrated(database, rule_set())
    with psycopg.connect(database) as running:
        running.execute("lock table staging.migration in exclusive mode")
        with pytest.raises(TransientError, match="another ccbridge migrate is running"):
            migrate(settings, rule_set())
