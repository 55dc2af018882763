"""Rows that a rule cannot map, with the reason and everything needed to repair and replay them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from cdc.changes import AFTER, BEFORE, TableChanges
from mapping_rules.compiled.images import IS_DELETE
from mapping_rules.compiled.plan import VALUE, Plan
from mapping_rules.language.model import Inbound
from mapping_rules.language.reasons import Reason

REJECTION_SCHEMA: Mapping[str, Any] = {
    "source_position": pl.Int64(),
    "source_ordinal": pl.Int64(),
    "committed_at": pl.Datetime("us", "UTC"),
    "operation": pl.String(),
    "source_key": pl.String(),
    "entity_key": pl.String(),
    "reason_code": pl.String(),
    "reason": pl.String(),
    "raw": pl.String(),
}
"""Columns of `Mapped.rejected`.

`source_key`, `entity_key` and `raw` are JSON objects; `entity_key` is null where it cannot be made,
`raw` is the after image (before for deletes) without absent columns and without those that the rule
ignores, which may be secrets. `reason` holds no value.
"""

_NONE = pl.DataFrame(schema=REJECTION_SCHEMA)
_INDEX = "row"
_FOUND: Mapping[str, Any] = {
    _INDEX: pl.UInt32(),
    "entity_key": pl.String(),
    "reason_code": pl.String(),
    "reason": pl.String(),
}


class Rejections:
    """Collects rejected rows of one frame; a row counts once, with its first reason."""

    def __init__(self, rule: Inbound, changes: TableChanges, plan: Plan) -> None:
        self._rule, self._changes, self._plan = rule, changes, plan
        self._found: list[pl.DataFrame] = []

    def add_rows(self, index: pl.Series, code: Reason, reason: str, keys: pl.DataFrame | None = None) -> None:
        """Reject the rows with these indexes; `keys` are their entity keys, typed, where known."""
        if index.is_empty():
            return
        key: pl.Series | pl.Expr = pl.lit(None, dtype=pl.String).alias("entity_key")
        if keys is not None:
            known = pl.all_horizontal(pl.all().is_not_null())
            key = keys.select(
                pl.when(known).then(pl.struct(pl.all()).struct.json_encode()).alias("entity_key")
            )["entity_key"]
        texts = {"reason_code": code.value, "reason": f"{self._rule.table}: {reason}"}
        self._found.append(
            pl.DataFrame({_INDEX: index}).with_columns(
                key, *(pl.lit(text, dtype=pl.String).alias(name) for name, text in texts.items())
            )
        )

    def add_column_rejections(self, values: pl.DataFrame) -> None:
        """Reject mapped rows for what is wrong with their columns; the reason names all of it."""
        codes, reasons = [], []
        for name, rejections in self._plan.rejections.items():
            if not rejections:
                continue
            column = self._rule.columns[name]
            label = f"{self._rule.table}: column {name} from {', '.join(column.sources)}"
            codes.append(_first([(case.when, case.code.value) for case in rejections]))
            reasons.append(_first([(case.when, f"{label}: {case.reason}") for case in rejections]))
        self._found.append(
            values.select(
                _INDEX,
                self._entity_key().alias("entity_key"),
                pl.coalesce(codes).alias("reason_code"),
                pl.concat_str(reasons, separator="; ", ignore_nulls=True).alias("reason"),
            )
        )

    def _source_key(self) -> list[pl.Expr]:
        """The key under which the source has, or last had, the row."""
        plan = self._plan
        return [
            pl.when(IS_DELETE).then(plan.source_key[name]).otherwise(plan.new_key[name]).alias(name)
            for name in self._rule.key
        ]

    def _entity_key(self) -> pl.Expr:
        names = list(self._plan.old_values)
        known = pl.all_horizontal([pl.col(VALUE + name).is_not_null() for name in names])
        key = pl.struct([pl.col(VALUE + name).alias(name) for name in names]).struct.json_encode()
        return pl.when(known).then(key)

    def frame(self, changes: pl.DataFrame) -> pl.DataFrame:
        """Everything rejected, in stream order, with the columns of `REJECTION_SCHEMA`."""
        if not self._found:
            return _NONE
        found = pl.concat([one.cast(pl.Schema(_FOUND)) for one in self._found])
        found = found.sort(_INDEX, maintain_order=True).unique(_INDEX, keep="first", maintain_order=True)
        rows = found.join(changes, on=_INDEX, how="left", maintain_order="left")
        known = rows.select(
            _INDEX,
            pl.col("position").alias("source_position"),
            pl.col("ordinal").alias("source_ordinal"),
            "committed_at",
            "operation",
            pl.struct(self._source_key()).struct.json_encode().alias("source_key"),
            "entity_key",
            "reason_code",
            "reason",
        )
        return known.join(self._images(rows), on=_INDEX, how="left", maintain_order="left").select(
            *REJECTION_SCHEMA
        )

    def _images(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The image of each row as JSON; one pass for each combination of absent columns."""
        parts = []
        for side, chosen in ((AFTER, ~IS_DELETE), (BEFORE, IS_DELETE)):
            shape_column = f"{side}shape".replace(".", "_")
            for (shape,), part in rows.filter(chosen).group_by(shape_column, maintain_order=True):
                absent = self._changes.shapes[shape] if isinstance(shape, int) else frozenset()
                left_out = {*absent, *self._rule.ignore, *self._rule.ignore_if_present}
                held = [name for name in self._changes.table.column_names if name not in left_out]
                image = pl.lit("{}")  # the log holds nothing that may be kept
                if held:
                    image = pl.struct([pl.col(side + name).alias(name) for name in held]).struct.json_encode()
                parts.append(part.select(_INDEX, image.alias("raw")))
        return pl.concat(parts)


def _first(choices: list[tuple[pl.Expr, str]]) -> pl.Expr:
    """The text of the first condition that holds, else null."""
    chosen: pl.Expr = pl.lit(None, dtype=pl.String)
    for when, text in reversed(choices):
        chosen = pl.when(when.fill_null(False)).then(pl.lit(text)).otherwise(chosen)
    return chosen
