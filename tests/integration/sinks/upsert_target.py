"""A small target database for the upsert sink: customers, accounts, and how to want rows of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import psycopg
from psycopg.conninfo import conninfo_to_dict

from cdc.changes import TableName
from cdc.config import PostgresSystem
from mapping_rules import EntityType, Kind, OutboundProgram
from sinks.upsert.sink import UpsertSink

TABLES = """
create table customer (
    customer_id bigint generated always as identity primary key,
    person_id text not null unique,
    name text not null,
    phone varchar(12),
    credit numeric(9,2) constraint credit_limit check (credit < 1000),
    active boolean not null default true
);
create table account (
    account_id text primary key,
    person_id text not null constraint account_customer references customer (person_id),
    meter text constraint one_meter unique
);
create table recharge (
    recharge_id text primary key,
    amount numeric(15,2) not null,
    payment_id text,
    posted_at timestamptz
);
"""


def program(
    table: str,
    key: Sequence[str],
    columns: Sequence[str],
    *,
    update_only: bool = False,
    on_delete: str = "delete",
    instants: Sequence[str] = (),
) -> OutboundProgram:
    """A compiled outbound rule as the sink sees it; `instants` are columns of type timestamp."""
    kinds = {name: EntityType(Kind.TIMESTAMP if name in instants else Kind.TEXT) for name in (*key, *columns)}
    return OutboundProgram(
        name=table,
        sink="upsert",
        table=TableName("public", table),
        key=tuple(key),
        columns=tuple(columns),
        column_types=kinds,
        update_only=update_only,
        on_delete=on_delete,
        deactivate_column="active" if on_delete == "deactivate" else None,
        entities=(),
        changed_keys_sql="",
        desired_sql="",
    )


CUSTOMER = program("customer", ["person_id"], ["name", "phone", "credit"], on_delete="deactivate")
ACCOUNT = program("account", ["account_id"], ["person_id", "meter"])
ACKNOWLEDGEMENT = program(
    "recharge", ["recharge_id"], ["payment_id", "posted_at"], update_only=True, on_delete="ignore"
)


def desired(rule: OutboundProgram, *rows: Sequence[Any], gone: Sequence[Any] = ()) -> pl.DataFrame:
    """Desired rows as staging gives them: values as text; `gone` are keys that should not be there."""
    names = [*rule.key, *rule.columns]
    dead = [[*(key if isinstance(key, tuple) else (key,)), *[None] * len(rule.columns)] for key in gone]
    texts = [[None if value is None else str(value) for value in row] for row in [*rows, *dead]]
    frame = pl.DataFrame(texts, schema=dict.fromkeys(names, pl.String), orient="row")
    marks = pl.Series("_deleted", [False] * len(rows) + [True] * len(dead), dtype=pl.Boolean)
    return frame.with_columns(marks, pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_staged_seq"))


class Target:
    """The target's database, its settings, and the deliveries that were recorded."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        parts = conninfo_to_dict(conninfo)
        self.settings = PostgresSystem(
            kind="postgres",
            host=str(parts["host"]),
            port=int(str(parts["port"])),
            database=str(parts["dbname"]),
            user=str(parts["user"]),
            password=str(parts["password"]),
            sslmode="disable",
            insecure=True,
            origin=f"test_{uuid.uuid4().hex[:12]}",
        )
        self.recorded: list[dict[str, Any]] = []

    def record(self, deliveries: pl.DataFrame) -> None:
        self.recorded += deliveries.to_dicts()

    def sink(self, token: int = 1) -> UpsertSink:
        return UpsertSink("prepaid", self.settings, fencing_token=token)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.conninfo) as connection:
            return connection.execute(query).fetchall()

    def run(self, statement: str) -> None:
        with psycopg.connect(self.conninfo) as connection:
            connection.execute(statement)

    def close(self, sink: UpsertSink) -> None:
        """Close a sink, and wait until the server has ended its sessions: the next one needs their origin."""
        sink.close()
        deadline = time.monotonic() + 10
        while self.rows(
            "select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
            "and backend_type = 'client backend'"
        ):
            assert time.monotonic() < deadline, "a session does not end"
            time.sleep(0.01)

    def drop_origin(self) -> None:
        """Drop the origin, as a server has few of them, once the session that had it is gone."""
        deadline = time.monotonic() + 10
        while True:
            try:
                self.rows(f"select pg_replication_origin_drop('{self.settings.origin}')")
            except psycopg.errors.ObjectInUse:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return


@contextmanager
def target_database(conninfo: str) -> Iterator[Target]:
    """Tables, mark and origin made; the origin dropped afterwards."""
    target = Target(conninfo)
    target.run(TABLES)
    target.sink().prepare()
    try:
        yield target
    finally:
        target.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        target.drop_origin()
