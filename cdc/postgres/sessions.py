"""Names of our sessions, by which those of a former holder are found and ended.

A process that is frozen, or whose host lost power, leaves sessions behind that hold locks, a replication
origin or a slot for as long as the server believes in the client. Each session of a run therefore carries its
lease in `application_name`, for example `ccbridge capture bills #1f0c9a.17`: the staging database in six hex
digits, and the fencing token. Who holds a later token ends the sessions of earlier ones, and each new session
ends an older one of the same name: its own that was cut off.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from cdc.postgres.errors import postgres_errors

_PATIENCE_MS = 5_000
"""How long to wait for an ended session to be gone; the server needs milliseconds."""

_SITE = "select left(md5(system_identifier::text || '/' || current_database()), 6) from pg_control_system()"

# a session is ended only if its name says that it is an earlier one of the same staging database; that of the
# lease itself holds nothing, and through it a former holder learns best what happened
_END = """
select pg_terminate_backend(pid, %(patience)s) from pg_stat_activity,
    regexp_match(application_name, '^ccbridge (?!lease #).* #' || %(site)s || '[.]([0-9]{1,18})$') as held
where pid <> pg_backend_pid() and usename = session_user
    and (held[1]::bigint < %(token)s or held[1]::bigint = %(token)s and application_name = %(name)s)
"""


@dataclass(frozen=True)
class Holder:
    """Under which lease this process works.

    Args:
        site: identifies the staging database.
        token: the fencing token.
    """

    site: str
    token: int

    def name(self, application: str) -> str:
        """The application_name of a session."""
        return f"{application} #{self.site}.{self.token}"

    def end_former(self, connection: psycopg.Connection[tuple[object, ...]], application: str) -> int:
        """End the sessions that earlier holders, and we ourselves under this name, left in this server.

        Args:
            connection: in autocommit, of the role whose sessions are to be ended.
            application: name without the lease.

        Returns:
            How many sessions were ended.
        """
        parameters = {
            "patience": _PATIENCE_MS,
            "site": self.site,
            "token": self.token,
            "name": self.name(application),
        }
        with postgres_errors(application):
            return len(connection.execute(_END, parameters).fetchall())


def site_of(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    """Identifies this database: the same in every session."""
    row = connection.execute(_SITE).fetchone()
    return str(row[0]) if row else ""
