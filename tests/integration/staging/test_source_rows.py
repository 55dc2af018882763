"""Rows of a source as staging knows them, after any history and however often they are refreshed."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.changes import AFTER, ChangeBatch, SourceTable
from cdc.digests.definition import Algorithm, RowDigest, row_digest
from cdc.digests.frames import digests
from cdc.digests.postgres import sort_key_of_images
from cdc.digests.sort_key import decode, encode
from cdc.errors import RowError
from cdc.ports import KeyRange
from cdc.postgres.connect import Connection, connect
from cdc.staging.source_rows import refresh as refreshing
from cdc.staging.source_rows.compared import ComparedTable
from cdc.staging.source_rows.ranges import bounds, digests_in, range_sums
from cdc.staging.source_rows.refresh import Refreshed, refresh
from sandbox.postgres import PostgresServer
from tests.unit.staging.doubles import CUSTOMER, PURCHASE, Event, batch, changes, customer
from tests.unit.staging.world import World, staging

READ = ("id", "name", "note", "credit")
SPECIAL = ("0", "-0", "0.00", "-0.10", "10", "100", "NaN", "Infinity", "-Infinity")
Rows = dict[str, dict[str, str | None]]


@pytest.fixture(scope="module")
def shared(postgres: PostgresServer) -> Iterator[World]:
    """One staging for all tests of this file."""
    with staging(postgres.create_database("source_rows")) as made:
        yield made


@pytest.fixture
def world(shared: World) -> World:
    """Staging with nothing in it."""
    return emptied(shared)


def emptied(world: World) -> World:
    """As if nothing had ever been staged."""
    while world.stagers:
        world.stagers.pop().close()
    names = world.query(
        "select string_agg('staging.' || quote_ident(tablename), ', ') from pg_tables "
        "where schemaname = 'staging' and tablename !~ '^change_' "
        "and tablename not in ('alembic_version', 'lease', 'installation')"
    )
    world.execute(f"truncate {names[0][0]} restart identity")
    world.execute("alter sequence staging.batch_id restart")
    return world


@pytest.fixture
def session(world: World) -> Iterator[Connection]:
    """A session of a comparison."""
    connection = connect(world.settings, application="test compare")
    yield connection
    connection.close()


def defined(
    table: SourceTable = CUSTOMER, names: Collection[str] = READ, algorithm: Algorithm = Algorithm.MD5
) -> RowDigest:
    return row_digest(table, names, kind="postgres", algorithm=algorithm)


def created(rows: Mapping[str, Mapping[str, str | None]], table: SourceTable = CUSTOMER) -> ChangeBatch:
    """A batch that inserts these rows."""
    return batch(*(Event("c", n, after=row, table=table) for n, row in enumerate(rows.values(), 1)))


def refreshed(session: Connection, definition: RowDigest | None = None) -> Refreshed:
    definition = definition or defined()
    return refresh(session, "shop", {definition.table: definition})[definition.table]


def staged(session: Connection, definition: RowDigest | None = None) -> dict[str, int | None]:
    """Key -> digest, as a comparison would read them."""
    definition = definition or defined()
    with session.transaction():
        found = digests_in(session, "shop", definition.table, KeyRange())
    table = CUSTOMER if definition.table == CUSTOMER.name else PURCHASE
    return {decode(table, key)[0]: digest for key, digest in found.select("sort_key", "digest").iter_rows()}


def expected(rows: Rows, definition: RowDigest | None = None) -> dict[str, int | None]:
    """The same from the rows of the source."""
    if not rows:
        return {}
    frame = changes([Event("c", 1, after=row) for row in rows.values()]).frame
    found = digests(definition or defined(), frame, AFTER).to_list()
    return dict(zip((str(row["id"]) for row in rows.values()), found, strict=True))


def test_rejected_rows_and_rows_of_no_entity_are_there(world: World, session: Connection) -> None:
    """A row that cannot be mapped is a row of the source all the same."""
    rows = {"a": customer("a"), "b": customer("b", credit="a lot")}
    result = world.stager().stage(created(rows))
    assert result.rejected == 1
    done = refreshed(session)
    assert done == Refreshed(1, 2)
    assert staged(session) == expected(rows)
    assert world.query("select batch_id, position from staging.source_row_state") == [(1, 2)]


def test_value_that_the_log_left_out_is_that_of_the_row(world: World, session: Connection) -> None:
    """The digest is over the whole row, whether the change that held the value is of this batch or not."""
    stager = world.stager()
    whole = customer("a", note="long")
    part = {name: value for name, value in customer("a", "Eve").items() if name != "note"}
    stager.stage(batch(Event("c", 1, after=whole)))
    refreshed(session)
    stager.stage(batch(Event("u", 2, before={"id": "a"}, after=part)))
    refreshed(session)
    assert staged(session) == expected({"a": whole | part})
    stager.stage(batch(Event("u", 3, before={"id": "a"}, after=part | {"credit": "7"})))
    refreshed(session)
    assert staged(session) == expected({"a": whole | part | {"credit": "7"}})


def test_value_that_is_not_known_makes_the_digest_unknown(world: World, session: Connection) -> None:
    """It is counted beside the sum and is equal to nothing."""
    part = {"id": "a", "name": "Eve", "credit": "1", "secret": None}
    world.stager().stage(
        batch(Event("u", 1, before={"id": "a"}, after=part), Event("c", 2, after=customer("b")))
    )
    refreshed(session)
    assert staged(session) == {"a": None, **expected({"b": customer("b")})}
    sums = range_sums(session, "shop", CUSTOMER.name, [KeyRange()])
    assert sums.select("count", "unknown").row(0) == (2, 1)
    assert sums["sum"][0] == expected({"b": customer("b")})["b"]


def test_unreadable_value_makes_the_digest_unknown(world: World, session: Connection) -> None:
    """What stands in its place is not the value."""
    row = customer("a", "\ufdd0[not text] \\xff")
    one = changes([Event("c", 1, after=row)])
    held = batch(Event("c", 1, after=row))
    world.stager().stage(replace(held, tables={CUSTOMER.name: replace(one, unreadable=frozenset({"name"}))}))
    refreshed(session)
    assert staged(session) == {"a": None}


def test_character_that_staging_cannot_store_makes_the_digest_unknown(
    world: World, session: Connection
) -> None:
    """In the image `\u2400` stands for U+0000; a source without that character may hold it itself."""
    rows = {"a": customer("a", "x\0y"), "b": customer("b", "x\u2400y")}
    stager = world.stager(kind="oracle")
    stager.stage(created({"a": rows["a"]}))
    of_oracle = row_digest(CUSTOMER, READ, kind="oracle")
    refreshed(session, of_oracle)
    assert staged(session, of_oracle) == {"a": None}
    stager.stage(batch(Event("d", 2, before={"id": "a"}), Event("c", 3, after=rows["b"])))
    refreshed(session)
    assert staged(session) == expected({"b": rows["b"]})


def test_row_read_beside_the_stream_does_not_bring_back_a_deleted_one(
    world: World, session: Connection
) -> None:
    """Its rows are older than what the stream brought meanwhile; when all are read nothing is left behind."""
    stager = world.stager()
    stager.stage(batch(Event("c", 1, after=customer("gone")), Event("c", 1, 1, after=customer("b"))))
    world.execute(
        "insert into staging.source_table (system, schema_name, table_name, state) "
        "values ('shop', 'public', 'customer', 'reading')"
    )
    stager.stage(
        batch(
            Event("d", 60, before={"id": "a"}),
            Event("u", 61, before={"id": "b"}, after=customer("b", "newer")),
        )
    )
    refreshed(session)
    stager.stage_table(
        batch(
            *(Event("r", 50, n, after=customer(key)) for n, key in enumerate("abc")),
            snapshot_done=(CUSTOMER.name,),
        )
    )
    world.execute("update staging.source_table set state = 'read', read_position = 50")
    assert refreshed(session).position == 61
    assert staged(session) == expected({"b": customer("b", "newer"), "c": customer("c")})
    assert world.query("select count(*) from staging.source_row where tombstone") == [(0,)]


def test_truncated_table_is_empty(world: World, session: Connection) -> None:
    """What was before is gone, in the same batch and before it; what comes after is there."""
    stager = world.stager()
    stager.stage(batch(Event("c", 1, after=customer("a"))))
    refreshed(session)
    stager.stage(
        batch(
            Event("c", 2, after=customer("b")),
            Event("t", 3),
            Event("c", 4, after=customer("c")),
        )
    )
    refreshed(session)
    assert staged(session) == expected({"c": customer("c")})


def test_own_write_read_back_is_known(world: World, session: Connection) -> None:
    """Rows that ccbridge wrote are in no change log; insert, update, change of key and delete count."""
    stager = world.stager()
    stager.stage(batch(Event("c", 1, after=customer("a")), Event("c", 1, 1, after=customer("b"))))
    stager.stage(
        batch(
            Event("c", 2, 0, after=customer("new"), ours=True),
            Event("u", 2, 1, before={"id": "a"}, after=customer("moved", "by us"), ours=True),
            Event("d", 2, 2, before={"id": "b"}, ours=True),
            Event("c", 2, 3, after=customer("c")),
        )
    )
    refreshed(session)
    rows = {"new": customer("new"), "moved": customer("moved", "by us"), "c": customer("c")}
    assert staged(session) == expected(rows)
    assert world.query("select keys[1], transactions[1] from staging.own_change") == [("new\x01\x01", "tx2")]
    world.execute("update staging.own_change set noted_at = now() - interval '2 hours'")
    stager.stage(batch(Event("u", 5, before={"id": "c"}, after=customer("c", "again by us"), ours=True)))
    assert refreshed(session).position == 5
    assert staged(session) == expected(rows | {"c": customer("c", "again by us")})
    assert world.query("select positions from staging.own_change") == [([5],)]


def test_value_behind_our_own_write_is_not_taken_from_before_it(world: World, session: Connection) -> None:
    """What we wrote is in no image: an older value would be reported as a difference that is none."""
    stager = world.stager()
    part = {name: value for name, value in customer("a", "Eve").items() if name != "note"}
    stager.stage(batch(Event("c", 1, after=customer("a", note="old"))))
    ours = Event("u", 2, before={"id": "a"}, after=customer("a", note="ours"), ours=True)
    stager.stage(batch(ours))
    stager.stage(batch(Event("u", 3, before={"id": "a"}, after=part)))
    refreshed(session)
    assert staged(session) == {"a": None}
    with session.transaction():
        texts = ComparedTable(session, "shop", defined()).texts([encode(CUSTOMER, ["a"])])
    assert texts == {encode(CUSTOMER, ["a"]): {name: part[name] for name in ("id", "name", "credit")}}


def test_value_of_the_row_that_had_the_key_before_is_not_taken(world: World, session: Connection) -> None:
    """A row that came to its key by an update has nothing of the row that was there."""
    stager = world.stager()
    part = {name: value for name, value in customer("b", "Eve").items() if name != "note"}
    stager.stage(
        batch(Event("c", 1, after=customer("b", note="former")), Event("d", 1, 1, before={"id": "b"}))
    )
    stager.stage(batch(Event("c", 2, after=customer("a", note="its own"))))
    stager.stage(batch(Event("u", 3, before={"id": "a"}, after=part)))
    refreshed(session)
    assert staged(session) == {"b": None}
    stager.stage(batch(Event("u", 4, before={"id": "b"}, after=part | {"credit": "7"})))
    refreshed(session)
    with session.transaction():
        texts = ComparedTable(session, "shop", defined()).texts([encode(CUSTOMER, ["b"])])
    assert (staged(session), texts[encode(CUSTOMER, ["b"])].get("note")) == ({"b": None}, None)


def test_other_columns_or_another_hash_are_computed_from_the_raw_images(
    world: World, session: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that reads another column, or the other hash, needs nothing from the source."""
    monkeypatch.setattr(refreshing, "ROWS_OF_A_PIECE", 2)
    stager = world.stager()
    rows = {key: customer(key, note=f"note {key}") for key in "abcde"}
    stager.stage(created(rows))
    refreshed(session)
    part = {name: value for name, value in customer("a", "Eve").items() if name != "note"}
    stager.stage(batch(Event("u", 9, before={"id": "a"}, after=part)))
    rows["a"] |= part
    for definition in (defined(names=("id", "note")), defined(algorithm=Algorithm.SHA256), defined()):
        refreshed(session, definition)
        assert staged(session, definition) == expected(rows, definition)
    assert world.query("select count(*) from staging.digest_definition") == [(3,)]


