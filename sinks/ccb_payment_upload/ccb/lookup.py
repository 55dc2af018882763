"""Where CC&B has our receipts: in its upload tables, or among the tenders that it has made.

CC&B purges its upload tables; the tenders stay. Nothing here is written or locked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import oracledb
import polars as pl

from sinks.ccb_payment_upload.ccb.tables import Tender, UploadTables
from sinks.ccb_payment_upload.errors import ReceiptMismatch


@dataclass(frozen=True)
class Located:
    """Receipts to be sent, compared with what CC&B has.

    Args:
        placed: all of them, each with the transmission and batch that hold it, or will.
        new: those that are nowhere.
        tenders: id of the tender by receipt, of those that are among the tenders only.
    """

    placed: pl.DataFrame
    new: pl.DataFrame
    tenders: dict[str, str]


def locate(
    cursor: oracledb.Cursor, tables: UploadTables, receipts: pl.DataFrame, *, paid_before: date | None
) -> Located:
    """Look for receipts that are to be sent, under any transmission.

    Args:
        cursor: to CC&B.
        tables: its tables.
        receipts: of whole transmissions (`sinks.ccb_payment_upload.receipts.store.RECEIPT_SCHEMA`).
        paid_before: those of earlier accounting dates are looked for among the tenders too: a staging that is
            lost may have sent them, and CC&B have purged its upload tables since. None for none.

    Raises:
        ReceiptMismatch: CC&B holds one of the receipts, or a transmission, with other content.
    """
    there: list[Tender] = []
    inside: list[Tender] = []
    known: set[str] = set()
    # a frozen transmission keeps its source when the setting changes
    for part in receipts.partition_by("external_source", maintain_order=True):
        source, numbers = part["external_source"][0], part["transmission_id"].unique().to_list()
        there += tables.tenders(cursor, source, part["recharge_id"].to_list())
        inside += tables.tenders_of(cursor, source, numbers)
        known |= tables.deposits(cursor, source, numbers)
    known |= {one.transmission_id for one in inside}
    placed = _placed(receipts, there)
    tenders: dict[str, str] = {}
    if paid_before is not None:
        seen = {one.reference for one in there}
        older = (pl.col("accounting_date") < paid_before) & ~pl.col("recharge_id").is_in(list(seen))
        tenders = paid(cursor, tables, receipts.filter(older))
    own = placed.filter(
        (placed["transmission_id"] == receipts["transmission_id"])
        & ~placed["recharge_id"].is_in(list(tenders))
    )
    is_known = pl.col("transmission_id").is_in(list(known))
    _require_same(own.filter(is_known), inside, known)
    return Located(placed, own.filter(~is_known), tenders)


def held(cursor: oracledb.Cursor, tables: UploadTables, receipts: pl.DataFrame) -> set[str]:
    """Which receipts CC&B has in any form, whatever their content.

    Args:
        cursor: to CC&B.
        tables: its tables.
        receipts: recharge_id, account_id, external_source, and tender_id where CC&B has assigned one.
    """
    found: set[str] = set()
    for part in receipts.partition_by("external_source"):
        source = part["external_source"][0]
        found |= {one.reference for one in tables.tenders(cursor, source, part["recharge_id"].to_list())}
    left = receipts.filter(~pl.col("recharge_id").is_in(list(found)))
    with_tender = left.filter(pl.col("tender_id").is_not_null())
    pairs = set(with_tender.select("tender_id", "recharge_id").iter_rows())
    ids = with_tender["tender_id"].to_list()
    made = tables.paid(cursor, "PAY_TENDER_ID", ids)
    found |= {one.reference for one in made if (one.tender_id, one.reference) in pairs}
    left = left.filter(~pl.col("recharge_id").is_in(list(found)))
    searched = set(left.select("recharge_id", "account_id").iter_rows())
    accounts = left["account_id"].unique().to_list()
    return found | {
        one.reference
        for one in tables.paid(cursor, "PAYOR_ACCT_ID", accounts)
        if (one.reference, one.account) in searched
    }


def paid(cursor: oracledb.Cursor, tables: UploadTables, receipts: pl.DataFrame) -> dict[str, str]:
    """Tender of each receipt for which CC&B has made one, by account and receipt id.

    Raises:
        ReceiptMismatch: it has another amount.
    """
    searched = {
        (key, account): amount
        for key, account, amount in receipts.select("recharge_id", "account_id", "amount").iter_rows()
    }
    found: dict[str, str] = {}
    for one in tables.paid(cursor, "PAYOR_ACCT_ID", receipts["account_id"].unique().to_list()):
        amount = searched.get((one.reference, one.account))
        if amount is None:
            continue
        if amount != one.amount:
            raise ReceiptMismatch(
                f"tender {one.tender_id}: CC&B has one of our receipts with another amount",
                hint=f"compare CI_PAY_TNDR with staging.receipt for receipt {one.reference}",
            )
        found[one.reference] = one.tender_id
    return found


def _placed(receipts: pl.DataFrame, there: list[Tender]) -> pl.DataFrame:
    """The receipts with the transmission and batch that hold them, or will."""
    if not there:
        return receipts
    own = dict(receipts.select("recharge_id", "transmission_id").iter_rows())
    # a receipt's own transmission counts before another one that holds it
    ordered = sorted(
        there, key=lambda one: (one.transmission_id == own.get(one.reference), one.transmission_id)
    )
    held = {tender.reference: tender for tender in ordered}
    for row in receipts.filter(pl.col("recharge_id").is_in(list(held))).iter_rows(named=True):
        tender = held[row["recharge_id"]]
        if not _same(row, tender):
            raise ReceiptMismatch(
                f"transmission {tender.transmission_id}: CC&B holds one of our receipts with another amount, "
                "account or tender type",
                hint=f"compare CI_PAY_TNDR_ST with staging.receipt for receipt {row['recharge_id']}",
            )
    places = pl.DataFrame(
        [(key, tender.transmission_id, tender.batch_id) for key, tender in held.items()],
        schema={"recharge_id": pl.String, "transmission_id": pl.String, "batch_id": pl.String},
        orient="row",
    )
    return receipts.update(places, on="recharge_id", how="left")


def _require_same(own: pl.DataFrame, tenders: list[Tender], known: set[str]) -> None:
    """Each transmission in CC&B holds exactly our receipts of it; their content was compared before."""
    expected: dict[str, set[str]] = {number: set() for number in known}
    found: dict[str, set[str]] = {number: set() for number in known}
    for key, number in own.select("recharge_id", "transmission_id").iter_rows():
        expected[number].add(key)
    for tender in tenders:
        found[tender.transmission_id].add(tender.reference)
    for number in sorted(known):
        if expected[number] != found[number]:
            raise ReceiptMismatch(
                f"transmission {number}: CC&B holds {len(found[number])} receipts under it, "
                f"{len(expected[number])} expected",
                hint="compare CI_PAY_TNDR_ST with staging.receipt for this transmission",
            )


def _same(row: dict[str, object], tender: Tender) -> bool:
    sent = (row["amount"], row["account_id"], row["tender_type"])
    return sent == (tender.amount, tender.account, tender.tender_type)
