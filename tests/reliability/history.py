"""Reads staging with its own SQL and says where its history has a gap; no code of the product is used.

The change log is played again, key by key: each row's image before a change must be what the changes before
it left, so a change that was lost, or is there twice, does not fit. What is left at the end must be what the
source holds now. Versions of each key must follow one another without a hole, in numbers and in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import oracledb
import psycopg
from psycopg import sql

Image = Mapping[str, str | None]

WRITTEN_BY_US = frozenset(("CI_PAY_TNDR_ST", "customer", "account", "counter_payment"))
"""The log leaves our own writes out, so images of these need not follow one another."""


class Change(NamedTuple):
    """A row of staging.change."""

    table: str
    operation: str
    key: Image | None
    before: Image | None
    after: Image | None
    place: tuple[int, int]


class Replayed(NamedTuple):
    """What a system's changes add up to."""

    rows: dict[str, dict[tuple[str | None, ...], Image]]
    """By table and key: the row."""
    keys: dict[str, tuple[str, ...]]
    """By table: the key's columns."""
    failures: list[str]
    snapshots: dict[str, int]
    """By table: position of the newest snapshot. It holds all rows; what it did not bring was deleted."""


def gaps(
    staging: psycopg.Connection[Any], prepaid: psycopg.Connection[Any], ccb: oracledb.Connection
) -> list[str]:
    """Everything in staging that does not fit; call it when nothing is under way.

    Raises:
        oracledb.Error, psycopg.Error: a database cannot be read.
    """
    found = _numbers(staging) + _versions(staging)
    for system, source in (("prepaid", prepaid), ("ccb", ccb)):
        replayed = replay(_changes(staging, system))
        found += replayed.failures
        for table in replayed.rows.keys() - WRITTEN_BY_US:
            found += unequal(table, replayed, source)
    return found


def replay(changes: Iterable[Change]) -> Replayed:
    """Play one system's changes, in their order, and note what does not follow from what was before."""
    played = Replayed({}, {}, [], {})
    for change in changes:
        if change.key is not None:
            _play(change, played)
    return played


def _play(change: Change, played: Replayed) -> None:
    assert change.key is not None
    names = played.keys.setdefault(change.table, tuple(sorted(change.key)))
    rows = played.rows.setdefault(change.table, {})
    if change.operation == "r" and played.snapshots.get(change.table) != change.place[0]:
        played.snapshots[change.table] = change.place[0]
        rows.clear()
    before, after = change.before or {}, change.after or {}
    key = tuple(change.key[name] for name in names)
    was = tuple(before.get(name, change.key[name]) for name in names)
    known = rows.get(was)
    checked = change.table not in WRITTEN_BY_US and change.operation != "r"
    if checked and (known is None) != (change.operation == "c"):
        said = "created though it was there" if known else f"operation {change.operation} on a row never seen"
        played.failures.append(f"{change.table} {was} at {change.place}: {said}")
    elif checked and known is not None:
        played.failures.extend(
            f"{change.table} {was} at {change.place}: {name} was {known[name]!r}, the change says {value!r}"
            for name, value in before.items()
            if name in known and known[name] != value
        )
    rows.pop(was, None)
    if change.operation in "cur":
        rows[key] = {**(known or {} if change.operation == "u" else {}), **after}


def unequal(
    table: str, replayed: Replayed, source: psycopg.Connection[Any] | oracledb.Connection
) -> list[str]:
    """Where the rows that the log adds up to are not the source's rows."""
    rows, names = replayed.rows[table], replayed.keys[table]
    columns = sorted({name for row in rows.values() for name in row})
    found = {}
    for values in _source_rows(source, table, columns):
        row = dict(zip(columns, values, strict=True))
        found[tuple(row[name] for name in names)] = row
    failures = [f"{table} {key}: in the log only" for key in rows.keys() - found.keys()]
    failures += [f"{table} {key}: in the source only" for key in found.keys() - rows.keys()]
    failures += [
        f"{table} {key} {name}: the log adds up to {value!r}, the source holds {found[key][name]!r}"
        for key, row in rows.items()
        if key in found
        for name, value in row.items()
        if _plain(value) != _plain(found[key][name])
    ]
    return failures


def _source_rows(
    source: psycopg.Connection[Any] | oracledb.Connection, table: str, columns: Sequence[str]
) -> list[tuple[str | None, ...]]:
    names = ", ".join(columns)
    if isinstance(source, psycopg.Connection):
        source.execute("set time zone 'UTC'")
        texts = ", ".join(f"{name}::text" for name in columns)
        return source.execute(f"select {texts} from public.{table}".encode()).fetchall()
    with source.cursor() as cursor:
        cursor.arraysize = 5_000
        cursor.execute(f"select {names} from CISADM.{table}")
        return [tuple(map(_text, row)) for row in cursor]


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    assert isinstance(value, int | Decimal), value
    return str(value)


def _plain(value: str | None) -> str | None:
    """Numbers without zeros at the end: 5000.00 is 5000."""
    if value is not None and "." in value and value.replace(".", "", 1).lstrip("-").isdigit():
        return value.rstrip("0").rstrip(".")
    return value


def _changes(staging: psycopg.Connection[Any], system: str) -> Iterable[Change]:
    with staging.cursor(name="changes") as cursor:
        cursor.itersize = 20_000
        cursor.execute(
            "select table_name, operation, key, before, after, source_position, source_ordinal"
            " from staging.change where system = %s order by source_position, source_ordinal, batch_id",
            [system],
        )
        for table, operation, key, before, after, position, ordinal in cursor:
            yield Change(table, operation, key, before, after, (position, ordinal))


def _numbers(staging: psycopg.Connection[Any]) -> list[str]:
    """A place in the source's stream that is there twice."""
    twice = staging.execute(
        "select system, source_position, source_ordinal, count(*) from staging.change where operation <> 'r'"
        " group by 1, 2, 3 having count(*) > 1"
    )
    return [f"{system}: {count} changes at {(position, n)}" for system, position, n, count in twice]


def _versions(staging: psycopg.Connection[Any]) -> list[str]:
    """Keys whose versions do not follow one another."""
    tables = staging.execute(
        "select c.relname, array_agg(a.attname::text order by a.attnum) from pg_class c"
        " join pg_index i on i.indrelid = c.oid and i.indisprimary"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)"
        " where c.relnamespace = 'staging'::regnamespace"
        " and to_regclass('staging.' || quote_ident(c.relname || '_history')) is not null group by 1"
    ).fetchall()
    assert len(tables) > 10, tables
    failures = []
    for table, key in tables:
        broken = staging.execute(
            sql.SQL(
                "select {key}, staged_seq from (select *, lead(staged_seq) over w as next,"
                " lead(valid_from) over w as next_from from ("
                "  select {key}, staged_seq, superseded_seq, valid_from, valid_to from staging.{history}"
                "  union all select {key}, staged_seq, null, committed_at, null from staging.{table}"
                " ) as v window w as (partition by {key} order by staged_seq)) as chained"
                " where superseded_seq is distinct from next or valid_to is distinct from next_from"
            ).format(
                key=sql.SQL(", ").join(map(sql.Identifier, key)),
                table=sql.Identifier(table),
                history=sql.Identifier(table + "_history"),
            )
        ).fetchall()
        failures += [f"{table} {row}: the version after it does not follow" for row in broken]
    return failures
