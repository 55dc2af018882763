"""The upsert sink on a real PostgreSQL: what it writes, what it leaves alone, what it holds."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.ports import Written
from sinks.upsert.sink import UpsertSink
from tests.integration.sinks.upsert_target import (
    ACCOUNT,
    ACKNOWLEDGEMENT,
    CUSTOMER,
    Target,
    desired,
    program,
    target_database,
)


@pytest.fixture
def target(database: str) -> Iterator[Target]:
    with target_database(database) as target:
        yield target


@pytest.fixture
def sink(target: Target) -> Iterator[UpsertSink]:
    sink = target.sink()
    yield sink
    sink.close()


def reasons(written: Written) -> dict[str, str]:
    """Key values to reason code of the rows held."""
    return {
        " ".join(str(part) for part in json.loads(key).values()): code
        for key, code in written.held.select("key", "reason_code").rows()
    }


def test_write_updates_only_rows_that_differ_and_records_only_columns_that_differ(
    target: Target, sink: UpsertSink
) -> None:
    """Unchanged rows are not touched; a delivery shows exactly what was overwritten, and by what."""
    sink.write(
        [(CUSTOMER, desired(CUSTOMER, ["1", 'Ngo\'o "A"', "677", "10.50"], ["2", "😀 Bé", None, None]))],
        up_to=5,
        record=target.record,
    )
    versions = dict(target.rows("select person_id, xmin::text from customer"))
    target.recorded.clear()
    written = sink.write(
        [(CUSTOMER, desired(CUSTOMER, ["1", 'Ngo\'o "A"', None, "10.5"], ["2", "😀 Bé", None, None]))],
        up_to=6,
        record=target.record,
    )
    assert (written.written, written.unchanged, written.held.height) == (1, 1, 0)
    [delivery] = target.recorded
    assert delivery["decision"] == "update"
    assert json.loads(delivery["before"]) == {"phone": "677"}
    assert json.loads(delivery["after"]) == {"phone": None}
    assert dict(target.rows("select person_id, xmin::text from customer"))["2"] == versions["2"]
    assert target.rows("select name, phone, credit from customer where person_id = '1'") == [
        ('Ngo\'o "A"', None, Decimal("10.50"))
    ]


def test_write_of_what_is_there_already_records_nothing_and_moves_the_mark(
    target: Target, sink: UpsertSink
) -> None:
    """An echo costs no row version and no delivery, but the sink does not look at it again."""
    rows = [(CUSTOMER, desired(CUSTOMER, *([str(i), f"n{i}", None, None] for i in range(500))))]
    sink.write(rows, up_to=5, record=target.record)
    versions = target.rows("select person_id, xmin::text, xmax::text from customer order by 1")
    target.recorded.clear()
    written = sink.write(rows, up_to=9, record=target.record)
    assert (written.written, written.unchanged) == (0, 500)
    assert target.recorded == []
    assert target.rows("select person_id, xmin::text, xmax::text from customer order by 1") == versions
    assert sink.position() == 9


def test_mark_never_moves_back(target: Target, sink: UpsertSink) -> None:
    """Held keys are written again at an older number; that must not repeat what came since."""
    sink.write([], up_to=9, record=target.record)
    sink.write([], up_to=4, record=target.record)
    assert sink.position() == 9


def test_deactivated_row_is_active_again_when_its_root_returns(target: Target, sink: UpsertSink) -> None:
    """`on_delete: deactivate` keeps the row and clears its flag; the flag needs no rule to be set again."""
    alive = desired(CUSTOMER, ["1", "A", None, None])
    sink.write([(CUSTOMER, alive)], up_to=1, record=target.record)
    sink.write([(CUSTOMER, desired(CUSTOMER, gone=["1", "never seen"]))], up_to=2, record=target.record)
    assert target.rows("select name, active from customer") == [("A", False)]
    sink.write([(CUSTOMER, alive)], up_to=3, record=target.record)
    assert target.rows("select name, active from customer") == [("A", True)]
    assert [row["decision"] for row in target.recorded] == ["insert", "deactivate", "update"]
    assert json.loads(target.recorded[1]["before"]) == {"active": True}


def test_parent_is_deleted_after_its_child_has_moved(target: Target, sink: UpsertSink) -> None:
    """One write may move an account to another customer and delete the former one."""
    deleting = program("customer", ["person_id"], ["name"])
    sink.write(
        [(deleting, desired(deleting, ["1", "A"])), (ACCOUNT, desired(ACCOUNT, ["a", "1", None]))],
        up_to=1,
        record=target.record,
    )
    target.recorded.clear()
    written = sink.write(
        [
            (deleting, desired(deleting, ["2", "B"], gone=["1"])),
            (ACCOUNT, desired(ACCOUNT, ["a", "2", None])),
        ],
        up_to=2,
        record=target.record,
    )
    assert written.held.is_empty()
    assert target.rows("select person_id from customer") == [("2",)]
    gone = next(row for row in target.recorded if row["decision"] == "delete")
    assert json.loads(gone["before"]) == {"person_id": "1", "name": "A"}
    assert gone["after"] is None


def test_delete_of_a_parent_still_referred_to_is_held(target: Target, sink: UpsertSink) -> None:
    """The referring row survives, the delivery records do not claim a deletion."""
    deleting = program("customer", ["person_id"], ["name"])
    rows = [
        (deleting, desired(deleting, ["1", "A"], ["2", "B"])),
        (ACCOUNT, desired(ACCOUNT, ["a", "1", None])),
    ]
    sink.write(rows, up_to=1, record=target.record)
    target.recorded.clear()
    written = sink.write([(deleting, desired(deleting, gone=["1", "2"]))], up_to=2, record=target.record)
    assert reasons(written) == {"1": "foreign_key_violation"}
    assert [json.loads(row["key"]) for row in target.recorded] == [{"person_id": "2"}]
    assert target.rows("select person_id from customer") == [("1",)]


def test_refused_rows_are_held_by_name_and_the_others_written(target: Target, sink: UpsertSink) -> None:
    """One bad row in a batch costs only itself; its reason names column or constraint, never the value."""
    target.run(
        "create function refuse() returns trigger language plpgsql as "
        "$$ begin raise exception 'secret %', new.name; end $$;"
        "create trigger refuse before insert on customer for each row when (new.name = 'trigger')"
        " execute function refuse();"
        "create function ignore() returns trigger language plpgsql as $$ begin return null; end $$;"
        "create trigger ignore before insert on customer for each row when (new.name = 'ignored')"
        " execute function ignore()"
    )
    bad: dict[str, list[str | None]] = {
        "long": ["long", "x", "6771234567890", None],
        "cent": ["cent", "x", None, "1.005"],
        "limit": ["limit", "x", None, "1000"],
        "text": ["text", "x", None, "ten"],
        "huge": ["huge", "x", None, "12345678901"],
        "null": ["null", None, None, None],
        "trigger": ["trigger", "trigger", None, None],
        "ignored": ["ignored", "ignored", None, None],
    }
    good: list[list[str | None]] = [[f"good{i}", "x", "+23767712345", "999.99"] for i in range(100)]
    rows = [*good[:50], *bad.values(), *good[50:]]
    written = sink.write([(CUSTOMER, desired(CUSTOMER, *rows))], up_to=1, record=target.record)
    assert reasons(written) == {
        "long": "value_too_long",
        "cent": "value_not_representable",
        "limit": "check_violation",
        "text": "invalid_text_representation",
        "huge": "numeric_value_out_of_range",
        "null": "null_refused",
        "trigger": "raise_exception",
        "ignored": "write_suppressed",
    }
    assert (written.written, len(target.recorded)) == (100, 100)
    assert target.rows("select count(*) from customer") == [(100,)]
    reported = dict(written.held.select("key", "reason").rows())
    named = {"long": ".phone", "cent": ".credit", "limit": "credit_limit", "text": ".credit", "null": ".name"}
    for key, name in named.items():
        assert name in next(reason for place, reason in reported.items() if f'"{key}"' in place)
    for value in ("6771234567890", "1.005", "ten", "12345678901", "secret"):
        assert not any(value in reason for reason in reported.values())


def test_too_long_counts_characters_not_bytes(target: Target, sink: UpsertSink) -> None:
    """Twelve emojis fit varchar(12); a thirteenth character is held, even if it is a blank."""
    rows = desired(CUSTOMER, ["1", "x", "😀" * 12, None], ["2", "x", "x" * 12 + " ", None])
    written = sink.write([(CUSTOMER, rows)], up_to=1, record=target.record)
    assert reasons(written) == {"2": "value_too_long"}
    assert target.rows("select phone from customer") == [("😀" * 12,)]


def test_children_of_a_held_parent_are_held_and_written_once_it_is_there(
    target: Target, sink: UpsertSink
) -> None:
    """A late parent blocks its own children only, and nothing is dropped."""
    parents = [[str(i), "x" if i else None, None, None] for i in range(3)]
    children = [[f"{i}-{n}", str(i), None] for i in range(3) for n in range(2)]
    written = sink.write(
        [(CUSTOMER, desired(CUSTOMER, *parents)), (ACCOUNT, desired(ACCOUNT, *children))],
        up_to=1,
        record=target.record,
    )
    assert reasons(written) == {
        "0": "null_refused",
        "0-0": "foreign_key_violation",
        "0-1": "foreign_key_violation",
    }
    assert any("account_customer" in reason for reason in written.held["reason"])
    written = sink.write(
        [(CUSTOMER, desired(CUSTOMER, ["0", "now", None, None])), (ACCOUNT, desired(ACCOUNT, *children[:2]))],
        up_to=1,
        record=target.record,
    )
    assert (written.written, written.held.height) == (3, 0)


def test_thousands_of_orphans_are_found_by_a_few_statements(
    target: Target, sink: UpsertSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Children that arrive before their parents do not cost an attempt each."""
    executed = []
    execute = psycopg.Connection.execute

    def counting(*args: Any, **options: Any) -> Any:
        if "search_path" not in str(args[1]):  # sent along with what it is set for
            executed.append(args[1])
        return execute(*args, **options)

    sink.position()
    monkeypatch.setattr(psycopg.Connection, "execute", counting)
    orphans = desired(ACCOUNT, *([str(i), f"p{i}", None] for i in range(3000)))
    written = sink.write([(ACCOUNT, orphans)], up_to=1, record=target.record)
    assert written.held.height == 3000
    assert len(executed) < 30


