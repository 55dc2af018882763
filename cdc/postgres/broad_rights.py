"""Rights of our role over everything, which ccbridge does not need: whoever has its password has them.

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
    "pg_execute_server_program", "pg_read_server_files", "pg_write_server_files",
    "pg_read_all_data", "pg_write_all_data",
    "rds_superuser", "cloudsqlsuperuser", "alloydbsuperuser", "azure_pg_admin",
)  # fmt: skip

_RIGHTS = """
-- attributes of our role, and the predefined roles it is a member of
select r.rolsuper, r.rolcreaterole, r.rolcreatedb, array(
    select m.rolname::text from pg_roles m
    where m.rolname = any(%(roles)s) and pg_has_role(r.oid, m.oid, 'member') order by 1)
from pg_roles r where r.rolname = current_user
"""


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
    held = [name for name, is_held in zip(ATTRIBUTES, row[:-1], strict=True) if is_held]
    held += cast(list[str], row[-1])
    # a superuser has all the others too, and is a member of every role
    return list(_findings(settings, ["superuser"] if "superuser" in held else held))


def _findings(settings: PostgresConnection, held: list[str]) -> Iterator[Finding]:
    user = sql.Identifier(settings.user).as_string()
    for right in held:
        fix = f"alter role {user} no{right};" if right in ATTRIBUTES else f"revoke {right} from {user};"
        yield Finding(
            f"rights of {settings.user}", right,
            f"a role of its own without it, or allowed_rights = [\"{right}\"]", fix,
            advice=right in settings.allowed_rights,
        )  # fmt: skip
