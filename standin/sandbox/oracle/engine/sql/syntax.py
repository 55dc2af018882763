"""What a statement says: the tree between the readers and the planners."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.oracle.interface import Cell, DbType


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; text literals are of type CHAR."""

    cell: Cell
    type: DbType


@dataclass(frozen=True, slots=True)
class BindRef:
    """A placeholder by its place among all occurrences in the text."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A possibly qualified name; `outer` marks the (+) of an outer join."""

    parts: tuple[str, ...]
    outer: bool = False


@dataclass(frozen=True, slots=True)
class Star:
    """`*` or `alias.*`."""

    qualifier: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The OVER clause of an analytic function."""

    partition: tuple[Expression, ...]
    order: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function by its (possibly dotted) name."""

    name: str
    args: tuple[Expression, ...]
    distinct: bool = False
    over: Window | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic or concatenation: + - * / ||."""

    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Case:
    """CASE; with an operand its branches are values to compare with."""

    operand: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


@dataclass(frozen=True, slots=True)
class TypeName:
    """A type as written: VARCHAR2(30 CHAR), NUMBER(15,2), DATE."""

    name: str
    numbers: tuple[int, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Cast:
    """CAST(operand AS type)."""

    operand: Expression
    type: TypeName


@dataclass(frozen=True, slots=True)
class Subquery:
    """A query in parentheses used as a value."""

    query: Query


@dataclass(frozen=True, slots=True)
class RowValue:
    """(a, b, ...) on a side of = or IN."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """left = <> < <= > >= right."""

    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Between:
    """Operand between low and high, both included."""

    operand: Expression
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class InList:
    """Operand in (a, b, ...)."""

    operand: Expression
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class InQuery:
    """Operand in (select ...)."""

    operand: Expression
    query: Query


@dataclass(frozen=True, slots=True)
class Like:
    """Operand like pattern escape mark."""

    operand: Expression
    pattern: Expression
    escape: Expression | None


@dataclass(frozen=True, slots=True)
class IsNull:
    """Operand is null."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Exists:
    """exists (select ...)."""

    query: Query


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Logical:
    """AND or OR of two or more conditions."""

    word: str
    items: tuple[Expression, ...]


Expression = (
    Literal
    | BindRef
    | ColumnRef
    | Star
    | Call
    | Binary
    | Negate
    | Case
    | Cast
    | Subquery
    | RowValue
    | Compare
    | Between
    | InList
    | InQuery
    | Like
    | IsNull
    | Exists
    | Not
    | Logical
)


@dataclass(frozen=True, slots=True)
class Order:
    """One ORDER BY item; `nulls_first` None means Oracle's default (last when ascending)."""

    expression: Expression
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table or view in FROM."""

    owner: str | None
    name: str
    alias: str
    as_of: Expression | None = None


@dataclass(frozen=True, slots=True)
class QuerySource:
    """An inline view."""

    query: Query
    alias: str


@dataclass(frozen=True, slots=True)
class Join:
    """ANSI join; kind is inner, left, right, full or cross."""

    kind: str
    left: Source
    right: Source
    on: Expression | None
    using: tuple[str, ...] = ()


Source = TableSource | QuerySource | Join


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a select list; `text` names a column without alias."""

    expression: Expression
    alias: str | None
    text: str


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """One name of a WITH clause; `columns` are its own names for them, if it has any."""

    name: str
    query: Query
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Select:
    """A query block."""

    items: tuple[Item, ...]
    sources: tuple[Source, ...]
    distinct: bool = False
    where: Expression | None = None
    group: tuple[Expression, ...] = ()
    having: Expression | None = None
    order: tuple[Order, ...] = ()
    offset: Expression | None = None
    limit: Expression | None = None
    for_update: bool = False
    no_wait: bool = False
    skip_locked: bool = False
    wait: str = ""
    named: tuple[NamedQuery, ...] = ()


