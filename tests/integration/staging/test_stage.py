"""Batches into a real staging database."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import psycopg
import pytest

from cdc.errors import LeaseLost, OperatorError, RowError, TransientError
from cdc.staging.audit.audit_chain import broken_batches
from cdc.staging.batches.stage import Stager
from cdc.staging.leases import Lease
from tests.unit.staging.doubles import CUSTOMER, EPOCH, FILES, PURCHASE, Event, batch, customer, rule_set
from tests.unit.staging.world import World, staging


def counts(world: World, *tables: str) -> list[int]:
    return [world.query(f"select count(*) from staging.{table}")[0][0] for table in tables]


def test_stage_puts_a_batch_into_log_entity_and_history(database: str) -> None:
    """One transaction: every image, the newest row, the versions before it, the batch, the checkpoint."""
    with staging(database) as world:
        staged = world.stager().stage(
            batch(
                Event("c", 1, 0, after=customer("a", "Ada", credit="-0.10")),
                Event("u", 2, 0, before=customer("a"), after=customer("a", "Eve", "", credit="5")),
                Event("c", 2, 1, after=customer("b", "Bob")),
                Event("d", 3, 0, before=customer("b", "Bob")),
            )
        )
        assert world.customers() == {
            "a": ("Eve", "", Decimal("5.00"), False),
            "b": ("Bob", None, Decimal("1.00"), True),
        }
        assert counts(world, "change", "customer_history", "batch", "checkpoint") == [4, 2, 1, 1]
        ((name, credit, superseded, seq, low, high),) = world.query(
            "select h.name, h.credit, h.superseded_seq, c.staged_seq, h.valid_from, h.valid_to "
            "from staging.customer_history h join staging.customer c using (customer_id) "
            "where customer_id = 'a'"
        )
        assert (name, credit, superseded) == ("Ada", Decimal("-0.10"), seq)
        assert (low, high) == (EPOCH + timedelta(seconds=1), EPOCH + timedelta(seconds=2))
        assert staged.rows == 4
        assert staged.staged_seq == world.query("select max(staged_seq) from staging.customer")[0][0]


def test_stage_of_a_batch_again_changes_nothing(database: str) -> None:
    """After a crash the reader delivers again; nothing may happen twice."""
    first = batch(Event("c", 1, after=customer("a")), Event("c", 2, after=customer("b")))
    with staging(database) as world:
        world.stager().stage(first)
        before = world.query("select xmin::text, * from staging.customer order by customer_id")
        staged = world.stager().stage(first)
        assert (staged.rows, staged.batch_id, staged.staged_seq) == (0, None, None)
        assert world.query("select xmin::text, * from staging.customer order by customer_id") == before
        assert counts(world, "change", "customer_history", "batch") == [2, 0, 1]


def test_stage_keeps_values_that_the_log_does_not_hold(database: str) -> None:
    """An absent column keeps its staged value, over batches and through a delete."""
    with staging(database) as world:
        stager = world.stager()
        stager.stage(batch(Event("c", 1, after=customer("a", "Ada", "long text"))))
        stager.stage(batch(Event("u", 2, before={"id": "a"}, after={"id": "a", "name": None, "credit": "2"})))
        assert world.customers() == {"a": (None, "long text", Decimal("2.00"), False)}
        stager.stage(batch(Event("d", 3, before={"id": "a"})))
        assert world.customers() == {"a": (None, "long text", Decimal("2.00"), True)}


def test_stage_takes_no_value_of_a_row_that_ended(database: str) -> None:
    """Behind a tombstone the key is another row's, of which staging knows nothing."""
    with staging(database) as world:
        stager = world.stager()
        stager.stage(batch(Event("c", 1, after=customer("a", "Ada", "long text"))))
        stager.stage(batch(Event("d", 2, before={"id": "a"})))
        stager.stage(batch(Event("u", 3, before={"id": "a"}, after=without("note", customer("a", "Eve")))))
        assert world.customers() == {"a": ("Ada", "long text", Decimal("1.00"), True)}
        assert reasons(world) == ["value_not_in_log"]


