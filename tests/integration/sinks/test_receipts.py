"""Receipts in a real staging database: built once, sent as frozen, followed by what CC&B staged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest

import mapping_rules
from cdc.config import PostgresConnection
from cdc.errors import LeaseLost
from cdc.postgres.connect import connect
from cdc.staging.leases import Lease
from sandbox.postgres import PostgresServer
from sinks.ccb_payment_upload.receipts import lost
from sinks.ccb_payment_upload.receipts.store import Receipts
from sinks.ccb_payment_upload.section import PaymentUpload
from tests.support.migrated import migrated

RULES = mapping_rules.load("ccb_prepaid")
[PROGRAM] = mapping_rules.compile_outbound(RULES, "ccb")
UPLOAD = PaymentUpload(external_source="PREPAID", max_per_transmission=2)
ENTITY = (
    "source_system, source_position, source_ordinal, operation, committed_at, staged_seq, tombstone) "
    "values ({}, 'ccb', 1, 0, 'c', now(), nextval('staging.staged_seq'), false) "
)


class Staging:
    """A migrated staging database, and CC&B's staged rows as the reader would put them there."""

    def __init__(self, settings: PostgresConnection) -> None:
        self.settings = settings
        self.connection = connect(settings, application="test", autocommit=True)

    def receipts(self, lease: Lease | None = None) -> Receipts:
        return Receipts(self.connection, UPLOAD, lease)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def states(self) -> dict[str, str]:
        return dict(self.rows("select recharge_id, state from staging.receipt"))

    def put(self, entity: str, key: str, **values: object) -> None:
        """Insert or change a row of an entity, with a new number."""
        given = ", ".join(["%s"] * len(values))
        changes = ", ".join(f"{name} = excluded.{name}" for name in [*values, "staged_seq", "committed_at"])
        self.connection.execute(
            f"insert into staging.{entity} ({', '.join(values)}, "
            + ENTITY.format(given)
            + f"on conflict ({key}) do update set {changes}",
            list(values.values()),
        )

    def upload(self, recharge: str, **values: object) -> None:
        """CC&B's upload row of a sent receipt."""
        [keys] = self.rows(
            "select external_source, transmission_id, batch_id from staging.receipt "
            f"where recharge_id = '{recharge}'"
        )
        place = dict(zip(("external_source", "transmission_id", "batch_id"), keys, strict=True))
        key = "external_source, transmission_id, batch_id, external_reference"
        self.put("upload_tender", key, **place, external_reference=recharge, **({"status": "10"} | values))

    def accept(self, recharge: str) -> None:
        """CC&B's upload takes a receipt: tender and event e-<recharge>."""
        self.upload(recharge, status="40", tender_id=f"t-{recharge}")
        self.put(
            "tender",
            "tender_id",
            tender_id=f"t-{recharge}",
            payment_event_id=f"e-{recharge}",
            external_reference=recharge,
            amount=Decimal("10.50"),
        )

    def pay(
        self, payment: str, recharge: str, status: str, account: str = "a1", amount: str = "10.50"
    ) -> None:
        self.put(
            "payment",
            "payment_id",
            payment_id=payment,
            payment_event_id=f"e-{recharge}",
            account_id=account,
            status=status,
            amount=Decimal(amount),
        )


@pytest.fixture(scope="module")
def migrated_settings(postgres: PostgresServer) -> PostgresConnection:
    """A staging database for the module; the tests empty it."""
    return migrated(postgres.create_database("receipts"), RULES)


@pytest.fixture
def staging(migrated_settings: PostgresConnection) -> Iterator[Staging]:
    staging = Staging(migrated_settings)
    tables = ("receipt", "receipt_history", "upload_tender", "tender", "payment", "agreement", "lease")
    staging.connection.execute(f"truncate {', '.join(f'staging.{table}' for table in tables)}")
    yield staging
    staging.connection.close()


