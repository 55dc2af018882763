"""Values and rows that cannot be read: a value's row is rejected later, a row's table stops, others flow."""

from __future__ import annotations

import pytest

from cdc.changes import NOT_TEXT, UNREADABLE, SourceColumn, SourceTable, SourceType, TableName, unreadable
from cdc.oracle.decoding import ESCAPED, healed
from cdc.readers.logminer.mining.rows import LogRow, refused
from cdc.readers.logminer.redo_sql.row_images import COLUMNAR_ROWS, ImageReader
from cdc.readers.logminer.streaming.batches import BatchMaker, Slice
from cdc.readers.logminer.transactions.events import Committed

OTHER = TableName("CISADM", "CI_Y")
COLUMNS = (
    SourceColumn("ID", SourceType.TEXT, "CHAR(10)"),
    SourceColumn("NAME", SourceType.TEXT, "VARCHAR2(60)"),
    SourceColumn("AMOUNT", SourceType.NUMBER, "NUMBER(15,2)"),
    SourceColumn("SETUP_DT", SourceType.TIMESTAMP, "DATE"),
    SourceColumn("SEEN", SourceType.TIMESTAMP_TZ, "TIMESTAMP(6) WITH TIME ZONE"),
    SourceColumn("KEYBYTES", SourceType.BINARY, "RAW(16)"),
)
TABLE = SourceTable(TableName("CISADM", "CI_X"), COLUMNS, ("ID",))
BYTES = b"caf\xe9 noir".decode("utf-8", ESCAPED)
BEFORE, SIGNED = "a year before Christ", "SYYYY-MM-DD HH24:MI:SS"
OUTSIDE = "the moment is outside the years 1 to 9999"
BAD = [
    ("ID", f"'{BYTES}'", NOT_TEXT, r"caf\xe9 noir"),
    ("NAME", f"'{BYTES}'", NOT_TEXT, r"caf\xe9 noir"),
    ("NAME", r"UNISTR('\d83d')", "half a surrogate pair in UNISTR", r"\d83d"),
    ("NAME", r"UNISTR('\00')", "short UNISTR escape", r"\00"),
    ("NAME", "CHR(1114112)", "CHR of no character", "1114112"),
    ("NAME", "CHR(99999999999)", "CHR of no character", "99999999999"),
    ("AMOUNT", "'ten'", "not a number", "ten"),
    ("AMOUNT", f"'{BYTES}'", NOT_TEXT, r"caf\xe9 noir"),
    ("SETUP_DT", "TO_DATE('-4712-01-01', 'SYYYY-MM-DD')", BEFORE, "-4712-01-01"),
    ("SETUP_DT", f"TO_DATE('-0044-03-15 12:00:00', '{SIGNED}')", BEFORE, "-0044-03-15 12:00:00"),
    ("SEEN", "TO_TIMESTAMP_TZ('-0044-03-15 12:00:00. +01:00')", BEFORE, "-0044-03-15 12:00:00. +01:00"),
    ("SETUP_DT", "TO_DATE('2024-01-01', 'Q')", "unknown datetime format element", "2024-01-01"),
    ("SEEN", "TO_TIMESTAMP_TZ('9999-12-31 23:59:59. -05:00')", OUTSIDE, "9999-12-31 23:59:59. -05:00"),
    ("SEEN", "TO_TIMESTAMP_TZ('0001-01-01 00:00:00. +02:00')", OUTSIDE, "0001-01-01 00:00:00. +02:00"),
    (
        "SEEN",
        "TO_TIMESTAMP_TZ('2024-01-01 00:00:00. Mars/Olympus')",
        "unknown time zone",
        "2024-01-01 00:00:00. Mars/Olympus",
    ),
    ("KEYBYTES", "HEXTORAW('123')", "hexadecimal digits are not bytes", "123"),
]
GOOD = {
    "ID": "'1'",
    "NAME": "'été'",
    "AMOUNT": "'10'",
    "SETUP_DT": "TO_DATE('2024-02-29 10:11:12', 'YYYY-MM-DD HH24:MI:SS')",
    "SEEN": "TO_TIMESTAMP_TZ('2024-01-02 03:04:05.000000000 +05:30')",
    "KEYBYTES": "HEXTORAW('00ff')",
}
kinds = pytest.mark.parametrize(("column", "literal", "reason", "raw"), BAD)
amounts = pytest.mark.parametrize("rows", [1, 2 * COLUMNAR_ROWS])


def insert(**changed: str) -> str:
    values = {**GOOD, **changed}
    names = ",".join(f'"{name}"' for name in values)
    return f'insert into "CISADM"."CI_X"({names}) values ({",".join(values.values())});'


def where(**changed: str) -> str:
    return " and ".join(f'"{name}" = {text}' for name, text in {**GOOD, **changed}.items())


@amounts
@kinds
def test_a_value_that_cannot_be_read_says_why_in_its_place(
    column: str, literal: str, reason: str, raw: str, rows: int
) -> None:
    """Every kind of value, alone and among many: the rest of its row and the other rows are read."""
    texts = [insert()] * rows + [insert(**{column: literal})] + [insert()] * rows
    images = ImageReader(TABLE).read(texts)
    assert images.unreadable == {column}
    cells = images.frame["after." + column].to_list()
    mark = cells.pop(rows)
    assert mark == unreadable(reason, raw)
    assert len(set(cells)) == 1
    others = images.frame.drop("after." + column)
    assert others.row(rows) == others.row(0)


