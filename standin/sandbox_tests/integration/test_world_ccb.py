"""The synthetic CC&B through the unmodified driver: data, rights, the payment upload, the workload."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import oracledb
import psycopg
import pytest

from sandbox.ccb import payments
from sandbox.ccb.database import BRIDGE_USER, SUSPENSE_ACCOUNT
from sandbox.ccb.schema import tables
from sandbox.ccb.upload_batch import PaymentUpload, UploadCounts
from sandbox.workload.cash_desk import CashDesk
from sandbox.workload.ccb_people import CcbPeople
from sandbox.workload.ccb_rows import read
from sandbox.workload.prepaid_customers import PrepaidCustomers
from sandbox.workload.verify import Account, Customer, compare, expected_accounts, expected_customers
from sandbox.world import World

STAGED = (
    (
        "CI_DEP_CTL_ST",
        (
            "EXT_SOURCE_ID",
            "EXT_TRANSMIT_ID",
            "DEP_CTL_STG_ST_FLG",
            "TRANSMIT_DTTM",
            "CURRENCY_CD",
            "TOT_TNDR_CTL_AMT",
            "TOT_TNDR_CTL_CNT",
        ),
    ),
    (
        "CI_TNDR_CTL_ST",
        (
            "EXT_SOURCE_ID",
            "EXT_TRANSMIT_ID",
            "EXT_BATCH_ID",
            "TND_CTL_STG_ST_FLG",
            "TOT_TNDR_AMT",
            "TOT_TNDR_CNT",
        ),
    ),
    (
        "CI_PAY_TNDR_ST",
        (
            "EXT_SOURCE_ID",
            "EXT_TRANSMIT_ID",
            "EXT_BATCH_ID",
            "EXT_REFERENCE_ID",
            "PAY_TND_STG_ST_FLG",
            "TENDER_AMT",
            "ACCOUNTING_DT",
            "TENDER_TYPE_CD",
            "CUST_ID",
        ),
    ),
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(persons=300, seed=11) as running:
        yield running


@pytest.fixture
def ccb(world: World) -> Iterator[oracledb.Connection]:
    """A session of the application, rolled back at the end."""
    with world.ccb.connect() as connection:
        yield connection


def rows(connection: oracledb.Connection, query: str, *binds: object) -> list[Any]:
    with connection.cursor() as cursor:
        return list(cursor.execute(query, binds).fetchall())


def accounts_that_vend(connection: oracledb.Connection) -> list[str]:
    found = rows(
        connection,
        "select ACCT_ID from CISADM.CI_SA where SA_TYPE_CD = 'PPD' and SA_STATUS_FLG = '20' order by ACCT_ID",
    )
    return [account for (account,) in found]


def send(
    world: World,
    transmission: str,
    tenders: list[tuple[str, str, str, str]],
    *,
    amount: str | None = None,
    days: int = 0,
) -> None:
    """Load a transmission as the bridge does; tenders as reference, account, amount, tender type."""
    total = sum((Decimal(t[2]) for t in tenders), Decimal(0))
    now = payments.site_now()
    dated = now.date() + timedelta(days)
    staged: list[list[tuple[Any, ...]]] = [
        [("PREPAID", transmission, "20", now, "XAF", Decimal(amount) if amount else total, 1)],
        [("PREPAID", transmission, "B1", "20", total, len(tenders))],
        [
            ("PREPAID", transmission, "B1", reference, "10", Decimal(value), dated, kind, account)
            for reference, account, value, kind in tenders
        ],
    ]
    with world.ccb.connect(BRIDGE_USER) as connection, connection.cursor() as cursor:
        for (table, columns), some in zip(STAGED, staged, strict=True):
            cursor.executemany(tables()[table].insert_statement(columns), some)
        connection.commit()


def states(connection: oracledb.Connection, transmission: str) -> tuple[str, str, dict[str, str]]:
    """Deposit state, tender control state, tender states by reference."""
    ((deposit,),) = rows(
        connection,
        "select DEP_CTL_STG_ST_FLG from CISADM.CI_DEP_CTL_ST where EXT_TRANSMIT_ID = :1",
        transmission,
    )
    ((control,),) = rows(
        connection,
        "select TND_CTL_STG_ST_FLG from CISADM.CI_TNDR_CTL_ST where EXT_TRANSMIT_ID = :1",
        transmission,
    )
    tenders = rows(
        connection,
        "select EXT_REFERENCE_ID, PAY_TND_STG_ST_FLG from CISADM.CI_PAY_TNDR_ST where EXT_TRANSMIT_ID = :1",
        transmission,
    )
    return deposit, control, {reference.rstrip(): state for reference, state in tenders}


def posted(connection: oracledb.Connection, reference: str) -> list[Any]:
    """Account, amount, status, segments and their sum of each payment of a receipt."""
    return rows(
        connection,
        "select p.ACCT_ID, p.PAY_AMT, p.PAY_STATUS_FLG, f.TOT_AMT, f.CUR_AMT, f.FREEZE_SW"
        " from CISADM.CI_PAY_TNDR t join CISADM.CI_PAY p on p.PAY_EVENT_ID = t.PAY_EVENT_ID"
        " left join CISADM.CI_FT f on f.PARENT_ID = p.PAY_ID where t.EXT_REFERENCE_ID = :1",
        reference.ljust(36),
    )


def test_data_is_stored_as_ouaf_stores_it(world: World, ccb: oracledb.Connection) -> None:
    """CHAR comes back padded, missing text is a blank and not NULL, and every row is there."""
    for table, count in world.loaded.items():
        extra = 1 if table in ("CI_ACCT", "CI_SA") else 0  # the suspense account
        assert rows(ccb, f"select count(*) from CISADM.{table}") == [(count + extra,)]
    identifiers = rows(ccb, "select distinct ID_TYPE_CD from CISADM.CI_PER_ID order by 1")
    assert identifiers == [("NID     ",), ("PASSPORT",)]
    assert rows(ccb, "select distinct LS_SL_DESCR, NUM1, VERSION from CISADM.CI_PER") == [(" ", " " * 6, 1)]
    assert rows(ccb, "select count(*) from CISADM.CI_SA where END_DT is null")[0][0] > 0


def test_names_survive_the_way_in_and_out(ccb: oracledb.Connection) -> None:
    """Apostrophes, accents and characters of four bytes are stored as they are."""
    names = [name for (name,) in rows(ccb, "select ENTITY_NAME from CISADM.CI_PER_NAME")]
    assert any("'" in name for name in names)
    assert any("é" in name for name in names)
    assert any(ord(character) > 0xFFFF for name in names for character in name)


@pytest.mark.parametrize(
    "forbidden",
    [
        "insert into CISADM.CI_PAY_EVENT (PAY_EVENT_ID) values ('1')",
        "update CISADM.CI_PER set LANGUAGE_CD = 'FRA'",
        "update CISADM.CI_PAY_TNDR_ST set PAY_TND_STG_ST_FLG = '10'",
        "delete from CISADM.CI_DEP_CTL_ST",
    ],
)
def test_bridge_may_not_touch_what_is_not_its_own(world: World, forbidden: str) -> None:
    """The bridge's user writes upload staging rows and nothing else, and never changes them."""
    with (
        world.ccb.connect(BRIDGE_USER) as connection,
        connection.cursor() as cursor,
        pytest.raises(oracledb.DatabaseError, match="ORA-01031"),
    ):
        cursor.execute(forbidden)


