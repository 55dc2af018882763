"""What `ccbridge status` shows of receipts, and which of them require operator action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cdc.config import Settings
from cdc.ports import Problem, StatusPart
from cdc.postgres.connect import Connection
from sinks.ccb_payment_upload.receipts import overview
from sinks.ccb_payment_upload.section import ReceiptAlarm

_UNPOSTED = {
    "built": "check whether CC&B can be reached: they could not be sent",
    "sent": "check whether the payment upload batch of CC&B runs",
    "accepted": "check whether the payments are frozen and distributed in CC&B",
}


def status(connection: Connection, settings: Settings) -> list[StatusPart]:
    """Receipts by state and currency.

    Raises:
        StagingRevision: the tables are missing.
    """
    receipts, lost = overview.receipts(connection), overview.lost_receipts(connection)
    alarm_s = settings.section("status", ReceiptAlarm).receipt_alarm_s
    problems = list(judged(receipts, lost, alarm_s))
    return [
        StatusPart("receipts", ("state", "receipts", "amount", "currency", "oldest_s"), receipts, problems)
    ]


def judged(
    receipts: Sequence[Mapping[str, Any]], lost: Sequence[Mapping[str, Any]], alarm_s: float
) -> Iterator[Problem]:
    """What requires operator action.

    Args:
        receipts: rows of `overview.receipts`.
        lost: rows of `overview.lost_receipts`.
        alarm_s: age from which a receipt should be posted, seconds.
    """
    for receipt in receipts:
        age_s, state = receipt["oldest_s"], receipt["state"]
        if state in _UNPOSTED and age_s is not None and age_s > alarm_s:
            money = f"{receipt['amount']} {receipt['currency']}"
            text = f"{receipt['receipts']} receipts for up to {age_s:.0f} s, {money}"
            yield Problem(f"receipts {state}", text, _UNPOSTED[state])
    for one in lost:
        text = f"{one['receipts']} receipts, {one['amount']} {one['currency']}, are no longer in CC&B"
        yield Problem("receipts lost", text, "run: ccbridge receipts lost")
