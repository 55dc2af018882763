"""The SQL of outbound rules against PostgreSQL, with staging as its writer keeps it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql

from mapping_rules import Entity, OutboundProgram, RuleSet, compile_outbound, from_files

SYSTEMS = "ccb: {conventions: ouaf, schema: CISADM}\nprepaid: {conventions: plain, schema: public}\n"
ACCOUNT = """\
entity: account
key: [account_id]
columns:
  account_id: {type: text}
  status: {type: text}
  owner_id: {type: text, references: person}
"""
PERSON = "entity: person\nkey: [person_id]\ncolumns: {person_id: {type: text}, name: {type: text}}\n"
AGREEMENT = """\
entity: agreement
key: [agreement_id]
columns:
  agreement_id: {type: integer}
  account_id: {type: text, references: account}
  kind: {type: text}
  active: {type: boolean}
"""
POINT = """\
entity: point
key: [point_id]
columns:
  point_id: {type: text}
  agreement_id: {type: integer, references: agreement}
  stopped_on: {type: date}
  amount: {type: decimal, precision: 9, scale: 2}
"""
RULE = """\
to: prepaid
table: account
sink: upsert
key: {id: account.account_id}
from: account
join:
  owner: {entity: person, on: {person_id: account.owner_id}}
  agreement: {entity: agreement, on: account_id, where: {kind: [P, Q]}, pick: {order: [active desc, agreement_id]}}
  point: {entity: point, on: {agreement_id: agreement.agreement_id}, where: {stopped_on: null}, pick: {order: [amount desc]}}
where: {status: {not: closed}}
columns:
  owner: owner.name
  agreement: agreement.agreement_id
  active: {from: agreement.active, if_null: false}
  kind: {from: agreement.kind, lookup: kind}
  point: point.point_id
  amount: point.amount
