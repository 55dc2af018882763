"""DDL texts: verb, kind and object. What changed is asked of the dictionary, not of the text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError
from cdc.readers.logminer.redo_sql.scanner import Scanner

_VERB = re.compile(
    r"(create|alter|drop|truncate|comment|rename|grant|revoke|purge|analyze|flashback|"
    r"audit|noaudit|associate|disassociate|lock)\b",
    re.IGNORECASE,
)
_ADJECTIVES = re.compile(
    r"(?:or\s+replace|on|global|private|temporary|sharded|duplicated|immutable|blockchain|unique|bitmap|multivalue|"
    r"public|shared|editionable|noneditionable|editioning|force|no\s+force|noforce|if\s+(?:not\s+)?exists)\b",
    re.IGNORECASE,
)
_KIND = re.compile(
    r"(materialized\s+view\s+log|materialized\s+view|package\s+body|type\s+body|database\s+link|"
    r"java\s+source|table|index|view|trigger|sequence|synonym|procedure|function|package|type|"
    r"user|role|tablespace|cluster|column|profile|directory|context|database|session|system|recyclebin|"
    r"snapshot|library|operator|dimension|rollback\s+segment|edition|outline)\b(?:\s+on\b)?",
    re.IGNORECASE,
)
_BLANK = re.compile(r"(?:\s+|/\*.*?\*/|--[^\n]*(?:\n|\Z))*", re.DOTALL)
_RIGHTS = frozenset(("GRANT", "REVOKE"))
_ON = re.compile(r"\son\b", re.IGNORECASE)
_EXCHANGE = re.compile(
    r"\bexchange\s+(?:sub)?partition\b.*?\bwith\s+table\b(?:\s+if\s+exists\b)?", re.IGNORECASE | re.DOTALL
)
_PARTITION_LOST = re.compile(r"\b(?:truncate|drop|exchange)\s+(?:sub)?partition", re.IGNORECASE)
_PARTITION = re.compile(r"\b(?:sub)?partitions?\b", re.IGNORECASE)
_TRUNCATE_CASCADE = re.compile(r"\btruncate\b.*\bcascade\b", re.IGNORECASE | re.DOTALL)
_TAKEN = r"\b(?:drop|disable(?:\s+(?:no)?validate)?|enable\s+novalidate)\s+"
_KEY_TAKEN = re.compile(
    rf"{_TAKEN}primary\s+key\b|\bmodify\s+primary\s+key\b[^()]*\b(?:disable|novalidate)\b", re.IGNORECASE
)
_CONSTRAINT_TAKEN = re.compile(
    rf"{_TAKEN}constraint\s+(?:if\s+exists\s+)?"
    r"|\bmodify\s+constraint\s+(?=\S+\s[^()]*\b(?:disable|novalidate)\b)",
    re.IGNORECASE,
)
_ROWS_LEFT_OUT = re.compile(r"\bincluding\s+rows\b", re.IGNORECASE)
_RENAMED = re.compile(r"\brename\s+to\b", re.IGNORECASE)
_COMMENT_OR_QUOTED = re.compile(
    r"""/\*.*?\*/ | --[^\n]* | "[^"]*" | '(?:[^']|'')*'
      | \bn?q'(?:\[.*?\] | \{.*?\} | \(.*?\) | <.*?> | ([^\s\[{(<]).*?\1)'""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_NAMELESS = frozenset(("SESSION", "SYSTEM", "RECYCLEBIN"))


@dataclass(frozen=True)
class Ddl:
    """A DDL text: verb and kind in upper case; owner is None where the text does not name it."""

    verb: str
    kind: str | None
    owner: str | None
    name: str | None


class _DdlScanner(Scanner):
    """A DDL text is as its author typed it: comments may stand between its words."""

    def blank(self) -> None:
        match = _BLANK.match(self.text, self.at)
        if match:
            self.at = match.end()

    def words(self, pattern: re.Pattern[str]) -> str | None:
        """Take what `pattern` finds here; its first group, or all of it."""
        self.blank()
        match = pattern.match(self.text, self.at)
        if not match:
            return None
        self.at = match.end()
        return match.group(match.lastindex or 0)