def test_one_bad_row_among_many_costs_logarithmically_many_attempts(
    target: Target, sink: UpsertSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halving, not row by row."""
    attempts = 0
    transaction = psycopg.Connection.transaction

    def counting(*args: Any, **options: Any) -> Any:
        nonlocal attempts
        attempts += 1
        return transaction(*args, **options)

    sink.position()
    monkeypatch.setattr(psycopg.Connection, "transaction", counting)
    rows = [[str(i), "x", None, "1000" if i == 777 else "1"] for i in range(4096)]
    written = sink.write([(CUSTOMER, desired(CUSTOMER, *rows))], up_to=1, record=target.record)
    assert (written.written, reasons(written)) == (4095, {"777": "check_violation"})
    assert attempts <= 2 * math.log2(4096) + 4


@pytest.mark.parametrize(("giver", "taker"), [("a", "b"), ("b", "a")])
def test_unique_value_freed_by_another_row_of_the_same_write_is_taken(
    target: Target, sink: UpsertSink, giver: str, taker: str
) -> None:
    """A meter that moves from one account to another arrives in one write, whatever the row order."""
    parent = (CUSTOMER, desired(CUSTOMER, ["1", "x", None, None]))
    accounts = desired(ACCOUNT, [giver, "1", "M1"], [taker, "1", None])
    sink.write([parent, (ACCOUNT, accounts)], up_to=1, record=target.record)
    moved = desired(ACCOUNT, [taker, "1", "M1"], [giver, "1", None])
    written = sink.write([(ACCOUNT, moved)], up_to=2, record=target.record)
    assert written.held.is_empty()
    assert dict(target.rows("select account_id, meter from account")) == {giver: None, taker: "M1"}


def test_one_key_desired_with_two_values_is_held(target: Target, sink: UpsertSink) -> None:
    """Which of the two would win would be chance, so neither does; exact copies are one row."""
    rows = desired(
        CUSTOMER,
        ["1", "A", None, None],
        ["1", "B", None, None],
        ["2", "C", None, None],
        ["2", "C", None, None],
        ["3", "D", None, None],
        gone=["3"],
    )
    written = sink.write([(CUSTOMER, rows)], up_to=1, record=target.record)
    assert reasons(written) == {"1": "duplicate_key"}
    assert target.rows("select person_id, name, active from customer order by 1") == [
        ("2", "C", True),
        ("3", "D", True),
    ]


def test_update_only_never_inserts_and_says_what_is_missing(target: Target, sink: UpsertSink) -> None:
    """An acknowledgement for a recharge that is gone is held, not turned into a new recharge."""
    target.run("insert into recharge values ('r1', 100)")
    rows = desired(
        ACKNOWLEDGEMENT, ["r1", "p1", "2026-01-02 03:04:05.678901+00"], ["r2", "p2", None], gone=["r3"]
    )
    written = sink.write([(ACKNOWLEDGEMENT, rows)], up_to=1, record=target.record)
    assert reasons(written) == {"r2": "target_row_missing"}
    assert target.rows("select recharge_id, payment_id, posted_at::text from recharge") == [
        ("r1", "p1", "2026-01-02 03:04:05.678901+00")
    ]


def test_row_changed_behind_our_back_is_overwritten_and_its_value_kept_in_the_delivery(
    target: Target, sink: UpsertSink
) -> None:
    """The write waits for the other transaction and compares with what that left, not with an old image."""
    row = desired(CUSTOMER, ["1", "ours", "1", None])
    sink.write([(CUSTOMER, row)], up_to=1, record=target.record)
    target.recorded.clear()
    with psycopg.connect(target.conninfo) as other:
        other.execute("update customer set name = 'theirs' where person_id = '1'")
        new = desired(CUSTOMER, ["1", "newest", "1", None])
        arguments = {"up_to": 2, "record": target.record}
        writer = threading.Thread(target=sink.write, args=([(CUSTOMER, new)],), kwargs=arguments)
        writer.start()
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        for _ in range(1000):
            if target.rows(waiting) != [(0,)]:
                break
        other.commit()
    writer.join(30)
    [delivery] = target.recorded
    assert json.loads(delivery["before"]) == {"name": "theirs"}
    assert target.rows("select name from customer") == [("newest",)]


def test_target_means_times_without_zone_in_its_own_zone(database: str) -> None:
    """A point in time becomes the target's wall clock and calendar day, not UTC's."""
    with target_database(database) as target:
        target.settings = target.settings.model_copy(update={"time_zone": "Africa/Douala"})
        target.run("create table event (id text primary key, at timestamp(0), day date)")
        rule = program("event", ["id"], ["at", "day"], instants=["at", "day"])
        late = "2026-01-31 23:30:00+00"
        sink = target.sink()
        sink.write([(rule, desired(rule, ["1", late, late]))], up_to=1, record=target.record)
        odd = desired(rule, ["2", "2026-01-31 23:30:00.5+00", late])
        assert reasons(sink.write([(rule, odd)], up_to=2, record=target.record)) == {
            "2": "value_not_representable"
        }
        sink.close()
        assert target.rows("select at::text, day::text from event") == [("2026-02-01 00:30:00", "2026-02-01")]


def test_char_json_and_case_insensitive_columns_are_compared_by_content(database: str) -> None:
    """Padding is not a difference, letter case is one, and json is compared though it has no equality."""
    with target_database(database) as target:
        target.run(
            "create extension citext schema public;"
            'create table "Odd Table" ("Key ""x""" char(5) primary key, "Select" public.citext, doc json)'
        )
        rule = program("Odd Table", ['Key "x"'], ["Select", "doc"])
        sink = target.sink()
        sink.write([(rule, desired(rule, ["ab", "Abc", '{"a": 1}']))], up_to=1, record=target.record)
        same = sink.write([(rule, desired(rule, ["ab", "Abc", '{"a": 1}']))], up_to=2, record=target.record)
        other = sink.write([(rule, desired(rule, ["ab", "ABC", '{"a": 1}']))], up_to=3, record=target.record)
        sink.close()
        assert (same.written, other.written) == (0, 1)
        assert target.rows('select "Select" from "Odd Table"') == [("ABC",)]


