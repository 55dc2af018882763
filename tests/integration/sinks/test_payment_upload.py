"""The payment upload through the unmodified driver: totals, conventions, and never twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import oracledb
import polars as pl
import pytest

from cdc.config import OracleSystem
from cdc.errors import NotGranted, OperatorError, RowError, TransientError
from sandbox.ccb.upload_batch import PaymentUpload as UploadBatch
from sandbox.world import World
from sinks.ccb_payment_upload.ccb.call import UploadCall
from sinks.ccb_payment_upload.ccb.upload import CcbUpload
from sinks.ccb_payment_upload.errors import ReceiptMismatch
from sinks.ccb_payment_upload.receipts.store import RECEIPT_SCHEMA
from sinks.ccb_payment_upload.section import PaymentUpload

TABLES = ("CI_PAY_TNDR_ST", "CI_TNDR_CTL_ST", "CI_DEP_CTL_ST")


class Ccb:
    """CC&B's database, an account in it, and the sink's settings."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.settings = OracleSystem(
            kind="oracle",
            dsn=world.ccb.dsn,
            user="CCBRIDGE",
            password=world.ccb.passwords["CCBRIDGE"],
            insecure=True,
        )
        [self.account] = self.rows("select min(ACCT_ID) from CISADM.CI_SA where SA_TYPE_CD = 'PPD'")[0]

    def rows(self, query: str, *binds: object, user: str = "CISUSER") -> list[Any]:
        with self.world.ccb.connect(user) as connection, connection.cursor() as cursor:
            return list(cursor.execute(query, binds).fetchall())

    def run(self, statement: str, user: str = "CISUSER") -> None:
        with self.world.ccb.connect(user) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            connection.commit()

    def transmission(self, number: str, receipts: dict[str, str], **values: object) -> pl.DataFrame:
        """Receipts of one transmission: receipt id to amount."""
        row = {
            "account_id": self.account,
            "currency": "XAF",
            "tender_type": "MOMO",
            "accounting_date": date(2026, 2, 3),
            "external_source": "PREPAID",
            "transmission_id": number,
            "batch_id": "1",
            **values,
        }
        rows = [{"recharge_id": key, "amount": Decimal(amount), **row} for key, amount in receipts.items()]
        return pl.DataFrame(rows, schema=dict(RECEIPT_SCHEMA))

    def inject(self, call: str) -> None:
        self.run(f"begin sandbox_faults.{call}; end;", "SYSTEM")

    def held(self, number: str) -> list[str]:
        query = "select EXT_REFERENCE_ID from CISADM.CI_PAY_TNDR_ST where EXT_TRANSMIT_ID = :1 order by 1"
        return [str(key).rstrip() for (key,) in self.rows(query, number)]


@pytest.fixture(scope="module")
def ccb() -> Iterator[Ccb]:
    with World(persons=20, seed=7) as world:
        yield Ccb(world)


@pytest.fixture
def sink(ccb: Ccb) -> Iterator[CcbUpload]:
    sink = CcbUpload("ccb", ccb.settings, PaymentUpload())
    yield sink
    sink.close()
    for table in TABLES:
        ccb.run(f"delete from CISADM.{table}")


def test_send_fills_three_levels_whose_counts_and_sums_agree(ccb: Ccb, sink: CcbUpload) -> None:
    """CC&B's upload batch refuses a transmission whose totals do not agree to the cent."""
    receipts = {f"r{n}": amount for n, amount in enumerate(["0.10", "0.20", "9999999999.99", "100"])}
    outcome = sink.send(ccb.transmission("T1", receipts))
    assert not outcome.already_there
    total = sum(map(Decimal, receipts.values()), Decimal())
    assert ccb.rows(
        "select TOT_TNDR_CTL_AMT, TOT_TNDR_CTL_CNT, DEP_CTL_STG_ST_FLG, CURRENCY_CD from CISADM.CI_DEP_CTL_ST"
    ) == [(total, 1, "20", "XAF")]
    assert ccb.rows("select TOT_TNDR_AMT, TOT_TNDR_CNT, TND_CTL_STG_ST_FLG from CISADM.CI_TNDR_CTL_ST") == [
        (total, 4, "20")
    ]
    assert ccb.rows(
        "select sum(TENDER_AMT), count(*), min(PAY_TND_STG_ST_FLG), max(ACCOUNTING_DT) "
        "from CISADM.CI_PAY_TNDR_ST"
    ) == [(total, 4, "10", datetime(2026, 2, 3))]  # noqa: DTZ001 - an Oracle DATE has no zone


