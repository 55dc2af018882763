"""Databases that are not as they must be: every finding with the SQL that fixes it, nothing written.

The findings of `ccbridge check` are fixed by running exactly the script that it prints, as administrators of
the systems; then it must be content.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sandbox.postgres import PostgresServer, free_port
from sandbox.world import World
from tests.acceptance.site import CANARIES, Done, Site, restarted, statements


def run_script(site: Site, system: str) -> None:
    """Run what `check --sql` prints, as its first line says: by psql, or as SQL*Plus would."""
    script = site.call("check", "--sql", system).out
    assert script.startswith("-- run as ")
    if system == "ccb":
        for line in script.splitlines():
            if line.strip() and not line.startswith(("--", "set ", "/")):
                site.oracle(line if line.startswith("begin") else line.removesuffix(";"), user="SYSTEM")
        return
    for _ in range(2):  # a second time it does no harm
        site.psql(script)


def subjects(done: Done, system: str) -> set[str]:
    """What the findings of a system are about."""
    return {row["subject"] for row in done.rows() if row["system"] == system}


def test_databases_that_cannot_be_reached_are_all_named(site: Site) -> None:
    """A wrong address or a server that is down is exit code 3, and the other systems are still checked."""
    port = str(free_port())
    wrong = {
        "CCBRIDGE_STAGING__PORT": port,
        "CCBRIDGE_SYSTEMS__PREPAID__PORT": port,
        "CCBRIDGE_SYSTEMS__CCB__DSN": f"tcps://localhost:{port}/CCB",
    }
    done = site.call("check", **wrong)
    assert done.code == 3
    assert [line.partition(":")[0] for line in done.out.splitlines() if line[0] != " "] == [
        "staging",
        "ccb",
        "prepaid",
        "3 finding(s)",
    ]
    assert all(f":{port}" in line for line in done.out.splitlines()[:-1] if line[0] != " ")
    run = site.call("run", **wrong)
    assert run.code == 3
    assert run.err.startswith("error CDC-030: staging: CDC-020: found ")
    assert site.untouched()


def test_a_staging_database_that_is_down_is_exit_code_3(offline: Site) -> None:
    """A monitoring script can tell a database that is down from a failure of the bridge."""
    for command in ("status", "migrate"):
        done = offline.call(command, CCBRIDGE_STAGING__PORT=str(free_port()))
        assert done.code == 3
        assert done.err.startswith("error CDC-020: ccbridge@127.0.0.1:")
        assert "\nhint: " in done.err


def test_wrong_passwords_are_reported_and_never_tried_twice(site: Site, logins: Logins) -> None:
    """A second try with a wrong password can lock the account, so there is none."""
    wrong = dict.fromkeys(site.environment, "Kanarie!wrong")
    for command in ("check", "run"):
        before = logins.refused()
        done = site.call(command, **wrong)
        assert done.code == 3
        text = done.out + done.err
        assert text.count("ORA-01017") == 1
        assert text.count("password authentication failed") == 2, "staging and prepaid"
        assert logins.refused() - before == 1
        assert "Kanarie!wrong" not in text
    assert site.untouched()


class Logins:
    """Counts the logins that the Oracle stand-in refused."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def refused(self) -> int:
        """So far."""
        return self._log.read_text(errors="replace").count("login_refused")


@pytest.fixture
def logins(world: World) -> Logins:
    """The stand-in's log of refused logins."""
    return Logins(world.folder / "oracle.log")


TABLES = ("public.customer", "public.account", "public.recharge", "public.counter_payment")


def test_everything_missing_in_prepaid_is_found_and_fixed_by_what_check_prints(migrated: Site) -> None:
    """Rights, publication, replica identity, mark schema, origin: all findings at once, all mendable."""
    site = migrated
    for statement in (
        "drop publication ccbridge",
        "drop schema ccbridge cascade",
        "revoke all on all tables in schema public from ccbridge",
        "revoke usage on schema public from ccbridge, public",
        "revoke execute on function pg_replication_origin_session_setup(text) from ccbridge",
        "revoke execute on function pg_replication_origin_create(text) from ccbridge",
        "alter table account replica identity nothing",
        "alter table counter_payment set unlogged",
        "alter role ccbridge noreplication",
    ):
        site.prepaid_admin(statement)
    try:
        done = site.call("check", "--format", "json")
        assert done.code == 4
        assert subjects(done, "prepaid") >= {
            "role ccbridge",
            "publication ccbridge",
            "schema ccbridge",
            "schema public",
            *(f"table {table}" for table in TABLES),
            f"replication origin {site.slot}",
            "function pg_catalog.pg_replication_origin_session_setup(text)",
        }
        run = site.call("run")
        assert run.code == 4
        assert "publication ccbridge: found does not exist" in run.err
        assert not site.slots()
        for _ in range(3):  # a right on a schema comes before those on its tables
            run_script(site, "prepaid")
            done = site.call("check", "--format", "json")
            if done.code == 0:
                break
    finally:
        site.prepaid_admin("alter role ccbridge replication")
    assert done.rows() == []
    assert done.code == 0


