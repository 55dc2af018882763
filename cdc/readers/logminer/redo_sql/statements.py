"""Inserts, updates and deletes of SQL_REDO and SQL_UNDO, read strictly.

`read_statement` is the entry; `cdc.readers.logminer.redo_sql.unescaped_apostrophes` adds the reading of texts
with unescaped apostrophes, and `cdc.readers.logminer.redo_sql.templates` reads many rows of one form at once.

Source: Oracle Database Utilities 19c, "Using LogMiner to Analyze Redo Log Files".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cdc.readers.logminer.redo_sql.redo_values import Call, Cell, Statement
from cdc.readers.logminer.redo_sql.scanner import Scanner


class StatementScanner(Scanner):
    """Reads one statement out of names and values."""

    def assignments(self, *, allow_is_null: bool = False) -> dict[str, Cell]:
        """`"C" = v, ..`; the pretty form of an insert writes `"C" IS NULL` as well."""
        values: dict[str, Cell] = {}
        while True:
            name = self.column()
            if name is None:
                raise self.fail("ROWID cannot be set")
            if name in values:
                raise self.fail("column named twice")
            if allow_is_null and self.keyword("is"):
                if not self.keyword("null"):
                    raise self.fail("IS without NULL")
                values[name] = None
            else:
                self.need("=", "missing = in an assignment")
                values[name] = self.value()
            if not self.take(","):
                return values

    def conditions(self) -> tuple[dict[str, Cell], str | None, tuple[str, ...]]:
        """`"C" = v and "D" IS NULL and ROWID = '..'`: columns, row id, columns that are not null."""
        values: dict[str, Cell] = {}
        rowid: str | None = None
        not_null: list[str] = []
        while True:
            name = self.column()
            if name in values or name in not_null or (name is None and rowid is not None):
                raise self.fail("column named twice")
            if self.keyword("is"):
                negated = self.keyword("not") is not None
                if not self.keyword("null") or name is None:
                    raise self.fail("IS without NULL")
                if negated:
                    not_null.append(name)
                else:
                    values[name] = None
            else:
                self.need("=", "missing = in a condition")
                value = self.value()
                if name is not None:
                    values[name] = value
                elif isinstance(value, str):
                    rowid = value
                else:
                    raise self.fail("ROWID is not text")
            if not self.keyword("and"):
                return values, rowid, tuple(not_null)

    def statement(self) -> Statement:
        """The whole text as one insert, update or delete."""
        verb = self.keyword("insert", "update", "delete")
        if verb is None:
            raise self.fail("not insert, update or delete")
        statement = _READ[verb](self)
        self.end()
        return statement

    def insert(self) -> Statement:
        """After the verb: `into .. ( .. ) values ( .. )`, or the pretty form."""
        if not self.keyword("into"):
            raise self.fail("insert without into")
        owner, name = self.table()
        self.alias("values")
        names: list[str] = []
        if self.take("("):
            names.append(self._insert_column())
            while self.take(","):
                names.append(self._insert_column())
            self.need(")", "column list without closing parenthesis")
        if not self.keyword("values"):
            raise self.fail("insert without values")
        if not names:
            return Statement("INSERT", owner, name, values=self.assignments(allow_is_null=True))
        self.need("(", "values without parenthesis")
        cells = self.arguments()
        if len(cells) != len(names):
            raise self.fail(f"{len(cells)} values for {len(names)} columns")
        if len(set(names)) != len(names):
            raise self.fail("column named twice")
        return Statement("INSERT", owner, name, values=dict(zip(names, cells, strict=True)))

    def _insert_column(self) -> str:
        name = self.column()
        if name is None:
            raise self.fail("ROWID cannot be inserted")
        return name

    def update(self) -> Statement:
        """After the verb: `.. set .. [where ..]`."""
        owner, name = self.table()
        self.alias("set")
        if not self.keyword("set"):
            raise self.fail("update without set")
        values = self.assignments()
        where, rowid, not_null = self.conditions() if self.keyword("where") else ({}, None, ())
        return Statement("UPDATE", owner, name, values, where, rowid, not_null)

    def set_clause(self) -> dict[str, Cell]:
        """What an update sets; the conditions behind it are not read."""
        if not self.keyword("update"):
            raise self.fail("not an update")
        self.table()
        self.alias("set")
        if not self.keyword("set"):
            raise self.fail("update without set")
        values = self.assignments()
        if not self.keyword("where"):
            self.end()
        return values

    def delete(self) -> Statement:
        """After the verb: `from .. [where ..]`."""
        if not self.keyword("from"):
            raise self.fail("delete without from")
        owner, name = self.table()
        self.alias("where")
        where, rowid, not_null = self.conditions() if self.keyword("where") else ({}, None, ())
        return Statement("DELETE", owner, name, where=where, rowid=rowid, not_null=not_null)


_READ: dict[str, Callable[[StatementScanner], Statement]] = {
    "insert": StatementScanner.insert,
    "update": StatementScanner.update,
    "delete": StatementScanner.delete,
}


# what ends the statement of a row with a LOB: one column is set to what lies in the row
_ONE_LOB = re.compile(
    r"""^update "[^"]+"(?:[.]"[^"]+")? set "([^"]+)" = (NULL|EMPTY_[BC]LOB\(\)|'(?:[^']|'')*') where """
)


def read_set_clause(text: str) -> dict[str, Cell]:
    """What an update sets, without reading its conditions: they name every column of the row.

    Raises:
        RedoSyntaxError: the text is not an update, or unreadable up to its conditions.
    """
    match = _ONE_LOB.match(text)
    if match is None:
        return StatementScanner(text).set_clause()
    name, value = match.groups()
    if value.startswith("'"):
        return {name: value[1:-1].replace("''", "'")}
    return {name: None if value == "NULL" else Call(value[:-2], ())}


def read_statement(text: str, *, unquoted_tables: bool = False) -> Statement:
    """Read one insert, update or delete.

    Args:
        text: SQL_REDO or SQL_UNDO with its CSF pieces joined.
        unquoted_tables: accept a table name without double quotes, which LogMiner never writes.

    Raises:
        RedoSyntaxError: the text is anything else.
    """
    return StatementScanner(text, unquoted_tables=unquoted_tables).statement()
