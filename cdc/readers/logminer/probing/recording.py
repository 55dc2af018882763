"""What a probe recorded of its own transactions: tables, rows of the redo, and what was true.

A recording is written as JSON lines without a name of the site in it: the scratch schema is SCRATCH, users,
containers and tables of others are aliases, and no text of another schema's rows is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cdc.assumptions import Outcome
from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from cdc.errors import OperatorError
from cdc.readers.logminer.mining.rows import COLUMNS, Code, LogRow
from cdc.readers.logminer.tables.dictionary import CapturedTable

FORMAT = 1
_HINT = "give a file that ccbridge probe oracle has written"
SCHEMA = "SCRATCH"
"""The scratch schema's name in a recording."""

EXTRA_COLUMNS = (
    "SEQUENCE#",
    "START_SCN",
    "COMMIT_SCN",
    "DATA_OBJD#",
    "DATA_OBJV#",
    "SEG_TYPE",
    "SRC_CON_NAME",
    "RBASQN",
    "RBABLK",
    "RBABYTE",
)
"""Recorded beside what the reader asks for; diagnosis only."""
RECORDED = (*COLUMNS, *(name for name in EXTRA_COLUMNS if name not in COLUMNS))

Row = Mapping[str, Any]
"""A row of V$LOGMNR_CONTENTS: column -> value."""
Contents = Mapping[str, Mapping[str, Mapping[str, str | None]]]
"""Table -> key as JSON -> column -> canonical text, columns outside the row's text left out."""


@dataclass
class StepRecord:
    """A transaction of the workload: what it left behind, and which one it is in the redo.

    `error` is why it was not made; `scn` is what was noted in its middle; `rows` its real row ids by table.
    """

    name: str
    commits: bool
    error: str = ""
    hint: str = ""
    xid: str = ""
    scn: int = 0
    client_id: str = ""
    before: Contents = field(default_factory=dict)
    after: Contents = field(default_factory=dict)


@dataclass
class Recording:
    """Everything a replay needs.

    `facts` are release and character set; `tables` describe the replayed ones, spelled SCRATCH.name;
    `objects` are object ids of all tables of the probe; `rows` come in the order LogMiner gave them.
    """

    facts: dict[str, Any]
    tables: dict[TableName, CapturedTable]
    steps: dict[str, StepRecord]
    rows: list[Row]
    objects: dict[str, list[int]] = field(default_factory=dict)
    row_ids: dict[str, list[str]] = field(default_factory=dict)

    def of_step(self, name: str) -> list[Row]:
        """Rows of a transaction, those with an unknown sequence in their XID included."""
        xid = self.steps[name].xid if name in self.steps else ""
        return [row for row in self.rows if xid and row["XID"] in (xid, xid[:8] + "ffffffff")]

    def of_table(self, table: str) -> list[Row]:
        """Data rows of a table, by name or by object id."""
        ids = set(self.objects.get(table, ()))
        return [row for row in self.rows if row["TABLE_NAME"] == table or row["DATA_OBJ#"] in ids]


def log_row(row: Row) -> LogRow:
    """The row as the reader takes it."""
    values: list[Any] = [row.get(name) for name in COLUMNS]
    made = LogRow(*values)
    made.when = datetime.fromisoformat(made.when) if isinstance(made.when, str) else made.when
    return made


@dataclass(frozen=True)
class Redaction:
    """Takes the names of the site out of rows.

    Args:
        schema: the scratch schema.
        users: our users -> alias.
        containers: our containers -> alias.
        client_ids: identifiers that the probe sets.
        objects: object ids of the probe's tables.
    """

    schema: str
    users: Mapping[str, str]
    containers: Mapping[str, str]
    client_ids: frozenset[str]
    objects: frozenset[int]

    def row(self, row: Row) -> Row:
        """The row with aliases; texts of other schemas' rows are dropped."""
        shown = dict(row)
        owner = row["SEG_OWNER"]
        ours = owner == self.schema or row["DATA_OBJ#"] in self.objects
        control = row["OPERATION_CODE"] in (Code.START, Code.COMMIT, Code.ROLLBACK)
        if owner == self.schema:
            shown["SEG_OWNER"] = SCHEMA
        elif owner is not None and owner != "UNKNOWN":
            shown["SEG_OWNER"] = shown["TABLE_NAME"] = "OTHER"
        if not ours and not control:
            shown["SQL_REDO"] = None
        elif row["SQL_REDO"]:
            shown["SQL_REDO"] = self.text(row["SQL_REDO"])
        shown["USERNAME"] = _alias(row["USERNAME"], self.users)
        shown["SRC_CON_NAME"] = _alias(row["SRC_CON_NAME"], self.containers)
        if row["CLIENT_ID"] and row["CLIENT_ID"] not in self.client_ids:
            shown["CLIENT_ID"] = "OTHER"
        return shown

    def text(self, text: str) -> str:
        """A redo text with the schema's alias."""
        return text.replace(f'"{self.schema}".', f'"{SCHEMA}".')


