"""What objects there are, and who may do what with them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from sandbox.oracle.engine.state.context import View
from sandbox.oracle.engine.state.users import Users
from sandbox.oracle.engine.store.tables import Table
from sandbox.oracle.interface import OracleFault

Name = tuple[str, str]
IDENTITY_SEQUENCE = "ISEQ$$_"
"""How the names of the sequences of identity columns begin."""


@dataclass
class Sequence:
    """A sequence; `step` may be negative."""

    owner: str
    name: str
    object_id: int
    next_value: int = 1
    step: int = 1
    created_at: float = 0.0
    lowest: int | None = None
    highest: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> int:
        """Next value."""
        with self.lock:
            value = self.next_value
            if self.highest is not None and value > self.highest:
                raise OracleFault(
                    8004, f"sequence {self.name}.NEXTVAL exceeds MAXVALUE and cannot be instantiated"
                )
            if self.lowest is not None and value < self.lowest:
                raise OracleFault(
                    8004, f"sequence {self.name}.NEXTVAL goes below MINVALUE and cannot be instantiated"
                )
            self.next_value += self.step
            return value


@dataclass
class Catalog:
    """Objects by owner and name."""

    users: Users
    tables: dict[Name, Table] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    sequences: dict[Name, Sequence] = field(default_factory=dict)
    synonyms: dict[Name, Name] = field(default_factory=dict)
    clusters: set[Name] = field(default_factory=set)
    version: int = 0
    object_ids: Iterator[int] = field(default_factory=lambda: itertools.count(73201))
    free_views: frozenset[str] = frozenset()

    def new_object_id(self) -> int:
        """OBJECT_ID for a new object."""
        return next(self.object_ids)

    def changed(self) -> None:
        """Plans made before this are void."""
        self.version += 1

    def resolve(self, owner: str | None, name: str, schema: str) -> Table | View | None:
        """Find an object as a session with this current schema sees it."""
        table = self.tables.get((owner or schema, name))
        if table is not None:
            return table
        for key in ((owner or schema, name), ("PUBLIC", name)):
            target = self.synonyms.get(key)
            if target is not None:
                return self.tables.get(target)
        if owner in (None, "SYS", "PUBLIC"):
            return self.views.get(name)
        return None

    def find(self, owner: str | None, name: str, *, user: str, schema: str, privilege: str) -> Table | View:
        """Find an object that a user may use.

        Raises:
            OracleFault: ORA-00942 when there is none or he may not know of it, ORA-01031 when he
                may read but not do this.
        """
        found = self.resolve(owner, name, schema)
        written = (name,) if owner is None else (owner, name)
        missing = OracleFault(942, "table or view does not exist", name=written)
        forbidden = OracleFault(1031, "insufficient privileges", name=written)
        if found is None:
            raise missing
        if isinstance(found, Table):
            if found.owner == user or self.users.may(user, privilege, (found.owner, found.name)):
                return found
            if self.users.may(user, None, (found.owner, found.name)):
                raise forbidden
            raise missing
        if not self._sees_view(user, found.name):
            raise missing
        if privilege != "SELECT":
            raise forbidden
        return found

    def _sees_view(self, user: str, name: str) -> bool:
        if name in self.free_views:
            return True
        real = name.replace("V$", "V_$", 1) if "V$" in name else name
        return self.users.reads_dictionary(user) or self.users.may(user, "SELECT", ("SYS", real))

    def sequence(self, parts: tuple[str, ...], user: str, schema: str) -> Sequence | None:
        """Sequence of `[owner.]name.nextval` for a user who may use it."""
        owner, name = (parts[-3], parts[-2]) if len(parts) > 2 else (schema, parts[-2])
        target = self.synonyms.get((owner, name)) or self.synonyms.get(("PUBLIC", name)) or (owner, name)
        found = self.sequences.get((owner, name)) or self.sequences.get(target)
        if found and (found.owner == user or self.users.may(user, "SELECT", (found.owner, found.name))):
            return found
        return None
