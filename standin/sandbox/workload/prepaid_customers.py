"""Customers of the prepaid application: they recharge, and the application notes it."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg

from sandbox.prepaid.application import PrepaidDatabase

_INSERT = (
    "insert into public.recharge"
    " (recharge_id, ccb_account_id, amount, currency, channel, tender_type, status, recharged_at)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_CHANNELS = ("mobile", "ussd", "kiosk", "web", "L'Épicerie du coin 🛒")
_LOOK_AGAIN_S = 3.0


class PrepaidCustomers:
    """A player who recharges accounts that may vend, one to `burst` recharges in a transaction; seeded."""

    def __init__(self, database: PrepaidDatabase, *, seed: int, burst: int = 3) -> None:
        self._database = database
        self._random = random.Random(seed)  # noqa: S311 - synthetic data
        self._burst = burst
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._accounts: list[tuple[str, str]] = []
        self._look_again_at = 0.0

    def open(self) -> None:
        """Connect."""
        self._connection = psycopg.connect(self._database.conninfo(application_name="prepaid"))

    def step(self) -> str:
        """Make some recharges; `waited` while no account may vend."""
        if self._connection is None:
            raise RuntimeError("open() comes first")
        self._look(self._connection)
        if not self._accounts:
            return "waited"
        draw = self._random.random()
        recharges = [self._recharge() for _ in range(self._random.randint(1, self._burst))]
        with self._connection.cursor() as cursor:
            cursor.executemany(_INSERT, recharges)
        if draw < 0.03:
            self._connection.rollback()
            return "rolled_back"
        self._connection.commit()
        return "recharged"

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _look(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Learn now and then which accounts may vend."""
        if time.monotonic() < self._look_again_at:
            return
        self._accounts = connection.execute(
            "select ccb_account_id, currency from public.account where may_vend and active order by 1"
        ).fetchall()
        connection.commit()
        self._look_again_at = time.monotonic() + _LOOK_AGAIN_S

    def _recharge(self) -> tuple[Any, ...]:
        account, currency = self._random.choice(self._accounts)
        cents = self._random.choice((50_000, 100_000, 500_000, self._random.randrange(1, 5_000_000)))
        return (
            str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            account,
            Decimal(cents) / 100,
            currency,
            self._random.choice(_CHANNELS),
            self._random.choices(("momo", "cash", "card"), (70, 20, 10))[0],
            "cancelled" if self._random.random() < 0.02 else "completed",
            datetime.now(UTC),
        )