def desired(*recharges: str, gone: Sequence[str] = (), **values: Any) -> pl.DataFrame:
    """Desired rows of the upload rule as staging gives them."""
    row: dict[str, str | None] = {
        "CUST_ID": "a1",
        "TENDER_AMT": "10.50",
        "TENDER_TYPE_CD": "MOMO",
        "ACCOUNTING_DT": "2026-02-03",
        "CURRENCY_CD": "XAF",
        **values,
    }
    rows: list[dict[str, Any]] = [
        {"EXT_REFERENCE_ID": key, **row, "_deleted": False, "_staged_seq": n}
        for n, key in enumerate(recharges, 1)
    ]
    rows += [
        {"EXT_REFERENCE_ID": key, **dict.fromkeys(row), "_deleted": True, "_staged_seq": 99} for key in gone
    ]
    names = [*PROGRAM.key, *PROGRAM.columns]
    kinds: dict[str, Any] = dict.fromkeys(names, pl.String) | {
        "_deleted": pl.Boolean,
        "_staged_seq": pl.Int64,
    }
    return pl.DataFrame(rows, schema=kinds)


def send(receipts: Receipts) -> list[list[str]]:
    """Send all that is unsent; returns the receipts by transmission."""
    transmissions = receipts.unsent()
    for transmission in transmissions:
        receipts.mark_sent(transmission)
    return [transmission["recharge_id"].to_list() for transmission in transmissions]


def sent(staging: Staging, *recharges: str) -> Receipts:
    receipts = staging.receipts()
    receipts.build(PROGRAM, desired(*recharges))
    send(receipts)
    return receipts


def test_a_receipt_known_by_its_tender_alone_is_followed(staging: Staging) -> None:
    """CC&B had booked it and purged its upload tables when a restored staging looked for it."""
    receipts = staging.receipts()
    receipts.build(PROGRAM, desired("r1", "r2"))
    [transmission] = receipts.unsent()
    receipts.mark_sent(transmission, {"r1": "t-r1"})
    receipts.follow()
    assert staging.states() == {"r1": "accepted", "r2": "sent"}
    staging.put(
        "tender",
        "tender_id",
        tender_id="t-r1",
        payment_event_id="e-r1",
        external_reference="r1",
        amount=Decimal("10.50"),
    )
    staging.pay("p1", "r1", "50")
    receipts.follow()
    assert staging.states() == {"r1": "posted", "r2": "sent"}


def test_refused_receipt_is_rejected_and_the_others_go_in_another_transmission(staging: Staging) -> None:
    """What was frozen is thawed, as nothing of it was sent; the refused one is checked again later."""
    receipts = staging.receipts()
    receipts.build(PROGRAM, desired("r1", "r2", "r3"))
    [frozen] = [one for one in receipts.unsent() if "r2" in one["recharge_id"].to_list()]
    keys = frozen["recharge_id"].to_list()
    rejections = pl.DataFrame({"recharge_id": ["r2"], "reason": ["refused by CC&B: ORA-20001"]})
    assert receipts.refused(frozen, rejections) == 1
    assert staging.rows("select state, state_reason from staging.receipt where recharge_id = 'r2'") == [
        ("error", "refused by CC&B: ORA-20001")
    ]
    left = receipts.unsent()
    assert sorted(key for one in left for key in one["recharge_id"]) == ["r1", "r3"]
    assert all(one["transmission_id"][0] != frozen["transmission_id"][0] or len(keys) == 1 for one in left)
    again = receipts.waiting(rejected=True)
    assert again["recharge_id"].to_list() == ["r2"]
    receipts.checked(again, rejections.clear())
    assert "r2" in [key for one in receipts.unsent() for key in one["recharge_id"]]


def test_build_again_makes_no_second_receipt(staging: Staging) -> None:
    """A window of staging that comes twice, or overlaps, sends nothing twice."""
    receipts = staging.receipts()
    assert receipts.build(PROGRAM, desired("r1", "r2")).built == 2
    before = staging.rows("select * from staging.receipt order by 1")
    again = receipts.build(PROGRAM, desired("r1", "r2", "r3"))
    assert (again.built, again.held.height) == (1, 0)
    assert staging.rows("select * from staging.receipt where recharge_id <> 'r3' order by 1") == before
    assert send(receipts) == [["r1", "r2"], ["r3"]]
    assert receipts.build(PROGRAM, desired("r1", "r2", "r3")).built == 0
    assert send(receipts) == []


