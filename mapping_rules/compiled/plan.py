"""The expressions of one inbound rule for one kind of change frame.

Built once for a table and the shapes of its images, then used for every such frame.
`mapping_rules.compiled.inbound` runs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import chain

import polars as pl

from cdc.changes import SourceTable, SourceType
from mapping_rules.checks.inbound_checks import used_columns
from mapping_rules.compiled.images import IS_DELETE, IS_TRUNCATE, IS_UPDATE, Images, Shapes
from mapping_rules.compiled.values import RejectionCase, Site, Typed, switch_texts, translated, typed_value
from mapping_rules.language.constants import typed
from mapping_rules.language.expressions import compiled
from mapping_rules.language.model import Condition, Entity, Inbound, InboundColumn, Kind, Lookup
from mapping_rules.language.reasons import Reason
from mapping_rules.language.transforms import TRANSFORMS

RAW = "raw."
VALUE = "value."
OLD = "old."
FAILED = "failed."


@dataclass(frozen=True)
class Plan:
    """Expressions over the change frame, unless said otherwise.

    Args:
        lives: the row is in the entity after the change.
        ended: a row was, or may have been, in the entity before the change and no longer is, under
            its old key.
        undecidable: `where` or the key reads a column that is absent; None where that cannot be.
        unreadable: why a column that is needed could not be read, null where all were; None where all always
            were.
        moved: an entity key column changed.
        torn: some of the columns that one SQL expression reads are absent and others are not, so its
            former result is not its result now; None where that cannot be.
        raw: normalised text of each entity column that is neither a constant nor an SQL expression.
        sql: for each SQL expression the normalised columns it reads, under their own names.
        old_raw: text of each entity key column before the change.
        values, final, rejections: over a frame with the raw texts: typed values, the values to
            stage, and per column what is wrong.
        old_values: typed key before the change, over a frame with the old texts.
        bad: over a frame with texts and values: any of the rejections; cheaper than asking each.
        absent: for each entity column that can be, whether it is absent.
        source_key, new_key: text of each source key column before and after the change.
    """

    lives: pl.Expr
    ended: pl.Expr
    undecidable: pl.Expr | None
    unreadable: pl.Expr | None
    moved: pl.Expr
    torn: pl.Expr | None
    raw: Mapping[str, pl.Expr]
    sql: Mapping[str, Mapping[str, pl.Expr]]
    old_raw: Mapping[str, pl.Expr]
    values: Mapping[str, pl.Expr]
    final: Mapping[str, pl.Expr]
    rejections: Mapping[str, tuple[RejectionCase, ...]]
    bad: pl.Expr
    old_values: Mapping[str, pl.Expr]
    absent: Mapping[str, pl.Expr]
    source_key: Mapping[str, pl.Expr]
    new_key: Mapping[str, pl.Expr]


def make_plan(
    rule: Inbound,
    entity: Entity,
    lookups: Mapping[str, Lookup],
    site: Site,
    table: SourceTable,
    shapes: Shapes,
    unreadable: frozenset[str] = frozenset(),
) -> Plan:
    """The plan of `rule` for frames of `table` with these shapes and columns that could not always be read.

    Raises:
        TableChanged: the table does not have a column that the rule reads.
    """
    images = Images(table, shapes, site, unreadable)
    columns = [rule.columns[name] for name in entity.columns]
    values: dict[str, Typed] = {c.name: _typed(c, entity, lookups, images) for c in columns}
    absent = {c.name: found for c in columns if (found := _absent(c, images)) is not None}
    deciding = dict.fromkeys([*(c.column.column for c in rule.where), *rule.key])
    unclear = _any(images.absent_after(name) for name in deciding)
    sources = {name: rule.columns[name].source or "" for name in entity.key}
    raw = {c.name: _raw(c, images) for c in columns if c.source}
    old_raw = {
        name: images.normal(images.old_key(source), source).alias(OLD + name)
        for name, source in sources.items()
    }
    matches = _all([_holds(c, images.known_after(c.column.column), images) for c in rule.where])
    matched = _all([_known_or_true(condition, images) for condition in rule.where])
    decided = matches if unclear is None else matches & ~unclear
    left = ~matches if unclear is None else ~matches & ~unclear
    moved = pl.any_horizontal([old_raw[name].ne_missing(raw[name]) for name in sources])
    lives = ~IS_DELETE & ~IS_TRUNCATE & decided
    unread = _unread(rule, images, lives)
    if unread is not None:
        lives, left = lives & unread.is_null(), left & unread.is_null()
    ended = matched & (IS_DELETE | (IS_UPDATE & (left | moved)))
    ended &= ~pl.any_horizontal([_too_long(old_raw[name], entity) for name in sources])
    never = images.unread_before({*sources.values(), *rule.key})
    if never is not None:  # under such a key no row was staged
        ended &= ~never
    groups = {c.name: _rejection_groups(c, entity, values[c.name]) for c in columns}
    wrong = [group[-1].when.fill_null(False) for of_column in groups.values() for group in of_column]
    return Plan(
        lives=lives,
        ended=ended,
        undecidable=unclear,
        unreadable=unread,
        moved=IS_UPDATE & moved,
        torn=_any(_torn(c, images) for c in columns),
        raw=raw,
        sql={c.name: _sql_columns(c, images) for c in columns if c.sql},
        old_raw=old_raw,
        values={name: one.value.alias(VALUE + name) for name, one in values.items()},
        final={c.name: _final(c, entity) for c in columns},
        rejections={name: tuple(chain(*of_column)) for name, of_column in groups.items()},
        bad=pl.any_horizontal(wrong),
        old_values={
            name: typed_value(
                pl.col(OLD + name), images.source_type(source), entity.columns[name].type, site
            ).value.alias(VALUE + name)
            for name, source in sources.items()
        },
        absent=absent,
        source_key={name: images.old_key(name).alias(name) for name in rule.key},
        new_key={name: images.known_after(name).alias(name) for name in rule.key},
    )


def _unread(rule: Inbound, images: Images, lives: pl.Expr) -> pl.Expr | None:
    """Why a row cannot be mapped: what decides about it, or what it is made of, could not be read."""
    conditions = {condition.column.column for condition in rule.where}
    deciding = images.unread_after(sorted(conditions))
    others = images.unread_after(sorted(used_columns(rule) - conditions))
    if others is not None:
        others = pl.when(lives).then(others)
    if deciding is None:
        return others
    deciding = pl.when(~IS_DELETE & ~IS_TRUNCATE).then(deciding)
    return deciding if others is None else pl.coalesce(deciding, others)


def _all(conditions: list[pl.Expr]) -> pl.Expr:
    return reduce(lambda a, b: a & b, conditions, pl.lit(True))


def _holds(condition: Condition, text: pl.Expr, images: Images) -> pl.Expr:
    column = condition.column.column
    normal = images.normal(text, column)
    yes, no = switch_texts(images.source_type(column), images.site)
    texts = [
        (yes if value else no) if isinstance(value, bool) else str(value)
        for value in condition.values
        if value is not None
    ]
    holds = normal.is_in(pl.Series(texts, dtype=pl.String).implode()).fill_null(False)
    if None in condition.values:
        holds = holds | normal.is_null()
    return ~holds if condition.negated else holds


def _known_or_true(condition: Condition, images: Images) -> pl.Expr:
    """Before the change; a row of which it is not known may have matched."""
    column = condition.column.column
    held = _holds(condition, images.before(column), images)
    unknown = images.absent_before(column)
    return held if unknown is None else held | unknown


def _raw(column: InboundColumn, images: Images) -> pl.Expr:
    source = column.source or ""
    text = images.normal(images.known_after(source), source)
    if not column.transforms:
        return text.alias(RAW + column.name)
    for name in column.transforms:
        apply = TRANSFORMS[name].polars
        text = apply(text) if apply else text
    return images.normal(text, source).alias(RAW + column.name)


def _sql_columns(column: InboundColumn, images: Images) -> Mapping[str, pl.Expr]:
    return {name: images.normal(images.known_after(name), name).alias(name) for name in column.sources}


def _absent(column: InboundColumn, images: Images) -> pl.Expr | None:
    return _any(map(images.absent_after, column.sources))


def _torn(column: InboundColumn, images: Images) -> pl.Expr | None:
    absent = [images.absent_after(source) for source in column.sources]
    some = _any(absent)
    if some is None or len(absent) < 2:
        return None
    return some & ~_all([one if one is not None else pl.lit(False) for one in absent])


def _any(conditions: Iterable[pl.Expr | None]) -> pl.Expr | None:
    """Whether any holds; None where none can."""
    found = [condition for condition in conditions if condition is not None]
    return reduce(lambda a, b: a | b, found) if found else None


def _typed(column: InboundColumn, entity: Entity, lookups: Mapping[str, Lookup], images: Images) -> Typed:
    target = entity.columns[column.name]
    if column.constant is not None:
        constant = pl.lit(typed(column.constant, target.type), dtype=target.type.polars)
        return Typed(constant, lambda _raw, _value: [])
    raw = pl.col(RAW + column.name)
    lookup = column.lookup or target.lookup
    if lookup:
        return translated(raw, lookups[lookup], target.type)
    source = images.source_type(column.source) if column.source else _sql_type(column.sql or "")
    return typed_value(raw, source, target.type, images.site)


def _sql_type(sql: str) -> SourceType:
    """Kind of the text that a SQL expression's result is turned into."""
    expression = compiled(sql)
    columns = dict.fromkeys(expression.meta.root_names(), pl.String)
    found = pl.LazyFrame(schema=columns).select(result=expression).collect_schema()["result"]
    if found == pl.Boolean:
        return SourceType.BOOLEAN
    if found == pl.Date:
        return SourceType.DATE
    if isinstance(found, pl.Datetime):
        return SourceType.TIMESTAMP_TZ if found.time_zone else SourceType.TIMESTAMP
    return SourceType.NUMBER if found.is_numeric() else SourceType.TEXT


