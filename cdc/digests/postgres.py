"""Digests that PostgreSQL computes over the live table of a source.

The session must have the settings with which the reader reads (UTC, ISO dates, hexadecimal bytea, exact
floats: `SESSION_OPTIONS` of the reader), for the texts are those of the server's own output functions.
`concat` calls these; a cast to text would not do: `boolean` becomes `true`, `char(n)` loses its padding. In
statements with parameters double each `%`.

Source: PostgreSQL 17 documentation, "String Functions and Operators", "Binary String Functions"; the limit of
100 arguments is FUNC_MAX_ARGS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cdc.changes import UNREADABLE, SourceColumn, SourceType
from cdc.digests.definition import HEX_DIGITS, Algorithm, Piece, RowDigest, identifier

_FLOATS = frozenset(("real", "double precision"))
_STRING = re.compile(r"text|character varying(\(\d+\))?|character\(\d+\)")
"""Types of which `octet_length` counts what `concat` writes."""
_ARGUMENTS = 99
SYMBOL_FOR_NUL = "\u2400"
"""Stands for U+0000 in images, as `cdc.staging.audit.change_log` makes them."""


def digest(definition: RowDigest, *, encoding: str = "UTF8") -> str:
    """An expression of type `bigint` over the columns of the table, none of them qualified.

    Args:
        definition: of the table's digests.
        encoding: `server_encoding` of the database.
    """
    groups = [concatenated(_parts(group, encoding)) for group in definition.groups]
    return digest_of_groups(definition.algorithm, groups, encoding=encoding)


def digest_of_images(definition: RowDigest, image: str) -> str:
    """An expression of type `bigint` over an image of the change log: canonical texts in an object of jsonb.

    Every digested column is in the image. The digest is null where a text could not be read, and where a
    source may hold the character U+0000: in the image another one stands for it.

    Args:
        definition: of the table's digests.
        image: an expression of type `jsonb`.
    """
    parts: list[list[str]] = []
    for group in definition.groups:
        parts.append([])
        for piece in group:
            value = f"{image} ->> {literal(piece.column.name)}"
            parts[-1] += [value, "';'"] if piece.is_delimited else counted(f"({value})", piece)
    names = [f"text_{number}" for number in range(len(parts))]
    unlike = [UNREADABLE, *([SYMBOL_FOR_NUL] if definition.may_hold_nul else [])]
    certain = " and ".join(f"strpos({name}, {literal(one)}) = 0" for name in names for one in unlike)
    texts = ", ".join(f"{concatenated(group)} as {name}" for name, group in zip(names, parts, strict=True))
    # with `offset` the texts are made once, not once for each use
    return (  # literals and identifiers are quoted
        f"(select case when {certain} then {digest_of_groups(definition.algorithm, names)} end "  # noqa: S608
        f"from (select {texts} offset 0) as texts)"
    )


def sort_key_of_images(definition: RowDigest, image: str) -> str:
    """An expression for the row's key as `cdc.digests.sort_key` makes it, over an image of the change log."""
    end = "chr(1) || chr(1)"
    parts = []
    for column in definition.key:
        value = f"({image} ->> {literal(column.name)})"
        text = f"replace({value}, chr(1), chr(1) || chr(2))"
        parts.append(f"{_sortable_number(value) if column.type is SourceType.NUMBER else text} || {end}")
    return " || ".join(parts)


def _sortable_number(value: str) -> str:
    return f"""(select case when n in ('-Infinity', 'Infinity', 'NaN')
        then case n when '-Infinity' then '-' when 'Infinity' then '2' else '3' end
    when left(n, 1) = '-' and (whole <> '' or fraction is not null)
        then '0' || translate(concat(length(length(whole)::text), length(whole), whole, fraction),
            '0123456789', '9876543210') || '~'
    else concat('1', length(length(whole)::text), length(whole), whole, fraction) end
from (select n, ltrim(split_part(ltrim(n, '-'), '.', 1), '0') as whole,
        case when strpos(n, '.') > 0 then nullif(rtrim(substr(n, strpos(n, '.')), '0'), '.') end as fraction
    from (select {value} as n offset 0) as given offset 0) as parts)"""  # noqa: S608


def digest_of_groups(algorithm: Algorithm, groups: list[str], *, encoding: str = "UTF8") -> str:
    """The digest of a row of which the texts of its groups are given."""
    text, text_encoding = groups[0], encoding
    if len(groups) > 1:
        text = concatenated(_hexadecimal(algorithm, group, encoding) for group in groups)
        text_encoding = "UTF8"  # digits are the same in all
    digits = f"left({_hexadecimal(algorithm, text, text_encoding)}, {HEX_DIGITS})"
    return f"('x' || {digits})::bit({4 * HEX_DIGITS})::bigint"


def literal(text: str) -> str:
    """A text as a quoted literal, `standard_conforming_strings` being on."""
    return "'" + text.replace("'", "''") + "'"


def concatenated(parts: Iterable[str]) -> str:
    """Texts one after the other; NULL is nothing."""
    some = list(parts)
    while len(some) > _ARGUMENTS:
        some = [
            f"concat({', '.join(some[first : first + _ARGUMENTS])})"
            for first in range(0, len(some), _ARGUMENTS)
        ]
    return f"concat({', '.join(some)})"


def counted(value: str, piece: Piece, encoding: str = "UTF8") -> list[str]:
    """The parts of a text that is begun by the count of its bytes."""
    if piece.length is not None:
        value = f"substr({value}, {piece.start + 1}, {piece.length})"
        if piece.start:
            value = f"nullif({value}, '')"
    return [f"octet_length({_in_utf8(value, encoding)})", "':'", value]


def _parts(group: tuple[Piece, ...], encoding: str) -> list[str]:
    parts: list[str] = []
    for piece in group:
        value = _text(piece.column)
        parts += [value, "';'"] if piece.is_delimited else counted(value, piece, encoding)
    return parts


def _text(column: SourceColumn) -> str:
    """The canonical text; of a type that `concat` writes the same, the column itself."""
    name = identifier(column.name)
    match column.type:
        case SourceType.BINARY:
            return f"encode({name}, 'hex')"
        case SourceType.NUMBER if column.declared in _FLOATS:
            # an exponent is written out, as numeric does
            text = f"{name}::text"
            return f"case when strpos({text}, 'e') > 0 then {text}::numeric::text else {text} end"
        case SourceType.TEXT | SourceType.OTHER if not _STRING.fullmatch(column.declared):
            # of a composite value `is null` would look at its members
            return f"case when num_nulls({name}) = 0 then concat({name}) end"
        case _:
            return name


def _in_utf8(text: str, encoding: str) -> str:
    return text if encoding == "UTF8" else f"convert_to({text}, 'UTF8')"


def _hexadecimal(algorithm: Algorithm, text: str, encoding: str) -> str:
    if algorithm is Algorithm.MD5:
        return f"md5({_in_utf8(text, encoding)})"
    return f"encode(sha256(convert_to({text}, 'UTF8')), 'hex')"
