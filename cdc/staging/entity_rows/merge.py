"""One entity's versions into its table and history: a COPY and one statement, whatever the size.

The statement is in `merge.sql`, with its steps and what becomes of a row. It lays the versions of a batch
beside the staged rows, drops what is older (a replayed change does nothing), notices what changes nothing (a
snapshot read again costs no history), puts replaced versions into the history and the newest into the entity
table. Rows are found again by ctid, which is safe because one flow alone writes an entity and holds the order
lock meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import polars as pl
import psycopg
from psycopg import sql

from cdc.postgres.copy import copy_frame
from cdc.postgres.planning import without
from cdc.postgres.scratch import TRUNCATE_FROM, ScratchRows
from cdc.staging.entity_rows.spool import Spool
from cdc.staging.entity_rows.versions import MERGE_SCHEMA
from cdc.staging.schema.entities import HISTORY
from cdc.staging.schema.tables import SCHEMA, TRAILING
from mapping_rules import Entity

Cursor = psycopg.Cursor[tuple[object, ...]]

_MERGE = "\n".join(
    line
    for line in resources.files(__package__).joinpath("merge.sql").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("--")
)


@dataclass(frozen=True)
class Merged:
    """New versions of one entity; `staged_seq` is the greatest given, None if there are none."""

    rows: int
    staged_seq: int | None


FOLLOW_KEYS = without("hashjoin", "mergejoin")
"""For the session that merges: each key of a batch is looked up by the primary key."""


class EntityMerge:
    """The statements of one entity on one session.

    Args:
        entity: its key and columns.
        system: source system whose changes are merged.
        rule_set_id: goes onto each new version.

    Attributes:
        keeps_ends: the end of a row that was never staged is kept too, for the row may still come as it
            was before.
        spool: versions that wait for the end of their transaction.
    """

    def __init__(self, entity: Entity, system: str, rule_set_id: int) -> None:
        self.entity = entity
        self._parameters = {"system": system, "rule_set_id": rule_set_id}
        self.keeps_ends = False
        self._incoming = sql.Identifier("pg_temp", f"incoming_{entity.name}")
        self.spool = Spool(entity)
        self._scratch = ScratchRows()
        # rendered once: that takes longer than the server needs for a few rows
        self._merge = {
            (chained, few): self._statement(chained=chained, few=few).as_string()
            for chained in (False, True)
            for few in (False, True)
        }

    def prepare(self, cursor: Cursor) -> None:
        """Create the session's temporary tables again."""
        columns = {name: column.type.sql for name, column in self.entity.columns.items()} | MERGE_SCHEMA
        cursor.execute(sql.SQL("drop table if exists {}").format(self._incoming))
        cursor.execute(
            sql.SQL("create temporary table {} ({})").format(
                self._incoming,
                _list(sql.SQL("{} {}").format(_name(n), sql.SQL(t)) for n, t in columns.items()),
            )
        )
        self.spool.prepare(cursor)

    def load(self, cursor: Cursor, versions: pl.DataFrame) -> None:
        """Copy the versions of a batch into the session's table."""
        self._make_room(cursor, versions.height)
        copy_frame(cursor, self._incoming, versions)

    def load_spooled(self, cursor: Cursor, number: int) -> None:
        """Load one spooled slice."""
        self._make_room(cursor, TRUNCATE_FROM)
        self.spool.unload(cursor, number, self._incoming)

    def rolled_back(self) -> None:
        """What the session's table holds is not known any more: it is emptied before the next load."""
        self._scratch.rolled_back()
        self.spool.rolled_back()

    def _make_room(self, cursor: Cursor, coming: int) -> None:
        """Few rows are deleted as they are merged."""
        truncate = sql.SQL("truncate {}").format(self._incoming)
        self._scratch.make_room(lambda: cursor.execute(truncate), coming=coming)

    def merge(self, cursor: Cursor, *, base: int, chained: bool) -> Merged:
        """Merge what was loaded.

        Args:
            cursor: in a transaction that holds the order lock.
            base: first of as many reserved numbers as versions were loaded.
            chained: some key has more than one version.
        """
        cursor.execute(
            self._merge[chained, self._scratch.few],
            {**self._parameters, "base": base, "keeps_ends": self.keeps_ends},
        )
        rows, staged_seq = cursor.fetchone() or (0, None)
        return Merged(int(str(rows)), None if staged_seq is None else int(str(staged_seq)))

    def _statement(self, *, chained: bool, few: bool) -> sql.Composed:
        columns, key = list(self.entity.columns), list(self.entity.key)
        values = [name for name in columns if name not in key]
        return sql.SQL(_MERGE).format(
            incoming=self._incoming,
            emptied=sql.SQL("emptied as (delete from {}),").format(self._incoming) if few else sql.SQL(""),
            entity=sql.Identifier(SCHEMA, self.entity.name),
            history=sql.Identifier(SCHEMA, self.entity.name + HISTORY),
            same_key=sql.SQL(" and ").join(sql.SQL("s.{0} = m.{0}").format(_name(n)) for n in key),
            incoming_key=_list(sql.SQL("m.{}").format(_name(n)) for n in key),
            resolved=_list(
                sql.SQL("case when {} = any (m._absent) then s.{n} else m.{n} end as {n}").format(
                    sql.Literal(name), n=_name(name)
                )
                for name in values
            )
            if values
            else sql.SQL("null as _none"),
            old=_list(sql.SQL("s.{} as {}").format(_name(name), _old(name)) for name in [*values, *TRAILING]),
            new_values=_list(map(_name, [*values, "tombstone"])),
            old_values=_list(map(_old, [*values, "tombstone"])),
            skipped_before=sql.SQL("lag(unchanged) over (order by _row)" if chained else "false"),
            columns=_list(map(_name, columns)),
            trailing=_list(map(_name, TRAILING)),
            replaced=_list(_name(n) if n in key else _old(n) for n in [*columns, *TRAILING]),
            new_from_decided=_list(
                sql.SQL("{0} = decided.{0}").format(_name(name)) for name in [*values, "tombstone"]
            ),
        )


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _old(name: str) -> sql.Identifier:
    return sql.Identifier(f"_old_{name}")


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
