"""Clerks at CC&B: new customers, changed names and contacts, moved accounts, changed agreements.

Each step is one transaction as the application makes it: several tables, VERSION counted up, blanks
for missing text. Some are rolled back, some write much. `cash_desk` takes the money.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import oracledb

from sandbox.ccb.database import CcbDatabase, insert_rows
from sandbox.ccb.payments import site_now
from sandbox.ccb.people import COLUMNS, PREPAID_TYPE, Customers, Rows

_TRY_AGAIN = (1, 60)  # an id that exists already, a deadlock: people try again
Work = Callable[[oracledb.Cursor], str | None]


class CcbPeople:
    """A player (see `sandbox.workload.traffic`) who keeps customers' records; seeded.

    Args:
        database: CC&B.
        seed: of all choices; take another one than the loaded customers'.
        batch_rows: rows that the occasional mass update writes in one transaction.
    """

    def __init__(self, database: CcbDatabase, *, seed: int, batch_rows: int = 200) -> None:
        self._database = database
        self._customers = Customers(seed)
        self._random = self._customers.random
        self._batch_rows = batch_rows
        self._connection: oracledb.Connection | None = None
        self._persons: list[str] = []
        self._accounts: list[str] = []
        self._work: list[tuple[str, int, Work]] = [
            ("customer_added", 14, self._add_customer),
            ("name_changed", 16, self._change_name),
            ("name_given", 2, self._give_name),
            ("language_changed", 4, self._change_language),
            ("contact_changed", 18, self._change_contact),
            ("contact_replaced", 8, self._replace_contact),
            ("identifier_changed", 5, self._change_identifier),
            ("main_customer_moved", 6, self._move_main_customer),
            ("agreement_changed", 10, self._change_agreement),
            ("service_point_moved", 4, self._move_service_point),
            ("address_changed", 5, self._change_address),
            ("person_removed", 1, self._remove_person),
            ("mass_update", 1, self._mass_update),
        ]

    def open(self) -> None:
        """Connect, and learn who the customers are."""
        self._connection = self._database.connect()
        with self._connection.cursor() as cursor:
            named = "select distinct PER_ID from CISADM.CI_PER_NAME where NAME_TYPE_FLG = 'PRIM'"
            self._persons = sorted(row[0] for row in cursor.execute(named))
            main = "select ACCT_ID from CISADM.CI_ACCT_PER where MAIN_CUST_SW = 'Y'"
            self._accounts = sorted(row[0] for row in cursor.execute(main))

    def step(self) -> str:
        """Do one piece of work; one in twenty is rolled back."""
        if self._connection is None:
            raise RuntimeError("open() comes first")
        name, _, work = self._random.choices(self._work, [weight for _, weight, _ in self._work])[0]
        try:
            with self._connection.cursor() as cursor:
                learnt = work(cursor)
        except oracledb.DatabaseError as exc:
            self._connection.rollback()
            if getattr(exc.args[0], "code", 0) not in _TRY_AGAIN:
                raise
            return "tried_again"
        if self._random.random() < 0.05:
            self._connection.rollback()
            return "rolled_back"
        self._connection.commit()
        if learnt is not None:
            self._persons.append(learnt)
        return name

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _person(self) -> str:
        return self._random.choice(self._persons)

    def _account(self) -> str:
        return self._random.choice(self._accounts)

    def _add_customer(self, cursor: oracledb.Cursor) -> str | None:
        rows: Rows = {table: [] for table in COLUMNS}
        person = self._customers.add(rows)
        for table, some in rows.items():
            insert_rows(cursor, table, some)
        return person if any(row[3] == "PRIM" for row in rows["CI_PER_NAME"]) else None

    def _change_name(self, cursor: oracledb.Cursor) -> None:
        name = self._customers.name(french=self._random.random() < 0.5)
        cursor.execute(
            "update CISADM.CI_PER_NAME set ENTITY_NAME = :1, ENTITY_NAME_UPR = :2, VERSION = VERSION + 1"
            " where PER_ID = :3 and NAME_TYPE_FLG = 'PRIM'",
            (name, name.upper(), self._person()),
        )

    def _give_name(self, cursor: oracledb.Cursor) -> str | None:
        """Persons known under an alias only get a primary name."""
        row = cursor.execute(
            "select PER_ID from CISADM.CI_PER p where not exists (select 1 from CISADM.CI_PER_NAME n"
            " where n.PER_ID = p.PER_ID and n.NAME_TYPE_FLG = 'PRIM') and rownum = 1"
        ).fetchone()
        if row is None:
            return None
        cursor.execute(
            "update CISADM.CI_PER_NAME set NAME_TYPE_FLG = 'PRIM', PRIM_NAME_SW = 'Y', VERSION = VERSION + 1"
            " where PER_ID = :1 and SEQ_NUM = 1",
            row,
        )
        return str(row[0])

    def _change_language(self, cursor: oracledb.Cursor) -> None:
        cursor.execute(
            "update CISADM.CI_PER set LANGUAGE_CD = :1, VERSION = VERSION + 1 where PER_ID = :2",
            (self._random.choice(("ENG", "FRA")), self._person()),
        )

    def _change_contact(self, cursor: oracledb.Cursor) -> None:
        contact = self._contact_of(cursor, person := self._person())
        if contact is None:
            insert_rows(
                cursor, "C1_PER_CONTDET", [self._customers.contact(person, "CELLPHONE", primary=True)]
            )
            return
        key, route = contact
        *_, value, primary, active = self._customers.contact(
            person, route, primary=self._random.random() < 0.6, active=self._random.random() < 0.9
        )
        cursor.execute(
            "update CISADM.C1_PER_CONTDET set CONTACT_VALUE = :1, CND_PRIMARY_FLG = :2,"
            " CND_ACTINACT_FLG = :3, VERSION = VERSION + 1 where C1_CONTACT_ID = :4",
            (value, primary, active, key),
        )

    def _replace_contact(self, cursor: oracledb.Cursor) -> None:
        """Delete a contact and, mostly, enter another in the same transaction."""
        contact = self._contact_of(cursor, person := self._person())
        if contact is not None:
            cursor.execute("delete from CISADM.C1_PER_CONTDET where C1_CONTACT_ID = :1", contact[:1])
        if self._random.random() < 0.8:
            route = contact[1] if contact is not None else "PRIMARYEMAIL"
            insert_rows(cursor, "C1_PER_CONTDET", [self._customers.contact(person, route, primary=True)])

    def _contact_of(self, cursor: oracledb.Cursor, person: str) -> tuple[str, str] | None:
        found = cursor.execute(
            "select C1_CONTACT_ID, COMM_RTE_TYPE_CD from CISADM.C1_PER_CONTDET where PER_ID = :1"
            " order by C1_CONTACT_ID",
            (person,),
        ).fetchall()
        return self._random.choice(found) if found else None

    def _change_identifier(self, cursor: oracledb.Cursor) -> None:
        """The key of an identifier holds its type, so the application deletes and inserts."""
        person = self._person()
        number = self._customers.keys.digits(12)
        if self._random.random() < 0.5:
            cursor.execute(
                "update CISADM.CI_PER_ID set PER_ID_NBR = :1, VERSION = VERSION + 1"
                " where PER_ID = :2 and PRIM_SW = 'Y'",
                (number, person),
            )
            return
        cursor.execute("delete from CISADM.CI_PER_ID where PER_ID = :1", (person,))
        kind = self._random.choice(("NID", "RESIDENT"))
        insert_rows(cursor, "CI_PER_ID", [(person, kind, number, "Y")])

    def _move_main_customer(self, cursor: oracledb.Cursor) -> None:
        account, person = self._account(), self._person()
        cursor.execute(
            "update CISADM.CI_ACCT_PER set MAIN_CUST_SW = 'N', VERSION = VERSION + 1"
            " where ACCT_ID = :1 and MAIN_CUST_SW = 'Y'",
            (account,),
        )
        cursor.execute(
            "update CISADM.CI_ACCT_PER set MAIN_CUST_SW = 'Y', VERSION = VERSION + 1"
            " where ACCT_ID = :1 and PER_ID = :2",
            (account, person),
        )
        if not cursor.rowcount:
            insert_rows(cursor, "CI_ACCT_PER", [(account, person, "MAIN", "Y", "Y")])

    def _change_agreement(self, cursor: oracledb.Cursor) -> None:
        status = self._random.choices(("20", "30", "40", "50", "60"), (60, 10, 12, 10, 8))[0]
        ended = site_now() if status in ("40", "60") else None
        cursor.execute(
            "update CISADM.CI_SA set SA_STATUS_FLG = :1, END_DT = :2, VERSION = VERSION + 1"
            " where ACCT_ID = :3 and SA_TYPE_CD = :4",
            (status, ended, self._account(), PREPAID_TYPE.ljust(8)),
        )

    def _move_service_point(self, cursor: oracledb.Cursor) -> None:
        """The link to the old point stops, a link to another point starts."""
        row = cursor.execute(
            "select SA_ID, CHAR_PREM_ID from CISADM.CI_SA where ACCT_ID = :1 and SA_TYPE_CD = 'PPD'"
            " order by SA_ID",
            (self._account(),),
        ).fetchone()
        if row is None:
            return
        agreement, premise = row
        now = site_now()
        cursor.execute(
            "update CISADM.CI_SA_SP set STOP_DTTM = :1, VERSION = VERSION + 1"
            " where SA_ID = :2 and STOP_DTTM is null",
            (now, agreement),
        )
        point = self._customers.keys.make()
        insert_rows(cursor, "CI_SP", [(point, "E-RES", premise, now.date())])
        link = (self._customers.keys.make(), agreement, point, now + timedelta(seconds=1), None)
        insert_rows(cursor, "CI_SA_SP", [link])

    def _change_address(self, cursor: oracledb.Cursor) -> None:
        street, city = self._customers.address()
        cursor.execute(
            "update CISADM.CI_PREM set ADDRESS1 = :1, ADDRESS1_UPR = :2, CITY = :3, CITY_UPR = :4,"
            " VERSION = VERSION + 1"
            " where PREM_ID = (select MAILING_PREM_ID from CISADM.CI_ACCT where ACCT_ID = :5)",
            (street, street.upper(), city, city.upper(), self._account()),
        )

    def _remove_person(self, cursor: oracledb.Cursor) -> None:
        """Persons entered by mistake, without account, are deleted with everything below."""
        person = self._person()
        linked = cursor.execute(
            "select count(*) from CISADM.CI_ACCT_PER where PER_ID = :1", (person,)
        ).fetchone()
        if linked is None or linked[0] or len(self._persons) < 10:
            return
        for table in ("C1_PER_CONTDET", "CI_PER_ID", "CI_PER_NAME", "CI_PER"):
            cursor.execute(f"delete from CISADM.{table} where PER_ID = :1", (person,))  # noqa: S608
        self._persons.remove(person)

    def _mass_update(self, cursor: oracledb.Cursor) -> None:
        """A batch rewrites many accounts in one transaction."""
        accounts = self._random.sample(self._accounts, min(self._batch_rows, len(self._accounts)))
        cursor.executemany(
            "update CISADM.CI_ACCT set CR_REVIEW_DT = :1, VERSION = VERSION + 1 where ACCT_ID = :2",
            [(site_now(), account) for account in accounts],
        )
