"""Desired rows of the payment upload rule as typed recharges, and those that are rejected.

The rule's columns carry the names of CC&B's upload staging table (CI_PAY_TNDR_ST), see
`sinks.ccb_payment_upload.rules`. Amounts stay exact: text to Decimal, and nothing is rounded or cut.
"""

from __future__ import annotations

import polars as pl

from mapping_rules import OutboundProgram
from sinks.ccb_payment_upload.rules import UPLOAD_KEY
from sinks.ccb_payment_upload.section import PaymentUpload

_LENGTHS = {"recharge_id": 36, "account_id": 36, "tender_type": 4, "currency": 3}
_SOURCES = {
    "recharge_id": UPLOAD_KEY,
    "account_id": "CUST_ID",
    "amount": "TENDER_AMT",
    "currency": "CURRENCY_CD",
    "accounting_date": "ACCOUNTING_DT",
    "tender_type": "TENDER_TYPE_CD",
}
_PLAIN = r"^-?\d{1,13}(\.\d{1,2}0*)?$"


def recharges(program: OutboundProgram, desired: pl.DataFrame, upload: PaymentUpload) -> pl.DataFrame:
    """The receipt's columns, `_deleted`, `_staged_seq`, and `_rejection`: column and reason code, or null.

    Args:
        program: the payment upload rule.
        desired: its desired rows, values as text.
        upload: has the tender type of recharges that have none.
    """
    raw = (
        desired.sort("_staged_seq", UPLOAD_KEY)
        .select(
            *(pl.col(column).cast(pl.String).alias(name) for name, column in _SOURCES.items()),
            "_deleted",
            "_staged_seq",
        )
        .with_columns(pl.col("tender_type").fill_null(upload.tender_type))
    )
    rejections = [
        pl.when(pl.col(name).is_null()).then(pl.lit(f"{column}: missing_value"))
        for name, column in _SOURCES.items()
    ]
    rejections += [
        pl.when(pl.col(name).str.len_chars() > length).then(pl.lit(f"{_SOURCES[name]}: value_too_long"))
        for name, length in _LENGTHS.items()
    ]
    amount = (
        pl.when(pl.col("amount").str.contains(_PLAIN)).then("amount").cast(pl.Decimal(15, 2), strict=False)
    )
    rejections += [
        pl.when(amount.is_null()).then(pl.lit("TENDER_AMT: value_not_representable")),
        pl.when(amount <= 0).then(pl.lit("TENDER_AMT: not_positive")),
    ]
    date = pl.col("accounting_date").str.to_date("%Y-%m-%d", strict=False)
    rejections.append(pl.when(date.is_null()).then(pl.lit("ACCOUNTING_DT: value_not_representable")))
    return raw.with_columns(
        amount, date, _rejection=pl.when(~pl.col("_deleted")).then(pl.coalesce(rejections))
    )


def rejected_recharges(program: OutboundProgram, rows: pl.DataFrame) -> pl.DataFrame:
    """The rejected rows, by REJECTION_SCHEMA and recharge_id."""
    parts = rows.filter(pl.col("_rejection").is_not_null())
    parts = parts.with_columns(pl.col("_rejection").str.split_exact(": ", 1).struct.rename_fields(["c", "t"]))
    return rejection(
        program,
        parts,
        pl.col("_rejection").struct.field("t"),
        pl.format(
            f"{program.table}.{{}}: the recharge cannot be sent", pl.col("_rejection").struct.field("c")
        ),
    )


def rejection(
    program: OutboundProgram, rows: pl.DataFrame, code: str | pl.Expr, reason: str | pl.Expr
) -> pl.DataFrame:
    """Rows rejected for one reason: recharge_id and the columns of REJECTION_SCHEMA."""
    code = pl.lit(code) if isinstance(code, str) else code
    reason = pl.lit(reason) if isinstance(reason, str) else reason
    return rows.select(
        "recharge_id",
        pl.lit(program.name).alias("program"),
        pl.lit(str(program.table)).alias("target_table"),
        pl.struct(pl.col("recharge_id").alias(UPLOAD_KEY)).struct.json_encode().alias("key"),
        pl.col("_staged_seq").alias("staged_seq"),
        code.alias("reason_code"),
        reason.alias("reason"),
    )
