"""Inbound rules as programs: change frames in, typed entity rows out.

Columnar throughout: one program runs the expressions of its `mapping_rules.compiled.plan` over a whole
frame. A row that cannot be mapped is rejected with its reason, see `mapping_rules.compiled.rejections`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from cdc.changes import SourceTable, TableChanges, TableName
from cdc.ports import ColumnsRead
from mapping_rules.checks.inbound_checks import used_columns
from mapping_rules.compiled.images import IS_TRUNCATE, Shapes
from mapping_rules.compiled.plan import FAILED, OLD, RAW, VALUE, Plan, make_plan, sql_text
from mapping_rules.compiled.rejections import Rejections
from mapping_rules.compiled.values import Site
from mapping_rules.language.expressions import evaluate
from mapping_rules.language.model import Entity, Inbound, Lookup, RuleSet
from mapping_rules.language.reasons import Reason

INDEX = "row"
BAD = "bad"
TRAILING: Mapping[str, Any] = {
    "source_position": pl.Int64(),
    "source_ordinal": pl.Int64(),
    "committed_at": pl.Datetime("us", "UTC"),
    "operation": pl.String(),
    "tombstone": pl.Boolean(),
    "absent": pl.List(pl.String()),
    "former": pl.List(pl.String()),
    "reread": pl.Boolean(),
}
_META = (
    pl.col("position").alias("source_position"),
    pl.col("ordinal").alias("source_ordinal"),
    pl.col("committed_at"),
    pl.col("operation"),
)
MAX_PLANS = 64
Place = tuple[int, int]
"""Position and ordinal of a change."""


@dataclass(frozen=True)
class Mapped:
    """What one rule made of one frame, in stream order, every version of a row.

    `rows`: every entity column, typed; then source_position, source_ordinal, committed_at,
    operation, tombstone, and absent: names of the columns this change does not know (the staged
    value stays), or null. A tombstone holds the key only. For rows with absent columns alone: `former` is
    the entity key, as texts, that the row had before this change moved it, else null; `reread` is true
    where the staged row cannot tell them, as it may be of another source row or older than this change.
    `rejected`: see `mapping_rules.compiled.rejections`.
    """

    entity: Entity
    rule: str
    rows: pl.DataFrame
    rejected: pl.DataFrame


@dataclass(frozen=True)
class InboundProgram:
    """One inbound rule, compiled for one system."""

    rule: Inbound
    entity: Entity
    lookups: Mapping[str, Lookup]
    site: Site
    _plans: dict[tuple[SourceTable, Shapes, frozenset[str]], Plan] = field(
        default_factory=dict, repr=False, compare=False
    )

    def apply(
        self, changes: TableChanges, *, unknown: Collection[Place] = (), gone: Collection[Place] = ()
    ) -> Mapped:
        """Map the changes of one table.

        Args:
            changes: of the rule's table.
            unknown: position and ordinal of changes with absent columns that are found nowhere: those that
                would give a row are rejected.
            gone: changes whose row is no longer in the source: where `where` cannot be decided they are
                not rejected, the row's end will come.

        An update that moves a key gives a tombstone for the old key, then a row for the new one. A
        row that stops matching `where` gives a tombstone, one that never matched gives nothing.

        Raises:
            TableChanged: the table does not have a column that the rule reads.
        """
        plan = self._plan(changes)
        frame = changes.frame.with_row_index(INDEX)
        unclear = pl.lit(False) if plan.undecidable is None else plan.undecidable
        sides = frame.select_seq(lives=plan.lives, ended=plan.ended, emptied=IS_TRUNCATE, unclear=unclear)
        rejections = Rejections(self.rule, changes, plan)
        if unknown or gone:
            sides = self._without(frame, sides, unknown, gone, rejections)
        self._reject(frame, sides, plan, rejections)
        if plan.unreadable is not None:
            unread = frame.with_columns(reason=plan.unreadable).drop_nulls("reason")
            for (reason,), rows in unread.group_by("reason", maintain_order=True):
                keys = self._former_keys(rows, plan)
                rejections.add_rows(rows[INDEX], Reason.UNREADABLE_VALUE, str(reason), keys)
        live = self._live(_only(frame, sides["lives"]), plan, rejections)
        if not sides["ended"].any():
            return Mapped(self.entity, self.rule.name, live.drop(INDEX), rejections.frame(frame))
        ended = self._gone(_only(frame, sides["ended"]), plan, rejections)
        rows = pl.concat([ended, live]).sort(INDEX, maintain_order=True)
        if self._shares_keys:
            rows = self._remaining(rows, frame, plan)
        return Mapped(self.entity, self.rule.name, rows.drop(INDEX), rejections.frame(frame))

    def _plan(self, changes: TableChanges) -> Plan:
        key = (changes.table, Shapes.of(changes), changes.unreadable)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            plan = make_plan(self.rule, self.entity, self.lookups, self.site, *key)
            self._plans[key] = plan
        return plan

    @property
    def _shares_keys(self) -> bool:
        """Whether several source rows may stand behind one entity key, one of them at a time."""
        return {self.rule.columns[name].source for name in self.entity.key} != set(self.rule.key)

    def _without(
        self,
        frame: pl.DataFrame,
        sides: pl.DataFrame,
        unknown: Collection[Place],
        gone: Collection[Place],
        rejections: Rejections,
    ) -> pl.DataFrame:
        """The sides without rows rejected for an unknown value, and without undecided ones that are gone."""
        places = list(zip(frame["position"], frame["ordinal"], strict=True))
        left_out = pl.Series([place in gone for place in places], dtype=pl.Boolean)
        rejected = pl.Series([place in unknown for place in places], dtype=pl.Boolean) & sides["lives"]
        reason = (
            "a column that the change left alone is not in the log, not in staging, and could not be read "
            "again, expected the source to log whole rows"
        )
        rejections.add_rows(frame.filter(rejected)[INDEX], Reason.VALUE_NOT_IN_LOG, reason)
        return sides.with_columns(lives=sides["lives"] & ~rejected, unclear=sides["unclear"] & ~left_out)

    def _reject(self, frame: pl.DataFrame, sides: pl.DataFrame, plan: Plan, rejections: Rejections) -> None:
        if sides["emptied"].any():
            reason = "the table was emptied, which rules cannot map row by row"
            rejections.add_rows(frame.filter(sides["emptied"])[INDEX], Reason.TRUNCATE, reason)
        if sides["unclear"].any():
            names = ", ".join(dict.fromkeys([*(str(one.column) for one in self.rule.where), *self.rule.key]))
            reason = f"`where` and key read {names}, not in the log, expected the source to log the whole row"
            rows = frame.filter(sides["unclear"])
            keys = self._former_keys(rows, plan)
            rejections.add_rows(rows[INDEX], Reason.WHERE_UNKNOWN, reason, keys)

    def _live(self, rows: pl.DataFrame, plan: Plan, rejections: Rejections) -> pl.DataFrame:
        absent = _absent_list(plan)
        texts = rows.select_seq(
            INDEX,
            *_META,
            *plan.raw.values(),
            absent.alias("absent"),
            former=pl.lit(None, dtype=pl.List(pl.String)),
            reread=pl.lit(None, dtype=pl.Boolean),
        )
        if plan.absent and texts["absent"].null_count() < texts.height:
            is_incomplete = pl.col("absent").is_not_null()
            texts = texts.with_columns_seq(
                self._former(rows, plan), self._reread(rows, plan)
            ).with_columns_seq(pl.when(is_incomplete).then(pl.col("former", "reread")))
        for name, columns in plan.sql.items():
            sql = sql_text(self.rule.columns[name].sql or "")
            text, failed = evaluate(rows.select_seq(columns.values()), sql)
            texts = texts.with_columns_seq(text.alias(RAW + name), failed.alias(FAILED + name))
        values = texts.with_columns_seq(plan.values.values()).with_columns_seq(plan.bad.alias(BAD))
        if values[BAD].any():
            rejections.add_column_rejections(values.filter(BAD))
            values = values.filter(~pl.col(BAD))
        return values.select_seq(INDEX, *_known_only(plan), *_trailing(tombstone=False))

    def _former(self, rows: pl.DataFrame, plan: Plan) -> pl.Series:
        """The entity key before the change, as texts, where it is another one now."""
        moved = rows.select_seq(moved=plan.moved)["moved"]
        if not moved.any():
            return pl.Series("former", [None] * rows.height, dtype=pl.List(pl.String))
        keys = self._former_keys(rows, plan)
        texts = keys.select_seq(pl.concat_list(pl.col(self.entity.key).cast(pl.String)).alias("former"))
        return texts.select_seq(pl.when(moved).then(pl.col("former")).alias("former"))["former"]

    def _former_keys(self, rows: pl.DataFrame, plan: Plan) -> pl.DataFrame:
        """The entity key of each row before its change, typed."""
        keys = rows.select_seq(plan.old_raw.values()).with_columns_seq(plan.old_values.values())
        return keys.select_seq(pl.col(VALUE + name).alias(name) for name in self.entity.key)

    def _reread(self, rows: pl.DataFrame, plan: Plan) -> pl.Series:
        """Where staged values cannot be used: a torn expression, or a key that several source rows share."""
        torn = pl.lit(False) if plan.torn is None else plan.torn
        found = rows.select_seq(torn.alias("reread"))["reread"]
        if found.len() != rows.height:  # a literal
            found = found.new_from_index(0, rows.height)
        return (found | self._shares_keys).alias("reread")

    def _gone(self, rows: pl.DataFrame, plan: Plan, rejections: Rejections) -> pl.DataFrame:
        keys = rows.select_seq(INDEX, *_META, *plan.old_raw.values()).with_columns_seq(
            plan.old_values.values()
        )
        unknown = pl.any_horizontal([pl.col(VALUE + name).is_null() for name in self.entity.key])
        without = keys.filter(unknown & (pl.col("operation") == "d"))
        if not without.is_empty():
            names = ", ".join(self.rule.key)
            reason = f"found no key {names} of the deleted row, expected the source to log it"
            rejections.add_rows(without[INDEX], Reason.NULL_KEY, reason)
        empty = [
            pl.lit(None, dtype=column.type.polars).alias(name)
            if name not in self.entity.key
            else pl.col(VALUE + name).alias(name)
            for name, column in self.entity.columns.items()
        ]
        no_list = pl.lit(None, dtype=pl.List(pl.String))
        return (
            keys.filter(~unknown)
            .with_columns_seq(absent=no_list, former=no_list, reread=pl.lit(None, dtype=pl.Boolean))
            .select_seq(INDEX, *empty, *_trailing(tombstone=True))
        )

    def _remaining(self, rows: pl.DataFrame, frame: pl.DataFrame, plan: Plan) -> pl.DataFrame:
        """Where source rows share an entity key, the one left at the transaction's end counts.

        Which of two rows is changed first within a transaction is chance: a name that stops being
        the primary one must not delete the name that has just become it.
        """
        key = list(self.entity.key)
        named = {name: f"{OLD}{name}" for name in self.rule.key}
        old = frame.select_seq(INDEX, *[expr.alias(named[name]) for name, expr in plan.source_key.items()])
        new = frame.select_seq(INDEX, *[plan.new_key[name].alias(named[name]) for name in self.rule.key])
        events = pl.concat(
            [
                rows.filter("tombstone").join(old, on=INDEX, how="left", maintain_order="left"),
                rows.filter(~pl.col("tombstone")).join(new, on=INDEX, how="left", maintain_order="left"),
            ]
        ).sort(INDEX, maintain_order=True)
        row = ["source_position", *named.values()]
        ends_live = ~pl.col("tombstone").last().over(row)
        some_live = ends_live.any().over(["source_position", *key])
        return events.filter(ends_live | ~some_live).drop(named.values())


def _only(frame: pl.DataFrame, chosen: pl.Series) -> pl.DataFrame:
    """The chosen rows; mostly all of them, which costs nothing."""
    return frame if chosen.all() else frame.filter(chosen)


def _known_only(plan: Plan) -> list[pl.Expr]:
    """Final values; an absent column has none, whatever `if_null` says."""
    return [
        pl.when(~pl.col("absent").list.contains(name).fill_null(False)).then(value).alias(name)
        if name in plan.absent
        else value
        for name, value in plan.final.items()
    ]


def _absent_list(plan: Plan) -> pl.Expr:
    if not plan.absent:
        return pl.lit(None, dtype=pl.List(pl.String))
    names = pl.concat_list([pl.when(absent).then(pl.lit(name)) for name, absent in plan.absent.items()])
    held = names.list.drop_nulls()
    return pl.when(held.list.len() > 0).then(held)


def _trailing(*, tombstone: bool) -> list[pl.Expr]:
    return [pl.lit(tombstone).alias(name) if name == "tombstone" else pl.col(name) for name in TRAILING]


def captured_tables(rule_set: RuleSet, system: str) -> tuple[TableName, ...]:
    """The tables of `system` that its inbound rules read, sorted."""
    return tuple(sorted({rule.table for rule in rule_set.rules_of(system)}))


def columns_read(rule_set: RuleSet, system: str) -> Mapping[TableName, ColumnsRead]:
    """What the inbound rules of `system` read of each captured table."""
    read: dict[TableName, ColumnsRead] = {}
    for rule in rule_set.rules_of(system):
        entity_key = (rule.columns[name] for name in rule_set.entities[rule.entity].key)
        deciding = {*rule.key, *(condition.column.column for condition in rule.where)}
        deciding |= {source for column in entity_key for source in column.sources}
        known = read.get(rule.table, ColumnsRead(frozenset(), frozenset()))
        read[rule.table] = ColumnsRead(
            known.names | used_columns(rule), known.deciding | deciding, known.key | set(rule.key)
        )
    return read


def ignored_columns(rule_set: RuleSet, system: str) -> Mapping[TableName, frozenset[str]]:
    """Columns of each captured table that all its rules ignore, secrets of the source among them."""
    ignored: dict[TableName, frozenset[str]] = {}
    for rule in rule_set.rules_of(system):
        names = frozenset((*rule.ignore, *rule.ignore_if_present))
        ignored[rule.table] = ignored.get(rule.table, names) & names
    return ignored


def compile_inbound(
    rule_set: RuleSet, system: str, *, kind: Literal["oracle", "postgres"], time_zone: str
) -> Mapping[TableName, tuple[InboundProgram, ...]]:
    """The programs of each captured table of `system`.

    Args:
        rule_set: a loaded rule set.
        system: name of the source system.
        kind: what database it is.
        time_zone: zone in which its dates and times without zone are meant.
    """
    programs: dict[TableName, tuple[InboundProgram, ...]] = {}
    for rule in rule_set.rules_of(system):
        conventions = rule_set.systems[system].conventions
        site = Site(conventions, time_zone, may_hold_nul=kind == "oracle")
        program = InboundProgram(rule, rule_set.entities[rule.entity], rule_set.lookups, site)
        programs[rule.table] = (*programs.get(rule.table, ()), program)
    return programs