def test_upload_posts_good_receipts_to_the_cent(world: World, ccb: oracledb.Connection) -> None:
    """Each receipt becomes one frozen payment on its account; only the payoff balance moves."""
    first, second = accounts_that_vend(ccb)[:2]
    send(world, "GOOD", [("G1", first, "1000.05", "MOMO"), ("G2", second, "0.01", "CASH")])
    assert PaymentUpload(ccb).run() == UploadCounts(posted=2)
    assert states(ccb, "GOOD") == ("50", "50", {"G1": "40", "G2": "40"})
    assert posted(ccb, "G1") == [(first, Decimal("1000.05"), "50", Decimal("-1000.05"), 0, "Y")]
    assert posted(ccb, "G2") == [(second, Decimal("0.01"), "50", Decimal("-0.01"), 0, "Y")]
    assert PaymentUpload(ccb).run() == UploadCounts()
    linked = rows(
        ccb,
        "select count(*) from CISADM.CI_PAY_TNDR_ST s join CISADM.CI_PAY_TNDR t"
        " on t.PAY_TENDER_ID = s.PAY_TENDER_ID join CISADM.CI_TNDR_CTL c on c.TNDR_CTL_ID = t.TNDR_CTL_ID"
        " where s.EXT_TRANSMIT_ID = 'GOOD' and c.TNDR_SOURCE_CD = 'PREPAID'",
    )
    assert linked == [(2,)]


