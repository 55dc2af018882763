"""Held keys: when each is retried, so that retrying costs little.

Held keys are tried again every `retry_held_s`, independently of other deliveries; keys that another
session had locked four times a second. Those that wait longest come first. However many there are, the tries
take about a tenth of the time (of locked ones, a fourth): a try that took long is followed by a longer
pause and by a smaller one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from cdc.ports import LOCKED
from mapping_rules import OutboundProgram

_LOCKED_RETRY_S = 0.25
_FIRST_KEYS, _MOST_KEYS = 100, 20_000
_SHORT_S, _LONG_S = 0.5, 2.0
_SHARE, _LOCKED_SHARE = 10, 3
"""A try is followed by a pause of at least so many times its duration."""

Keys = Mapping[str, pl.DataFrame]
"""Keys by rule: one text column for each key column of the target, longest waiting first."""


@dataclass
class Round:
    """Keys that are tried again together, and when they are next."""

    every_s: float
    share: int
    keys: Keys = field(default_factory=dict)
    at_once: int = _FIRST_KEYS
    next_at: float = 0.0

    def hold(self, keys: Keys) -> None:
        """Replace the keys; the first ones wait for a whole pause."""
        if not self.keys:
            self.next_at = time.monotonic() + self.every_s
        self.keys = keys

    def due(self) -> Keys:
        """The keys whose turn it is, at most `at_once`; none before it is time."""
        if not self.keys or time.monotonic() < self.next_at:
            return {}
        left, chosen = self.at_once, {}
        for rule, keys in self.keys.items():
            if left > 0:
                chosen[rule] = keys.head(left)
                left -= keys.height
        return chosen

    def due_in_s(self) -> float:
        """Until the next try; endless without keys."""
        return max(self.next_at - time.monotonic(), 0.0) if self.keys else math.inf

    def tried(self, elapsed_s: float, *, written: int) -> None:
        """A try is over: `written` rows went through, so the next ones may at once."""
        if elapsed_s < _SHORT_S:
            self.at_once = min(self.at_once * 2, _MOST_KEYS)
        elif elapsed_s > _LONG_S:
            self.at_once = max(self.at_once // 2, _FIRST_KEYS)
        pause_s = 0.0 if written else self.every_s
        self.next_at = time.monotonic() + max(pause_s, self.share * elapsed_s)


class HeldKeys:
    """The keys one sink holds. One thread.

    Args:
        retry_s: pause between two tries of a key.
    """

    def __init__(self, retry_s: float) -> None:
        self._refused, self._locked = (
            Round(retry_s, _SHARE),
            Round(min(retry_s, _LOCKED_RETRY_S), _LOCKED_SHARE),
        )

    @property
    def rounds(self) -> tuple[Round, Round]:
        """Locked keys, then the others."""
        return self._locked, self._refused

    def due_in_s(self) -> float:
        """Until the next try of any key; endless without keys."""
        return min(one.due_in_s() for one in self.rounds)

    @property
    def number(self) -> int:
        """Keys that wait."""
        return sum(keys.height for one in self.rounds for keys in one.keys.values())

    def hold(self, keys: Keys) -> None:
        """Replace what is held.

        Args:
            keys: by rule; the key columns and `_reason_code`.
        """
        is_locked = pl.col("_reason_code") == LOCKED
        for one, chosen_rows in ((self._locked, is_locked), (self._refused, ~is_locked)):
            chosen = {rule: frame.filter(chosen_rows).drop("_reason_code") for rule, frame in keys.items()}
            one.hold({rule: frame for rule, frame in chosen.items() if frame.height})

    def any_among(self, desired: Sequence[tuple[OutboundProgram, pl.DataFrame]]) -> bool:
        """True if a key that waits is among these rows."""
        return any(
            keys.join(frame, on=list(program.key), how="semi").height > 0
            for one in self.rounds
            for program, frame in desired
            for keys in (one.keys.get(program.name),)
            if keys is not None and frame.height
        )
