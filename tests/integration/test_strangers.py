"""A schema that someone else made, or has things in: its triggers would run as our role; it is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cdc.changes import TableName
from cdc.config import PostgresConnection
from cdc.errors import OperatorError
from cdc.postgres.connect import connect
from cdc.postgres.strangers import strangers
from cdc.staging.schema.migrate import check_revision, migrate
from sandbox.postgres import PostgresServer
from tests.support.migrated import settings_of
from tests.unit.staging.doubles import rule_set

BRIDGE, SQUATTER = "stranger_bridge", "stranger_squatter"


@pytest.fixture
def site(postgres: PostgresServer) -> Iterator[tuple[PostgresConnection, str]]:
    """A database of the bridge's role, in which the other role may create; the settings of either."""
    name = f"s_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.conninfo(), autocommit=True) as server:
        for role in (BRIDGE, SQUATTER):
            server.execute(f"create role {role} login password 'stranger-secret'".encode())
        server.execute(f"create database {name}".encode())
        server.execute(f"grant create on database {name} to {BRIDGE}, {SQUATTER}".encode())
        admin = make_conninfo(postgres.conninfo(), dbname=name)
        found = settings_of(admin)
        try:
            settings = {**found.model_dump(), "user": BRIDGE, "password": "stranger-secret"}
            yield found.model_validate(settings), admin
        finally:
            server.execute(f"drop database {name} with (force)".encode())
            for role in (BRIDGE, SQUATTER):
                server.execute(f"drop role {role}".encode())


def test_a_schema_that_was_there_first_is_refused(site: tuple[PostgresConnection, str]) -> None:
    """By migrate and by check; the printed statement, run by an administrator, opens the way."""
    settings, admin = site
    with psycopg.connect(admin, autocommit=True) as superuser:
        superuser.execute(f"set role {SQUATTER}".encode())
        superuser.execute("create schema staging; create table staging.migration ()")
        superuser.execute(
            f"grant all on schema staging to {BRIDGE}; grant all on staging.migration to {BRIDGE}"
        )
        superuser.execute("reset role")
        with pytest.raises(OperatorError, match=f'owned by "{SQUATTER}", whose triggers would run'):
            migrate(settings, rule_set())
        found = [finding for finding in check_revision(settings, rule_set()) if not finding.advice]
        assert [finding.subject for finding in found[:2]] == [
            'schema "staging"',
            'table "staging"."migration"',
        ]
        for finding in found[:2]:
            superuser.execute(finding.fix.encode())
    assert migrate(settings, rule_set()).created
    assert [finding for finding in check_revision(settings, rule_set()) if not finding.advice] == []


@pytest.mark.parametrize(
    "owner", ["superuser", "database owner", "bridge", "group of the bridge", "owner beside"]
)
def test_who_is_trusted_anyway_may_own_it(site: tuple[PostgresConnection, str], owner: str) -> None:
    """A finding for each DBA who made the schema himself would be noise."""
    settings, admin = site
    with psycopg.connect(admin, autocommit=True) as superuser:
        role = {"superuser": "current_user", "bridge": BRIDGE}.get(owner, SQUATTER)
        if owner == "database owner":
            superuser.execute(f"alter database {settings.database} owner to {SQUATTER}".encode())
        elif owner == "group of the bridge":
            superuser.execute(f"grant {SQUATTER} to {BRIDGE}".encode())
        elif owner == "owner beside":
            superuser.execute(f"create table target (); alter table target owner to {SQUATTER}".encode())
        superuser.execute(f"create schema mark authorization {role}".encode())
        beside = [TableName("public", "target")] if owner == "owner beside" else []
        with connect(settings, application="test") as connection:
            assert strangers(connection, "mark", BRIDGE, beside=beside) == []
        superuser.execute(f"alter database {settings.database} owner to current_user".encode())


def test_a_superuser_of_ours_trusts_no_more(site: tuple[PostgresConnection, str]) -> None:
    """Its triggers would run as a superuser; that it has the rights of every role is not reason enough."""
    _, admin = site
    with psycopg.connect(admin, autocommit=True) as superuser:
        superuser.execute(f"create schema mark authorization {SQUATTER}".encode())
        superuser.execute("create schema ours; grant create on schema ours to public")
        with connect(settings_of(admin), application="test") as connection:
            (owned,) = strangers(connection, "mark", settings_of(admin).user)
            (open_to_all,) = strangers(connection, "ours", settings_of(admin).user)
        assert not owned.advice
        assert open_to_all.advice
        superuser.execute(open_to_all.fix.encode())
        with connect(settings_of(admin), application="test") as connection:
            assert strangers(connection, "ours", settings_of(admin).user) == []


def test_a_staging_database_that_all_may_enter_is_advice(site: tuple[PostgresConnection, str]) -> None:
    """The statements close it, and our role can still enter."""
    settings, admin = site
    (advice,) = [finding for finding in check_revision(settings, rule_set()) if finding.advice]
    assert advice.found == "every role may connect"
    with psycopg.connect(admin, autocommit=True) as superuser:
        superuser.execute(advice.fix.encode())
    assert [finding for finding in check_revision(settings, rule_set()) if finding.advice] == []
