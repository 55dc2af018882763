"""Rights of our role over everything, which ccbridge does not need, and which everyone with its password has.

They are refused unless the configuration allows them by name.

Source: PostgreSQL 17 documentation, "Role Attributes" and "Predefined Roles"; the administrators' roles of
managed services from their manuals (Amazon RDS, Cloud SQL and AlloyDB, Azure Database).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from psycopg import sql

from cdc.config import PostgresConnection
from cdc.ports import Finding
from cdc.postgres.connect import connect
from cdc.postgres.errors import postgres_errors

ATTRIBUTES = ("superuser", "createrole", "createdb")
ROLES = (
    "pg_execute_server_program",
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_read_all_data",
    "pg_write_all_data",
    "rds_superuser",
    "cloudsqlsuperuser",
    "alloydbsuperuser",
    "azure_pg_admin",
)

_RIGHTS = """
-- attributes of our role; broad roles it may become, each with the role granted to us that leads there
select r.rolsuper, r.rolcreaterole, r.rolcreatedb, array(
    select array[m.rolname::text, d.rolname::text]
    from pg_auth_members a join pg_roles d on d.oid = a.roleid
        join pg_roles m on m.oid = d.oid or not d.rolsuper and pg_has_role(d.oid, m.oid, 'member')
    where a.member = r.oid and (m.rolsuper or m.rolname = any(%(roles)s))
    order by 1)
from pg_roles r where r.rolname = current_user
"""
"""A superuser's role is a member of every other one, so what it leads to is not listed."""


def broad_rights(settings: PostgresConnection) -> list[Finding]:
    """Each right that is too broad; advice where `allowed_rights` names it.

    Raises:
        CcbridgeError: the database cannot be reached or refuses the login.
    """
    with (
        connect(settings, application="ccbridge check", autocommit=True) as connection,
        postgres_errors(f"{settings.host}:{settings.port}/{settings.database}"),
    ):
        [row] = connection.execute(_RIGHTS, {"roles": list(ROLES)}).fetchall()
    held = [(name, name) for name, is_held in zip(ATTRIBUTES, row[:-1], strict=True) if is_held]
    held += [(right, granted) for right, granted in cast(list[list[str]], row[-1])]
    return list(_findings(settings, held[:1] if row[0] else held))


def _findings(settings: PostgresConnection, held: list[tuple[str, str]]) -> Iterator[Finding]:
    """Findings for pairs of a right and what was granted; a superuser has all the others with it."""
    user = sql.Identifier(settings.user).as_string()
    for right, granted in held:
        role = sql.Identifier(granted).as_string()
        fix = f"alter role {user} no{right};" if right in ATTRIBUTES else f"revoke {role} from {user};"
        yield Finding(
            f"rights of {settings.user}",
            right if right == granted else f"{right}, through {granted}",
            f'a role of its own without it, or allowed_rights = ["{right}"]',
            fix,
            advice=right in settings.allowed_rights,
        )
