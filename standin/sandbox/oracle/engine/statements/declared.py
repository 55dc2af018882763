"""Blocks with declared variables that open one REF CURSOR: what JDBC's metadata calls are.

`declare v type := value; c sys_refcursor; begin v := :1; open c for select ...; :2 := c; end;`: the
variables become binds of the query. Anything else a DECLARE could hold is not simulated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.interface import Bind, Cell, CheckCancel, Outcome

_BLOCK = re.compile(
    r"\s*declare\b(?P<declared>.*?)\bbegin\b(?P<assigned>.*?)\bopen\s+(?P<cursor>\w+)\s+for\b(?P<query>.*?);"
    r"\s*:(?P<out>\w+)\s*:=\s*(?P=cursor)\s*;\s*end\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
_DECLARED = re.compile(r"\s*(\w+)\s+\w+\s*(?:\(\s*\d+\s*\))?\s*(?::=\s*null\s*)?", re.IGNORECASE)
_ASSIGNED = re.compile(r"\s*(\w+)\s*:=\s*:(\w+)\s*")


def run(
    session: Session,
    text: str,
    binds: Sequence[Bind],
    row: Sequence[Cell | list[Cell]],
    check: CheckCancel,
) -> Outcome | None:
    """Run such a block: its OUT bind gets the query's outcome; None if the block is of another form."""
    block = _BLOCK.fullmatch(text)
    if block is None:
        return None
    names = {
        found.group(1).lower() for each in _parts(block["declared"]) if (found := _DECLARED.fullmatch(each))
    }
    places: dict[str, int] = {}
    for each in _parts(block["assigned"]):
        found = _ASSIGNED.fullmatch(each)
        if found is None or found.group(1).lower() not in names:
            return None
        places[found.group(1).lower()] = _place(found.group(2), binds)
    used: list[int] = []

    def placeholder(match: re.Match[str]) -> str:
        used.append(places[match.group().lower()])
        return f":b{len(used)}"

    words = "|".join(map(re.escape, places)) or r"(?!)"
    query = re.sub(rf"\b(?:{words})\b", placeholder, block["query"].strip(), flags=re.IGNORECASE)
    opened = session.execute(
        query, [binds[at] for at in used], [[row[at] for at in used]], check_cancel=check
    )
    return Outcome(outs={_place(block["out"], binds): opened})


def _parts(text: str) -> list[str]:
    return [part for part in text.split(";") if part.strip()]


def _place(name: str, binds: Sequence[Bind]) -> int:
    for at, bind in enumerate(binds):
        if bind.name.upper() == name.upper():
            return at
    return int(name) - 1