def test_column_widened_by_the_dba_takes_effect_without_restart(target: Target, sink: UpsertSink) -> None:
    """A held row goes through at its next try once the target can hold it."""
    rows = desired(CUSTOMER, ["1", "x", "1234567890123", None])
    assert sink.write([(CUSTOMER, rows)], up_to=1, record=target.record).held.height == 1
    target.run("alter table customer alter column phone type varchar(20)")
    assert sink.write([(CUSTOMER, rows)], up_to=1, record=target.record).written == 1


def test_nothing_is_written_when_the_deliveries_cannot_be_recorded(target: Target, sink: UpsertSink) -> None:
    """Without its record in staging a target row must not change."""

    def broken(_: object) -> None:
        raise ConnectionError("staging is gone")

    with pytest.raises(ConnectionError):
        sink.write([(CUSTOMER, desired(CUSTOMER, ["1", "A", None, None]))], up_to=7, record=broken)
    assert target.rows("select count(*) from customer") == [(0,)]
    assert sink.position() == 0


STATES = st.dictionaries(
    st.sampled_from("abcdef"),
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
        st.none() | st.sampled_from(["", " ", "1", "\\.", 'a"b', "x\ny"]),
        st.none() | st.decimals("-999", "999", places=2).map(str),
    ),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=st.lists(STATES, min_size=1, max_size=3))