def test_unknown_account_lands_in_suspense_and_bad_tender_in_error(
    world: World, ccb: oracledb.Connection
) -> None:
    """One transmission: the good receipt is posted, the unknown account suspended, the bad type noted."""
    account = accounts_that_vend(ccb)[0]
    send(
        world,
        "MIXED",
        [("M1", account, "5", "CASH"), ("M2", "NOBODY", "6", "CASH"), ("M3", account, "7", "BEER")],
    )
    assert PaymentUpload(ccb).run() == UploadCounts(posted=2, suspense=1, errors=1)
    assert states(ccb, "MIXED") == ("30", "30", {"M1": "40", "M2": "40", "M3": "50"})
    assert posted(ccb, "M2")[0][:3] == (SUSPENSE_ACCOUNT, 6, "50")
    assert posted(ccb, "M3") == []
    query = "select MESSAGE_NBR from CISADM.CI_TNDR_ST_EXCP where EXT_TRANSMIT_ID = 'MIXED'"
    assert rows(ccb, query) == [(101,)]
    # somebody corrects the tender on the screen and sets it pending again
    with ccb.cursor() as cursor:
        cursor.execute(
            "update CISADM.CI_PAY_TNDR_ST set TENDER_TYPE_CD = 'CARD', PAY_TND_STG_ST_FLG = '10'"
            " where EXT_TRANSMIT_ID = 'MIXED' and EXT_REFERENCE_ID = 'M3'"
        )
    ccb.commit()
    assert PaymentUpload(ccb).run() == UploadCounts(posted=1)
    assert states(ccb, "MIXED") == ("50", "50", {"M1": "40", "M2": "40", "M3": "40"})
    assert rows(ccb, query) == []


def test_wrong_total_blocks_the_transmission_until_it_is_mended(
    world: World, ccb: oracledb.Connection
) -> None:
    """Nothing under a deposit in error is processed; the next run checks it again."""
    account = accounts_that_vend(ccb)[0]
    send(world, "WRONG", [("W1", account, "5.00", "CASH")], amount="5.01")
    assert PaymentUpload(ccb).run() == UploadCounts(rejected=1)
    assert states(ccb, "WRONG") == ("60", "20", {"W1": "10"})
    assert posted(ccb, "W1") == []
    with ccb.cursor() as cursor:
        cursor.execute("update CISADM.CI_DEP_CTL_ST set TOT_TNDR_CTL_AMT = 5 where EXT_TRANSMIT_ID = 'WRONG'")
    ccb.commit()
    assert PaymentUpload(ccb).run() == UploadCounts(posted=1)
    assert states(ccb, "WRONG") == ("50", "50", {"W1": "40"})


def test_receipt_of_tomorrow_waits(world: World, ccb: oracledb.Connection) -> None:
    """A future accounting date is skipped today and posted on its day."""
    send(world, "LATER", [("L1", accounts_that_vend(ccb)[0], "5", "CASH")], days=1)
    assert PaymentUpload(ccb).run() == UploadCounts(waiting=1)
    assert states(ccb, "LATER") == ("30", "30", {"L1": "10"})
    tomorrow = payments.site_now().date() + timedelta(days=1)
    assert PaymentUpload(ccb, today=lambda: tomorrow).run() == UploadCounts(posted=1)
    assert states(ccb, "LATER") == ("50", "50", {"L1": "40"})


