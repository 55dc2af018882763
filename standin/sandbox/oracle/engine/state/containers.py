"""Containers: what has users, rights and tables of its own, while SCNs, redo and sessions are shared.

A database that is not multitenant is one container, numbered 0. It becomes multitenant when it is
plugged in as a pluggable database (`sandbox_faults.open_pdb`): then there is a root besides it, where
LogMiner runs, and `create pluggable database` makes more. What is done for all containers (common users,
grants with CONTAINER = ALL) is remembered, and done in later ones too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sandbox.oracle.engine.state.catalog import Catalog
from sandbox.oracle.engine.state.context import Session, View
from sandbox.oracle.engine.state.users import ADMINISTRATORS, Users
from sandbox.oracle.interface import OracleFault

ROOT = "CDB$ROOT"
READ_WRITE = "READ WRITE"
ROOT_ID, SEED_ID, FIRST_PDB_ID = 1, 2, 3
Action = Callable[["Container"], None]


@dataclass(eq=False)
class Container:
    """A container; `number` is its CON_ID, `supplemental` the levels switched on for all its tables.

    `nls` are formats that ALTER SYSTEM set in it, `open_mode` and `restricted` how it was opened.
    """

    name: str
    number: int
    dbid: int
    users: Users
    catalog: Catalog
    supplemental: set[str] = field(default_factory=set)
    nls: dict[str, str] = field(default_factory=dict)
    character_set: str = "AL32UTF8"
    open_mode: str = READ_WRITE
    restricted: bool = False

    @property
    def is_writable(self) -> bool:
        """Is it open for changes?"""
        return self.open_mode == READ_WRITE


class Containers:
    """All containers of a database, the root first.

    Args:
        name: of the database, and of its one container.
        dbid: of the database.
        views: what each container's catalog has.

    Attributes:
        root: None while the database is not multitenant.
    """

    def __init__(self, name: str, dbid: int, views: Mapping[str, View]) -> None:
        self._dbid, self._views = dbid, views
        self._common: list[Action] = []
        self.root: Container | None = None
        self._home = self._new(name, 0)
        self._all = [self._home]

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._all))

    @property
    def pluggable(self) -> list[Container]:
        """The pluggable databases; none while the database is not multitenant."""
        return self._all[1:] if self.root is not None else []

    def _new(self, name: str, number: int) -> Container:
        users = Users()
        free = frozenset(view.name for view in self._views.values() if view.free)
        catalog = Catalog(users, views=dict(self._views), free_views=free)
        return Container(name, number, self._dbid + number, users, catalog)

    def by_service(self, service: str) -> Container:
        """Where a login to a service is: each pluggable database has one of its name, the root the others."""
        return next((one for one in self.pluggable if one.name.upper() == service.upper()), self._all[0])

    def by_number(self, number: int) -> Container:
        """A container by CON_ID, which is 0 for what was written before the database was plugged in."""
        return next((one for one in self._all if one.number == number), self._home)

    def supplemental(self, container: Container) -> frozenset[str]:
        """Levels of supplemental logging for a container's tables: the root's and its own."""
        return frozenset(self._all[0].supplemental | container.supplemental)

    def plug_in(self, name: str) -> Container:
        """Make the database multitenant: what it was becomes a pluggable database.

        Raises:
            OracleFault: ORA-65012, it is multitenant.
        """
        if self.root is not None:
            raise OracleFault(65012, f"Pluggable database {name} already exists.")
        home = self._home
        self.root = self._new(ROOT, ROOT_ID)
        self.root.supplemental, home.supplemental = home.supplemental, set()
        home.name, home.number, home.dbid = name, FIRST_PDB_ID, self._dbid + FIRST_PDB_ID
        self._adopt_administrators(self.root, home)
        self._all = [self.root, home]
        home.catalog.changed()
        return home

    def create(self, name: str) -> Container:
        """Make another pluggable database, with the common users and their common rights.

        Raises:
            OracleFault: ORA-65012, there is one of that name.
        """
        if self.root is None or any(one.name == name for one in self._all):
            raise OracleFault(65012, f"Pluggable database {name} already exists.")
        made = self._new(name, FIRST_PDB_ID + len(self.pluggable))
        self._adopt_administrators(made, self.root)
        for action in self._common:
            action(made)
        self._all.append(made)
        return made

    def _adopt_administrators(self, made: Container, known: Container) -> None:
        for name in ADMINISTRATORS:
            made.users.get(name).verifier = known.users.get(name).verifier
        # each container numbers its objects anew in Oracle; here their numbers are the storage's keys
        made.catalog.object_ids = known.catalog.object_ids

    def everywhere(self, action: Action) -> None:
        """Do something in every container, and in those to come; raises what it raises in the root."""
        for container in self._all:
            action(container)
        self._common.append(action)


def require_root(session: Session) -> None:
    """Raise ORA-65040 inside a pluggable database."""
    if session.database.containers.root not in (None, session.container):
        raise OracleFault(65040, "operation not allowed from within a pluggable database")


def create_pdb(session: Session, name: str, administrator: str, password: str) -> None:
    """CREATE PLUGGABLE DATABASE; it is open at once.

    Raises:
        OracleFault: ORA-65090 where the database is not multitenant, ORA-65040, ORA-65012, ORA-01031.
    """
    database = session.database
    if database.containers.root is None:
        raise OracleFault(65090, "operation only allowed in a container database")
    require_root(session)
    session.users.require(session.user, "ALTER DATABASE")
    made = database.containers.create(name)
    user = made.users.create(administrator, password, created_at=database.clock())
    user.roles.add("PDB_DBA")


def enter(session: Session, name: str) -> None:
    """ALTER SESSION SET CONTAINER.

    Raises:
        OracleFault: ORA-65011 for an unknown one, ORA-01031 without the right there, ORA-65023 inside a
            transaction, ORA-65090 where the database is not multitenant.
    """
    containers = session.database.containers
    if containers.root is None:
        raise OracleFault(65090, "operation only allowed in a container database")
    wanted = next((one for one in containers if one.name == name), None)
    if wanted is None:
        raise OracleFault(65011, f"Pluggable database {name} does not exist.")
    if wanted is session.container:
        return
    common = session.users.get(session.user).common
    if not common or not wanted.users.has(session.user, "SET CONTAINER"):
        raise OracleFault(1031, "insufficient privileges")
    if session.in_transaction:
        raise OracleFault(65023, "active transaction exists in container " + session.container.name)
    session.container, session.schema, session.mining = wanted, session.user, None
    session.reset_formats()


def shows(session: Session, number: int) -> bool:
    """May a session see what a V$ or CDB_ view says of a container? Others than its own: CONTAINER_DATA."""
    here, containers = session.container, session.database.containers
    if number in (0, here.number):
        return True
    if here is not containers.root:
        return False
    seen = session.users.get(session.user).container_data
    return "ALL" in seen or any(one.name in seen for one in containers if one.number == number)
