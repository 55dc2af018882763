"""Values of SQL_REDO texts in their canonical form."""

from __future__ import annotations

import polars as pl
import pytest

from cdc.changes import SourceColumn, SourceType, unreadable
from cdc.readers.logminer.redo_sql.charsets import codec
from cdc.readers.logminer.redo_sql.formats import timestamp_text, timestamp_tz_text
from cdc.readers.logminer.redo_sql.internal import decode
from cdc.readers.logminer.redo_sql.redo_values import (
    Bare,
    Bind,
    Call,
    Cell,
    Concat,
    Hex,
    RedoSyntaxError,
    Unsupported,
    text_of,
)
from cdc.readers.logminer.redo_sql.values import (
    ABSENT,
    EMPTY_LOB,
    UNKNOWN_LOB,
    canonical,
    cell_text,
    number_text,
)


def column(kind: SourceType) -> SourceColumn:
    return SourceColumn("C", kind, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-.01", "-0.01"),
        (".5", "0.5"),
        ("2.5E+000", "2.5"),
        ("1E+25", "10000000000000000000000000"),
        ("-0", "0"),
        ("+4", "4"),
        ("15235.0", "15235"),
        ("Nan", "NaN"),
        ("-Inf", "-Infinity"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    """Plain decimals without rounding, in one cell and in a column alike."""
    assert number_text(text) == expected
    assert canonical(pl.Series([None, text, "7"]), column(SourceType.NUMBER)).to_list() == [
        None,
        expected,
        "7",
    ]


@pytest.mark.parametrize("text", ["1_000", "sNaN", "", ".", "1e", "1,5", "0x10", "١", "1E+9999"])
def test_what_is_not_a_number_is_refused(text: str) -> None:
    """Only digits as Oracle writes them: a decimal comma or another notation is not guessed at."""
    with pytest.raises(RedoSyntaxError):
        number_text(text)


@pytest.mark.parametrize(
    ("text", "model", "expected"),
    [
        ("2024-02-29 10:11:12", "YYYY-MM-DD HH24:MI:SS", "2024-02-29 10:11:12"),
        ("21-11-2016 11:34:09", "DD-MM-YYYY HH24:MI:SS", "2016-11-21 11:34:09"),
        ("10-jan-2012 13:34:43", "dd-mon-yyyy hh24:mi:ss", "2012-01-10 13:34:43"),
        ("15-MAY-21", "DD-MON-RR", "2021-05-15 00:00:00"),
        ("15-MAY-71", "DD-MON-RR", "1971-05-15 00:00:00"),
        ("23-01-01", "RR-MM-DD", "2023-01-01 00:00:00"),
        ("24-09-10 12:53:38,543044000", "RR-MM-DD HH24:MI:SS,FF", "2024-09-10 12:53:38.543044"),
        ("10-SEP-24 12.53.38.500000000 PM", None, "2024-09-10 12:53:38.5"),
        ("10-SEP-24 12.53.38.500000000 AM", None, "2024-09-10 00:53:38.5"),
        ("2024-02-29 10:11:12.", None, "2024-02-29 10:11:12"),
        (" 2018-09-26 10:43:26.643", None, "2018-09-26 10:43:26.643"),
        ("2020-01-15", "YYYY-MM-DD", "2020-01-15 00:00:00"),
        ("1900-01-01 00:00:00", "YYYY-MM-DD HH24:MI:SS", "1900-01-01 00:00:00"),
    ],
)
def test_datetimes_in_other_formats(text: str, model: str | None, expected: str) -> None:
    """Whatever session format was in force, the format argument says how to read the text."""
    assert timestamp_text(text, model) == expected


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("24-09-10 12:53:38", None),
        ("2024-02-30 00:00:00", "YYYY-MM-DD HH24:MI:SS"),
        ("rubbish", "YYYY-MM-DD"),
        ("2024", "QQQQ"),
    ],
)
def test_doubtful_datetimes_are_refused(text: str, model: str | None) -> None:
    """A text that could mean several dates, or none, is not guessed."""
    with pytest.raises(RedoSyntaxError):
        timestamp_text(text, model)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02 03:04:05.000000000 +05:30", "2024-01-01 21:34:05+00"),
        ("2024-02-14 10:58:02.202590 -03:00", "2024-02-14 13:58:02.20259+00"),
        ("2024-07-01 12:00:00.000000 Europe/Paris", "2024-07-01 10:00:00+00"),
        ("3000-01-01 00:00:00.000000 +00:00", "3000-01-01 00:00:00+00"),
    ],
)
def test_zones_become_utc(text: str, expected: str) -> None:
    """An instant has one text, whatever zone it was written in."""
    assert timestamp_tz_text(text) == expected
    assert canonical(pl.Series([text]), column(SourceType.TIMESTAMP_TZ)).to_list() == [expected]
    assert timestamp_tz_text(expected) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("+01-02", "1-2", "+000000001-02", " +1-02"), "+1-02"),
        (("-00-03", "-0-3"), "-0-03"),
        (("+00-00", "0-0"), "+0-00"),
        (("+03 04:05:06.500000", "3 4:5:6.5", "+000000003 04:05:06.500000000"), "+3 04:05:06.5"),
        (("-07 05:12:10.012300", "-7 05:12:10.0123"), "-7 05:12:10.0123"),
        (("+10 00:00:00.000000", "10 00:00:00", "+10 00:00:00."), "+10 00:00:00"),
        (("P1DT2H",), "P1DT2H"),
    ],
)
def test_intervals_have_one_text(texts: tuple[str, ...], expected: str) -> None:
    """Anyone who writes them, whatever the precision of the column; another form is left alone."""
    interval = column(SourceType.OTHER)
    assert canonical(pl.Series([*texts, expected, None]), interval).to_list() == [
        *[expected] * (len(texts) + 1),
        None,
    ]


