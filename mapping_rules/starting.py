"""Files to start from: a copy of a shipped rule set, and the rule of a table that exists.

`copied` gives the files of a shipped set with links to schemas that editors follow, `rule_for` an entity and
an inbound rule with every column of a table: they say what the table has, the author says what it means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from cdc.changes import SourceColumn, SourceTable, SourceType
from mapping_rules.language.builtin import RESERVED_COLUMNS, reserved_tables
from mapping_rules.reading.grammar import SYSTEMS_FILE
from mapping_rules.reading.schema import schemas
from mapping_rules.rule_files import read_files

LONGEST_NAME = 50
SCHEMA_FOLDER = "schema"
_DECIMAL = re.compile(r"(?:NUMBER|NUMERIC)\s*\((\d+)(?:\s*,\s*(-?\d+))?\)", re.IGNORECASE)
_WHOLE = frozenset(("smallint", "integer", "bigint"))
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$#]*")
_MISREAD = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_LARGEST_BIGINT_DIGITS, _LARGEST_DIGITS = 18, 38


def copied(name: str) -> dict[str, str]:
    """The files (path -> text) of a rule set of one's own, made of a shipped one; JSON Schemas included.

    Raises:
        RuleErrors: no such rule set.
    """
    _, files = read_files(name)
    linked = {
        path: f"# yaml-language-server: $schema={_schema_of(path)}\n{text}" for path, text in files.items()
    }
    return linked | {f"{SCHEMA_FOLDER}/{path}": text for path, text in schemas().items()}


def rule_for(
    system: str, table: SourceTable, *, entity: str, schema: str | None, taken: Iterable[str] = ()
) -> dict[str, str]:
    """An entity and an inbound rule for a table, as files (path -> text).

    Args:
        system: name of the system.
        table: as the source describes it; it has a primary key.
        entity: name of the entity and of the files.
        schema: schema that the rule set means for the system; another one is written out.
        taken: names of files that exist.

    Raises:
        ValueError: the table has no primary key, the entity's name cannot be used, or a file exists.
    """
    if not table.key:
        raise ValueError(f"{table.name} has no primary key, which a rule needs")
    if entity in reserved_tables() or snake(entity) != entity:
        raise ValueError(f"{entity!r} cannot be the name of an entity: use another one, in snake_case")
    mapped = [column for column in table.columns if not column.large or column.name in table.key]
    names = _names(column.name for column in mapped)
    written = table.name.name if table.name.schema == schema else str(table.name)
    files = {
        f"entities/{entity}.yaml": _entity(entity, table, mapped, names),
        f"inbound/{entity}.yaml": _inbound(system, written, entity, table, mapped, names),
    }
    there = sorted(files.keys() & set(taken))
    if there:
        raise ValueError(f"{', '.join(there)}: exists already")
    return files


def snake(name: str) -> str:
    """A name in snake_case, as entities and their columns have it."""
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
    return (words if words[:1].isalpha() else f"c_{words}")[:LONGEST_NAME].rstrip("_")


def _entity(entity: str, table: SourceTable, mapped: list[SourceColumn], names: Mapping[str, str]) -> str:
    lines = [
        f"{_link('entities')}entity: {entity}",
        f"comment: {json.dumps(f'rows of {table.name}')}",
        f"key: [{', '.join(names[name] for name in table.key)}]",
        "columns:",
    ]
    for column in mapped:
        lines.append(f"  {names[column.name]}: {_type(column)}  # {' '.join(column.declared.split())}")
    return "\n".join(lines) + "\n"


def _inbound(
    system: str,
    written: str,
    entity: str,
    table: SourceTable,
    mapped: list[SourceColumn],
    names: Mapping[str, str],
) -> str:
    left = [column.name for column in table.columns if column not in mapped]
    lines = [
        f"{_link('inbound')}system: {system}",
        f"table: {_scalar(written)}",
        f"key: [{', '.join(map(_scalar, table.key))}]",
        f"entity: {entity}",
        "columns:",
        *(f"  {names[column.name]}: {_scalar(column.name)}" for column in mapped),
        "ignore: []  # move here what is neither to be read nor kept in the change log",
    ]
    if left:
        lines.append(f"# large columns, read only where a rule names them: {', '.join(left)}")
    return "\n".join(lines) + "\n"


def _type(column: SourceColumn) -> str:
    """The entity type that holds every value of the column as it is."""
    if column.type is SourceType.NUMBER:
        return _number_type(column)
    kinds = {
        SourceType.BOOLEAN: "boolean",
        SourceType.DATE: "date",
        SourceType.TIMESTAMP: "timestamp",
        SourceType.TIMESTAMP_TZ: "timestamp",
    }
    return f"{{type: {kinds.get(column.type, 'text')}}}"


def _number_type(column: SourceColumn) -> str:
    if column.declared.lower() in _WHOLE:
        return "{type: integer}"
    match = _DECIMAL.fullmatch(column.declared)
    if match is None:
        return "{type: text}"  # without a scale any number of digits may come
    precision, scale = int(match[1]), int(match[2] or 0)
    if scale <= 0 and precision - scale <= _LARGEST_BIGINT_DIGITS:
        return "{type: integer}"
    precision, scale = max(precision, precision - scale, scale), max(scale, 0)
    if precision > _LARGEST_DIGITS:
        return "{type: text}"
    return f"{{type: decimal, precision: {precision}, scale: {scale}}}"


def _names(columns: Iterable[str]) -> dict[str, str]:
    """A name in the entity for each column, none twice and none of staging's own."""
    found: dict[str, str] = {}
    for column in columns:
        name = snake(column)
        if name in RESERVED_COLUMNS:
            name = f"{name[: LONGEST_NAME - 6]}_value"
        base, number = name, 2
        while name in found.values():
            name, number = f"{base[: LONGEST_NAME - 4]}_{number}", number + 1
        found[column] = name
    return found


def _scalar(name: str) -> str:
    """A vendor's name as YAML reads it back."""
    plain = all(map(_PLAIN.fullmatch, name.split("."))) and name.lower() not in _MISREAD
    return name if plain and "#" not in name else json.dumps(name, ensure_ascii=False)


def _link(folder: str) -> str:
    return f"# yaml-language-server: $schema=../{SCHEMA_FOLDER}/{folder}.json\n"


def _schema_of(path: str) -> str:
    folder = path.partition("/")[0]
    return f"{SCHEMA_FOLDER}/systems.json" if path == SYSTEMS_FILE else f"../{SCHEMA_FOLDER}/{folder}.json"
