"""XML documents in SQL_REDO: where one begins, and its pieces.

Source: Oracle Database Utilities 19c, "Using LogMiner", XMLType.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cdc.readers.logminer.redo_sql.redo_values import Bind, Call, Cell, RedoSyntaxError
from cdc.readers.logminer.redo_sql.statements import StatementScanner, read_statement

_XML_BINARY = re.compile(r"\s*XML DOC BEGIN:\s+select\s", re.IGNORECASE)
_XML_PIECE = re.compile(
    r"\s*XML_REDO\s*:=\s*(?:(null)|hextoraw\('([0-9A-Fa-f]*)'?\))\s*(?::\s*(\d+))?\s*;?\s*\Z", re.IGNORECASE
)


@dataclass(frozen=True)
class XmlBegin:
    """Start of an XML document: pieces follow, `binary` (hexadecimal) or as text."""

    owner: str | None
    table: str
    column: str
    binary: bool
    where: Mapping[str, Cell]
    rowid: str | None = None


def read_xml_begin(text: str) -> XmlBegin:
    """Read an XML DOC BEGIN row.

    Raises:
        RedoSyntaxError: neither form.
    """
    match = _XML_BINARY.match(text)
    if match:
        scanner = StatementScanner(text)
        scanner.at = match.end()
        column = scanner.identifier()
        if not scanner.keyword("from"):
            raise scanner.fail("XML document without from")
        owner, table = scanner.table()
        scanner.alias("where")
        where, rowid, _ = scanner.conditions() if scanner.keyword("where") else ({}, None, ())
        scanner.end()
        return XmlBegin(owner, table, column, True, where, rowid)
    statement = read_statement(text)
    columns = [
        name
        for name, cell in statement.values.items()
        if isinstance(cell, Call)
        and cell.name.endswith("XMLTYPE")
        and isinstance(next(iter(cell.args), None), Bind)
    ]
    if statement.operation != "UPDATE" or len(columns) != 1:
        raise RedoSyntaxError("no XML document begins here", 0)
    return XmlBegin(statement.owner, statement.name, columns[0], False, statement.where, statement.rowid)


def read_xml_piece(text: str | None, *, charset: str) -> tuple[str | None, int]:
    """Text and stated length of an XML DOC WRITE row; bytes are in the database character set.

    Raises:
        RedoSyntaxError: hexadecimal digits that are not text in that character set.
    """
    if text is None:
        return None, 0
    match = _XML_PIECE.match(text)
    if not match:
        if text.lstrip().upper().startswith("XML_REDO"):
            raise RedoSyntaxError("bad XML piece", 0)
        return text, len(text)
    if match.group(1):
        return None, 0
    try:
        raw = bytes.fromhex(match.group(2))
        return raw.decode(charset), int(match.group(3) or len(raw))
    except ValueError as exc:
        raise RedoSyntaxError(f"XML piece is no {charset} text", match.start(2)) from exc
