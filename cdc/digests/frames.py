"""Digests of rows whose canonical texts are in a frame."""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Callable
from functools import partial

import polars as pl

from cdc.changes import UNREADABLE
from cdc.digests.definition import HEX_DIGITS, Algorithm, Piece, RowDigest

_NEW: dict[Algorithm, Callable[[bytes], hashlib._Hash]] = {
    Algorithm.MD5: partial(hashlib.md5, usedforsecurity=False),
    Algorithm.SHA256: hashlib.sha256,
}
_SPARE_BITS = 64 - 4 * HEX_DIGITS


def digests(definition: RowDigest, frame: pl.DataFrame, side: str = "") -> pl.Series:
    """The digest of each row, Int64; null where a value could not be read.

    Args:
        definition: of the table's digests.
        frame: a String column `<side><column>` for each digested column; no value is absent.
        side: BEFORE, AFTER or nothing.
    """
    new = _NEW[definition.algorithm]
    columns = [f"{side}{column.name}" for column in definition.columns]
    if not columns or frame.is_empty():
        return pl.Series("digest", [None] * frame.height, dtype=pl.Int64)
    texts = frame.select(
        pl.concat_str(_parts(group, side)).cast(pl.Binary).alias(str(number))
        for number, group in enumerate(definition.groups)
    )
    if len(definition.groups) == 1:
        whole = texts.to_series().to_list()
    else:
        whole = ["".join([new(text).hexdigest() for text in row]).encode() for row in texts.iter_rows()]
    heads = array("Q", b"".join([new(text).digest()[:8] for text in whole]))
    if sys.byteorder == "little":
        heads.byteswap()
    whole_heads = pl.DataFrame({"digest": pl.Series(heads, dtype=pl.UInt64)})
    found = whole_heads.select((pl.col("digest") // 2**_SPARE_BITS).cast(pl.Int64))["digest"]
    unread = frame.select(
        pl.any_horizontal(pl.col(columns).str.starts_with(UNREADABLE).fill_null(value=False)).alias("unread")
    )["unread"]
    return found.set(unread, None) if unread.any() else found


def _parts(group: tuple[Piece, ...], side: str) -> list[pl.Expr]:
    parts: list[pl.Expr] = []
    for piece in group:
        value = pl.col(f"{side}{piece.column.name}")
        if piece.is_delimited:
            parts += [value.fill_null(""), pl.lit(";")]
            continue
        if piece.length is not None:
            value = value.str.slice(piece.start, piece.length)
            if piece.start:  # where Oracle's text ends before the piece it has NULL
                value = pl.when(value != "").then(value)
        parts += [value.str.len_bytes().cast(pl.String).fill_null(""), pl.lit(":"), value.fill_null("")]
    return parts