def test_send_leaves_ccbs_own_columns_as_it_wants_them(ccb: Ccb, sink: CcbUpload) -> None:
    """Missing texts are one blank, missing numbers 0, VERSION 1: CC&B knows no NULL there."""
    sink.send(ccb.transmission("T1", {"r1": "5"}))
    assert ccb.rows(
        "select rtrim(PAY_TENDER_ID), MICR_ID, NAME1, VERSION, ENCR_MICR_ID from CISADM.CI_PAY_TNDR_ST"
    ) == [(None, " ", " ", 1, None)]
    assert ccb.rows("select DEP_CTL_ID, LAST_UPDATE_INST, VERSION from CISADM.CI_DEP_CTL_ST") == [
        (" " * 10, 0, 1)
    ]


def test_send_again_finds_the_transmission_there(ccb: Ccb, sink: CcbUpload) -> None:
    """After a crash between sending and noting it, the same transmission is sent again: nothing is added."""
    transmission = ccb.transmission("T1", {"r1": "5", "r2": "6"})
    sink.send(transmission)
    again = sink.send(transmission)
    assert again.already_there
    assert again.receipts.equals(transmission)
    assert ccb.held("T1") == ["r1", "r2"]


@pytest.mark.parametrize(
    "change", [{"amount": "5.01"}, {"account_id": "0000000001"}, {"tender_type": "CASH"}]
)
def test_send_refuses_a_receipt_that_ccb_holds_with_other_content(
    ccb: Ccb, sink: CcbUpload, change: dict[str, str]
) -> None:
    """What CC&B holds is never contradicted by a second row, in this transmission or another."""
    sink.send(ccb.transmission("T1", {"r1": "5"}))
    values: dict[str, object] = {key: value for key, value in change.items() if key != "amount"}
    for number in ("T1", "T2"):
        with pytest.raises(ReceiptMismatch):
            sink.send(ccb.transmission(number, {"r1": change.get("amount", "5")}, **values))
    assert (ccb.held("T1"), ccb.held("T2")) == (["r1"], [])


def test_send_refuses_a_transmission_that_ccb_holds_with_other_receipts(ccb: Ccb, sink: CcbUpload) -> None:
    """A transmission id is never used for two sets of receipts."""
    sink.send(ccb.transmission("T1", {"r1": "5"}))
    with pytest.raises(ReceiptMismatch, match="T1"):
        sink.send(ccb.transmission("T1", {"r1": "5", "r2": "6"}))
    with pytest.raises(ReceiptMismatch, match="T1"):
        sink.send(ccb.transmission("T1", {"r3": "5"}))
    assert ccb.held("T1") == ["r1"]


def test_transmissions_sent_together_keep_totals_of_their_own(ccb: Ccb, sink: CcbUpload) -> None:
    """Round trips are shared, transmissions are not: CC&B refuses one whose totals do not agree."""
    first = ccb.transmission("T1", {"r1": "5", "r2": "0.01"})
    outcome = sink.send(pl.concat([first, ccb.transmission("T2", {"r3": "7"}, currency="EUR")]))
    assert not outcome.already_there
    assert ccb.rows(
        "select EXT_TRANSMIT_ID, TOT_TNDR_CTL_AMT, TOT_TNDR_CTL_CNT, CURRENCY_CD from CISADM.CI_DEP_CTL_ST "
        "order by 1"
    ) == [("T1", Decimal("5.01"), 1, "XAF"), ("T2", Decimal(7), 1, "EUR")]
    assert ccb.rows(
        "select EXT_TRANSMIT_ID, TOT_TNDR_AMT, TOT_TNDR_CNT from CISADM.CI_TNDR_CTL_ST order by 1"
    ) == [("T1", Decimal("5.01"), 2), ("T2", Decimal(7), 1)]
    assert (ccb.held("T1"), ccb.held("T2")) == (["r1", "r2"], ["r3"])


