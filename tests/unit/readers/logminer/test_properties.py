"""Generated SQL_REDO texts and internal bytes: read back exactly, or refused, never misread."""

from __future__ import annotations

import string
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdc.changes import AFTER, BEFORE, UNREADABLE, SourceColumn, SourceTable, SourceType, TableName
from cdc.readers.logminer.redo_sql.canonical_columns import RedoRowError
from cdc.readers.logminer.redo_sql.internal import decode
from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError, Statement
from cdc.readers.logminer.redo_sql.row_images import COLUMNAR_ROWS, ImageReader
from cdc.readers.logminer.redo_sql.statements import read_statement
from cdc.readers.logminer.redo_sql.templates import Template
from cdc.readers.logminer.redo_sql.values import number_text
from sandbox.oracle import cells

DECLARED = {
    SourceType.TEXT: "NVARCHAR2(60)",
    SourceType.NUMBER: "NUMBER",
    SourceType.TIMESTAMP: "TIMESTAMP(9)",
    SourceType.TIMESTAMP_TZ: "TIMESTAMP(9) WITH TIME ZONE",
    SourceType.BINARY: "RAW(60)",
    SourceType.OTHER: "INTERVAL DAY(2) TO SECOND(6)",
}
HOSTILE = [
    "' and \"C\" = '",
    "'",
    "''",
    "\\",
    "||",
    ");",
    "NULL",
    "\0",
    "\ue0001\ue000",
    "\r\n",
    "😀",
    "é",
    " ",
]
TEXTS = st.lists(
    st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=5
).map("".join)
NAMES = st.text(string.ascii_letters + string.digits + " .,=()#$_é", min_size=1, max_size=8)


@dataclass(frozen=True)
class Value:
    """A value as LogMiner writes it and as it must be read; `text` is None for NULL."""

    redo: str
    text: str | None


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def unistr(text: str) -> str:
    units = text.encode("utf-16-be")
    escaped = "".join(f"\\{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    return f"UNISTR('{escaped}')"


@st.composite
def numbers(draw: st.DrawFn) -> Value:
    digits = draw(st.integers(-(10**39), 10**39))
    value = Decimal(digits).scaleb(draw(st.sampled_from([0, -2, -20, -60, 5])))
    plain = f"{value:f}"
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    plain = "0" if plain == "-0" else plain
    oracle = plain.replace("0.", ".", 1) if plain.startswith(("0.", "-0.")) else plain
    scientific = f"{value:E}"
    return Value(draw(st.sampled_from([f"'{oracle}'", f"'{scientific}'", oracle])), plain)


@st.composite
def moments(draw: st.DrawFn, *, zone: bool) -> Value:
    local = draw(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))).replace(microsecond=0)  # noqa: DTZ001
    fraction = draw(st.sampled_from(["", "5", "123456", "000000001", "100000000"]))
    written = f"{local.year:04d}-{local:%m-%d %H:%M:%S}"
    kept = fraction.rstrip("0")
    if not zone:
        if draw(st.booleans()):
            return Value(f"TO_DATE('{written}', 'YYYY-MM-DD HH24:MI:SS')", written)
        return Value(f"TO_TIMESTAMP('{written}.{fraction}')", f"{written}.{kept}" if kept else written)
    offset = draw(st.integers(-12 * 60, 14 * 60))
    utc = local - timedelta(minutes=offset)
    sign = "-" if offset < 0 else "+"
    redo = f"TO_TIMESTAMP_TZ('{written}.{fraction} {sign}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}')"
    read = f"{utc.year:04d}-{utc:%m-%d %H:%M:%S}" + (f".{kept}" if kept else "")
    return Value(redo, f"{read}+00")


@st.composite
def texts(draw: st.DrawFn) -> Value:
    pieces = draw(st.lists(TEXTS, min_size=1, max_size=3))
    redo = draw(st.sampled_from([" || ", "||"])).join(
        quoted(piece) if draw(st.booleans()) else unistr(piece) for piece in pieces
    )
    return Value(redo, "".join(pieces) or None)