def test_stage_takes_no_value_of_a_change_that_is_rejected(database: str) -> None:
    """The first of two changes is rejected for what the source answers; the second takes nothing from it."""
    with staging(database) as world:
        stager = world.stager()
        stager.mapper.ask_source = lambda table, columns, asked: {(1, ("a",)): ["no number"] * len(columns)}
        before, row = {"id": "a"}, customer("a", "Ada")
        stager.stage(
            batch(
                Event("u", 1, 0, before=before, after=without("credit", row)),
                Event("u", 1, 1, before=before, after=without("name", row)),
            )
        )
        assert world.customers() == {}
        assert reasons(world) == ["value_not_in_log"]


def without(name: str, row: dict[str, str | None]) -> dict[str, str | None]:
    """A row of which the log does not hold one column."""
    return {column: value for column, value in row.items() if column != name}


def reasons(world: World) -> list[str]:
    """Reason codes of the open dead letters."""
    return [
        code
        for (code,) in world.query("select reason_code from staging.dead_letter where resolved_at is null")
    ]


def test_stage_keeps_what_a_later_batch_replaced(database: str) -> None:
    """The version that was staged before is in the history, until the number of the one that replaced it."""
    with staging(database) as world:
        stager = world.stager()
        first = stager.stage(batch(Event("c", 1, after=customer("a", "Ada"))))
        second = stager.stage(batch(Event("u", 2, after=customer("a", "Eve"))))
        kept = world.query("select name, staged_seq, superseded_seq from staging.customer_history")
        assert kept == [("Ada", first.staged_seq, second.staged_seq)]


def test_stage_never_lets_time_go_back(database: str) -> None:
    """The clock of the source is set back between batches: no version ends before it begins."""
    with staging(database) as world:
        stager = world.stager()
        for position, minute in ((1, 10), (2, 5), (3, 12)):
            at = EPOCH + timedelta(minutes=minute)
            stager.stage(batch(Event("c", position, after=customer("a", f"A{position}"), at=at)))
        ranges = world.query(
            "select name, valid_from, valid_to from staging.customer_history order by staged_seq"
        )
        ten, twelve = EPOCH + timedelta(minutes=10), EPOCH + timedelta(minutes=12)
        assert ranges == [("A1", ten, ten), ("A2", ten, twelve)]
        assert world.query("select name, committed_at from staging.customer") == [("A3", twelve)]


def test_stage_of_an_unchanged_row_makes_no_version(database: str) -> None:
    """A snapshot read again is cheap: no history, nothing for the sinks, only the position moves on."""
    with staging(database) as world:
        stager = world.stager()
        first = stager.stage(batch(Event("c", 1, after=customer("a"))))
        again = stager.stage(batch(Event("r", 7, after=customer("a"))))
        assert (again.staged_seq, again.rows, again.batch_id is None) == (None, 0, False)
        row = world.query("select source_position, operation, committed_at, staged_seq from staging.customer")
        assert row == [(7, "c", EPOCH + timedelta(seconds=1), first.staged_seq)]
        assert counts(world, "customer_history") == [0]


def test_stage_moves_a_row_whose_key_changed(database: str) -> None:
    """One logical move: the old key becomes a tombstone, also when two rows swap their keys."""
    with staging(database) as world:
        stager = world.stager()
        stager.stage(
            batch(Event("c", 1, 0, after=customer("a", "A")), Event("c", 1, 1, after=customer("b", "B")))
        )
        stager.stage(
            batch(
                Event("u", 2, 0, before=customer("a", "A"), after=customer("t", "A")),
                Event("u", 2, 1, before=customer("b", "B"), after=customer("a", "B")),
                Event("u", 2, 2, before=customer("t", "A"), after=customer("b", "A")),
            )
        )
        live = {key: row[0] for key, row in world.customers().items() if not row[3]}
        assert live == {"a": "B", "b": "A"}


