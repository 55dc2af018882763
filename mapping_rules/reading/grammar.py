"""Which keys each kind of rule file knows, with their meaning.

One table serves both the reader (`mapping_rules.reading.sections` refuses what is not here) and the JSON
Schemas for editors (`mapping_rules.reading.schema`). `docs/rules.md` explains the language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdc.kinds import sink_names
from mapping_rules.language.model import Conventions, Kind, OnDelete
from mapping_rules.language.transforms import TRANSFORMS

Shape = Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """A key of a mapping: what it means, what it holds (JSON Schema), whether it must be there."""

    doc: str
    shape: Shape
    required: bool = False


Grammar = Mapping[str, Key]


def _keys(grammar: Grammar) -> Shape:
    """The JSON Schema of a mapping with exactly these keys."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: {**key.shape, "description": key.doc} for name, key in grammar.items()},
        "additionalProperties": False,
    }
    required = [name for name, key in grammar.items() if key.required]
    return {**schema, "required": required} if required else schema


def _list_of(shape: Shape) -> Shape:
    return {"type": "array", "items": shape}


def _map_of(shape: Shape) -> Shape:
    return {"type": "object", "additionalProperties": shape}


TEXT: Shape = {"type": "string"}
NAME: Shape = {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}
FLAG: Shape = {"type": "boolean"}
NUMBER: Shape = {"type": "integer"}
SCALAR: Shape = {"type": ["string", "boolean", "number"]}
SCALAR_OR_NULL: Shape = {"type": ["string", "boolean", "number", "null"]}
TEXTS = _list_of(TEXT)
TRANSFORM_LIST = _list_of({"enum": sorted(TRANSFORMS)})

_VALUES: Shape = {"anyOf": [SCALAR_OR_NULL, _list_of(SCALAR_OR_NULL)]}
NOT: Grammar = {"not": Key("true for every other value", _VALUES, required=True)}
_CONDITION: Shape = {"anyOf": [*_VALUES["anyOf"], _keys(NOT)]}
WHERE = _map_of(_CONDITION)

ENTITY_COLUMN: Grammar = {
    "type": Key("kind of value", {"enum": [kind.value for kind in Kind]}, required=True),
    "precision": Key("digits in all, of a decimal", NUMBER),
    "scale": Key("digits after the point, of a decimal", NUMBER),
    "references": Key("entity whose key this column holds", NAME),
    "lookup": Key("the column holds values of this lookup", NAME),
    "personal": Key("masked for auditors without the right to see personal data", FLAG),
    "decide": Key("which system wins; needs two systems feeding the entity", TEXT),
    "comment": Key("meaning of the column, for the data dictionary", TEXT),
}

ENTITY: Grammar = {
    "entity": Key("name of the entity and of its staging table", NAME, required=True),
    "comment": Key("meaning of a row, for the data dictionary", TEXT),
    "key": Key("columns that identify a row", _list_of(NAME), required=True),
    "columns": Key("the columns, the key's included", _map_of(_keys(ENTITY_COLUMN)), required=True),
}

INBOUND_COLUMN: Grammar = {
    "from": Key("source column", TEXT),
    "sql": Key("one Polars SQL expression over the source columns, all of them text", TEXT),
    "value": Key("a constant", SCALAR),
    "transform": Key("named transforms, applied in order", TRANSFORM_LIST),
    "lookup": Key("translate through this lookup instead of the entity column's", NAME),
    "zero": Key("`null`: the number 0 means that there is no value", {"enum": [None]}),
    "if_null": Key("value taken where there is none", SCALAR),
}

INBOUND: Grammar = {
    "system": Key("system that is read", TEXT, required=True),
    "table": Key("source table, with schema if it is not the system's own", TEXT, required=True),
    "key": Key("primary key columns of the source table", TEXTS, required=True),
    "entity": Key("entity that the table feeds", NAME, required=True),
    "where": Key("rows that belong to the entity; one that stops matching leaves it", WHERE),
    "columns": Key(
        "entity column: source column or how it is made",
        _map_of({"anyOf": [TEXT, _keys(INBOUND_COLUMN)]}),
        required=True,
    ),
    "ignore": Key("source columns left out on purpose", TEXTS),
    "ignore_if_present": Key("the same, for columns that not every release or reader has", TEXTS),
}

PICK: Grammar = {
    "order": Key("columns, each with `desc` if descending; the first row is taken", TEXTS, required=True)
}

