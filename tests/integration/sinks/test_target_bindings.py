"""A target is written only if it is the one that staging is bound to, and staging knows all its writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

import mapping_rules
from cdc.config import Run, Settings
from cdc.flows import targets
from cdc.flows.deliver import Deliver
from cdc.flows.progress.state import FlowState
from cdc.flows.staged_signal import StagedSignal
from cdc.postgres.connect import connect
from sinks.upsert.sink import UpsertSink
from tests.integration.sinks.upsert_target import Target
from tests.support import one_flow
from tests.support.one_flow import OneFlow
from tests.unit.staging.doubles import OUTBOUND, Event, batch, customer, rule_set
from tests.unit.staging.world import World, staging

RULES = rule_set(OUTBOUND)
BUYER = (
    "create table buyer (buyer_id text primary key, full_name text, note text, credit numeric(15,2), "
    "last_bought_on date)"
)
STAGED = (
    "change",
    "batch",
    "customer",
    "customer_history",
    "checkpoint",
    "delivery",
    "dead_letter",
    "target_binding",
    "lease",
)


@dataclass
class Site:
    """Staging, its target in a database of its own, and what a backup of staging holds."""

    database: str
    world: World
    target: Target
    position: int = 10

    def stage(self, *rows: dict[str, str | None]) -> None:
        """Commit rows in the source and stage them."""
        self.position += 1
        self.world.stager().stage(batch(*[Event("c", self.position, n, after=r) for n, r in enumerate(rows)]))
        self.world.stagers.pop().close()

    def back_up(self) -> None:
        """Copy staging, sequences included, into schema `backup`."""
        self.world.execute("drop schema if exists backup cascade; create schema backup")
        for name in STAGED:
            self.world.execute(f"create table backup.{name} as table staging.{name}")
        self.world.execute("create table backup.numbers as select last_value from staging.staged_seq")

    def restore(self) -> None:
        """Put the copy back: staging is as it was then."""
        self.world.execute("set session_replication_role = replica")
        for name in STAGED:
            generated = "overriding system value"
            self.world.execute(
                f"delete from staging.{name}; insert into staging.{name} {generated} table backup.{name}"
            )
        self.world.execute("select setval('staging.staged_seq', last_value) from backup.numbers")
        self.world.execute("set session_replication_role = origin")

    def names(self) -> dict[str, str]:
        return dict(self.target.rows("select buyer_id, full_name from buyer"))

    def bound(self) -> list[tuple[object, ...]]:
        return self.world.query("select writes, delivered_seq from staging.target_binding")

    def running(self) -> AbstractContextManager[OneFlow]:
        """The delivery flow, until the block ends."""
        return one_flow.running("deliver:till", self._deliver)

    def _deliver(self, state: FlowState) -> Deliver:
        return Deliver(
            system="till",
            programs=mapping_rules.compile_outbound(RULES, "till"),
            sources=["shop"],
            open_sink=lambda _: UpsertSink(
                "till", self.target.settings, fencing_token=self.world.lease.token
            ),
            open_staging=lambda: connect(self.world.settings, application="test deliver", autocommit=True),
            sizes=Run(retry_held_s=1, idle_poll_ms=20),
            wake=StagedSignal(),
            state=state,
            lease=self.world.lease,
        )

    def delivered(self, *keys: str) -> None:
        """Run until these buyers are there."""
        with self.running() as running:
            running.wait(lambda: set(keys) <= self.names().keys(), f"buyers {keys}")

    def refused(self) -> str:
        """Run until the flow is refused; the code. Nothing of the target has changed."""
        before = (self.names(), self.target.rows("select * from pg_namespace order by oid"))
        with self.running() as running:
            code = running.refused("till")
        assert (self.names(), self.target.rows("select * from pg_namespace order by oid")) == before
        return code


@contextmanager
def database_like(server: str, name: str, template: str = "template0") -> Iterator[str]:
    """Another database of the server; dropped afterwards."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    try:
        yield psycopg.conninfo.make_conninfo(server, dbname=name)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def site(database: str) -> Iterator[Site]:
    """One customer staged and delivered."""
    name = f"{psycopg.conninfo.conninfo_to_dict(database)['dbname']}_till"
    with database_like(database, name) as conninfo, staging(database, RULES) as world:
        target = Target(conninfo)
        target.run(BUYER)
        site = Site(database, world, target)
        site.stage(customer("0"))
        world.execute("update staging.checkpoint set snapshot_complete = true")
        site.delivered("0")
        try:
            yield site
        finally:
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(
                    "select pg_replication_origin_drop(roname) from pg_replication_origin where roname = %s",
                    [target.settings.origin],
                )


def test_a_target_is_bound_at_its_first_use_and_counts_with_staging(site: Site) -> None:
    """Both sides know the same number of writes after each stop, and who bound it is on record."""
    for key in "12":
        site.stage(customer(key))
        site.delivered(key)
    mark = "select writes, staged_seq, staging_id::text from ccbridge.sink_mark"
    ((writes, seq, installation),) = site.target.rows(mark)
    assert site.bound() == [(writes, seq)]
    assert writes == 3
    assert site.world.query("select installation_id::text from staging.installation") == [(installation,)]
    actions = site.world.query(
        "select action, object, detail ->> 'reason' from staging.operator_action where action <> 'migrate'"
    )
    assert actions == [("bind target", "till.upsert", "first use")]