def test_upload_that_dies_leaves_nothing_and_starts_again(
    world: World, ccb: oracledb.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch killed after its inserts leaves the transmission pending; the next run posts it once."""
    send(world, "KILLED", [("K1", accounts_that_vend(ccb)[0], "5", "CASH")])
    with monkeypatch.context() as patch:
        patch.setattr(payments, "freeze", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with world.ccb.connect() as dying, pytest.raises(KeyboardInterrupt):
            PaymentUpload(dying).run()
    assert states(ccb, "KILLED") == ("20", "20", {"K1": "10"})
    assert posted(ccb, "K1") == []
    assert PaymentUpload(ccb).run() == UploadCounts(posted=1)
    assert len(posted(ccb, "K1")) == 1


def test_upload_posts_a_receipt_twice_when_it_is_sent_twice(world: World, ccb: oracledb.Connection) -> None:
    """As in CC&B a receipt is unique inside its batch only: recognising it is the sender's duty."""
    account = accounts_that_vend(ccb)[0]
    for transmission in ("TWICE-1", "TWICE-2"):
        send(world, transmission, [("T1", account, "5", "CASH")])
    assert PaymentUpload(ccb).run() == UploadCounts(posted=2)
    assert len(posted(ccb, "T1")) == 2


def test_clerks_and_cash_desk_do_everything_they_can(world: World) -> None:
    """All kinds of work occur, all of it goes through, and payments end frozen, canceled or deleted."""
    people = CcbPeople(world.ccb, seed=5, batch_rows=50)
    desk = CashDesk(world.ccb, seed=6)
    done: set[str] = set()
    for player, steps in ((people, 250), (desk, 150)):
        player.open()
        try:
            done |= {player.step() for _ in range(steps)}
        finally:
            player.close()
    assert {
        "customer_added",
        "name_changed",
        "contact_changed",
        "contact_replaced",
        "identifier_changed",
        "main_customer_moved",
        "agreement_changed",
        "service_point_moved",
        "address_changed",
        "rolled_back",
        "mass_update",
        "payment_taken",
        "payment_frozen",
        "payment_canceled",
        "payment_deleted",
    } <= done
    with world.ccb.connect() as connection:
        found = rows(connection, "select distinct PAY_STATUS_FLG from CISADM.CI_PAY order by 1")
        assert {"50", "60"} <= {status for (status,) in found} <= {"30", "50", "60"}
        balance = rows(
            connection,
            "select sum(f.TOT_AMT) from CISADM.CI_FT f join CISADM.CI_PAY p on p.PAY_ID = f.PARENT_ID"
            " where p.PAY_STATUS_FLG = '60' and f.FREEZE_SW = 'Y'",
        )
        assert balance == [(0,)]


def test_comparison_sees_every_planted_difference(world: World) -> None:
    """After a straight copy nothing differs but payments; then each fault we plant is found."""
    with world.ccb.connect() as connection:
        source = read(connection)
    customers = expected_customers(source)
    accounts = expected_accounts(source, customers)
    with psycopg.connect(world.postgres.conninfo("prepaid")) as prepaid:
        copy(prepaid, "customer", ("ccb_person_id", *Customer._fields), customers)
        copy(prepaid, "account", ("ccb_account_id", *Account._fields), accounts)
    assert {d.table for d in compare(world.ccb, world.prepaid).found} == {"counter_payment", "recharge"}
    player = PrepaidCustomers(world.prepaid, seed=1, burst=1)
    player.open()
    try:
        while player.step() != "recharged":
            pass
    finally:
        player.close()
    person, account = next(iter(customers)), next(iter(accounts))
    with psycopg.connect(world.postgres.conninfo("prepaid")) as prepaid:
        prepaid.execute("update customer set full_name = full_name || 'x' where ccb_person_id = %s", [person])
        prepaid.execute("update account set may_vend = not may_vend where ccb_account_id = %s", [account])
        prepaid.execute("insert into customer (ccb_person_id, full_name) values ('stranger', 'x')")
    found = compare(world.ccb, world.prepaid).found
    assert {(d.table, d.key, d.column) for d in found if d.table in ("customer", "account")} == {
        ("customer", person, "full_name"),
        ("customer", "stranger", "active"),
        ("account", account, "may_vend"),
    }
    assert [d for d in found if d.table == "recharge" and d.column == "tenders"]


def copy(
    target: psycopg.Connection[Any], table: str, columns: tuple[str, ...], expected: dict[str, Any]
) -> None:
    """Write what prepaid should show, without any product code."""
    with (
        target.cursor() as cursor,
        cursor.copy(f"copy public.{table} ({', '.join(columns)}) from stdin") as stream,
    ):
        for key, row in expected.items():
            stream.write_row((key, *row))
