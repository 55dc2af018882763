"""Which columns an ALTER TABLE adds and drops, and whether the table of today is what it left.

The dictionary tells what a table is now, not what it was between two DDL statements that were both run before
the first was read. A column that came and went in between, or that was dropped and added again, leaves no
trace in it; rows of then are numbered by columns that are not there.

Source: Oracle Database SQL Language Reference 19c, ALTER TABLE, "column_clauses".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cdc.readers.logminer.ddl.statements import words_of
from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError
from cdc.readers.logminer.redo_sql.scanner import Scanner

_ADD = re.compile(r"\badd\b(?:\s+column\b)?(?:\s+if\s+not\s+exists\b)?\s*", re.IGNORECASE)
_TAKE = re.compile(
    r"\b(?:drop|set\s+unused)\b(?:\s+column\b(?:\s+if\s+exists\b)?\s*|\s*(?=\())|\brename\s+column\s+",
    re.IGNORECASE,
)
_DROP_UNUSED = re.compile(r"\bdrop\s+unused\s+columns?\b|\bdrop\s+columns\s+continue\b", re.IGNORECASE)
_NO_COLUMN = re.compile(
    r"(?:constraint|primary|unique|foreign|check|supplemental|partition|subpartition|period|overflow|values|"
    r"scope|ref|policy|clustering)\b",
    re.IGNORECASE,
)
_UNUSED = re.compile(r"SYS_C\d{5}_\d+:.*\$\Z")
"""Name of a column that was set unused."""


@dataclass(frozen=True)
class AlteredColumns:
    """Columns that an ALTER TABLE adds, drops (or renames), and whether it drops all unused ones."""

    added: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    drops_unused: bool = False

    def leads_to(self, before: Sequence[str], now: Sequence[str], others: Mapping[str, object]) -> bool:
        """Whether a table may have the columns of now right behind this DDL; else it was altered again.

        Args:
            before: names of the columns in the row before, in order.
            now: the same of now, with those added since.
            others: names of columns that have no place in the row of now, such as virtual ones.
        """
        if not {*self.added} <= {*now, *others}:
            return False
        kept = [name for name in before if name not in self.taken and not self._is_dropped(name)]
        in_place = len(now) >= len(before) and all(
            name == later or name in self.taken for name, later in zip(before, now, strict=False)
        )
        return in_place or list(now[: len(kept)]) == kept

    def _is_dropped(self, name: str) -> bool:
        return self.drops_unused and _UNUSED.match(name) is not None


def altered_columns(text: str) -> AlteredColumns:
    """What an ALTER TABLE does to columns, as far as its text can be read."""
    words = words_of(text)
    added, taken = (
        tuple(
            name
            for found in clause.finditer(words)
            if words.count("(", 0, found.start()) == words.count(")", 0, found.start())
            for name in _names(text, words, found.end())
        )
        for clause in (_ADD, _TAKE)
    )
    return AlteredColumns(added, taken, _DROP_UNUSED.search(words) is not None)


def _names(text: str, words: str, at: int) -> Iterator[str]:
    """The name at a place, or the first one of each part of the list in parentheses there."""
    starts = [at]
    if words.startswith("(", at):
        starts, depth = [at + 1], 0
        for place in range(at, len(words)):
            depth += {"(": 1, ")": -1}.get(words[place], 0)
            if depth == 0:
                break
            if depth == 1 and words[place] == ",":
                starts.append(place + 1)
    for start in starts:
        while start < len(words) and words[start].isspace():
            start += 1
        if _NO_COLUMN.match(words, start):
            continue
        scanner = Scanner(text)
        scanner.at = start
        try:
            yield scanner.identifier()
        except RedoSyntaxError:
            continue
