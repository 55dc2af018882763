"""Errors of a rule set: where, what, and the nearest name that would have been right.

Everything that reads or checks rules adds to one `ErrorList`, so that all errors are reported at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from cdc.errors import RuleErrors
from cdc.printable import printable

MAX_LISTED_NAMES = 8


@dataclass(frozen=True, order=True)
class Location:
    """A location in a rule file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass
class ErrorList:
    """A growing list of errors, reported in order of file, line and column."""

    found: set[tuple[Location, str]] = field(default_factory=set)

    def add(self, location: Location, text: str) -> None:
        """Note one error; the same error at the same location counts once."""
        self.found.add((location, text))

    def unknown(self, location: Location, what: str, name: str, known: Iterable[str]) -> None:
        """Note that `name` is not a known `what`, with the nearest known name."""
        self.add(location, f"unknown {what} {name!r}{nearest(name, known)}")

    def lines(self) -> list[str]:
        """All errors as `file:line:column: text`, sorted; one line each, whatever a name of a rule holds."""
        return [printable(f"{location}: {text}") for location, text in sorted(self.found)]

    def raise_any(self) -> None:
        """Raise RuleErrors with every error, if there is one."""
        if self.found:
            raise RuleErrors(self.lines())


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
