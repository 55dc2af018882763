"""Users, roles and grants as statements, and what CONTAINER = ALL and CURRENT mean in them.

Without the clause users are common in the root (`C##..`) and local in a pluggable database; grants are for
the current container.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.oracle.engine.sql.syntax import Command, Grant
from sandbox.oracle.engine.state.containers import Action, Container
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.state.users import COMMON_PREFIX, Name, User, make_verifier
from sandbox.oracle.engine.store.tables import Table
from sandbox.oracle.interface import OracleFault

_ONLY_ROOT = "Common DDLs only allowed in CDB$ROOT"


def create_user(session: Session, command: Command, text: str) -> None:
    """CREATE USER."""
    session.commit()
    session.users.require(session.user, "CREATE USER")
    name, password = command.names[0] or "", command.names[1]
    created_at = session.database.clock()
    everywhere = _is_common(session, name, command.options.get("CONTAINER"))
    verifier = make_verifier(password) if password is not None else None

    def create(container: Container) -> None:
        user = container.users.create(name, None, created_at=created_at)
        user.verifier, user.locked = verifier, _locked(command, user.locked)
        container.catalog.changed()

    _run(session, create, everywhere=everywhere)


def _locked(command: Command, before: bool) -> bool:
    return {"LOCK": True, "UNLOCK": False}.get(command.options.get("ACCOUNT", ""), before)


def create_role(session: Session, command: Command, text: str) -> None:
    """CREATE ROLE."""
    session.commit()
    session.users.require(session.user, "CREATE ROLE")
    name = command.names[0] or ""
    everywhere = _is_common(session, name, command.options.get("CONTAINER"))
    _run(session, lambda container: _create_role(container, name), everywhere=everywhere)


def _create_role(container: Container, name: str) -> None:
    container.users.create(name, None, role=True)


def _is_common(session: Session, name: str, clause: str | None) -> bool:
    """Is a user or role of this name made for all containers?

    Raises:
        OracleFault: ORA-65049, ORA-65050, ORA-65090, ORA-65094, ORA-65096: not allowed so, or not here.
    """
    root = session.database.containers.root
    if root is None:
        _refuse_clause(clause)
        return False
    prefixed = name.startswith(COMMON_PREFIX)
    if session.container is not root:
        if clause == "ALL":
            raise OracleFault(65050, _ONLY_ROOT)
        if prefixed:
            raise OracleFault(65094, "invalid local user or role name")
        return False
    if clause == "CURRENT":
        raise OracleFault(65049, "creation of local user or role is not allowed in this container")
    if not prefixed:
        raise OracleFault(65096, "invalid common user or role name")
    return True


def _refuse_clause(clause: str | None) -> None:
    if clause is not None:
        raise OracleFault(65090, "operation only allowed in a container database")


def _run(session: Session, action: Action, *, everywhere: bool) -> None:
    if everywhere:
        session.database.containers.everywhere(action)
    else:
        action(session.container)


def alter_user(session: Session, command: Command, text: str) -> None:
    """ALTER USER: password, lock, proxies, CONTAINER_DATA; other clauses change nothing here."""
    session.commit()
    name, password = command.names[0] or "", command.names[1]
    if name != session.user or password is None:
        session.users.require(session.user, "ALTER USER")
    user = session.users.get(name)
    root = session.database.containers.root
    if proxy := command.options.get("GRANT"):
        user.proxies.add(session.users.get(proxy).name)
        return
    if proxy := command.options.get("REVOKE"):
        user.proxies.discard(proxy)
        return
    if "CONTAINER_DATA" in command.options:
        _set_container_data(session, user, command.options)
        return
    if root is None:
        _refuse_clause(command.options.get("CONTAINER"))
    elif user.common and session.container is not root:
        raise OracleFault(65066, "The specified changes must apply to all containers")
    verifier = make_verifier(password) if password is not None else None

    def alter(container: Container) -> None:
        changed = container.users.get(name)
        changed.verifier = verifier or changed.verifier
        changed.locked = _locked(command, changed.locked)

    _run(session, alter, everywhere=root is not None and user.common)


def _set_container_data(session: Session, user: User, options: dict[str, str]) -> None:
    """ALTER USER .. SET CONTAINER_DATA = { ALL | DEFAULT | (name, ...) } CONTAINER = CURRENT, in the root."""
    containers = session.database.containers
    if containers.root is None:
        raise OracleFault(65090, "operation only allowed in a container database")
    if session.container is not containers.root or not user.common:
        raise OracleFault(65040, "operation not allowed from within a pluggable database")
    if options.get("CONTAINER") == "ALL":
        raise OracleFault(922, "missing or invalid option")
    named = frozenset(options["CONTAINER_DATA"].split(","))
    unknown = named - {"ALL", "DEFAULT"} - {one.name for one in containers}
    if unknown:
        raise OracleFault(65011, f"Pluggable database {min(unknown)} does not exist.")
    if not named & {"ALL", "DEFAULT", containers.root.name}:
        raise OracleFault(65057, "CONTAINER_DATA attribute must always include the current container")
    user.container_data = named - {"DEFAULT"}


def drop_user(session: Session, name: str) -> None:
    """DROP USER or ROLE, with what it owns."""
    session.users.require(session.user, "DROP USER")
    root = session.database.containers.root
    common = session.users.get(name).common
    if root is not None and common and session.container is not root:
        raise OracleFault(65050, _ONLY_ROOT)

    def drop(container: Container) -> None:
        container.users.drop(name)
        for key in [each for each in container.catalog.tables if each[0] == name]:
            container.catalog.tables.pop(key).dropped = True
        container.catalog.changed()

    _run(session, drop, everywhere=root is not None and common)


def grant(session: Session, statement: Grant) -> None:
    """GRANT and REVOKE."""
    root = session.database.containers.root
    if root is None:
        _refuse_clause(statement.container)
    elif statement.container == "ALL" and session.container is not root:
        raise OracleFault(65050, _ONLY_ROOT)
    user, schema = session.user, session.schema
    _run(
        session,
        lambda container: _grant(container, statement, user, schema),
        everywhere=statement.container == "ALL",
    )


def _grant(container: Container, statement: Grant, user: str, schema: str) -> None:
    users = container.users
    holders = [users.get(name) for name in statement.grantees]
    if statement.object is None:
        users.require(user, "GRANT ANY PRIVILEGE")
        roles = {one.name for one in users if one.is_role}
        for holder in holders:
            for privilege in statement.privileges:
                _note_scope(holder, privilege, statement)
                _change(holder.roles if privilege in roles else holder.system, privilege, statement)
    else:
        subject = _subject(container, *statement.object, schema)
        if subject[0] != user:
            users.require(user, "GRANT ANY OBJECT PRIVILEGE")
        for holder in holders:
            held = holder.grants.setdefault(subject, set())
            for privilege in statement.privileges:
                _change(held, privilege.removesuffix(" PRIVILEGES"), statement)
    container.catalog.changed()


def _note_scope(holder: User, privilege: str, statement: Grant) -> None:
    """What was granted with CONTAINER = ALL is revoked with CONTAINER = ALL alone."""
    everywhere = statement.container == "ALL"
    if statement.grant and everywhere:
        holder.commonly.add(privilege)
    elif not statement.grant and not everywhere and privilege in holder.commonly:
        raise OracleFault(65092, f"system privilege granted with a different scope to '{holder.name}'")
    elif not statement.grant:
        holder.commonly.discard(privilege)


def _change(held: set[str], privilege: str, statement: Grant) -> None:
    names: Iterable[str] = [privilege]
    if not statement.grant and privilege == "ALL":
        names = list(held)
    for name in names:
        (held.add if statement.grant else held.discard)(name)


def _subject(container: Container, owner: str | None, name: str, schema: str) -> Name:
    """The object that is granted on; V$ and V_$ are the same."""
    found = container.catalog.resolve(owner, name, schema)
    if isinstance(found, Table):
        return found.owner, found.name
    if (owner or schema, name) in container.catalog.sequences:
        return owner or schema, name
    if owner in (None, "SYS"):
        return "SYS", name.replace("V$", "V_$", 1) if "V$" in name else name
    raise OracleFault(942, "table or view does not exist")
