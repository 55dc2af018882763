"""Golden rows: source rows written by hand, and the entity rows that the rules must make of them.

They lie beside the rules in `tests/*.yaml` and need no database. `run_golden` runs them all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from cdc.changes import (
    AFTER,
    BEFORE,
    SourceColumn,
    SourceTable,
    SourceType,
    TableChanges,
    frame_schema,
)
from mapping_rules.checks.inbound_checks import used_columns
from mapping_rules.compiled.inbound import InboundProgram, Mapped
from mapping_rules.compiled.values import Site
from mapping_rules.language.errors import ErrorList, Location
from mapping_rules.language.model import Conventions, Inbound, Kind, RuleSet
from mapping_rules.language.tree import ListNode, MapNode, Node, Scalar, ScalarNode, parse
from mapping_rules.reading.grammar import CASE, GOLDEN, SOURCE_ROW
from mapping_rules.reading.sections import Section, check_known

_COMMITTED_AT = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class GoldenResult:
    """One case; `differences` is empty when it came out as written."""

    rule: str
    name: str
    location: str
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the case came out as written."""
        return not self.differences


def run_golden(rule_set: RuleSet) -> list[GoldenResult]:
    """Run the golden rows of every file, in order.

    Raises:
        RuleErrors: a file of golden rows has errors.
    """
    errors = ErrorList()
    results = []
    for file, text in rule_set.files.items():
        if file.startswith("tests/"):
            root = parse(file, text, errors)
            if root is not None:
                results += _run_file(root, rule_set, errors)
    errors.raise_any()
    return results


def _run_file(root: MapNode, rule_set: RuleSet, errors: ErrorList) -> list[GoldenResult]:
    section = Section(root, GOLDEN, errors, what="a golden file")
    rules = {rule.name: rule for rule in rule_set.inbound}
    name = section.text("rule")
    if not check_known(section.location_of("rule"), "inbound rule", name, rules, errors):
        return []
    rule = rules[name]
    declared = {
        column: SourceType(node.text)
        for column, location, node in section.items("types")
        if isinstance(node, ScalarNode)
        and check_known(location, "column of the rule", column, used_columns(rule), errors)
        and check_known(node.location, "type", node.text, [kind.value for kind in SourceType], errors)
    }
    table = _table(rule, rule_set, declared)
    conventions = rule_set.systems[rule.system].conventions
    site = Site(conventions, section.text("time_zone", "UTC"), conventions is Conventions.OUAF)
    program = InboundProgram(rule, rule_set.entities[rule.entity], rule_set.lookups, site)
    cases = [
        Section(node, CASE, errors, what="a case")
        for node in _list(root.items.get("cases"), errors)
        if isinstance(node, MapNode)
    ]
    return [_run_case(case, program, table, errors) for case in cases]


def _table(rule: Inbound, rule_set: RuleSet, declared: Mapping[str, SourceType]) -> SourceTable:
    """The source table as far as the rule reads it; types follow from those of the entity."""
    ouaf = rule_set.systems[rule.system].conventions is Conventions.OUAF
    entity = rule_set.entities[rule.entity]
    types = dict.fromkeys(sorted(used_columns(rule)), SourceType.TEXT)
    for column in rule.columns.values():
        target = entity.columns[column.name]
        if column.source and not column.lookup and not target.lookup:
            types[column.source] = _source_type(target.type.kind, ouaf=ouaf)
    types.update(declared)
    columns = tuple(SourceColumn(name, kind, kind.value) for name, kind in types.items())
    return SourceTable(rule.table, columns, tuple(rule.key))


def _source_type(kind: Kind, *, ouaf: bool) -> SourceType:
    return {
        Kind.TEXT: SourceType.TEXT,
        Kind.INTEGER: SourceType.NUMBER,
        Kind.DECIMAL: SourceType.NUMBER,
        Kind.BOOLEAN: SourceType.TEXT if ouaf else SourceType.BOOLEAN,
        Kind.DATE: SourceType.TIMESTAMP if ouaf else SourceType.DATE,
        Kind.TIMESTAMP: SourceType.TIMESTAMP if ouaf else SourceType.TIMESTAMP_TZ,
    }[kind]


