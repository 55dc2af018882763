"""What a key is that looks different: equal, different, or to be looked at again.

A source is looked at while it changes, and staging follows some way behind. So a key is judged only when
staging has passed the position of the look, and only if the look saw every change of the key that staging
has. Then both sides are the same state of the row, and what differs is a difference. Otherwise the key is
looked at again; no time is long enough to make a guess of it. Pure: no database is asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

Texts = Mapping[str, str | None]
"""Canonical texts by column; what is not known is left out."""


class Verdict(StrEnum):
    """What was found of one key; the first two say nothing against it."""

    EQUAL = "equal"
    AGAIN = "again"
    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


DIFFERENCES = frozenset((Verdict.MISSING, Verdict.EXTRA, Verdict.DIFFERENT))


class Look(Protocol):
    """What is needed of `cdc.ports.TableLook` once it has ended."""

    @property
    def position(self) -> int:
        """Everything that it saw was committed at or before this position."""

    def includes(self, position: int, transaction_id: str | None) -> bool:
        """Whether it saw a change for certain."""


@dataclass(frozen=True)
class SourceRow:
    """A row as a look saw it; `digest` is that of its texts, None where one of them could not be read."""

    digest: int | None
    texts: Texts


@dataclass(frozen=True)
class StagedRow:
    """A row as staging has it; `texts` where the digest is not enough to tell."""

    digest: int | None
    position: int
    texts: Texts = field(default_factory=dict)


@dataclass(frozen=True)
class StagedChange:
    """A staged change near or after a look: the keys it touched; None for all keys of the table."""

    position: int
    transaction_id: str | None
    keys: tuple[str, ...] | None


@dataclass(frozen=True)
class StagedState:
    """Staging as of one position of the stream.

    Args:
        position: everything up to here is staged, and nothing later.
        rows: of the keys asked for; those that staging does not have are left out.
        changes: changes of the table that a look at the asked position may have missed.
        settled: False while the table is not followed: it is read again, or stopped.
    """

    position: int
    rows: Mapping[str, StagedRow]
    changes: Iterable[StagedChange] = ()
    settled: bool = True


@dataclass(frozen=True)
class Judged:
    """A key with its verdict; `columns` are those that differ, empty for a row on one side only."""

    key: str
    verdict: Verdict
    columns: tuple[str, ...] = ()


def judge(look: Look, seen: Mapping[str, SourceRow | None], staged: StagedState) -> list[Judged]:
    """Judge keys that one look has seen.

    Args:
        look: what was included in it.
        seen: rows by key, None where the source has none.
        staged: staging, not before the look.

    Returns:
        Each key of `seen` once, in its order.
    """
    if staged.position < look.position or not staged.settled:
        return [Judged(key, Verdict.AGAIN) for key in seen]
    missed: set[str] = set()
    for change in staged.changes:
        if not look.includes(change.position, change.transaction_id):
            if change.keys is None:
                return [Judged(key, Verdict.AGAIN) for key in seen]
            missed.update(change.keys)
    return [
        Judged(key, Verdict.AGAIN) if key in missed else _compare(key, row, staged.rows.get(key))
        for key, row in seen.items()
    ]


def _compare(key: str, source: SourceRow | None, staged: StagedRow | None) -> Judged:
    """Both sides are the same state of the row, if both are right."""
    if source is None or staged is None:
        if source is not None:
            return Judged(key, Verdict.MISSING)
        return Judged(key, Verdict.EQUAL if staged is None else Verdict.EXTRA)
    if source.digest is not None and source.digest == staged.digest:
        return Judged(key, Verdict.EQUAL)
    columns = differing(source.texts, staged.texts)
    if columns or (source.digest is not None and staged.digest is not None):
        return Judged(key, Verdict.DIFFERENT, columns)
    is_whole = source.texts.keys() <= staged.texts.keys()
    return Judged(key, Verdict.EQUAL if is_whole else Verdict.UNKNOWN)


def differing(source: Texts, staged: Texts) -> tuple[str, ...]:
    """Columns known on both sides whose texts are not the same."""
    return tuple(name for name, text in source.items() if name in staged and staged[name] != text)
