"""What the payment upload reads: open transmissions, and what their tenders refer to.

Part of `sandbox.ccb.upload_batch`; the shapes are those of `sandbox.ccb.upload_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import oracledb

from sandbox.ccb.upload_rules import Agreement, ControlState, Deposit, Site, StagedTender, TenderControl

_IN_LIST = 100


def open_deposits(cursor: oracledb.Cursor) -> list[Deposit]:
    """Deposit controls that are pending, in progress or in error, oldest first."""
    return [_deposit(row) for row in cursor.execute(_OPEN_DEPOSITS).fetchall()]


def tenders_in_error(cursor: oracledb.Cursor, place: tuple[str, str]) -> dict[str, int]:
    """Tenders of a transmission in error by batch."""
    return {batch: int(count) for batch, count in cursor.execute(_IN_ERROR, place)}


def _deposit(row: Sequence[Any]) -> Deposit:
    source, transmission, state, currency, amount, count, control_id = row
    return Deposit(
        source, transmission, ControlState(state), currency, Decimal(amount), int(count), control_id
    )


def controls(cursor: oracledb.Cursor, place: tuple[str, str]) -> list[TenderControl]:
    """All tender controls of a transmission, with the totals found below them."""
    found = {batch: (Decimal(amount), int(count)) for batch, amount, count in cursor.execute(_FOUND, place)}
    return [
        TenderControl(
            batch,
            ControlState(state),
            Decimal(amount),
            int(count),
            control_id,
            *found.get(batch, (Decimal(0), 0)),
        )
        for batch, state, amount, count, control_id in cursor.execute(_CONTROLS, place)
    ]


def pending_tenders(cursor: oracledb.Cursor, place: tuple[str, str]) -> list[StagedTender]:
    """Its pending tenders with their advices."""
    advices: dict[tuple[str, str], list[tuple[str, Decimal]]] = {}
    for batch, reference, customer, amount in cursor.execute(_ADVICES, place):
        advices.setdefault((batch, reference), []).append((customer.strip(), Decimal(amount)))
    return [
        StagedTender(
            batch,
            reference,
            Decimal(amount),
            None if on is None else on.date(),
            tender_type,
            customer.strip(),
            name,
            tuple(advices.get((batch, reference), ())),
        )
        for batch, reference, amount, on, tender_type, customer, name in cursor.execute(_TENDERS, place)
    ]


def site(cursor: oracledb.Cursor, deposit: Deposit, tenders: Sequence[StagedTender]) -> Site:
    """Tender source, tender types, accounts and agreements that these tenders name."""
    types = frozenset(row[0] for row in cursor.execute("select TENDER_TYPE_CD from CISADM.CI_TENDER_TYPE"))
    source = cursor.execute(SOURCE, (deposit.source,)).fetchone()
    if source is None:
        return Site(None, "", types, {}, {})
    customers = {t.customer for t in tenders} | {account for t in tenders for account, _ in t.advices}
    accounts = {row[0]: row[0] for row in _select_in(cursor, _ACCOUNTS, customers)}
    legacy = _select_in(cursor, _LEGACY, customers - accounts.keys())
    accounts |= dict(legacy)
    suspense = [Agreement(*row) for row in _select_in(cursor, _AGREEMENTS + "SA_ID in ", [source[1]])]
    agreements: dict[str, list[Agreement]] = {}
    for row in _select_in(cursor, _AGREEMENTS + "ACCT_ID in ", set(accounts.values())):
        agreements.setdefault(row[1], []).append(Agreement(*row))
    return Site(suspense[0] if suspense else None, source[2], types, accounts, agreements)


def _select_in(cursor: oracledb.Cursor, select: str, values: Iterable[str]) -> list[Any]:
    """Rows of `select ... in (values)`, in lists of _IN_LIST binds."""
    ordered = sorted(values)
    rows: list[Any] = []
    for start in range(0, len(ordered), _IN_LIST):
        part = ordered[start : start + _IN_LIST]
        part += part[-1:] * (_IN_LIST - len(part))  # one statement text, whatever the number
        binds = ", ".join(f":{place}" for place in range(1, _IN_LIST + 1))
        rows += cursor.execute(f"{select}({binds})", part).fetchall()
    return rows


_OPEN_DEPOSITS = (
    "select EXT_SOURCE_ID, EXT_TRANSMIT_ID, DEP_CTL_STG_ST_FLG, CURRENCY_CD, TOT_TNDR_CTL_AMT,"
    " TOT_TNDR_CTL_CNT, DEP_CTL_ID from CISADM.CI_DEP_CTL_ST where DEP_CTL_STG_ST_FLG in ('20', '30', '60')"
    " order by TRANSMIT_DTTM, EXT_TRANSMIT_ID"
)
_THERE = "where EXT_SOURCE_ID = :1 and EXT_TRANSMIT_ID = :2"
_CONTROLS = (
    "select EXT_BATCH_ID, TND_CTL_STG_ST_FLG, TOT_TNDR_AMT, TOT_TNDR_CNT, TNDR_CTL_ID"  # noqa: S608
    f" from CISADM.CI_TNDR_CTL_ST {_THERE} order by EXT_BATCH_ID"
)
_FOUND = (
    "select EXT_BATCH_ID, sum(TENDER_AMT), count(*)"  # noqa: S608
    f" from CISADM.CI_PAY_TNDR_ST {_THERE} group by EXT_BATCH_ID"
)
_TENDERS = (
    "select EXT_BATCH_ID, EXT_REFERENCE_ID, TENDER_AMT, ACCOUNTING_DT, TENDER_TYPE_CD, CUST_ID, NAME1"  # noqa: S608
    f" from CISADM.CI_PAY_TNDR_ST {_THERE} and PAY_TND_STG_ST_FLG = '10' "
    " order by EXT_BATCH_ID, EXT_REFERENCE_ID"
)
_IN_ERROR = (
    "select EXT_BATCH_ID, count(*)"  # noqa: S608
    f" from CISADM.CI_PAY_TNDR_ST {_THERE} and PAY_TND_STG_ST_FLG = '50' group by EXT_BATCH_ID"
)
_ADVICES = (
    "select EXT_BATCH_ID, EXT_REFERENCE_ID, CUST_ID, PAY_AMT"  # noqa: S608
    f" from CISADM.CI_PAY_ST {_THERE}"
)
SOURCE = "select TNDR_SOURCE_CD, SA_ID, CURRENCY_CD from CISADM.CI_TNDR_SRCE where EXT_SOURCE_ID = :1"
_ACCOUNTS = "select ACCT_ID from CISADM.CI_ACCT where ACCT_ID in "
_LEGACY = "select OLD_ACCT_ID, ACCT_ID from CISADM.CI_SA where OLD_ACCT_ID in "
_AGREEMENTS = "select SA_ID, ACCT_ID, SA_TYPE_CD, SA_STATUS_FLG from CISADM.CI_SA where "
