"""Ids as the framework of CC&B makes them: random digits, kept as text, leading zeros possible."""

from __future__ import annotations

import random


class Keys:
    """Makes random ids, different from all it made before; the same seed makes the same ids.

    Ids already in the database are not known here: a primary key refuses the rare collision, and
    the caller rolls back and tries again with other ids.
    """

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._used: set[str] = set()

    def make(self, digits: int = 10) -> str:
        """A new id: 10 digits for masters and controls, 12 for payments and below."""
        while True:
            key = self.digits(digits)
            if key not in self._used:
                self._used.add(key)
                return key

    def digits(self, count: int) -> str:
        """Random digits that need not be new."""
        return f"{self._random.randrange(10**count):0{count}d}"