def test_transmissions_are_small_of_one_currency_and_named_alike_after_a_crash(staging: Staging) -> None:
    """What was built before a crash is sent after it under the same id, with the same receipts."""
    staging.receipts().build(PROGRAM, desired("r1", "r2", "r3"))
    staging.receipts().build(PROGRAM, desired("r4", CURRENCY_CD="EUR"))
    before = staging.receipts().unsent()
    after = staging.receipts().unsent()
    assert [frame.to_dicts() for frame in before] == [frame.to_dicts() for frame in after]
    assert [frame["recharge_id"].to_list() for frame in before] == [["r1", "r2"], ["r3"], ["r4"]]
    assert all(len(frame["transmission_id"][0]) <= 30 for frame in before)
    assert before[0]["amount"].to_list() == [Decimal("10.50")] * 2


def test_recharge_that_cannot_be_sent_is_held_with_its_column(staging: Staging) -> None:
    """Nothing is cut or rounded into CC&B, and nothing incomplete is sent."""
    receipts = staging.receipts()
    rejections: list[tuple[str, str | None, str]] = [
        ("CUST_ID", None, "missing_value"),
        ("CUST_ID", "9" * 37, "value_too_long"),
        ("TENDER_AMT", "10.505", "value_not_representable"),
        ("TENDER_AMT", "1e3", "value_not_representable"),
        ("TENDER_AMT", "0.00", "not_positive"),
        ("TENDER_TYPE_CD", "LONGER", "value_too_long"),
        ("ACCOUNTING_DT", "2026-02-30", "value_not_representable"),
    ]
    for column, value, code in rejections:
        given: dict[str, Any] = {column: value}
        built = receipts.build(PROGRAM, desired("bad", **given))
        assert built.built == 0
        [held] = built.held.to_dicts()
        assert (held["program"], held["key"]) == ("ccb_payment", '{"EXT_REFERENCE_ID":"bad"}')
        assert held["reason_code"] == code
        assert f"CI_PAY_TNDR_ST.{column}" in held["reason"]
        assert value is None or value not in held["reason"]
    assert receipts.build(PROGRAM, desired("good", TENDER_TYPE_CD=None)).built == 1
    assert staging.rows("select recharge_id, tender_type from staging.receipt") == [("good", "CASH")]


def test_recharge_changed_before_sending_changes_its_receipt_afterwards_it_is_reported(
    staging: Staging,
) -> None:
    """Once CC&B may hold the payment, its amount is never changed silently."""
    receipts = staging.receipts()
    receipts.build(PROGRAM, desired("r1"))
    assert receipts.build(PROGRAM, desired("r1", TENDER_AMT="12")).built == 1
    [frozen] = receipts.unsent()
    late = receipts.build(PROGRAM, desired("r1", TENDER_AMT="15"))
    assert (late.built, late.held["reason_code"].to_list()) == (0, ["changed_after_sending"])
    assert receipts.unsent()[0].to_dicts() == frozen.to_dicts()
    assert frozen["amount"].to_list() == [Decimal("12.00")]
    receipts.mark_sent(frozen)
    assert receipts.build(PROGRAM, desired("r1", TENDER_AMT="15")).held.height == 1
    assert receipts.build(PROGRAM, desired("r1", TENDER_AMT="12.00")).held.is_empty()
    history = "select amount from staging.receipt_history where state = 'built' order by staged_seq"
    assert staging.rows(history) == [(Decimal("10.50"),), (Decimal("12.00"),)]


