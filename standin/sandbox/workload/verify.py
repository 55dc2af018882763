"""Compares CC&B with prepaid by queries of its own; nothing of the product is used.

`compare` reads both systems while they are quiet and says what differs: customers, accounts, payments
taken at a counter, and every recharge exactly once in CC&B, frozen, on the right account, to the cent,
and acknowledged. What prepaid should show for a row of CC&B is written down in `expected_*`, once more
and independently of the mapping rules, in plain Python.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import oracledb
import psycopg

from sandbox.ccb.database import CcbDatabase
from sandbox.prepaid.application import PrepaidDatabase
from sandbox.workload.ccb_rows import CcbRows, read

_LANGUAGES = {"ENG": "en", "FRA": "fr"}
_MAY_VEND = ("20", "30", "50")
_EXAMPLES = 20


class Difference(NamedTuple):
    """One thing that is not as it should be; values are synthetic, so they may be shown."""

    table: str
    key: str
    column: str
    expected: object
    found: object


@dataclass
class Differences:
    """What `compare` found, with the number of things it looked at."""

    persons: int = 0
    accounts: int = 0
    counter_payments: int = 0
    recharges: int = 0
    posted: int = 0
    found: list[Difference] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.found)

    def __str__(self) -> str:
        lines = [
            f"persons={self.persons} accounts={self.accounts} recharges={self.recharges}"
            f" posted={self.posted} differences={len(self)}"
        ]
        lines += [
            f"  {d.table} {d.key} {d.column}: expected {d.expected!r}, found {d.found!r}"
            for d in self.found[:_EXAMPLES]
        ]
        return "\n".join(lines)


class Customer(NamedTuple):
    """A row of prepaid's customer without its own key."""

    full_name: str
    phone: str | None
    email: str | None
    language: str | None
    national_id: str | None


class Account(NamedTuple):
    """A row of prepaid's account without its key."""

    ccb_person_id: str
    customer_class: str | None
    currency: str
    agreement_id: str | None
    agreement_status: str | None
    service_point_id: str | None
    address: str | None
    city: str | None
    may_vend: bool


def compare(ccb: CcbDatabase, prepaid: PrepaidDatabase) -> Differences:
    """Read both systems and compare; call it when nothing is under way.

    Raises:
        oracledb.Error, psycopg.Error: a database cannot be read.
    """
    with ccb.connect() as connection, psycopg.connect(prepaid.conninfo()) as target:
        target.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return compare_in(connection, target)


def compare_in(ccb: oracledb.Connection, prepaid: psycopg.Connection[tuple[Any, ...]]) -> Differences:
    """`compare` in sessions that are open, as their transactions see both systems."""
    rows = read(ccb)
    customers = expected_customers(rows)
    accounts = expected_accounts(rows, customers)
    result = Differences(persons=len(customers), accounts=len(accounts))
    result.found += _masters("customer", customers, Customer, "ccb_person_id", prepaid)
    result.found += _masters("account", accounts, Account, "ccb_account_id", prepaid)
    _counter_payments(rows, prepaid, result)
    _recharges(rows, prepaid, result)
    return result


def expected_customers(rows: CcbRows) -> dict[str, Customer]:
    """Persons with a primary name, as prepaid should show them."""
    names = {n["PER_ID"]: n["ENTITY_NAME"] for n in rows["CI_PER_NAME"] if n["NAME_TYPE_FLG"] == "PRIM"}
    numbers = {i["PER_ID"]: i["PER_ID_NBR"] for i in rows["CI_PER_ID"] if i["PRIM_SW"] == "Y"}
    contacts: dict[tuple[str, str], tuple[bool, str, str | None]] = {}
    for c in rows["C1_PER_CONTDET"]:
        if c["CND_ACTINACT_FLG"] == "C1AC":
            place = c["PER_ID"], c["COMM_RTE_TYPE_CD"]
            rank = c["CND_PRIMARY_FLG"] != "C1YS", c["C1_CONTACT_ID"], c["CONTACT_VALUE"]
            contacts[place] = min(contacts.get(place, rank), rank, key=lambda r: r[:2])
    no_contact = (False, "", None)
    return {
        person: Customer(
            full_name=names[person],
            phone=contacts.get((person, "CELLPHONE"), no_contact)[2],
            email=contacts.get((person, "PRIMARYEMAIL"), no_contact)[2],
            language=_LANGUAGES.get(p["LANGUAGE_CD"]),
            national_id=numbers.get(person),
        )
        for p in rows["CI_PER"]
        if (person := p["PER_ID"]) in names
    }


