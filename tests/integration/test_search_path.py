"""Anyone who may create objects in the target, the source or staging gets nothing run as our user."""

from __future__ import annotations

import json

import psycopg

from cdc.postgres.connect import connect
from cdc.staging.desired import desired_rows, high_staged_seq
from cdc.staging.schema.migrate import migrate
from sinks.upsert.sink import UpsertSink
from tests.contract.reader_suite import snapshot
from tests.integration.hostile_objects import OPERATORS, called, plant, taken
from tests.integration.pgoutput.source import Prepaid
from tests.integration.sinks.upsert_target import Target, desired, program, target_database
from tests.integration.staging.test_delivery import BUYER, RULES, stage_some
from tests.unit.staging.world import staging

TYPES = "create extension if not exists citext; create type public.mood as enum ('calm', 'angry')"
SHOP = """
create table public.shop (id varchar(20) primary key, owner bpchar(4) not null, tag citext unique,
    note varchar(40), mood mood, price numeric(9,2), opened date, seen timestamptz, facts json,
    active boolean not null default true);
create table public.till (id citext primary key, shop varchar(20) references public.shop (id),
    code text not null unique);
create table public.noted (what text);
create function public.note() returns trigger language plpgsql as
    $$ begin insert into noted values (tg_op); return new; end $$;
create trigger note before insert or update on public.shop for each row execute function public.note();
"""
SHOPS = program(
    "shop",
    ["id"],
    ["owner", "tag", "note", "mood", "price", "opened", "seen", "facts"],
    on_delete="deactivate",
)
TILLS = program("till", ["id"], ["shop", "code"])


def shop(key: str, note: str) -> list[str]:
    return [key, "ab", f"Tag {key}", note, "calm", "1.50", "2024-02-29", "2024-02-29 10:00:00+00", '{"a": 1}']


def write(
    target: Target, sink: UpsertSink, shops: list[list[str]], tills: list[list[str]], **gone: str
) -> None:
    """Write; whatever is refused is shown."""
    written = sink.write(
        [
            (SHOPS, desired(SHOPS, *shops, gone=gone.get("shop", "").split())),
            (TILLS, desired(TILLS, *tills, gone=gone.get("till", "").split())),
        ],
        up_to=1,
        record=target.record,
        live=lambda _rule, keys, _likeness: keys,
    )
    assert [json.loads(key) for key in written.held["key"]] == ([{"id": "z"}] if "orphan" in gone else [])


def test_nothing_of_a_stranger_is_called_by_a_sink(database: str) -> None:
    """Functions, operators, casts, tables, types in public and in our own schema, by every kind of write."""
    with target_database(database) as target:
        target.run(TYPES)
        target.run(SHOP)
        plant(database, ["public", target.settings.user])
        with psycopg.connect(database) as victim:  # the bait is taken where the path is the default one
            victim.execute("select note = note from shop")
            victim.execute("select 1 where 'a'::varchar = 'a'::varchar")
        assert taken(database)
        target.run("alter sequence bait.taken restart")

        found = target.sink().preflight([SHOPS, TILLS])
        assert [finding for finding in found if not finding.advice] == []
        assert 'revoke create on schema "public" from public;' in {finding.fix for finding in found}
        sink = target.sink()
        write(target, sink, [shop("a", "x"), shop("b", "y")], [["t", "a", "1"], ["u", "b", "2"]])
        write(target, sink, [shop("a", "z")], [["T", "b", "1"]])
        # values are exchanged, a parent is missing, rows are refused and tried again
        tills = [["T", "b", "2"], ["u", "b", "1"], ["z", "no", "9"]]
        write(target, sink, [shop("a", "q"), shop("b", "r")], tills, orphan="z")
        write(target, sink, [], [], shop="b", till="T u")
        sink.close()
        assert target.rows("select id, note, active from shop order by id") == [
            ("a", "q", True),
            ("b", "r", False),
        ]
        assert target.rows("select count(*) from till") == [(0,)]
        assert target.rows("select count(*) > 4 from noted") == [(True,)], "its triggers find its tables"
        assert {delivery["decision"] for delivery in target.recorded} == {
            "insert",
            "update",
            "deactivate",
            "delete",
        }
        assert not taken(database)


def test_nothing_of_a_stranger_is_called_by_a_reader(database: str) -> None:
    """Preflight, catalog, snapshot, stream and values read again."""
    prepaid = Prepaid(database)
    try:
        prepaid.execute(
            *TYPES.split(";"), "create table public.meter (id varchar(9) primary key, v bpchar(3))"
        )
        prepaid.execute("insert into public.meter values ('a', 'b')")
        plant(database, ["public", prepaid.settings.user])
        prepaid.publish("meter")
        reader = prepaid.reader("meter")
        assert [f for f in reader.preflight() if not f.advice and "row security" not in f.found] == []
        batches = snapshot(reader)
        prepaid.execute("update public.meter set v = 'c'")
        table = reader.describe()[next(iter(reader.describe()))]
        assert reader.reread(table, ["v"], {1: [("a",)]})[1, ("a",)] == ("c  ",)
        found = next(
            b for b in reader.read(batches[-1].resume, max_changes=9, stop=lambda: False) if b.tables
        )
        assert sum(map(len, found.tables.values())) == 1
        assert not taken(database)
    finally:
        prepaid.close()


def test_nothing_of_a_stranger_is_called_in_staging(database: str) -> None:
    """Migrations once more, staging a batch, and what sinks ask for."""
    with staging(database, RULES) as world, connect(world.settings, application="test sink") as session:
        with psycopg.connect(database) as owner:
            owner.execute(TYPES)
        plant(database, ["public", world.settings.user])
        migrate(world.settings, RULES)
        stage_some(world)
        assert desired_rows(session, BUYER, 0, high_staged_seq(session)).height == 2
    assert not taken(database)


def test_bait_is_laid_for_what_our_statements_call() -> None:
    """The names come from the code: they are those that matter."""
    assert {"array_to_string", "to_json", "count", "coalesce", "char_length", "format_type"} <= called()
    assert "=" in OPERATORS
