"""Every sink under the contract suite: upsert, the payment upload, files with lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import mapping_rules
from cdc.config import OracleSystem, PostgresConnection, Run
from cdc.ports import Desired, Sink
from cdc.postgres.connect import Connection, connect
from cdc.staging.leases import Lease
from mapping_rules import OutboundProgram
from sandbox.world import World
from sinks.ccb_payment_upload.ccb.upload import CcbUpload
from sinks.ccb_payment_upload.section import PaymentUpload
from sinks.ccb_payment_upload.sink import PaymentUploadSink
from sinks.jsonl.sink import JsonlSink
from tests.contract.sink_suite import *  # noqa: F403 - the suite
from tests.contract.sink_suite import Target
from tests.integration.sinks.upsert_target import Target as Database
from tests.integration.sinks.upsert_target import program, target_database
from tests.support.migrated import migrated

RULES = mapping_rules.load("ccb_prepaid")
RECHARGES = program("recharge", ["recharge_id"], ["amount"])
(PAYMENTS,) = mapping_rules.compile_outbound(RULES, "ccb")


def desired(
    rule: OutboundProgram,
    rows: Mapping[str | None, str | None],
    amount: str,
    staged_seq: int,
    others: Mapping[str, str] = {},
) -> Desired:
    """Rows of a rule with a key and an amount; no amount for one that is gone."""
    names = [*rule.key, *rule.columns]
    made = [
        {rule.key[0]: key, **({amount: value, **others} if value is not None else {})}
        for key, value in rows.items()
    ]
    frame = pl.DataFrame(
        [[row.get(name) for name in names] for row in made], dict.fromkeys(names, pl.String), orient="row"
    )
    gone = pl.Series("_deleted", [value is None for value in rows.values()], dtype=pl.Boolean)
    return [(rule, frame.with_columns(gone, pl.lit(staged_seq, pl.Int64).alias("_staged_seq")))]


@dataclass
class UpsertTarget:
    database: Database
    rejected: str | None = "not a number"
    forgets: bool = True
    token: int = 0

    def open(self) -> Sink:
        self.database.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name like 'ccbridge sink%' and datname = current_database()"
        )  # as the new holder of a lease does
        self.token += 1
        return self.database.sink(self.token)

    def desired_rows(self, rows: Mapping[str | None, str | None], *, staged_seq: int) -> Desired:
        return desired(RECHARGES, rows, "amount", staged_seq)

    def held(self) -> dict[str, Decimal]:
        return dict(self.database.rows("select recharge_id, amount from recharge"))


@dataclass
class PaymentTarget:
    world: World
    account: str
    settings: PostgresConnection
    staging: Connection
    leases: list[Lease] = field(default_factory=list)
    rejected: str | None = "-1"
    forgets: bool = False

    def open(self) -> Sink:
        self.staging.execute("update staging.lease set expires_at = clock_timestamp()")
        lease = Lease(self.settings, "replication", f"process {len(self.leases)}", 600)
        assert lease.acquire() is not None
        self.leases.append(lease)
        ccb = OracleSystem(
            kind="oracle",
            dsn=self.world.ccb.dsn,
            user="CCBRIDGE",
            insecure=True,
            password=self.world.ccb.passwords["CCBRIDGE"],
        )
        upload = CcbUpload("ccb", ccb, PaymentUpload())
        return PaymentUploadSink(upload, self.staging, lease, Run())

    def desired_rows(self, rows: Mapping[str | None, str | None], *, staged_seq: int) -> Desired:
        others = {
            "CUST_ID": self.account,
            "CURRENCY_CD": "XAF",
            "TENDER_TYPE_CD": "CASH",
            "ACCOUNTING_DT": "2026-02-03",
        }
        return desired(PAYMENTS, rows, "TENDER_AMT", staged_seq, others)

    def held(self) -> dict[str, Decimal]:
        with self.world.ccb.connect() as connection, connection.cursor() as cursor:
            cursor.execute("select rtrim(EXT_REFERENCE_ID), TENDER_AMT from CISADM.CI_PAY_TNDR_ST")
            rows: list[tuple[str, Decimal]] = cursor.fetchall()
        assert len(dict(rows)) == len(rows), "money is there twice"
        return dict(rows)

    def empty(self) -> None:
        with self.world.ccb.connect() as connection, connection.cursor() as cursor:
            for table in ("CI_PAY_TNDR_ST", "CI_TNDR_CTL_ST", "CI_DEP_CTL_ST"):
                cursor.execute(f"delete from CISADM.{table}")
            connection.commit()


@dataclass
class JsonlTarget:
    directory: Path
    rejected: str | None = ""
    forgets: bool = True
    token: int = 0

    def open(self) -> Sink:
        self.token += 1
        return JsonlSink("files", self.directory, rotate_bytes=200, fencing_token=self.token)

    def desired_rows(self, rows: Mapping[str | None, str | None], *, staged_seq: int) -> Desired:
        return desired(RECHARGES, rows, "amount", staged_seq)

    def held(self) -> dict[str, Decimal]:
        """As a reader of the files has it: what counts of each, and the last line of each key."""
        if not (self.directory / "position.json").exists():
            return {}
        position = json.loads((self.directory / "position.json").read_text())
        found: dict[str, Decimal] = {}
        for path in sorted(self.directory.glob("rows-*.jsonl")):
            number, text = int(path.stem[5:]), path.read_bytes()
            if number > position["file"]:
                continue
            for line in (text[: position["size"]] if number == position["file"] else text).splitlines():
                row = json.loads(line)
                found.pop(row["key"]["recharge_id"], None)
                if row["op"] == "upsert":
                    assert isinstance(row["row"]["amount"], str)
                    found[row["key"]["recharge_id"]] = Decimal(row["row"]["amount"])
        return found


@contextmanager
def payments(world: World, database: str) -> Iterator[PaymentTarget]:
    """CC&B with empty upload tables, and a staging of its own."""
    settings = migrated(database, RULES)
    with world.ccb.connect() as ccb, ccb.cursor() as cursor:
        ((account,),) = cursor.execute("select min(ACCT_ID) from CISADM.CI_SA where SA_TYPE_CD = 'PPD'")
    with connect(settings, application="test sink", autocommit=True) as staging:
        target = PaymentTarget(world, str(account), settings, staging)
        try:
            yield target
        finally:
            for lease in target.leases:
                lease.close()
            target.empty()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(persons=20, seed=7) as made:
        yield made


@pytest.fixture(params=["upsert", "ccb_payment_upload", "jsonl"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    if request.param == "jsonl":
        yield JsonlTarget(tmp_path / "files")
    elif request.param == "upsert":
        with target_database(request.getfixturevalue("database")) as database:
            yield UpsertTarget(database)
    else:
        with payments(request.getfixturevalue("world"), request.getfixturevalue("database")) as paid:
            yield paid