def expected_accounts(rows: CcbRows, customers: Mapping[str, Customer]) -> dict[str, Account]:
    """Accounts whose main customer prepaid knows, with their prepaid agreement."""
    mains = {link["ACCT_ID"]: link["PER_ID"] for link in rows["CI_ACCT_PER"] if link["MAIN_CUST_SW"] == "Y"}
    agreements = _first(
        (a for a in rows["CI_SA"] if a["SA_TYPE_CD"] == "PPD"),
        key="ACCT_ID",
        rank=lambda a: (a["SA_STATUS_FLG"] != "20", a["SA_ID"]),
    )
    points = _first(
        (link for link in rows["CI_SA_SP"] if link["STOP_DTTM"] is None),
        key="SA_ID",
        rank=lambda link: link["SA_SP_ID"],
    )
    premises = {p["PREM_ID"]: p for p in rows["CI_PREM"]}
    expected = {}
    for a in rows["CI_ACCT"]:
        person = mains.get(a["ACCT_ID"])
        if person is None or person not in customers:
            continue
        agreement = agreements.get(a["ACCT_ID"], {})
        premise = premises.get(agreement.get("CHAR_PREM_ID"), {})
        expected[a["ACCT_ID"]] = Account(
            ccb_person_id=person,
            customer_class=a["CUST_CL_CD"],
            currency=a["CURRENCY_CD"],
            agreement_id=agreement.get("SA_ID"),
            agreement_status=agreement.get("SA_STATUS_FLG"),
            service_point_id=points.get(agreement.get("SA_ID"), {}).get("SP_ID"),
            address=_address(premise),
            city=premise.get("CITY"),
            may_vend=agreement.get("SA_STATUS_FLG") in _MAY_VEND,
        )
    return expected


def _address(premise: Mapping[str, Any]) -> str | None:
    """The lines of an address that are filled."""
    lines = [line for number in range(1, 5) if (line := premise.get(f"ADDRESS{number}"))]
    return ", ".join(lines) if premise else None


def _first(rows: Iterable[Mapping[str, Any]], *, key: str, rank: Any) -> dict[Any, Mapping[str, Any]]:
    """The row with the lowest rank for each value of `key`."""
    found: dict[Any, Mapping[str, Any]] = {}
    for row in rows:
        if row[key] not in found or rank(row) < rank(found[row[key]]):
            found[row[key]] = row
    return found


def _masters(
    table: str,
    expected: Mapping[str, Customer] | Mapping[str, Account],
    shape: type[Customer] | type[Account],
    key: str,
    target: psycopg.Connection[tuple[Any, ...]],
) -> list[Difference]:
    """Active rows must be the expected ones, column by column; others must not be active."""
    columns = shape._fields
    query = psycopg.sql.SQL("select {} from public.{} where active").format(
        psycopg.sql.SQL(", ").join(psycopg.sql.Identifier(name) for name in (key, *columns)),
        psycopg.sql.Identifier(table),
    )
    found = {row[0]: row[1:] for row in target.execute(query)}
    differences = [Difference(table, k, "active", False, True) for k in found.keys() - expected.keys()]
    for k, row in expected.items():
        if k not in found:
            differences.append(Difference(table, k, "active", True, None))
        elif found[k] != tuple(row):
            differences += [
                Difference(table, k, column, due, has)
                for column, due, has in zip(columns, row, found[k], strict=True)
                if due != has
            ]
    return differences


