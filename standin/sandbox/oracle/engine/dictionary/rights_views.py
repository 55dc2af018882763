"""Dictionary views of users, roles and rights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.state.users import EXECUTE_CATALOG, READ_CATALOG, User
from sandbox.oracle.engine.state.views import view

_INTERNAL = {READ_CATALOG, EXECUTE_CATALOG}
Rows = Iterator[Sequence[object]]


_ALL_GRANT_COLUMNS = (
    "GRANTOR:128 GRANTEE:128 TABLE_SCHEMA:128 TABLE_NAME:128 "
    "PRIVILEGE:40 GRANTABLE:3 HIERARCHY:3 COMMON:3 "
    "TYPE:24 INHERITED:3"
)
_GRANT_COLUMNS = (
    "GRANTEE:128 OWNER:128 TABLE_NAME:128 GRANTOR:128 PRIVILEGE:40 GRANTABLE:3 HIERARCHY:3 COMMON:3 "
    "TYPE:24 INHERITED:3"
)
_SYSTEM_COLUMNS = "GRANTEE:128 PRIVILEGE:40 ADMIN_OPTION:3 COMMON:3 INHERITED:3"
_ROLE_COLUMNS = (
    "GRANTEE:128 GRANTED_ROLE:128 ADMIN_OPTION:3 DELEGATE_OPTION:3 DEFAULT_ROLE:3 COMMON:3 INHERITED:3"
)
_OWN_COLUMNS = _ROLE_COLUMNS.replace("GRANTEE", "USERNAME")


@view("ALL_USERS", "USERNAME:128 USER_ID:n CREATED:d COMMON:3 ORACLE_MAINTAINED:1 INHERITED:3", free=True)
def _all_users(env: Env) -> Rows:
    database = env.session.database
    for user in env.session.users:
        if not user.is_role and user.name != "PUBLIC":
            created = database.local_time(user.created_at or database.started_at).replace(microsecond=0)
            yield (user.name, user.number, created, "YES" if user.common else "NO", "N", "NO")


@view("DBA_USERS", "USERNAME:128 USER_ID:n CREATED:d ACCOUNT_STATUS:32 DEFAULT_TABLESPACE:30 PROFILE:128")
def _dba_users(env: Env) -> Rows:
    for row in _all_users(env):
        user = env.session.users.get(str(row[0]))
        yield (*row[:3], "LOCKED" if user.locked else "OPEN", "USERS", "DEFAULT")


@view(
    "USER_USERS",
    "USERNAME:128 USER_ID:n CREATED:d ACCOUNT_STATUS:32 DEFAULT_TABLESPACE:30 PROFILE:128",
    free=True,
)
def _own_user(env: Env) -> Rows:
    return (row for row in _dba_users(env) if row[0] == env.session.user)


@view("SESSION_PRIVS", "PRIVILEGE:40", free=True)
def _session_privileges(env: Env) -> Rows:
    held = {
        privilege for holder in env.session.users.holders(env.session.user) for privilege in holder.system
    }
    yield from ((privilege,) for privilege in sorted(held) if privilege not in _INTERNAL)


@view("SESSION_ROLES", "ROLE:128", free=True)
def _session_roles(env: Env) -> Rows:
    for holder in env.session.users.holders(env.session.user):
        if holder.is_role:
            yield (holder.name,)


def _grants(env: Env, everyone: bool) -> Rows:
    names = {holder.name for holder in env.session.users.holders(env.session.user)}
    for holder in env.session.users:
        for (owner, name), privileges in sorted(holder.grants.items()):
            if everyone or holder.name in names or owner == env.session.user:
                for privilege in sorted(privileges):
                    kind = "VIEW" if owner == "SYS" else "TABLE"
                    yield (
                        owner,
                        holder.name,
                        owner,
                        owner,
                        name,
                        privilege,
                        "NO",
                        "NO",
                        "NO",
                        kind,
                        "NO",
                    )


@view("DBA_TAB_PRIVS", _GRANT_COLUMNS)
def _dba_grants(env: Env) -> Rows:
    for _, grantee, grantor, owner, name, privilege, *rest in _grants(env, True):
        yield (grantee, owner, name, grantor, privilege, *rest)


@view("ALL_TAB_PRIVS", _ALL_GRANT_COLUMNS, free=True)
def _all_grants(env: Env) -> Rows:
    for _, grantee, grantor, schema, name, privilege, *rest in _grants(env, False):
        yield (grantor, grantee, schema, name, privilege, *rest)


@view("USER_TAB_PRIVS", _GRANT_COLUMNS, free=True)
def _own_grants(env: Env) -> Rows:
    for _, grantee, grantor, owner, name, privilege, *rest in _grants(env, False):
        yield (grantee, owner, name, grantor, privilege, *rest)


def scope(env: Env, holder: User, granted: str) -> tuple[str, str]:
    """COMMON and INHERITED of a grant."""
    database = env.session.database
    common = granted in holder.commonly
    here = env.session.container is database.containers.root
    return "YES" if common else "NO", "YES" if common and not here else "NO"


@view("DBA_SYS_PRIVS", _SYSTEM_COLUMNS)
def _system_privileges(env: Env) -> Rows:
    for holder in env.session.users:
        for privilege in sorted(holder.system - _INTERNAL):
            yield (holder.name, privilege, "NO", *scope(env, holder, privilege))


@view("USER_SYS_PRIVS", _SYSTEM_COLUMNS.replace("GRANTEE", "USERNAME"), free=True)
def _own_system_privileges(env: Env) -> Rows:
    return (row for row in _system_privileges(env) if row[0] in (env.session.user, "PUBLIC"))


@view("DBA_ROLE_PRIVS", _ROLE_COLUMNS)
def _role_grants(env: Env) -> Rows:
    for holder in env.session.users:
        for role in sorted(holder.roles):
            yield (holder.name, role, "NO", "NO", "YES", *scope(env, holder, role))


@view("ROLE_SYS_PRIVS", _SYSTEM_COLUMNS.replace("GRANTEE", "ROLE"), free=True)
def _role_privileges(env: Env) -> Rows:
    for holder in env.session.users.holders(env.session.user):
        if holder.is_role:
            for privilege in sorted(holder.system - _INTERNAL):
                yield (holder.name, privilege, "NO", "NO", "NO")


@view("USER_ROLE_PRIVS", _OWN_COLUMNS, free=True)
def _own_roles(env: Env) -> Rows:
    return (row for row in _role_grants(env) if row[0] in (env.session.user, "PUBLIC"))


@view("ROLE_ROLE_PRIVS", "ROLE:128 GRANTED_ROLE:128 ADMIN_OPTION:3 COMMON:3 INHERITED:3", free=True)
def _roles_of_roles(env: Env) -> Rows:
    seen = {holder.name for holder in env.session.users.holders(env.session.user) if holder.is_role}
    for holder, role, *rest in _role_grants(env):
        if holder in seen:
            yield (holder, role, rest[0], "NO", "NO")


@view("USER_PROXIES", "CLIENT:128 AUTHENTICATION:3 FLAGS:35", free=True)
def _own_proxies(env: Env) -> Rows:
    for user in env.session.users:
        if env.session.user in user.proxies:
            yield (user.name, "NO", "PROXY MAY ACTIVATE ALL CLIENT ROLES")


@view("DBA_ROLES", "ROLE:128 ROLE_ID:n")
def _roles(env: Env) -> Rows:
    yield from ((user.name, user.number) for user in env.session.users if user.is_role)
