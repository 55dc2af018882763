"""One outbound program laid over its target table: names and expressions all statements share.

A write of any number of rows goes through three temporary tables of the session: `desired` holds
the desired rows as text, `typed` the same rows cast to the target's types, `decided` what to do
with each.

Identifiers come from the catalog and the rules and are quoted; values never enter the text. Statements that
write a table of the target run under the application's search_path (`sinks.upsert.target_session`), so what
they are made of here names the schema of every function and operator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from psycopg import sql

from cdc.errors import OperatorError
from mapping_rules import Kind, OutboundProgram
from sinks.upsert.statements.pairs import Pair, pair
from sinks.upsert.statements.target_tables import TargetColumn, TargetTable, deactivated_column

MAX_MASKED = 63
"""Columns that a bigint can mark as differing; wider tables are written in full."""


@dataclass(frozen=True)
class Layout:
    """A program, its target table, and the number of the session's temporary tables for both.

    Args:
        program: what to write.
        table: the target table as described when the session first wrote it.
        number: distinguishes the temporary tables of one session.
        time_zone: zone in which the target means its timestamps and dates without zone.
        key: key columns in the program's order.
        columns: the other columns written. A flag that `on_delete: deactivate` clears is among
            them even if the rule does not map it: a row that comes back is active again.
    """

    program: OutboundProgram
    table: TargetTable
    number: int
    time_zone: str
    key: tuple[TargetColumn, ...]
    columns: tuple[TargetColumn, ...]

    @classmethod
    def of(cls, program: OutboundProgram, table: TargetTable, number: int, time_zone: str) -> Layout:
        """Look the program's columns up in the table.

        Raises:
            OperatorError: the table does not have columns that the program writes.
        """
        names = list(program.columns)
        if program.on_delete == "deactivate" and deactivated_column(program) not in names:
            names.append(deactivated_column(program))
        missing = [name for name in [*program.key, *names] if table.column(name) is None]
        if missing:
            raise OperatorError(
                f"{table.name}: no column {', '.join(missing)}, which outbound rule {program.name} writes",
                hint="run: ccbridge check",
            )
        odd = [name for name in [*program.key, *names] if "%" in name]
        if odd:
            raise OperatorError(
                f"{table.name}: column {', '.join(odd)} has a percent sign in its name",
                hint="leave it out of the rule, or rename it in the target",
            )
        described = {column.name: column for column in table.columns}
        return cls(
            program,
            table,
            number,
            time_zone,
            tuple(described[name] for name in program.key),
            tuple(described[name] for name in names),
        )

    @property
    def all_columns(self) -> tuple[TargetColumn, ...]:
        """Key columns, then the others."""
        return self.key + self.columns

    def kind(self, column: TargetColumn) -> Kind:
        """Kind of the values that go into a column; the flag that the sink sets itself is a boolean."""
        mapped = self.program.column_types.get(column.name)
        return Kind.BOOLEAN if mapped is None else mapped.kind

    def pair(self, column: TargetColumn) -> Pair:
        """How values go into a column.

        Raises:
            OperatorError: values of this kind do not go into a column of this type.
        """
        kind = self.kind(column)
        found = pair(kind, column.base, element=column.element)
        if found is None:
            raise OperatorError(
                f"{self.table.name}.{column.name}: {kind} does not go into {column.declared}",
                hint="run: ccbridge check",
            )
        return found

    def cast(self, column: TargetColumn, type_name: str) -> sql.Composed:
        """A column of `desired w` cast to a type; points in time become the target's wall clock."""
        return self._filled(self.pair(column).cast, column, type=sql.SQL(type_name))

    def kept(self, column: TargetColumn) -> sql.Composed | None:
        """Condition on a column of `desired w`: it comes back from the target's type as it is there."""
        pair = self.pair(column)
        if pair.kept is None or (pair.if_declared and not column.rounds):
            return None
        return self._filled(
            pair.kept, column, t=self._filled("({})", column, self.cast(column, column.declared))
        )

    def _filled(
        self, template: str, column: TargetColumn, *parts: sql.Composable, **named_parts: sql.Composable
    ) -> sql.Composed:
        value = sql.SQL("w.{}").format(named(column))
        zone = sql.Literal(self.time_zone)
        return sql.SQL(template).format(*parts, v=value, zone=zone, **named_parts)

    @property
    def loose(self) -> tuple[TargetColumn, ...]:
        """Key columns of which the target takes different texts for one value."""
        return tuple(column for column in self.key if self.kind(column) is Kind.TEXT and is_loose(column))

    @property
    def spelled(self) -> tuple[TargetColumn, ...]:
        """Key columns that keep the spelling they were written with: it is brought up to date, too."""
        if self.program.update_only:
            return ()
        return tuple(column for column in self.loose if column.is_text)

    @property
    def compared(self) -> tuple[TargetColumn, ...]:
        """The columns that are written where they differ."""
        return self.columns + self.spelled

    @property
    def target(self) -> sql.Identifier:
        """The target table."""
        return sql.Identifier(self.table.name.schema, self.table.name.name)

    @property
    def desired(self) -> sql.Identifier:
        """Desired rows as text, numbered from 0 in `_row`."""
        return sql.Identifier("pg_temp", f"desired_{self.number}")

    @property
    def typed(self) -> sql.Identifier:
        """Desired rows in the target's types; `_rejection` names what the target cannot hold."""
        return sql.Identifier("pg_temp", f"typed_{self.number}")

    @property
    def decided(self) -> sql.Identifier:
        """What to do with each row that is not yet as desired, with its images as json text."""
        return sql.Identifier("pg_temp", f"decided_{self.number}")

    @property
    def match(self) -> sql.Composed:
        """Condition that joins target `t` with desired rows `d`."""
        return same_key(self.key, "t", "d")

    @property
    def key_order(self) -> sql.Composed:
        """Order in which rows are locked and inserted, the same in every session."""
        return sql.SQL(", ").join(sql.SQL("d.{}").format(named(c)) for c in self.key)


