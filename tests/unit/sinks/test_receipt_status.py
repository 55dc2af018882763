"""Receipts in `ccbridge status`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sinks.ccb_payment_upload.status import judged


def receipt(state: str, age_s: float | None) -> dict[str, Any]:
    """Receipts of a state."""
    return {"state": state, "oldest_s": age_s, "receipts": 3, "amount": Decimal(5), "currency": "XAF"}


def test_receipts_that_no_one_posts_wait_for_an_operator() -> None:
    """Posted ones never, whatever their age."""
    assert list(judged([receipt("sent", 899.0), receipt("posted", None)], [], 900)) == []
    (problem,) = judged([receipt("sent", 1_560.0)], [], 900)
    assert problem.subject == "receipts sent"


def test_lost_receipts_wait_for_a_decision() -> None:
    """With their number and sum, and the command that lists them."""
    (problem,) = judged([], [{"receipts": 3, "amount": Decimal(5), "currency": "XAF"}], 900)
    assert (problem.subject, problem.hint) == ("receipts lost", "run: ccbridge receipts lost")
    assert problem.text.startswith("3 receipts, 5 XAF")