def sql_text(sql: str) -> pl.Expr:
    """The result of a SQL expression as text in the canonical form of its type."""
    expression, kind = compiled(sql), _sql_type(sql)
    if kind is SourceType.BOOLEAN:
        return pl.when(expression).then(pl.lit("t")).when(~expression).then(pl.lit("f"))
    if kind is SourceType.TIMESTAMP:
        return expression.dt.to_string("%Y-%m-%d %H:%M:%S%.6f")
    if kind is SourceType.TIMESTAMP_TZ:
        return expression.dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%d %H:%M:%S%.6f") + "+00"
    return expression.cast(pl.String)


def _final(column: InboundColumn, entity: Entity) -> pl.Expr:
    value = pl.col(VALUE + column.name)
    if column.zero_is_null:
        value = pl.when(value != 0).then(value)
    if column.if_null is not None:
        target = entity.columns[column.name].type
        value = value.fill_null(pl.lit(typed(column.if_null, target), dtype=target.polars))
    return value.alias(column.name)


MAX_KEY_BYTES = 2_000
"""An index of PostgreSQL holds rows of up to a third of a page, 2,704 bytes; a history adds a time."""


def longest_key(entity: Entity) -> int:
    """Bytes that a text in the key of an entity, or one that refers to another, may have at most."""
    texts = sum(entity.columns[name].type.kind is Kind.TEXT for name in entity.key)
    return MAX_KEY_BYTES // max(texts, 1)


