"""The delivery flow as it runs: held keys do not wait for a pause of the others, nor the others for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

import mapping_rules
from cdc.config import Run
from cdc.flows.deliver import Deliver
from cdc.flows.progress.state import FlowState
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.supervision import Supervisor
from cdc.postgres.connect import connect
from cdc.staging import overview
from tests.integration.sinks.upsert_target import Target
from tests.unit.staging.doubles import OUTBOUND, Event, batch, customer, rule_set
from tests.unit.staging.world import World, staging

RULES = rule_set(OUTBOUND)


@dataclass
class Delivery:
    """Staging and target in one database, and a flow between them."""

    world: World
    target: Target
    supervisor: Supervisor = field(default_factory=lambda: Supervisor(threading.Event(), FlowState()))
    position: int = 10

    def start(self) -> None:
        """Start the flow, as a new process would."""
        self.supervisor = Supervisor(threading.Event(), FlowState())
        deliver = Deliver(
            system="till",
            programs=mapping_rules.compile_outbound(RULES, "till"),
            sources=["shop"],
            open_sink=lambda _: self.target.sink(),
            open_staging=lambda: connect(self.world.settings, application="test deliver"),
            sizes=Run(retry_held_s=1, idle_poll_ms=50),
            wake=StagedSignal(),
            state=self.supervisor.state,
            lease=self.world.lease,
        )
        self.supervisor.start("deliver:till", deliver)

    def stop(self) -> None:
        """End the flow after its current batch."""
        self.supervisor.stop.set()
        self.supervisor.join()

    def stage(self, *rows: dict[str, Any]) -> None:
        """Commit rows in the source and stage them."""
        self.position += 1
        self.world.stager().stage(batch(*[Event("c", self.position, n, after=r) for n, r in enumerate(rows)]))
        self.world.stagers.pop().close()

    def gone(self, row: dict[str, Any]) -> None:
        """Delete a row in the source and stage that."""
        self.position += 1
        self.world.stager().stage(batch(Event("d", self.position, before=row)))
        self.world.stagers.pop().close()

    def snapshot_complete(self, complete: bool) -> None:
        """Whether the source was read in full."""
        self.world.execute(f"update staging.checkpoint set snapshot_complete = {complete}")

    def buyers(self) -> set[str]:
        return {key for (key,) in self.target.rows("select buyer_id from buyer")}

    def wait_for_buyer(self, key: str, what: str) -> None:
        self.wait(lambda: key in self.buyers(), what)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.supervisor.state.rows()}"
            time.sleep(0.05)


@pytest.fixture
def delivery(database: str) -> Iterator[Delivery]:
    with flowing(database) as delivery:
        yield delivery


@contextmanager
def flowing(database: str, key: str = "text") -> Iterator[Delivery]:
    with staging(database, RULES) as world:
        target = Target(database)
        if key == "citext":
            target.run("create extension citext schema public")
        target.run(
            f"create table buyer (buyer_id {key} primary key, full_name text, note text, "
            "credit numeric(15,2), last_bought_on date)"
        )
        delivery = Delivery(world, target)
        delivery.stage(customer("0"))
        delivery.snapshot_complete(True)
        delivery.start()
        try:
            delivery.wait(lambda: delivery.buyers() == {"0"}, "first row")
            yield delivery
        finally:
            delivery.stop()
            target.drop_origin()


def test_records_of_a_write_that_never_happened_are_voided_at_the_next_start(delivery: Delivery) -> None:
    """A process that died between its records and the target's commit; those of what was written stay."""
    delivery.stop()
    with psycopg.connect(delivery.target.conninfo) as session:
        (lost,) = session.execute("select pg_current_xact_id()::text").fetchone() or ("",)
        session.rollback()
    delivery.world.execute(
        "insert into staging.delivery "
        "(sink, target_table, key, decision, after, staged_seq, target_transaction) "
        f"values ('prepaid.upsert', 'public.buyer', '{{}}', 'insert', '{{}}', 1000000, '{lost}')"
    )
    delivery.start()
    voided = "select target_transaction from staging.delivery where decision = 'void'"
    delivery.stage(customer("1"))
    delivery.wait(lambda: "1" in delivery.buyers(), "a row behind the start")
    assert delivery.world.query(voided) == [(lost,)]


def test_nothing_is_delivered_before_every_source_was_read_in_full(delivery: Delivery) -> None:
    """Half a first load would show customers without accounts; status says what is waited for."""
    delivery.stop()
    delivery.snapshot_complete(False)
    delivery.stage(customer("1"))
    delivery.start()
    figures = delivery.supervisor.state.rows
    delivery.wait(
        lambda: any(row["status"] == "waiting" for row in figures()) or "1" in delivery.buyers(), "the flow"
    )
    assert delivery.buyers() == {"0"}
    assert figures()[0]["detail"] == "first snapshot of shop"
    delivery.snapshot_complete(True)
    delivery.wait(lambda: "1" in delivery.buyers(), "the row after the snapshot")