def _alias(name: str | None, aliases: Mapping[str, str]) -> str | None:
    return name if not name or name == "UNKNOWN" else aliases.get(name, "OTHER")


def write(path: Path, recording: Recording, outcomes: Iterable[Outcome]) -> None:
    """Write a recording and what was found.

    Raises:
        OperatorError: the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8") as file:
            for line in _lines(recording, outcomes):
                file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    except OSError as exc:
        raise OperatorError(
            f"{path}: {exc.strerror}", hint="name a file that can be written: --file"
        ) from exc


def _lines(recording: Recording, outcomes: Iterable[Outcome]) -> Iterator[dict[str, Any]]:
    yield {
        "kind": "probe",
        "format": FORMAT,
        **recording.facts,
        "objects": recording.objects,
        "row_ids": recording.row_ids,
    }
    for table in recording.tables.values():
        yield {
            "kind": "table",
            "name": table.table.name.name,
            "key": table.table.key,
            "columns": [asdict(column) for column in table.described.columns],
            "captured": table.table.column_names,
            "excluded": dict(table.excluded),
            "segment_columns": [[number, *column] for number, column in table.segment_columns.items()],
            "object_ids": sorted(table.object_ids),
            "defaulted": sorted(table.defaulted),
            "key_constraint": table.key_constraint,
        }
    for step in recording.steps.values():
        yield {"kind": "transaction", **asdict(step)}
    for row in recording.rows:
        yield {"kind": "row", **row}
    for one in outcomes:
        yield {
            "kind": "outcome",
            "assumption": one.assumption.name,
            "verdict": one.verdict,
            "reason": one.reason,
        }


def read(path: Path) -> Recording:
    """Read a recording.

    Raises:
        OperatorError: it is not one, or of another format.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as exc:
        raise OperatorError(f"{path}: {exc}", hint=_HINT) from exc
    if not lines or lines[0].get("kind") != "probe" or lines[0].get("format") != FORMAT:
        raise OperatorError(
            f"{path}: is not a recording of ccbridge probe oracle, format {FORMAT}", hint=_HINT
        )
    facts = {
        name: value
        for name, value in lines[0].items()
        if name not in ("kind", "format", "objects", "row_ids")
    }
    found = Recording(facts, {}, {}, [], lines[0]["objects"], lines[0]["row_ids"])
    for line in lines[1:]:
        kind = line.pop("kind")
        if kind == "table":
            table = _table(line)
            found.tables[table.table.name] = table
        elif kind == "transaction":
            found.steps[line["name"]] = StepRecord(**line)
        elif kind == "row":
            found.rows.append(line)
    return found


def _table(line: Mapping[str, Any]) -> CapturedTable:
    columns = tuple(
        SourceColumn(**{**column, "type": SourceType(column["type"])}) for column in line["columns"]
    )
    name, key = TableName(SCHEMA, line["name"]), tuple(line["key"])
    captured = tuple(column for column in columns if column.name in set(line["captured"]))
    return CapturedTable(
        SourceTable(name, captured, key),
        SourceTable(name, columns, key),
        line["excluded"],
        {number: (column, kind) for number, column, kind in line["segment_columns"]},
        frozenset(line["object_ids"]),
        frozenset(line["defaulted"]),
        line.get("key_constraint"),
    )


def key_text(key: Sequence[str | None]) -> str:
    """A key as it names a row of `Contents`."""
    return json.dumps(list(key), ensure_ascii=False)


def alias(table: CapturedTable) -> CapturedTable:
    """A described table as a recording has it."""
    name = TableName(SCHEMA, table.table.name.name)
    return replace(
        table, table=replace(table.table, name=name), described=replace(table.described, name=name)
    )
