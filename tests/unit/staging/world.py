"""A migrated staging database with a stager, for integration tests."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from cdc.config import PostgresConnection
from cdc.postgres.connect import Connection, connect
from cdc.staging.batches.stage import Stager
from cdc.staging.leases import Lease
from mapping_rules import RuleSet
from tests.support.migrated import migrated
from tests.unit.staging.doubles import rule_set


@dataclass
class World:
    """Staging as one process sees it; `query` looks at it from another session."""

    settings: PostgresConnection
    rule_set: RuleSet
    lease: Lease
    observer: Connection
    stagers: list[Stager] = field(default_factory=list)

    def stager(self, **options: Any) -> Stager:
        """A new stager on a session of its own."""
        connection = connect(self.settings, application="test stager")
        arguments: dict[str, Any] = {
            "kind": "postgres",
            "time_zone": "UTC",
            "run_id": uuid.uuid4(),
            "lease": self.lease,
        }
        made = Stager(connection, self.rule_set, "shop", **{**arguments, **options})
        self.stagers.append(made)
        return made

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query, as committed."""
        return self.observer.execute(statement, parameters).fetchall()

    def execute(self, statement: str) -> None:
        """Change staging behind everyone's back."""
        self.observer.execute(statement)

    def wait_for_blocked(self, application: str) -> None:
        """Return once a session of that name waits for a lock; fail after ten seconds."""
        wait_for_blocked(self.observer, application)

    def customers(self) -> dict[str, tuple[Any, ...]]:
        """Rows of staging.customer by key: name, note, credit, tombstone."""
        rows = self.query("select customer_id, name, note, credit, tombstone from staging.customer")
        return {key: tuple(rest) for key, *rest in rows}


def wait_for_blocked(observer: Connection, application: str) -> None:
    """Return once a session of that name waits for a lock; fail after ten seconds."""
    blocked = "select from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'"
    deadline = time.monotonic() + 10
    while observer.execute(blocked, [application]).fetchone() is None:
        assert time.monotonic() < deadline, f"{application} never waited"


@contextmanager
def staging(database: str, rules: RuleSet | None = None) -> Iterator[World]:
    """Give an empty database the staging schema of a rule set and take the lease."""
    rules = rules or rule_set()
    settings = migrated(database, rules)
    lease = Lease(settings, "replication", "test", 15)
    lease.acquire()
    observer = psycopg.connect(database, autocommit=True)
    world = World(settings, rules, lease, observer)
    try:
        yield world
    finally:
        for stager in world.stagers:
            stager.close()
        observer.close()
        lease.close()
