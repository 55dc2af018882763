"""Values and keys in the target's types: written and read back equal, or refused, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from cdc.changes import TableName
from cdc.ports import Written
from cdc.postgres.connect import connect
from cdc.readers.pgoutput.wire.canonical import SESSION_OPTIONS
from mapping_rules import EntityType, Kind, OutboundProgram
from sinks.upsert.checks import column_checks
from sinks.upsert.sink import UpsertSink
from sinks.upsert.statements.target_tables import TargetTable, describe
from sinks.upsert.target_session import _SETTINGS
from tests.integration.sinks.upsert_target import Target, desired, program, target_database

ZONE = "Europe/Paris"
SAMPLES = {
    '"char"': "x",
    "bigint": "9223372036854775807",
    "bit varying": "101",
    '"bit"': "1",
    "boolean": "true",
    "box": "(3,4),(1,2)",
    "bpchar": "ab",
    "bytea": "deadbeef",
    "character varying": "é x ",
    "cid": "12",
    "cidr": "10.0.0.0/8",
    "circle": "<(1,2),3>",
    "citext": "Abc",
    "date": "2024-02-29",
    "datemultirange": "{[2024-01-01,2024-02-01)}",
    "daterange": "[2024-01-01,2024-02-01)",
    "double precision": "1e+20",
    "hstore": '"a"=>"1"',
    "inet": "10.0.0.1",
    "int2vector": "1 2 3",
    "int4multirange": "{[1,3),[5,7)}",
    "int4range": "[1,5)",
    "int8multirange": "{[1,3)}",
    "int8range": "[1,5)",
    "integer": "-7",
    "interval": "1 mon 2 days 03:04:05.6",
    "json": '{"a":  [1, null]}',
    "jsonb": '{"a": [1, null]}',
    "jsonpath": '$."a"',
    "line": "{1,2,3}",
    "lseg": "[(1,2),(3,4)]",
    "macaddr": "08:00:2b:01:02:03",
    "macaddr8": "08:00:2b:01:02:03:04:05",
    "money": "$1.50",
    "mood": "so so",
    "name": "abc",
    "numeric": "1.50",
    "nummultirange": "{[1.5,2.5]}",
    "numrange": "[1.5,2.5]",
    "oid": "4294967295",
    "oidvector": "1 2",
    "pair": '(1,"a b")',
    "path": "((1,2),(3,4))",
    "pg_lsn": "16/B374D848",
    "pg_snapshot": "10:20:10,15",
    "point": "(1,2)",
    "polygon": "((1,2),(3,4))",
    "positive": "7",
    "real": "1.5",
    "refcursor": "c",
    "smallint": "-32768",
    "text": 'é\\N\n"x" ',
    "tid": "(1,2)",
    "time with time zone": "12:34:56+02",
    "time without time zone": "12:34:56.7",
    "timestamp with time zone": "2024-02-29 12:34:56+00",
    "timestamp without time zone": "2024-02-29 12:34:56",
    "tsmultirange": '{["2024-01-01 00:00:00","2024-01-02 00:00:00")}',
    "tsquery": "'a' & 'b'",
    "tsrange": '["2024-01-01 00:00:00","2024-01-02 00:00:00")',
    "tstzmultirange": '{["2024-01-01 00:00:00+00","2024-01-02 00:00:00+00")}',
    "tstzrange": '["2024-01-01 00:00:00+00","2024-01-02 00:00:00+00")',
    "tsvector": "'a':1 'b':2",
    "txid_snapshot": "10:20:10,15",
    "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "xid": "12",
    "xid8": "12",
    "xml": "<a>1</a>",
}
"""One value of each type as PostgreSQL writes it; bytea as staging has it."""

VALUES = {
    Kind.INTEGER: ["0", "-7", "99"],
    Kind.DECIMAL: ["0.00", "-7.00", "99.00"],
    Kind.BOOLEAN: ["true", "false"],
    Kind.DATE: ["2024-02-29", "1999-12-31"],
    Kind.TIMESTAMP: ["2024-07-01 12:34:56.789+00", "2024-12-31 23:30:00+00"],
}
NAMED = """
select t.typname, format_type(t.oid, -1), t.typarray <> 0 from pg_type t
where t.typtype in ('b', 'r', 'm', 'e', 'd', 'c') and t.typcategory <> 'P'
    and (t.typnamespace = 'pg_catalog'::regnamespace or t.typnamespace = 'public'::regnamespace)
    and (t.typrelid = 0 or t.typname = 'pair') and t.typname !~ '^_'
