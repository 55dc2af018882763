"""Entity tables follow the rule set: what is missing is added, what would lose data is refused.

Alembic's comparison finds the differences between the database and `cdc.staging.schema.entities`; only
additions and comments are carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.schema import CreateIndex, ExecutableDDLElement, SetColumnComment, SetTableComment

from cdc.errors import OperatorError
from cdc.staging.schema.entities import entity_metadata
from cdc.staging.schema.tables import SCHEMA
from mapping_rules import Entity

HINT = "give the column or entity another name, or change the table by hand and run: ccbridge migrate"
LOCK_TIMEOUT = "5s"


@dataclass(frozen=True)
class Additions:
    """Names of the tables and columns that were made."""

    created: tuple[str, ...]
    extended: tuple[str, ...]


@dataclass
class Comparison:
    """Differences between entity tables and rule set.

    Args:
        tables: tables to create.
        columns: columns to add, with their table.
        indexes: indexes to create on tables that exist.
        comments: statements that set comments.
        errors: what cannot be carried out, in words.
    """

    tables: list[sa.Table] = field(default_factory=list)
    columns: list[tuple[str, sa.Column[Any]]] = field(default_factory=list)
    indexes: list[sa.Index] = field(default_factory=list)
    comments: list[ExecutableDDLElement] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        """What is missing in the database, in words."""
        names = [f"table {SCHEMA}.{table.name}" for table in self.tables]
        names += [f"column {SCHEMA}.{table}.{column.name}" for table, column in self.columns]
        return names + [f"index {SCHEMA}.{index.name}" for index in self.indexes]


def compare(connection: sa.Connection, entities: Iterable[Entity]) -> Comparison:
    """Compare the tables of the entities with the database; other tables are not looked at."""
    metadata = entity_metadata(entities)
    expected = {table.name for table in metadata.tables.values()}

    def of_entity(name: str | None, kind: str, parents: Any) -> bool:
        return name == SCHEMA if kind == "schema" else kind != "table" or name in expected

    context = MigrationContext.configure(
        connection, opts={"include_schemas": True, "include_name": of_entity}
    )
    compared = Comparison()
    for difference in _flat(compare_metadata(context, metadata)):
        _sort_in(compared, difference, metadata)
    compared.errors += _other_keys(connection, metadata)
    connection.rollback()
    compared.columns = [(t, c) for t, c in compared.columns if not _not_null_error(compared, t, c)]
    return compared


def _flat(differences: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for difference in differences:
        if isinstance(difference, list):
            yield from difference
        else:
            yield difference


def _sort_in(compared: Comparison, difference: tuple[Any, ...], metadata: sa.MetaData) -> None:
    kind = difference[0]
    if kind == "add_table":
        compared.tables.append(difference[1])
    elif kind == "add_column":
        compared.columns.append((difference[2], difference[3]))
    elif kind == "add_index":
        compared.indexes.append(difference[1])
    elif kind == "modify_comment":
        table = metadata.tables[f"{SCHEMA}.{difference[2]}"]
        compared.comments.append(SetColumnComment(table.columns[difference[3]]))
    elif kind == "add_table_comment":
        compared.comments.append(SetTableComment(difference[1]))
    elif kind == "remove_column":
        compared.errors.append(f"column {SCHEMA}.{difference[2]}.{difference[3].name}: not in the rule set")
    elif kind == "modify_type":
        _, _, name, column, _, found, expected = difference
        types = f"type {found}, the rule set says {expected}".lower()
        compared.errors.append(f"column {SCHEMA}.{name}.{column}: {types}")
    elif kind == "modify_nullable":
        _, _, name, column, *_ = difference
        compared.errors.append(f"column {SCHEMA}.{name}.{column}: null is allowed on one side only")
    elif kind != "remove_index":  # an index of the site's own does no harm
        compared.errors.append(f"{SCHEMA}: {kind}")


def _not_null_error(compared: Comparison, table: str, column: sa.Column[Any]) -> bool:
    """A key column cannot be added to a table that has rows."""
    if column.nullable:
        return False
    compared.errors.append(f"column {SCHEMA}.{table}.{column.name}: missing, and part of the key")
    return True


def _other_keys(connection: sa.Connection, metadata: sa.MetaData) -> Iterator[str]:
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names(SCHEMA))
    for table in metadata.tables.values():
        expected = [column.name for column in table.primary_key.columns]
        if not expected or table.name not in there:
            continue
        found = inspector.get_pk_constraint(table.name, SCHEMA)["constrained_columns"]
        if found != expected:
            keys = f"key {', '.join(found)}, the rule set says {', '.join(expected)}"
            yield f"table {SCHEMA}.{table.name}: {keys}"


def apply(engine: sa.Engine, connection: sa.Connection, entities: Iterable[Entity]) -> Additions:
    """Carry out what is additive: tables, columns and comments in one transaction, then indexes.

    Raises:
        OperatorError: something is not additive; all of it is listed and nothing was changed.
    """
    compared = compare(connection, entities)
    if compared.errors:
        raise OperatorError("\n".join(sorted(compared.errors)), hint=HINT)
    connection.execute(sa.text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
    operations = Operations(MigrationContext.configure(connection))
    new = {table.name for table in compared.tables}
    for table in compared.tables:
        table.create(connection)
    for index in compared.indexes:
        if index.table is not None and index.table.name in new:
            # the comparison hands tables over without their indexes
            connection.execute(CreateIndex(index, if_not_exists=True))
    for name, column in compared.columns:
        operations.add_column(name, column._copy(), schema=SCHEMA)
    for statement in compared.comments:
        connection.execute(statement)
    connection.commit()
    _build_indexes(engine, [i for i in compared.indexes if i.table is not None and i.table.name not in new])
    return Additions(
        tuple(f"{SCHEMA}.{table.name}" for table in compared.tables),
        tuple(f"{SCHEMA}.{name}.{column.name}" for name, column in compared.columns),
    )


def _build_indexes(engine: sa.Engine, indexes: list[sa.Index]) -> None:
    """Indexes of tables that hold rows already: built without stopping those who write."""
    if not indexes:
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for index in indexes:
            index.dialect_kwargs["postgresql_concurrently"] = True
            connection.execute(CreateIndex(index, if_not_exists=True))
