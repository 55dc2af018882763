"""Views of containers: V$CONTAINERS, V$PDBS and V$SERVICES, and CDB_X of each DBA_X."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy

from sandbox.oracle.engine.state.containers import ROOT_ID, SEED_ID, Container, shows
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.state.instances import reached
from sandbox.oracle.engine.state.views import FixedView, Rows, columns_of, view


def inside(env: Env, container: Container) -> Env:
    """The same moment, seen from within another container."""
    session = copy(env.session)
    session.container = container
    return Env(session, env.binds, env.snapshot, env.reader, env.check)


def across(dictionary: FixedView) -> FixedView:
    """CDB_X of a view DBA_X: its rows in all containers that the session is shown, with CON_ID."""

    def rows(env: Env) -> Iterator[Sequence[object]]:
        for container in env.session.database.containers:
            if shows(env.session, container.number):
                for row in dictionary.produce(inside(env, container)):
                    yield (*row, container.number)

    last = columns_of("CON_ID:n")
    name = dictionary.name.replace("DBA_", "CDB_", 1)
    return FixedView(name, [*dictionary.columns, *last], rows)


_COLUMNS = "CON_ID:n DBID:n NAME:128 OPEN_MODE:10"


@view("V$CONTAINERS", _COLUMNS)
def _of_containers(env: Env) -> Iterator[tuple[int, int, str, str]]:
    containers = env.session.database.containers
    found = [(one.number, one.dbid, one.name, one.open_mode) for one in containers]
    if containers.root is not None:
        found.insert(1, (SEED_ID, containers.root.dbid + SEED_ID, "PDB$SEED", "READ ONLY"))
    yield from (row for row in found if shows(env.session, row[0]))


@view("V$PDBS", _COLUMNS)
def _pdbs(env: Env) -> Rows:
    return (row for row in _of_containers(env) if row[0] > ROOT_ID)


@view("V$SERVICES", "SERVICE_ID:n NAME:64 NETWORK_NAME:512 CON_ID:n")
def _services(env: Env) -> Rows:
    database = env.session.database
    for number, name in enumerate(sorted(database.services), 1):
        container = reached(database, name)[0].number
        if shows(env.session, container):
            yield (number, name, name, container)