def test_missing_tables_and_columns_of_prepaid_are_named(migrated: Site) -> None:
    """A table or column that is not there is reported with the rule that needs it; nothing is written."""
    site = migrated
    site.prepaid_admin("alter table recharge drop column channel")
    site.prepaid_admin("alter table account drop column city")
    site.prepaid_admin("drop table counter_payment")
    done = site.call("check")
    assert done.code == 2  # a rule reads the column as well, and rules that do not fit are graver
    assert "prepaid: table public.counter_payment: found does not exist, expected a table\n" in done.out
    assert (
        "prepaid: column public.account.city: found missing, expected written by outbound rule account"
        in done.out
    )
    assert "found unknown column of public.account 'city'" in done.out
    run = site.call("run")
    assert run.code == 2
    assert not site.slots()


@pytest.fixture
def replica_only() -> Iterator[PostgresServer]:
    """A server whose WAL level is PostgreSQL's default, and can be changed."""
    server = PostgresServer()
    server._settings.pop("wal_level")
    with server:
        yield server


def test_the_wal_level_is_fixed_by_what_check_prints(migrated: Site, replica_only: PostgresServer) -> None:
    """A server that is not set up for logical decoding is refused; the printed statement fixes it."""
    database = replica_only.create_database(migrated.prepaid.name)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"create role ccbridge login replication password '{secret_literal()}'")
    where = {
        "CCBRIDGE_SYSTEMS__PREPAID__PORT": str(replica_only.port),
        "CCBRIDGE_SYSTEMS__PREPAID__SSLMODE": "disable",
        "CCBRIDGE_SYSTEMS__PREPAID__INSECURE": "true",
    }
    done = migrated.call("check", "--format", "json", **where)
    assert done.code == 4
    (finding,) = (row for row in done.rows() if row["subject"] == "wal_level")
    assert (finding["found"], finding["expected"]) == ("replica", "logical")
    assert "restart" in finding["fix"]
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements(finding["fix"]):
            connection.execute(statement.encode())
    restarted(replica_only)
    again = migrated.call("check", "--format", "json", **where)
    assert "wal_level" not in subjects(again, "prepaid")
    assert "publication ccbridge" in subjects(again, "prepaid")


def secret_literal() -> str:
    return CANARIES["ccbridge"].replace("'", "''")


def test_everything_missing_in_ccb_is_found_and_fixed_by_what_check_prints(migrated: Site) -> None:
    """Grants, supplemental logging of the database and of a table: all at once, all mendable."""
    site = migrated
    for statement in (
        "revoke select on SYS.V_$LOG from CCBRIDGE",
        "revoke logmining from CCBRIDGE",
        "revoke execute on SYS.DBMS_LOGMNR from CCBRIDGE",
        "revoke select, flashback on CISADM.CI_PER from CCBRIDGE",
        "revoke insert on CISADM.CI_PAY_TNDR_ST from CCBRIDGE",
        "revoke select on CISADM.CI_TNDR_SRCE from CCBRIDGE",
        "alter table CISADM.CI_PREM drop supplemental log data (all) columns",
        "alter database drop supplemental log data",
    ):
        site.oracle(statement, user="SYSTEM")
    done = site.call("check", "--format", "json")
    try:
        assert done.code == 4
        assert subjects(done, "ccb") >= {
            "V$LOG",
            "DBMS_LOGMNR",
            "CISADM.CI_PER",
            "CISADM.CI_PREM",
            "table CISADM.CI_PAY_TNDR_ST",
            "table CISADM.CI_TNDR_SRCE",
            "minimal supplemental logging",
        }
        run = site.call("run")
        assert run.code == 4
        assert "ccb: CISADM.CI_PREM: found not all columns logged" in run.err
        assert not site.slots()
    finally:
        for _ in range(3):  # what cannot be seen at first is found when it can be seen
            run_script(site, "ccb")
            done = site.call("check", "--format", "json")
            if done.code == 0:
                break
    assert done.rows() == []


def test_an_unknown_tender_source_of_ccb_is_named(migrated: Site) -> None:
    """Site codes that CC&B does not know would send every receipt into error."""
    done = migrated.call(
        "check",
        CCBRIDGE_PAYMENT_UPLOAD__EXTERNAL_SOURCE="PREPAYED",
        CCBRIDGE_PAYMENT_UPLOAD__TENDER_TYPE="GOLD",
    )
    assert done.code == 4
    assert "ccb: CI_TNDR_SRCE.EXT_SOURCE_ID: found no row with 'PREPAYED'" in done.out
    assert "ccb: CI_TENDER_TYPE.TENDER_TYPE_CD: found no row with 'GOLD'" in done.out


def test_a_missing_staging_schema_is_reported_by_every_command(site: Site) -> None:
    """Before the first `migrate` nothing runs, nothing is made in passing."""
    for command in ("run", "status"):
        done = site.call(command)
        assert done.code == 4
        assert "staging" in done.err
        assert "ccbridge migrate" in done.err or "ccbridge check" in done.err
    assert site.untouched()


def test_a_staging_schema_at_another_revision_is_refused(migrated: Site) -> None:
    """An older and a newer schema are distinguished, with what to do; a newer one is never touched."""
    site = migrated
    site.staging("alter table staging.recharge drop column channel")
    extended = site.call("check")
    assert extended.code == 4
    assert "no column staging.recharge.channel" in extended.out
    site.staging("update staging.alembic_version set version_num = '9999_future'")
    columns = "select count(*) from information_schema.columns where table_schema = 'staging'"
    before = site.staging(columns)
    for command in ("check", "migrate"):
        newer = site.call(command)
        assert newer.code == 4
        text = newer.out + newer.err
        assert "9999_future" in text
        assert "unknown to this release" in text
        assert "install the release that made it" in text
    assert site.staging(columns) == before
