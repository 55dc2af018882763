"""The staging schema from empty to head and back, and entity tables that follow the rules."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg.conninfo import make_conninfo

import mapping_rules
from cdc.config import PostgresConnection
from cdc.errors import OperatorError, StagingRevision, TransientError
from cdc.ports import Finding
from cdc.postgres.connect import connect
from cdc.staging.schema import tables
from cdc.staging.schema.entities import entity_metadata
from cdc.staging.schema.migrate import check_revision, downgrade, migrate
from mapping_rules import Entity, EntityColumn, EntityType, Kind, RuleSet
from mapping_rules.language.model import TEXT
from tests.support.migrated import settings_of
from tests.unit.staging.doubles import Event, batch, customer, rule_set
from tests.unit.staging.world import staging

HEAD = max(path.name[:4] for path in (Path(__file__).parents[3] / "migrations" / "versions").glob("0*.py"))


@contextmanager
def session(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def differences(database: str, rules: RuleSet) -> list[Any]:
    """What Alembic finds different between the database and what the code says."""
    metadata = entity_metadata(rules.entities.values())
    for table in tables.fixed_tables().tables.values():
        table.to_metadata(metadata)

    def expected(name: str | None, kind: str, parents: Any) -> bool:
        return name == "staging" if kind == "schema" else not (kind == "table" and str(name)[-7:-5] == "20")

    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database))
    with engine.connect() as connection:
        options = {
            "include_schemas": True,
            "include_name": expected,
            "compare_server_default": True,
            "version_table_schema": "staging",
        }
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    return list(found)


def wrong(settings: PostgresConnection, rules: RuleSet) -> list[Finding]:
    """What check finds in staging, advice about the database left out."""
    return [finding for finding in check_revision(settings, rules) if not finding.advice]


def test_migrate_from_empty_to_head_equals_the_metadata(database: str) -> None:
    """Tables, columns, types, defaults, indexes and comments; with the shipped rules, and data in."""
    rules = mapping_rules.load("ccb_prepaid")
    report = migrate(settings_of(database), rules)
    assert (report.revision_before, report.revision) == (None, HEAD)
    assert "staging.person" in report.created
    assert "staging.person_history" in report.created
    assert differences(database, rules) == []
    assert wrong(settings_of(database), rules) == []


def test_migrate_leaves_no_constraint_out(database: str) -> None:
    """Keys and checks, which Alembic does not compare: as if the metadata had made the tables."""
    definitions = (
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint "
        "where connamespace = 'staging'::regnamespace and conrelid::regclass::text not like '%alembic%' "
        "order by 1, 2"
    )
    with session(database) as connection:
        migrate(settings_of(database), rule_set())
        migrated = connection.execute(definitions).fetchall()
        connection.execute("drop schema staging cascade; create schema staging")
        engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database))
        tables.fixed_tables().create_all(engine)
        entity_metadata(rule_set().entities.values()).create_all(engine)
        engine.dispose()
        assert migrated == connection.execute(definitions).fetchall()
        assert len(migrated) > 15


def test_migrate_again_does_nothing(database: str) -> None:
    """It can stand in a start-up script."""
    settings, rules = settings_of(database), rule_set()
    migrate(settings, rules)
    report = migrate(settings, rules)
    assert (report.revision_before, report.created, report.extended) == (HEAD, (), ())
    with session(database) as connection:
        assert connection.execute("select count(*) from staging.operator_action").fetchone() == (1,)


def test_migrate_down_and_up_again(database: str) -> None:
    """The way back works, and leaves entity tables to their owner."""
    settings, rules = settings_of(database), rule_set()
    migrate(settings, rules)
    downgrade(settings, "base")
    with session(database) as connection:
        left = connection.execute("select tablename from pg_tables where schemaname = 'staging' order by 1")
        assert [name for (name,) in left.fetchall()] == [
            "alembic_version",
            "customer",
            "customer_history",
            "purchase",
            "purchase_history",
        ]
    migrate(settings, rules)
    assert differences(database, rules) == []


@pytest.mark.parametrize("bound", [True, False])
def test_the_position_of_the_payment_upload_leaves_the_checkpoints(database: str, bound: bool) -> None:
    """It goes under the name of the sink, its open dead letters too; unknown, the sink begins again."""
    settings, rules = settings_of(database), rule_set()
    migrate(settings, rules)
    downgrade(settings, "0005")
    with session(database) as connection:
        connection.execute(
            "insert into staging.checkpoint (system, reader, identity, source_position, source_ordinal, "
            "resume, snapshot_complete) values ('shop', 'pgoutput', '{}', 7, 0, '{}', true), "
            "('ccb_payment', 'staging', '{}', 41, -1, '{}', true)"
        )
        connection.execute(
            "insert into staging.dead_letter (stage, system, table_name, rule, key, reason_code, reason) "
            "select 'deliver', sink, 't', 'r', '{}', 'not_positive', 'no' "
            "from unnest(array['ccb_payment', 'till.upsert']) as sink"
        )
        if bound:
            connection.execute(
                "insert into staging.target_binding (sink, system, identity, writes, delivered_seq, reason) "
                "values ('ccb.payment_upload', 'ccb', '{}', 0, 0, 'first use'), "
                "('till.upsert', 'till', '{}', 1, 9, 'first use')"
            )
    migrate(settings, rules)
    with session(database) as connection:
        assert connection.execute("select system from staging.checkpoint").fetchall() == [("shop",)]
        positions = connection.execute("select sink, delivered_seq from staging.sink_position").fetchall()
        assert positions == ([("ccb.payment_upload", 41)] if bound else [])
        letters = "select system from staging.dead_letter where resolved_at is null order by 1"
        assert connection.execute(letters).fetchall() == (
            [("ccb.payment_upload",), ("till.upsert",)] if bound else [("till.upsert",)]
        )


def with_customer(change: Callable[[Entity], Entity]) -> RuleSet:
    """The rules of these tests with another definition of entity customer."""
    rules = rule_set()
    return replace(rules, entities={**rules.entities, "customer": change(rules.entities["customer"])})


def with_column(entity: Entity, column: EntityColumn) -> Entity:
    return replace(entity, columns={**entity.columns, column.name: column})


def test_migrate_extends_entity_tables_that_hold_rows(database: str) -> None:
    """A new column, a new reference and a new comment reach table and history; rows stay."""
    with staging(database) as world:
        world.stager().stage(batch(Event("c", 1, after=customer("a", "Eve"))))
    friend = EntityColumn("best_friend", TEXT, references="customer", comment="who")
    wider = with_customer(lambda entity: with_column(replace(entity, comment="a buyer"), friend))
    assert [finding.found for finding in wrong(settings_of(database), wider)] == [
        "no column staging.customer.best_friend",
        "no column staging.customer_history.best_friend",
        "no index staging.ix_customer_best_friend",
        "no index staging.ix_customer_history_best_friend",
    ]
    report = migrate(settings_of(database), wider)
    assert report.extended == ("staging.customer.best_friend", "staging.customer_history.best_friend")
    assert differences(database, wider) == []
    with session(database) as connection:
        found = connection.execute("select name, best_friend from staging.customer").fetchall()
        assert found == [("Eve", None)]


def test_migrate_refuses_what_would_lose_data(database: str) -> None:
    """Removed and retyped columns and another key: all are named, nothing is changed."""
    settings = settings_of(database)
    migrate(settings, rule_set())

    def spoil(entity: Entity) -> Entity:
        columns = {name: column for name, column in entity.columns.items() if name != "note"}
        columns["credit"] = EntityColumn("credit", EntityType(Kind.DECIMAL, 9, 1))
        columns["extra"] = EntityColumn("extra", TEXT)
        return replace(entity, key=("customer_id", "name"), columns=columns)

    changed = with_customer(spoil)
    with pytest.raises(OperatorError) as caught:
        migrate(settings, changed)
    text = str(caught.value)
    assert "column staging.customer.note: not in the rule set" in text
    assert "column staging.customer.credit: type numeric(15, 2), the rule set says numeric(9, 1)" in text
    assert "table staging.customer: key customer_id, the rule set says customer_id, name" in text
    assert len(wrong(settings, changed)) > 3
    with session(database) as connection:
        assert connection.execute(
            "select count(*) from information_schema.columns where column_name = 'extra'"
        ).fetchone() == (0,)


def test_check_revision_names_what_is_wrong(database: str) -> None:
    """No schema, an older and a newer one: each with what to do; nothing is written."""
    settings, rules = settings_of(database), rule_set()
    assert [(f.found, f.fix) for f in wrong(settings, rules)] == [("no staging schema", "ccbridge migrate")]
    migrate(settings, rules)
    with session(database) as connection:
        connection.execute("update staging.alembic_version set version_num = '9999'")
    (finding,) = wrong(settings, rules)
    assert "unknown to this release" in finding.found
    with pytest.raises(StagingRevision, match="9999"):
        migrate(settings, rules)


def test_migrate_gives_up_when_a_lock_is_held(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not queue every reader behind itself; a second try, when the lock is gone, succeeds."""
    monkeypatch.setattr("cdc.staging.schema.entity_ddl.LOCK_TIMEOUT", "200ms")
    settings = settings_of(database)
    migrate(settings, rule_set())
    wider = with_customer(lambda entity: with_column(entity, EntityColumn("more", TEXT)))
    with session(database) as reader:
        with reader.transaction():
            reader.execute("select 1 from staging.customer")
            with pytest.raises(TransientError, match="lock timeout"):
                migrate(settings, wider)
        assert migrate(settings, wider).extended


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_has_not_characters_is_refused(database: str, encoding: str) -> None:
    """Before anything is made in it, by migrate and by check alike."""
    name = f"e_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0".encode())
        try:
            settings = settings_of(make_conninfo(database, dbname=name))
            with pytest.raises(OperatorError, match=f"found encoding {encoding}"):
                migrate(settings, rule_set())
            (finding,) = wrong(settings, rule_set())
            assert finding.found == f"encoding {encoding}"
        finally:
            admin.execute(f"drop database {name} with (force)".encode())