def test_recharge_withdrawn_before_sending_is_never_sent(staging: Staging) -> None:
    """A cancelled recharge leaves its transmission; after sending an operator must cancel the payment."""
    receipts = staging.receipts()
    receipts.build(PROGRAM, desired("r1", "r2"))
    assert receipts.build(PROGRAM, desired(gone=("r1", "unknown"))).withdrawn == 1
    assert receipts.waiting(rejected=True)["recharge_id"].to_list() == ["r2"]
    assert send(receipts) == [["r2"]]
    late = receipts.build(PROGRAM, desired(gone=("r1", "r2")))
    assert (late.withdrawn, late.held["reason_code"].to_list()) == (0, ["withdrawn_after_sending"])
    assert receipts.build(PROGRAM, desired("r1")).built == 1
    assert send(receipts) == [["r1"]]


def test_receipt_that_fails_its_check_waits_and_holds_up_no_one(staging: Staging) -> None:
    """An unknown account stays out of every transmission until it is known, then goes in a new one."""
    receipts = staging.receipts()
    receipts.build(PROGRAM, desired("r1", "r2"))
    rejections = pl.DataFrame({"recharge_id": ["r1"], "reason": ["account is not known in CC&B"]})
    assert receipts.checked(receipts.waiting(), rejections) == 1
    [first] = receipts.unsent()
    receipts.mark_sent(first)
    assert first["recharge_id"].to_list() == ["r2"]
    assert staging.rows("select state, state_reason from staging.receipt where recharge_id = 'r1'") == [
        ("error", "account is not known in CC&B")
    ]
    assert receipts.waiting().is_empty()
    waiting = receipts.waiting(rejected=True)
    assert receipts.checked(waiting, rejections) == 0
    assert receipts.checked(waiting, rejections.clear()) == 1
    [second] = receipts.unsent()
    assert second["recharge_id"].to_list() == ["r1"]
    assert second["transmission_id"][0] != first["transmission_id"][0]


def test_follow_moves_a_receipt_from_sent_to_posted_with_ccbs_ids(staging: Staging) -> None:
    """Accepted when CC&B fills the tender id, posted when the payment is frozen with amount and account."""
    receipts = sent(staging, "r1")
    staging.upload("r1")
    assert receipts.follow() == 0
    staging.accept("r1")
    staging.pay("p1", "r1", "30")
    assert receipts.follow() == 1
    assert staging.states() == {"r1": "accepted"}
    staging.pay("p1", "r1", "50")
    assert receipts.follow() == 1
    assert staging.rows(
        "select r.state, r.tender_id, r.payment_event_id, r.payment_id, r.posted_at = p.committed_at, "
        "r.staged_seq > p.staged_seq from staging.receipt r, staging.payment p"
    ) == [("posted", "t-r1", "e-r1", "p1", True, True)]
    assert [
        state
        for (state,) in staging.rows("select state from staging.receipt_history order by superseded_seq")
    ] == ["built", "sent", "accepted"]
    assert receipts.follow() == 0


def test_follow_finds_what_happened_while_no_one_looked(staging: Staging) -> None:
    """CC&B may be done before we have noted that we sent, and before a restart."""
    receipts = staging.receipts()
    receipts.build(PROGRAM, desired("r1"))
    [transmission] = receipts.unsent()
    staging.accept("r1")
    staging.pay("p1", "r1", "50")
    assert receipts.follow() == 0
    receipts.mark_sent(transmission)
    assert receipts.follow() == 1
    assert staging.states() == {"r1": "posted"}
    assert staging.receipts().follow() == 0


@pytest.mark.parametrize(
    ("account", "amount", "reason"),
    [
        ("suspense", "10.50", "CC&B posted it to another account"),
        ("a1", "10.49", "CC&B posted another amount"),
    ],
)
def test_money_posted_elsewhere_is_in_suspense_until_it_is_put_right(
    staging: Staging, account: str, amount: str, reason: str
) -> None:
    """A payment on the wrong account is not reported to prepaid as posted."""
    receipts = sent(staging, "r1")
    staging.accept("r1")
    staging.pay("p1", "r1", "50", account, amount)
    receipts.follow()
    assert staging.rows("select state, state_reason from staging.receipt") == [("suspense", reason)]
    staging.pay("p1", "r1", "60", account, amount)
    staging.pay("p2", "r1", "50")
    receipts.follow()
    assert staging.rows("select state, state_reason, payment_id from staging.receipt") == [
        ("posted", None, "p2")
    ]


