"""A strict scanner for the SQL_REDO (and SQL_UNDO) text of V$LOGMNR_CONTENTS: names and values.

Whatever is not of the known grammar is refused, so that a text is either understood in full or named
as not understood.

Source: Oracle Database Utilities 19c, "Using LogMiner to Analyze Redo Log Files".
"""

from __future__ import annotations

import re

from cdc.readers.logminer.redo_sql.redo_values import (
    Bare,
    Bind,
    Call,
    Cell,
    Concat,
    Hex,
    Hinted,
    RedoSyntaxError,
    Unsupported,
)

FUNCTIONS = frozenset(
    (
        "TO_DATE",
        "TO_TIMESTAMP",
        "TO_TIMESTAMP_TZ",
        "TO_TIMESTAMP_LTZ",
        "TO_YMINTERVAL",
        "TO_DSINTERVAL",
        "TO_NUMBER",
        "TO_BINARY_FLOAT",
        "TO_BINARY_DOUBLE",
        "TO_CHAR",
        "TO_NCHAR",
        "TO_CLOB",
        "TO_NCLOB",
        "TO_BLOB",
        "NUMTODSINTERVAL",
        "NUMTOYMINTERVAL",
        "HEXTORAW",
        "RAWTOHEX",
        "UNISTR",
        "CHR",
        "NCHR",
        "EMPTY_CLOB",
        "EMPTY_BLOB",
        "EMPTY_NCLOB",
        "XMLTYPE",
        "BFILENAME",
        "CHARTOROWID",
        "JSON",
        "FROM_TZ",
    )
)
"""Functions that LogMiner writes; `SDO_*` and constructors named with their owner come on top."""
_DATETIMES = frozenset(("TO_DATE", "TO_TIMESTAMP", "TO_TIMESTAMP_TZ", "TO_TIMESTAMP_LTZ"))

MARK = "\ue000"
"""Begins and ends what `cdc.readers.logminer.redo_sql.templates` puts in the place of a quoted text."""