RAWS = st.tuples(st.binary(max_size=6), st.booleans()).map(
    lambda raw: Value(
        f"HEXTORAW('{raw[0].hex().upper() if raw[1] else raw[0].hex()}')", raw[0].hex() if raw[0] else None
    )
)
INTERVALS = st.integers(0, 99).map(
    lambda days: Value(f"TO_DSINTERVAL('+{days:02d} 04:03:02.100000')", f"+{days} 04:03:02.1")
)
OF_TYPE = {
    SourceType.TEXT: TEXTS.map(lambda text: Value(quoted(text), text or None)) | texts(),
    SourceType.NUMBER: numbers(),
    SourceType.TIMESTAMP: moments(zone=False),
    SourceType.TIMESTAMP_TZ: moments(zone=True),
    SourceType.BINARY: RAWS,
    SourceType.OTHER: INTERVALS,
}
NULL = Value("NULL", None)


@dataclass(frozen=True)
class Case:
    """A text of a table and what it says: images by column, absent columns not in them."""

    table: SourceTable
    redo: str
    before: dict[str, str | None] | None
    after: dict[str, str | None] | None


@st.composite
def tables(draw: st.DrawFn) -> SourceTable:
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    kinds = [SourceType.NUMBER, *(draw(st.sampled_from(list(OF_TYPE))) for _ in names[1:])]
    columns = tuple(
        SourceColumn(f"K{name}", kind, DECLARED[kind]) for name, kind in zip(names, kinds, strict=True)
    )
    return SourceTable(TableName(draw(NAMES), draw(NAMES)), columns, (columns[0].name,))


def row(draw: st.DrawFn, columns: Sequence[SourceColumn], key: str) -> dict[str, Value]:
    return {
        column.name: draw(
            OF_TYPE[column.type] if column.name == key else st.just(NULL) | OF_TYPE[column.type]
        )
        for column in columns
    }


def said(values: dict[str, Value]) -> dict[str, str | None]:
    return {name: value.text for name, value in values.items()}


@st.composite
def statements(draw: st.DrawFn, table: SourceTable | None = None) -> Case:
    table = table or draw(tables())
    key = table.key[0]
    alias = draw(st.sampled_from(["", "a"]))
    dot = f"{alias}." if alias else ""
    named = f'"{table.name.schema}"."{table.name.name}"' + (f" {alias}" if alias else "")
    values = row(draw, table.columns, key)
    kind = draw(st.sampled_from(["insert", "update", "delete"]))
    if kind == "insert":
        names = ",".join(f'{dot}"{name}"' for name in values)
        redo = f"insert into {named}({names}) values ({','.join(one.redo for one in values.values())});"
        return Case(table, redo, None, said(values))
    conditions = [
        f'{dot}"{name}" IS NULL' if one is NULL else f'{dot}"{name}" = {one.redo}'
        for name, one in values.items()
    ]
    if draw(st.booleans()):
        conditions.append(f"{dot}ROWID = 'AAAR3sAAEAAAACXAAA'")
    where = " and ".join(conditions)
    if kind == "delete":
        return Case(table, f"delete from {named} where {where};", said(values), None)
    changed = row(draw, draw(st.lists(st.sampled_from(table.columns), min_size=1, unique=True)), key)
    sets = ", ".join(f'{dot}"{name}" = {one.redo}' for name, one in changed.items())
    redo = f"update {named} set {sets} where {where};"
    return Case(table, redo, said(values), said(values) | said(changed))


class ByScanner(ImageReader):
    """Reads every text with the scanner alone."""

    def _template(self, key: str) -> Template | None:
        return None


def images(reader: ImageReader, case: Case, texts: Sequence[str]) -> list[tuple[object, object]]:
    """Before and after image of each text, as `Case` has them."""
    read = reader.read(texts)
    out: list[tuple[object, object]] = []
    for line in read.frame.iter_rows(named=True):
        sides = []
        for side, shape in ((BEFORE, line["before_shape"]), (AFTER, line["after_shape"])):
            absent = read.shapes[shape]
            image = {name: line[side + name] for name in case.table.column_names if name not in absent}
            sides.append(image or None)
        out.append((sides[0], sides[1]))
    return out