def test_account_number_of_before_ccb_counts_as_the_account(staging: Staging) -> None:
    """CC&B takes OLD_ACCT_ID for an account; the payment then carries the new number."""
    receipts = sent(staging, "r1")
    staging.put("agreement", "agreement_id", agreement_id="s1", account_id="new", old_account_id="a1")
    staging.accept("r1")
    staging.pay("p1", "r1", "50", "new")
    receipts.follow()
    assert staging.states() == {"r1": "posted"}


def test_refused_upload_row_is_an_error_until_ccb_takes_it_after_all(staging: Staging) -> None:
    """The upload batch's errors are corrected in CC&B; the receipt follows without being sent again."""
    receipts = sent(staging, "r1")
    staging.upload("r1", status="50")
    receipts.follow()
    assert staging.states() == {"r1": "error"}
    assert receipts.waiting(rejected=True).is_empty()
    staging.upload("r1", status="10")
    assert receipts.follow() == 0
    staging.accept("r1")
    receipts.follow()
    assert staging.states() == {"r1": "accepted"}


def test_cancelled_payment_reverses_its_receipt_and_old_news_do_not_undo_it(staging: Staging) -> None:
    """States only move forward, except that a payment entered again under the same event counts."""
    receipts = sent(staging, "r1")
    staging.accept("r1")
    staging.pay("p1", "r1", "50")
    receipts.follow()
    staging.pay("p1", "r1", "20")
    assert receipts.follow() == 0, "a payment that is not frozen any more"
    staging.connection.execute(
        "update staging.payment set tombstone = true, staged_seq = nextval('staging.staged_seq')"
    )
    assert receipts.follow() == 0, "a payment that was archived"
    assert staging.states() == {"r1": "posted"}
    staging.connection.execute("update staging.payment set tombstone = false")
    staging.pay("p1", "r1", "60")
    receipts.follow()
    assert staging.states() == {"r1": "reversed"}
    staging.accept("r1")
    assert receipts.follow() == 0
    staging.upload("r1", status="50", tender_id=None)
    assert receipts.follow() == 0
    staging.accept("r1")
    assert staging.receipts().follow() == 0
    staging.pay("p2", "r1", "50")
    receipts.follow()
    assert staging.rows("select state, payment_id from staging.receipt") == [("posted", "p2")]


def test_tender_of_another_channel_with_the_same_reference_is_not_ours(staging: Staging) -> None:
    """A receipt number that a bank uses too must not post our recharge."""
    receipts = sent(staging, "r1")
    staging.upload("r1")
    staging.put("tender", "tender_id", tender_id="bank", payment_event_id="e-r1", external_reference="r1")
    staging.pay("p1", "r1", "50")
    assert receipts.follow() == 0
    assert staging.states() == {"r1": "sent"}


@pytest.mark.parametrize("analyzed", [False, True])
def test_follow_looks_only_at_what_was_touched(staging: Staging, analyzed: bool) -> None:
    """With many receipts open, a look that finds nothing new reads no receipt at all.

    With and without statistics. Autovacuum is off for the table: its ANALYZE would see no row of the
    insert while that is not committed, and note that the table, of hundreds of pages, is empty.
    """
    trailing = ENTITY.format("r, 'sent', now(), 's', 't', '1'").replace("values (", "select ")
    staging.connection.execute("alter table staging.receipt set (autovacuum_enabled = false)")
    staging.connection.execute(
        "insert into staging.receipt (recharge_id, state, sent_at, external_source, transmission_id, "
        f"batch_id, {trailing.removesuffix(') ')} from generate_series(1, 20000) as r"
    )
    if analyzed:
        staging.connection.execute("analyze staging.receipt")
    receipts = staging.receipts()
    receipts.follow()
    receipts.follow()
    before = receipts_read(staging)
    staging.put("tender", "tender_id", tender_id="x", external_reference="77")
    receipts.follow()
    assert receipts_read(staging) - before < 50


