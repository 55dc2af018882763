"""The query over V$LOGMNR_CONTENTS: what is asked of it, and what is left to be decided here.

A filter that is too narrow loses data in silence, so it only leaves out rows of other tables.
"""

from __future__ import annotations

from collections.abc import Sequence

from cdc.changes import TableName
from cdc.readers.logminer.mining.rows import COLUMNS, NO_ROW

ALWAYS_CODES = (6, 7, 27, 34, 36)
"""Operation codes read whatever they name: transaction control, holes."""
MAX_IN_LIST = 1_000
STATEMENT_ENDS = f"(operation_code = 0 and rollback = 0 and sequence# > 1 and row_id not like '%{NO_ROW}')"
"""INTERNAL rows that end a statement on a LOB: they name an object and a row id, but no table."""


def contents_query(tables: Sequence[TableName], pdb: str | None = None, *, local_undo: bool = True) -> str:
    """The query over V$LOGMNR_CONTENTS for some tables.

    Rows that name no table, undecoded rows, DDL and bad states are always asked for: which of them
    matter is decided here, not by the filter. Rows of other containers are not, their commits neither:
    with undo of its own each container counts transaction ids for itself, so one there may be one here.

    Args:
        tables: the captured tables.
        pdb: container whose rows are meant; another one may have tables of the same names.
        local_undo: each container has undo of its own; without, transactions are the root's.
    """
    by_owner: dict[str, list[str]] = {}
    for table in tables:
        by_owner.setdefault(table.schema, []).append(table.name)
    chosen = [
        f"(seg_owner = {_literal(owner)} and table_name in ({', '.join(map(_literal, some))}))"
        for owner, names in sorted(by_owner.items())
        for some in (names[at : at + MAX_IN_LIST] for at in range(0, len(names), MAX_IN_LIST))
    ]
    data = " or ".join(
        [
            "operation_code = 5",
            "seg_owner = 'UNKNOWN'",
            "(table_name is null and operation_code not in (0, 25))",
            STATEMENT_ENDS,
            *chosen,
        ]
    )
    always = f"operation_code in ({', '.join(map(str, ALWAYS_CODES))})"
    kept = [_within(pdb, f"{always} or {data}", local_undo=local_undo), "status in (1291, 1343)"]
    columns = ", ".join(name.lower() for name in COLUMNS)
    return (
        f"select {columns} from v$logmnr_contents "  # noqa: S608 - names from the dictionary, quoted
        f"where scn > :read_to and scn <= :end_scn and ({' or '.join(kept)})"
    )


def commits_query(own: TableName, pdb: str | None = None, *, local_undo: bool = True) -> str:
    """The query for what tells our own commits from others': XID, and whether the row is a COMMIT.

    Args:
        own: the heartbeat table; its rows come from before `read_to` too, commits from behind it.
        pdb: as for `contents_query`.
        local_undo: as there; where a container has undo of its own nothing of ours is in it, since the
            heartbeat is the root's.
    """
    found = [_within(pdb, "operation_code = 7 and scn > :read_to", local_undo=local_undo)]
    if pdb is None or not local_undo:
        found.append(f"(seg_owner = {_literal(own.schema)} and table_name = {_literal(own.name)})")
    return (
        "select xid, case when operation_code = 7 then 1 else 0 end from v$logmnr_contents "  # noqa: S608
        f"where {' or '.join(found)}"
    )


def _within(pdb: str | None, condition: str, *, local_undo: bool) -> str:
    """A condition on rows of one container."""
    if pdb is None:
        return condition
    named = _literal(pdb) if local_undo else f"{_literal(pdb)}, 'CDB$ROOT'"
    return f"(src_con_name in ({named}) or src_con_name is null) and ({condition})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
