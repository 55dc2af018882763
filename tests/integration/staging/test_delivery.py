"""What sinks take from staging and give back: desired rows, deliveries, dead letters."""

from __future__ import annotations

import threading

import polars as pl

import mapping_rules
from cdc.postgres.connect import connect
from cdc.staging.dead_letters import DeadLetters
from cdc.staging.deliveries import record_deliveries, unsettled_deliveries, void_deliveries
from cdc.staging.desired import desired_rows, desired_rows_for_keys, high_staged_seq
from cdc.staging.staged_seq import NEXT_STAGED_SEQ, lock_sequence
from mapping_rules import OutboundProgram
from tests.unit.staging.doubles import OUTBOUND, PURCHASE, Event, batch, customer, rule_set
from tests.unit.staging.world import World, staging

RULES = rule_set(OUTBOUND)
BUYER: OutboundProgram = mapping_rules.compile_outbound(RULES, "till")[0]


def purchase(key: str, number: str, day: str) -> Event:
    after = {"customer_id": key, "number": number, "bought_on": day, "paid": "t", "paid_at": None}
    return Event("c", int(number), 9, after=after, table=PURCHASE)


def stage_some(world: World) -> None:
    world.stager().stage(
        batch(
            Event("c", 1, 0, after=customer("a", "", None, "0.10")),
            Event("c", 1, 1, after=customer("b", None, 'q"\n,x')),
            purchase("a", "1", "2024-02-29"),
        )
    )


def test_desired_rows_are_those_touched_between_two_numbers(database: str) -> None:
    """Through joins too: a purchase touches its customer; a gone root means a gone row."""
    with staging(database, RULES) as world, connect(world.settings, application="test sink") as session:
        stage_some(world)
        first = high_staged_seq(session)
        everything = desired_rows(session, BUYER, 0, first).sort("buyer_id")
        assert everything.select("buyer_id", "full_name", "note", "credit", "last_bought_on").rows() == [
            ("a", "", None, "0.10", "2024-02-29"),
            ("b", None, 'q"\n,x', "1.00", None),
        ]
        assert everything["_deleted"].to_list() == [False, False]
        world.stager().stage(
            batch(purchase("b", "2", "2024-03-01"), Event("d", 3, before=customer("a", "", None, "0.10")))
        )
        second = high_staged_seq(session)
        changed = desired_rows(session, BUYER, first, second).sort("buyer_id")
        assert changed.select("buyer_id", "last_bought_on", "_deleted").rows() == [
            ("a", None, True),
            ("b", "2024-03-01", False),
        ]
        assert changed["_staged_seq"].max() == second
        nothing = desired_rows(session, BUYER, second, second)
        assert nothing.is_empty()
        assert nothing.schema == changed.schema


def test_desired_rows_of_many_keys(database: str) -> None:
    """More keys than fit a planner's guess."""
    with staging(database, RULES) as world, connect(world.settings, application="test sink") as session:
        world.stager().stage(batch(*[Event("c", 1, n, after=customer(f"k{n}")) for n in range(1500)]))
        assert desired_rows(session, BUYER, 0, high_staged_seq(session)).height == 1500


def test_desired_rows_for_held_keys(database: str) -> None:
    """Keys that wait are asked for by the target's names."""
    with staging(database, RULES) as world, connect(world.settings, application="test sink") as session:
        stage_some(world)
        found = desired_rows_for_keys(session, BUYER, pl.DataFrame({"buyer_id": ["b", "b"]}))
        assert found["buyer_id"].to_list() == ["b"]