@dataclass(frozen=True, slots=True)
class SetQuery:
    """UNION, UNION ALL, MINUS, INTERSECT of two queries."""

    word: str
    left: Query
    right: Query
    order: tuple[Order, ...] = ()
    offset: Expression | None = None
    limit: Expression | None = None
    named: tuple[NamedQuery, ...] = ()


Query = Select | SetQuery


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert of values or of a query."""

    table: TableSource
    columns: tuple[str, ...]
    values: tuple[Expression | None, ...] = ()
    query: Query | None = None
    returning: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Update; an assignment may take several columns from one query."""

    table: TableSource
    assignments: tuple[tuple[tuple[str, ...], Expression | None], ...]
    where: Expression | None
    returning: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete."""

    table: TableSource
    where: Expression | None
    returning: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge with its two branches, each of them optional."""

    table: TableSource
    source: Source
    on: Expression
    assignments: tuple[tuple[tuple[str, ...], Expression | None], ...] = ()
    update_where: Expression | None = None
    delete_where: Expression | None = None
    columns: tuple[str, ...] = ()
    values: tuple[Expression | None, ...] = ()
    insert_where: Expression | None = None


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """A column as CREATE or ALTER TABLE writes it."""

    name: str
    type: TypeName
    nullable: bool = True
    default: Expression | None = None
    primary: bool = False
    unique: bool = False
    identity: bool = False
    invisible: bool = False
    references: Constraint | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """A table constraint: kind is primary, unique, foreign or check.

    A foreign one names the table that it refers to, and its ON DELETE rule.
    """

    kind: str
    name: str | None
    columns: tuple[str, ...] = ()
    enabled: bool = True
    validated: bool = True
    table: tuple[str | None, str] | None = None
    delete_rule: str = "NO ACTION"


@dataclass(frozen=True, slots=True)
class Supplemental:
    """Supplemental logging on or off: level is ALL, PRIMARY KEY, UNIQUE, MIN or a group of columns."""

    add: bool
    level: str
    columns: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True, slots=True)
class CreateTable:
    """Create table; with a query its rows are copied."""

    owner: str | None
    name: str
    columns: tuple[ColumnDefinition, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    query: Query | None = None
    temporary: bool = False
    supplemental: tuple[Supplemental, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()
    row_archival: bool = False
    cluster: tuple[str | None, str] | None = None


@dataclass(frozen=True, slots=True)
class Modification:
    """What MODIFY changes of a column; `nullable` None where it says nothing."""

    name: str
    type: TypeName | None
    nullable: bool | None = None
    default: Expression | None = None
    new_default: bool = False


@dataclass(frozen=True, slots=True)
class AlterTable:
    """Alter table: whatever of it was asked for."""

    owner: str | None
    name: str
    add: tuple[ColumnDefinition, ...] = ()
    modify: tuple[Modification, ...] = ()
    drop: tuple[str, ...] = ()
    rename_column: tuple[str, str] | None = None
    rename_to: str | None = None
    constraints: tuple[Constraint, ...] = ()
    drop_constraint: str | None = None
    supplemental: tuple[Supplemental, ...] = ()
    unused: tuple[str, ...] = ()
    rename_constraint: tuple[str, str] | None = None
    exchange: tuple[str | None, str] | None = None
    split: tuple[str, ...] = ()
    key_state: Constraint | None = None


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """Create index."""

    owner: str | None
    name: str
    table_owner: str | None
    table: str
    columns: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """Grant or revoke; `object` None means system privileges or roles, `container` ALL or CURRENT."""

    grant: bool
    privileges: tuple[str, ...]
    object: tuple[str | None, str] | None
    grantees: tuple[str, ...]
    container: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """Any other statement we know: its name and its operands."""

    word: str
    names: tuple[str | None, ...] = ()
    options: dict[str, str] = field(default_factory=dict)


Statement = (
    Select
    | SetQuery
    | Insert
    | Update
    | Delete
    | Merge
    | CreateTable
    | AlterTable
    | CreateIndex
    | Grant
    | Supplemental
    | Command
)
