"""The contract that every sink passes: written once, whatever is tried again; refusals by kind.

A sink's `Target` says how to want rows of it, as key -> amount, and what the target then holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Protocol

import oracledb
import polars as pl
import pytest

from cdc.config import OracleSystem
from cdc.errors import LoginRefused, TransientError
from cdc.ports import Finding
from sandbox.postgres import free_port
from sandbox.world import World
from sinks.ccb_payment_upload.ccb.upload import CcbUpload
from sinks.ccb_payment_upload.receipts.store import RECEIPT_SCHEMA
from sinks.ccb_payment_upload.section import PaymentUpload
from sinks.upsert.sink import UpsertSink
from tests.integration.sinks.upsert_target import Target as Database
from tests.integration.sinks.upsert_target import desired, program, target_database

RECHARGES = program("recharge", ["recharge_id"], ["amount"])


class Target(Protocol):
    """A target system and one sink that writes it."""

    def write(self, rows: Mapping[str, str]) -> None:
        """Have the sink write these rows."""

    def held(self) -> dict[str, Decimal]:
        """What the target holds."""

    def preflight(self) -> list[Finding]:
        """The sink's findings."""

    def close(self) -> None:
        """Close the sink."""

    def use(self, *, password: str | None = None, port: int | None = None) -> None:
        """Continue with another sink, whose settings differ."""

    def lose_next_commit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Break the connection just before the next commit."""


class UpsertTarget:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.sink = database.sink()

    def write(self, rows: Mapping[str, str]) -> None:
        self.sink.write(
            [(RECHARGES, desired(RECHARGES, *rows.items()))], up_to=1, record=self.database.record
        )

    def held(self) -> dict[str, Decimal]:
        return dict(self.database.rows("select recharge_id, amount from recharge"))

    def preflight(self) -> list[Finding]:
        return self.sink.preflight([RECHARGES])

    def close(self) -> None:
        self.sink.close()

    def use(self, *, password: str | None = None, port: int | None = None) -> None:
        settings = self.database.settings.model_dump() | {"password": password or "sandbox"}
        settings["port"] = port or settings["port"]
        self.sink.close()
        changed = type(self.database.settings).model_validate(settings)
        self.sink = UpsertSink("prepaid", changed, fencing_token=1)

    def lose_next_commit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        record, database = self.database.record, self.database

        def losing(deliveries: pl.DataFrame) -> None:
            record(deliveries)
            monkeypatch.undo()
            database.rows(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )

        monkeypatch.setattr(database, "record", losing)


class PaymentUploadTarget:
    def __init__(self, world: World) -> None:
        self.world = world
        self.settings = OracleSystem(
            kind="oracle",
            dsn=world.ccb.dsn,
            user="CCBRIDGE",
            insecure=True,
            password=world.ccb.passwords["CCBRIDGE"],
        )
        self.sink = CcbUpload("ccb", self.settings, PaymentUpload())

    def write(self, rows: Mapping[str, str]) -> None:
        place = {
            "account_id": "1",
            "currency": "XAF",
            "tender_type": "CASH",
            "external_source": "PREPAID",
            "accounting_date": date(2026, 2, 3),
            "transmission_id": "-".join(sorted(rows)),
            "batch_id": "1",
        }
        receipts = [{"recharge_id": key, "amount": Decimal(amount), **place} for key, amount in rows.items()]
        self.sink.send(pl.DataFrame(receipts, schema=dict(RECEIPT_SCHEMA)))

    def held(self) -> dict[str, Decimal]:
        with self.world.ccb.connect() as connection, connection.cursor() as cursor:
            cursor.execute("select rtrim(EXT_REFERENCE_ID), TENDER_AMT from CISADM.CI_PAY_TNDR_ST")
            rows: list[tuple[str, Decimal]] = cursor.fetchall()
        assert len(dict(rows)) == len(rows)
        return dict(rows)

    def preflight(self) -> list[Finding]:
        return self.sink.preflight()

    def close(self) -> None:
        self.sink.close()

    def use(self, *, password: str | None = None, port: int | None = None) -> None:
        settings = self.settings.model_dump() | {"password": password or self.world.ccb.passwords["CCBRIDGE"]}
        settings["dsn"] = f"127.0.0.1:{port}/CCB" if port else self.world.ccb.dsn
        self.sink.close()
        self.sink = CcbUpload("ccb", OracleSystem.model_validate(settings), PaymentUpload())

    def lose_next_commit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def losing(connection: oracledb.Connection) -> None:
            monkeypatch.undo()
            connection.close()
            connection.ping()

        monkeypatch.setattr(oracledb.Connection, "commit", losing)

    def empty(self) -> None:
        with self.world.ccb.connect() as connection, connection.cursor() as cursor:
            for table in ("CI_PAY_TNDR_ST", "CI_TNDR_CTL_ST", "CI_DEP_CTL_ST"):
                cursor.execute(f"delete from CISADM.{table}")
            connection.commit()


@pytest.fixture(scope="module")
def ccb() -> Iterator[World]:
    with World(persons=0) as world:
        yield world


@contextmanager
def upsert_target(conninfo: str) -> Iterator[UpsertTarget]:
    with target_database(conninfo) as database:
        yield UpsertTarget(database)


@pytest.fixture(params=["upsert", "ccb_payment_upload"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    if request.param == "upsert":
        with upsert_target(request.getfixturevalue("database")) as upsert:
            yield upsert
            upsert.close()
        return
    upload = PaymentUploadTarget(request.getfixturevalue("ccb"))
    yield upload
    upload.close()
    upload.empty()


def test_rows_are_written_exactly(target: Target) -> None:
    """Amounts arrive to the cent."""
    target.write({"a": "0.10", "b": "9999999999.99"})
    assert target.held() == {"a": Decimal("0.10"), "b": Decimal("9999999999.99")}


def test_writing_again_changes_nothing(target: Target) -> None:
    """The same rows five times, by the same sink and by a new one, are there once."""
    for _ in range(4):
        target.write({"a": "5", "b": "6"})
    target.use()
    target.write({"a": "5", "b": "6"})
    assert target.held() == {"a": Decimal(5), "b": Decimal(6)}


def test_write_that_lost_its_connection_is_all_or_nothing_and_can_be_repeated(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a break at the commit, trying again ends with every row there once."""
    target.lose_next_commit(monkeypatch)
    try:
        target.write({"a": "5", "b": "6"})
    except TransientError:
        assert target.held() in ({}, {"a": Decimal(5), "b": Decimal(6)})
    target.write({"a": "5", "b": "6"})
    assert target.held() == {"a": Decimal(5), "b": Decimal(6)}


