"""Users, their password verifiers, privileges and roles.

Privileges are enforced as Oracle does it in outline: system privileges (with the ANY forms), object
privileges, roles that hold both. Passwords are not kept, only verifiers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from sandbox.oracle.interface import OracleFault, Verifier

Name = tuple[str, str]
ADMINISTRATORS = ("SYS", "SYSTEM")
COMMON_PREFIX = "C##"

READ_CATALOG, EXECUTE_CATALOG = "READ CATALOG", "EXECUTE CATALOG"
"""Stand for the object grants that the catalog roles have."""
_CATALOG = {READ_CATALOG, "SELECT ANY DICTIONARY"}
_RESOURCE = {"CREATE TABLE", "CREATE SEQUENCE", "CREATE PROCEDURE", "CREATE TRIGGER", "CREATE TYPE"}
_DBA = {
    *_RESOURCE,
    *_CATALOG,
    "CREATE SESSION",
    "RESTRICTED SESSION",
    "SET CONTAINER",
    "ALTER SESSION",
    "ALTER SYSTEM",
    "ALTER DATABASE",
    "CREATE USER",
    "ALTER USER",
    "DROP USER",
    "CREATE ROLE",
    "GRANT ANY PRIVILEGE",
    "GRANT ANY OBJECT PRIVILEGE",
    "GRANT ANY ROLE",
    "SELECT ANY TABLE",
    "SELECT ANY SEQUENCE",
    "SELECT ANY TRANSACTION",
    "INSERT ANY TABLE",
    "UPDATE ANY TABLE",
    "DELETE ANY TABLE",
    "FLASHBACK ANY TABLE",
    "LOCK ANY TABLE",
    "CREATE ANY TABLE",
    "ALTER ANY TABLE",
    "DROP ANY TABLE",
    "CREATE ANY INDEX",
    "COMMENT ANY TABLE",
    "LOGMINING",
    "CREATE PUBLIC SYNONYM",
    "CREATE SYNONYM",
    "UNLIMITED TABLESPACE",
}
ROLES: dict[str, set[str]] = {
    "CONNECT": {"CREATE SESSION", "SET CONTAINER"},
    "RESOURCE": set(_RESOURCE),
    "SELECT_CATALOG_ROLE": {READ_CATALOG},
    "EXECUTE_CATALOG_ROLE": {EXECUTE_CATALOG},
    "DBA": set(_DBA) | {EXECUTE_CATALOG},
    "PDB_DBA": {"CREATE SESSION", "SET CONTAINER"},
}


@dataclass
class User:
    """A user or role of one container; a common one is in each of them, with rights of its own in each.

    `grants` are object privileges by object; `container_data` names the other containers that V$ and CDB_
    views of the root show to him, or is {"ALL"}; `goldengate`: DBMS_GOLDENGATE_AUTH granted him its rights;
    `proxies` are the users who may connect as him; `commonly` are the system privileges and roles that were
    granted with CONTAINER = ALL.
    """

    name: str
    number: int
    verifier: Verifier | None = None
    locked: bool = False
    system: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    grants: dict[Name, set[str]] = field(default_factory=dict)
    created_at: float = 0.0
    is_role: bool = False
    common: bool = False
    container_data: frozenset[str] = frozenset()
    goldengate: bool = False
    proxies: set[str] = field(default_factory=set)
    commonly: set[str] = field(default_factory=set)


def make_verifier(password: str) -> Verifier:
    """The 12c verifier of a password: salted, 4096 rounds of PBKDF2 with SHA-512."""
    salt = os.urandom(16)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt + b"AUTH_PBKDF2_SPEEDY_KEY", 4096, 64)
    return Verifier(salt, hashlib.sha512(key + salt).digest()[:32])


class Users:
    """All users and roles."""

    def __init__(self) -> None:
        self._all: dict[str, User] = {}
        for name in ("SYS", "SYSTEM", "PUBLIC"):
            self._add(name)
        for name, privileges in ROLES.items():
            role = self._add(name)
            role.is_role, role.system, role.common = True, set(privileges), True
        for name in ADMINISTRATORS:
            administrator = self._all[name]
            administrator.roles.add("DBA")
            administrator.common, administrator.container_data = True, frozenset({"ALL"})

    def _add(self, name: str) -> User:
        user = User(name, 100 + len(self._all) if len(self._all) > 8 else len(self._all))
        self._all[name] = user
        return user

    def create(self, name: str, password: str | None, *, role: bool = False, created_at: float = 0.0) -> User:
        """Create a user or role.

        Raises:
            OracleFault: ORA-01920.
        """
        if name in self._all:
            raise OracleFault(1920, f"user name '{name}' conflicts with another user or role name")
        user = self._add(name)
        user.is_role, user.created_at = role, created_at
        user.common = name.startswith(COMMON_PREFIX)
        if password is not None:
            user.verifier = make_verifier(password)
        return user

    def get(self, name: str) -> User:
        """A user or role.

        Raises:
            OracleFault: ORA-01918.
        """
        user = self._all.get(name)
        if user is None:
            raise OracleFault(1918, f"user '{name}' does not exist")
        return user

    def exists(self, name: str) -> bool:
        """Is there such a user (not a role)?"""
        return name in self._all and not self._all[name].is_role

    def drop(self, name: str) -> None:
        """Forget a user or role."""
        self.get(name)
        del self._all[name]
        for other in self._all.values():
            other.roles.discard(name)

    def __iter__(self) -> Iterator[User]:
        return iter(list(self._all.values()))

    def holders(self, name: str) -> list[User]:
        """A user with PUBLIC and all the roles he has, roles of roles included."""
        found: dict[str, User] = {}
        waiting = [name, "PUBLIC"]
        while waiting:
            user = self._all.get(waiting.pop())
            if user is not None and user.name not in found:
                found[user.name] = user
                waiting.extend(user.roles)
        return list(found.values())

    def has(self, name: str, privilege: str) -> bool:
        """Has a user a system privilege?"""
        return any(privilege in holder.system for holder in self.holders(name))

    def reads_dictionary(self, name: str) -> bool:
        """May a user read the V$ and DBA views?"""
        return self.has(name, "SELECT ANY DICTIONARY") or self.has(name, READ_CATALOG)

    def may(self, name: str, privilege: str | None, subject: Name) -> bool:
        """Has a user a privilege on an object of another schema? None: any privilege at all."""
        for holder in self.holders(name):
            held = holder.grants.get(subject)
            if held and (privilege is None or privilege in held or "ALL" in held):
                return True
            if privilege == "SELECT" and held and "READ" in held:
                return True
            if subject[0] == "SYS":
                continue
            wanted = ("SELECT",) if privilege is None else (privilege,)
            for word in wanted:
                if f"{word} ANY TABLE" in holder.system or (
                    word == "SELECT" and "SELECT ANY SEQUENCE" in holder.system
                ):
                    return True
        return False

    def require(self, name: str, privilege: str) -> None:
        """Raise ORA-01031 unless a user has a system privilege."""
        if not self.has(name, privilege):
            raise OracleFault(1031, "insufficient privileges")
