"""The little a wire server must know of a statement: its kind and its placeholders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """What a statement is, by its first word, as clients decide it too."""

    QUERY = "query"
    DML = "dml"
    PLSQL = "plsql"
    OTHER = "other"


@dataclass(frozen=True)
class Placeholder:
    """A bind position; `returning` when it receives values behind RETURNING ... INTO."""

    name: str
    returning: bool = False


_KINDS = {
    **dict.fromkeys(("SELECT", "WITH"), Kind.QUERY),
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE", "MERGE"), Kind.DML),
    **dict.fromkeys(("BEGIN", "DECLARE", "CALL"), Kind.PLSQL),
}
_FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*(\w*)", re.DOTALL)
_TOKEN = re.compile(
    r"""
    --[^\n]* | /\*.*?\*/
    | (?<!\w)n?q'(?: \[.*?\] | \{.*?\} | <.*?> | \(.*?\) | (?P<mark>\S).*?(?P=mark) )'
    | '[^']*':?                                  # a colon right behind a literal is JSON syntax
    | "[^"]*"
    | :\s*(?P<name>"[^"]+"|\w[\w$#]*)
    | (?<![\w$#:.])(?P<word>returning|into)(?![\w$#])
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def kind(statement: str) -> Kind:
    """The kind of a statement, by the first word behind comments and opening brackets."""
    found = _FIRST_WORD.match(statement)
    return _KINDS.get(found.group(1).upper(), Kind.OTHER) if found else Kind.OTHER


@lru_cache(maxsize=1024)
def placeholders(statement: str) -> tuple[Placeholder, ...]:
    """Bind positions in order.

    SQL has a position for each occurrence of a name, PL/SQL one for each distinct name. Names are
    upper case unless quoted.
    """
    statement_kind = kind(statement)
    if statement_kind is Kind.OTHER:
        return ()
    found: list[Placeholder] = []
    seen: set[str] = set()
    state = ""
    for match in _TOKEN.finditer(statement):
        if word := match["word"]:
            if word.lower() != "into":
                state = "returning"
            elif state == "returning":
                state = "into"
        elif quoted := match["name"]:
            name = quoted[1:-1] if quoted.startswith('"') else quoted.upper()
            if statement_kind is Kind.PLSQL:
                if name not in seen:
                    seen.add(name)
                    found.append(Placeholder(name))
            else:
                found.append(Placeholder(name, statement_kind is Kind.DML and state == "into"))
    return tuple(found)
