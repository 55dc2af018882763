"""Faults of a rule set: where, what, and the nearest name that would have been right.

Everything that reads or checks rules adds to one `Faults`, so that all faults are reported at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from cdc.errors import RuleFaults
from cdc.printable import printable

MAX_LISTED_NAMES = 8


@dataclass(frozen=True, order=True)
class Place:
    """A place in a rule file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass
class Faults:
    """A growing list of faults, reported in order of file, line and column."""

    found: set[tuple[Place, str]] = field(default_factory=set)

    def add(self, place: Place, text: str) -> None:
        """Note one fault; the same fault at the same place counts once."""
        self.found.add((place, text))

    def unknown(self, place: Place, what: str, name: str, known: Iterable[str]) -> None:
        """Note that `name` is no known `what`, with the nearest known name."""
        self.add(place, f"unknown {what} {name!r}{nearest(name, known)}")

    def lines(self) -> list[str]:
        """All faults as `file:line:column: text`, sorted; one line each, whatever a name of a rule holds."""
        return [printable(f"{place}: {text}") for place, text in sorted(self.found)]

    def raise_any(self) -> None:
        """Raise RuleFaults with every fault, if there is one."""
        if self.found:
            raise RuleFaults(self.lines())


def nearest(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?`, or the names that exist when none is near and they are few."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:
        folded = {other.casefold(): other for other in names}
        close = [folded[near] for near in difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)]
    if close:
        return f", did you mean {close[0]!r}?"
    if 0 < len(names) <= MAX_LISTED_NAMES:
        return f", expected one of: {', '.join(names)}"
    return ""
