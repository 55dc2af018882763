"""Errors of the payment upload alone."""

from __future__ import annotations

from cdc.errors import OperatorError


class ReceiptMismatch(OperatorError):
    """CC&B holds other values under a receipt's keys than those sent."""

    code = "CDC-401"
