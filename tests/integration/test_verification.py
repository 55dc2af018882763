"""A source is compared with staging while replication continues."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg import sql

from cdc.changes import TableName
from cdc.digests.definition import row_digest
from cdc.flows.verification.staged import StagedTable
from cdc.flows.verification.tables import TableComparison
from cdc.postgres.connect import connect
from cdc.readers.pgoutput.table_reader import PgTableReader
from cdc.staging.resync_runs import ChunkRecord, Difference
from tests.integration.pgoutput.source import Prepaid
from tests.integration.test_table_snapshots import Running, running

T = TableName("public", "t")
RULES = {
    "systems.yaml": "shop: {conventions: plain, schema: public}\n",
    "entities/t.yaml": (
        "entity: t\nkey: [id]\ncolumns:\n  id: {type: integer}\n  v: {type: text}\n"
        "  n: {type: decimal, precision: 15, scale: 2}\n"
    ),
    "inbound/t.yaml": (
        "system: shop\ntable: t\nkey: [id]\nentity: t\nwhere: {shown: 't'}\n"
        "columns: {id: id, v: v, n: n}\nignore: [more]\n"
    ),
}
ROWS = 5_000


@dataclass
class Found:
    """What a comparison recorded."""

    chunks: list[ChunkRecord] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def record(self, chunk: ChunkRecord, found: Sequence[Difference]) -> None:
        self.chunks.append(chunk)
        self.differences += found

    def kinds(self, key: str = "id") -> dict[str, str]:
        """Key -> class; `key` is its column."""
        return {str(one.key[key]): one.kind for one in self.differences}


@pytest.fixture
def prepaid(database: str) -> Iterator[Prepaid]:
    made = Prepaid(database)
    made.execute(
        "create table t (id bigint primary key, v text, n numeric(15,2), "
        "shown boolean not null default true, more text)",
        f"insert into t select n, 'v' || n, n, n % 7 <> 0 from generate_series(1, {ROWS}) n",
    )
    made.publish("t")
    yield made
    made.close()


@contextmanager
def comparing_of(
    one: Running, found: Found, *, rows: int = 1_000, patience_s: float = 30
) -> Iterator[TableComparison]:
    """A comparison of table t, beside the running capture."""
    with (
        closing(PgTableReader("shop", one.prepaid.settings, [T])) as reader,
        connect(one.world.settings, application="test verify") as staging,
    ):
        digest = row_digest(reader.describe()[T], ["id", "v", "n", "shown"], kind="postgres")
        made = TableComparison(
            reader,
            StagedTable(staging, "shop", digest),
            digest,
            found.record,
            lambda: False,
            patience_s=patience_s,
        )
        made.size.rows = rows
        yield made


def compare(one: Running, **options: float) -> Found:
    """Compare all of table t."""
    found = Found()
    with comparing_of(one, found, **options) as comparison:  # type: ignore[arg-type]
        assert comparison.run()
    return found


def covered(chunks: list[ChunkRecord]) -> bool:
    """Whether the chunks are the whole key space, without gap or overlap."""
    lows, highs = [one.within.low for one in chunks], [one.within.high for one in chunks]
    return lows[0] is None and highs[-1] is None and lows[1:] == highs[:-1] and None not in lows[1:]


def spoil(one: Running, statement: str, **parameters: object) -> None:
    """Change what staging has, behind its back."""
    one.world.observer.execute(sql.SQL(statement), parameters)


PLANTED: Mapping[str, tuple[str, str]] = {
    "10": ("missing", "delete from staging.change where key ->> 'id' = '10'"),
    "20": (
        "different",
        "update staging.change set after = after || '{\"v\": \"x\"}' where key ->> 'id' = '20'",
    ),
    "30": (
        "different",
        "update staging.change set after = after || '{\"n\": \"30.01\"}' where key ->> 'id' = '30'",
    ),
    "40": (
        "different",
        "update staging.change set after = after || '{\"v\": \"v40 \"}' where key ->> 'id' = '40'",
    ),
    "50": (
        "different",
        "update staging.change set after = after || '{\"v\": \"v5\U0001f600\"}' where key ->> 'id' = '50'",
    ),
    "60": (
        "different",
        "update staging.change set after = after || '{\"v\": null}' where key ->> 'id' = '60'",
    ),
    "71": (
        "different",
        "update staging.change set after = after || '{\"v\": \"v72\"}' where key ->> 'id' = '71'",
    ),
    "72": (
        "different",
        "update staging.change set after = after || '{\"v\": \"v71\"}' where key ->> 'id' = '72'",
    ),
    "81": (
        "different",
        "update staging.change set after = after || '{\"n\": \"5.00\"}' where key ->> 'id' = '81'",
    ),
    "82": (
        "different",
        "update staging.change set after = after || '{\"n\": \"5.00\"}' where key ->> 'id' = '82'",
    ),
    "700": (
        "different",
        "update staging.change set after = after || '{\"v\": \"hidden\"}' where key ->> 'id' = '700'",
    ),
    str(ROWS + 7): (
        "extra",
        "update staging.change set key = jsonb_build_object('id', '5007'), "
        "after = after || '{\"id\": \"5007\"}' where key ->> 'id' = '4999'",
    ),
    "4999": ("missing", "select 1"),
    "-3": (
        "extra",
        "update staging.change set key = jsonb_build_object('id', '-3'), after = after || '{\"id\": \"-3\"}' "
        "where key ->> 'id' = '4998'",
    ),
    "4998": ("missing", "select 1"),
}
"""By key what is planted there; a row that no rule takes (700), keys beyond both ends of the known ones."""


def plant(one: Running) -> None:
    """Plant all of it."""
    for _, statement in PLANTED.values():
        spoil(one, statement)


def staged(one: Running) -> None:
    """Wait until all that the source has is staged."""
    position = int(str(one.prepaid.value("select pg_current_wal_insert_lsn() - '0/0'")))

    def is_staged() -> bool:
        one.prepaid.execute("select pg_current_xact_id()")  # its commit flushes the log
        (found,) = one.world.query("select source_position from staging.checkpoint")[0]
        return bool(found >= position)

    one.wait(is_staged, "the end")


def test_planted_differences_are_found_and_named_exactly(prepaid: Prepaid) -> None:
    """Each class, rows outside `where` and keys beyond the known ones too; then none, and no row is read."""
    with running(prepaid, RULES, rows=2_000, idle_poll_ms=50) as one:
        staged(one)
        plant(one)
        found = compare(one)
        assert found.kinds() == {key: kind for key, (kind, _) in PLANTED.items()}
        assert covered(found.chunks)
        by_key = {str(one_.key["id"]): one_ for one_ in found.differences}
        assert (by_key["30"].columns, by_key["30"].source, by_key["30"].staged) == (
            ("n",),
            {"n": "30.00"},
            {"n": "30.01"},
        )
        assert by_key["60"].staged == {"v": None}
        assert by_key["10"].source == {"id": "10", "n": "10.00", "shown": "t", "v": "v10"}
        assert sum(one_.source_rows for one_ in found.chunks) == ROWS


@pytest.mark.slow
def test_equal_tables_move_no_row(prepaid: Prepaid) -> None:
    """Sums tell."""
    with running(prepaid, RULES, rows=2_000, idle_poll_ms=50) as one:
        staged(one)
        found = compare(one)
        assert found.differences == []
        assert [one_.rows_read for one_ in found.chunks] == [0] * len(found.chunks)
        assert len(found.chunks) > 1


class Traffic:
    """Changes of a source by several sessions: hot keys, deletes, inserts, changes of key, rollbacks."""

    HOT = range(1, 6)
    MOVED = range(3_000, 3_050)
    MINE = range(1_000, 2_000)
    """Keys that no difference is planted in."""
    CHANGED = frozenset(map(str, (*HOT, *MINE, *MOVED, *(-key for key in MOVED))))

    def __init__(self, info: str, sessions: int = 2) -> None:
        self._info, self.stop, self.done = info, threading.Event(), 0
        self._threads = [threading.Thread(target=self._work, args=(seed,)) for seed in range(sessions)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - to be repeated
        with psycopg.connect(self._info) as connection:
            while not self.stop.is_set():
                with suppress(psycopg.errors.DeadlockDetected):
                    for _ in range(chance.randint(1, 4)):
                        connection.execute(*self._change(chance))
                if chance.random() < 0.1:
                    connection.rollback()
                else:
                    connection.commit()
                self.done += 1
                self.stop.wait(0.004)

    def _change(self, chance: random.Random) -> tuple[str, list[object]]:
        mine, moved = chance.choice(self.MINE), chance.choice(self.MOVED)
        match chance.randrange(6):
            case 0:
                return "delete from t where id = %s", [mine]
            case 1:
                return "insert into t values (%s, 'new', 1) on conflict do nothing", [mine]
            case 2:
                return "update t set id = -id where abs(id) = %s", [moved]
            case 3:
                return "update t set v = %s, shown = not shown where id = %s", [str(chance.random()), mine]
            case _:
                return "update t set n = n + 1 where id = %s", [chance.choice(self.HOT)]


def verified_under_traffic(prepaid: Prepaid, runs: int) -> None:
    """Run after run: what is planted is found, nothing else is reported, whatever changes meanwhile."""
    with running(prepaid, RULES, rows=2_000, idle_poll_ms=50) as one, Traffic(prepaid.info) as traffic:
        staged(one)
        compare(one)  # takes over the snapshot
        for number in range(runs):
            planted = {str(10 + number): "different", str(500 + number): "missing"}
            spoil(
                one,
                f"update staging.source_row set digest = digest # 1 where key = '112{10 + number}\x01\x01'",
            )
            spoil(one, f"delete from staging.source_row where key = '113{500 + number}\x01\x01'")
            found = compare(one, rows=random.Random(number).choice([300, 1_000, 6_000]))  # noqa: S311
            assert covered(found.chunks)
            postponed = {key for key, kind in found.kinds().items() if kind == "postponed"}
            assert postponed <= Traffic.CHANGED  # while staging is far behind they are never at rest
            assert {key: kind for key, kind in found.kinds().items() if key not in postponed} == planted
            # as a repair would do
            prepaid.execute(f"update t set v = v || '!' where id in ({10 + number}, {500 + number})")
        assert traffic.done > 20 * runs


def test_nothing_false_and_nothing_missed_under_traffic(prepaid: Prepaid) -> None:
    """Hot keys, changes of key and deletes while it is compared."""
    verified_under_traffic(prepaid, 2)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_fifty_runs_under_traffic(prepaid: Prepaid) -> None:
    """Fifty times."""
    verified_under_traffic(prepaid, 50)
