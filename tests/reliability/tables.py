"""What applications and DBAs do to the databases under us: publications, locks, ALTER TABLE."""

from __future__ import annotations

import threading
import time
from random import Random
from typing import Any

import psycopg

from tests.reliability.bed import PATIENCE_S, Bed

QUARREL_S = 60
QUARRELLERS = 3
AGAIN = "ccbridge snapshot prepaid public.recharge"
Again = "delete from staging.checkpoint where system = 'ccb';"
"""What status tells an operator to run."""


def publication(bed: Bed, chance: Random) -> None:
    """The table of recharges is taken out of the publication and put back while people recharge."""
    bed.begin()
    time.sleep(chance.uniform(0, 3))
    bed.administrator("prepaid", "alter publication ccbridge drop table recharge")
    bed.recharge("in-the-gap")
    time.sleep(chance.uniform(0, 6))
    bed.administrator("prepaid", "alter publication ccbridge add table recharge")
    said = stopped(bed, "recharge")
    assert AGAIN in said, said
    name = f"Others,{time.time_ns()}"
    person = bed.rename(name)
    shown = "select full_name from customer where ccb_person_id = %s"
    bed.eventually(lambda: bed.prepaid(shown, person) == [(name,)], "other tables to flow on")
    since = time.monotonic()
    asked = bed.a.call(*AGAIN.split()[1:])
    assert asked.code == 0, asked.err
    bed.equal("equal, from ccbridge snapshot on", since)


def stopped(bed: Bed, table: str) -> str:
    """Wait until status names a stopped table, exit code 1; returns what it says."""
    found: list[str] = []

    def reported() -> bool:
        status = bed.a.call("status")
        found[:] = [status.out]
        return status.code == 1 and table in status.out

    bed.eventually(reported, f"status to name {table}", hint=lambda: found[0])
    return found[0]


def deadlocks(bed: Bed, chance: Random) -> None:
    """For a minute the application locks the rows that we write, in changing orders, and meets deadlocks."""
    running = bed.begin()
    ended = threading.Event()
    done: list[str] = []
    chances = [Random(chance.random()) for _ in range(QUARRELLERS)]  # noqa: S311 - orders, not secrets
    threads = [
        threading.Thread(target=_quarrel, args=(bed, one, ended, done), daemon=True) for one in chances
    ]
    for thread in threads:
        thread.start()
    time.sleep(QUARREL_S)
    bed.took("carries while it lasts", bed.carries("meanwhile"))
    ended.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    bed.equal()
    assert done.count("deadlock") > 0 < done.count("committed"), done
    assert running.process.poll() is None, running.text()[-3000:]
    bed.counts["deadlocks"] = done.count("deadlock")


def _quarrel(bed: Bed, chance: Random, ended: threading.Event, done: list[str]) -> None:
    """Lock a few customers and accounts one after another, in any order, and write them as they are."""
    with psycopg.connect(bed.world.prepaid.conninfo()) as session:
        keys: list[tuple[Any, ...]] = session.execute(
            "select 'customer', 'ccb_person_id', ccb_person_id from customer"
            " union all select 'account', 'ccb_account_id', ccb_account_id from account"
        ).fetchall()
        session.commit()
        favourites = chance.sample(keys, len(keys) // 3)
        while not ended.is_set():
            try:
                for table, column, key in chance.sample(favourites, 12):
                    session.execute(f"update {table} set active = active where {column} = %s".encode(), [key])
                    time.sleep(chance.uniform(0, 0.05))
                session.commit()
                done.append("committed")
            except psycopg.errors.DeadlockDetected:
                session.rollback()
                done.append("deadlock")


def altered(bed: Bed, chance: Random) -> None:
    """ALTER TABLE on both sides under traffic: what adds continues, what changes values stops its table."""
    running = bed.begin()
    for statement in (
        "alter table recharge add column note text",
        "alter table recharge alter column amount type numeric(17,2)",
        "alter table customer add column vip boolean default false",
        "create index on account (city)",
        "alter table counter_payment add column terminal text",
    ):
        time.sleep(chance.uniform(0, 2))
        bed.administrator("prepaid", statement)
    with bed.world.ccb.connect("SYSTEM") as connection, connection.cursor() as cursor:
        for statement in (
            "alter table CISADM.CI_PER add (NICKNAME varchar2(30))",
            "alter table CISADM.CI_SA add (NOTE varchar2(30))",
        ):
            time.sleep(chance.uniform(0, 2))
            cursor.execute(statement)
    bed.took("carries with columns added", bed.carries("added"))
    assert bed.a.call("status").code == 0, bed.a.call("status").out
    bed.administrator("prepaid", "alter table recharge alter column channel type text using channel || ''")
    said = stopped(bed, "recharge")
    assert AGAIN in said, said
    since = time.monotonic()
    assert bed.a.call(*AGAIN.split()[1:]).code == 0
    bed.eventually(lambda: bed.a.call("status").code == 0, "status to be content again")
    bed.took("status content, from ccbridge snapshot on", time.monotonic() - since)
    with bed.world.ccb.connect("SYSTEM") as connection, connection.cursor() as cursor:
        cursor.execute("alter table CISADM.CI_SA drop column NOTE")
    bed.carries("others")
    said = stopped(bed, "CI_SA")
    assert Again in said, said
    assert running.end(patience_s=PATIENCE_S) in (0, 4)
    bed.staging(Again)
    since = time.monotonic()
    bed.a.start()
    bed.equal("equal, from reading CC&B again on, start included", since)
