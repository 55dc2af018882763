"""A role that may do everything is refused, unless the configuration allows it by name."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from cdc.config import PostgresConnection
from cdc.postgres.broad_rights import ATTRIBUTES, ROLES, broad_rights
from sandbox.postgres import PostgresServer
from tests.support.migrated import settings_of

ROLE = "broad_test"


@pytest.fixture
def settings(postgres: PostgresServer) -> Iterator[PostgresConnection]:
    """Of a role that may log in, and no more."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as server:
        server.execute(f"create role {ROLE} login password 'broad-secret'")
        made = [name for name in ROLES if not _exists(server, name)]
        for name in made:
            server.execute(sql.SQL("create role {}").format(sql.Identifier(name)))
        try:
            found = settings_of(postgres.conninfo())
            yield found.model_validate({**found.model_dump(), "user": ROLE, "password": "broad-secret"})
        finally:
            for name in (ROLE, *made):
                server.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def _exists(server: psycopg.Connection[psycopg.rows.TupleRow], name: str) -> bool:
    return server.execute("select from pg_roles where rolname = %s", [name]).fetchone() is not None


def test_a_plain_role_has_none(settings: PostgresConnection) -> None:
    """What a bridge needs is not a finding."""
    assert broad_rights(settings) == []


@pytest.mark.parametrize("right", [*ATTRIBUTES, *ROLES])
def test_a_right_over_everything_is_refused_unless_allowed(
    postgres: PostgresServer, settings: PostgresConnection, right: str
) -> None:
    """Each by name; the printed statement takes it away."""
    grant = f"alter role {ROLE} {right}" if right in ATTRIBUTES else f"grant {right} to {ROLE}"
    with psycopg.connect(postgres.conninfo(), autocommit=True) as server:
        server.execute(grant)
        (finding,) = broad_rights(settings)
        assert (finding.found, finding.advice) == (right, False)
        (allowed,) = broad_rights(settings.model_copy(update={"allowed_rights": (right,)}))
        assert allowed.advice
        server.execute(finding.fix)
    assert broad_rights(settings) == []


def test_a_superuser_is_named_as_such_only(postgres: PostgresServer, settings: PostgresConnection) -> None:
    """All other rights come with it, so allowing it is enough."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as server:
        server.execute(f"alter role {ROLE} superuser createrole createdb")
    assert [finding.found for finding in broad_rights(settings)] == ["superuser"]


@pytest.mark.parametrize("right", ["pg_write_all_data", "broad_owner"])
def test_a_right_through_another_role_is_named_with_it(
    postgres: PostgresServer, settings: PostgresConnection, right: str
) -> None:
    """A role that we may become is as good as ours, a superuser's too; the fix takes it from us only."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as server:
        server.execute("create role broad_owner superuser")
        server.execute("create role broad_team")
        try:
            server.execute(f"grant {right} to broad_team")
            server.execute(f"grant broad_team to {ROLE}")
            (finding,) = broad_rights(settings)
            assert finding.found == f"{right}, through broad_team"
            server.execute(finding.fix)
            assert broad_rights(settings) == []
        finally:
            server.execute("drop role broad_team")
            server.execute("drop role broad_owner")