def read_ddl(text: str) -> Ddl:
    """Verb, kind and object of a DDL text; not its details, which the dictionary tells better.

    Raises:
        RedoSyntaxError: the text begins with no DDL verb.
    """
    scanner = _DdlScanner(text)
    verb = (scanner.words(_VERB) or "").upper()
    if not verb:
        raise RedoSyntaxError("not a DDL text", 0)
    if verb in _RIGHTS:
        target = _ON.search(text, scanner.at)
        if target is None:
            return Ddl(verb, None, None, None)
        scanner.at = target.end()
    while scanner.words(_ADJECTIVES):
        pass
    kind = scanner.words(_KIND)
    while scanner.words(_ADJECTIVES):
        pass
    kind_text = " ".join(kind.upper().split()) if kind else None
    if kind_text in _NAMELESS:
        return Ddl(verb, kind_text, None, None)
    names: list[str] = []
    try:
        names.append(scanner.identifier())
        while scanner.take("."):
            names.append(scanner.identifier())
    except RedoSyntaxError:
        pass  # a text that names nothing, or not so that it can be read
    if kind_text == "COLUMN" and len(names) > 1:
        names.pop()
    if not names:
        return Ddl(verb, kind_text, None, None)
    return Ddl(verb, kind_text, names[-2] if len(names) > 1 else None, names[-1])


def words_of(text: str) -> str:
    """Words of a DDL text: comments are blanks, what is in quotes is underscores; places stay the same."""
    return _COMMENT_OR_QUOTED.sub(lambda found: (" " if found[0][0] in "/-" else "_") * len(found[0]), text)


def rows_lost_by_alter(text: str) -> str | None:
    """What an ALTER TABLE took of the table's rows without a row in the log; None for nothing.

    MOVE, SPLIT and MERGE keep the rows, unless INCLUDING ROWS says which ones.
    """
    words = words_of(text)
    if _RENAMED.search(words):
        return "the table"
    if _PARTITION_LOST.search(words):
        return "rows of a partition"
    return "rows that INCLUDING ROWS left out" if _ROWS_LEFT_OUT.search(words) else None


def takes_key(text: str, constraint: str | None) -> bool:
    """Whether an ALTER TABLE drops or disables the primary key, by these words or by its constraint's name.

    It may be there again when the text is read; what came in between may have had one key twice.
    """
    words = words_of(text)
    if _KEY_TAKEN.search(words):
        return True
    for found in _CONSTRAINT_TAKEN.finditer(words):
        scanner = _DdlScanner(text)
        scanner.at = found.end()
        try:
            if scanner.identifier() == constraint:
                return True
        except RedoSyntaxError:
            continue
    return False


def is_of_partitions(text: str) -> bool:
    """Whether a DDL text names partitions or subpartitions."""
    return _PARTITION.search(words_of(text)) is not None


def taking_along(text: str) -> Ddl | None:
    """DDL by which tables that it does not name lose rows; None for any other.

    TRUNCATE and DROP of a CLUSTER, whose tables lose all; DROP USER, which has to CASCADE where there is one;
    TRUNCATE .. CASCADE of a TABLE or its partitions, with the tables that refer to it.
    """
    try:
        read = read_ddl(text)
    except RedoSyntaxError:
        return None
    if read.name is None:
        return None
    match read.verb, read.kind:
        case ("TRUNCATE" | "DROP", "CLUSTER") | ("DROP", "USER"):
            return read
        case ("TRUNCATE" | "ALTER", "TABLE") if _TRUNCATE_CASCADE.search(words_of(text)):
            return read
    return None


def exchanged_table(text: str) -> tuple[str | None, str] | None:
    """Owner and name of the table that ALTER TABLE .. EXCHANGE PARTITION .. WITH TABLE names.

    It gives its rows to the partition and takes those of the partition, and no row says so.
    """
    scanner = _DdlScanner(text, unquoted_tables=True)
    found = _EXCHANGE.search(words_of(text)) if (scanner.words(_VERB) or "").lower() == "alter" else None
    if found is None:
        return None
    scanner.at = found.end()
    try:
        return scanner.table()
    except RedoSyntaxError:
        return None