def test_stage_ignores_the_end_of_a_row_it_never_had(database: str) -> None:
    """A delete of an unknown row is logged and makes no row; the key can be used afterwards."""
    with staging(database) as world:
        stager = world.stager()
        staged = stager.stage(batch(Event("d", 1, before=customer("x"))))
        assert (staged.rows, world.customers()) == (0, {})
        stager.stage(
            batch(Event("d", 2, 0, before=customer("y")), Event("c", 2, 1, after=customer("y", "Y")))
        )
        assert world.customers() == {"y": ("Y", None, Decimal("1.00"), False)}
        assert counts(world, "change", "customer_history") == [3, 0]


def test_stage_drops_echoes_and_counts_them(database: str) -> None:
    """What a sink wrote comes back from the log; it must not be staged as news."""
    with staging(database) as world:
        staged = world.stager().stage(
            batch(Event("c", 1, 0, after=customer("a"), ours=True), Event("c", 1, 1, after=customer("b")))
        )
        assert set(world.customers()) == {"b"}
        assert world.query("select counts from staging.batch where batch_id = %s", staged.batch_id) == [
            ({"public.customer": {"rows": 1, "suppressed": 1}},)
        ]


def test_stage_sets_bad_rows_aside_until_they_are_good(database: str) -> None:
    """Only the bad row waits, with its reason and raw row; a later good one settles it."""
    with staging(database) as world:
        stager = world.stager()
        bad = {
            name: customer("a", credit="much")[name] for name in ("id", "name", "note", "credit", "secret")
        }
        staged = stager.stage(batch(Event("c", 1, 0, after=bad), Event("c", 1, 1, after=customer("b"))))
        assert (staged.rejected, set(world.customers())) == (1, {"b"})
        stager.stage(batch(Event("u", 2, before=bad, after={**bad, "note": "x"})))
        letters = world.query(
            "select system, table_name, key, entity_key, raw ->> 'note', raw ? 'secret', retries, resolution "
            "from staging.dead_letter"
        )
        assert letters == [
            ("shop", "public.customer", {"id": "a"}, {"customer_id": "a"}, "x", False, 1, None)
        ]
        stager.stage(batch(Event("u", 3, before=bad, after=customer("a"))))
        assert world.query("select resolution from staging.dead_letter") == [("superseded",)]
        assert set(world.customers()) == {"a", "b"}


def test_stage_shows_nothing_of_a_sliced_transaction_before_its_end(database: str) -> None:
    """A transaction larger than memory arrives in slices; others see all of it or nothing."""
    with staging(database) as world:
        stager = world.stager()
        stager.stage(batch(Event("c", 1, after=customer("a", "A0"))))
        for number in (1, 2):
            staged = stager.stage(
                batch(
                    Event("u", 2, 10 * number, before=customer("a"), after={"id": "a", "name": f"A{number}"}),
                    Event("c", 2, 10 * number + 1, after=customer(f"new{number}")),
                    continues=True,
                )
            )
            assert staged.batch_id is None
            assert set(world.customers()) == {"a"}
            assert counts(world, "change") == [1]
        done = stager.stage(batch(Event("d", 2, 30, before=customer("new1"))))
        assert done.batch_id is not None
        assert {key: row[0::3] for key, row in world.customers().items()} == {
            "a": ("A2", False),
            "new1": ("Ada", True),
            "new2": ("Ada", False),
        }
        names = world.query(
            "select name from staging.customer_history where customer_id = 'a' order by staged_seq"
        )
        assert names == [("A0",), ("A1",)]
        assert counts(world, "batch", "change") == [2, 6]
        assert list(broken_batches(world.observer, "shop")) == []