def test_refresh_that_is_broken_off_continues_where_it_was(
    world: World, session: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is taken over stays; the state says how far that is, and nothing is computed twice."""
    monkeypatch.setattr(refreshing, "CHANGES_OF_A_PIECE", 1)
    stager = world.stager()
    rows = {key: customer(key) for key in "abc"}
    for position, row in enumerate(rows.values(), 1):
        stager.stage(batch(Event("c", position, after=row)))
    monkeypatch.setattr(refreshing, "_FORGET_OWN", "select 1 / (%(batch_id)s - 2)")
    with pytest.raises(RowError):
        refreshed(session)
    monkeypatch.undo()
    assert staged(session) == expected({"a": rows["a"]})
    assert world.query("select batch_id, position from staging.source_row_state") == [(1, 1)]
    before = world.query("select key, xmin::text from staging.source_row")
    assert refreshed(session) == Refreshed(3, 3)
    assert staged(session) == expected(rows)
    assert set(before) <= set(world.query("select key, xmin::text from staging.source_row"))


def test_rows_are_computed_once(world: World, session: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later refreshes take only what is new; none looks at all the rows again."""
    stager = world.stager()
    stager.stage(created({"a": customer("a")}))
    refreshed(session)
    monkeypatch.setattr(refreshing, "_REDEFINE", "select 1 / 0")
    stager.stage(batch(Event("c", 2, after=customer("b"))))
    assert refreshed(session) == Refreshed(2, 2)
    assert refreshed(session) == Refreshed(2, 2)


def test_secret_columns_are_not_read(world: World, session: Connection) -> None:
    """What every rule ignores is in no image, and changes nothing."""
    stager = world.stager()
    stager.stage(batch(Event("c", 1, after=customer("a", other="x"))))
    refreshed(session)
    assert staged(session) == expected({"a": customer("a", other="y")})


def test_ranges_cover_every_key_and_sum_what_is_in_them(world: World, session: Connection) -> None:
    """Numbers in the order of numbers; the ends are open; a range without rows counts none."""
    numbers = [-20, -3, 0, 7, 42, 100, 1000]
    empty = dict.fromkeys(("bought_on", "paid", "paid_at"))
    rows = {str(n): {"customer_id": "a", "number": str(n), **empty} for n in numbers}
    world.stager().stage(created(rows, PURCHASE))
    definition = defined(PURCHASE, PURCHASE.column_names)
    refreshed(session, definition)
    low, high = encode(PURCHASE, ("a", "-3")), encode(PURCHASE, ("a", "42"))
    beyond = encode(PURCHASE, ("b", "0"))
    all_rows = digests_in(session, "shop", PURCHASE.name, KeyRange())
    assert [int(decode(PURCHASE, key)[1]) for key in all_rows["sort_key"]] == numbers
    ranges = KeyRange().cut([low, high, beyond])
    sums = range_sums(session, "shop", PURCHASE.name, ranges)
    by_hand = [all_rows["digest"][a:b].to_list() for a, b in ((0, 1), (1, 4), (4, 7), (7, 7))]
    assert sums.rows() == [(n, len(some), sum(some) % 2**64, 0) for n, some in enumerate(by_hand)]
    assert bounds(session, "shop", PURCHASE.name, 3) == [all_rows["sort_key"][3], all_rows["sort_key"][6]]
    assert bounds(session, "shop", PURCHASE.name, 2, KeyRange(low, high)) == [all_rows["sort_key"][3]]
    assert (
        digests_in(session, "shop", PURCHASE.name, KeyRange(low, high))["sort_key"].to_list()
        == all_rows["sort_key"][1:4].to_list()
    )


def test_sums_are_modulo_2_to_the_64(world: World, session: Connection) -> None:
    """Forty rows of 60 bits add up to more."""
    rows = {f"{n:02}": customer(f"{n:02}") for n in range(40)}
    world.stager().stage(created(rows))
    refreshed(session)
    total = sum(digest or 0 for digest in expected(rows).values())
    assert total > 2**64
    assert range_sums(session, "shop", CUSTOMER.name, [KeyRange()])["sum"][0] == total % 2**64


PARTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=5)
NUMBERS = st.sampled_from(SPECIAL) | st.decimals(-(10**30), 10**30, places=4).map(lambda n: format(n, "f"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(PARTS, NUMBERS), min_size=1))
def test_key_in_the_server_is_that_of_python(world: World, keys: list[tuple[str, str]]) -> None:
    """Both encode a key alike, so ranges mean the same rows; they sort as the values do."""
    definition = defined(PURCHASE, PURCHASE.column_names)
    images = [json.dumps({"customer_id": text, "number": number}) for text, number in keys]
    expression = sort_key_of_images(definition, "image").replace("%", "%%")
    query = f"select {expression} from unnest(%s::jsonb[]) with ordinality as i (image, n) order by n"
    found = [str(key) for (key,) in world.query(query, images)]
    assert found == [encode(PURCHASE, key) for key in keys]
    ordered = sorted(zip(keys, found, strict=True), key=lambda pair: (pair[0][0], _rank(pair[0][1])))
    assert [key for _, key in ordered] == sorted(found)