def test_an_emptied_target_is_not_filled_again_by_itself(site: Site) -> None:
    """Its tables and our mark are gone: it may be any database."""
    site.target.run("drop schema ccbridge cascade; delete from buyer")
    assert site.refused() == "CDC-204"
    assert site.names() == {}


def test_a_copy_of_the_target_is_not_written(site: Site) -> None:
    """Made by CREATE DATABASE .. TEMPLATE: all is as in the former one, our mark too."""
    name = site.target.settings.database
    site.target.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    with database_like(site.database, f"{name}_copy", name) as copy:
        former, site.target.conninfo = site.target.conninfo, copy
        former_settings = site.target.settings
        site.target.settings = former_settings.model_copy(update={"database": f"{name}_copy"})
        site.stage(customer("1"))
        assert site.refused() == "CDC-204"
        site.target.conninfo, site.target.settings = former, former_settings
    site.delivered("1")


def test_a_target_of_another_staging_is_not_written(site: Site) -> None:
    """Staging in the configuration is another one, or a second installation runs."""
    site.world.execute("update staging.installation set installation_id = gen_random_uuid()")
    site.stage(customer("1"))
    assert site.refused() == "CDC-205"


def test_staging_older_than_its_target_delivers_nothing_in_silence(site: Site) -> None:
    """Restored from a backup: its numbers begin again below what the target was given."""
    site.back_up()
    site.stage(customer("0", name="newer"), customer("1"))
    site.delivered("1")
    site.restore()
    site.stage(customer("2"))
    assert site.refused() == "CDC-206"
    assert site.names()["0"] == "newer"


def test_a_bound_target_is_brought_to_what_a_restored_staging_says(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row is compared: those staged under numbers that the target had passed too."""
    settings = Settings(staging=site.world.settings, systems={"till": site.target.settings})
    monkeypatch.setattr(targets, "load_rules", lambda _: RULES)
    site.back_up()
    site.stage(customer("0", name="newer"), customer("1"))
    site.delivered("1")
    site.restore()
    site.stage(customer("0", name="newest"))
    assert site.refused() == "CDC-206"
    assert [row["state"] for row in targets.targets(settings)] == ["CDC-206"]
    assert "CDC-206" in str(targets.bind(settings, "till", "restored on Sunday").before)
    assert [row["state"] for row in targets.targets(settings)] == ["ok"]
    site.stage(customer("2"))
    site.delivered("2")
    assert site.names()["0"] == "newest"


def test_staging_older_than_a_target_that_got_no_write_since_continues_where_it_was(site: Site) -> None:
    """The mark moved beyond it, but no row did: what is staged now under those numbers is delivered."""
    site.back_up()
    site.target.run("update ccbridge.sink_mark set staged_seq = staged_seq + 500")
    site.restore()
    site.stage(customer("1"))
    site.delivered("1")


def test_staging_that_forgot_a_holder_is_older_too(site: Site) -> None:
    """Nothing was written since the backup, yet the target was claimed by a holder it knows nothing of."""
    site.target.run("update ccbridge.sink_mark set fencing_token = fencing_token + 1")
    assert site.refused() == "CDC-206"


def test_a_target_older_than_staging_is_not_written(site: Site) -> None:
    """Restored, or a copy on a server with the same identity (a clone of its disks)."""
    site.stage(customer("1"))
    site.delivered("1")
    site.stage(customer("2"))
    site.delivered("2")
    site.target.run(
        "update ccbridge.sink_mark set writes = writes - 2; delete from buyer where buyer_id > '0'"
    )
    assert site.refused() == "CDC-207"


def test_a_write_that_never_committed_is_not_a_difference(site: Site) -> None:
    """Counted in staging, then the process died: written at the next start."""
    site.stage(customer("1"))
    site.world.execute("update staging.target_binding set writes = writes + 1, delivered_seq = 1000")
    site.delivered("1")


def test_another_writer_under_the_same_token_stops_a_running_flow(site: Site) -> None:
    """A copy of staging that runs too: the one that writes second finds out in that very write."""
    with site.running() as running:
        running.wait(lambda: running.figures["status"] == "running", "the flow")
        site.target.run("update ccbridge.sink_mark set writes = writes + 1")
        site.stage(customer("1"))
        running.wait(lambda: running.figures["status"] == "waiting", "a refusal")
        assert running.figures["error_code"] == "CDC-206"
    assert site.names().keys() == {"0"}


def test_a_promoted_standby_is_written_on(site: Site) -> None:
    """The same system identifier on a later timeline."""
    site.world.execute(
        "update staging.target_binding set identity = jsonb_set(identity, '{timeline}', '\"0\"')"
    )
    site.stage(customer("1"))
    site.delivered("1")
    assert site.world.query("select identity ->> 'timeline' from staging.target_binding") == [("1",)]


def test_a_former_primary_is_not_written(site: Site) -> None:
    """The address leads back to the server that was failed over from."""
    site.world.execute(
        "update staging.target_binding set identity = jsonb_set(identity, '{timeline}', '\"9\"')"
    )
    assert site.refused() == "CDC-204"


def test_mark_of_an_earlier_release_is_bound(site: Site) -> None:
    """Upgraded: the mark has neither a staging nor a number of writes."""
    site.world.execute("delete from staging.target_binding")
    site.target.run("alter table ccbridge.sink_mark drop staging_id, drop writes")
    site.stage(customer("1"))
    site.delivered("1")
    assert site.bound()[0][0] == 1
