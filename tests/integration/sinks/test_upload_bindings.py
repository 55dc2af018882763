"""Recharges go to the CC&B that staging is bound to, and none that was sent before a restore goes again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

import mapping_rules
from cdc.cli.main import app
from cdc.config import OracleSystem, Run, Settings
from cdc.errors import ConfigurationError, SourceChanged
from cdc.flows import targets
from cdc.flows.deliver import Deliver
from cdc.flows.progress.state import FlowState
from cdc.flows.sources_found import SourcesFound
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.status import read_status
from cdc.postgres.connect import Connection, connect
from cdc.staging.leases import Lease
from cdc.staging.schema.migrate import migrate
from sandbox.ccb.upload_batch import PaymentUpload as UploadBatch
from sandbox.world import World
from sinks.ccb_payment_upload import lost_receipts
from sinks.ccb_payment_upload.ccb.upload import CcbUpload
from sinks.ccb_payment_upload.section import PaymentUpload
from sinks.ccb_payment_upload.sink import PaymentUploadSink
from tests.support import one_flow
from tests.support.migrated import settings_of
from tests.support.one_flow import OneFlow

RULES = mapping_rules.load("ccb_prepaid")
[PROGRAM] = mapping_rules.compile_outbound(RULES, "ccb")
UPLOADED = ("CI_PAY_TNDR_ST", "CI_TNDR_CTL_ST", "CI_DEP_CTL_ST")
STAGED = (
    "receipt",
    "receipt_history",
    "recharge",
    "upload_tender",
    "checkpoint",
    "sink_position",
    "target_binding",
    "operator_action",
)


@dataclass
class Site:
    """Staging with recharges, and the upload flow into CC&B."""

    world: World
    settings: Settings
    observer: Connection
    lease: Lease
    account: str = ""

    @property
    def ccb(self) -> OracleSystem:
        found = self.settings.systems["ccb"]
        assert isinstance(found, OracleSystem)
        return found

    def recharge(self, key: str, at: str = "now()") -> None:
        """Stage a completed recharge, with the next number."""
        self.observer.execute(
            "insert into staging.recharge (recharge_id, account_id, amount, currency, channel, tender_type, "
            "status, recharged_at, source_system, source_position, source_ordinal, operation, committed_at, "
            f"staged_seq, tombstone) values (%s, %s, 1500, 'XAF', 'ussd', 'cash', 'completed', {at}, "
            "'prepaid', 1, 0, 'c', now(), nextval('staging.staged_seq'), false)",
            [key, self.account],
        )

    def oracle(self, statement: str, *binds: object) -> list[Any]:
        with self.world.ccb.connect("CISADM") as connection, connection.cursor() as cursor:
            cursor.execute(statement, binds)
            rows = list(cursor.fetchall()) if cursor.description else []
            connection.commit()
            return rows

    def uploaded(self) -> list[str]:
        """Receipts in CC&B's upload tables, each as often as it is there."""
        rows = self.oracle("select EXT_REFERENCE_ID from CISADM.CI_PAY_TNDR_ST order by 1")
        return [str(key).rstrip() for (key,) in rows]

    def states(self) -> dict[str, str]:
        rows = self.observer.execute("select recharge_id, state from staging.receipt").fetchall()
        return {str(key): str(state) for key, state in rows}

    def transmission(self, key: str) -> str:
        ((number,),) = self.observer.execute(
            "select transmission_id from staging.receipt where recharge_id = %s", [key]
        ).fetchall()
        return str(number)

    def copied(self) -> list[tuple[str, list[Any]]]:
        """A backup of staging."""
        return [(name, self.observer.execute(f"table staging.{name}").fetchall()) for name in STAGED]

    def restore(self, backup: list[tuple[str, list[Any]]]) -> None:
        """Staging as it was then; of JSON columns only bindings are needed."""
        for name, rows in backup:
            self.observer.execute(f"delete from staging.{name}")
            for row in rows:
                values = [psycopg.types.json.Jsonb(v) if isinstance(v, dict) else v for v in row]
                self.observer.execute(
                    f"insert into staging.{name} overriding system value values "
                    f"({', '.join(['%s'] * len(values))})",
                    values,
                )

    def running(self, found: SourcesFound | None = None) -> AbstractContextManager[OneFlow]:
        """The upload flow, until the block ends."""
        return one_flow.running("deliver:ccb", partial(self._upload, found or SourcesFound()))

    def _upload(self, found: SourcesFound, state: FlowState) -> Deliver:
        upload = self.settings.section("payment_upload", PaymentUpload)

        sizes = Run(retry_held_s=1, idle_poll_ms=20)

        def open_sink(staging: Connection) -> PaymentUploadSink:
            return PaymentUploadSink(CcbUpload("ccb", self.ccb, upload), staging, self.lease, sizes)

        return Deliver(
            system="ccb",
            programs=[PROGRAM],
            sources=[],
            open_sink=open_sink,
            open_staging=lambda: connect(self.settings.staging, application="test upload", autocommit=True),
            sizes=sizes,
            wake=StagedSignal(),
            state=state,
            lease=self.lease,
            sources_found=found,
        )

    def sent(self, *keys: str) -> None:
        """Run until these receipts are sent."""
        with self.running() as running:
            there = ("sent", "accepted")  # the latter when it is known by its tender
            running.wait(lambda: all(self.states().get(key) in there for key in keys), f"receipts {keys}")

    def refused(self) -> str:
        """Run until the flow is refused; the code. Nothing was put into CC&B."""
        before = self.uploaded()
        with self.running() as running:
            code = running.refused("ccb")
        assert self.uploaded() == before
        return code


