"""The tables of CC&B's payment upload: what is in them of us, and what must be granted.

A transmission is one deposit control, one tender control and its tenders. Count and sum must agree
on all three levels, else CC&B's upload batch refuses the whole transmission.

Source: Oracle Utilities CC&B help, "Process X - Populate Payment Upload Staging".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import oracledb
import polars as pl

from cdc.errors import OperatorError
from sinks.ccb_payment_upload.ccb import ouaf
from sinks.ccb_payment_upload.ccb.ouaf import Table

DEPOSIT, CONTROL, TENDER = "CI_DEP_CTL_ST", "CI_TNDR_CTL_ST", "CI_PAY_TNDR_ST"
SOURCES, TYPES, ACCOUNTS, AGREEMENTS = "CI_TNDR_SRCE", "CI_TENDER_TYPE", "CI_ACCT", "CI_SA"
PAID = "CI_PAY_TNDR"
"""Tenders that CC&B has made; they stay when the upload tables are purged."""
CONTROL_STATUS = ("TND_CTL_STG_ST_FLG", "TNDR_CTL_STG_ST_FLG")
"""Names of the tender control's status: of the databases that were seen, and in Oracle's help."""
NEEDED: Mapping[str, Sequence[str]] = {
    DEPOSIT: (
        "EXT_SOURCE_ID",
        "EXT_TRANSMIT_ID",
        "DEP_CTL_STG_ST_FLG",
        "TRANSMIT_DTTM",
        "CURRENCY_CD",
        "TOT_TNDR_CTL_AMT",
        "TOT_TNDR_CTL_CNT",
        "VERSION",
    ),
    CONTROL: (
        "EXT_SOURCE_ID",
        "EXT_TRANSMIT_ID",
        "EXT_BATCH_ID",
        CONTROL_STATUS[0],
        "TOT_TNDR_AMT",
        "TOT_TNDR_CNT",
        "VERSION",
    ),
    TENDER: (
        "EXT_SOURCE_ID",
        "EXT_TRANSMIT_ID",
        "EXT_BATCH_ID",
        "EXT_REFERENCE_ID",
        "PAY_TND_STG_ST_FLG",
        "TENDER_AMT",
        "ACCOUNTING_DT",
        "TENDER_TYPE_CD",
        "CUST_ID",
        "VERSION",
    ),
    SOURCES: ("EXT_SOURCE_ID",),
    TYPES: ("TENDER_TYPE_CD",),
    ACCOUNTS: ("ACCT_ID",),
    AGREEMENTS: ("OLD_ACCT_ID",),
    PAID: ("PAY_TENDER_ID", "EXT_REFERENCE_ID", "PAYOR_ACCT_ID", "TENDER_AMT"),
}
"""Tables and columns used; the first three are written."""
WRITTEN = (DEPOSIT, CONTROL, TENDER)

OURS = "ccbridge-"
"""How the transmission ids of ccbridge begin."""
_LONG_AGO = datetime(1970, 1, 1)  # noqa: DTZ001 - an Oracle DATE has no zone


@dataclass(frozen=True)
class Tender:
    """One tender as CC&B holds it, without padding."""

    transmission_id: str
    batch_id: str
    reference: str
    account: str
    tender_type: str
    amount: Decimal


@dataclass(frozen=True)
class Paid:
    """One tender that CC&B has made, without padding."""

    tender_id: str
    reference: str
    account: str
    amount: Decimal


class UploadTables:
    """The upload tables of one site, with the columns its release has.

    Args:
        cursor: used once, to read the dictionary.
        owner: schema owner of CC&B.

    Raises:
        OperatorError: a table or column is not visible to us.
    """

    def __init__(self, cursor: oracledb.Cursor, owner: str) -> None:
        self.owner = owner
        self.tables = ouaf.describe(cursor, owner, list(NEEDED))
        unseen = missing(self.tables)
        if unseen:
            raise OperatorError(f"{owner}: cannot see {', '.join(unseen)}", hint="run: ccbridge check")

    def deposits(self, cursor: oracledb.Cursor, source: str, transmission_ids: Sequence[str]) -> set[str]:
        """Which of the transmissions are there, whatever is in them."""
        key = self._bound(DEPOSIT, "EXT_SOURCE_ID", source)
        bound = [self._bound(DEPOSIT, "EXT_TRANSMIT_ID", number) for number in transmission_ids]
        found: set[str] = set()
        for part in ouaf.in_lists(bound):
            cursor.execute(deposits_statement(self.owner, len(part)), [key, *part])
            found |= {_unpadded(number) for (number,) in cursor}
        return found

    def transmissions(
        self, cursor: oracledb.Cursor, source: str, *, since: datetime | None
    ) -> dict[str, datetime]:
        """Transmissions of ccbridge under an external source, with their times by CC&B's clock.

        Args:
            cursor: to CC&B.
            source: the external source.
            since: later ones only; None for all.
        """
        key = self._bound(DEPOSIT, "EXT_SOURCE_ID", source)
        cursor.execute(transmissions_statement(self.owner), [key, f"{OURS}%", since or _LONG_AGO])
        return {_unpadded(number): at for number, at in cursor}

    def tenders(self, cursor: oracledb.Cursor, source: str, references: Sequence[str]) -> list[Tender]:
        """The source's tenders with these receipt ids, in whatever transmission they are."""
        return self._tenders(cursor, "EXT_REFERENCE_ID", source, references)

    def tenders_of(
        self, cursor: oracledb.Cursor, source: str, transmission_ids: Sequence[str]
    ) -> list[Tender]:
        """The tenders of these transmissions."""
        return self._tenders(cursor, "EXT_TRANSMIT_ID", source, transmission_ids)

    def paid(self, cursor: oracledb.Cursor, column: str, values: Sequence[str]) -> list[Paid]:
        """The tenders that CC&B has made, by PAY_TENDER_ID or PAYOR_ACCT_ID."""
        found = []
        for part in ouaf.in_lists([self._bound(PAID, column, value) for value in values]):
            cursor.execute(paid_statement(self.owner, column, len(part)), part)
            found += [
                Paid(_unpadded(tender), _unpadded(reference), _unpadded(account), amount)
                for tender, reference, account, amount in cursor
                if reference is not None
            ]
        return found

    def longer_than_columns(self, receipts: pl.DataFrame) -> pl.DataFrame:
        """recharge_id and column of receipts with a text that this release cannot hold."""
        columns = {
            "recharge_id": "EXT_REFERENCE_ID",
            "account_id": "CUST_ID",
            "tender_type": "TENDER_TYPE_CD",
        }
        rejections = [
            receipts.filter(pl.col(name).str.len_chars() > self.tables[TENDER][column].length).select(
                "recharge_id", pl.lit(f"{TENDER}.{column}").alias("column")
            )
            for name, column in columns.items()
        ]
        return pl.concat(rejections).unique("recharge_id", maintain_order=True)

    def statements(self) -> Iterator[str]:
        """Everything that is sent about these tables, with lists of every length."""
        yield transmissions_statement(self.owner)
        for size in ouaf.IN_LIST_SIZES:
            yield deposits_statement(self.owner, size)
            for column in ("EXT_REFERENCE_ID", "EXT_TRANSMIT_ID"):
                yield tenders_statement(self.owner, column, size)
            for column in ("PAY_TENDER_ID", "PAYOR_ACCT_ID"):
                yield paid_statement(self.owner, column, size)

    def _tenders(
        self, cursor: oracledb.Cursor, column: str, source: str, values: Sequence[str]
    ) -> list[Tender]:
        """The source's tenders with one of the values in a column."""
        key = self._bound(TENDER, "EXT_SOURCE_ID", source)
        found = []
        for part in ouaf.in_lists([self._bound(TENDER, column, value) for value in values]):
            cursor.execute(tenders_statement(self.owner, column, len(part)), [key, *part])
            found += [
                Tender(
                    transmission_id=_unpadded(transmission),
                    batch_id=_unpadded(batch),
                    reference=_unpadded(reference),
                    account=_unpadded(account),
                    tender_type=_unpadded(tender_type),
                    amount=amount,
                )
                for transmission, batch, reference, amount, account, tender_type in cursor
            ]
        return found

    def _bound(self, table: str, column: str, value: str) -> str:
        return self.tables[table][column].compared(value)


