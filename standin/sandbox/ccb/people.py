"""Synthetic customers as CC&B keeps them: persons, names, identifiers, contacts, accounts, agreements.

A seeded generator of rows by table (`COLUMNS` names what each tuple holds; everything else is left to
`Table.insert_statement`). Names are Faker's, English and French, with apostrophes, hyphens, accents and
characters of four bytes. The oddities of real sites are in it, each rare: persons without a primary name,
two names, inactive and doubled contacts, accounts without a main customer, second agreements, agreements
without a service point. `sandbox.ccb.database` loads them, `sandbox.workload` adds to them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from faker import Faker

from sandbox.ccb.keys import Keys

Rows = dict[str, list[tuple[Any, ...]]]

COLUMNS: dict[str, tuple[str, ...]] = {
    "CI_PER": ("PER_ID", "LANGUAGE_CD", "PER_OR_BUS_FLG", "CITY", "COUNTRY"),
    "CI_PER_NAME": (
        "PER_ID",
        "SEQ_NUM",
        "ENTITY_NAME",
        "NAME_TYPE_FLG",
        "PRIM_NAME_SW",
        "ENTITY_NAME_UPR",
    ),
    "CI_PER_ID": ("PER_ID", "ID_TYPE_CD", "PER_ID_NBR", "PRIM_SW"),
    "C1_PER_CONTDET": (
        "C1_CONTACT_ID",
        "PER_ID",
        "COMM_RTE_TYPE_CD",
        "CONTACT_VALUE",
        "CND_PRIMARY_FLG",
        "CND_ACTINACT_FLG",
    ),
    "CI_PREM": ("PREM_ID", "PREM_TYPE_CD", "ADDRESS1", "CITY", "ADDRESS1_UPR", "CITY_UPR"),
    "CI_SP": ("SP_ID", "SP_TYPE_CD", "PREM_ID", "INSTALL_DT"),
    "CI_ACCT": ("ACCT_ID", "SETUP_DT", "CUST_CL_CD", "MAILING_PREM_ID"),
    "CI_ACCT_PER": ("ACCT_ID", "PER_ID", "ACCT_REL_TYPE_CD", "MAIN_CUST_SW", "FIN_RESP_SW"),
    "CI_SA": (
        "SA_ID",
        "ACCT_ID",
        "SA_TYPE_CD",
        "SA_STATUS_FLG",
        "START_DT",
        "END_DT",
        "CHAR_PREM_ID",
        "OLD_ACCT_ID",
    ),
    "CI_SA_SP": ("SA_SP_ID", "SA_ID", "SP_ID", "START_DTTM", "STOP_DTTM"),
}
"""What a generated tuple holds, by table, parents first."""

FIXED: dict[str, dict[str, str]] = {
    "CI_PER": {"LS_SL_FLG": "N", "IN_CITY_LIMIT": "Y", "RECV_MKTG_INFO_FLG": "C1NO"},
    "C1_PER_CONTDET": {"CND_VERIF_STATUS_FLG": "C1NV"},
    "CI_PREM": {
        "CIS_DIVISION": "CM",
        "KEY_SW": "N",
        "OK_TO_ENTER_SW": "N",
        "MAIL_ADDR_SW": "Y",
        "IN_CITY_LIMIT": "Y",
        "COUNTRY": "CMR",
        "LS_SL_FLG": "N",
    },
    "CI_SP": {"SP_STATUS_FLG": "R", "SP_SRC_STATUS_FLG": "C", "KEY_SW": "N", "OK_TO_ENTER_SW": "N"},
    "CI_ACCT": {
        "CURRENCY_CD": "XAF",
        "CIS_DIVISION": "CM",
        "PROTECT_CYC_SW": "N",
        "PROTECT_PREM_SW": "N",
        "INT_CR_REVIEW_SW": "N",
        "NO_DEP_RVW_SW": "N",
        "PROTECT_DIV_SW": "N",
    },
    "CI_ACCT_PER": {
        "BILL_ADDR_SRCE_FLG": "PREM",
        "THRD_PTY_SW": "N",
        "RECEIVE_COPY_SW": "N",
        "NOTIFY_SW": "N",
        "RECV_QTE_SW": "N",
        "WEB_ACCESS_FLG": "NALW",
    },
    "CI_SA": {"CIS_DIVISION": "CM", "ALLOW_EST_SW": "N", "CURRENCY_CD": "XAF"},
    "CI_SA_SP": {"USAGE_FLG": "+"},
}
"""Columns with one value for all generated rows."""

PREPAID_TYPE = "PPD"
_STATUSES = ("20", "10", "30", "40", "50", "60", "70")
_STATUS_WEIGHTS = (88, 1, 2, 3, 2, 3, 1)
_EPOCH = date(2019, 1, 1)
_FOUR_BYTES = ("🔌", "𠮷", "𝄞", "🌍")


class Customers:
    """Makes customers from a seed; the same seed gives the same customers.

    Attributes:
        random: the source of all choices; callers may draw from it as well.
        keys: the source of all ids.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - synthetic data
        self._fakers = [Faker("en_US"), Faker("fr_FR"), Faker("en_IE")]
        for place, faker in enumerate(self._fakers):
            faker.seed_instance(seed * 10 + place)
        french = self._fakers[1]
        self._streets = [french.street_name() for _ in range(500)]
        self._cities = [french.city() for _ in range(100)]
        self.keys = Keys(self.random)

    def batches(self, persons: int, *, size: int = 5_000) -> Iterator[Rows]:
        """Yield the rows of `persons` persons with their accounts, `size` persons at a time."""
        for start in range(0, persons, size):
            rows: Rows = {table: [] for table in COLUMNS}
            for _ in range(min(size, persons - start)):
                self.add(rows)
            yield rows

    def add(self, rows: Rows) -> str:
        """Append one person with everything below it to `rows`; returns the person's id."""
        draw = self.random.random
        person = self.keys.make()
        business = draw() < 0.06
        french = draw() < 0.6
        language, kind = "FRA" if french else "ENG", "B" if business else "P"
        rows["CI_PER"].append((person, language, kind, self.random.choice(self._cities), "CMR"))
        named = draw() >= 0.003
        self._add_names(rows, person, business=business, french=french, named=named)
        if draw() < 0.9:
            rows["CI_PER_ID"].append((person, "NID", self.keys.digits(12), "Y"))
        if draw() < 0.1:
            rows["CI_PER_ID"].append((person, "PASSPORT", f"P{self.keys.digits(8)}", "N"))
        rows["C1_PER_CONTDET"] += self._contacts(person)
        accounts = self.random.choices((0, 1, 2), (3, 90, 7))[0] if named else 0
        for _ in range(accounts):
            self._add_account(rows, person)
        return person

    def name(self, *, french: bool, business: bool = False) -> str:
        """A name as CC&B writes it: `LAST,FIRST`, or the name of a business."""
        draw = self.random.random
        faker = self._fakers[1] if french else self._fakers[self.random.choice((0, 0, 2))]
        if business:
            text = faker.company()
        else:
            last, first = faker.last_name(), faker.first_name()
            if draw() < 0.08:
                last = f"{last}-{faker.last_name()}"
            if french and draw() < 0.03:
                last = f"D'{last}"
            text = f"{last},{first}"
        return f"{text} {self.random.choice(_FOUR_BYTES)}" if draw() < 0.02 else str(text)

    def phone(self) -> str:
        """A mobile number of Cameroon's plan."""
        return f"+2376{self.keys.digits(8)}"

    def email(self) -> str:
        """An address in a domain reserved for examples."""
        faker = self._fakers[self.random.randrange(2)]
        return f"{faker.user_name()}{self.random.randrange(100)}@example.org"

    def contact(self, person: str, route: str, *, primary: bool, active: bool = True) -> tuple[Any, ...]:
        """A row of C1_PER_CONTDET."""
        value = self.email() if route == "PRIMARYEMAIL" else self.phone()
        flags = ("C1YS" if primary else "C1NO", "C1AC" if active else "C1IN")
        return (self.keys.make(), person, route, value, *flags)

    def address(self) -> tuple[str, str]:
        """Street and city."""
        street = f"{self.random.randrange(1, 400)} {self.random.choice(self._streets)}"
        return street, self.random.choice(self._cities)

    def _add_names(self, rows: Rows, person: str, *, business: bool, french: bool, named: bool) -> None:
        name = self.name(french=french, business=business)
        kind, switch = ("PRIM", "Y") if named else ("ALIA", "N")
        rows["CI_PER_NAME"].append((person, 1, name, kind, switch, name.upper()))
        if self.random.random() < 0.04:
            other = self.name(french=french)
            rows["CI_PER_NAME"].append((person, 2, other, "ALIA", "N", other.upper()))

    def _contacts(self, person: str) -> list[tuple[Any, ...]]:
        draw = self.random.random
        contacts = []
        for route, share in (("CELLPHONE", 0.92), ("PRIMARYEMAIL", 0.6), ("HOMEPHONE", 0.1)):
            if draw() < share:
                contacts.append(self.contact(person, route, primary=draw() < 0.7, active=draw() < 0.97))
            if draw() < 0.06:
                contacts.append(self.contact(person, route, primary=False, active=draw() < 0.7))
        return contacts

    def _add_account(self, rows: Rows, person: str) -> None:
        draw = self.random.random
        account, premise, point = self.keys.make(), self.keys.make(), self.keys.make()
        opened = _EPOCH + timedelta(days=self.random.randrange(2_000))
        street, city = self.address()
        rows["CI_PREM"].append((premise, "RES", street, city, street.upper(), city.upper()))
        rows["CI_SP"].append((point, "E-RES", premise, opened))
        customer_class = self.random.choices(("RES", "COM", "GOV"), (85, 12, 3))[0]
        rows["CI_ACCT"].append((account, opened, customer_class, premise))
        if draw() >= 0.003:
            rows["CI_ACCT_PER"].append((account, person, "MAIN", "Y", "Y"))
        if len(rows["CI_PER"]) > 1 and draw() < 0.05:
            rows["CI_ACCT_PER"].append((account, rows["CI_PER"][-2][0], "FAMILY", "N", "N"))
        if draw() < 0.98:
            self._add_agreement(rows, account, premise, point, opened)
        if draw() < 0.04:
            self._add_agreement(rows, account, premise, point, opened, status="60")
        if draw() < 0.1:
            rows["CI_SA"].append((self.keys.make(), account, "WATER", "20", opened, None, premise, " "))

    def _add_agreement(
        self, rows: Rows, account: str, premise: str, point: str, opened: date, status: str = ""
    ) -> None:
        draw = self.random.random
        agreement = self.keys.make()
        status = status or self.random.choices(_STATUSES, _STATUS_WEIGHTS)[0]
        ended = opened + timedelta(days=400) if status in ("40", "60") else None
        legacy = f"OLD-{self.keys.digits(8)}" if draw() < 0.2 else " "
        rows["CI_SA"].append((agreement, account, PREPAID_TYPE, status, opened, ended, premise, legacy))
        begins = datetime(opened.year, opened.month, opened.day, 8, 30)  # noqa: DTZ001 - CC&B's local time
        if draw() < 0.97:
            stops = begins + timedelta(days=400) if ended else None
            rows["CI_SA_SP"].append((self.keys.make(), agreement, point, begins, stops))
        if draw() < 0.03:
            rows["CI_SA_SP"].append((self.keys.make(), agreement, point, begins, begins + timedelta(days=3)))