def lost(bound: targets.Rebound) -> int:
    """How many receipts a binding put on the list."""
    return sum(int(problem.text.split()[0]) for problem in bound.problems)


@pytest.fixture(scope="module")
def made() -> Iterator[Site]:
    with World(persons=20, seed=7) as world:
        staging = settings_of(world.postgres.create_database("uploads"))
        ccb = OracleSystem(
            kind="oracle",
            dsn=world.ccb.dsn,
            user="CCBRIDGE",
            password=world.ccb.passwords["CCBRIDGE"],
            insecure=True,
        )
        settings = Settings(staging=staging, systems={"ccb": ccb})
        migrate(staging, RULES)
        lease = Lease(staging, "replication", "test", 600)
        lease.acquire()
        with connect(staging, application="observer", autocommit=True) as observer:
            site = Site(world, settings, observer, lease)
            [(account,)] = site.oracle("select min(ACCT_ID) from CISADM.CI_SA where SA_TYPE_CD = 'PPD'")
            site.account = str(account)
            yield site
        lease.close()


@pytest.fixture
def site(made: Site) -> Iterator[Site]:
    """One recharge sent."""
    for name in STAGED:
        made.observer.execute(f"delete from staging.{name}")
    made.recharge("r1")
    made.sent("r1")
    assert made.uploaded() == ["r1"]
    yield made
    for table in (*UPLOADED, "CI_PAY_TNDR"):
        made.oracle(f"delete from CISADM.{table}")


@pytest.mark.parametrize("part", ["dbid", "resetlogs_change", "container_dbid"])
def test_recharges_are_not_sent_to_another_ccb(site: Site, part: str) -> None:
    """Another database, incarnation, or pluggable database; sent once it is right again."""
    other = "update staging.target_binding set identity = jsonb_set(identity, array[%s], %s)"
    ((identity,),) = site.observer.execute("select identity from staging.target_binding").fetchall()
    assert isinstance(identity, dict)
    site.observer.execute(other, [part, psycopg.types.json.Jsonb("1")])
    site.recharge("r2")
    assert site.refused() == "CDC-204"
    assert "r2" not in site.states()
    site.observer.execute(other, [part, psycopg.types.json.Jsonb(identity[part])])
    site.sent("r2")
    assert site.uploaded() == ["r1", "r2"]


def test_a_session_that_leads_to_another_ccb_sends_nothing(site: Site) -> None:
    """The address was moved while the flow ran: the new session finds out before it writes."""
    with site.running() as running:
        running.wait(lambda: running.figures["status"] == "running", "the flow")
        site.observer.execute(
            "update staging.target_binding set identity = jsonb_set(identity, '{dbid}', '\"1\"')"
        )
        with site.world.ccb.connect("SYSTEM") as system, system.cursor() as cursor:
            sessions = "select sid, serial# from v$session where module = 'ccbridge sink ccb'"
            for sid, serial in cursor.execute(sessions).fetchall():
                cursor.execute(f"alter system kill session '{sid},{serial}' immediate")
        site.recharge("r2")
        running.wait(lambda: running.figures["error_code"] == "CDC-204", "a refusal")
    assert site.uploaded() == ["r1"]


def test_nothing_is_sent_to_a_system_whose_capture_was_refused(site: Site) -> None:
    """The capture knows the database better: it has positions in it."""
    found = SourcesFound(["ccb"])
    site.recharge("r2")
    with site.running(found) as running:
        found.refuse("ccb", SourceChanged("dbid was 1, is 2", hint="connect there", changed=["dbid"]))
        running.wait(lambda: running.figures["error_code"] == "CDC-203", "a refusal")
        assert running.figures["hint"] == "connect there"
    assert site.uploaded() == ["r1"]