@amounts
@kinds
def test_what_a_row_was_may_be_unreadable(
    column: str, literal: str, reason: str, raw: str, rows: int
) -> None:
    """The change that corrects a value, and the delete of its row, are taken; a key stays for its record."""
    bad = {column: literal}
    update = f'update "CISADM"."CI_X" set "{column}" = {GOOD[column]} where {where(**bad)};'
    delete = f'delete from "CISADM"."CI_X" where {where(**bad)};'
    good = f'delete from "CISADM"."CI_X" where {where()};'
    images = ImageReader(TABLE).read([good] * rows + [update, delete] + [good] * rows)
    frame = images.frame
    for place in (rows, rows + 1):
        absent = images.shapes[frame["before_shape"][place]]
        if column == "ID":
            assert frame["before.ID"][place] == unreadable(reason, raw)
            assert absent == set()
        else:
            assert frame["before." + column][place] is None
            assert absent == {column}
    assert images.shapes[frame["before_shape"][0]] == set()
    assert images.unreadable == ({"ID"} if column == "ID" else set())
    assert frame["after." + column][rows] == ImageReader(TABLE).read([insert()]).frame["after." + column][0]


@amounts
def test_years_of_our_time_come_with_a_blank_for_their_sign(rows: int) -> None:
    """The session's own formats say of each year on which side it is."""
    dated = insert(SETUP_DT=f"TO_DATE(' 2024-02-29 10:11:12', '{SIGNED}')")
    zoned = insert(SEEN="TO_TIMESTAMP_TZ(' 2024-01-02 03:04:05.500000 +05:30')")
    images = ImageReader(TABLE).read([dated] * rows + [zoned] * rows)
    assert images.unreadable == set()
    assert set(images.frame["after.SETUP_DT"]) == {"2024-02-29 10:11:12"}
    assert images.frame["after.SEEN"][-1] == "2024-01-01 21:34:05.5+00"


def test_frames_without_such_values_name_none() -> None:
    """Also where texts are not ASCII, fractions are cut or '' is NULL."""
    texts = [insert(NAME="''"), insert(SEEN="TO_TIMESTAMP_TZ('2024-01-02 03:04:05.500000000 +05:30')")]
    assert ImageReader(TABLE).read(texts).unreadable == set()


@pytest.mark.parametrize("cut", range(1, 13))
def test_characters_cut_between_pieces_are_whole_again(cut: int) -> None:
    """Pieces of a long text may end inside a character; what is not text in the whole stays marked."""
    raw = "é😀€x".encode() + b"\xe9" + "ü".encode()
    pieces = (raw[:cut].decode("utf-8", ESCAPED), raw[cut:].decode("utf-8", ESCAPED))
    assert healed("".join(pieces)) == f"é😀€x{UNREADABLE}\\xe9ü"


class Stops:
    """Remembers which tables were stopped, and why."""

    def __init__(self) -> None:
        self.found: list[tuple[TableName, str, bool]] = []

    def __call__(self, table: TableName, row: LogRow, reason: str, altered: bool) -> None:
        self.found.append((table, reason, altered))


def committed(scn: int, *rows: tuple[TableName, str | None]) -> Committed:
    made = [
        (name, LogRow(scn, 1, "aa", text) if text else refused(LogRow(scn, 2, "aa"), "for a reason"))
        for name, text in rows
    ]
    return Committed("aa", "1.2.3", scn, scn, None, None, None, made)


def slices(*transactions: Committed) -> list[Slice]:
    return [Slice(one, tuple(one.rows), 0) for one in transactions]


@pytest.mark.parametrize(
    "bad", [None, insert() + " garbage", 'insert into "T"("COL 9") values (HEXTORAW(\'01\'));']
)
def test_a_row_that_cannot_be_read_ends_its_table_before_its_transaction(bad: str | None) -> None:
    """Earlier transactions and other tables are handed out; later rows of the table are not, in no batch."""
    readers = {name: ImageReader(SourceTable(name, COLUMNS, ("ID",))) for name in (TABLE.name, OTHER)}
    stops = Stops()
    maker = BatchMaker("ccb", readers, "CCBRIDGE", stop=stops)
    before = committed(1, (TABLE.name, insert(ID="'a'")), (OTHER, insert(ID="'b'")))
    bad_one = committed(2, (TABLE.name, insert()), (OTHER, insert(ID="'c'")), (TABLE.name, bad))
    after = committed(3, (TABLE.name, insert()), (OTHER, insert(ID="'d'")))
    tables = maker.tables(slices(before, bad_one, after))
    assert tables[TABLE.name].frame["after.ID"].to_list() == ["a"]
    assert tables[OTHER].frame["after.ID"].to_list() == ["b", "c", "d"]
    later = maker.tables(slices(committed(4, (TABLE.name, insert()), (OTHER, insert(ID="'e'")))))
    assert set(later) == {OTHER}
    assert later[OTHER].frame["ordinal"].to_list() == [1]
    assert [(table, altered) for table, _, altered in stops.found] == [(TABLE.name, "COL 9" in (bad or ""))]


def test_rows_of_a_table_that_stopped_before_a_restart_are_left_out() -> None:
    """An open transaction that was kept on disk may still hold some."""
    reader = {TABLE.name: ImageReader(TABLE)}
    maker = BatchMaker("ccb", reader, "CCBRIDGE", stop=Stops(), stopped={TABLE.name: 0})
    assert maker.tables(slices(committed(1, (TABLE.name, insert())))) == {}