def test_held_key_is_tried_again_while_traffic_continues(delivery: Delivery) -> None:
    """A site without a quiet second still gets its rows once the cause is gone, and sees them until then."""
    delivery.target.run("alter table buyer add constraint limit_of_credit check (credit < 1000)")
    delivery.stage(customer("rich", credit="5000"), customer("poor"))
    delivery.wait(lambda: "poor" in delivery.buyers(), "the other row")
    ended = threading.Event()

    def traffic() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            delivery.stage(customer(f"n{number}"))

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        retries = "select retries from staging.dead_letter where resolved_at is null"
        delivery.wait(lambda: (delivery.world.query(retries) or [(0,)])[0][0] > 0, "a retry under traffic")
        with connect(delivery.world.settings, application="test", autocommit=True) as session:
            (letter,) = overview.dead_letters(session)
        assert (letter["reason_code"], letter["rows"]) == ("check_violation", 1)
        assert delivery.supervisor.state.rows()[0]["held"] == 1
        delivery.target.run("alter table buyer drop constraint limit_of_credit")
        delivery.wait(lambda: "rich" in delivery.buyers(), "the held row under traffic")
    finally:
        ended.set()
        thread.join()
    delivery.wait(lambda: delivery.supervisor.state.rows()[0]["held"] == 0, "nothing held")


def test_row_locked_by_the_application_holds_no_one_else_back(delivery: Delivery) -> None:
    """Reported as `locked` while it lasts, written about a second after it is free."""
    with psycopg.connect(delivery.target.conninfo) as application:
        application.execute("select from buyer where buyer_id = '0' for update")
        delivery.stage(customer("0", name="newer"), customer("1"))
        delivery.wait(lambda: "1" in delivery.buyers(), "the other row")
        for number in range(2, 8):
            started = time.monotonic()
            delivery.stage(customer(str(number)), customer("0", name=f"newer {number}"))
            delivery.wait(lambda number=number: str(number) in delivery.buyers(), "the next row")  # type: ignore[misc]
            assert time.monotonic() - started < 10
        reasons = delivery.world.query(
            "select reason_code from staging.dead_letter where resolved_at is null"
        )
        assert reasons == [("locked",)]
    newest = "select full_name from buyer where buyer_id = '0'"
    delivery.wait(lambda: delivery.target.rows(newest) == [("newer 7",)], "the row after the lock")
    delivery.wait(lambda: delivery.supervisor.state.rows()[0]["held"] == 0, "nothing held")


def test_row_of_staging_with_the_same_key_for_the_target_keeps_the_row(database: str) -> None:
    """Of two customers that are one for a citext column one is held; it takes the other's place later."""
    with flowing(database, "citext") as delivery:
        delivery.stage(customer("Abc", name="first"))
        delivery.wait(lambda: "Abc" in delivery.buyers(), "the first spelling")
        delivery.stage(customer("aBC", name="second"))
        held = "select reason_code from staging.dead_letter where resolved_at is null"
        delivery.wait(lambda: delivery.world.query(held) == [("duplicate_key",)], "the second is held")
        names = "select buyer_id::text, full_name from buyer where buyer_id = 'abc'"
        assert delivery.target.rows(names) == [("Abc", "first")]
        delivery.gone(customer("Abc", name="first"))
        delivery.wait(
            lambda: delivery.target.rows(names) == [("aBC", "second")], "the second takes its place"
        )
        delivery.wait(lambda: delivery.world.query(held) == [], "nothing held")


def test_an_error_about_the_server_that_follows_a_row_holds_that_row(delivery: Delivery) -> None:
    """A trigger may raise any code, or meet it on another server: what would pass does not for this row."""
    delivery.target.run(
        "create function stop() returns trigger language plpgsql as $$ begin "
        "if new.full_name like 'code %' then "
        "raise exception 'no' using errcode = substr(new.full_name, 6); end if; return new; end $$; "
        "create trigger stop before insert or update on buyer for each row execute function stop()"
    )
    for number, code in enumerate(("40001", "57014", "08006")):
        bad, good, later = (f"{name}{number}" for name in ("bad", "good", "later"))
        delivery.stage(customer(bad, f"code {code}"), customer(good))
        delivery.wait_for_buyer(good, f"the row beside {code}")
        delivery.stage(customer(later))
        delivery.wait_for_buyer(later, f"a row behind {code}")
        assert bad not in delivery.buyers()
    held = "select reason_code from staging.dead_letter where resolved_at is null order by dead_letter_id"
    assert [code for (code,) in delivery.world.query(held)] == [
        "serialization_failure",
        "query_canceled",
        "connection_failure",
    ]
    delivery.stage(*(customer(f"many{number}", "code 53100") for number in range(6)))
    delivery.wait(
        lambda: delivery.supervisor.state.rows()[0]["held"] == 9, "a write of which nothing is taken"
    )
    assert delivery.supervisor.state.rows()[0]["status"] == "running"
    assert len(delivery.world.query(held)) == 9
    delivery.stop()
    delivery.start()
    delivery.stage(customer("after"))
    delivery.wait_for_buyer("after", "a row behind a new start")
    delivery.target.run("drop trigger stop on buyer")
    delivery.wait(
        lambda: {"bad0", "bad1", "bad2", "many5"} <= delivery.buyers(), "what was held, once it is taken"
    )