"""


@pytest.fixture
def target(database: str) -> Iterator[Target]:
    with target_database(database) as target:
        yield target


@pytest.fixture
def sink(target: Target) -> Iterator[UpsertSink]:
    sink = target.sink()
    yield sink
    sink.close()


def of_kind(rule: OutboundProgram, kind: Kind) -> OutboundProgram:
    """The rule with columns of one kind."""
    precision = (15, 2) if kind is Kind.DECIMAL else (None, None)
    types = dict.fromkeys(rule.columns, EntityType(kind, *precision))
    return replace(rule, name=f"{kind}_{len(rule.columns)}", column_types={**rule.column_types, **types})


def reasons(written: Written) -> dict[str, str]:
    return {
        " ".join(json.loads(key).values()): code
        for key, code in written.held.select("key", "reason_code").rows()
    }


def in_utc(target: Target, query: str) -> Any:
    """The one value of a query."""
    with psycopg.connect(target.conninfo, options="-c timezone=UTC") as connection:
        [(value,)] = connection.execute(query).fetchall()
    return value


def described(target: Target, name: str) -> TargetTable:
    with psycopg.connect(target.conninfo) as connection:
        table = describe(connection, TableName("public", name))
    assert table is not None
    return table


def all_types(target: Target) -> dict[str, str]:
    """Every type there is as column name -> SQL name, arrays included, and sample arrays put into SAMPLES."""
    target.run(
        "create extension citext; create extension hstore; create type mood as enum ('so so', 'fine');"
        "create domain positive as numeric check (value > -1000); create type pair as (a int, b text)"
    )
    found = {}
    for name, sql_name, has_array in target.rows(NAMED):
        if name in ("customer", "account", "recharge"):
            continue
        found[name] = sql_name
        if has_array:
            found[f"{name}[]"] = f"{sql_name}[]"
    return found


def sample(target: Target, sql_name: str) -> str:
    """A text of the type as the source would have it; of an array with an empty place."""
    element = sql_name.removesuffix("[]")
    value = SAMPLES[element]
    if element == sql_name:
        return value
    made = "'\\xdeadbeef'" if element == "bytea" else psycopg.sql.Literal(value).as_string()
    return str(in_utc(target, f"select array[{made}, null]::{sql_name}::text"))


def test_every_kind_into_every_type_comes_back_equal_or_is_refused_by_check(database: str) -> None:
    """All types of the catalog, arrays, domains, enumerations, ranges, composites and two extensions."""
    with target_database(database) as target:
        target.settings = target.settings.model_copy(update={"time_zone": ZONE})
        types = all_types(target)
        columns = ", ".join(f'"{name}" {sql_name}' for name, sql_name in types.items())
        target.run(f"create table m (id text primary key, {columns})")
        table = described(target, "m")
        sink = target.sink()
        allowed_pairs = 0
        for kind in Kind:
            whole = of_kind(program("m", ["id"], list(types)), kind)
            refused = {}
            for finding in column_checks.pair_findings(table, whole):
                refused[finding.subject.removeprefix("column public.m.")] = finding.found
                assert kind.value in finding.found
            for name, found in refused.items():
                declared = table.column(name)
                assert declared is not None
                assert declared.declared in found
            allowed = [name for name in types if name not in refused]
            allowed_pairs += len(allowed)
            rule = of_kind(program("m", ["id"], allowed), kind)
            rows = (
                [[sample(target, types[name]) for name in allowed]]
                if kind is Kind.TEXT
                else [[value] * len(allowed) for value in VALUES[kind]]
            )
            keyed = [[f"{kind}{number}", *row] for number, row in enumerate(rows)]
            for up_to in (1, 2):
                written = sink.write([(rule, desired(rule, *keyed))], up_to=up_to, record=target.record)
                assert written.held.rows() == [], kind
                assert written.written == (len(keyed) if up_to == 1 else 0), "an equal row is left alone"
            for key, *values in keyed:
                back = came_back(target, kind, key, {name: types[name] for name in allowed})
                for name, value, found in zip(allowed, values, back, strict=True):
                    assert found == expected(kind, value, types[name]), (kind, types[name])
        sink.close()
        assert allowed_pairs > 150


def came_back(target: Target, kind: Kind, key: str, types: dict[str, str]) -> list[Any]:
    """What the target holds in these columns, by its own means."""
    forms = ", ".join(form(kind, sql_name).format(f'"{name}"') for name, sql_name in types.items())
    texts = in_utc(target, f"select array[{forms}] from m where id = '{key}'")
    if kind in (Kind.INTEGER, Kind.DECIMAL):
        return [Decimal(text) for text in texts]
    return [text.removesuffix(" 00:00:00") if kind is Kind.DATE else text for text in texts]


def form(kind: Kind, sql_name: str) -> str:
    """How a column of the target is made a text that can be compared with the value of the kind."""
    if kind is Kind.TIMESTAMP and sql_name == "timestamp with time zone":
        return "({} at time zone 'UTC')::text"
    if kind is Kind.TIMESTAMP and sql_name == "timestamp without time zone":
        return f"({{}} at time zone '{ZONE}' at time zone 'UTC')::text"
    if kind is Kind.DATE and sql_name == "timestamp with time zone":
        return f"({{}} at time zone '{ZONE}')::text"
    if sql_name == "money" and kind is not Kind.TEXT:
        return "{}::numeric::text"
    return {"bytea": "encode({}, 'hex')", "inet": "host({})"}.get(sql_name, "{}::text")


def expected(kind: Kind, value: str, sql_name: str) -> Any:
    if kind in (Kind.INTEGER, Kind.DECIMAL):
        return Decimal(value)
    if kind is Kind.TIMESTAMP and sql_name == "date":
        return {"2024-12-31 23:30:00+00": "2025-01-01"}.get(value, value[:10])
    if kind is Kind.TIMESTAMP and sql_name.startswith("timestamp"):
        return value.removesuffix("+00")
    return value


CHANGED = [
    (Kind.DECIMAL, "money", "12.345"),
    (Kind.DECIMAL, "real", "123456789.123"),
    (Kind.INTEGER, "real", "16777217"),
    (Kind.DECIMAL, "integer", "12.50"),
    (Kind.DECIMAL, "numeric(9,1)", "12.25"),
    (Kind.DECIMAL, "double precision", "0.12345678901234567"),
    (Kind.TEXT, "name", "n" * 70),
    (Kind.TEXT, '"char"', "xy"),
    (Kind.TEXT, "timestamptz", "now"),
    (Kind.TEXT, "date", "tomorrow"),
    (Kind.TEXT, "time", "allballs"),
    (Kind.TEXT, "bytea", "hello"),
    (Kind.TEXT, "integer", "007"),
    (Kind.TEXT, "numeric", "00.5"),
    (Kind.TEXT, "interval", "1 day 24:00"),
    (Kind.TEXT, "interval(0)", "00:00:01.5"),
    (Kind.TEXT, "bit(3)", "10101"),
    (Kind.TEXT, "varchar(3)[]", "{abcdef}"),
    (Kind.TEXT, "tsvector", "a fat cat"),
    (Kind.TEXT, "int4range", "[1,5]"),
    (Kind.TEXT, "boolean", "yes"),
    (Kind.TEXT, "uuid", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"),
    (Kind.TEXT, "time(0)", "12:34:56.7"),
    (Kind.TEXT, "money", "12"),
    (Kind.TEXT, "oid", "-1"),
    (Kind.TEXT, "numeric(4,1)[]", "{1.25}"),
    (Kind.TIMESTAMP, "timestamptz(0)", "2024-01-01 00:00:00.5+00"),
    (Kind.TIMESTAMP, "timestamp", "2024-10-27 00:30:00+00"),
]
"""The last is the first of the two times 02:30 that night in the zone."""


def test_value_that_the_type_would_change_is_a_dead_letter(database: str) -> None:
    """Rounded, cut, evaluated, decoded or spelt in another way: named by its column, and not written."""
    with target_database(database) as target:
        target.settings = target.settings.model_copy(update={"time_zone": ZONE})
        columns = ", ".join(f"v{number} {type_}" for number, (_, type_, _) in enumerate(CHANGED))
        target.run(f"create table m (id text primary key, {columns})")
        sink = target.sink()
        for number, (kind, type_, value) in enumerate(CHANGED):
            rule = of_kind(program("m", ["id"], [f"v{number}"]), kind)
            written = sink.write([(rule, desired(rule, ["1", value]))], up_to=1, record=target.record)
            [(reason, code)] = written.held.select("reason", "reason_code").rows()
            assert f"m.v{number}" in reason, (type_, value)
            assert value not in reason
            assert code in (
                "value_not_representable",
                "invalid_parameter_value",
                "invalid_text_representation",
            ), type_
        assert target.rows("select count(*) from m") == [(0,)]
        sink.close()


def test_date_is_midnight_of_the_site_in_a_column_with_zone(database: str) -> None:
    """Not of UTC, where it would be another day for the site."""
    with target_database(database) as target:
        target.settings = target.settings.model_copy(update={"time_zone": ZONE})
        target.run("create table m (id text primary key, v timestamptz)")
        rule, sink = of_kind(program("m", ["id"], ["v"]), Kind.DATE), target.sink()
        sink.write([(rule, desired(rule, ["1", "2024-07-01"]))], up_to=1, record=target.record)
        sink.close()
        assert in_utc(target, "select v::text from m") == "2024-06-30 22:00:00+00"


KEYS = {
    "citext": ("create extension citext schema pg_catalog", "citext", "Abc", "aBC", "aBC"),
    "citext elsewhere": (
        "create schema ext; create extension citext schema ext",
        "ext.citext",
        "É",
        "é",
        "é",
    ),
    "uuid": (
        "",
        "uuid",
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    "numeric": ("", "numeric", "1.5", "1.50", "1.5"),
    "collation": (
        "create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "text collate ci",
        "Straße",
        "STRASSE",
        "STRASSE",
    ),
}
"""Statement, type, a key, the same key spelt in another way, and how the target shows the second."""


@pytest.mark.parametrize("case", KEYS)
def test_key_spelt_in_another_way_is_the_same_row(target: Target, sink: UpsertSink, case: str) -> None:
    """In one write or in two, in either order: the row stays, spelt as now; of two live rows none wins."""
    statement, type_, one, other, shown = KEYS[case]
    if statement.startswith("create collation"):
        try:
            target.run(statement)
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("this PostgreSQL was built without ICU, so it has no such collations")
    elif statement:
        target.run(statement)
    target.run(f"create table k (id {type_} primary key, v text)")
    rule = program("k", ["id"], ["v"])
    read = "select id::text, v from k"
    live: set[str] = {one}

    def write(*rows: list[str], gone: tuple[str, ...] = ()) -> Written:
        def alive(_rule: object, keys: Any, _likeness: object) -> Any:
            return desired(rule, *([key, ""] for key in sorted(live))).select("id")

        frame = desired(rule, *rows, gone=gone)
        return sink.write([(rule, frame)], up_to=1, record=target.record, live=alive)

    write([one, "a"])
    live = {other}
    assert write([other, "b"], gone=(one,)).held.is_empty()
    assert target.rows(read) == [(shown, "b")], "key update in one write"
    live = {one}
    write([one, "c"])
    assert write(gone=(other,)).held.is_empty()
    assert [v for _, v in target.rows(read)] == ["c"], "deleted after the new spelling was written"
    live = {other}
    write(gone=(one,))
    assert len(target.rows(read)) == 1, "gone, and a row that is to come in a later write has its key"
    live = {one, other}
    assert reasons(write([one, "d"], [other, "e"])) == {one: "duplicate_key", other: "duplicate_key"}
    outcome = reasons(write([one, "f"])) | reasons(write([other, "g"]))
    assert set(outcome.values()) == {"duplicate_key"}, "neither overwrites the other"
    live = set()
    write(gone=(one, other))
    assert target.rows(read) == []
    assert write(gone=(one,)).held.is_empty()


def test_uncastable_key_among_loose_ones_is_held_alone(target: Target, sink: UpsertSink) -> None:
    """Comparing keys needs them cast; one that cannot be does not stand in the way."""
    target.run("create table k (id uuid primary key, v text)")
    rule = program("k", ["id"], ["v"])
    good = ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12"]
    rows = desired(
        rule, [good[0], "x"], ["no uuid", "y"], [good[1], "z"], ["A0eebc99-9C0B-4EF8-BB6D-6BB9BD380A13", "m"]
    )
    written = sink.write([(rule, rows)], up_to=1, record=target.record)
    assert set(reasons(written).values()) == {"invalid_text_representation", "value_not_representable"}
    assert sorted(v for _, v in target.rows("select id, v from k")) == ["x", "z"]


def test_key_of_a_type_in_which_values_are_equal_by_other_rules_is_refused_by_check(target: Target) -> None:
    """Both the kind and the type are named."""
    target.run(
        "create table k (id interval primary key, v text); create table l (id date primary key, v text)"
    )
    rule = program("k", ["id"], ["v"])
    [finding] = column_checks.pair_findings(described(target, "k"), rule)
    assert "interval" in finding.found
    assert "text" in finding.found
    moments = program("l", ["id"], ["v"], instants=["id"])
    [finding] = column_checks.pair_findings(described(target, "l"), moments)
    assert re.search("date.*timestamp", finding.found)


def test_identity_that_is_always_generated_takes_the_key_of_staging(target: Target, sink: UpsertSink) -> None:
    """What check passes can be written."""
    target.run("create table k (id bigint generated always as identity primary key, v text)")
    rule = program("k", ["id"], ["v"])
    assert sink.preflight([rule]) == []
    written = sink.write([(rule, desired(rule, ["7", "x"]))], up_to=1, record=target.record)
    assert (written.written, target.rows("select * from k")) == (1, [(7, "x")])


def test_check_tries_what_a_write_does(target: Target, sink: UpsertSink) -> None:
    """A statement that fails for no row is found before the first row."""
    target.run(
        "create table k (id text primary key, v text);"
        "create function f() returns trigger language plpgsql as "
        "$$ begin perform 1 from gone; return null; end $$;"
        "create trigger broken after insert on k for each statement execute function f()"
    )
    rule = program("k", ["id"], ["v"])
    [finding] = sink.preflight([rule])
    assert "42P01" in finding.found
    target.run("drop trigger broken on k")
    assert sink.preflight([rule]) == []


def test_every_type_has_one_text_in_source_and_target(target: Target) -> None:
    """What our reader hands on from a column comes back as it went in from a column of the same type."""
    types = all_types(target)
    with (
        psycopg.connect(target.conninfo, options=SESSION_OPTIONS) as source,
        connect(target.settings, application="test") as sink,
    ):
        sink.execute(_SETTINGS)
        for session in (source, sink):
            session.execute("set search_path = pg_catalog, public")
        for name in types.values():
            if name.removesuffix("[]") not in SAMPLES:
                continue  # names of catalog objects: no type of an application's column
            value = sample(target, name)
            query = psycopg.sql.SQL("select {}::{}::text").format(value, psycopg.sql.SQL(name))
            texts = [session.execute(query).fetchone() for session in (source, sink)]
            assert texts[0] == texts[1], name
