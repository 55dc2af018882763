"""Entity tables as SQLAlchemy metadata, made from the rule set's entity definitions.

`staging.<entity>` holds the newest version of each row, `staging.<entity>_history` the earlier ones. The YAML
is the source of truth, so these tables are made and extended by `cdc.staging.schema.entity_ddl`, not by
migrations; why: `docs/decisions/0003-entity-tables.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from cdc.errors import OperatorError
from cdc.staging.schema import tables
from mapping_rules import Entity, EntityColumn, EntityType

HISTORY = "_history"
_TYPES: dict[str, Any] = {
    "text": Text,
    "integer": BigInteger,
    "boolean": Boolean,
    "date": Date,
    "timestamp": DateTime(timezone=True),
}


def entity_metadata(entities: Iterable[Entity]) -> MetaData:
    """Tables of all entities and their histories, with comments and indexes.

    Raises:
        OperatorError: an entity has the name of one of ccbridge's own tables.
    """
    metadata = MetaData(schema=tables.SCHEMA, naming_convention=tables.NAMING)
    own = {table.name for table in tables.fixed_tables().tables.values()}
    for entity in entities:
        if {entity.name, entity.name + HISTORY} & own:
            raise OperatorError(
                f"entity {entity.name}: staging.{entity.name} is one of ccbridge's own tables",
                hint="give the entity another name",
            )
        _current(entity, metadata)
        _history(entity, metadata)
    return metadata


def _current(entity: Entity, metadata: MetaData) -> Table:
    return Table(
        entity.name,
        metadata,
        *_columns(entity),
        *tables.trailing_columns(),
        PrimaryKeyConstraint(*entity.key),
        Index(None, "staged_seq"),
        *(Index(None, name) for name in referencing(entity)),
        comment=entity.comment or f"Newest version of each {entity.name}",
    )


def _history(entity: Entity, metadata: MetaData) -> Table:
    return Table(
        entity.name + HISTORY,
        metadata,
        *_columns(entity),
        *tables.trailing_columns(),
        *tables.history_columns(),
        Index(None, *entity.key, "valid_from"),
        Index(None, "superseded_seq"),
        *(Index(None, name) for name in referencing(entity)),
        comment=f"Earlier versions of staging.{entity.name}",
    )


def referencing(entity: Entity) -> Iterator[str]:
    """Columns that outbound joins follow; the first key column has the primary key's index."""
    for name, column in entity.columns.items():
        if column.references is not None and name != entity.key[0]:
            yield name


def _columns(entity: Entity) -> Iterator[Column[Any]]:
    for name, column in entity.columns.items():
        yield tables.column(name, sql_type(column.type), _comment(column), null=name not in entity.key)


def sql_type(type_: EntityType) -> Any:
    """The SQLAlchemy type of an entity type."""
    if type_.kind == "decimal":
        return Numeric(type_.precision, type_.scale)
    return _TYPES[type_.kind]


def _comment(column: EntityColumn) -> str:
    parts = [column.comment or column.name.replace("_", " ").capitalize()]
    if column.references is not None:
        parts.append(f"references {column.references}")
    if column.lookup is not None:
        parts.append(f"values of lookup {column.lookup}")
    if column.personal:
        parts.append("personal")
    return "; ".join(parts)