def _run_case(case: Section, program: InboundProgram, table: SourceTable, errors: ErrorList) -> GoldenResult:
    given = [
        Section(node, SOURCE_ROW, errors, what="a source row")
        for node in _list(case.node.items.get("given"), errors)
        if isinstance(node, MapNode)
    ]
    rows, shapes = _source_rows(given, table, errors)
    changes = TableChanges(table, pl.DataFrame(rows, schema=frame_schema(table)), shapes)
    mapped = program.apply(changes)
    expected = [_plain(node) for node in _list(case.node.items.get("rows"), errors)]
    rejected = [_plain(node) for node in _list(case.node.items.get("rejected"), errors)]
    found_rows = _found_rows(mapped)
    differences = _compare("row", expected, found_rows)
    differences += _compare("rejected", rejected, mapped.rejected["reason_code"].to_list())
    return GoldenResult(program.rule.name, case.text("name"), str(case.location), tuple(differences))


def _source_rows(
    given: Sequence[Section], table: SourceTable, errors: ErrorList
) -> tuple[list[dict[str, Any]], tuple[frozenset[str], ...]]:
    shapes: list[frozenset[str]] = [frozenset()]
    rows = []
    for number, section in enumerate(given, 1):
        row: dict[str, Any] = {
            "operation": section.choice("operation", ("c", "u", "d", "r")),
            "position": section.integer("transaction") or number,
            "ordinal": number,
            "transaction_id": str(section.integer("transaction") or number),
            "committed_at": _COMMITTED_AT,
            "ours": False,
        }
        for side, key, prefix in (("before", "absent_before", BEFORE), ("after", "absent_after", AFTER)):
            for column, location, node in section.items(side):
                if check_known(location, "column of the rule", column, table.column_names, errors):
                    row[prefix + column] = _text(node)
            absent = frozenset(section.names(key))
            if absent not in shapes:
                shapes.append(absent)
            row[f"{side}_shape"] = shapes.index(absent)
        rows.append(row)
    return rows, tuple(shapes)


def _text(node: Node) -> str | None:
    """Source values are text; numbers and dates may be written without quotes."""
    if not isinstance(node, ScalarNode) or node.value is None:
        return None
    return node.text


def _found_rows(mapped: Mapped) -> list[dict[str, Any]]:
    """Rows as they are written by hand: entity columns, without those that a tombstone has not."""
    rows = []
    for row in mapped.rows.to_dicts():
        absent = row["absent"] or []
        kept = {
            name: _written(row[name])
            for name in mapped.entity.columns
            if name not in absent and (not row["tombstone"] or name in mapped.entity.key)
        }
        rows.append({**kept, "tombstone": True} if row["tombstone"] else kept)
    return rows


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ") + "+00"
    return value.isoformat() if isinstance(value, date) else value


def _compare(what: str, expected: Sequence[Any], found: Sequence[Any]) -> list[str]:
    differences = []
    for number, (want, have) in enumerate(zip(expected, found, strict=False), 1):
        if isinstance(want, dict) and isinstance(have, dict):
            differences += [
                f"{what} {number}, {name}: expected {_show(want, name)}, found {_show(have, name)}"
                for name in dict.fromkeys([*want, *have])
                if name not in want or name not in have or not _same(want[name], have[name])
            ]
        elif want != have:
            differences.append(f"{what} {number}: expected {want}, found {have}")
    if len(expected) != len(found):
        differences.append(f"{what}s: expected {len(expected)}, found {len(found)}")
    return differences


def _same(want: Any, have: Any) -> bool:
    if isinstance(have, Decimal) and isinstance(want, int | Decimal) and not isinstance(want, bool):
        return Decimal(want) == have
    return type(want) is type(have) and bool(want == have)


def _show(row: Mapping[str, Any], name: str) -> str:
    return json.dumps(row[name], default=str) if name in row else "no such column"


def _plain(node: Node) -> Any:
    if isinstance(node, MapNode):
        return {name: _plain(value) for name, value in node.items.items()}
    if isinstance(node, ListNode):
        return [_plain(item) for item in node.items]
    value: Scalar = node.value
    return node.text if node.date_like else value


def _list(node: Node | None, errors: ErrorList) -> list[Node]:
    if node is None:
        return []
    if isinstance(node, ListNode):
        return node.items
    errors.add(node.location if node else Location(""), "expected a list")
    return []