def test_pairs_cut_between_two_pieces() -> None:
    """A character outside the basic plane may be cut between two UNISTR calls."""
    halves = [Call("UNISTR", (r"a\D83D",)), Call("UNISTR", (r"\DE00b",))]
    assert text_of(Concat(tuple(halves))) == "a😀b"
    with pytest.raises(RedoSyntaxError, match="surrogate"):
        text_of(halves[0])


def test_what_is_not_reported_is_absent() -> None:
    """Unsupported values and empty LOB locators are not NULL."""
    text = column(SourceType.TEXT)
    assert cell_text(Unsupported(), text) is ABSENT
    assert cell_text(Call("EMPTY_CLOB", ()), text) is ABSENT
    assert cell_text("", text) is None
    assert cell_text(Hex(""), column(SourceType.BINARY)) is None
    assert cell_text(Bare("5"), column(SourceType.NUMBER)) == "5"


@pytest.mark.parametrize(
    ("cell", "kind", "expected"),
    [
        (None, SourceType.TEXT, None),
        ("text", SourceType.TEXT, "text"),
        (Call("TO_CLOB", ("text",)), SourceType.TEXT, "text"),
        (Call("EMPTY_CLOB", ()), SourceType.TEXT, EMPTY_LOB),
        (Call("EMPTY_BLOB", ()), SourceType.BINARY, EMPTY_LOB),
        (Call("XMLTYPE", ("<a/>",)), SourceType.TEXT, UNKNOWN_LOB),
        (Unsupported(), SourceType.TEXT, UNKNOWN_LOB),
        (Bind("B1"), SourceType.TEXT, UNKNOWN_LOB),
        (Hex("C3A9"), SourceType.TEXT, UNKNOWN_LOB),
        (Hex("00FF"), SourceType.BINARY, "00ff"),
        ("text", SourceType.BINARY, UNKNOWN_LOB),
    ],
)
def test_large_values_are_empty_known_or_not(cell: Cell, kind: SourceType, expected: str | None) -> None:
    """What the row itself does not say is read elsewhere, never taken for NULL."""
    assert cell_text(cell, SourceColumn("C", kind, "", large=True)) == expected


def test_column_of_bytes() -> None:
    """RAW comes in lower case; half a byte is refused."""
    assert canonical(pl.Series(["00Ff", ""]), column(SourceType.BINARY)).to_list() == ["00ff", None]
    (found,) = canonical(pl.Series(["123"]), column(SourceType.BINARY))
    assert found == unreadable("hexadecimal digits are not bytes", "123")


def test_character_sets() -> None:
    """Oracle's names lead to codecs that decode; of an unknown set no text is guessed."""
    assert b"\xe9".decode(codec("WE8MSWIN1252")) == "é"
    assert b"\xe9".decode(codec("WE8ISO8859P15")) == "é"
    assert "é".encode().decode(codec("AL32UTF8")) == "é"
    for unknown in ("WE8DEC", "WE8EBCDIC1047", "WE8MSWIN9999"):
        assert decode("NUMBER", "C102", charset=codec(unknown)) == "1"
        with pytest.raises(RedoSyntaxError, match="bytes are not CHAR"):
            decode("CHAR", "41", charset=codec(unknown))
