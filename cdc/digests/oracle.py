"""Digests that Oracle computes over the live table of a source.

The texts are those that the reader gives: numbers as plain decimals, dates without the sign of the year,
moments in UTC, intervals without zeros that say nothing, bytes in lower-case hexadecimal. Every format and
the decimal sign are named, so no setting of the session counts. `||` takes NULL for nothing.

The bytes hashed are UTF-8: a database with another character set converts each text first. Where a value has
no text that can be compared the digest is NULL: a BINARY_DOUBLE beyond what NUMBER holds, and a text of the
national character set that the database's own does not have.

Source: Oracle Database SQL Language Reference 19c: STANDARD_HASH; "Number Format Models" for TM9 (fixed
notation up to 64 characters, no zero before the point) and TME; CONVERT; SYS_EXTRACT_UTC; "Concatenation
Operator" for the limit of 4,000 bytes.
"""

from __future__ import annotations

from cdc.changes import SourceColumn, SourceType
from cdc.digests.definition import HEX_DIGITS, Algorithm, Piece, RowDigest, identifier

UTF8 = "AL32UTF8"
_POINT = "'NLS_NUMERIC_CHARACTERS=''.,'''"
_HASHES = {Algorithm.MD5: "MD5", Algorithm.SHA256: "SHA256"}
_MOMENT = "'YYYY-MM-DD HH24:MI:SS.FF9'"
_FIXED = 40
"""With up to so many digits before the point, or half as many zeros behind it, TM9 has no exponent."""
_SPECIAL = "'NAN', 'INF', '-INF'"


def digest(definition: RowDigest, *, character_set: str = UTF8) -> str:
    """An expression of type NUMBER over the columns of the table, none of them qualified.

    Args:
        definition: of the table's digests.
        character_set: NLS_CHARACTERSET of the database.
    """
    groups = [_group(group, character_set) for group in definition.groups]
    name = _HASHES[definition.algorithm]
    if len(groups) > 1:
        groups = [" || ".join(f"lower(rawtohex(standard_hash({group}, '{name}')))" for group in groups)]
    digits = f"substr(rawtohex(standard_hash({groups[0]}, '{name}')), 1, {HEX_DIGITS})"
    found = f"to_number({digits}, '{'X' * HEX_DIGITS}')"
    doubts = [doubt for column in definition.columns for doubt in _doubts(column, character_set)]
    return f"case when {' or '.join(doubts)} then null else {found} end" if doubts else found


def _group(group: tuple[Piece, ...], character_set: str) -> str:
    parts: list[str] = []
    for piece in group:
        value = _text(piece.column)
        if piece.is_delimited:
            parts += [value, "';'"]
            continue
        if piece.length is not None:
            value = f"substr({value}, {piece.start + 1}, {piece.length})"
        if character_set != UTF8 and piece.column.type is SourceType.TEXT:
            value = f"convert({value}, '{UTF8}')"
        parts += [f"to_char(lengthb({value}))", "':'", value]
    return " || ".join(parts)


def _text(column: SourceColumn) -> str:
    name = identifier(column.name)
    match column.type:
        case SourceType.NUMBER if column.declared.startswith("BINARY_"):
            return _binary(name)
        case SourceType.NUMBER:
            return _number(name)
        case SourceType.TIMESTAMP if column.declared == "DATE":
            return f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS')"
        case SourceType.TIMESTAMP:
            return _without_zeros(f"to_char({name}, {_MOMENT})")
        case SourceType.TIMESTAMP_TZ:
            is_local = column.declared.endswith("LOCAL TIME ZONE")
            zoned = f"cast({name} as timestamp(9) with time zone)" if is_local else name
            text = _without_zeros(f"to_char(sys_extract_utc({zoned}), {_MOMENT})")
            return f"case when {name} is not null then {text} || '+00' end"
        case SourceType.BINARY:
            return f"lower(rawtohex({name}))"
        case SourceType.OTHER:
            return _interval(f"to_char({name})")
        case _ if _is_national(column):
            return f"to_char({name})"
        case _ if column.declared.startswith("ROWID"):
            return f"rowidtochar({name})"
        case _:
            return name


def _is_national(column: SourceColumn) -> bool:
    return column.declared.startswith(("NCHAR", "NVARCHAR"))


def _doubts(column: SourceColumn, character_set: str) -> list[str]:
    """Conditions under which the text of a column is not the value."""
    name = identifier(column.name)
    if column.type is SourceType.NUMBER and column.declared.startswith("BINARY_"):
        beyond = f"abs({name}) >= 1e125 or abs({name}) < 1e-125 and {name} <> 0"
        return [f"(upper(to_char({name})) not in ({_SPECIAL}) and ({beyond}))"]
    if character_set != UTF8 and _is_national(column):
        return [f"to_nchar(to_char({name})) <> {name}"]
    return []


def _without_zeros(text: str) -> str:
    """A moment without zeros at the end of its fraction, which TO_CHAR always shows."""
    return f"rtrim(rtrim({text}, '0'), '.')"


def _number(value: str) -> str:
    """A plain decimal; TM9 alone writes `.5`, and an exponent where there are very many digits."""
    fixed = f"to_char({value}, 'TM9', {_POINT})"
    sign = f"case when {value} < 0 then '-' end"
    scientific = f"to_char(abs({value}), 'TME', {_POINT})"
    exponent = f"instr({scientific}, 'E')"
    digits = f"replace(substr({scientific}, 1, {exponent} - 1), '.')"
    power = f"to_number(substr({scientific}, {exponent} + 1))"
    return (
        f"case when {value} = 0 then '0' "
        f"when abs({value}) >= 1e{_FIXED} then {sign} || rpad({digits}, {power} + 1, '0') "
        f"when abs({value}) < 1e-{_FIXED // 2} then {sign} || rpad('0.', 1 - {power}, '0') || {digits} "
        f"when abs({value}) < 1 then {sign} || '0' || ltrim({fixed}, '-') "
        f"else {fixed} end"
    )


def _binary(name: str) -> str:
    shown = f"upper(to_char({name}))"
    return (
        f"case {shown} when 'NAN' then 'NaN' when 'INF' then 'Infinity' when '-INF' then '-Infinity' "
        f"else {_number(f'to_number(to_char({name}))')} end"
    )


def _interval(text: str) -> str:
    """A sign, the leading field without zeros before it, and no zeros behind the fraction."""
    rest = f"ltrim(substr({text}, 2), '0')"
    lead = f"substr({text}, 1, 1) || case when substr({rest}, 1, 1) in (' ', '-') then '0' end || {rest}"
    plain = f"case when {text} is not null then {lead} end"
    return f"case when instr({text}, '.') > 0 then {_without_zeros(lead)} else {plain} end"