def test_target_equals_what_was_desired(
    target: Target, sink: UpsertSink, states: list[dict[str, tuple[str, str | None, str | None]]]
) -> None:
    """From any state to any state: the table ends equal, and the deliveries are exactly the differences."""
    rule = program("customer", ["person_id"], ["name", "phone", "credit"])
    read = "select person_id, name, phone, credit from customer"
    for state in states:
        before = {row[0]: row[1:] for row in target.rows(read)}
        gone = [key for key in before if key not in state]
        frame = desired(rule, *([key, *values] for key, values in state.items()), gone=gone)
        target.recorded.clear()
        sink.write([(rule, frame)], up_to=1, record=target.record)
        after = {row[0]: row[1:] for row in target.rows(read)}
        assert after == {
            key: (name, phone, None if credit is None else Decimal(credit))
            for key, (name, phone, credit) in state.items()
        }
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert {json.loads(row["key"])["person_id"] for row in target.recorded} == changed


def test_held_rows_are_stored_before_the_mark_moves_past_them(target: Target, sink: UpsertSink) -> None:
    """A process that dies right after the commit has not forgotten what the target refused."""
    rows = desired(CUSTOMER, ["1", "a", "a phone number that is too long", None], ["2", "b", None, None])

    def out_of_reach(_held: object) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        sink.write([(CUSTOMER, rows)], up_to=3, record=target.record, hold=out_of_reach)
    assert target.rows("select person_id from customer") == []
    assert sink.position() == 0
    seen: list[int] = []

    def stored(held: pl.DataFrame) -> None:
        seen.append(held.height)
        assert target.rows("select person_id from customer") == [], "not committed yet"

    sink.write([(CUSTOMER, rows)], up_to=3, record=target.record, hold=stored)
    assert seen == [1]
    assert target.rows("select person_id from customer") == [("2",)]


