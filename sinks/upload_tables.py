"""The tables of CC&B's payment upload: what one transmission is there, and what must be granted.

A transmission is one deposit control, one tender control and its tenders. Count and sum must agree
on all three levels, else CC&B's upload batch refuses the whole transmission.

Source: Oracle Utilities CC&B help, "Process X - Populate Payment Upload Staging".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import oracledb
import polars as pl

from cdc.errors import OperatorError
from sinks import ouaf
from sinks.ouaf import Table, Value

DEPOSIT, CONTROL, TENDER = "CI_DEP_CTL_ST", "CI_TNDR_CTL_ST", "CI_PAY_TNDR_ST"
SOURCES, TYPES, ACCOUNTS, AGREEMENTS = "CI_TNDR_SRCE", "CI_TENDER_TYPE", "CI_ACCT", "CI_SA"
NEEDED: Mapping[str, Sequence[str]] = {
    DEPOSIT: (
        "EXT_SOURCE_ID", "EXT_TRANSMIT_ID", "DEP_CTL_STG_ST_FLG", "TRANSMIT_DTTM", "CURRENCY_CD",
        "TOT_TNDR_CTL_AMT", "TOT_TNDR_CTL_CNT", "VERSION",
    ),
    CONTROL: (
        "EXT_SOURCE_ID", "EXT_TRANSMIT_ID", "EXT_BATCH_ID", "TND_CTL_STG_ST_FLG", "TOT_TNDR_AMT",
        "TOT_TNDR_CNT", "VERSION",
    ),
    TENDER: (
        "EXT_SOURCE_ID", "EXT_TRANSMIT_ID", "EXT_BATCH_ID", "EXT_REFERENCE_ID", "PAY_TND_STG_ST_FLG",
        "TENDER_AMT", "ACCOUNTING_DT", "TENDER_TYPE_CD", "CUST_ID", "VERSION",
    ),
    SOURCES: ("EXT_SOURCE_ID",),
    TYPES: ("TENDER_TYPE_CD",),
    ACCOUNTS: ("ACCT_ID",),
    AGREEMENTS: ("OLD_ACCT_ID",),
}  # fmt: skip
"""Tables and columns used; the first three are written."""
WRITTEN = (DEPOSIT, CONTROL, TENDER)

_CONTROL_PENDING, _TENDER_PENDING = "20", "10"  # as Oracle's page says to load them
_FIRST_VERSION = 1


@dataclass(frozen=True)
class Tender:
    """One tender as CC&B holds it, without padding."""

    transmission_id: str
    batch_id: str
    reference: str
    account: str
    tender_type: str
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
        lacking = missing(self.tables)
        if lacking:
            raise OperatorError(f"{owner}: cannot see {', '.join(lacking)}", hint="run: ccbridge check")

    def deposit_exists(self, cursor: oracledb.Cursor, source: str, transmission_id: str) -> bool:
        """True if the transmission is there, whatever is in it."""
        keys = [
            self._bound(DEPOSIT, "EXT_SOURCE_ID", source),
            self._bound(DEPOSIT, "EXT_TRANSMIT_ID", transmission_id),
        ]
        cursor.execute(
            f"select count(*) from {self.owner}.{DEPOSIT} where EXT_SOURCE_ID = :1 and EXT_TRANSMIT_ID = :2",  # noqa: S608
            keys,
        )
        [count] = cursor.fetchone()
        return bool(count)

    def tenders(self, cursor: oracledb.Cursor, source: str, references: Sequence[str]) -> list[Tender]:
        """The source's tenders with these receipt ids, in whatever transmission they are."""
        found = []
        bound = [self._bound(TENDER, "EXT_REFERENCE_ID", reference) for reference in references]
        for part in ouaf.in_lists(bound):
            binds = ", ".join(f":{number}" for number in range(2, len(part) + 2))
            found += self._tenders(cursor, f"EXT_REFERENCE_ID in ({binds})", source, part)
        return found

    def tenders_of(self, cursor: oracledb.Cursor, source: str, transmission_id: str) -> list[Tender]:
        """The tenders of one transmission."""
        key = self._bound(TENDER, "EXT_TRANSMIT_ID", transmission_id)
        return self._tenders(cursor, "EXT_TRANSMIT_ID = :2", source, [key])

    def insert(self, cursor: oracledb.Cursor, transmission: pl.DataFrame) -> None:
        """Insert a transmission, parents first; the caller commits.

        Args:
            cursor: in a session without an open transaction.
            transmission: receipts of one transmission, batch and currency, at least one.
        """
        first = transmission.row(0, named=True)
        total, count = sum(transmission["amount"], Decimal()), transmission.height
        place = {"EXT_SOURCE_ID": first["external_source"], "EXT_TRANSMIT_ID": first["transmission_id"]}
        batch = place | {"EXT_BATCH_ID": first["batch_id"]}
        self._insert(
            cursor, DEPOSIT,
            [place | {"DEP_CTL_STG_ST_FLG": _CONTROL_PENDING, "CURRENCY_CD": first["currency"],
                      "TOT_TNDR_CTL_AMT": total, "TOT_TNDR_CTL_CNT": 1}],
            TRANSMIT_DTTM="SYSDATE",
        )  # fmt: skip
        self._insert(
            cursor, CONTROL,
            [batch | {"TND_CTL_STG_ST_FLG": _CONTROL_PENDING, "TOT_TNDR_AMT": total, "TOT_TNDR_CNT": count}],
        )  # fmt: skip
        self._insert(
            cursor, TENDER,
            [
                batch | {
                    "EXT_REFERENCE_ID": row["recharge_id"], "PAY_TND_STG_ST_FLG": _TENDER_PENDING,
                    "TENDER_AMT": row["amount"], "ACCOUNTING_DT": row["accounting_date"],
                    "TENDER_TYPE_CD": row["tender_type"], "CUST_ID": row["account_id"],
                }
                for row in transmission.iter_rows(named=True)
            ],
        )  # fmt: skip

    def longer_than_columns(self, receipts: pl.DataFrame) -> pl.DataFrame:
        """recharge_id and column of receipts with a text that this release cannot hold."""
        columns = {
            "recharge_id": "EXT_REFERENCE_ID",
            "account_id": "CUST_ID",
            "tender_type": "TENDER_TYPE_CD",
        }
        faults = [
            receipts.filter(pl.col(name).str.len_chars() > self.tables[TENDER][column].length).select(
                "recharge_id", pl.lit(f"{TENDER}.{column}").alias("column")
            )
            for name, column in columns.items()
        ]
        return pl.concat(faults).unique("recharge_id", maintain_order=True)

    def _insert(
        self, cursor: oracledb.Cursor, name: str, rows: Sequence[Mapping[str, object]], **literals: str
    ) -> None:
        table: Table = self.tables[name]
        given = [*rows[0], "VERSION"]
        names = ouaf.insert_columns(table, given, literals)
        values: list[list[Value]] = [
            [table[column].stored({"VERSION": _FIRST_VERSION, **row}.get(column)) for column in names]  # type: ignore[arg-type]
            for row in rows
        ]
        cursor.executemany(ouaf.insert_statement(self.owner, name, table, given, **literals), values)

    def _tenders(
        self, cursor: oracledb.Cursor, condition: str, source: str, keys: Sequence[str]
    ) -> list[Tender]:
        cursor.execute(
            "select EXT_TRANSMIT_ID, EXT_BATCH_ID, EXT_REFERENCE_ID, TENDER_AMT, CUST_ID, TENDER_TYPE_CD "  # noqa: S608
            f"from {self.owner}.{TENDER} where EXT_SOURCE_ID = :1 and {condition}",
            [self._bound(TENDER, "EXT_SOURCE_ID", source), *keys],
        )
        return [
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

    def _bound(self, table: str, column: str, value: str) -> str:
        return self.tables[table][column].compared(value)


def _unpadded(value: str) -> str:
    return value.rstrip(" ")


def missing(tables: Mapping[str, Table]) -> list[str]:
    """Needed tables and columns that are not among those seen."""
    lacking = [name for name in NEEDED if name not in tables]
    return lacking + [
        f"{name}.{column}"
        for name, columns in NEEDED.items()
        if name in tables
        for column in columns
        if column not in tables[name]
    ]