def _rank(number: str) -> tuple[int, Decimal]:
    """Numbers as PostgreSQL sorts them."""
    if number == "NaN":
        return 2, Decimal(0)
    return (1 if number == "Infinity" else -1, Decimal(0)) if "I" in number else (0, Decimal(number))


KEYS = ("a", "b", "c", "d", "\x01", "é", "\U0001f600")


class Life:
    """A source that changes at random, and what its log says of it.

    Attributes:
        rows: what there is now.
        imaged: keys of rows of which an image has the note, since they have the key and since our last write.
        unknown: keys of rows whose last change left out a note that no image has.
    """

    def __init__(self, seed: int) -> None:
        self.choice = random.Random(seed)  # noqa: S311 - a history of a test
        self.rows: Rows = {}
        self.imaged: set[str] = set()
        self.unknown: set[str] = set()
        self.position = 0

    def events(self, count: int) -> Iterator[Event]:
        """So many changes, in transactions of a few, each of them ours or not."""
        ordinal = count
        for _ in range(count):
            if ordinal == count or self.choice.random() < 0.5:
                self.position, ordinal = self.position + 1, 0
                ours = self.choice.random() < 0.2
            yield self._event({"position": self.position, "ordinal": ordinal, "ours": ours})
            ordinal += 1

    def snapshot(self) -> list[Event]:
        """Everything read again."""
        self.position += 1
        self.imaged, self.unknown = set(self.rows), set()
        return [Event("r", self.position, n, after=dict(row)) for n, row in enumerate(self.rows.values())]

    def _event(self, place: dict[str, Any]) -> Event:
        choice = self.choice
        if self.rows and choice.random() < 0.2:
            key = choice.choice(list(self.rows))
            row = self._gone(key)
            if choice.random() < 0.5:
                return Event("d", before=row if choice.random() < 0.5 else {"id": key}, **place)
            new = f"{key}.{place['position']}.{place['ordinal']}"
            to = choice.choice([one for one in (*KEYS, new) if one not in self.rows and one != key])
            return Event("u", before={"id": key}, after=self._image(to, row | {"id": to}, place), **place)
        if self.rows and choice.random() < 0.03:
            for key in list(self.rows):
                self._gone(key)
            return Event("t", place["position"], place["ordinal"])
        key = choice.choice(KEYS)
        name, note = (choice.choice((None, "", " ", "x")) for _ in range(2))
        row = customer(key, name, note, choice.choice("123"))
        if key not in self.rows:
            return Event("c", after=self._image(key, row, place, part=0), **place)
        return Event("u", before={"id": key}, after=self._image(key, row, place), **place)

    def _gone(self, key: str) -> dict[str, str | None]:
        self.imaged.discard(key)
        self.unknown.discard(key)
        return self.rows.pop(key)

    def _image(
        self, key: str, row: dict[str, str | None], place: Mapping[str, Any], part: float = 0.3
    ) -> dict[str, str | None]:
        """The row as it is now, and what the log has of it: without its note, if that was not changed."""
        is_part = not place["ours"] and self.choice.random() < part
        if is_part and key in self.rows:
            row = row | {"note": self.rows[key]["note"]}
        self.rows[key] = row
        if place["ours"]:
            self.imaged.discard(key)
        elif not is_part:
            self.imaged.add(key)
        self.unknown.discard(key)
        if is_part and key not in self.imaged:
            self.unknown.add(key)
        return {name: text for name, text in row.items() if name != "note" or not is_part}


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 60))]
)
def test_any_history(world: World, session: Connection, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Batches of any size, refreshed at any time in pieces of any size, with snapshots in between."""
    life = Life(seed)
    monkeypatch.setattr(refreshing, "CHANGES_OF_A_PIECE", life.choice.choice((1, 5, 1000)))
    stager = world.stager()
    position = 0
    for _ in range(12):
        if life.choice.random() < 0.1 and life.rows:
            held = life.snapshot()
        else:
            held = list(life.events(life.choice.randint(1, 12)))
        stager.stage(batch(*held))
        position = life.position
        if life.choice.random() < 0.4:
            refreshed(session)
    assert refreshed(session).position == position
    known = {key: digest for key, digest in staged(session).items() if digest is not None}
    right = expected(life.rows)
    assert staged(session).keys() == right.keys()
    assert known == {key: right[key] for key in known}
    assert known.keys() == right.keys() - life.unknown
    with session.transaction():
        texts = ComparedTable(session, "shop", defined()).texts([encode(CUSTOMER, [key]) for key in right])
    for key, values in texts.items():
        row = life.rows[decode(CUSTOMER, key)[0]]
        assert values == {name: row[name] for name in values}
    assert pl.Series(list(known.values()), dtype=pl.Int64).is_between(0, 2**60 - 1).all()
