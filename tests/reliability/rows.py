"""Single rows that cannot be written for a while; the others, and traffic, continue."""

from __future__ import annotations

import time
from random import Random

import psycopg

from tests.reliability.bed import Bed

LOCKED_S = 60
SHOWN = "select full_name from customer where ccb_person_id = %s"


def held_row(bed: Bed, chance: Random) -> None:
    """A row that a constraint refuses is held; once the constraint is gone it arrives, traffic or not."""
    bed.begin()
    bed.administrator(
        "prepaid", "alter table customer add constraint refused check (full_name not like 'Refused%')"
    )
    time.sleep(chance.uniform(0, 2))
    person = bed.rename("Refused,Row")
    bed.eventually(lambda: bed.a.call("status").code == 1, "status to tell of a row that is held")
    assert "check" in bed.a.call("status").out
    name = f"Others,{time.time_ns()}"
    bed.recharge(name)
    sent = "select count(*) from recharge where recharge_id = %s and posted_at is not null"
    bed.eventually(lambda: bed.prepaid(sent, name) == [(1,)], "others to flow on")
    assert bed.prepaid(SHOWN, person) != [("Refused,Row",)]
    bed.administrator("prepaid", "alter table customer drop constraint refused")
    since = time.monotonic()
    bed.eventually(lambda: bed.prepaid(SHOWN, person) == [("Refused,Row",)], "the row that was held")
    bed.took("the row arrives, under traffic", time.monotonic() - since)
    bed.equal()


def locked_row(bed: Bed, chance: Random) -> None:
    """The application holds the lock of one row for a minute: that row waits, all others arrive."""
    bed.begin()
    time.sleep(chance.uniform(0, 2))
    with psycopg.connect(bed.world.prepaid.conninfo()) as application:
        since = time.monotonic()
        person = bed.rename("Before,Lock")
        bed.eventually(lambda: bed.prepaid(SHOWN, person) == [("Before,Lock",)], "the row")
        application.execute("select from customer where ccb_person_id = %s for update", [person])
        bed.rename("Locked,Row")
        bed.took("others arrive meanwhile", _others(bed, person))
        time.sleep(max(0.0, since + LOCKED_S - time.monotonic()))
        assert bed.prepaid(SHOWN, person) == [("Before,Lock",)]
    since = time.monotonic()
    bed.eventually(lambda: bed.prepaid(SHOWN, person) == [("Locked,Row",)], "the row that was locked")
    bed.took("the row arrives", time.monotonic() - since)
    bed.equal()


def _others(bed: Bed, locked: str) -> float:
    """Seconds that the change of another customer takes to arrive."""
    since = time.monotonic()
    name = f"Other,{time.time_ns()}"
    with bed.world.ccb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select max(PER_ID) from CISADM.CI_ACCT_PER where MAIN_CUST_SW = 'Y' and PER_ID <> :1", [locked]
        )
        row = cursor.fetchone()
        assert row is not None
        cursor.execute(
            "update CISADM.CI_PER_NAME set ENTITY_NAME = :1 where PER_ID = :2 and NAME_TYPE_FLG = 'PRIM'",
            [name, row[0]],
        )
        connection.commit()
    bed.eventually(lambda: bed.prepaid(SHOWN, row[0]) == [(name,)], "another row")
    return time.monotonic() - since
