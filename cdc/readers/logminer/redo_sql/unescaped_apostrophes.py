"""Reading texts in which Oracle left apostrophes unescaped, where only one reading is possible.

Databases with MAX_STRING_SIZE=EXTENDED write strings without doubling their apostrophes. This
reader looks for every place where a string could end and tries them all. A reading in which a
string swallows what looks like the next condition (`' and "C" = `) counts only if there is no
other; a text with two readings left is refused, never guessed. Opt-in, because a text that was
wrongly escaped can by bad luck still be strictly correct.
"""

from __future__ import annotations

import re
from dataclasses import replace

from cdc.readers.logminer.redo_sql.redo_values import Cell, RedoSyntaxError, Statement, Unsupported
from cdc.readers.logminer.redo_sql.statements import StatementScanner, read_statement

MAX_READINGS = 5_000
"""Tries before a text is given up as ambiguous."""

_FOLLOW = re.compile(
    r"""\s*(?:
        ,\s*(?:['"/:]|[+\-.]?\d|[^\W\d][\w$\#]*\s*[(.='"]|null\b|unsupported\s+type)
      | \)\s*(?:[,);]|'?\s*\Z|\|\||and\s|where\s)
      | \|\| | ;?\s*'?\s*\Z | and\s+(?:\w+\.)?["\w] | where\s+(?:\w+\.)?["\w] | for\s+update
    )""",
    re.VERBOSE | re.IGNORECASE,
)
"""What may follow the closing apostrophe of a string."""
_SWALLOWED = re.compile(
    r"""'\s*(?:,|and|where)\s*(?:\w+\.)?(?:"[^"]+"\s*(?:=|is\s)|rowid\s*=)""", re.IGNORECASE
)
_CONVERSION = re.compile(r"to_(?:date|timestamp|dsinterval|yminterval|number|binary)|hextoraw", re.IGNORECASE)
"""Calls whose arguments never hold an apostrophe: dates, numbers and digits."""
_END = re.compile(r"\s*;?\s*'?\s*;?\s*\Z")


class _Reading(StatementScanner):
    """One reading: the n-th string ends at the `choices[n]`-th place where it could."""

    def __init__(self, text: str, choices: list[int], *, unquoted_tables: bool) -> None:
        super().__init__(text, unquoted_tables=unquoted_tables)
        self._choices, self._strings = choices, 0
        self.open_choices: list[bool] = []
        self.swallows = False
        self._converting = False

    def _named(self) -> Cell:
        outer, self._converting = self._converting, _CONVERSION.match(self.text, self.at) is not None
        try:
            return super()._named()
        finally:
            self._converting = outer

    def string(self) -> str:
        if self._converting:
            return super().string()
        chosen = self._choices[self._strings] if self._strings < len(self._choices) else 0
        self._strings += 1
        start = self.at + 1
        seen, close = -1, start - 1
        while seen < chosen:
            close = self.text.find("'", close + 1)
            if close < 0:
                self.open_choices.append(False)
                raise self.fail("unterminated string")
            seen += _FOLLOW.match(self.text, close + 1) is not None
        self.open_choices.append(True)
        self.at = close + 1
        content = self.text[start:close]
        self.swallows |= _SWALLOWED.search(content) is not None
        return content.replace("''", "'")

    def end(self) -> None:
        if not _END.match(self.text, self.at):
            raise self.fail("text after the end of the statement")


def read_relaxed(
    text: str, *, unquoted_tables: bool = False, unsure: frozenset[str] = frozenset()
) -> Statement:
    """Read one statement whose strings may hold unescaped apostrophes.

    Args:
        text: SQL_REDO with its CSF pieces joined.
        unquoted_tables: accept a table name without double quotes.
        unsure: columns that readings may differ in: they are `Unsupported` then, since their value can be
            had elsewhere.

    Raises:
        RedoSyntaxError: no reading, or more than one.
    """
    try:
        return read_statement(text, unquoted_tables=unquoted_tables)
    except RedoSyntaxError as exc:
        error = exc
    clean: list[Statement] = []
    swallowing: list[Statement] = []
    choices: list[int] = []
    for _ in range(MAX_READINGS):
        reading = _Reading(text, choices, unquoted_tables=unquoted_tables)
        try:
            statement = reading.statement()
            found = swallowing if reading.swallows else clean
            if unsure and _differs_only(statement, found, unsure):
                found[0] = _without(found[0], unsure)
            elif statement not in found:
                found.append(statement)
        except RedoSyntaxError:
            pass
        if len(clean) > 1:
            break
        following = _next_choices(choices, reading.open_choices)
        if following is None:
            readings = clean or swallowing
            if len(readings) == 1:
                return readings[0]
            if not readings:
                raise error
            break
        choices = following
    else:
        raise RedoSyntaxError("too many possible readings of unescaped apostrophes", error.offset)
    raise RedoSyntaxError("ambiguous apostrophes", error.offset)


def _differs_only(statement: Statement, found: list[Statement], unsure: frozenset[str]) -> bool:
    """Is there one reading, which differs from this one in columns only that it may?"""
    return (
        len(found) == 1
        and statement != found[0]
        and _without(statement, unsure) == _without(found[0], unsure)
    )


def _without(statement: Statement, unsure: frozenset[str]) -> Statement:
    values = {
        name: Unsupported() if name in unsure and cell is not None else cell
        for name, cell in statement.values.items()
    }
    return replace(statement, values=values)


def _next_choices(choices: list[int], open_choices: list[bool]) -> list[int] | None:
    """The next reading in depth-first order; None when all were tried."""
    depth = len(open_choices)
    padded = (choices + [0] * depth)[:depth]
    while padded:
        if open_choices[len(padded) - 1]:
            padded[-1] += 1
            return padded
        padded.pop()
    return None
