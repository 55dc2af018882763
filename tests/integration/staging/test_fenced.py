"""A process that lost its lease writes nothing to staging, whatever it was about to write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

import mapping_rules
from cdc.bindings import Mark
from cdc.config import OracleSystem, Run
from cdc.errors import LeaseLost
from cdc.ports import REJECTION_SCHEMA
from cdc.postgres.connect import Connection, connect
from cdc.staging.bindings import TargetBinding
from cdc.staging.dead_letters import DeadLetters
from cdc.staging.deliveries import void_deliveries
from cdc.staging.leases import Lease
from sinks.ccb_payment_upload.ccb.upload import CcbUpload
from sinks.ccb_payment_upload.receipts.store import RECEIPT_SCHEMA, Receipts
from sinks.ccb_payment_upload.section import PaymentUpload
from sinks.ccb_payment_upload.sink import PaymentUploadSink
from tests.integration.staging.test_delivery import delivered
from tests.support.migrated import migrated

RULES = mapping_rules.load("ccb_prepaid")
[PROGRAM] = mapping_rules.compile_outbound(RULES, "ccb")
CUSTOMER = next(p for p in mapping_rules.compile_outbound(RULES, "prepaid") if p.name == "customer")
SINK = "prepaid.upsert"
SERVER = {"system_identifier": "1"}
HELD = pl.DataFrame(
    [("customer", "public.customer", '{"customer_id": "2"}', 9, "check_violation", "refused")],
    schema=REJECTION_SCHEMA,
    orient="row",
)
RECEIPT = pl.DataFrame([{"recharge_id": "r", "transmission_id": "t", "batch_id": "1"}], schema=RECEIPT_SCHEMA)
FAILURE = pl.DataFrame([{"recharge_id": "r", "reason": "no"}])


def settle(letters: DeadLetters) -> None:
    """What a woken process does after its own write: what the new holder holds counts as delivered."""
    letters.settle_deliveries(SINK, [(CUSTOMER, pl.DataFrame({CUSTOMER.key[0]: ["1"]}))], HELD.clear())


Write = Callable[[Connection, Lease], object]


def nothing(*_: object) -> Any:
    pytest.fail("nothing is held, recorded or asked for")


def upload(staging: Connection, lease: Lease) -> PaymentUploadSink:
    ccb = OracleSystem(kind="oracle", dsn="127.0.0.1:1/none", user="absent", insecure=True)
    return PaymentUploadSink(CcbUpload("ccb", ccb, PaymentUpload()), staging, lease, Run())


WRITES: dict[str, Write] = {
    "bind": lambda c, lease: TargetBinding(c, "till", "till.upsert", lease).admit(SERVER, None),
    "bind CC&B": lambda c, lease: TargetBinding(c, "ccb", "ccb.payment_upload", lease).admit_unmarked(SERVER),
    "promoted": lambda c, lease: TargetBinding(c, "prepaid", SINK, lease).admit(
        SERVER | {"timeline": "2"}, Mark(None, 1, 1, 1)
    ),
    "require": lambda c, lease: TargetBinding(c, "till", "till.upsert", lease).require(SERVER, None),
    "record": lambda c, lease: TargetBinding(c, "prepaid", SINK, lease).record(
        delivered("7", "a"), write=2, up_to=9
    ),
    "reached": lambda c, lease: TargetBinding(c, "prepaid", SINK, lease).reached(9, at_once=True),
    "seen": lambda c, lease: TargetBinding(c, "prepaid", SINK, lease).seen(datetime(2026, 1, 1, tzinfo=UTC)),
    "void": lambda c, lease: void_deliveries(c, "till.upsert", ["100"], lease),
    "hold": lambda c, lease: DeadLetters(c, lease).hold_deliveries(SINK, HELD),
    "settle": lambda c, lease: settle(DeadLetters(c, lease)),
    "position of the upload": lambda c, lease: upload(c, lease).write(
        [], up_to=1000, record=nothing, hold=nothing, live=nothing
    ),
    "build": lambda c, lease: Receipts(c, PaymentUpload(), lease).build(
        PROGRAM,
        pl.DataFrame(
            schema=dict.fromkeys([*PROGRAM.key, *PROGRAM.columns], pl.String)
            | {"_deleted": pl.Boolean, "_staged_seq": pl.Int64}
        ),
    ),
    "checked": lambda c, lease: Receipts(c, PaymentUpload(), lease).checked(RECEIPT, FAILURE),
    "freeze": lambda c, lease: Receipts(c, PaymentUpload(), lease).unsent(),
    "refused": lambda c, lease: Receipts(c, PaymentUpload(), lease).refused(RECEIPT, FAILURE),
    "sent": lambda c, lease: Receipts(c, PaymentUpload(), lease).mark_sent(RECEIPT),
}


def contents(observer: Connection) -> dict[str, Any]:
    """Every row of every table of staging but the lease."""
    tables = observer.execute(
        "select relname from pg_class where relnamespace = 'staging'::regnamespace and relkind = 'r' "
        "and relname <> 'lease'"
    ).fetchall()
    return {
        str(name): sorted(map(repr, observer.execute(f'table staging."{name}"').fetchall()))
        for (name,) in tables
    }


def test_a_former_holder_writes_nothing_that_a_delivery_or_an_upload_writes(database: str) -> None:
    """Each write verifies the lease in its own transaction: the new holder's rows stay as they are."""
    settings = migrated(database, RULES)
    former, later = Lease(settings, "replication", "former", 15), Lease(settings, "replication", "later", 15)
    former.acquire()
    with connect(settings, application="observer", autocommit=True) as observer:
        observer.execute("update staging.lease set expires_at = clock_timestamp()")
        later.acquire()
        with connect(settings, application="later", autocommit=True) as holder:
            TargetBinding(holder, "prepaid", SINK, later).admit(SERVER | {"timeline": "1"}, None)
            DeadLetters(holder, later).hold_deliveries(
                SINK, HELD.with_columns(key=pl.lit(f'{{"{CUSTOMER.key[0]}": "1"}}'))
            )
            TargetBinding(holder, "prepaid", SINK, later).record(delivered("100", "x"), write=1, up_to=1)
        observer.execute(
            "insert into staging.receipt (recharge_id, transmission_id, batch_id, state, source_system, "
            "source_position, source_ordinal, operation, committed_at, staged_seq, tombstone) "
            "values ('r', 't', '1', 'built', 'ccbridge', 0, 0, 'c', now(), 1, false)"
        )
        before = contents(observer)
        for autocommit in (True, False):
            with connect(settings, application="former", autocommit=autocommit) as woken:
                for name, write in WRITES.items():
                    with pytest.raises(LeaseLost):
                        pytest.fail(f"{name}: wrote {write(woken, former)}")
        assert contents(observer) == before
    former.close()
    later.close()
