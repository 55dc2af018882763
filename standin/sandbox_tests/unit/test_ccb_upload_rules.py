"""What the simulated payment upload decides about a transmission."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from sandbox.ccb.upload_rules import (
    Agreement,
    ControlState,
    Deposit,
    Message,
    Site,
    StagedTender,
    TenderControl,
    decide,
)

TODAY = date(2026, 3, 10)
SUSPENSE = Agreement("0000000002", "0000000001", "SUSP", "20")
SITE = Site(
    suspense=SUSPENSE,
    currency="XAF",
    tender_types=frozenset({"CASH", "MOMO"}),
    accounts={"4444444444": "4444444444", "OLD-1": "4444444444", "5555555555": "5555555555"},
    agreements={
        "4444444444": [
            Agreement("9000000000", "4444444444", "WATER", "20"),
            Agreement("8000000000", "4444444444", "PPD", "60"),
            Agreement("8500000000", "4444444444", "PPD", "20"),
        ]
    },
)


def tender(reference: str, amount: str = "10.25", **changes: object) -> StagedTender:
    """A good tender for account 4444444444."""
    good = StagedTender("B1", reference, Decimal(amount), TODAY, "CASH", "4444444444")
    return replace(good, **changes)  # type: ignore[arg-type]


def control(batch: str, *tenders: StagedTender, state: ControlState = ControlState.PENDING) -> TenderControl:
    """A control whose totals agree with its tenders."""
    amount = sum((t.amount for t in tenders), Decimal(0))
    return TenderControl(batch, state, amount, len(tenders), " ", amount, len(tenders))


def deposit(*controls: TenderControl, state: ControlState = ControlState.PENDING) -> Deposit:
    """A deposit whose totals agree with its controls."""
    amount = sum((c.amount for c in controls), Decimal(0))
    return Deposit("PREPAID", "T1", state, "XAF", amount, len(controls), " ")


def test_good_transmission_is_posted_whole() -> None:
    """Every tender becomes an event on the active prepaid agreement, and the controls are complete."""
    tenders = [tender("R1"), tender("R2", "0.01")]
    one = control("B1", *tenders)
    decision = decide(deposit(one), [one], tenders, {}, SITE, TODAY)
    assert decision.deposit is ControlState.COMPLETE
    assert decision.controls == {"B1": ControlState.COMPLETE}
    assert [d.shares for d in decision.posted] == [
        (("4444444444", "8500000000", Decimal("10.25")),),
        (("4444444444", "8500000000", Decimal("0.01")),),
    ]
    assert not any(d.suspense for d in decision.posted)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": Decimal("10.26")},
        {"count": 2},
        {"currency": "EUR"},
    ],
)
def test_wrong_deposit_blocks_everything_below(wrong: dict[str, object]) -> None:
    """A deposit whose totals or currency do not agree goes to error and nothing under it is touched."""
    tenders = [tender("R1")]
    one = control("B1", *tenders)
    broken = replace(deposit(one), **wrong)  # type: ignore[arg-type]
    decision = decide(broken, [one], tenders, {}, SITE, TODAY)
    assert decision.deposit is ControlState.ERROR
    assert (decision.controls, decision.posted, decision.errors) == ({}, [], [])


def test_deposit_of_an_unknown_source_is_an_error() -> None:
    """Without a tender source there is no suspense agreement to fall back on."""
    tenders = [tender("R1")]
    one = control("B1", *tenders)
    decision = decide(deposit(one), [one], tenders, {}, replace(SITE, suspense=None), TODAY)
    assert decision.deposit is ControlState.ERROR


def test_wrong_tender_control_blocks_its_own_tenders_only() -> None:
    """One batch with wrong totals goes to error; the other batch of the transmission is posted."""
    good, bad = tender("R1"), tender("R2", batch="B2")
    first = control("B1", good)
    second = replace(control("B2", bad), found_count=2)
    decision = decide(deposit(first, second), [first, second], [good, bad], {}, SITE, TODAY)
    assert decision.controls == {"B1": ControlState.COMPLETE, "B2": ControlState.ERROR}
    assert decision.deposit is ControlState.IN_PROGRESS
    assert [d.tender.reference for d in decision.posted] == ["R1"]


def test_controls_in_error_are_checked_again() -> None:
    """What was in error and agrees now is processed by the next run."""
    tenders = [tender("R1")]
    one = control("B1", *tenders, state=ControlState.ERROR)
    decision = decide(deposit(one, state=ControlState.ERROR), [one], tenders, {}, SITE, TODAY)
    assert decision.deposit is ControlState.COMPLETE
    assert len(decision.posted) == 1


def test_future_accounting_date_waits() -> None:
    """A tender dated tomorrow stays pending, keeps its controls open, and is posted tomorrow."""
    tenders = [tender("R1"), tender("R2", accounting_date=date(2026, 3, 11))]
    one = control("B1", *tenders)
    decision = decide(deposit(one), [one], tenders, {}, SITE, TODAY)
    assert [d.tender.reference for d in decision.posted] == ["R1"]
    assert decision.waiting == 1
    assert decision.controls["B1"] is ControlState.IN_PROGRESS
    left = replace(one, state=ControlState.IN_PROGRESS)
    tomorrow = decide(deposit(one), [left], tenders[1:], {}, SITE, date(2026, 3, 11))
    assert [d.tender.reference for d in tomorrow.posted] == ["R2"]
    assert tomorrow.deposit is ControlState.COMPLETE


def test_unknown_account_goes_to_suspense() -> None:
    """The money is taken, on the suspense agreement of the tender source, not rejected."""
    tenders = [tender("R1", customer="9999999999")]
    one = control("B1", *tenders)
    decision = decide(deposit(one), [one], tenders, {}, SITE, TODAY)
    (posted,) = decision.posted
    assert posted.suspense
    assert posted.shares == (("0000000001", "0000000002", Decimal("10.25")),)
    assert decision.deposit is ControlState.COMPLETE


def test_legacy_number_finds_the_account() -> None:
    """A customer id may be the number of the previous system."""
    tenders = [tender("R1", customer="OLD-1")]
    one = control("B1", *tenders)
    (posted,) = decide(deposit(one), [one], tenders, {}, SITE, TODAY).posted
    assert posted.payer_account_id == "4444444444"


def test_account_without_agreement_gets_an_undistributed_payment() -> None:
    """There is nothing to distribute to: the payment exists, without agreement, and cannot freeze."""
    tenders = [tender("R1", customer="5555555555")]
    one = control("B1", *tenders)
    (posted,) = decide(deposit(one), [one], tenders, {}, SITE, TODAY).posted
    assert posted.shares == (("5555555555", None, Decimal("10.25")),)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tender_type": "BEER"}, Message.TENDER_TYPE_UNKNOWN),
        ({"amount": Decimal("-1")}, Message.AMOUNT_NOT_POSITIVE),
        ({"accounting_date": None}, Message.ACCOUNTING_DATE_MISSING),
        ({"advices": (("5555555555", Decimal("1")),)}, Message.ADVICES_DO_NOT_ADD_UP),
    ],
)
def test_faulty_tender_is_noted_and_the_others_are_posted(wrong: dict[str, object], message: Message) -> None:
    """One bad tender is an error row with its reason; it keeps the controls open, not its neighbours."""
    tenders = [tender("R1"), replace(tender("R2"), **wrong)]  # type: ignore[arg-type]
    one = control("B1", *tenders)
    decision = decide(deposit(one), [one], tenders, {}, SITE, TODAY)
    assert [(t.reference, m) for t, m in decision.errors] == [("R2", message)]
    assert [d.tender.reference for d in decision.posted] == ["R1"]
    assert decision.controls["B1"] is ControlState.IN_PROGRESS


def test_tender_in_error_from_an_earlier_run_keeps_its_control_open() -> None:
    """A control is complete only when nothing below it waits for a person."""
    one = control("B1", tender("R1"), state=ControlState.IN_PROGRESS)
    decision = decide(deposit(one), [one], [], {"B1": 1}, SITE, TODAY)
    assert decision.controls["B1"] is ControlState.IN_PROGRESS


def test_advices_split_a_tender_over_accounts() -> None:
    """Payment advices name the accounts that get the parts; the payer stays the tender's account."""
    parts = (("4444444444", Decimal("4")), ("8888888888", Decimal("6.25")))
    tenders = [tender("R1", advices=parts)]
    one = control("B1", *tenders)
    (posted,) = decide(deposit(one), [one], tenders, {}, SITE, TODAY).posted
    assert posted.shares == (
        ("4444444444", "8500000000", Decimal("4")),
        ("0000000001", "0000000002", Decimal("6.25")),
    )
    assert posted.payer_account_id == "4444444444"
