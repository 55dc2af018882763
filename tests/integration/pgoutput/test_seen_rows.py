"""Snapshot and stream see the same rows, and the catalog's columns are read as the server means them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr

from cdc.changes import TableName
from cdc.errors import NotGranted, SlotMissing
from cdc.ports import Finding
from cdc.readers.pgoutput import PgoutputReader
from sandbox.postgres import PostgresServer
from tests.contract.reader_suite import Reading, events, snapshot
from tests.integration.pgoutput.source import Prepaid


@pytest.fixture
def prepaid(database: str) -> Iterator[Prepaid]:
    made = Prepaid(database)
    yield made
    made.close()


@pytest.fixture
def role(prepaid: Prepaid) -> Iterator[str]:
    """A role that may read and replicate, and bypasses nothing."""
    name = f"reader_{prepaid.settings.database}"
    prepaid.execute(f"create role {name} login replication password 'pw'")
    yield name
    for reader in prepaid.readers:
        reader.close()
    prepaid.execute(f"drop owned by {name}", f"drop role {name}")


def as_role(prepaid: Prepaid, role: str, *tables: str) -> PgoutputReader:
    settings = prepaid.settings.model_copy(update={"user": role, "password": SecretStr("pw")})
    reader = PgoutputReader("prepaid", settings, [TableName("public", name) for name in tables])
    prepaid.readers.append(reader)
    return reader


def found(reader: PgoutputReader) -> list[Finding]:
    return [finding for finding in reader.preflight() if not finding.advice]


@pytest.mark.parametrize("policy", ["using (id = 1)", "as restrictive using (true)", ""])
def test_row_security_is_found_and_never_leaves_rows_out(prepaid: Prepaid, role: str, policy: str) -> None:
    """A policy hides rows from the snapshot, not from the stream; without any policy all are hidden."""
    prepaid.execute("create table t (id int primary key)", "insert into t values (1), (2)")
    prepaid.execute(f"grant select on t to {role}", "alter table t enable row level security")
    if policy:
        prepaid.execute(f"create policy p on t {policy}")
    prepaid.publish("t")
    reader = as_role(prepaid, role, "t")
    (finding,) = found(reader)
    assert (finding.subject, finding.found) == ("table public.t", f"row security hides rows from role {role}")
    with pytest.raises(NotGranted):
        snapshot(reader)
    prepaid.execute(finding.fix)
    assert found(reader) == []
    assert [event.after["id"] for batch in snapshot(reader) for event in events(batch)] == ["1", "2"]


def test_row_security_of_the_owner_counts_only_where_it_is_forced(prepaid: Prepaid, role: str) -> None:
    """The owner sees every row until the table says otherwise."""
    prepaid.execute("create table t (id int primary key)", f"alter table t owner to {role}")
    prepaid.publish("t")
    prepaid.execute("alter table t enable row level security")
    reader = as_role(prepaid, role, "t")
    assert found(reader) == []
    prepaid.execute("alter table t force row level security")
    assert [finding.found for finding in found(reader)] == [f"row security hides rows from role {role}"]


def test_rows_of_children_are_reported_and_not_read_as_the_parents(prepaid: Prepaid) -> None:
    """They come in the stream under the child's name, so the parent's snapshot may not hold them."""
    prepaid.execute(
        "create table t (id int primary key, v text)",
        "create table child (primary key (id)) inherits (t)",
        "insert into t values (1, 'own')",
        "insert into child values (2, 'inherited')",
    )
    prepaid.publish("t")
    reader = prepaid.reader("t")
    assert [finding.found for finding in found(reader)] == ["inherited by public.child, which no rule reads"]
    batches = snapshot(reader)
    prepaid.execute("update t set v = 'new' where id = 2", "insert into t values (3, 'later')")
    stream = Reading(reader, batches[-1].resume).take(1)
    read = [event.after["id"] for batch in batches for event in events(batch)]
    assert (read, [event.after["id"] for event in stream]) == (["1"], ["3"])
    assert found(prepaid.reader("t", "child")) == []


@pytest.mark.parametrize("identity", ["", "alter table t replica identity using index t_pkey"])
def test_included_columns_are_not_part_of_the_key(prepaid: Prepaid, identity: str) -> None:
    """PRIMARY KEY (b, a) INCLUDE (v) is a key of two columns, in that order."""
    prepaid.execute(
        "create table t (a int, b int, v text, primary key (b, a) include (v))", *filter(None, [identity])
    )
    reading = prepaid.start("t")
    assert reading.reader.describe()[TableName("public", "t")].key == ("b", "a")
    assert prepaid.readers[0].preflight() == []
    prepaid.execute("insert into t values (1, 2, 'x')", "update t set v = 'y'", "delete from t")
    *_, deleted = reading.take(3)
    assert (deleted.before["a"], deleted.before["b"]) == ("1", "2")


def test_an_identity_index_needs_the_key_among_its_keys(prepaid: Prepaid) -> None:
    """An included column is in the index and not in the log."""
    prepaid.execute(
        "create table t (id int primary key, email text not null)",
        "create unique index by_email on t (email) include (id)",
        "alter table t replica identity using index by_email",
    )
    prepaid.publish("t")
    assert [finding.found for finding in prepaid.reader("t").preflight()] == [
        "replica identity without the primary key"
    ]


def test_a_database_without_an_encoding_is_refused(postgres: PostgresServer) -> None:
    """One value that is not valid UTF-8 would end the stream, and no row can be taken out of it."""
    name = "t_sql_ascii"
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute(
            f"create database {name} template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'"
        )
    ascii_only = Prepaid(postgres.conninfo(name))
    try:
        ascii_only.execute("create table t (id int primary key)")
        ascii_only.publish("t")
        assert [finding.subject for finding in ascii_only.reader("t").preflight()] == ["server_encoding"]
    finally:
        ascii_only.close()
        with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


@pytest.mark.parametrize("again", [True, False])
def test_a_dropped_publication_is_reported_with_the_way_back(prepaid: Prepaid, *, again: bool) -> None:
    """WAL of a time without it cannot be decoded, also after it was created again."""
    prepaid.execute("create table t (id int primary key)")
    reading = prepaid.start("t")
    prepaid.execute("drop publication ccbridge", "insert into t values (1)")
    if again:
        prepaid.execute("create publication ccbridge for table t")
    with pytest.raises(SlotMissing, match="publication ccbridge did not exist when the WAL") as caught:
        reading.take(1)
    assert "delete from staging.checkpoint where system = 'prepaid';" in caught.value.hint
