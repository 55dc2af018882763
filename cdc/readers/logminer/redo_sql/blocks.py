"""PL/SQL blocks in SQL_REDO: LOB locators, writes and trims, and extended strings.

LOB work comes as PL/SQL: a block that selects the locator, then writes and trims. Each function
reads the text of one row and refuses what it does not know, because a LOB operation that was
overlooked leaves a wrong value behind.

Source: Oracle Database Utilities 19c, "Using LogMiner"; package DBMS_LOB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cdc.readers.logminer.redo_sql.redo_values import Bind, Call, Cell, Concat, Hex, RedoSyntaxError, units_of
from cdc.readers.logminer.redo_sql.statements import StatementScanner, read_statement

LobData = str | Hex

_WHERE = re.compile(r"=\s*:\w+\s+where\s+(.*?)\s*;?\s*\Z", re.IGNORECASE | re.DOTALL)

_LOCATOR_KINDS = {"LOC_C": "CLOB", "LOC_B": "BLOB", "LOC_NC": "NCLOB"}
_BUFFERS = frozenset(("BUF_C", "BUF_B", "BUF_NC"))
_DECLARED_LOB = re.compile(r"(\w+)\s+(clob|blob|nclob)\s*;", re.IGNORECASE)
_BEGIN = re.compile(r"(?:\A|\s|;)begin(?=\s)", re.IGNORECASE)
_STATEMENT_HEAD = re.compile(
    r"\s*(select|buf_n?[cb]|dbms_lob\s*\.\s*(\w+)|xml_redo|if|end|\w+)", re.IGNORECASE
)
_TEXT_ASSIGNED = re.compile(r"\s*:=\s*(?:'|hextoraw\s*\()", re.IGNORECASE)
_OPEN_ASKED = re.compile(r"\s*:=\s*dbms_lob\s*\.\s*isopen\b", re.IGNORECASE)
_HARMLESS = frozenset(("OPEN", "CLOSE", "ISOPEN", "CREATETEMPORARY", "FREETEMPORARY"))
_VARIABLE = re.compile(r"[^\W\d]\w*(?=\s*[,)])")
_TO_SEMICOLON = re.compile(r"[^;']*(?:'(?:[^']|'')*'[^;']*)*(?:;|\Z)")


@dataclass(frozen=True)
class LobWrite:
    """Characters or bytes written from a 1-based offset on; `length` as the text states it."""

    offset: int
    length: int
    data: LobData | None


@dataclass(frozen=True)
class LobText:
    """What one LOB row says; `column` is None where the locator is in an earlier row.

    `condition` is the text of the locator's where clause.
    """

    owner: str | None = None
    table: str | None = None
    column: str | None = None
    kind: str | None = None
    binary: bool = False
    where: Mapping[str, Cell] = field(default_factory=dict)
    rowid: str | None = None
    writes: tuple[LobWrite, ...] = ()
    trim: int | None = None
    condition: str = ""


class _Block(StatementScanner):
    """The statements of one PL/SQL block or fragment."""

    def locator(self) -> tuple[str, LobText]:
        """The variable that a locator is selected into, and what is selected."""
        column = self.identifier()
        if not self.keyword("into"):
            raise self.fail("no select .. into")
        variable = self.identifier()
        if not self.keyword("from"):
            raise self.fail("locator without from")
        owner, table = self.table()
        self.alias("where", "for")
        where: Mapping[str, Cell] = {}
        rowid: str | None = None
        condition = ""
        if self.keyword("where"):
            start = self.at
            where, rowid, _ = self.conditions()
            condition = self.text[start : self.at].strip()
        if self.keyword("for") and not self.keyword("update"):
            raise self.fail("for without update")
        self.close()
        return variable, LobText(owner, table, column, where=where, rowid=rowid, condition=condition)

    def close(self) -> None:
        self.blank()
        if self.at < len(self.text):
            self.need(";", "statement without semicolon")

    def buffer(self) -> LobData | None:
        self.need(":=", "buffer without assignment")
        value = self.value()
        if isinstance(value, Concat) or (isinstance(value, Call) and value.name == "UNISTR"):
            value = units_of(value)
        if value is not None and not isinstance(value, str | Hex):
            raise self.fail("unknown buffer expression")
        self.close()
        return value

    def call_arguments(self) -> tuple[list[Cell], str]:
        """Arguments of a DBMS_LOB call: variables as `Bind`, numbers, literals."""
        self.need("(", "bad argument list")
        arguments: list[Cell] = []
        while True:
            self.blank()
            match = _VARIABLE.match(self.text, self.at)
            if match:
                self.at = match.end()
                arguments.append(Bind(match.group().upper()))
            else:
                arguments.append(self.value())
            if not self.take(","):
                break
        self.need(")", "bad argument list")
        self.close()
        locator = arguments[0]
        return arguments[1:], locator.name if isinstance(locator, Bind) else ""


def read_lob(text: str) -> LobText:
    """Read a SELECT_LOB_LOCATOR, LOB_WRITE or LOB_TRIM row, whole blocks or fragments.

    Raises:
        RedoSyntaxError: anything unknown; a write before the locator inside a block; LOB_ERASE.
    """
    return _LobReading(text).read()


def read_locator(text: str) -> LobText:
    """Read only the locator of a LOB row whose operations are not known or do not matter.

    Raises:
        RedoSyntaxError: there is none.
    """
    reading = _LobReading(text)
    while not reading.seen and (match := _STATEMENT_HEAD.match(text, reading.block.at)):
        reading.block.at = match.end()
        if match.group(1).upper() == "SELECT":
            reading.read_select()
    if reading.lob.column is None:
        raise RedoSyntaxError("no select .. into a locator", 0)
    return reading.lob


class _LobReading:
    """What the statements of one LOB text have said so far."""

    def __init__(self, text: str) -> None:
        declared = _DECLARED_LOB.findall(text.partition("'")[0])
        self.kinds = dict(_LOCATOR_KINDS) | {name.upper(): kind.upper() for name, kind in declared}
        begin = _BEGIN.search(text)
        self.in_block = begin is not None
        self.temporary = "TEMPLOB" in text.upper()
        self.block = _Block(text)
        self.block.at = begin.end() if begin else 0
        self.lob = LobText()
        self.buffer: LobData | None = None
        self.buffered = self.seen = False

    def read(self) -> LobText:
        """All statements of the text as one `LobText`."""
        block = self.block
        while match := _STATEMENT_HEAD.match(block.text, block.at):
            start, block.at = match.start(1), match.end()
            self._statement(match.group(1).upper(), (match.group(2) or "").upper(), start)
        block.blank()
        if block.at < len(block.text):
            raise block.fail("not a LOB operation")
        if not self.seen:
            raise RedoSyntaxError("no LOB operation in the text", 0)
        return self.lob

    def _statement(self, head: str, call: str, start: int) -> None:
        if head == "SELECT":
            self.read_select()
        elif call in ("WRITE", "WRITEAPPEND", "TRIM"):
            if self.in_block and not self.seen and not self.temporary:
                raise RedoSyntaxError("LOB write before its locator", start)
            self._operation(call)
        elif call == "ERASE":
            raise RedoSyntaxError("LOB_ERASE is not supported", start)
        elif head in _BUFFERS or _TEXT_ASSIGNED.match(self.block.text, self.block.at):
            self.buffer, self.buffered = self.block.buffer(), True
            if head == "BUF_B" and isinstance(self.buffer, str):
                raise self.block.fail("text in a buffer of bytes")
            binary = self.lob.binary or (isinstance(self.buffer, Hex) and head == "BUF_B")
            self.lob = replace(self.lob, binary=binary)
        elif head in ("IF", "END") or call in _HARMLESS or _OPEN_ASKED.match(self.block.text, self.block.at):
            skipped = _TO_SEMICOLON.match(self.block.text, self.block.at)
            self.block.at = skipped.end() if skipped else len(self.block.text)
        else:
            reason = "no select .. into a locator" if self.in_block else "not a LOB operation"
            raise RedoSyntaxError(reason, start)

    def read_select(self) -> None:
        """The rest of a select into a locator."""
        variable, selected = self.block.locator()
        kind = self.kinds.get(variable)
        self.lob = replace(selected, kind=kind, binary=self.lob.binary or kind == "BLOB")
        self.seen = True

    def _operation(self, call: str) -> None:
        arguments, locator = self.block.call_arguments()
        kind = self.kinds.get(locator)  # a CLOB may be written from a buffer of bytes
        binary = kind == "BLOB" if kind is not None else self.lob.binary
        self.seen = True
        if call == "TRIM":
            self.lob = replace(self.lob, binary=binary, trim=_count(arguments, 0, self.block))
            return
        write = _write(call, arguments, self.buffer, buffered=self.buffered, block=self.block)
        self.lob = replace(self.lob, binary=binary, writes=(*self.lob.writes, write))


def _write(
    call: str, arguments: list[Cell], buffer: LobData | None, *, buffered: bool, block: _Block
) -> LobWrite:
    """`write(locator, length, offset, data)` or `writeappend(locator, length, data)`."""
    expected = 3 if call == "WRITE" else 2
    if len(arguments) != expected:
        raise block.fail("bad argument list")
    length = _count(arguments, 0, block)
    offset = _count(arguments, 1, block) if call == "WRITE" else 0
    data = arguments[-1]
    if isinstance(data, Bind):
        if not buffered:
            raise block.fail("LOB write without data")
        data = buffer
    if data is not None and not isinstance(data, str | Hex):
        raise block.fail("unknown buffer expression")
    return LobWrite(max(offset, 1) if call == "WRITE" else -1, length, data)


def _count(arguments: list[Cell], index: int, block: _Block) -> int:
    cell = arguments[index] if index < len(arguments) else None
    text = getattr(cell, "text", "")
    if not text.isdigit():
        raise block.fail("bad argument list")
    return int(text)


def read_extended_begin(text: str) -> LobText:
    """Read a 32K BEGIN row: the update of one extended string, its text one level deeper.

    Raises:
        RedoSyntaxError: no such update.
    """
    match = re.compile(r"\bstmt\s*:=\s*(?=')", re.IGNORECASE).search(text)
    if not match:
        raise RedoSyntaxError("no statement in the 32K block", 0)
    scanner = StatementScanner(text)
    scanner.at = match.end()
    text_of_statement = scanner.string()
    statement = read_statement(text_of_statement)
    bound = [name for name, cell in statement.values.items() if isinstance(cell, Bind)]
    if statement.operation != "UPDATE" or len(bound) != 1:
        raise RedoSyntaxError("the 32K block does not update one column", match.end())
    condition = _WHERE.search(text_of_statement)
    return LobText(
        statement.owner,
        statement.name,
        bound[0],
        "EXTENDED_STRING",
        False,
        statement.where,
        statement.rowid,
        condition=condition.group(1) if condition else "",
    )
