"""What a rule set says, after loading: plain frozen data without behaviour of its own.

`mapping_rules.load` makes it from YAML; `mapping_rules.compiled.inbound` and
`mapping_rules.compiled.outbound` compile it. Locations are kept so that later checks can name file, line and
column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import polars as pl

from cdc.changes import TableName
from mapping_rules.language.errors import Location
from mapping_rules.language.tree import Scalar

NOWHERE = Location("built-in")


class Kind(StrEnum):
    """Kinds of entity column."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"


_SQL = {
    Kind.TEXT: "text",
    Kind.INTEGER: "bigint",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamptz",
}
_POLARS: dict[Kind, Any] = {
    Kind.TEXT: pl.String(),
    Kind.INTEGER: pl.Int64(),
    Kind.BOOLEAN: pl.Boolean(),
    Kind.DATE: pl.Date(),
    Kind.TIMESTAMP: pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True)
class EntityType:
    """Type of an entity column; precision and scale of a decimal only."""

    kind: Kind
    precision: int = 0
    scale: int = 0

    @property
    def sql(self) -> str:
        """The type of the column in the staging database."""
        return f"numeric({self.precision},{self.scale})" if self.kind is Kind.DECIMAL else _SQL[self.kind]

    @property
    def polars(self) -> pl.DataType:
        """The type of the column in frames."""
        if self.kind is Kind.DECIMAL:
            return pl.Decimal(self.precision, self.scale)
        return _POLARS[self.kind]  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})" if self.kind is Kind.DECIMAL else self.kind.value


TEXT = EntityType(Kind.TEXT)


@dataclass(frozen=True)
class EntityColumn:
    """A column of an entity.

    Args:
        references: entity whose key this column holds; joins follow it, and it is indexed.
        lookup: the column holds values of that lookup; inbound rules translate through it.
        personal: masked for auditors without the right to see personal data.
    """

    name: str
    type: EntityType
    references: str | None = None
    lookup: str | None = None
    personal: bool = False
    comment: str = ""
    location: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Entity:
    """The contract auditors read: one staging table with its history."""

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, EntityColumn]
    comment: str = ""
    location: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Lookup:
    """A translation of codes. Without default, a code it does not hold is a error of the row."""

    name: str
    values: Mapping[str, Scalar]
    has_default: bool = False
    default: Scalar = None
    location: Location = field(default=NOWHERE, compare=False)


class Conventions(StrEnum):
    """How a vendor writes values: `ouaf` is Oracle Utilities' framework, `plain` says what it means."""

    OUAF = "ouaf"
    PLAIN = "plain"


@dataclass(frozen=True)
class SystemRules:
    """A system as the rule set sees it; `schema` is meant where a rule names a table without one."""

    name: str
    conventions: Conventions
    schema: str | None
    location: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Ref:
    """A column of a rule's root or of one of its joins; alias is empty for a source column."""

    alias: str
    column: str
    location: Location = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"{self.alias}.{self.column}" if self.alias else self.column


@dataclass(frozen=True)
class Condition:
    """`column` equals one of `values` (None is NULL), or none of them when negated."""

    column: Ref
    values: tuple[Scalar, ...]
    negated: bool = False


@dataclass(frozen=True)
class InboundColumn:
    """How one entity column comes from the source row: exactly one of source, sql, constant."""

    name: str
    source: str | None = None
    sql: str | None = None
    constant: Scalar = None
    transforms: tuple[str, ...] = ()
    lookup: str | None = None
    zero_is_null: bool = False
    if_null: Scalar = None
    sources: tuple[str, ...] = ()
    location: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Inbound:
    """One source table feeding one entity."""

    name: str
    system: str
    table: TableName
    key: Mapping[str, Location]
    entity: str
    where: tuple[Condition, ...]
    columns: Mapping[str, InboundColumn]
    ignore: Mapping[str, Location]
    ignore_if_present: Mapping[str, Location]
    location: Location = field(default=NOWHERE, compare=False)
    table_location: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Join:
    """A joined entity, at most one row of it; `on` pairs its columns with columns known earlier."""

    alias: str
    entity: str
    on: tuple[tuple[str, Ref], ...]
    where: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    location: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class OutboundColumn:
    """How one target column comes from staging: a reference or a constant."""

    name: str
    ref: Ref | None = None
    constant: Scalar = None
    lookup: str | None = None
    transforms: tuple[str, ...] = ()
    if_null: Scalar = None
    location: Location = field(default=NOWHERE, compare=False)


class OnDelete(StrEnum):
    """What happens to a target row whose root row was deleted."""

    DELETE = "delete"
    IGNORE = "ignore"
    DEACTIVATE = "deactivate"


@dataclass(frozen=True)
class Outbound:
    """One target table written from a root entity and what is joined to it."""

    name: str
    system: str
    table: TableName
    sink: str
    key: Mapping[str, Ref]
    root: str
    joins: tuple[Join, ...]
    where: tuple[Condition, ...]
    columns: Mapping[str, OutboundColumn]
    require: tuple[Ref, ...]
    on_delete: OnDelete
    deactivate_column: str | None
    insert: bool = True
    location: Location = field(default=NOWHERE, compare=False)
    table_location: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class RuleSet:
    """A loaded and checked rule set; `files` holds every text by path, `digest` their SHA-256."""

    name: str
    digest: str
    files: Mapping[str, str]
    systems: Mapping[str, SystemRules]
    entities: Mapping[str, Entity]
    lookups: Mapping[str, Lookup]
    inbound: tuple[Inbound, ...]
    outbound: tuple[Outbound, ...]

    def rules_of(self, system: str) -> tuple[Inbound, ...]:
        """The inbound rules of one system, by file name."""
        return tuple(rule for rule in self.inbound if rule.system == system)
