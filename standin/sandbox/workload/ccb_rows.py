"""Reads the CC&B tables that `verify` compares, as rows by column name: CHAR trimmed, blanks as None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import oracledb

Row = Mapping[str, Any]
CcbRows = Mapping[str, Sequence[Row]]

_READ = {
    "CI_PER": "PER_ID, LANGUAGE_CD",
    "CI_PER_NAME": "PER_ID, ENTITY_NAME, NAME_TYPE_FLG",
    "CI_PER_ID": "PER_ID, PER_ID_NBR, PRIM_SW",
    "C1_PER_CONTDET": (
        "C1_CONTACT_ID, PER_ID, COMM_RTE_TYPE_CD, CONTACT_VALUE, CND_PRIMARY_FLG, CND_ACTINACT_FLG"
    ),
    "CI_ACCT": "ACCT_ID, CUST_CL_CD, CURRENCY_CD",
    "CI_ACCT_PER": "ACCT_ID, PER_ID, MAIN_CUST_SW",
    "CI_SA": "SA_ID, ACCT_ID, SA_TYPE_CD, SA_STATUS_FLG, CHAR_PREM_ID",
    "CI_SA_SP": "SA_SP_ID, SA_ID, SP_ID, STOP_DTTM",
    "CI_PREM": "PREM_ID, ADDRESS1, ADDRESS2, ADDRESS3, ADDRESS4, CITY",
    "CI_PAY_EVENT": "PAY_EVENT_ID, PAY_DT",
    "CI_PAY": "PAY_ID, PAY_EVENT_ID, ACCT_ID, PAY_AMT, CURRENCY_CD, PAY_STATUS_FLG",
    "CI_PAY_TNDR": "PAY_TENDER_ID, PAY_EVENT_ID, TENDER_TYPE_CD, TENDER_AMT, EXT_REFERENCE_ID",
}


def read(connection: oracledb.Connection) -> CcbRows:
    """All rows of the tables of `_READ`; numbers must arrive as Decimal (`CcbDatabase.connect`)."""
    found: dict[str, Sequence[Row]] = {}
    with connection.cursor() as cursor:
        cursor.arraysize = 2_000
        for table, columns in _READ.items():
            names = columns.split(", ")
            cursor.execute(f"select {columns} from CISADM.{table}")  # noqa: S608 - names from above
            found[table] = [
                {name: _plain(value) for name, value in zip(names, row, strict=True)} for row in cursor
            ]
    return found


def _plain(value: object) -> object:
    return (value.strip() or None) if isinstance(value, str) else value