@settings(max_examples=80, deadline=None)
@given(statements())
def test_generated_statements_are_read_back_exactly(case: Case) -> None:
    """Every form of value and statement gives its values, by templates and by the scanner alike."""
    expected = [(case.before, case.after)]
    assert images(ByScanner(case.table), case, [case.redo]) == expected
    assert images(ImageReader(case.table), case, [case.redo]) == expected
    many = images(ImageReader(case.table), case, [case.redo] * COLUMNAR_ROWS)
    assert many == expected * COLUMNAR_ROWS


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_generated_batches_are_read_in_order(data: st.DataObject) -> None:
    """Texts of many forms in one batch come out each in its place."""
    table = data.draw(tables())
    forms = data.draw(st.lists(statements(table), min_size=2, max_size=5))
    places = data.draw(st.lists(st.sampled_from(forms), min_size=COLUMNAR_ROWS, max_size=2 * COLUMNAR_ROWS))
    found = images(ImageReader(table), forms[0], [one.redo for one in places])
    assert found == [(one.before, one.after) for one in places]


def refused(case: Case, text: str) -> bool:
    """Whether both ways refuse the text."""
    outcomes = []
    for reader in (ByScanner(case.table), ImageReader(case.table)):
        try:
            reader.read([text])
            outcomes.append(False)
        except RedoRowError:
            outcomes.append(True)
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


@settings(max_examples=80, deadline=None)
@given(statements(), st.data())
def test_a_lost_apostrophe_is_never_read_over(case: Case, data: st.DataObject) -> None:
    """A text with one apostrophe less is refused, whatever stands around it."""
    places = [at for at, symbol in enumerate(case.redo) if symbol == "'"]
    if places:
        at = data.draw(st.sampled_from(places))
        assert refused(case, case.redo[:at] + case.redo[at + 1 :])


@settings(max_examples=60, deadline=None)
@given(statements(), st.sampled_from([" x", "'", "''", ";", '"', ")", " and", ",", ' "A" = 1', "\0", "--"]))
def test_text_after_the_end_is_refused(case: Case, garbage: str) -> None:
    """Nothing may follow the semicolon."""
    assert refused(case, case.redo + garbage)


@settings(max_examples=80, deadline=None)
@given(statements(), st.data())
def test_a_truncated_text_is_refused_or_says_less(case: Case, data: st.DataObject) -> None:
    """A text cut anywhere is refused, or a whole statement with fewer conditions; no value changes."""
    text = case.redo[: data.draw(st.integers(0, len(case.redo) - 2))]
    try:
        cut = read_statement(text)
    except RedoSyntaxError:
        return
    whole = read_statement(case.redo)
    assert cut.operation == whole.operation != "INSERT"
    assert shorter(cut, whole)


def shorter(cut: Statement, whole: Statement) -> bool:
    """Whether all values but the last, which may be a number cut in two, are those of `whole`."""
    for some, all_of in ((cut.values, whole.values), (cut.where, whole.where)):
        same = [name for name, cell in some.items() if all_of.get(name) == cell]
        if len(same) < len(some) - 1:
            return False
    return True


# -- internal bytes ------------------------------------------------------------------------------


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(lambda d: abs(d.adjusted()) < 120)
)
def test_number_bytes_round_trip(value: Decimal) -> None:
    """Every NUMBER of up to 38 digits comes out of its bytes as the same number."""
    value = +Decimal(value)
    encoded = cells.encode_number(value)
    assert number_text(decode("NUMBER", encoded.hex()) or "") == number_text(
        str(cells.decode_number(encoded))
    )


