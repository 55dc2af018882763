"""What happens to a running installation: a lost slot, restarted servers, a truncated table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sandbox.postgres import PostgresServer
from sandbox.world import World
from tests.acceptance.site import CANARIES, Running, Site, eventually, restarted


def rename(site: Site, person: str, name: str) -> None:
    """A clerk at CC&B changes a name."""
    site.oracle(
        "update CISADM.CI_PER_NAME set ENTITY_NAME = :name where PER_ID = :person and NAME_TYPE_FLG = 'PRIM'",
        name=name,
        person=person,
    )


def named(site: Site, person: str, name: str) -> bool:
    """True once prepaid shows the name."""
    return site.app("select full_name from customer where ccb_person_id = %s", person) == [(name,)]


def first_person(site: Site) -> str:
    """A customer."""
    ((person,),) = site.app("select min(ccb_person_id) from customer")
    return str(person)


def stopped(site: Site, running: Running, flow: str, code: str) -> str:
    """Wait until the flow has failed with that code; returns what status says, its code is 1."""
    failed = running.wait_for("flow_failed", flow=flow)
    assert failed["error_code"] == code
    eventually(
        lambda: site.staging("select status from staging.flow_state where flow = %s", flow) == [("failed",)],
        "the flow's last word",
    )
    status = site.call("status")
    assert status.code == 1
    return status.out


def test_a_slot_dropped_behind_our_back_stops_that_flow_only(migrated: Site) -> None:
    """It is never created again in silence; after the operator's word a new snapshot closes the gap."""
    site = migrated
    running = site.start()
    site.wait_until_delivered(running)
    site.recharge("kept")
    site.recharge("gone")
    eventually(lambda: len(site.receipts()) == 2, "receipts", hint=running.text)
    site.prepaid_admin("alter role ccbridge noreplication")
    try:
        site.prepaid_admin("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots")
        site.prepaid_admin("select pg_drop_replication_slot(%s)", site.slot)
    finally:
        site.prepaid_admin("alter role ccbridge replication")
    site.recharge("in-the-gap")
    site.app("delete from recharge where recharge_id = 'gone'")
    said = stopped(site, running, "capture:prepaid", "CDC-102")
    assert f"CDC-102: prepaid: replication slot {site.slot} does not exist, expected at LSN " in said
    remedy = "delete from staging.checkpoint where system = 'prepaid';"
    assert remedy in said
    person = first_person(site)
    rename(site, person, "Other,Flow")
    eventually(lambda: named(site, person, "Other,Flow"), "the other flow continues", hint=running.text)
    assert site.slots() == []
    assert running.end() == 4
    assert "error CDC-102: " in running.text()
    site.staging(remedy)
    with site.running() as again:
        eventually(lambda: ("in-the-gap", "sent") in site.receipts(), "the gap", hint=again.text)
        gone = "select recharge_id from staging.recharge where tombstone"
        eventually(lambda: site.staging(gone) == [("gone",)], "the deleted recharge", hint=again.text)
    assert [key for key, _ in site.receipts()] == ["gone", "in-the-gap", "kept"]
    sent = "select count(*) from CISADM.CI_PAY_TNDR_ST where EXT_REFERENCE_ID = 'kept'"
    assert site.oracle(sent) == [(1,)], "read again, not sent again"


def test_a_truncated_table_of_prepaid_stops_alone_until_it_is_read_again(migrated: Site) -> None:
    """No row says what went, so an operator decides; all other tables flow, also after a restart."""
    site = migrated
    with site.running() as running:
        site.app("insert into counter_payment values ('p1', 'a1', 5, 'XAF', '2026-01-01', 'CASH')")
        site.recharge("before")
        site.prepaid_admin("truncate counter_payment")
        running.wait_for("table_stopped", table="public.counter_payment", error_code="CDC-111")
        site.recharge("meanwhile")
        eventually(lambda: ("meanwhile", "sent") in site.receipts(), "the others", hint=running.text)
    remedy = "delete from staging.checkpoint where system = 'prepaid';"
    with site.running() as again:
        site.recharge("restarted")
        eventually(lambda: ("restarted", "sent") in site.receipts(), "a restart", hint=again.text)
        eventually(lambda: site.call("status").code == 1, "status with exit code 1", hint=again.text)
        said = site.call("status").out
        assert "CDC-111: prepaid: TRUNCATE of public.counter_payment at LSN " in said
        assert remedy in said
        assert site.staging("select 1 from staging.counter_payment where not tombstone") != []
    site.staging(remedy)
    with site.running() as agreed:
        site.recharge("after")
        eventually(lambda: ("after", "sent") in site.receipts(), "what came after", hint=agreed.text)
        assert site.call("status").code == 0
    assert site.staging("select 1 from staging.counter_payment where not tombstone") == []


@pytest.fixture
def apart(world: World, tmp_path: Path) -> Iterator[Site]:
    """An installation whose staging database is on a server of its own."""
    with PostgresServer() as server:
        site = Site(world, tmp_path, "apart", staging_server=server).create_databases()
        site.environment |= {"CCBRIDGE_STAGING__SSLMODE": "disable", "CCBRIDGE_STAGING__INSECURE": "true"}
        try:
            yield site
        finally:
            site.close()


def all_arrived(site: Site, person: str, number: int) -> bool:
    """True once the last name and the recharges around each restart so far have arrived."""
    desired = {f"{word}-{n}" for n in range(number + 1) for word in ("before", "after")}
    sent = {key for key, state in site.receipts() if state == "sent"}
    return named(site, person, f"After,{number}") and sent == desired


def test_restarted_servers_are_waited_for_and_nothing_is_lost(apart: Site) -> None:
    """Prepaid, then staging, is away for a moment under way: retried, and all arrives."""
    site = apart
    assert site.call("migrate").code == 0
    with site.running() as running:
        person = first_person(site)
        for number, server in enumerate((site.world.postgres, site._staging_server)):
            site.recharge(f"before-{number}")
            rename(site, person, f"Before,{number}")
            restarted(server)
            running.wait_for("flow_retried", flow="deliver:prepaid" if number else "capture:prepaid")
            site.recharge(f"after-{number}")
            rename(site, person, f"After,{number}")
            arrived = partial(all_arrived, site, person, number)
            eventually(arrived, f"what was changed around restart {number}", hint=running.text)
        site.wait_until_delivered(running)
        assert site.call("status").code == 0
    assert site.leaked() == []
    assert CANARIES["ccbridge"] not in running.text()
    twice = (
        "select source_position, source_ordinal from staging.change where system = 'prepaid' "
        "group by 1, 2, committed_at having count(*) > 1"
    )
    assert site.staging(twice) == []