def test_high_staged_seq_never_passes_what_is_still_to_commit(database: str) -> None:
    """Numbers become visible in growing order, however long a flow takes to commit."""
    with staging(database, RULES) as world, connect(world.settings, application="test sink") as session:
        assert high_staged_seq(session) == 0
        stage_some(world)
        before = high_staged_seq(session)
        with connect(world.settings, application="slow flow") as slow, slow.cursor() as cursor:
            lock_sequence(cursor)
            cursor.execute(
                "insert into staging.receipt (recharge_id, state, source_system, source_position, "
                "source_ordinal, operation, committed_at, staged_seq, tombstone) "
                f"values ('r', 'built', 'shop', 1, 0, 'c', now(), {NEXT_STAGED_SEQ}, false)"
            )
            stager = world.stager()
            other = threading.Thread(target=stager.stage, args=[batch(Event("c", 9, after=customer("z")))])
            other.start()
            world.wait_for_blocked("test stager")
            assert high_staged_seq(session) == before
            slow.commit()
        other.join(30)
        assert not other.is_alive()
        ((receipt,),) = world.query("select staged_seq from staging.receipt")
        assert before < receipt < high_staged_seq(session)


def delivered(transaction: str, *keys: str, staged_seq: int = 1) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "sink": "till.upsert",
                "target_table": "public.buyer",
                "key": f'{{"buyer_id": "{key}"}}',
                "decision": "insert",
                "before": None,
                "after": '{"full_name": "A"}',
                "staged_seq": staged_seq,
                "target_transaction": transaction,
            }
            for key in keys
        ],
        schema_overrides={"before": pl.String},
    )


def test_deliveries_that_never_happened_are_voided_once(database: str) -> None:
    """After a crash between staging and target: the record stays, and is followed by its end."""
    with staging(database, RULES) as world, connect(world.settings, application="test sink") as session:
        with session.transaction():
            record_deliveries(session, delivered("100", "a", staged_seq=4))
            record_deliveries(session, delivered("101", "b", "c", staged_seq=9))
        assert unsettled_deliveries(session, "till.upsert", 9) == ["101"]
        assert unsettled_deliveries(session, "till.upsert", 3) == ["100", "101"]
        assert unsettled_deliveries(session, "other.upsert", 0) == []
        assert void_deliveries(session, "till.upsert", ["101"]) == 2
        assert void_deliveries(session, "till.upsert", ["101"]) == 0
        assert unsettled_deliveries(session, "till.upsert", 4) == []
        assert world.query(
            "select key ->> 'buyer_id', decision from staging.delivery order by delivery_id"
        ) == [("a", "insert"), ("b", "insert"), ("c", "insert"), ("b", "void"), ("c", "void")]


def held(*keys: str, reason: str = "unknown account") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "program": "buyer",
                "target_table": "public.buyer",
                "key": f'{{"buyer_id": "{key}"}}',
                "staged_seq": 1,
                "reason_code": "no_parent",
                "reason": reason,
            }
            for key in keys
        ],
        schema=dict.fromkeys(("program", "target_table", "key"), pl.String)
        | {"staged_seq": pl.Int64, "reason_code": pl.String, "reason": pl.String},
    )


def test_held_keys_wait_until_the_target_takes_them(database: str) -> None:
    """Refused again it counts a retry; taken it is settled; other keys are not touched."""
    with staging(database, RULES) as world, connect(world.settings, application="test sink") as session:
        letters = DeadLetters(session)
        expected = pl.DataFrame({"buyer_id": ["a", "b", "c"]})
        letters.hold_deliveries("till.upsert", held("a", "b"))
        letters.settle_deliveries("till.upsert", [(BUYER, expected)], held("a", "b"))
        assert letters.open_keys("till.upsert")["buyer"].rows() == [("a",), ("b",)]
        again = held("b", reason="still unknown")
        letters.hold_deliveries("till.upsert", again)
        letters.settle_deliveries("till.upsert", [(BUYER, expected.head(2))], again)
        assert letters.open_keys("till.upsert")["buyer"].rows() == [("b",)]
        (waiting,) = letters.waiting(stage="deliver")
        assert (waiting.key, waiting.retries, waiting.reason) == ({"buyer_id": "b"}, 1, "still unknown")
        assert letters.resolve([waiting.dead_letter_id], "dropped") == 1
        assert letters.open_keys("till.upsert") == {}
        resolutions = world.query("select key ->> 'buyer_id', resolution from staging.dead_letter order by 1")
        assert resolutions == [("a", "delivered"), ("b", "dropped")]