def receipts_read(staging: Staging) -> int:
    """Receipts that statements have read so far, by the server's own count."""
    staging.connection.execute("select pg_stat_force_next_flush()")
    [(read,)] = staging.rows(
        "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables "
        "where schemaname = 'staging' and relname = 'receipt'"
    )
    return int(read)


def test_process_without_the_lease_changes_no_receipt(staging: Staging) -> None:
    """A process that was stopped while another took over builds, sends and moves nothing."""
    former = Lease(staging.settings, "run", "former", 60)
    assert former.acquire() is not None
    receipts = staging.receipts(former)
    receipts.build(PROGRAM, desired("r1"))
    staging.connection.execute("update staging.lease set expires_at = clock_timestamp()")
    later = Lease(staging.settings, "run", "later", 60)
    assert later.acquire() is not None
    for act in (lambda: receipts.build(PROGRAM, desired("r2")), receipts.unsent):
        with pytest.raises(LeaseLost):
            act()
    assert staging.states() == {"r1": "built"}
    former.close()
    later.close()


def test_acknowledgement_rule_sees_the_receipt_once_it_is_posted(staging: Staging) -> None:
    """A posted receipt reaches prepaid by the ordinary outbound path."""
    from cdc.staging.desired import desired_rows

    receipts = sent(staging, "r1")
    acknowledgement = next(
        program
        for program in mapping_rules.compile_outbound(RULES, "prepaid")
        if program.name == "recharge_acknowledgement"
    )
    staging.accept("r1")
    staging.pay("p1", "r1", "50")
    [(low,)] = staging.rows("select max(staged_seq) from staging.receipt")
    receipts.follow()
    [(high,)] = staging.rows("select max(staged_seq) from staging.receipt")
    frame = desired_rows(staging.connection, acknowledgement, low, high)
    assert frame.select("recharge_id", "ccb_payment_id", "_deleted").rows() == [("r1", "p1", False)]


def test_history_of_a_receipt_has_no_gap_and_no_overlap(staging: Staging) -> None:
    """An auditor finds exactly one version for any moment, though CC&B's clock is an hour behind ours."""
    receipts = sent(staging, "r1")
    staging.accept("r1")
    receipts.follow()
    staging.pay("p1", "r1", "50")
    staging.connection.execute("update staging.payment set committed_at = now() - interval '1 hour'")
    staging.connection.execute("update staging.tender set committed_at = now() - interval '1 hour'")
    staging.connection.execute("update staging.upload_tender set committed_at = now() - interval '1 hour'")
    receipts.follow()
    with psycopg.connect(staging.connection.info.dsn, password=staging.connection.info.password) as plain:
        spans = plain.execute(
            "select valid_from, valid_to from staging.receipt_history order by superseded_seq"
        ).fetchall()
        [(current,)] = plain.execute("select committed_at from staging.receipt").fetchall()
    assert all(valid_from <= valid_to for valid_from, valid_to in spans)
    ends = [valid_to for _, valid_to in spans]
    assert [valid_from for valid_from, _ in spans[1:]] + [current] == ends


def test_the_search_for_lost_receipts_continues_where_it_was_whatever_leaves_meanwhile(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is passed over because one that was looked at before is reversed, or decided on."""
    monkeypatch.setattr(lost, "_NEWEST", lost._NEWEST.replace("limit 1000", "limit 2"))
    names = ["a", "b", "c", "d", "e"]
    sent(staging, *names)
    staging.connection.execute(
        "update staging.receipt set sent_at = case when recharge_id > 'c' then date '2026-01-01' "
        "else date '2026-01-02' end"
    )
    parts = lost.LostReceipts(staging.connection).newest()
    assert next(parts)["recharge_id"].to_list() == ["c", "b"]
    staging.connection.execute(
        "update staging.receipt set state = 'reversed' where recharge_id in ('b', 'c')"
    )
    assert [part["recharge_id"].to_list() for part in parts] == [["a", "e"], ["d"]]