@given(st.integers(-(10**38), 10**38), st.integers(-80, 80))
def test_number_bytes_keep_38_digits(digits: int, exponent: int) -> None:
    """No digit is lost; a negative number may or may not end with 102."""
    value = Decimal(digits).scaleb(exponent)
    encoded = cells.encode_number(value)
    assert Decimal(decode("NUMBER", encoded.hex()) or "") == value
    if digits < 0 and encoded[-1] == 102:
        assert Decimal(decode("NUMBER", encoded[:-1].hex()) or "") == value


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), st.integers(0, 999_999_999))  # noqa: DTZ001
def test_moments_round_trip(moment: datetime, nanoseconds: int) -> None:
    """DATE, TIMESTAMP and TIMESTAMP WITH TIME ZONE come out of their bytes."""
    moment = moment.replace(microsecond=0)
    text = f"{moment.year:04d}-{moment:%m-%d %H:%M:%S}"
    assert decode("DATE", cells.encode_date(moment).hex()) == text
    stamp = cells.encode_timestamp(moment, nanoseconds)
    assert decode("TIMESTAMP(9)", stamp.hex()) == f"{text}.{nanoseconds:09d}"
    zoned = cells.encode_timestamp_tz(moment.replace(tzinfo=UTC))
    assert decode("TIMESTAMP(6) WITH TIME ZONE", zoned.hex()) == f"{text}.000000000 +00:00"
    local = decode("TIMESTAMP(6) WITH LOCAL TIME ZONE", cells.encode_timestamp(moment).hex())
    assert local is not None
    assert local.startswith(text)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False, width=32))
@example(0.0, 3.4028234663852886e38)  # the largest: most of its roundings are beyond it
def test_binary_floats_round_trip(double: float, single: float) -> None:
    """BINARY_DOUBLE and BINARY_FLOAT come out as texts that read back as the same number."""
    assert float(decode("BINARY_DOUBLE", cells.encode_binary_double(double).hex()) or "") == double
    found = decode("BINARY_FLOAT", cells.encode_binary_float(single).hex()) or ""
    assert float(found) == pytest.approx(single, rel=1e-7)


@given(st.timedeltas(timedelta(-99), timedelta(99)))
def test_day_intervals_round_trip(value: timedelta) -> None:
    """INTERVAL DAY TO SECOND: the sign counts for the whole."""
    text = decode("INTERVAL DAY(2) TO SECOND(6)", cells.encode_interval_ds(value).hex()) or ""
    days, clock = text[1:].split(" ")
    hours, minutes, seconds = clock.split(":")
    found = timedelta(
        days=int(days), hours=int(hours), minutes=int(minutes), microseconds=int(Decimal(seconds) * 10**6)
    )
    assert (-found if text[0] == "-" else found) == value


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("utf-8", "utf-8"), ("cp1252", "cp1252"), ("iso8859-15", "iso8859-15"), ("gbk", "gbk")],
)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_texts_round_trip_in_their_character_set(text: str, charset: str, codec: str) -> None:
    """CHAR and VARCHAR2 in the database's character set, NVARCHAR2 always in AL16UTF16."""
    assert decode("NVARCHAR2", text.encode("utf-16-be").hex(), charset=charset) == text
    try:
        raw = text.encode(codec)
    except UnicodeEncodeError:
        return
    assert decode("VARCHAR2", raw.hex(), charset=charset) == text


@given(st.binary(min_size=1, max_size=14), st.sampled_from([*DECLARED.values(), "DATE", "BINARY_FLOAT"]))
def test_any_bytes_are_a_value_or_refused(raw: bytes, declared: str) -> None:
    """Bytes that are not a value of the type are refused with an error of ours, never a crash."""
    with suppress(RedoSyntaxError):
        assert decode(declared, raw.hex()) is not None


@pytest.mark.parametrize(
    ("declared", "digits"),
    [
        ("NUMBER", "c1"),
        ("NUMBER", "c100"),
        ("NUMBER", "3e66"),
        ("DATE", "787b0d01010101"),
        ("DATE", "787b0b20010101"),
        ("DATE", "787b0b01190101"),
        ("DATE", "787b0b01013d01"),
        ("TIMESTAMP(6)", "787b0b010101013b9aca00"),
        ("BINARY_FLOAT", "bfdd"),
        ("RAW(4)", "123"),
    ],
)
def test_bytes_of_no_value_are_refused(declared: str, digits: str) -> None:
    """A month 13, a second 60, a digit pair 100: refused where it is read, not later and not never."""
    with pytest.raises(RedoSyntaxError):
        decode(declared, digits)


@pytest.mark.parametrize(("declared", "digits"), [("NVARCHAR2", "d83d"), ("VARCHAR2", "ff")])
def test_bytes_that_are_not_text_are_marked(declared: str, digits: str) -> None:
    """Half a character, a byte of no encoding: who reads the column rejects the row, no one else."""
    assert UNREADABLE in (decode(declared, digits) or "")
