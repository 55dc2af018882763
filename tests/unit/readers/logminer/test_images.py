"""SQL_REDO texts as before and after columns: the columnar way and the row way agree."""

from __future__ import annotations

import random

import pytest

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from cdc.readers.logminer.redo_sql.canonical_columns import RedoRowError
from cdc.readers.logminer.redo_sql.row_images import COLUMNAR_ROWS, ImageReader
from cdc.readers.logminer.redo_sql.values import UNKNOWN_LOB

COLUMNS = (
    SourceColumn("ID", SourceType.TEXT, "CHAR(10)", nullable=False, length=10),
    SourceColumn("NAME", SourceType.TEXT, "VARCHAR2(60)", length=60),
    SourceColumn("AMOUNT", SourceType.NUMBER, "NUMBER(15,2)", scale=2),
    SourceColumn("SETUP_DT", SourceType.TIMESTAMP, "DATE"),
    SourceColumn("CHANGED", SourceType.TIMESTAMP, "TIMESTAMP(6)"),
    SourceColumn("SEEN", SourceType.TIMESTAMP_TZ, "TIMESTAMP(6) WITH TIME ZONE"),
    SourceColumn("KEYBYTES", SourceType.BINARY, "RAW(16)"),
)
TABLE = SourceTable(TableName("CISADM", "CI_X"), COLUMNS, ("ID",))
NAMES = [column.name for column in COLUMNS]
DATE = "TO_DATE('2024-02-29 10:11:12', 'YYYY-MM-DD HH24:MI:SS')"


def value(column: SourceColumn, pick: random.Random) -> str:
    """A literal as LogMiner writes it."""
    if column.name != "ID" and pick.random() < 0.1:
        return "NULL"
    match column.type:
        case SourceType.NUMBER:
            return pick.choice(["'-.01'", "'1200'", "'2.5E+003'", "'12.5'"])
        case SourceType.TIMESTAMP if column.declared == "DATE":
            return pick.choice([DATE, DATE, "TO_DATE('29-02-24', 'DD-MM-RR')"])
        case SourceType.TIMESTAMP:
            return pick.choice(
                ["TO_TIMESTAMP('2024-01-02 03:04:05.500000000')", "TO_TIMESTAMP('2024-01-02 03:04:05.')"]
            )
        case SourceType.TIMESTAMP_TZ:
            return "TO_TIMESTAMP_TZ('2024-01-02 03:04:05.000000000 +05:30')"
        case SourceType.BINARY:
            return pick.choice(["HEXTORAW('00Ff')", "HEXTORAW('')"])
        case _:
            plain = [
                f"'{pick.randrange(10)}'",
                "'O''Neil'",
                "'''x'",
                "'it is ''and'' \"C\" = '",
                "' '",
                "'été 😀'",
            ]
            return pick.choice([*plain, r"UNISTR('caf\00e9')", r"'a' || UNISTR('\00e9')", "'x, y = ''z'''"])


def literal(values: dict[str, str], separator: str) -> str:
    return separator.join(f'"{name}" = {text}' for name, text in values.items())


def statement(pick: random.Random) -> str:
    row = {column.name: value(column, pick) for column in COLUMNS}
    kind = pick.choice(["insert", "update", "update", "delete"])
    if kind == "insert":
        names = ",".join(f'"{name}"' for name in row)
        return f'insert into "CISADM"."CI_X"({names}) values ({",".join(row.values())});'
    where = " and ".join(
        f'"{name}" IS NULL' if text == "NULL" else f'"{name}" = {text}' for name, text in row.items()
    )
    if kind == "delete":
        return f'delete from "CISADM"."CI_X" where {where} and ROWID = \'AAAR3sAAEAAAACXAAA\';'
    changed = {column.name: value(column, pick) for column in pick.sample(COLUMNS[1:], 2)}
    return f'update "CISADM"."CI_X" set {literal(changed, ", ")} where {where};'


@pytest.mark.parametrize("seed", range(6))
def test_columnar_and_single_reading_agree(seed: int) -> None:
    """Many rows at once give exactly what each row gives alone, in the same order."""
    pick = random.Random(seed)  # noqa: S311 - data, no secret
    forms = [statement(pick) for _ in range(6)]
    texts = [pick.choice(forms) if pick.random() < 0.9 else statement(pick) for _ in range(4 * COLUMNAR_ROWS)]
    together = ImageReader(TABLE).read(texts)
    single = ImageReader(TABLE)
    alone = [single.read([text]) for text in texts]
    for index, one in enumerate(alone):
        expected, found = one.frame.row(0, named=True), together.frame.row(index, named=True)
        for side in ("before", "after"):
            shape = f"{side}_shape"
            assert together.shapes[found.pop(shape)] == one.shapes[expected.pop(shape)]
        assert found == expected


def test_values_become_canonical() -> None:
    """Numbers, dates, time zones, bytes and texts have one form; '' is NULL."""
    text = (
        'update "CISADM"."CI_X" set "AMOUNT" = \'-.01\', "NAME" = \'O\'\'Neil\' where "ID" = \'1\' '
        f'and "AMOUNT" = \'2.5E+003\' and "SETUP_DT" = {DATE} '
        "and \"CHANGED\" = TO_TIMESTAMP('2024-01-02 03:04:05.500000000') "
        "and \"SEEN\" = TO_TIMESTAMP_TZ('2024-01-02 03:04:05.000000000 +05:30') "
        "and \"KEYBYTES\" = HEXTORAW('00Ff');"
    )
    images = ImageReader(TABLE).read([text])
    row = images.frame.row(0, named=True)
    assert row["operation"] == "u"
    assert [row[f"before.{name}"] for name in NAMES] == [
        "1",
        None,
        "2500",
        "2024-02-29 10:11:12",
        "2024-01-02 03:04:05.5",
        "2024-01-01 21:34:05+00",
        "00ff",
    ]
    assert (row["after.AMOUNT"], row["after.NAME"], row["after.KEYBYTES"]) == ("-0.01", "O'Neil", "00ff")
    assert images.shapes[row["before_shape"]] == {"NAME"}
    assert images.shapes[row["after_shape"]] == set()


