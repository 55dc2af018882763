"""The CC&B tables of the sandbox: read from `schema.yaml`, written as DDL and INSERT statements.

OUAF, the framework below CC&B, knows no NULL but in optional dates: a missing text is one blank, a
missing number 0, and VERSION starts at 1. `insert_statement` fills the columns a caller does not
give accordingly. Users and rights are in `sandbox.ccb.database`, data in `sandbox.ccb.people`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ruamel.yaml import YAML

OWNER = "CISADM"
CAPTURED = (
    "CI_PER",
    "CI_PER_NAME",
    "CI_PER_ID",
    "C1_PER_CONTDET",
    "CI_ACCT",
    "CI_ACCT_PER",
    "CI_SA",
    "CI_SA_SP",
    "CI_SP",
    "CI_PREM",
    "CI_PAY_EVENT",
    "CI_PAY",
    "CI_PAY_TNDR",
    "CI_PAY_TNDR_ST",
)
"""Tables whose changes the bridge reads."""
UPLOAD_STAGING = ("CI_DEP_CTL_ST", "CI_TNDR_CTL_ST", "CI_PAY_TNDR_ST")
"""Tables through which payments enter CC&B."""
UPLOAD_CHECKS = ("CI_TNDR_SRCE", "CI_TENDER_TYPE", "CI_LOOKUP_VAL_L", "CI_TNDR_ST_EXCP")
"""Tables one looks at before and after an upload."""

_TYPE = re.compile(r"(?P<kind>[A-Z0-9]+)(\((?P<size>\d+)(,(?P<scale>\d+))?[^)]*\))?(?P<rest> not null)?")


@dataclass(frozen=True)
class Column:
    """A column; `size` in characters for text, in digits for NUMBER."""

    name: str
    type: str
    kind: str
    size: int
    nullable: bool

    @property
    def blank(self) -> str | None:
        """The SQL literal OUAF stores where nothing was entered; None for NULL."""
        if self.nullable:
            return None
        if self.kind == "NUMBER":
            return "1" if self.name == "VERSION" else "0"
        if self.kind == "DATE":
            return "trunc(sysdate)"
        return "' '"


@dataclass(frozen=True)
class Table:
    """A table of CISADM: columns in the vendor's order, primary key, the indexes the sandbox uses."""

    name: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    indexes: Mapping[str, tuple[str, ...]]

    @property
    def qualified(self) -> str:
        """`CISADM.<name>`."""
        return f"{OWNER}.{self.name}"

    def ddl(self) -> list[str]:
        """CREATE TABLE, its indexes, and supplemental logging of all columns."""
        lines = [f"{c.name} {c.type}" for c in self.columns.values()]
        lines.append(f"constraint {self.name}_PK primary key ({', '.join(self.key)})")
        return [
            f"create table {self.qualified} (\n  " + ",\n  ".join(lines) + "\n)",
            *(
                f"create index {OWNER}.{name} on {self.qualified} ({', '.join(columns)})"
                for name, columns in self.indexes.items()
            ),
            f"alter table {self.qualified} add supplemental log data (all) columns",
        ]

    def insert_statement(self, given: Sequence[str], **fixed: str) -> str:
        """INSERT that binds `given` in order, and fills the others as OUAF does.

        Args:
            given: columns bound as :1, :2, ...
            fixed: column = text that goes into the statement as a literal.

        Raises:
            ValueError: a column that the table does not have.
        """
        unknown = [name for name in (*given, *fixed) if name not in self.columns]
        if unknown:
            raise ValueError(f"{self.name}: no column {', '.join(unknown)}")
        values = {name: f":{place}" for place, name in enumerate(given, 1)}
        values |= {name: "'" + text.replace("'", "''") + "'" for name, text in fixed.items()}
        for column in self.columns.values():
            if column.name not in values and column.blank is not None:
                values[column.name] = column.blank
        # bound columns come first: the driver binds by place of appearance, not by number
        return (
            f"insert into {self.qualified} ({', '.join(values)})"  # noqa: S608 - names checked above
            f" values ({', '.join(values.values())})"
        )


@functools.cache
def tables() -> Mapping[str, Table]:
    """All tables of `schema.yaml` by name, in its order."""
    return {name: _table(name, facts) for name, facts in _facts()["tables"].items()}


@functools.cache
def lookups() -> Mapping[str, Mapping[str, str]]:
    """Lookup values and their English labels: FIELD_NAME -> FIELD_VALUE -> label."""
    found: dict[str, dict[str, str]] = _facts()["lookups"]
    return found


@functools.cache
def _facts() -> Mapping[str, Any]:
    text = resources.files(__package__).joinpath("schema.yaml").read_text(encoding="utf-8")
    facts: Mapping[str, Any] = YAML(typ="safe").load(text)
    return facts


def _table(name: str, facts: Mapping[str, Any]) -> Table:
    indexes = {index: tuple(columns) for index, columns in facts.get("indexes", {}).items()}
    columns = {column: _column(column, text) for column, text in facts["columns"].items()}
    return Table(name, columns, tuple(facts["key"]), indexes)


def _column(name: str, text: str) -> Column:
    match = _TYPE.fullmatch(text)
    if match is None:
        raise ValueError(f"schema.yaml: {name}: cannot read the type {text!r}")
    return Column(name, text, match["kind"], int(match["size"] or 0), match["rest"] is None)
