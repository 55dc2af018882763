"""Finds the keys that look different by sums of ranges: of equal ranges no row is read.

A range whose count or sum differs is cut into many, each is added up on both sides, and those that still
differ are cut again, until so few rows are left that their keys and digests are read. Pure: both sides are
asked through `Side`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from cdc.ports import KeyRange

LEAF_ROWS = 64
"""Of a range with so few rows on either side the keys and digests are read."""
PARTS = 32
TARGET_S = 0.5
"""How long adding up one chunk shall take."""
FEWEST_ROWS, MOST_ROWS = 1_000, 1_000_000


class Side(Protocol):
    """One table on one side; see `cdc.ports.TableLook` for what each gives."""

    def range_sums(self, within: KeyRange, bounds: Sequence[str] = ()) -> pl.DataFrame:
        """RANGE_SCHEMA."""

    def digests_in(self, within: KeyRange) -> pl.DataFrame:
        """`sort_key` and `digest`."""

    def bounds(self, within: KeyRange, *, rows: int) -> list[str]:
        """Sort keys that cut the range."""


@dataclass(frozen=True)
class Sums:
    """One range on one side."""

    count: int
    sum: int
    unknown: int

    def equals(self, other: Sums) -> bool:
        """Whether both sides certainly have the same rows."""
        known = not self.unknown and not other.unknown
        return known and (self.count, self.sum) == (other.count, other.sum)


@dataclass
class Suspects:
    """Keys that look different, and how many rows' keys and digests were read to find them."""

    keys: set[str] = field(default_factory=set)
    moved: int = 0


@dataclass
class ChunkSize:
    """How many rows a chunk has, by how long the last one took."""

    rows: int = 10_000

    def adjust(self, elapsed_s: float) -> None:
        """Aim at TARGET_S, at most twice or half as many rows at once."""
        factor = min(2.0, max(0.5, TARGET_S / max(elapsed_s, 0.001)))
        self.rows = int(min(MOST_ROWS, max(FEWEST_ROWS, self.rows * factor)))


def sums_of(side: Side, within: KeyRange, bounds: Sequence[str] = ()) -> list[Sums]:
    """Each of the ranges that `bounds` cut `within` into."""
    frame = side.range_sums(within, bounds)
    return [Sums(*row) for row in frame.select("count", "sum", "unknown").iter_rows()]


def suspects(source: Side, staged: Side, within: KeyRange, sums: tuple[Sums, Sums]) -> Suspects:
    """The keys of a range that look different.

    Args:
        source: one look at it.
        staged: what staging has.
        within: the range.
        sums: of both sides, in that order.
    """
    found = Suspects()
    waiting = [(within, sums)]
    while waiting:
        one, (ours, theirs) = waiting.pop()
        if ours.equals(theirs):
            continue
        parts = _cut(source, staged, one, ours, theirs)
        rows = sum(max(left.count, right.count) for _, (left, right) in parts)
        if not parts or 2 * rows > max(ours.count, theirs.count):  # cutting on would ask for each row alone
            _read(found, source, staged, one)
        else:
            waiting += parts
    return found


def _cut(
    source: Side, staged: Side, within: KeyRange, ours: Sums, theirs: Sums
) -> list[tuple[KeyRange, tuple[Sums, Sums]]]:
    """The parts of a range that differ; none if it is small enough to be read."""
    count = max(ours.count, theirs.count)
    if count <= LEAF_ROWS:
        return []
    fuller = source if ours.count > theirs.count else staged
    bounds = fuller.bounds(within, rows=max(-(-count // PARTS), LEAF_ROWS // 2))
    if not bounds:
        return []
    pairs = zip(sums_of(source, within, bounds), sums_of(staged, within, bounds), strict=True)
    parts = zip(within.cut(bounds), pairs, strict=True)
    return [(part, pair) for part, pair in parts if not pair[0].equals(pair[1])]


def _read(found: Suspects, source: Side, staged: Side, within: KeyRange) -> None:
    ours, theirs = source.digests_in(within), staged.digests_in(within)
    found.moved += ours.height
    both = ours.join(theirs, on="sort_key", how="full", coalesce=True, suffix="_staged")
    unlike = both.filter(~(pl.col("digest") == pl.col("digest_staged")).fill_null(value=False))
    found.keys.update(unlike["sort_key"].to_list())