def test_stage_of_a_broken_slice_leaves_nothing(database: str) -> None:
    """When a slice cannot be staged, the earlier ones are gone too, and staging can continue."""
    with staging(database) as world:
        stager = world.stager()
        stager.stage(batch(Event("c", 5, 0, after=customer("a")), continues=True))
        world.execute("alter table staging.customer rename to away")
        with pytest.raises(OperatorError):
            stager.stage(batch(Event("c", 5, 1, after=customer("b"))))
        world.execute("alter table staging.away rename to customer")
        assert counts(world, "change", "batch", "checkpoint") == [0, 0, 0]
        stager.stage(batch(Event("c", 5, 0, after=customer("a")), Event("c", 5, 1, after=customer("b"))))
        assert set(world.customers()) == {"a", "b"}


def test_snapshot_gives_tombstones_to_rows_it_did_not_hold(database: str) -> None:
    """Gone without a change in the log; rows that wait as dead letters are not gone."""
    with staging(database) as world:
        stager = world.stager()
        stager.stage(batch(*[Event("c", 1, n, after=customer(key)) for n, key in enumerate("abc")]))
        stager.stage(
            batch(
                Event("r", 9, 0, after=customer("a")),
                Event("r", 9, 1, after=customer("c", credit="much")),
                snapshot_done=(CUSTOMER.name,),
            )
        )
        assert {key: row[3] for key, row in world.customers().items()} == {"a": False, "b": True, "c": False}
        assert counts(world, "customer_history") == [1]


def test_snapshot_broken_off_is_read_again_whole(database: str) -> None:
    """At the same position and in another order: every row arrives, and none is taken for done."""
    with staging(database) as world:
        world.stager().stage(
            batch(Event("r", 9, 0, after=customer("a")), Event("r", 9, 1, after=customer("b")))
        )
        stager = world.stager()
        stored = stager.resume()
        assert stored is not None
        assert not stored.snapshot_complete
        stager.stage(batch(Event("r", 9, 0, after=customer("c")), Event("r", 9, 1, after=customer("a"))))
        stager.stage(
            batch(Event("r", 9, 2, after=customer("b")), snapshot_done=(CUSTOMER.name, PURCHASE.name))
        )
        stager.snapshot_completed()
        assert {key: row[3] for key, row in world.customers().items()} == {"a": False, "b": False, "c": False}
        resumed = world.stager().resume()
        assert resumed is not None
        assert resumed.snapshot_complete
        assert counts(world, "customer_history") == [0]


def test_checkpoint_moves_with_empty_batches(database: str) -> None:
    """An idle source moves its position on without filling the audit tables."""
    with staging(database) as world:
        stager = world.stager()
        stager.bind({"system_identifier": "7"})
        stager.stage(batch(position=40))
        stored = world.stager().resume()
        assert stored is not None
        assert (stored.position, stored.resume, stored.identity) == (
            40,
            {"at": 40},
            {"system_identifier": "7"},
        )
        assert counts(world, "batch", "change") == [0, 0]


def test_stage_is_refused_after_a_takeover(database: str) -> None:
    """A process that slept too long writes nothing, neither rows nor checkpoint."""
    with staging(database) as world:
        stager = world.stager()
        world.execute("update staging.lease set expires_at = now() - interval '1 second'")
        other = Lease(world.settings, "replication", "other", 15)
        try:
            other.acquire(wait_s=5)
            with pytest.raises(LeaseLost):
                stager.stage(batch(Event("c", 1, after=customer("a"))))
            assert counts(world, "change", "customer", "checkpoint") == [0, 0, 0]
        finally:
            other.close()


def test_changes_lie_in_the_month_they_were_committed(database: str) -> None:
    """Old months can be detached and archived; a month is made when it is first needed, once."""
    moments = [datetime(2023, 12, 31, 23, 59, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)]
    with staging(database) as world:
        for stager in (world.stager(), world.stager()):
            position = 10 * len(world.query("select 1 from staging.batch"))
            events = [
                Event("c", position + n, after=customer(f"{position}{n}"), at=at)
                for n, at in enumerate(moments, 1)
            ]
            stager.stage(batch(*events))
        assert counts(world, "change_2023_12", "change_2024_01") == [2, 2]