def _counter_payments(
    rows: CcbRows, target: psycopg.Connection[tuple[Any, ...]], result: Differences
) -> None:
    """Frozen payments whose tender is not of the upload; canceled ones must not be active."""
    events = {e["PAY_EVENT_ID"]: e for e in rows["CI_PAY_EVENT"]}
    tenders = _first(rows["CI_PAY_TNDR"], key="PAY_EVENT_ID", rank=lambda t: t["PAY_TENDER_ID"])
    expected = {}
    for p in rows["CI_PAY"]:
        tender = tenders.get(p["PAY_EVENT_ID"])
        if p["PAY_STATUS_FLG"] == "50" and tender is not None and tender["EXT_REFERENCE_ID"] is None:
            paid_on = events[p["PAY_EVENT_ID"]]["PAY_DT"].date()
            expected[p["PAY_ID"]] = (
                p["ACCT_ID"],
                p["PAY_AMT"],
                p["CURRENCY_CD"],
                paid_on,
                tender["TENDER_TYPE_CD"],
            )
    found = {
        row[0]: row[1:]
        for row in target.execute(
            "select ccb_payment_id, ccb_account_id, amount, currency, paid_on, tender_type"
            " from public.counter_payment where active"
        )
    }
    result.counter_payments = len(expected)
    for key in expected.keys() | found.keys():
        if expected.get(key) != found.get(key):
            result.found.append(Difference("counter_payment", key, "row", expected.get(key), found.get(key)))


def _recharges(rows: CcbRows, target: psycopg.Connection[tuple[Any, ...]], result: Differences) -> None:
    """Each completed recharge is one tender and one frozen payment in CC&B, and acknowledged here."""
    tenders: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for tender in rows["CI_PAY_TNDR"]:
        if tender["EXT_REFERENCE_ID"] is not None:
            tenders[tender["EXT_REFERENCE_ID"]].append(tender)
    payments: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for payment in rows["CI_PAY"]:
        payments[payment["PAY_EVENT_ID"]].append(payment)
    recharges = target.execute(
        "select recharge_id, ccb_account_id, amount, currency, status, ccb_payment_id,"
        " posted_at is not null, tender_type"
        " from public.recharge"
    ).fetchall()
    for recharge_id, account, amount, currency, status, payment_id, acknowledged, kind in recharges:
        mine = tenders.pop(recharge_id, [])
        if status != "completed":
            if mine:
                result.found.append(Difference("recharge", recharge_id, "tenders", 0, len(mine)))
            continue
        result.recharges += 1
        if len(mine) != 1:
            result.found.append(Difference("recharge", recharge_id, "tenders", 1, len(mine)))
            continue
        result.posted += 1
        there = payments[mine[0]["PAY_EVENT_ID"]]
        posted = [
            (p["ACCT_ID"], p["PAY_AMT"], p["CURRENCY_CD"], p["PAY_STATUS_FLG"], p["PAY_ID"]) for p in there
        ]
        expected = [(account, amount, currency, "50", payment_id)]
        if posted != expected or not acknowledged:
            result.found.append(Difference("recharge", recharge_id, "payment", expected, posted))
        tendered = mine[0]["TENDER_AMT"], mine[0]["TENDER_TYPE_CD"]
        if tendered != (amount, kind.upper()):
            result.found.append(Difference("recharge", recharge_id, "tender", (amount, kind), tendered))
    result.found += _strangers(tenders)


def _strangers(tenders: Mapping[str, Sequence[object]]) -> list[Difference]:
    """Tenders with an outside reference that prepaid does not know."""
    return [Difference("recharge", reference, "known", True, False) for reference in tenders]
