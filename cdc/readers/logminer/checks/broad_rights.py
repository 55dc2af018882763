"""Rights over everything, which the bridge does not need, and which everyone with its password has.

They are looked for wherever they come from: granted to the user or to PUBLIC, by a role, by a role that a
role was granted, and through other users as whom ours may connect. Roles count that have to be set first.
ADMIN OPTION passes on what is held and is not a right of its own.

Source: Oracle Database Reference 19c: USER_SYS_PRIVS and USER_ROLE_PRIVS (with the grants to PUBLIC),
ROLE_ROLE_PRIVS and ROLE_SYS_PRIVS (of all roles that the user can reach), USER_PROXIES; SQL Language
Reference 19c, GRANT, "System privileges", and REVOKE, "CONTAINER Clause".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cdc.config import OracleSystem
from cdc.oracle.connect import identifier
from cdc.ports import Finding
from cdc.readers.logminer.mining.containers import ROOT, Container
from cdc.readers.logminer.mining.probe import Probe

RIGHTS = "select username, privilege, common from user_sys_privs"
ROLES = "select username, granted_role, common from user_role_privs"
ROLES_OF_ROLES = "select role, granted_role from role_role_privs"
RIGHTS_OF_ROLES = "select role, privilege from role_sys_privs"
PROXIES = "select client from user_proxies"
PUBLIC = "PUBLIC"
BROAD = frozenset(
    (
        "ADMINISTER DATABASE TRIGGER",
        "ALTER DATABASE",
        "ALTER SYSTEM",
        "ALTER USER",
        "BECOME USER",
        "CREATE USER",
        "DROP USER",
        "EXPORT FULL DATABASE",
        "IMPORT FULL DATABASE",
    )
)
"""Together with every right that has ANY in its name."""
_YES = "YES"
_PLAIN = re.compile(r"[A-Z][A-Z0-9_$#]*")
SHOWN = 3
"""Rights of a role that are named."""


@dataclass(frozen=True)
class Held:
    """A broad right or role, and how it came to us.

    Args:
        name: what `allowed_rights` calls it: a system privilege, a role that has such, `PROXY <user>`.
        grantee: to whom `granted` was granted: the user, or PUBLIC.
        granted: the right or role that was granted, by which `name` is held.
        rights: broad rights of the role, and of those it leads to; none for a right itself.
        common: it was granted in all containers, and can be revoked in all of them only.
    """

    name: str
    grantee: str
    granted: str
    rights: tuple[str, ...] = ()
    common: bool = False

    @property
    def found(self) -> str:
        """What it is and where it comes from."""
        what = f"system privilege {self.name}"
        if self.rights:
            more = ".." if len(self.rights) > SHOWN else ""
            what = f"role {self.name} ({', '.join(self.rights[:SHOWN])}{more})"
        ways = [self.granted] if self.granted != self.name else []
        ways += [PUBLIC] if self.grantee == PUBLIC else []
        return what + (f", through {' of '.join(ways)}" if ways else "")

    def is_allowed(self, allowed: Iterable[str]) -> bool:
        """Do names of `allowed_rights` cover it? A role is covered by all its broad rights too."""
        names = {name.upper() for name in allowed}
        return self.name.upper() in names or (bool(self.rights) and names.issuperset(self.rights))

    def revoke(self, user: str) -> str:
        """The statement that takes it away from the user, or from PUBLIC."""
        granted = spelled(self.granted) if self.rights else self.granted
        everywhere = " container = all" if self.common else ""
        return f"revoke {granted} from {PUBLIC if self.grantee == PUBLIC else user}{everywhere};"


@dataclass
class Grants:
    """What was granted, as the dictionary tells it to the user.

    Args:
        rights: grantee (the user or PUBLIC), system privilege, whether it was granted in all containers.
        roles: grantee, role, and the same.
        roles_of_roles: role and the role granted to it.
        rights_of_roles: role and system privilege.
    """

    rights: Iterable[tuple[str, str, str]] = ()
    roles: Iterable[tuple[str, str, str]] = ()
    roles_of_roles: Iterable[tuple[str, str]] = ()
    rights_of_roles: Iterable[tuple[str, str]] = ()
    _of_role: Mapping[str, list[str]] = field(init=False)
    _below: Mapping[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        """Index what roles have."""
        self._of_role, self._below = defaultdict(list), defaultdict(list)
        for role, right in self.rights_of_roles:
            if _is_broad(right):
                self._of_role[role].append(right)
        for role, granted in self.roles_of_roles:
            self._below[role].append(granted)

    def broad(self) -> Iterator[Held]:
        """Each broad right or role, once for each grant that leads to it; nothing below a broad role."""
        for grantee, right, common in sorted(self.rights):
            if _is_broad(right):
                yield Held(right, grantee, right, common=common == _YES)
        for grantee, granted, common in sorted(self.roles):
            for role in sorted(self._reached(granted, beyond_broad=False) & self._of_role.keys()):
                below = self._reached(role, beyond_broad=True) & self._of_role.keys()
                rights = {right for one in below for right in self._of_role[one]}
                yield Held(role, grantee, granted, tuple(sorted(rights)), common == _YES)

    def _reached(self, role: str, *, beyond_broad: bool) -> set[str]:
        """The role and those below it; behind one that has a broad right only if that is asked for."""
        seen, waiting = set[str](), [role]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                if beyond_broad or name not in self._of_role:
                    waiting += self._below.get(name, [])
        return seen


def broad_rights(probe: Probe, settings: OracleSystem, place: Container) -> Iterator[Finding]:
    """A finding for each; advice if `allowed_rights` names it, or DBMS_GOLDENGATE_AUTH may have granted it.

    Args:
        probe: of the container that is asked.
        settings: whose rights are meant.
        place: that container.
    """
    inside = place.is_pdb and settings.pdb is None
    grants = Grants(*(probe.rows(text) for text in (RIGHTS, ROLES, ROLES_OF_ROLES, RIGHTS_OF_ROLES)))
    for held in grants.broad():
        if held.common and place.is_pdb and not inside:
            continue  # found in the root, where it can be revoked
        note = f" -- in {ROOT}" if held.common else " -- unless it came from DBMS_GOLDENGATE_AUTH"
        yield _finding(settings, held, held.revoke(settings.user) + (note if inside else ""), advice=inside)
    for (client,) in sorted(probe.rows(PROXIES)):
        name = f"PROXY {client}"
        yield Finding(
            f"rights of {settings.user}",
            f"may connect as {client}",
            _expected(name),
            f"alter user {spelled(client)} revoke connect through {settings.user};",
            advice=name in map(str.upper, settings.allowed_rights),
        )


def spelled(name: str) -> str:
    """A name as a statement needs it: in double quotes only where it would be another one without."""
    return name if _PLAIN.fullmatch(name) else identifier(name)


def _is_broad(right: str) -> bool:
    return " ANY " in f" {right} " or right in BROAD


def _expected(name: str) -> str:
    return f'only what ccbridge grants prints, or allowed_rights = ["{name}"]'


def _finding(settings: OracleSystem, held: Held, fix: str, *, advice: bool) -> Finding:
    return Finding(
        f"rights of {settings.user}",
        held.found,
        _expected(held.name),
        fix,
        advice=advice or held.is_allowed(settings.allowed_rights),
    )