require: [owner]
on_delete: delete
"""  # noqa: E501 - one line a join reads best
FILES = {
    "systems.yaml": SYSTEMS,
    "entities/account.yaml": ACCOUNT,
    "entities/person.yaml": PERSON,
    "entities/agreement.yaml": AGREEMENT,
    "entities/point.yaml": POINT,
    "lookups/kind.yaml": "lookup: kind\nvalues: {P: prepaid}\ndefault: 100% other\n",
    "outbound/account.yaml": RULE,
}
Row = dict[str, Any]


@dataclass
class Staging:
    """Entity tables and histories, one version a call, as the stager keeps them."""

    connection: psycopg.Connection[Any]
    rule_set: RuleSet
    seq: int = 0
    current: dict[tuple[str, Any], Row] = field(default_factory=dict)

    def create(self) -> None:
        self.connection.execute("create schema staging")
        for entity in self.rule_set.entities.values():
            columns = ", ".join(f'"{column.name}" {column.type.sql}' for column in entity.columns.values())
            key = ", ".join(entity.key)
            self._run(
                f"create table staging.{entity.name} ({columns}, staged_seq bigint, tombstone boolean,"
                f" primary key ({key}))"
            )
            self._run(
                f"create table staging.{entity.name}_history ({columns}, staged_seq bigint,"
                " tombstone boolean, superseded_seq bigint)"
            )

    def put(self, name: str, row: Row, *, tombstone: bool = False) -> None:
        """Stage one version of a row; the one before goes to the history."""
        entity = self.rule_set.entities[name]
        self.seq += 1
        key = entity.key[0]
        old = self.current.get((name, row[key]))
        if old is not None:
            self._insert(f"{name}_history", {**old, "superseded_seq": self.seq})
            self.connection.execute(
                sql.SQL("delete from staging.{} where {} = %s").format(
                    sql.Identifier(name), sql.Identifier(key)
                ),
                [row[key]],
            )
        version = {**_full(entity, row, tombstone), "staged_seq": self.seq, "tombstone": tombstone}
        self._insert(name, version)
        self.current[name, row[key]] = version

    def changed(self, program: OutboundProgram, low: int, high: int) -> set[str]:
        """Root keys that the program says are touched."""
        found = self.connection.execute(program.changed_keys_sql, {"low": low, "high": high}).fetchall()
        keys = [key for (key,) in found]
        assert len(keys) == len(set(keys))
        return set(keys)

    def desired(self, program: OutboundProgram, keys: Iterator[str] | set[str]) -> dict[str, Row]:
        """Target rows of the keys."""
        self.connection.execute("create temporary table if not exists affected_key (k1 text)")
        self.connection.execute("truncate pg_temp.affected_key")
        for key in keys:
            self.connection.execute("insert into pg_temp.affected_key values (%s)", [key])
        cursor = self.connection.execute(program.desired_sql)
        names = [column.name for column in cursor.description or ()]
        return {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}

    def _insert(self, table: str, row: Row) -> None:
        self.connection.execute(
            sql.SQL("insert into staging.{} ({}) values ({})").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join([sql.Placeholder()] * len(row)),
            ),
            list(row.values()),
        )

    def _run(self, statement: str) -> None:
        self.connection.execute(statement)


def _full(entity: Entity, row: Row, tombstone: bool) -> Row:
    return {name: row.get(name) if name in entity.key or not tombstone else None for name in entity.columns}


@pytest.fixture
def staging(database: str) -> Iterator[Staging]:
    with psycopg.connect(database, autocommit=True) as connection:
        made = Staging(connection, from_files("test", FILES))
        made.create()
        yield made


def program(staging: Staging) -> OutboundProgram:
    (only,) = compile_outbound(staging.rule_set, "prepaid")
    return only


def fill(staging: Staging) -> None:
    staging.put("person", {"person_id": "p", "name": "Nana"})
    staging.put("account", {"account_id": "a", "status": "open", "owner_id": "p"})
    staging.put("agreement", {"agreement_id": 2, "account_id": "a", "kind": "P", "active": True})
    staging.put("agreement", {"agreement_id": 1, "account_id": "a", "kind": "Q", "active": None})
    staging.put("point", {"point_id": "s", "agreement_id": 2, "amount": Decimal("1.50")})
    staging.put("point", {"point_id": "t", "agreement_id": 2, "amount": None})


def test_the_desired_row_joins_picks_and_translates(staging: Staging) -> None:
    """The picked agreement is the active one, its point the one still running with the largest amount."""
    fill(staging)
    assert staging.desired(program(staging), {"a"})["a"] == {
        "id": "a",
        "owner": "Nana",
        "agreement": 2,
        "active": True,
        "kind": "prepaid",
        "point": "s",
        "amount": Decimal("1.50"),
        "_deleted": False,
        "_staged_seq": 5,
    }


def test_a_pick_falls_back_when_the_first_is_gone(staging: Staging) -> None:
    """Tombstones and rows that stop matching are not joined; missing values get their stand-in."""
    fill(staging)
    staging.put("agreement", {"agreement_id": 2}, tombstone=True)
    row = staging.desired(program(staging), {"a"})["a"]
    assert (row["agreement"], row["active"], row["kind"], row["point"]) == (1, False, "100% other", None)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.put("account", {"account_id": "a"}, tombstone=True),
        lambda s: s.put("account", {"account_id": "a", "status": "closed", "owner_id": "p"}),
        lambda s: s.put("person", {"person_id": "p"}, tombstone=True),
        lambda s: s.put("account", {"account_id": "a", "status": "open", "owner_id": "no one"}),
    ],
    ids=["root deleted", "root no longer matches", "required row deleted", "required row missing"],
)
def test_rows_that_should_not_be_are_marked(staging: Staging, change: Any) -> None:
    """The target row is to go, and nothing of it is claimed to be known but its key."""
    fill(staging)
    change(staging)
    row = staging.desired(program(staging), {"a"})["a"]
    assert row["_deleted"]
    assert row["_staged_seq"] > 0
    assert {row[name] for name in ("owner", "agreement", "active", "kind", "point", "amount")} == {None}


def test_an_unknown_key_counts_as_deleted(staging: Staging) -> None:
    """A held key whose root was never staged does not vanish from the answer."""
    assert staging.desired(program(staging), {"x"})["x"]["_deleted"]


def test_a_child_that_moves_touches_both_parents(staging: Staging) -> None:
    """The parent it left changes too; only the history still knows it."""
    fill(staging)
    staging.put("account", {"account_id": "b", "status": "open", "owner_id": "p"})
    low = staging.seq
    staging.put("agreement", {"agreement_id": 2, "account_id": "b", "kind": "P", "active": True})
    assert staging.changed(program(staging), low, staging.seq) == {"a", "b"}


def test_a_grandchild_touches_the_root_through_the_joins(staging: Staging) -> None:
    """Joins are followed back link by link."""
    fill(staging)
    low = staging.seq
    staging.put("point", {"point_id": "s", "agreement_id": 2, "amount": Decimal(9)})
    assert staging.changed(program(staging), low, staging.seq) == {"a"}


def test_rows_that_never_took_part_touch_nothing(staging: Staging) -> None:
    """An agreement of another kind costs no delivery."""
    fill(staging)
    low = staging.seq
    staging.put("agreement", {"agreement_id": 7, "account_id": "a", "kind": "X", "active": True})
    assert staging.changed(program(staging), low, staging.seq) == set()
    assert staging.changed(program(staging), 0, low) == {"a"}


@pytest.mark.parametrize("seed", range(4))
def test_no_difference_escapes_the_changed_keys(staging: Staging, seed: int) -> None:
    """Whatever changes in staging: a target row that would differ is among the keys named.

    If one were missed, the target would stay wrong until the next full comparison.
    """
    pick = random.Random(seed)  # noqa: S311 - no secret
    compiled = program(staging)
    accounts = {"a", "b", "c"}
    before = staging.desired(compiled, accounts)
    for _ in range(25):
        low = staging.seq
        for _ in range(pick.randint(1, 4)):
            _random_change(staging, pick)
        after = staging.desired(compiled, accounts)
        differing = {key for key in accounts if _visible(before[key]) != _visible(after[key])}
        assert differing <= staging.changed(compiled, low, staging.seq)
        before = after


def _visible(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "_staged_seq"}


def _random_change(staging: Staging, pick: random.Random) -> None:
    name = pick.choice(["account", "person", "agreement", "point"])
    rows: dict[str, Row] = {
        "account": {
            "account_id": pick.choice("abc"),
            "status": pick.choice(["open", "closed", None]),
            "owner_id": pick.choice(["p", "q", None]),
        },
        "person": {"person_id": pick.choice("pq"), "name": pick.choice(["Nana", "Ndip", None])},
        "agreement": {
            "agreement_id": pick.randint(1, 4),
            "account_id": pick.choice("abc"),
            "kind": pick.choice("PQX"),
            "active": pick.choice([True, False, None]),
        },
        "point": {
            "point_id": pick.choice("st"),
            "agreement_id": pick.randint(1, 4),
            "stopped_on": pick.choice([None, None, date(2024, 1, 1)]),
            "amount": pick.choice([None, Decimal("1.00"), Decimal("2.50")]),
        },
    }
    staging.put(name, rows[name], tombstone=pick.random() < 0.2)
