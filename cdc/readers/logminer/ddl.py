"""DDL texts: verb, kind and object. What changed is asked of the dictionary, not of the text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cdc.readers.logminer.cells import RedoSyntaxError
from cdc.readers.logminer.scanner import Scanner

_DDL = re.compile(
    r"""\s*(?P<verb>create|alter|drop|truncate|comment|rename|grant|revoke|purge|analyze|flashback|
        audit|noaudit|associate|disassociate|lock)\b
        (?:\s+or\s+replace\b)?(?P<rest>.*)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ADJECTIVES = re.compile(
    r"\s*(?:on|global|private|temporary|sharded|duplicated|immutable|blockchain|unique|bitmap|multivalue|"
    r"public|shared|editionable|noneditionable|editioning|force|no\s+force|noforce|if\s+(?:not\s+)?exists)\b",
    re.IGNORECASE,
)
_KIND = re.compile(
    r"\s*(materialized\s+view\s+log|materialized\s+view|package\s+body|type\s+body|database\s+link|"
    r"java\s+source|table|index|view|trigger|sequence|synonym|procedure|function|package|type|"
    r"user|role|tablespace|cluster|column|profile|directory|context|database|session|system|recyclebin|"
    r"snapshot|library|operator|dimension|rollback\s+segment|edition|outline)\b(?:\s+log\s+on\b)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Ddl:
    """A DDL text: verb and kind in upper case; owner is None where the text does not name it."""

    verb: str
    kind: str | None
    owner: str | None
    name: str | None


def read_ddl(text: str) -> Ddl:
    """Verb, kind and object of a DDL text; not its details, which the dictionary tells better.

    Raises:
        RedoSyntaxError: the text begins with no DDL verb.
    """
    match = _DDL.match(text)
    if not match:
        raise RedoSyntaxError("not a DDL text", 0)
    scanner = Scanner(match.group("rest"))
    while adjective := _ADJECTIVES.match(scanner.text, scanner.at):
        scanner.at = adjective.end()
    kind = _KIND.match(scanner.text, scanner.at)
    scanner.at = kind.end() if kind else scanner.at
    while adjective := _ADJECTIVES.match(scanner.text, scanner.at):
        scanner.at = adjective.end()
    names: list[str] = []
    try:
        names.append(scanner.identifier())
        while scanner.take("."):
            names.append(scanner.identifier())
    except RedoSyntaxError:
        names = names or []
    kind_text = " ".join(kind.group(1).upper().split()) if kind else None
    if kind_text == "COLUMN" and len(names) > 1:
        names.pop()
    verb = match.group("verb").upper()
    if not names:
        return Ddl(verb, kind_text, None, None)
    return Ddl(verb, kind_text, names[-2] if len(names) > 1 else None, names[-1])
