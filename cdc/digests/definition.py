"""What the digest of a source row is made of.

The text of a row is that of its columns, ordered by name, one after the other:

- a number, boolean, date or timestamp as its canonical text (`cdc.changes.SourceType`) and `;`; NULL is `;`
  alone;
- any other value as the count of its bytes in UTF-8, `:`, and its text; NULL is `:` alone, an empty text
  `0:`.

So no two rows have one text: NULL, a blank and nothing differ, and a value can contain anything. The digest
are the first 60 bits of a hash of the text's UTF-8 bytes, a `bigint` from 0 to 2^60 - 1. Digests of many rows
are *added*, modulo 2^64, beside their count: with XOR two equal rows would cancel out. The columns of the key
are always part of it, or two rows that swapped their values would add up to the same.

Oracle cannot concatenate more than 4,000 bytes in SQL. There a long text becomes pieces, each like a column
of its own, and columns are put into groups; with more than one group the text that is hashed is that of the
groups' hashes in hexadecimal. Where a value is not known the digest is NULL: never equal to anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Literal

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName

VERSION = 1
"""Changes whenever the text of some row does: digests of another version are computed again."""
HEX_DIGITS = 15
"""Of the hash; 60 bits, which a `bigint` holds without a sign."""
GROUP_BYTES = 3_900
PIECE_CHARACTERS = 900
"""At most 3,600 bytes in UTF-8, and with their count still less than a group."""

DELIMITED = frozenset(
    (SourceType.NUMBER, SourceType.BOOLEAN, SourceType.DATE, SourceType.TIMESTAMP, SourceType.TIMESTAMP_TZ)
)
"""Kinds of which no canonical text is empty or contains `;`."""
_DELIMITED_BYTES = {"BINARY_": 340}
"""Of a BINARY_DOUBLE, which has up to 309 digits before its point or 323 behind; of all others 160."""
_MAX_TEXT_BYTES = 4_000
_INTERVAL_BYTES = 40


class Algorithm(StrEnum):
    """The hash. Servers in FIPS mode refuse MD5."""

    MD5 = "md5"
    SHA256 = "sha256"


@dataclass(frozen=True)
class Piece:
    """A column in the text of a row, or a part of it: from character `start`, counted from 0."""

    column: SourceColumn
    start: int = 0
    length: int | None = None

    @property
    def is_delimited(self) -> bool:
        """Ended by `;` rather than begun by a count."""
        return self.column.type in DELIMITED


@dataclass(frozen=True)
class RowDigest:
    """The definition of the digests of one table's rows.

    Args:
        table: name of the table.
        key: columns of its primary key, in the key's order; none: its rows cannot be identified.
        groups: what is hashed together; one group is the usual case.
        left_out: large columns that rules read, which no database can digest in SQL.
        algorithm: the hash.
        may_hold_nul: whether a text may contain U+0000.
    """

    table: TableName
    key: tuple[SourceColumn, ...]
    groups: tuple[tuple[Piece, ...], ...]
    left_out: tuple[str, ...]
    algorithm: Algorithm
    may_hold_nul: bool = False

    @cached_property
    def columns(self) -> tuple[SourceColumn, ...]:
        """The digested columns, ordered by name."""
        return tuple(dict.fromkeys(piece.column for group in self.groups for piece in group))

    @cached_property
    def identity(self) -> str:
        """Names this definition: digests of equal identity can be compared, others not."""
        parts = [
            [[piece.column.name, piece.is_delimited, piece.start, piece.length] for piece in group]
            for group in self.groups
        ]
        text = json.dumps([VERSION, self.algorithm, parts], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def identifier(name: str) -> str:
    """The name of a column as the digests' expressions have it, in either database."""
    return '"' + name.replace('"', '""') + '"'


def row_digest(
    table: SourceTable,
    names: Collection[str],
    *,
    kind: Literal["oracle", "postgres"],
    algorithm: Algorithm = Algorithm.MD5,
) -> RowDigest:
    """Define the digest of a table's rows.

    Args:
        table: as its reader describes it.
        names: columns that rules read; those of the key are added, those the table does not have left out.
        kind: the database it is in.
        algorithm: the hash.
    """
    chosen = {*names, *table.key}
    columns = sorted((one for one in table.columns if one.name in chosen), key=lambda one: one.name)
    digested = [column for column in columns if not column.large]
    groups = _grouped(digested) if kind == "oracle" else (tuple(map(Piece, digested)),)
    return RowDigest(
        table.name,
        tuple(column for name in table.key if (column := table.column(name)) is not None),
        groups,
        tuple(column.name for column in columns if column.large),
        algorithm,
        may_hold_nul=kind == "oracle",
    )


def _grouped(columns: Collection[SourceColumn]) -> tuple[tuple[Piece, ...], ...]:
    groups: list[list[Piece]] = [[]]
    filled = 0
    for column in columns:
        for piece, size in _pieces(column):
            if filled + size > GROUP_BYTES:
                groups.append([])
                filled = 0
            groups[-1].append(piece)
            filled += size
    return tuple(map(tuple, groups))


def _pieces(column: SourceColumn) -> list[tuple[Piece, int]]:
    """The pieces of a column with the bytes that each may take at most."""
    if column.type in DELIMITED:
        return [(Piece(column), _DELIMITED_BYTES.get(column.declared[:7], 160))]
    characters, bytes_each = column.length or _MAX_TEXT_BYTES, 4
    if column.type is SourceType.BINARY:
        size = re.search(r"\d+", column.declared)
        characters, bytes_each = 2 * int(size[0]) if size else _MAX_TEXT_BYTES, 1
    elif column.type is SourceType.OTHER:
        characters, bytes_each = _INTERVAL_BYTES, 1
    if characters <= PIECE_CHARACTERS:
        return [(Piece(column), characters * bytes_each + 5)]
    return [
        (Piece(column, start, PIECE_CHARACTERS), PIECE_CHARACTERS * bytes_each + 5)
        for start in range(0, characters, PIECE_CHARACTERS)
    ]