def meters(target: Target) -> dict[str, str | None]:
    """Meter of each account."""
    return dict(target.rows("select account_id, meter from account"))


def test_accounts_exchange_their_meters_in_one_write(target: Target, sink: UpsertSink) -> None:
    """A ring of unique values moves on, deliveries show only old and new, and no one else is touched."""
    sink.write([(CUSTOMER, desired(CUSTOMER, ["1", "A", None, None]))], up_to=1, record=target.record)
    first = [["a", "1", "m1"], ["b", "1", "m2"], ["c", "1", "m3"], ["d", "1", "m4"]]
    sink.write([(ACCOUNT, desired(ACCOUNT, *first))], up_to=2, record=target.record)
    target.recorded.clear()
    ring = [["a", "1", "m2"], ["b", "1", "m3"], ["c", "1", "m1"]]
    written = sink.write([(ACCOUNT, desired(ACCOUNT, *ring))], up_to=3, record=target.record)
    assert written.held.is_empty()
    assert meters(target) == {"a": "m2", "b": "m3", "c": "m1", "d": "m4"}
    moves = {json.loads(d["key"])["account_id"]: (d["before"], d["after"]) for d in target.recorded}
    assert {key: (json.loads(b), json.loads(a)) for key, (b, a) in moves.items()} == {
        "a": ({"meter": "m1"}, {"meter": "m2"}),
        "b": ({"meter": "m2"}, {"meter": "m3"}),
        "c": ({"meter": "m3"}, {"meter": "m1"}),
    }