@pytest.mark.parametrize(
    "tampering",
    [
        'update staging.change set after = after || \'{"name": "Mallory"}\' where source_position = 2',
        "delete from staging.change where source_position = 2",
        "update staging.batch set change_count = 9 where batch_id = 2",
        "delete from staging.batch where batch_id = 2",
    ],
)
def test_chain_shows_what_was_altered_behind_our_back(database: str, tampering: str) -> None:
    """Altering or removing a change or a batch breaks the chain, an untouched one holds."""
    names = ["plain", 'quo"te\\ \n\t\x1f \U0001f600 \\u0000', "\n\\.\n"]
    with staging(database) as world:
        stager = world.stager()
        for position, name in enumerate(names, 1):
            stager.stage(
                batch(
                    Event("c", position, 0, after=customer(str(position), name)),
                    Event("u", position, 1, before={"id": str(position)}, after={"note": None}),
                )
            )
        assert list(broken_batches(world.observer, "shop")) == []
        world.execute(tampering)
        assert list(broken_batches(world.observer, "shop"))


def test_staged_versions_carry_the_rules_that_made_them(database: str) -> None:
    """The rule texts stay in staging, so a year later it can be seen how a value came about."""
    with staging(database) as world:
        world.stager().stage(batch(Event("c", 1, after=customer("a"))))
        found = world.query(
            "select r.name, r.digest, r.files ->> 'inbound/customer.yaml' from staging.customer c "
            "join staging.rule_set r using (rule_set_id)"
        )
        assert found == [("shop", world.rule_set.digest, FILES["inbound/customer.yaml"])]


def test_stage_survives_a_lost_connection(database: str) -> None:
    """The batch is rolled back, the error says what to do next, and a new stager continues."""
    with staging(database) as world:
        stager: Stager = world.stager()
        stager.stage(batch(Event("c", 1, after=customer("a"))))
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'test stager'"
            )
        with pytest.raises(Exception, match="staging of shop") as caught:
            stager.stage(batch(Event("c", 2, after=customer("b"))))
        assert type(caught.value).__name__ == "DatabaseUnreachable"
        world.stager().stage(batch(Event("c", 2, after=customer("b"))))
        assert set(world.customers()) == {"a", "b"}