def named(column: TargetColumn) -> sql.Identifier:
    """The column's quoted name."""
    return sql.Identifier(column.name)


def name_list(columns: tuple[TargetColumn, ...]) -> sql.Composed:
    """The columns' quoted names, separated by commas."""
    return sql.SQL(", ").join(map(named, columns))


def same_key(columns: tuple[TargetColumn, ...], one: str, other: str) -> sql.Composed:
    """Condition that two aliases have the same key, by the operator of the type, wherever it lies."""
    return sql.SQL(" and ").join(
        sql.SQL("{} operator({}.=) {}").format(
            sql.Identifier(one, column.name),
            sql.Identifier(column.operators),
            sql.Identifier(other, column.name),
        )
        for column in columns
    )


def is_loose(column: TargetColumn) -> bool:
    """True if texts that differ may be one value of the column: of a key, one row."""
    base = column.base.rpartition(".")[2]
    return not column.deterministic or base in ("citext", "uuid", "numeric")


def in_range(alias: str) -> sql.Composed:
    """Condition on the row number: every statement works on the range low <= row < high."""
    return sql.SQL("{0} operator(pg_catalog.>=) %(low)s and {0} operator(pg_catalog.<) %(high)s").format(
        sql.Identifier(alias, "_row")
    )


def differs(column: TargetColumn) -> sql.Composed:
    """True where target `t` and desired row `d` differ, NULL being a value like any other.

    Text is compared byte by byte: a collation or citext that ignores case would hide a change.
    """
    form = "{}.{}" if column.has_equality else "{}.{}::text"
    if column.is_text:
        form = '{}.{}::text collate "C"'
    target = sql.SQL(form).format(sql.SQL("t"), named(column))
    desired = sql.SQL(form).format(sql.SQL("d"), named(column))
    return sql.SQL("{} is distinct from {}").format(target, desired)


def json_object(
    side: str, columns: tuple[TargetColumn, ...], *, only_differing: bool = False
) -> sql.Composed:
    """Text of a json object of the columns of `t` or `d`; put together as text, which is fast."""
    parts = []
    for column in columns:
        value = sql.SQL("coalesce(pg_catalog.to_json({}.{})::pg_catalog.text, 'null')").format(
            sql.SQL(side), named(column)
        )
        part = sql.SQL("{} operator(pg_catalog.||) {}").format(
            sql.Literal(f"{json.dumps(column.name)}: "), value
        )
        if only_differing:
            part = sql.SQL("case when {} then {} end").format(differs(column), part)
        parts.append(part)
    # an array, because it has no limit on its elements and its text leaves nulls out
    return sql.SQL(
        "'{{' operator(pg_catalog.||) pg_catalog.array_to_string(array[{}], ', ') "
        "operator(pg_catalog.||) '}}'"
    ).format(sql.SQL(", ").join(parts))