def _too_long(raw: pl.Expr, entity: Entity) -> pl.Expr:
    return (raw.str.len_bytes() > longest_key(entity)).fill_null(False)


def _rejection_groups(column: InboundColumn, entity: Entity, value: Typed) -> list[list[RejectionCase]]:
    """What can be wrong with a column; the last of each group holds wherever one of the group does."""
    groups = []
    if column.sql:
        reason = "the SQL expression stops at this row, expected a value or null"
        groups.append([RejectionCase(pl.col(FAILED + column.name), Reason.SQL_FAILED, reason)])
    if column.constant is None:
        groups.append(value.rejections(pl.col(RAW + column.name), pl.col(VALUE + column.name)))
    if column.name in entity.key:
        reason = "found no value, expected one in a key column"
        groups.append([RejectionCase(pl.col(VALUE + column.name).is_null(), Reason.NULL_KEY, reason)])
    is_indexed = column.name in entity.key or entity.columns[column.name].references is not None
    if is_indexed and column.constant is None and entity.columns[column.name].type.kind is Kind.TEXT:
        reason = f"found text of more than {longest_key(entity)} bytes, expected one that can be indexed"
        too_long = _too_long(pl.col(RAW + column.name), entity)
        groups.append([RejectionCase(too_long, Reason.VALUE_TOO_LONG, reason)])
    return [group for group in groups if group]