def test_what_a_restored_staging_forgot_is_not_sent_again(site: Site) -> None:
    """Recognised before anything is sent; once bound, what CC&B holds is adopted and the rest is sent."""
    backup = site.copied()
    site.recharge("r2")
    site.sent("r2")
    site.restore(backup)
    site.recharge("r2")  # its source is read again
    site.recharge("r3")
    assert site.refused() == "CDC-206"
    assert "CDC-206" in str(targets.bind(site.settings, "ccb", "restored on Sunday").before)
    site.sent("r2", "r3")
    assert site.uploaded() == ["r1", "r2", "r3"]
    site.sent("r3")
    (action,) = site.observer.execute(
        "select action, object, detail ->> 'reason' from staging.operator_action "
        "where detail ->> 'reason' <> 'first use'"
    ).fetchall()
    assert action == ("bind target", "ccb.payment_upload", "restored on Sunday")


def test_a_new_staging_does_not_send_what_another_one_has_sent(site: Site) -> None:
    """A second installation under the same external source."""
    for name in STAGED:
        site.observer.execute(f"delete from staging.{name}")
    site.recharge("x1")
    assert site.refused() == "CDC-206"


def test_what_a_restored_ccb_lost_is_listed_and_sent_again_only_when_asked_for(site: Site) -> None:
    """By an operator; what CC&B holds after all is taken off the list, the rest goes once."""
    for key in ("r2", "r3"):
        site.recharge(key)
    site.sent("r2", "r3")
    kept = site.oracle("select * from CISADM.CI_PAY_TNDR_ST where EXT_REFERENCE_ID = 'r2'")
    for key, state in (("refused", "error"), ("cancelled", "reversed")):
        site.recharge(key)
        site.sent(key)
        site.observer.execute("update staging.receipt set state = %s where recharge_id = %s", [state, key])
    for table in UPLOADED:
        site.oracle(f"delete from CISADM.{table} where EXT_TRANSMIT_ID <> '{site.transmission('r1')}'")
    site.recharge("r4")
    assert site.refused() == "CDC-207"
    bound = targets.bind(site.settings, "ccb", "restored on Sunday")
    assert ("CDC-207" in str(bound.before), lost(bound)) == (True, 2)
    site.sent("r4")
    assert site.uploaded() == ["r1", "r4"]
    assert [row["recharge_id"] for row in lost_receipts.listed(site.settings)] == ["r2", "r3"]
    [problem] = [one for one in read_status(site.settings).problems if one.subject == "receipts lost"]
    assert ("2 receipts, 3000.00 XAF" in problem.text, problem.hint) == (True, "run: ccbridge receipts lost")
    binds = ", ".join(f":{number}" for number in range(1, len(kept[0]) + 1))
    site.oracle(f"insert into CISADM.CI_PAY_TNDR_ST values ({binds})", *kept[0])
    plan = lost_receipts.plan(site.settings, [])
    assert (plan.there, [row["recharge_id"] for row in plan.lost]) == (["r2"], ["r3"])
    former = site.transmission("r3")
    assert lost_receipts.send_again(site.settings, plan, "cashier has the slip") == plan.lost
    assert lost_receipts.send_again(site.settings, plan, "asked for twice") == []
    noted = "select detail -> 'receipts' from staging.operator_action where object = 'receipts'"
    assert site.observer.execute(noted).fetchall() == [(["r3"],)], "the record tells what was done"
    site.sent("r3")
    assert site.uploaded() == ["r1", "r2", "r3", "r4"]
    assert site.transmission("r3") != former
    assert lost_receipts.listed(site.settings) == []