def test_preflight_of_a_prepared_target_finds_nothing_and_changes_nothing(target: Target) -> None:
    """A check can be run at any time, also while the sink works."""
    target.write({"a": "5"})
    assert target.preflight() == []
    assert target.held() == {"a": Decimal(5)}


def test_closed_sink_opens_again_by_itself(target: Target) -> None:
    """Closing twice is harmless, and a flow may continue with the sink after a pause."""
    target.write({"a": "5"})
    target.close()
    target.close()
    target.write({"b": "6"})
    assert target.held() == {"a": Decimal(5), "b": Decimal(6)}


def test_unreachable_target_is_tried_again_later(target: Target) -> None:
    """A database that is down is not a reason to wake an operator."""
    target.use(port=free_port())
    with pytest.raises(TransientError):
        target.write({"a": "5"})
    target.use()
    target.write({"a": "5"})
    assert target.held() == {"a": Decimal(5)}


def test_wrong_password_is_never_retried_and_never_shown(target: Target) -> None:
    """A retry could lock the account; the message may reach a log."""
    target.use(password="not the password")
    with pytest.raises(LoginRefused) as refused:
        target.write({"a": "5"})
    assert "not the password" not in str(refused.value)
    target.use()


def test_hostile_texts_are_values_and_nothing_else(target: Target) -> None:
    """Quotes, percent signs and comments in a key reach the target as they are."""
    keys = ["'; drop table x; --", "100% %s %(low)s", 'a"b\\', ":1 && x"]
    target.write(dict.fromkeys(keys, "1"))
    assert set(target.held()) == set(keys)