JOIN: Grammar = {
    "entity": Key("entity joined", NAME, required=True),
    "on": Key(
        "column both sides share, a list of them, or `own column: alias.column`",
        {"anyOf": [NAME, _list_of(NAME), _map_of(TEXT)]},
        required=True,
    ),
    "where": Key("rows that may be joined", WHERE),
    "pick": Key("which row is taken when several match", _keys(PICK)),
}

OUTBOUND_COLUMN: Grammar = {
    "from": Key("`alias.column`, or a column of the root", TEXT),
    "value": Key("a constant", SCALAR),
    "lookup": Key("translate through this lookup", NAME),
    "transform": Key("named transforms, applied in order after the lookup", TRANSFORM_LIST),
    "if_null": Key("value written where there is none", SCALAR),
}

SINKS = sink_names()

OUTBOUND: Grammar = {
    "to": Key("system that is written", TEXT, required=True),
    "table": Key("target table, with schema if it is not the system's own", TEXT, required=True),
    "sink": Key("how it is written", {"enum": list(SINKS)}, required=True),
    "key": Key("target key column: root key column", _map_of(TEXT), required=True),
    "from": Key("root entity: one target row for each of its rows", NAME, required=True),
    "join": Key("alias: joined entity", _map_of(_keys(JOIN))),
    "where": Key("root rows that are written; others count as deleted", WHERE),
    "columns": Key(
        "target column: `alias.column` or how it is made",
        _map_of({"anyOf": [TEXT, _keys(OUTBOUND_COLUMN)]}),
        required=True,
    ),
    "require": Key("target columns (or `alias.column`) without which the row counts as deleted", TEXTS),
    "on_delete": Key(
        "what happens to a target row whose root row was deleted",
        {"enum": [choice.value for choice in OnDelete]},
        required=True,
    ),
    "deactivate_column": Key(
        "boolean target column set to false by `deactivate`; `active` if not given", TEXT
    ),
    "insert": Key("`false`: only rows that exist are updated", FLAG),
}

LOOKUP: Grammar = {
    "lookup": Key("name of the lookup", NAME, required=True),
    "comment": Key("where the codes come from", TEXT),
    "values": Key(
        "code: meaning; or a list of codes that mean themselves",
        {"anyOf": [_map_of(SCALAR_OR_NULL), TEXTS]},
        required=True,
    ),
    "default": Key("meaning of every other code; without it such a row is rejected", SCALAR_OR_NULL),
}

SYSTEM: Grammar = {
    "conventions": Key(
        "how the vendor writes values", {"enum": [choice.value for choice in Conventions]}, required=True
    ),
    "schema": Key("schema of tables named without one", TEXT),
}

SOURCE_ROW: Grammar = {
    "operation": Key("create, update, delete or read", {"enum": ["c", "u", "d", "r"]}, required=True),
    "before": Key("the row as it was, source column: value", _map_of(SCALAR_OR_NULL)),
    "after": Key("the row as it became", _map_of(SCALAR_OR_NULL)),
    "absent_before": Key("columns that the log does not hold, before", TEXTS),
    "absent_after": Key("columns that the log does not hold, after", TEXTS),
    "transaction": Key("number of the transaction; each row has its own if not given", NUMBER),
}

CASE: Grammar = {
    "name": Key("what the case shows", TEXT, required=True),
    "given": Key("source rows in order", _list_of(_keys(SOURCE_ROW)), required=True),
    "rows": Key(
        "entity rows expected in order; `tombstone: true` marks a deletion", _list_of({"type": "object"})
    ),
    "rejected": Key("reason codes expected in order", TEXTS),
}

GOLDEN: Grammar = {
    "rule": Key("inbound rule: its file name without .yaml", TEXT, required=True),
    "time_zone": Key("zone of the site; UTC if not given", TEXT),
    "types": Key(
        "source column: kind, where it does not follow from the entity's type",
        _map_of({"enum": ["number", "text", "boolean", "date", "timestamp", "timestamp_tz"]}),
    ),
    "cases": Key("the golden rows", _list_of(_keys(CASE)), required=True),
}

FOLDERS: Mapping[str, Grammar] = {
    "entities": ENTITY,
    "inbound": INBOUND,
    "outbound": OUTBOUND,
    "lookups": LOOKUP,
    "tests": GOLDEN,
}
"""Folders of a rule set and what the files in them hold."""

SYSTEMS_FILE = "systems.yaml"


def schema_of(grammar: Grammar) -> Shape:
    """The JSON Schema of a file with these keys."""
    return _keys(grammar)