def test_a_meter_that_another_account_keeps_is_refused_beside_an_exchange(
    target: Target, sink: UpsertSink
) -> None:
    """Giving up values never takes one from a row that is not part of the write."""
    sink.write([(CUSTOMER, desired(CUSTOMER, ["1", "A", None, None]))], up_to=1, record=target.record)
    first = [["a", "1", "m1"], ["b", "1", "m2"], ["c", "1", "m3"], ["d", "1", "m4"]]
    sink.write([(ACCOUNT, desired(ACCOUNT, *first))], up_to=2, record=target.record)
    changed = desired(ACCOUNT, ["a", "1", "m2"], ["b", "1", "m1"], ["c", "1", "m4"])
    written = sink.write([(ACCOUNT, changed)], up_to=3, record=target.record)
    assert reasons(written)["c"] == "unique_violation"
    assert {key: value for key, value in meters(target).items() if key in "cd"} == {"c": "m3", "d": "m4"}
    again = desired(ACCOUNT, ["a", "1", "m2"], ["b", "1", "m1"])
    assert sink.write([(ACCOUNT, again)], up_to=3, record=target.record).held.is_empty()
    assert meters(target) == {"a": "m2", "b": "m1", "c": "m3", "d": "m4"}


def test_rows_of_earlier_writes_never_come_back_after_a_refusal(target: Target, sink: UpsertSink) -> None:
    """A write that starts again also undoes that the session's tables were emptied of former rows."""
    first = [[f"p{number:04}", "old", None, None] for number in range(1990)]
    sink.write([(CUSTOMER, desired(CUSTOMER, *first))], up_to=1, record=target.record)
    renamed = [[f"p{number:04}", "new", None, None] for number in range(20)]
    sink.write([(CUSTOMER, desired(CUSTOMER, *renamed))], up_to=2, record=target.record)
    refused = desired(CUSTOMER, ["q1", "A", None, None], ["q2", "B", None, "5000"], ["q3", "C", None, None])
    written = sink.write([(CUSTOMER, refused)], up_to=3, record=target.record)
    assert (written.written, reasons(written)) == (2, {"q2": "check_violation"})
    assert target.rows("select count(*) from customer where name = 'new'") == [(20,)]
