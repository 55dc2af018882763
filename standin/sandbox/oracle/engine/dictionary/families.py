"""Families of dictionary views: ALL_X, DBA_X and USER_X of one declaration.

ALL_ views show what the user owns or was granted something on, as in Oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.state.views import Rows, declare
from sandbox.oracle.engine.store.tables import Table

_OWNER_KEPT = frozenset({"CONSTRAINTS", "CONS_COLUMNS", "LOG_GROUPS", "LOG_GROUP_COLUMNS"})
Scoped = Callable[[Env, str], Rows]


def family(name: str, columns: str) -> Callable[[Scoped], Scoped]:
    """Declare ALL_X, DBA_X and USER_X, which has no owner column when that comes first."""
    own, first = columns, 0
    if columns.startswith("OWNER:") and name not in _OWNER_KEPT:
        own, first = columns.partition(" ")[2], 1

    def take(rows: Scoped) -> Scoped:
        at = rows.__module__
        declare(at, f"ALL_{name}", columns, lambda env: rows(env, "ALL"), free=True)
        declare(at, f"DBA_{name}", columns, lambda env: rows(env, "DBA"))
        declare(at, f"USER_{name}", own, lambda env: (row[first:] for row in rows(env, "USER")), free=True)
        return rows

    return take


def seen_tables(env: Env, which: str) -> Iterator[Table]:
    """Tables of a family of views: USER own ones, ALL accessible ones, DBA every one."""
    user = env.session.user
    for (owner, name), table in sorted(env.session.catalog.tables.items()):
        if (
            which == "DBA"
            or owner == user
            or (which == "ALL" and env.session.users.may(user, None, (owner, name)))
        ):
            yield table