_BLANK = re.compile(r"\s*")
_STRING = re.compile(r"'([^']*(?:''[^']*)*)'")
_QUOTED = re.compile(r'"((?:[^"]|"")+)"')
_WORD = re.compile(r"[^\W\d][\w$#]*")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?(?![\w$#])")
_BIND = re.compile(r":(\w+)")
_HINT = re.compile(r"/\*\s*(\w+)\s*\*/")
_UNSUPPORTED = re.compile(r"unsupported\s+type(?![\w$#])", re.IGNORECASE)
_PIPES = re.compile(r"\s*\|\|\s*")
_HEX_DIGITS = re.compile(r"[0-9A-Fa-f]*\Z")
_INTERVAL_FIELDS = re.compile(r"\s*((?:year|month|day|hour|minute|second|to|\([\d, ]+\)|\s)+)", re.IGNORECASE)
_END = re.compile(r"\s*;?\s*\Z")


class Scanner:
    """One pass over one text; each method reads at `at` and moves it on."""

    def __init__(self, text: str, *, unquoted_tables: bool = False) -> None:
        self.text, self.at = text, 0
        self._unquoted_tables = unquoted_tables

    def fail(self, reason: str) -> RedoSyntaxError:
        """The error to raise at this place."""
        return RedoSyntaxError(reason, self.at)

    def blank(self) -> None:
        """Skip white space."""
        match = _BLANK.match(self.text, self.at)
        if match:
            self.at = match.end()

    def take(self, symbol: str) -> bool:
        """Skip white space and `symbol`, if it is there."""
        self.blank()
        if self.text.startswith(symbol, self.at):
            self.at += len(symbol)
            return True
        return False

    def need(self, symbol: str, reason: str) -> None:
        """Skip white space and `symbol`, or fail."""
        if not self.take(symbol):
            raise self.fail(reason)

    def keyword(self, *words: str) -> str | None:
        """Take one of the lower-case words in any case; None and no move otherwise."""
        self.blank()
        match = _WORD.match(self.text, self.at)
        if match and (word := match.group().lower()) in words:
            self.at = match.end()
            return word
        return None

    def end(self) -> None:
        """Nothing may follow but one semicolon and white space."""
        if not _END.match(self.text, self.at):
            raise self.fail("text after the end of the statement")

    # -- names ---------------------------------------------------------------------------------

    def identifier(self) -> str:
        """A quoted name as written, an unquoted one in upper case."""
        self.blank()
        if self.text.startswith('"', self.at):
            match = _QUOTED.match(self.text, self.at)
            if not match:
                raise self.fail("unterminated identifier")
            self.at = match.end()
            return match.group(1).replace('""', '"')
        match = _WORD.match(self.text, self.at)
        if not match:
            raise self.fail("no identifier")
        self.at = match.end()
        return match.group().upper()

    def table(self) -> tuple[str | None, str]:
        """Owner (None where not named) and name."""
        self.blank()
        if not self.text.startswith('"', self.at) and not self._unquoted_tables:
            raise self.fail("unquoted table name")
        first = self.identifier()
        return (first, self.identifier()) if self.take(".") else (None, first)

    def alias(self, *stops: str) -> None:
        """An alias of the table, if there is one before the words in `stops`."""
        self.blank()
        match = _WORD.match(self.text, self.at)
        if match and match.group().lower() not in stops:
            self.at = match.end()

    def column(self) -> str | None:
        """A column, its alias dropped; None for the pseudo column ROWID."""
        self.blank()
        quoted = self.text.startswith('"', self.at)
        name = self.identifier()
        if self.take("."):
            self.blank()
            quoted = self.text.startswith('"', self.at)
            name = self.identifier()
        return None if name == "ROWID" and not quoted else name

    # -- values --------------------------------------------------------------------------------

    def string(self) -> str:
        """A quoted text, doubled apostrophes reduced."""
        match = _STRING.match(self.text, self.at)
        if not match:
            raise self.fail("unterminated string")
        self.at = match.end()
        return match.group(1).replace("''", "'")

    def value(self) -> Cell:
        """A value or a concatenation of values."""
        first = self._primary()
        parts = [first]
        while match := _PIPES.match(self.text, self.at):
            self.at = match.end()
            parts.append(self._primary())
        return Concat(tuple(parts)) if len(parts) > 1 else first

    def _primary(self) -> Cell:
        self.blank()
        if self.at >= len(self.text):
            raise self.fail("text ends where a value should be")
        head = self.text[self.at]
        if head == "'":
            return self.string()
        if head == "/":
            match = _HINT.match(self.text, self.at)
            if not match:
                raise self.fail("comment without end")
            self.at = match.end()
            return Hinted(match.group(1).upper(), self._primary())
        if head == ":":
            match = _BIND.match(self.text, self.at)
            if not match:
                raise self.fail("placeholder without name")
            self.at = match.end()
            return Bind(match.group(1))
        match = _NUMBER.match(self.text, self.at)
        if match:
            self.at = match.end()
            return Bare(match.group())
        match = _UNSUPPORTED.match(self.text, self.at)
        if match:
            self.at = match.end()
            return Unsupported()
        if head == '"' or _WORD.match(self.text, self.at):
            return self._named()
        raise self.fail("bad character where a value should be")

    def _named(self) -> Cell:
        """NULL, an ANSI literal or a call."""
        quoted = self.text[self.at] == '"'
        start = self.at
        name = self.identifier()
        if name == "NULL" and not quoted:
            return None
        owned = False
        while self.text.startswith(".", self.at):
            self.at += 1
            name, owned = f"{name}.{self.identifier()}", True
        self.blank()
        if self.text.startswith("'", self.at) and not quoted and not owned:
            return self._literal(name, start)
        if not self.text.startswith("(", self.at):
            self.at = start
            raise self.fail("bare word as value")
        if not (owned or quoted or name in FUNCTIONS or name.startswith("SDO_")):
            self.at = start
            raise self.fail("unknown function")
        self.at += 1
        args = self.arguments()
        first = args[0] if args else None
        if name == "HEXTORAW" and len(args) == 1:
            if first is None:
                return None
            if isinstance(first, str):
                if not _HEX_DIGITS.match(first) and not first.startswith(MARK):
                    self.at = start
                    raise self.fail("HEXTORAW of other than hexadecimal digits")
                return Hex(first)
        if name in _DATETIMES and isinstance(first, str) and not any(map(str.isdigit, first)):
            self.at = start
            raise self.fail(f"{name} of a text without digits")
        return Call(name, args)

    def _literal(self, name: str, start: int) -> Cell:
        if name == "N":
            return self.string()
        if name not in ("TIMESTAMP", "DATE", "INTERVAL"):
            self.at = start
            raise self.fail("unknown literal")
        args: tuple[Cell, ...] = (self.string(),)
        if name == "INTERVAL" and (match := _INTERVAL_FIELDS.match(self.text, self.at)):
            self.at = match.end()
            args = (*args, " ".join(match.group(1).upper().split()))
        return Call(name, args, literal=True)

    def arguments(self) -> tuple[Cell, ...]:
        """Values up to the closing parenthesis; the opening one is behind."""
        if self.take(")"):
            return ()
        args = [self.value()]
        while self.take(","):
            args.append(self.value())
        self.need(")", "call without closing parenthesis")
        return tuple(args)