def deposits_statement(owner: str, transmissions: int) -> str:
    """The query for which of so many transmissions are there."""
    return (
        f"select EXT_TRANSMIT_ID from {owner}.{DEPOSIT} "  # noqa: S608 - our own names
        f"where EXT_SOURCE_ID = :1 and EXT_TRANSMIT_ID in ({_binds(transmissions)})"
    )


def transmissions_statement(owner: str) -> str:
    """The query for our transmissions of a source after a time."""
    return (
        f"select EXT_TRANSMIT_ID, TRANSMIT_DTTM from {owner}.{DEPOSIT} "  # noqa: S608 - our own names
        "where EXT_SOURCE_ID = :1 and EXT_TRANSMIT_ID like :2 and TRANSMIT_DTTM > :3"
    )


def tenders_statement(owner: str, column: str, values: int) -> str:
    """The query for the tenders with one of so many values in a column."""
    return (
        "select EXT_TRANSMIT_ID, EXT_BATCH_ID, EXT_REFERENCE_ID, TENDER_AMT, CUST_ID, TENDER_TYPE_CD "  # noqa: S608
        f"from {owner}.{TENDER} where EXT_SOURCE_ID = :1 and {column} in ({_binds(values)})"
    )


def paid_statement(owner: str, column: str, values: int) -> str:
    """The query for tenders that CC&B has made, with one of so many values in a column."""
    return (
        "select PAY_TENDER_ID, EXT_REFERENCE_ID, PAYOR_ACCT_ID, TENDER_AMT "  # noqa: S608 - our own names
        f"from {owner}.{PAID} where {column} in ({_binds(values, first=1)}) and EXT_REFERENCE_ID <> ' '"
    )


def _binds(values: int, *, first: int = 2) -> str:
    """Placeholders of values, by default behind a first bind."""
    return ", ".join(f":{number}" for number in range(first, values + first))


def _unpadded(value: str) -> str:
    return value.rstrip(" ")


def missing(tables: Mapping[str, Table]) -> list[str]:
    """Needed tables and columns that are not among those seen."""
    absent = [name for name in NEEDED if name not in tables]
    return absent + [
        f"{name}.{column}"
        for name, columns in NEEDED.items()
        if name in tables
        for column in columns
        if (control_status(tables[name]) if column == CONTROL_STATUS[0] else column) not in tables[name]
    ]


def control_status(control: Table) -> str:
    """The name that this release has for the status of a tender control."""
    return next((name for name in CONTROL_STATUS if name in control), CONTROL_STATUS[0])


def unfillable(tables: Mapping[str, Table]) -> list[str]:
    """Columns of the written tables for which no insert would have a value."""
    return [
        f"{name}.{column}"
        for name in WRITTEN
        if name in tables
        for column in ouaf.unfillable(tables[name], {*NEEDED[name], *CONTROL_STATUS})
    ]