def test_of_transmissions_sent_together_only_those_not_there_are_inserted(ccb: Ccb, sink: CcbUpload) -> None:
    """After a crash the group is cut again, so it may hold what was sent and what was not."""
    sent = ccb.transmission("T1", {"r1": "5"})
    sink.send(sent)
    together = pl.concat([sent, ccb.transmission("T2", {"r2": "6"})])
    outcome = sink.send(together)
    assert not outcome.already_there
    assert outcome.receipts.equals(together)
    assert (ccb.held("T1"), ccb.held("T2")) == (["r1"], ["r2"])
    assert sink.send(together).already_there


def test_transmissions_sent_together_go_all_or_none(ccb: Ccb, sink: CcbUpload) -> None:
    """What CC&B holds with other content stops the group before anything of it is inserted."""
    sink.send(ccb.transmission("T1", {"r1": "5"}))
    changed = ccb.transmission("T1", {"r1": "5.01"})
    with pytest.raises(ReceiptMismatch, match="T1"):
        sink.send(pl.concat([ccb.transmission("T0", {"r0": "1"}), changed]))
    assert (ccb.held("T0"), ccb.held("T1")) == ([], ["r1"])


def test_transmissions_of_two_sources_are_each_looked_for_under_their_own(ccb: Ccb, sink: CcbUpload) -> None:
    """The external source was changed while frozen transmissions waited: still nothing is sent twice."""
    sink.send(ccb.transmission("T1", {"r1": "5"}))
    older = ccb.transmission("T2", {"r2": "6"}, external_source="FORMER")
    outcome = sink.send(pl.concat([older, ccb.transmission("T3", {"r1": "5"})]))
    assert outcome.receipts["transmission_id"].to_list() == ["T2", "T1"]
    assert (ccb.held("T1"), ccb.held("T2"), ccb.held("T3")) == (["r1"], ["r2"], [])


def test_receipt_there_under_another_transmission_is_not_sent_again(ccb: Ccb, sink: CcbUpload) -> None:
    """Staging restored from a backup forgets what it sent; CC&B's rows prevent a second payment."""
    sink.send(ccb.transmission("T1", {"r1": "5", "r2": "6"}))
    outcome = sink.send(ccb.transmission("T2", {"r2": "6", "r3": "7"}))
    placed = dict(outcome.receipts.select("recharge_id", "transmission_id").rows())
    assert placed == {"r2": "T1", "r3": "T2"}
    assert (ccb.held("T1"), ccb.held("T2")) == (["r1", "r2"], ["r3"])
    assert ccb.rows("select TOT_TNDR_CTL_AMT from CISADM.CI_DEP_CTL_ST where EXT_TRANSMIT_ID = 'T2'") == [
        (7,)
    ]
    assert sink.send(ccb.transmission("T2", {"r2": "6", "r3": "7"})).already_there


@pytest.mark.parametrize("moment", ["COMMIT", "COMMITTED"])
def test_outcome_of_a_lost_commit_is_read_from_ccb(ccb: Ccb, sink: CcbUpload, moment: str) -> None:
    """The connection breaks before the COMMIT or its answer: the receipts are there exactly once."""
    ccb.inject(f"add_disconnect(username => 'CCBRIDGE', moment => '{moment}')")
    outcome = sink.send(ccb.transmission("T1", {"r1": "5"}))
    assert outcome.already_there is (moment == "COMMITTED")
    assert ccb.held("T1") == ["r1"]


def test_send_gives_up_as_transient_when_ccb_stays_away(ccb: Ccb, sink: CcbUpload) -> None:
    """A database that is down is tried again by the flow, not for ever by the sink."""
    ccb.inject("add_disconnect(username => 'CCBRIDGE', moment => 'COMMIT', times => 9)")
    try:
        with pytest.raises(TransientError):
            sink.send(ccb.transmission("T1", {"r1": "5"}))
    finally:
        ccb.inject("clear")
    assert ccb.held("T1") == []