def test_the_commands_on_lost_receipts_ask_before_they_send(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list with amounts and exit code 1; nothing without a yes, nothing without names or --all."""
    monkeypatch.setattr("cdc.config.load", lambda path: site.settings)
    monkeypatch.setattr("cdc.log.configure", lambda *_, **__: None)
    for table in UPLOADED:
        site.oracle(f"delete from CISADM.{table}")
    run = partial(CliRunner().invoke, app)
    bound = run(["targets", "bind", "ccb", "--reason", "restored on Sunday"])
    assert (bound.exit_code, "1 receipts that were sent are not in CC&B" in bound.output) == (0, True)
    listed = run(["receipts", "lost"])
    assert (listed.exit_code, "1 receipts, 1500.00 XAF" in listed.output) == (1, True)
    assert isinstance(run(["receipts", "send-again", "--reason", "x"]).exception, ConfigurationError)
    assert run(["receipts", "close", "r1", "--reason", " "]).exit_code == 2
    assert isinstance(
        run(["receipts", "close", "r1", "--all", "--reason", "x"]).exception, ConfigurationError
    )
    again = ["receipts", "send-again", "r1", "--reason", "cashier has the slip"]
    refused = run(again, input="n\n")
    assert "send 1 receipts, 1500.00 XAF, to CC&B again?" in refused.output
    assert site.states() == {"r1": "sent"}
    assert run([*again, "--yes"]).exit_code == 0
    assert run(["receipts", "lost"]).exit_code == 0
    site.sent("r1")
    assert site.uploaded() == ["r1"]


def test_a_lost_receipt_that_is_closed_is_not_sent(site: Site) -> None:
    """The money came to CC&B in another way; it is on record why."""
    for table in UPLOADED:
        site.oracle(f"delete from CISADM.{table}")
    assert lost(targets.bind(site.settings, "ccb", "restored on Sunday")) == 1
    with pytest.raises(ConfigurationError, match="r9"):
        lost_receipts.plan(site.settings, ["r9"])
    assert lost_receipts.close(site.settings, ["r1"], "entered by hand") == 1
    assert lost_receipts.listed(site.settings) == []
    assert lost(targets.bind(site.settings, "ccb", "restored on Monday once more")) == 0
    assert lost_receipts.listed(site.settings) == [], "decided on already"
    site.recharge("r2")
    site.sent("r2")
    assert site.uploaded() == ["r2"]
    records = (
        "select action, detail ->> 'reason' from staging.operator_action "
        "where object = 'receipts' order by action_id"
    )
    assert site.observer.execute(records).fetchall() == [("close lost receipts", "entered by hand")]


@pytest.mark.parametrize(
    "purged", [UPLOADED, UPLOADED[1:], UPLOADED[:1]], ids=["all", "controls only", "tenders only"]
)
def test_a_ccb_that_purged_its_upload_tables_is_not_taken_for_a_restored_one(
    site: Site, purged: Sequence[str]
) -> None:
    """What it has posted is among its tenders; nothing is sold meanwhile."""
    with site.world.ccb.connect() as connection:
        UploadBatch(connection).run()
    for table in purged:
        site.oracle(f"delete from CISADM.{table}")
    assert lost(targets.bind(site.settings, "ccb", "to look at everything")) == 0
    site.observer.execute("update staging.receipt set sent_at = now() + interval '1 minute'")
    site.recharge("r2")
    site.sent("r2")
    assert site.uploaded()[-1] == "r2"


def test_what_ccb_purged_after_the_backup_of_staging_is_not_paid_twice(site: Site) -> None:
    """The restored staging forgot the receipt, CC&B's upload tables too: its tender is found."""
    backup: list[tuple[str, list[Any]]] = [(name, []) for name in STAGED]
    with site.world.ccb.connect() as connection:
        UploadBatch(connection).run()
    for table in UPLOADED:
        site.oracle(f"delete from CISADM.{table}")
    site.restore(backup)
    site.recharge("r1", "now() - interval '40 days'")
    site.recharge("r2")
    targets.bind(site.settings, "ccb", "restored on Sunday")
    site.sent("r1", "r2")
    assert site.uploaded() == ["r2"]
    [(made,)] = site.oracle("select PAY_TENDER_ID from CISADM.CI_PAY_TNDR where EXT_REFERENCE_ID = 'r1'")
    reported = "select tender_id from staging.receipt where recharge_id = 'r1'"
    assert site.observer.execute(reported).fetchall() == [(str(made).rstrip(),)]


def test_a_ccb_that_has_not_what_was_sent_last_gets_nothing(site: Site) -> None:
    """Restored, or a copy: unless the captured tables say that CC&B has purged it."""
    for table in UPLOADED:
        site.oracle(f"delete from CISADM.{table}")
    site.recharge("r2")
    assert site.refused() == "CDC-207"
    site.observer.execute(
        "insert into staging.upload_tender (external_source, transmission_id, batch_id, external_reference, "
        "source_system, source_position, source_ordinal, operation, committed_at, staged_seq, tombstone) "
        "select external_source, transmission_id, batch_id, recharge_id, 'ccb', 1, 0, 'd', now(), "
        "nextval('staging.staged_seq'), true from staging.receipt where recharge_id = 'r1'"
    )
    site.sent("r2")
    assert site.uploaded() == ["r2"]
