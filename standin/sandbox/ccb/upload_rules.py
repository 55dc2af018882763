"""What the payment upload decides about one transmission: pure functions over what was read.

Sources: Oracle's pages "Process X - Populate Payment Upload Staging", "Process PUPL - Upload Payments"
and "Payment Upload Staging - Tender Detail": totals must agree at the deposit and at each tender
control, or nothing below is processed; a tender with a future accounting date waits; an unknown
account's money goes to the suspense agreement of the tender source. `sandbox.ccb.upload_batch` reads
the rows, calls `decide`, and writes. Codes other than the pending ones are this site's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import IntEnum, StrEnum

from sandbox.ccb.payments import pick_agreement
from sandbox.ccb.people import PREPAID_TYPE


class ControlState(StrEnum):
    """DEP_CTL_STG_ST_FLG and TND_CTL_STG_ST_FLG."""

    PENDING = "20"
    IN_PROGRESS = "30"
    COMPLETE = "50"
    ERROR = "60"


class TenderState(StrEnum):
    """PAY_TND_STG_ST_FLG."""

    PENDING = "10"
    COMPLETE = "40"
    ERROR = "50"


class Message(IntEnum):
    """Why a tender is in error: MESSAGE_NBR of CI_TNDR_ST_EXCP; numbers of this site."""

    TENDER_TYPE_UNKNOWN = 101
    AMOUNT_NOT_POSITIVE = 102
    ACCOUNTING_DATE_MISSING = 103
    ADVICES_DO_NOT_ADD_UP = 104


@dataclass(frozen=True)
class Deposit:
    """A row of CI_DEP_CTL_ST."""

    source: str
    transmission: str
    state: ControlState
    currency: str
    amount: Decimal
    count: int
    control_id: str


@dataclass(frozen=True)
class TenderControl:
    """A row of CI_TNDR_CTL_ST with the totals of the tenders found below it."""

    batch: str
    state: ControlState
    amount: Decimal
    count: int
    control_id: str
    found_amount: Decimal
    found_count: int

    @property
    def agrees(self) -> bool:
        """True if count and sum are those of the tenders below."""
        return (self.amount, self.count) == (self.found_amount, self.found_count)


@dataclass(frozen=True)
class StagedTender:
    """A pending row of CI_PAY_TNDR_ST; `advices` are its rows of CI_PAY_ST: account, amount."""

    batch: str
    reference: str
    amount: Decimal
    accounting_date: date | None
    tender_type: str
    customer: str
    payer_name: str = " "
    advices: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True)
class Agreement:
    """What distribution looks at."""

    agreement_id: str
    account_id: str
    type: str
    status: str


@dataclass(frozen=True)
class Site:
    """Configuration and accounts that the tenders refer to.

    `accounts` maps what a tender calls its customer to the account it means (account ids and legacy
    numbers); `suspense` is the agreement of the tender source, None if the source is unknown.
    """

    suspense: Agreement | None
    currency: str
    tender_types: frozenset[str]
    accounts: Mapping[str, str]
    agreements: Mapping[str, Sequence[Agreement]]


@dataclass(frozen=True)
class Distribution:
    """A tender that becomes a payment event: its payments as account, agreement, amount."""

    tender: StagedTender
    payer_account_id: str
    shares: tuple[tuple[str, str | None, Decimal], ...]
    suspense: bool


@dataclass
class Decision:
    """What to do with a transmission."""

    deposit: ControlState
    controls: dict[str, ControlState] = field(default_factory=dict)
    posted: list[Distribution] = field(default_factory=list)
    errors: list[tuple[StagedTender, Message]] = field(default_factory=list)
    waiting: int = 0


def decide(
    deposit: Deposit,
    controls: Sequence[TenderControl],
    tenders: Sequence[StagedTender],
    in_error: Mapping[str, int],
    site: Site,
    today: date,
) -> Decision:
    """Decide about one transmission.

    Args:
        deposit: its deposit control.
        controls: all its tender controls, complete ones too.
        tenders: its pending tenders.
        in_error: batch -> tenders that an earlier run put in error and that are not corrected yet.
        site: what the tenders refer to.
        today: the site's date; later accounting dates wait.

    Returns:
        The new states, the payment events to make, the errors to note.
    """
    totals = (sum((c.amount for c in controls), Decimal(0)), len(controls))
    if (
        site.suspense is None
        or site.currency != deposit.currency
        or totals != (deposit.amount, deposit.count)
    ):
        return Decision(ControlState.ERROR)
    decision = Decision(ControlState.COMPLETE)
    for control in controls:
        if control.state is ControlState.COMPLETE:
            decision.controls[control.batch] = ControlState.COMPLETE
        elif not control.agrees:
            decision.controls[control.batch] = ControlState.ERROR
        else:
            mine = [tender for tender in tenders if tender.batch == control.batch]
            left = in_error.get(control.batch, 0) + _decide_tenders(mine, site, today, decision)
            decision.controls[control.batch] = ControlState.IN_PROGRESS if left else ControlState.COMPLETE
    if any(state is not ControlState.COMPLETE for state in decision.controls.values()):
        decision.deposit = ControlState.IN_PROGRESS
    return decision


def _decide_tenders(tenders: Sequence[StagedTender], site: Site, today: date, decision: Decision) -> int:
    """Decide about the pending tenders of one control; returns how many stay open."""
    left = 0
    for tender in tenders:
        message = _error_of(tender, site)
        if message is not None:
            decision.errors.append((tender, message))
            left += 1
        elif tender.accounting_date is not None and tender.accounting_date > today:
            decision.waiting += 1
            left += 1
        else:
            decision.posted.append(_distribute(tender, site))
    return left


def _error_of(tender: StagedTender, site: Site) -> Message | None:
    if tender.tender_type not in site.tender_types:
        return Message.TENDER_TYPE_UNKNOWN
    if tender.amount <= 0:
        return Message.AMOUNT_NOT_POSITIVE
    if tender.accounting_date is None:
        return Message.ACCOUNTING_DATE_MISSING
    if tender.advices and sum(amount for _, amount in tender.advices) != tender.amount:
        return Message.ADVICES_DO_NOT_ADD_UP
    return None


def _distribute(tender: StagedTender, site: Site) -> Distribution:
    suspense = site.suspense
    if suspense is None:
        raise ValueError(f"tender source of batch {tender.batch} has no suspense agreement")
    shares: list[tuple[str, str | None, Decimal]] = []
    for customer, amount in tender.advices or ((tender.customer, tender.amount),):
        account = site.accounts.get(customer)
        if account is None:
            shares.append((suspense.account_id, suspense.agreement_id, amount))
        else:
            agreements = site.agreements.get(account, ())
            shares.append((account, pick_agreement(agreements, PREPAID_TYPE), amount))
    payer = site.accounts.get(tender.customer)
    return Distribution(tender, payer or suspense.account_id, tuple(shares), payer is None)