def test_no_call_leaves_a_lock_behind(ccb: Ccb, sink: CcbUpload, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is frozen between two calls holds no one up: no call ends inside a transaction."""
    calls: list[str] = []

    def watched(name: str) -> None:
        original = getattr(oracledb.Cursor, name)

        def call(cursor: oracledb.Cursor, statement: str, *rest: Any, **named: Any) -> Any:
            try:
                return original(cursor, statement, *rest, **named)
            finally:
                if cursor.connection.username == "CCBRIDGE":
                    calls.append(statement)
                    assert not cursor.connection.transaction_in_progress, statement

        monkeypatch.setattr(oracledb.Cursor, name, call)

    watched("execute")
    watched("executemany")
    sink.send(ccb.transmission("T1", {"r1": "5"}))
    sink.send(ccb.transmission("T1", {"r1": "5"}))
    bad = ccb.transmission("T2", {"r2": "5"}, tender_type="MUCH TOO LONG")
    with pytest.raises(RowError):
        sink.send(bad)
    assert sink.refused(bad)["recharge_id"].to_list() == ["r2"]
    sink.precheck(bad)
    assert sum("transmit(" in call for call in calls) > 3


def test_a_receipt_that_came_in_meanwhile_is_not_sent_twice(
    ccb: Ccb, sink: CcbUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process sends it under another transmission, between our look and our call."""
    send, other = UploadCall.send, CcbUpload("ccb", ccb.settings, PaymentUpload())
    first = iter([True])

    def slow(call: UploadCall, cursor: oracledb.Cursor, receipts: pl.DataFrame) -> None:
        if next(first, False):
            other.send(ccb.transmission("T1", {"r1": "5"}))
            other.close()
        send(call, cursor, receipts)

    monkeypatch.setattr(UploadCall, "send", slow)
    outcome = sink.send(ccb.transmission("T2", {"r1": "5", "r2": "6"}))
    placed = dict(outcome.receipts.select("recharge_id", "transmission_id").rows())
    assert placed == {"r1": "T1", "r2": "T2"}
    assert (ccb.held("T1"), ccb.held("T2")) == (["r1"], ["r2"])


def test_a_right_that_was_revoked_stops_the_flow_with_the_way_out(ccb: Ccb, sink: CcbUpload) -> None:
    """Oracle wraps it, because the block did not compile: the error is still that of the table."""
    ccb.run("revoke insert on CISADM.CI_TNDR_CTL_ST from CCBRIDGE", "SYSTEM")
    try:
        with pytest.raises(NotGranted, match="ORA-01031") as caught:
            sink.send(ccb.transmission("T1", {"r1": "5"}))
    finally:
        ccb.run("grant insert on CISADM.CI_TNDR_CTL_ST to CCBRIDGE", "SYSTEM")
    assert "ccbridge check" in caught.value.hint
    assert ccb.held("T1") == []


def test_precheck_finds_what_ccb_would_put_into_suspense(ccb: Ccb, sink: CcbUpload) -> None:
    """CC&B does not refuse an unknown account, it books the money elsewhere: so we ask before."""
    [[agreement, old]] = ccb.rows(
        "select SA_ID, OLD_ACCT_ID from CISADM.CI_SA where ACCT_ID = :1 and rownum = 1", ccb.account
    )
    ccb.run(f"update CISADM.CI_SA set OLD_ACCT_ID = 'OLD-77' where SA_ID = '{agreement}'")
    try:
        receipts = pl.concat(
            [
                ccb.transmission("T1", {"known": "1"}),
                ccb.transmission("T1", {"legacy": "1"}, account_id="OLD-77"),
                ccb.transmission("T1", {"unknown": "1"}, account_id="9999999999"),
                ccb.transmission("T1", {"tender": "1"}, tender_type="GOLD"),
                ccb.transmission("T1", {"x" * 37: "1"}),
            ]
        )
        found = sink.precheck(receipts)
    finally:
        ccb.run(f"update CISADM.CI_SA set OLD_ACCT_ID = '{old}' where SA_ID = '{agreement}'")
    assert dict(found.select("recharge_id", "reason_code").rows()) == {
        "unknown": "unknown_account",
        "tender": "unknown_tender_type",
        "x" * 37: "value_too_long",
    }
    assert not any("9999999999" in reason or "GOLD" in reason for reason in found["reason"])


def test_precheck_asks_in_lists_that_oracle_takes(ccb: Ccb, sink: CcbUpload) -> None:
    """More accounts than an IN list may hold are asked for in parts."""
    one = ccb.transmission("T1", {"r": "1"})
    many = pl.concat(
        [
            one.with_columns(recharge_id=pl.lit(f"r{n}"), account_id=pl.lit(f"{n:010d}"))
            for n in range(2_000_000_000, 2_000_002_345)
        ]
        + [one]
    )
    assert sink.precheck(many).height == 2345


def test_precheck_without_tender_source_stops_the_flow(ccb: Ccb) -> None:
    """Without the source no receipt can be posted: an operator must set it up."""
    sink = CcbUpload("ccb", ccb.settings, PaymentUpload(external_source="NOWHERE"))
    with pytest.raises(OperatorError, match="NOWHERE"):
        sink.precheck(ccb.transmission("T1", {"r1": "5"}))
    sink.close()


def test_what_is_sent_is_posted_by_ccbs_upload_batch(ccb: Ccb, sink: CcbUpload) -> None:
    """The batch takes the transmission as it is and posts the amount to the account."""
    sink.send(ccb.transmission("T1", {"r1": "12.34", "r2": "0.66"}))
    with ccb.world.ccb.connect() as connection:
        UploadBatch(connection).run()
    tenders = ccb.rows("select rtrim(PAY_TENDER_ID) from CISADM.CI_PAY_TNDR_ST where EXT_TRANSMIT_ID = 'T1'")
    assert all(tender for (tender,) in tenders)
    assert ccb.rows(
        "select sum(p.PAY_AMT), min(p.ACCT_ID), max(p.PAY_STATUS_FLG) "
        "from CISADM.CI_PAY p, CISADM.CI_PAY_TNDR t "
        "where t.PAY_EVENT_ID = p.PAY_EVENT_ID and t.EXT_REFERENCE_ID in ('r1', 'r2')"
    ) == [(Decimal("13.00"), ccb.account, "50")]


def test_preflight_finds_missing_rights_and_settings_with_their_fixes(ccb: Ccb) -> None:
    """Each missing right comes with its grant; what is missing in CC&B is named by its setting."""
    sink = CcbUpload("ccb", ccb.settings, PaymentUpload())
    assert sink.preflight() == []
    grants = ("insert on CISADM.CI_TNDR_CTL_ST", "select on CISADM.CI_TENDER_TYPE")
    for grant in grants:
        ccb.run(f"revoke {grant} from CCBRIDGE", "SYSTEM")
    try:
        assert {finding.fix for finding in sink.preflight()} == {
            f"grant {grant} to CCBRIDGE;" for grant in grants
        }
    finally:
        for grant in grants:
            ccb.run(f"grant {grant} to CCBRIDGE", "SYSTEM")
    assert sink.preflight() == []
    sink.close()
    other = CcbUpload("ccb", ccb.settings, PaymentUpload(external_source="X", tender_type="Y"))
    assert [finding.expected for finding in other.preflight()] == [
        "the value of payment_upload.external_source",
        "the value of payment_upload.tender_type",
    ]
    other.close()


def test_session_names_itself_so_that_its_redo_is_known_as_ours(ccb: Ccb, sink: CcbUpload) -> None:
    """The session names itself before its transaction starts, so the reader drops the echo."""
    sink.send(ccb.transmission("T1", {"r1": "5"}))
    names = ccb.rows("select CLIENT_IDENTIFIER from V$SESSION where USERNAME = 'CCBRIDGE'", user="SYSTEM")
    assert ("ccbridge",) in names


def test_refused_receipts_are_found_and_nothing_is_sent_meanwhile(ccb: Ccb) -> None:
    """Two receipts of a transmission that a column refuses: these two are named, and no row remains."""
    with closing(CcbUpload("ccb", ccb.settings, PaymentUpload())) as sink:
        bad = ("ref3", "ref7")
        whole = ccb.transmission("REF", {f"ref{n}": str(n) for n in range(1, 10)})
        too_long = pl.when(pl.col("recharge_id").is_in(bad)).then(pl.lit("MUCH TOO LONG"))
        whole = whole.with_columns(tender_type=too_long.otherwise("tender_type"))
        with pytest.raises(RowError):
            sink.send(whole)
        rejections = sink.refused(whole)
        assert tuple(rejections["recharge_id"]) == bad
        assert set(rejections["reason_code"]) == {"refused_by_ccb"}
        assert "MUCH" not in "".join(rejections["reason"])
        assert ccb.held("REF") == []
        rest = whole.join(rejections, on="recharge_id", how="anti")
        assert sink.refused(rest).is_empty()
        assert sink.send(rest).receipts.height == 7
        assert len(ccb.held("REF")) == 7