@pytest.mark.parametrize("length", [2_690, 6_000])
def test_a_key_that_no_index_holds_is_a_dead_letter_until_its_row_changes(database: str, length: int) -> None:
    """Neither the entity's key nor the record of it stops the source; deleting the row settles the record."""
    long = "".join(hashlib.sha256(bytes([n % 256])).hexdigest() for n in range(length // 64 + 1))[:length]
    with staging(database) as world:
        stager = world.stager()
        staged = stager.stage(
            batch(Event("c", 1, 0, after=customer(long)), Event("c", 1, 1, after=customer("a")))
        )
        assert staged.rejected == 1
        assert set(world.customers()) == {"a"}
        letters = "select reason_code, resolution, raw is not null from staging.dead_letter"
        assert world.query(letters) == [("value_too_long", None, True)]
        stager.stage(batch(Event("u", 2, before=customer(long), after=customer(long, "again"))))
        assert len(world.query(letters + " where resolved_at is null")) == 1
        stager.stage(batch(Event("d", 3, before=customer(long))))
        assert world.query(letters + " where resolved_at is null") == []
        assert set(world.customers()) == {"a"}


def test_a_reference_that_no_index_holds_is_a_dead_letter(database: str) -> None:
    """The column that refers to another entity is indexed, too."""
    long = "".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(100))
    files = {
        "entities/customer.yaml": FILES["entities/customer.yaml"].replace(
            "note: {type: text}", "note: {type: text, references: customer}"
        )
    }
    with staging(database, rule_set(files)) as world:
        stager = world.stager()
        stager.stage(batch(Event("c", 1, 0, after=customer("a")), Event("c", 1, 1, after=customer("b"))))
        spoilt = customer("a", note=long)
        staged = stager.stage(
            batch(Event("u", 2, 0, after=spoilt), Event("u", 2, 1, after=customer("b", "Bo")))
        )
        assert staged.rejected == 1
        assert world.customers()["b"][0] == "Bo"
        assert world.query("select reason_code, key from staging.dead_letter") == [
            ("value_too_long", {"id": "a"})
        ]


@pytest.mark.parametrize("table", ["customer", "change"])
def test_a_row_that_staging_refuses_is_found_and_left_out(database: str, table: str) -> None:
    """Log or entity may refuse it: the record says so, the others are staged, its next change settles it."""
    column = {"customer": "note", "change": "after ->> 'note'"}[table]
    with staging(database) as world:
        world.stager().stage(batch(Event("c", 1, after=customer("old"))))
        world.execute(f"alter table staging.{table} add constraint no_bad check ({column} <> 'bad')")
        events = [
            Event("c", 2, n, after=customer(f"k{n}", note="bad" if n in (3, 7) else "x")) for n in range(9)
        ]
        with pytest.raises(TransientError, match="2 rows"):
            world.stager().stage(batch(*events))
        staged = world.stager().stage(batch(*events))
        assert staged.rows == 7
        assert set(world.customers()) == {"old", *(f"k{n}" for n in range(9) if n not in (3, 7))}
        open_letters = (
            "select key ->> 'id', reason_code, reason, raw ->> 'note' from staging.dead_letter "
            "where resolved_at is null order by 1"
        )
        rows = world.query(open_letters)
        assert [row[:2] for row in rows] == [("k3", "refused_by_staging"), ("k7", "refused_by_staging")]
        assert all("23514" in row[2] and row[3] == "bad" for row in rows)
        world.stager().stage(batch(Event("u", 3, before=customer("k3"), after=customer("k3", note="good"))))
        assert [row[0] for row in world.query(open_letters)] == ["k7"]
        assert world.customers()["k3"][1] == "good"


def test_what_staging_refuses_for_every_row_is_an_error_of_the_source(database: str) -> None:
    """A failure of the schema makes no dead letters."""
    with staging(database) as world:
        world.stager().stage(batch(Event("c", 1, after=customer("old"))))
        world.execute("alter table staging.customer add constraint none check (name <> 'Ada') not valid")
        events = [Event("c", 2, n, after=customer(f"k{n}")) for n in range(60)]
        with pytest.raises(RowError):
            world.stager().stage(batch(*events))
        assert world.query("select count(*) from staging.dead_letter") == [(0,)]
        assert set(world.customers()) == {"old"}


def test_who_changed_a_row_is_in_the_audit_chain(database: str) -> None:
    """Named by a reader whose log tells it, or by none; what is altered later breaks the chain."""
    who = pl.DataFrame({"source_user": ["CISUSER"], "source_client": ["jdoe"]})
    with staging(database) as world:
        stager = world.stager()
        for position in (1, 2, 3):
            one = batch(Event("c", position, after=customer(str(position))))
            if position < 3:
                named = who if position == 2 else who.clear(1)
                tables = {
                    name: replace(changes, frame=pl.concat([changes.frame, named], how="horizontal"))
                    for name, changes in one.tables.items()
                }
                one = replace(one, tables=tables)
            stager.stage(one)
        found = world.query("select source_user, source_client from staging.change order by source_position")
        assert found == [(None, None), ("CISUSER", "jdoe"), (None, None)]
        assert list(broken_batches(world.observer, "shop")) == []
        for position, user in ((1, "'EVE'"), (2, "null"), (2, "'EVE'"), (3, "'EVE'")):
            world.execute("begin")
            world.execute(
                f"update staging.change set source_user = {user}, source_client = null "
                f"where source_position = {position}"
            )
            assert [text for _, text in broken_batches(world.observer, "shop")] == [
                "its changes were altered, removed or added to"
            ]
            world.execute("rollback")
