"""The cash desk of CC&B: payments at a counter, frozen a moment later, sometimes canceled or deleted.

They enter the base tables as the application enters them, under a tender source that is not the bridge's
and without an outside reference, and must reach prepaid once they are frozen.
"""

from __future__ import annotations

import random
from decimal import Decimal

import oracledb

from sandbox.ccb import payments
from sandbox.ccb.database import COUNTER_SOURCE, CcbDatabase
from sandbox.ccb.keys import Keys
from sandbox.ccb.schema import tables

_DUPLICATE_ID = 1
_CONTROL = tables()["CI_TNDR_CTL"].insert_statement(
    ("TNDR_CTL_ID", "TNDR_SOURCE_CD", "CRE_DTTM"),
    TNDR_CTL_ST_FLG="10",
    CURRENCY_CD="XAF",
    USER_ID="CLERK",
    ALL_OPERATORS_SW="Y",
    ARCHIVE_SW="N",
)


class CashDesk:
    """A player who takes payments; seeded."""

    def __init__(self, database: CcbDatabase, *, seed: int) -> None:
        self._database = database
        self._random = random.Random(seed)  # noqa: S311 - synthetic data
        self._keys = Keys(self._random)
        self._connection: oracledb.Connection | None = None
        self._agreements: list[tuple[str, str]] = []
        self._control_id = ""
        self._unfrozen: list[payments.PaymentEvent] = []
        self._frozen: list[payments.PaymentEvent] = []

    def open(self) -> None:
        """Connect, open a tender control for the day, learn the accounts."""
        self._connection = self._database.connect()
        self._control_id = self._keys.make()
        with self._connection.cursor() as cursor:
            cursor.execute(_CONTROL, (self._control_id, COUNTER_SOURCE, payments.site_now()))
            active = (
                "select ACCT_ID, SA_ID from CISADM.CI_SA where SA_TYPE_CD = 'PPD' and SA_STATUS_FLG = '20'"
            )
            self._agreements = sorted(cursor.execute(active).fetchall())
        self._connection.commit()

    def step(self) -> str:
        """Take, freeze, cancel or delete one payment."""
        if self._connection is None:
            raise RuntimeError("open() comes first")
        with self._connection.cursor() as cursor:
            choice = self._random.random()
            if self._unfrozen and choice < 0.5:
                return self._finish(cursor, self._unfrozen.pop(0))
            if self._frozen and choice < 0.55:
                event = self._frozen.pop(self._random.randrange(len(self._frozen)))
                payments.cancel(cursor, event, self._keys, payments.site_now())
                self._connection.commit()
                return "payment_canceled"
            return self._take(cursor, self._connection)

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _take(self, cursor: oracledb.Cursor, connection: oracledb.Connection) -> str:
        event = self._event()
        try:
            payments.insert(cursor, [event])
        except oracledb.DatabaseError as exc:
            connection.rollback()
            if getattr(exc.args[0], "code", 0) != _DUPLICATE_ID:
                raise
            return "tried_again"
        if self._random.random() < 0.05:
            connection.rollback()
            return "rolled_back"
        connection.commit()
        self._unfrozen.append(event)
        return "payment_taken"

    def _finish(self, cursor: oracledb.Cursor, event: payments.PaymentEvent) -> str:
        if self._random.random() < 0.08:
            payments.remove(cursor, event)
            name = "payment_deleted"
        else:
            payments.freeze(cursor, event.shares, payments.site_now())
            self._frozen.append(event)
            name = "payment_frozen"
        cursor.connection.commit()
        return name

    def _event(self) -> payments.PaymentEvent:
        """A payment of one account, rarely of two."""
        makers = self._random.sample(self._agreements, 2 if self._random.random() < 0.05 else 1)
        shares = tuple(
            payments.share(
                self._keys, account, agreement, Decimal(self._random.randrange(100, 5_000_000)) / 100
            )
            for account, agreement in makers
        )
        now = payments.site_now()
        return payments.PaymentEvent(
            event_id=self._keys.make(12),
            tender_id=self._keys.make(12),
            control_id=self._control_id,
            paid_on=now.date(),
            created_at=now,
            currency="XAF",
            tender_type=self._random.choice(("CASH", "CHEC", "CARD")),
            payer_account_id=makers[0][0],
            amount=sum((s.amount for s in shares), Decimal(0)),
            shares=shares,
        )