def test_migrate_twice_at_once(database: str) -> None:
    """Two hosts started together: one migrates, the other waits and finds it done."""
    settings, rules = settings_of(database), rule_set()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            migrate(settings, rules)
        except BaseException as exc:  # noqa: BLE001 - reported to the test
            failures.append(exc)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert wrong(settings, rules) == []


def test_schema_is_closed_to_the_public(database: str) -> None:
    """Rows hold personal data: a role without a grant sees nothing."""
    with staging(database) as world:
        world.execute("create role passer_by login")
        try:
            assert world.query("select has_schema_privilege('passer_by', 'staging', 'usage')") == [(False,)]
        finally:
            world.execute("drop role passer_by")


def test_every_table_and_column_has_a_comment(database: str) -> None:
    """An auditor needs SQL only."""
    with staging(database) as world:
        world.stager().stage(batch(Event("c", 1, after=customer("a"))))
        assert (
            world.query(
                "select c.oid::regclass::text, a.attname from pg_class c "
                "join pg_attribute a on a.attrelid = c.oid and a.attnum >= 0 and not a.attisdropped "
                "where c.relnamespace = 'staging'::regnamespace and c.relkind in ('r', 'p') "
                "and c.relname <> 'alembic_version' "
                "and (col_description(c.oid, a.attnum) is null or obj_description(c.oid) is null)"
            )
            == []
        )