def test_images_that_do_not_exist_are_wholly_absent() -> None:
    """An insert has no before image and a delete no after image, which is not a row of NULLs."""
    images = ImageReader(TABLE).read(
        ['insert into "CISADM"."CI_X"("ID") values (\'1\')', 'delete from "CISADM"."CI_X" where "ID" = \'1\'']
    )
    created, deleted = images.frame.rows(named=True)
    assert images.shapes[created["before_shape"]] == set(NAMES)
    assert images.shapes[created["after_shape"]] == set(NAMES) - {"ID"}
    assert images.shapes[deleted["after_shape"]] == set(NAMES)


def test_unsupported_values_are_absent() -> None:
    """`Unsupported Type` is a value no one knows, not NULL."""
    images = ImageReader(TABLE).read(
        ['insert into "CISADM"."CI_X"("ID","NAME") values (\'1\',Unsupported Type)']
    )
    assert "NAME" in images.shapes[images.frame["after_shape"][0]]


@pytest.mark.parametrize("rows", [1, 2 * COLUMNAR_ROWS])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('update "CISADM"."CI_X" set "NAME" = \'x\' where ROWID = \'AAA\';', "key columns"),
        ('update "CISADM"."CI_X" set "NAME" = \'x\' where "ID" = \'abc', "unterminated string"),
    ],
)
def test_bad_rows_are_named(bad: str, reason: str, rows: int) -> None:
    """A row that cannot be read is refused with its place, alone and among many good ones."""
    good = 'insert into "CISADM"."CI_X"("ID","AMOUNT") values (\'1\',\'10\')'
    with pytest.raises(RedoRowError, match=reason) as caught:
        ImageReader(TABLE).read([good] * rows + [bad] + [good] * rows)
    assert caught.value.index == rows


def test_columns_not_captured_are_left_out() -> None:
    """A LOB column in the text does not disturb, empty or in full."""
    reader = ImageReader(TABLE, excluded=frozenset(("DATA_AREA",)))
    texts = [
        'insert into "CISADM"."CI_X"("ID","DATA_AREA") values (\'1\',EMPTY_CLOB())',
        'insert into "CISADM"."CI_X"("ID","DATA_AREA") values (\'2\',\'<a/>\')',
        'insert into "CISADM"."CI_X"("ID","ADDED_SINCE") values (\'3\',TO_DATE(\'2024\', \'YYYY\'))',
    ]
    assert reader.read(texts).frame["after.ID"].to_list() == ["1", "2", "3"]


def test_undecoded_rows_are_decoded_by_column_number() -> None:
    """`COL n` with internal bytes gives the same values as the decoded row would."""
    segments = {1: ("ID", "CHAR"), 3: ("AMOUNT", "NUMBER"), 4: ("SETUP_DT", "DATE"), 5: ("DATA_AREA", "CLOB")}
    reader = ImageReader(TABLE, segment_columns=segments)
    text = (
        'insert into "UNKNOWN"."OBJ# 4711"("COL 1","COL 3","COL 4","COL 5") values '
        "(HEXTORAW('31'),HEXTORAW('c2121e'),HEXTORAW('7867010d110804'),HEXTORAW('00'));"
    )
    row = reader.read([text]).frame.row(0, named=True)
    assert (row["after.ID"], row["after.AMOUNT"], row["after.SETUP_DT"]) == (
        "1",
        "1729",
        "2003-01-13 16:07:03",
    )
    with pytest.raises(RedoRowError, match="COL 9"):
        reader.read([text.replace("COL 5", "COL 9")])


def test_relaxed_reading_is_opt_in() -> None:
    """Unescaped apostrophes are refused unless asked for, and then only where one reading is possible."""
    text = 'insert into "CISADM"."CI_X"("ID","NAME") values (\'1\',\'rue de l\'église\');'
    with pytest.raises(RedoRowError):
        ImageReader(TABLE).read([text])
    relaxed = ImageReader(TABLE, relaxed=True)
    assert relaxed.read([text]).frame["after.NAME"].to_list() == ["rue de l'église"]
    with pytest.raises(RedoRowError, match="ambiguous"):
        relaxed.read(['insert into "CISADM"."CI_X"("ID","NAME") values (\'1\',\'a\',\'b\');'])


def test_unescaped_apostrophes_that_only_a_large_column_hides() -> None:
    """Where readings differ in a large column alone, the row is read and that value is read again."""
    table = SourceTable(
        TABLE.name,
        (COLUMNS[0], SourceColumn("NOTE", SourceType.TEXT, "VARCHAR2(32767)", large=True), COLUMNS[1]),
        ("ID",),
    )
    two = """insert into "CISADM"."CI_X"("ID","NOTE","NAME") values ('1','a' , 'b','c')"""
    with pytest.raises(RedoRowError):
        ImageReader(table, relaxed=True).read([two])
    other = """insert into "CISADM"."CI_X"("ID","NAME","NOTE") values ('1','c','it's' || 'x')"""
    row = ImageReader(table, relaxed=True).read([other]).frame.row(0, named=True)
    assert (row["after.ID"], row["after.NAME"], row["after.NOTE"]) == ("1", "c", UNKNOWN_LOB)
