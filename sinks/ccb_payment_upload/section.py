"""The settings of the payment upload."""

from __future__ import annotations

from pydantic import Field

from cdc.config.sections import Section


class PaymentUpload(Section):
    """CC&B's codes for the payment upload: they are the site's."""

    external_source: str = Field(
        default="PREPAID", max_length=30, description="EXT_SOURCE_ID of the tender source"
    )
    tender_type: str = Field(
        default="CASH", max_length=4, description="TENDER_TYPE_CD where the recharge has none"
    )
    max_per_transmission: int = Field(default=50, ge=1, description="tenders in one transmission")
    poll_interval_ms: int = Field(
        default=200, ge=10, description="pause between two looks for accepted receipts"
    )


class ReceiptAlarm(Section):
    """What the payment upload adds to `[status]`."""

    receipt_alarm_s: int = Field(
        default=900, ge=1, description="a receipt is not posted for longer than this, seconds"
    )