def test_documented_queries_fit_the_schema(database: str) -> None:
    """What docs/staging.md tells auditors to run, runs."""
    migrate(settings_of(database), mapping_rules.load("ccb_prepaid"))
    manual = (Path(__file__).parents[3] / "docs/staging.md").read_text(encoding="utf-8")
    queries = re.findall(r"^```sql\n(.*?)^```", manual, re.MULTILINE | re.DOTALL)
    assert len(queries) > 4
    with session(database) as connection:
        for query in queries:
            connection.execute(query)


def test_limits_that_a_site_sets_for_people_are_not_ours(database: str) -> None:
    """A session that waits in its transaction for another of ours, or maps a batch, is not cut off."""
    settings = settings_of(database)
    with psycopg.connect(database, autocommit=True) as admin:
        for limit in (
            "idle_in_transaction_session_timeout = '20ms'",
            "statement_timeout = '1s'",
            "idle_session_timeout = '1s'",
            "lock_timeout = '20ms'",
            "default_transaction_isolation = 'serializable'",
            "array_nulls = off",
            "xmloption = document",
        ):
            admin.execute(f"alter database {settings.database} set {limit}".encode())
    assert migrate(settings, rule_set()).created
    with connect(settings, application="test") as connection:
        (isolation,) = connection.execute("show transaction_isolation").fetchone() or ("",)
        connection.execute("select pg_sleep(0.1)")
        time.sleep(0.1)  # what is limited is that nothing happens for so long
        read = connection.execute("select ('{NULL}'::text[])[1] is null, 'a<b/>'::xml is not null").fetchone()
    assert read == (True, True), "texts mean what they mean elsewhere"
    assert isolation == "read committed"
