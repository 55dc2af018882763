"""LOB rows on their way through the assembly to the change they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from cdc.errors import TableOutdated
from cdc.readers.logminer.lobs.large_rows import LargeRows
from cdc.readers.logminer.lobs.large_values import FETCH, LargeRow, Parts, Synthetic
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.tables.captured import CapturedTables
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed
from cdc.readers.logminer.transactions.lob_filter import LobFilter
from cdc.readers.logminer.transactions.open_transactions import SpillStore
from tests.redo_sequences import cases, log_row

SEQUENCES = {case["id"]: case for case in cases()}
NAME = TableName("S", "T")
ID = SourceColumn("ID", SourceType.NUMBER, "NUMBER", nullable=False)
NOTE = SourceColumn("NOTE", SourceType.TEXT, "CLOB", large=True)
BYTES = SourceColumn("BYTES", SourceType.BINARY, "BLOB", large=True)
LONG = SourceColumn("LONG", SourceType.TEXT, "VARCHAR2(32767)", large=True)
ASIDE = SourceColumn("ASIDE", SourceType.TEXT, "CLOB", large=True)
ALL = (NOTE, BYTES, LONG)
EMPTY = """insert into "S"."T"("ID","NOTE","BYTES","LONG") values ('1',EMPTY_CLOB(),EMPTY_BLOB(),NULL)"""
START, INSERT, UPDATE, COMMIT, LOCATOR, WRITE, TRIM, ERASE = 6, 1, 3, 7, 9, 10, 11, 29


class Redo:
    """Rows of one transaction through assembly and joining."""

    def __init__(
        self,
        *,
        name: TableName = NAME,
        captured: tuple[SourceColumn, ...] = ALL,
        large: tuple[SourceColumn, ...] = (*ALL, ASIDE),
        from_redo: tuple[SourceColumn, ...] = ALL,
        **options: Any,
    ) -> None:
        table = SourceTable(name, (ID, *captured), ("ID",))
        all_large = {name: large}
        chosen = {name: frozenset(column.name for column in from_redo)}
        excluded = frozenset(column.name for column in large) - set(table.column_names)
        readers = {name: ImageReader(table, excluded=excluded)}
        self.name = name
        self.assembly = Assembly("ccb", self._table, lobs=LobFilter(all_large, chosen), **options)
        self.unplaced: list[TableName] = []
        self._rows = LargeRows("ccb", readers, all_large, chosen, unplaced=self.unplaced.append)

    def _table(self, row: LogRow) -> TableName | None:
        return (
            self.name if (row.owner or "S", row.table or "T") == (self.name.schema, self.name.name) else None
        )

    def join(self, *rows: LogRow) -> list[tuple[LogRow, Parts]]:
        """Data rows with their parts."""
        for row in rows:
            event = self.assembly.add(row)
            if isinstance(event, Committed):
                return [
                    (kept, kept.parts if isinstance(kept, LargeRow) else {})
                    for _, kept in self._rows.rows(event)
                ]
        return []


def rows(*given: tuple[int, str], rollback: tuple[int, ...] = ()) -> list[LogRow]:
    whole = [(START, ""), *given, (COMMIT, "")]
    return [
        LogRow(
            scn,
            code,
            "0a00010057030000",
            text,
            rollback=int(scn in rollback),
            row_id=f"AAA{scn % 2}",
            data_obj=7,
            owner="S" if text else None,
            table="T" if text else None,
            rs_id=f"1.{scn}",
        )
        for scn, (code, text) in enumerate(whole)
    ]


def locator(column: str, key: int = 1, variable: str = "loc_c") -> tuple[int, str]:
    return LOCATOR, (
        f'DECLARE loc_c CLOB; loc_b BLOB; BEGIN\n select "{column}" into {variable} from "S"."T" '
        f"where \"ID\" = '{key}' for update;"
    )


def write(text: str, offset: int, variable: str = "c") -> tuple[int, str]:
    buffer = f"HEXTORAW('{text}')" if variable == "b" else "'" + text.replace("'", "''") + "'"
    size = len(text) // 2 if variable == "b" else len(text.encode("utf-16-le")) // 2
    return (
        WRITE,
        f" buf_{variable} := {buffer};\n dbms_lob.write(loc_{variable}, {size}, {offset}, buf_{variable});",
    )


def test_pieces_of_a_new_row_become_its_values() -> None:
    """Characters beyond the basic plane count two, a gap is filled, bytes stay bytes, '' is nothing."""
    given = rows(
        (INSERT, EMPTY),
        locator("NOTE"),
        write("it's 😀", 1),
        write("é", 10),
        locator("BYTES", variable="loc_b"),
        write("00ff", 1, "b"),
        write("7f", 4, "b"),
    )
    ((row, parts),) = Redo().join(*given)
    assert row.operation_code == INSERT
    assert parts == {"NOTE": "it's 😀  é", "BYTES": "00ff007f"}


@pytest.mark.parametrize(
    ("operations", "value"),
    [
        ([write("ab", 1)], FETCH),
        ([write("abcd", 1), (TRIM, " dbms_lob.trim(loc_c, 3);")], "abc"),
        ([write("ab", 3), (TRIM, " dbms_lob.trim(loc_c, 4);")], FETCH),
        ([(TRIM, " dbms_lob.trim(loc_c, 0);"), write("new", 1)], "new"),
        ([(TRIM, " dbms_lob.trim(loc_c, 0);")], None),
        ([(TRIM, " dbms_lob.trim(loc_c, 0);"), (ERASE, " dbms_lob.erase(loc_c, 1, 1);")], FETCH),
        ([(WRITE, " buf_c := whatever(1);\n dbms_lob.write(loc_c, 1, 1, buf_c);")], FETCH),
    ],
    ids=["part", "whole", "hole", "emptied", "nothing", "erased", "unknown form"],
)
def test_lob_of_an_earlier_row(operations: list[tuple[int, str]], value: object) -> None:
    """Without an UPDATE row an update is made up; what the redo does not tell is read again."""
    ((row, parts),) = Redo().join(*rows(locator("NOTE", 5), *operations))
    assert isinstance(row, LargeRow)
    assert row.made_up is Synthetic.FROM_LOCATOR
    assert row.operation_code == UPDATE
    assert row.sql_redo == """update "S"."T" set "NOTE" = EMPTY_CLOB() where "ID" = '5'"""
    assert parts == {"NOTE": value}


def test_lob_written_later_than_its_row() -> None:
    """A row inserted with an empty LOB and filled after other rows is known from its beginning."""
    other = """insert into "S"."T"("ID","NOTE") values ('2','short')"""
    joined = Redo().join(*rows((INSERT, EMPTY), (INSERT, other), locator("NOTE", 1), write("abc", 1)))
    assert [parts for _, parts in joined] == [{}, {}, {"NOTE": "abc"}]


def test_columns_not_chosen_are_read_again_and_their_data_is_not_kept() -> None:
    """The locator alone tells that a LOB changed; megabytes behind it are left out at once."""
    redo = Redo(from_redo=())
    given = rows((INSERT, EMPTY), locator("NOTE"), write("x" * 100, 1), write("y" * 100, 101))
    ((_, parts),) = redo.join(*given)
    assert parts == {"NOTE": FETCH}
    assert redo.assembly.counts["LOB rows left out"] == 2


def test_lobs_that_no_rule_reads_are_not_change() -> None:
    """Their rows neither make up an update nor write to the column before them."""
    given = rows((INSERT, EMPTY), locator("NOTE"), write("abc", 1), locator("ASIDE"), write("XYZ", 1))
    ((_, parts),) = Redo().join(*given)
    assert parts == {"NOTE": "abc"}
    assert Redo().join(*rows(locator("ASIDE", 4), write("XYZ", 1))) == []


def test_nothing_is_trusted_where_something_was_undone() -> None:
    """A savepoint may have undone LOB rows with their insert: values are read again."""
    undone = """delete from "S"."T" where ROWID = 'AAA0'"""
    given = rows(
        (UPDATE, """update "S"."T" set "NOTE" = EMPTY_CLOB() where "ID" = '9'"""),
        (INSERT, EMPTY),
        locator("NOTE"),
        write("undone", 1),
        (2, ""),
        (2, undone),
        rollback=(6,),
    )
    del given[5]
    joined = Redo().join(*given)
    assert [(row.operation_code, parts) for row, parts in joined] == [(UPDATE, {}), (UPDATE, {"NOTE": FETCH})]
    assert isinstance(joined[1][0], LargeRow)
    assert joined[1][0].made_up is Synthetic.FROM_SOURCE


def test_undone_lob_row_makes_its_column_unknown() -> None:
    """A compensation of a LOB row says that the writes before it may not count."""
    given = rows((INSERT, EMPTY), locator("NOTE"), write("abc", 1), locator("NOTE"), rollback=(4,))
    ((_, parts),) = Redo().join(*given)
    assert parts == {"NOTE": FETCH}


def test_compensation_of_a_lob_change_without_a_row_of_its_own() -> None:
    """An UPDATE row that undoes nothing but LOB rows makes them unknown, and does not stop the reader."""
    undo = """update "S"."T" set "NOTE" = EMPTY_CLOB() where ROWID = 'AAA1'"""
    ((_, parts),) = Redo().join(*rows((INSERT, EMPTY), locator("NOTE"), (UPDATE, undo), rollback=(3,)))
    assert parts == {"NOTE": FETCH}
    _, (refused, _) = Redo().join(*rows((INSERT, EMPTY), (UPDATE, undo), rollback=(2,)))
    assert "undoes nothing" in (refused.sql_redo or "")


@pytest.mark.parametrize("from_redo", [(NOTE,), ()])
def test_two_columns_that_writes_can_belong_to(from_redo: tuple[SourceColumn, ...]) -> None:
    """Writes without a locator are never given to one of two: both are read again."""
    two = """insert into "S"."T"("ID","NOTE","ASIDE") values ('1',EMPTY_CLOB(),EMPTY_CLOB())"""
    redo = Redo(captured=(NOTE, ASIDE), large=(NOTE, ASIDE), from_redo=from_redo)
    ((_, parts),) = redo.join(*rows(write("abc", 1), (INSERT, two)))
    assert parts == {"NOTE": FETCH, "ASIDE": FETCH}


@pytest.mark.parametrize("columns", [(NOTE, ASIDE), (ASIDE,)])
@pytest.mark.parametrize("from_redo", [(NOTE,), ()])
def test_writes_that_can_belong_to_a_column_no_rule_reads(
    columns: tuple[SourceColumn, ...], from_redo: tuple[SourceColumn, ...]
) -> None:
    """Such a column may be meant, so nothing is given to the other one; it gets no value itself."""
    names = ",".join(f'"{column.name}"' for column in columns)
    text = f"""insert into "S"."T"("ID",{names}) values ('1',{",".join(["EMPTY_CLOB()"] * len(columns))})"""
    redo = Redo(captured=(NOTE,), large=(NOTE, ASIDE), from_redo=from_redo)
    ((_, parts),) = redo.join(*rows(write("abc", 1), (INSERT, text)))
    assert parts == {"NOTE": FETCH}


def test_two_rows_that_writes_can_belong_to() -> None:
    """Nor are they given to the first of two rows; the next row's own writes end the question."""
    one = """insert into "S"."T"("ID","NOTE") values ('{}',EMPTY_CLOB())"""
    redo = Redo(captured=(NOTE,), large=(NOTE,))
    given = rows(
        write("abc", 1),
        (INSERT, one.format(1)),
        (INSERT, one.format(2)),
        write("def", 1),
        (INSERT, one.format(3)),
    )
    assert [parts for _, parts in redo.join(*given)] == [{"NOTE": FETCH}, {"NOTE": FETCH}, {"NOTE": "def"}]


def test_basicfile_writes_before_their_row_are_resolved() -> None:
    """Recorded order: writes without locator, the row, another column with its locator."""
    case = SEQUENCES["Q032"]
    name = TableName("TESTDB", "T")
    columns = tuple(
        SourceColumn(column, SourceType.TEXT, "CLOB", large=True) for column in ("OOL_COL", "SECUREFILE_COL")
    )
    redo = Redo(name=name, captured=columns, large=columns, from_redo=columns)
    ((row, parts),) = redo.join(*map(log_row, case["rows"]))
    (event,) = case["expect"]["events"]
    assert row.operation_code == UPDATE
    assert parts == event["after"]


ERASED = (ERASE, " dbms_lob.erase(loc_c, amount, 1);")
OTHER = (UPDATE, """update "S"."T" set "NOTE" = 'inline' where "ID" = '1' and "NOTE" = 'x'""")


@pytest.mark.parametrize(
    ("given", "lost"),
    [
        ([write("abc", 1)], True),
        ([write("00ff", 1, "b"), write("7f", 3, "b")], True),
        ([ERASED], True),
        ([OTHER, write("00ff", 1, "b")], True),
        ([write("abc", 1), (INSERT, EMPTY)], False),
        ([locator("NOTE"), write("abc", 1)], False),
        ([locator("ASIDE"), write("abc", 1)], False),
        ([OTHER], False),
    ],
)
def test_writes_to_a_row_that_nothing_names_are_reported(given: list[tuple[int, str]], *, lost: bool) -> None:
    """The value of some row is another one than what is staged: the table says so until it is read again."""
    redo = Redo()
    redo.join(*rows(*given))
    assert redo.unplaced == [NAME] * lost
    captured = CapturedTables("ccb", cast("MiningSession", None), [NAME])
    for name in redo.unplaced * 2:
        captured.lob_unplaced(name)
    assert isinstance(captured.outdated.get(NAME), TableOutdated) is lost
    assert len(captured.resume().get("outdated", ())) == lost


def test_writes_of_undone_work_are_not_loss() -> None:
    """Their row is gone from the transaction, and the writes are not."""
    redo = Redo()
    inserted = (INSERT, EMPTY), write("abc", 1), (INSERT, EMPTY), locator("ASIDE"), (2, "delete")
    assert len(redo.join(*rows(*inserted, rollback=(5,)))) == 1
    assert redo.unplaced == []


def test_insert_of_a_lob_that_was_undone_leaves_nothing() -> None:
    """Recorded order: insert without row id, update with it, one compensation for both."""
    name = TableName("DEBEZIUM", "TEST_LOB_TABLE")
    data = SourceColumn("DATA", SourceType.TEXT, "CLOB", large=True)
    redo = Redo(name=name, captured=(data,), large=(data,), from_redo=(data,))
    given = [{"SEG_OWNER": name.schema, "TABLE_NAME": name.name, **row} for row in SEQUENCES["Q027"]["rows"]]
    assert redo.join(*map(log_row, given)) == []


def test_extended_string_comes_from_its_block() -> None:
    """A 32K block is the whole new value, with or without a row before it."""
    begin = (
        "DECLARE\n TempLob CLOB;\n buf_c VARCHAR2(32767);\n Stmt CLOB;\nBEGIN\n"
        " DBMS_LOB.CreateTemporary(TempLob, FALSE);\n"
        ' Stmt := \'update "S"."T" a set a."LONG" = :LONG where a."ID" = \'\'1\'\';\';'
    ).replace("\\\n", "\n")
    piece = " buf_c := '{}';\n DBMS_LOB.WRITEAPPEND(TempLob, 2, buf_c);"
    block = [(91, begin), (92, piece.format("ab")), (92, piece.format("c''")), (93, "END;")]
    ((_, parts),) = Redo().join(*rows((INSERT, EMPTY), *block))
    assert parts == {"LONG": "abc'"}
    ((row, parts),) = Redo().join(*rows(*block))
    assert (row.sql_redo, parts) == (
        """update "S"."T" set "LONG" = EMPTY_CLOB() where a."ID" = '1'""",
        {"LONG": "abc'"},
    )
    ((_, parts),) = Redo(from_redo=()).join(*rows(*block))
    assert parts == {"LONG": FETCH}


def test_lob_rows_outlive_spill_and_restart(tmp_path: Path) -> None:
    """Rows on disk, of a transaction taken up again by another process, give the same values."""
    given = rows((INSERT, EMPTY), locator("NOTE"), write("abc", 1), write("def", 4))
    work = SpillStore("ccb", tmp_path, every_s=0)
    work.begin({"read_from": 0, "committed": 0}, {})
    redo = Redo(max_bytes=1, spill=work.spill)
    redo.join(*given[:4])
    resume = work.resume(redo.assembly.open, 3, all_read=True)
    again = SpillStore("ccb", tmp_path, every_s=0)
    _, restored = again.begin(resume, {})
    assert len(restored) == 1
    ((_, parts),) = Redo(restored=restored, max_bytes=1, spill=again.spill).join(*given)
    assert parts == {"NOTE": "abcdef"}


def test_locator_that_names_no_row_stops() -> None:
    """A change of a captured LOB is never passed over because no one knows whose it is."""
    text = 'BEGIN select "NOTE" into loc_c from "S"."T" for update; END;'
    ((refused, _),) = Redo().join(*rows((LOCATOR, text)))
    assert "does not name the row's key" in (refused.sql_redo or "")


CORPUS = Path(__file__).parents[3] / "data" / "logminer_redo.jsonl"
RECORDED = [
    case
    for case in map(json.loads, CORPUS.read_text(encoding="utf-8").splitlines())
    if case["operation"] in ("SELECT_LOB_LOCATOR", "LOB_WRITE", "LOB_TRIM", "32K_BEGIN")
    and (case.get("expect") or {}).get("lob", {}).get("column")
    and case["expect"]["before"]
]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in RECORDED])
def test_recorded_locators_reach_their_row(case: dict[str, Any]) -> None:
    """Every recorded form of locator makes an update of the row and column it names."""
    lob, image = case["expect"]["lob"], case["expect"]["before"]
    owner, name = case["table"].split(".") if "owner" not in case else (case["owner"], case["name"])
    kind = SourceType.BINARY if lob["binary"] else SourceType.TEXT
    column = SourceColumn(lob["column"], kind, "LOB", large=True)
    table = SourceTable(
        TableName(owner, name),
        (*(SourceColumn(one, SourceType.TEXT, "") for one in image if one != "TD"), column),
        tuple(one for one in image if one.startswith(("ID", "PK"))),
    )
    readers = {table.name: ImageReader(table)}
    large, chosen = {table.name: (column,)}, dict[TableName, frozenset[str]]()
    code = 91 if case["operation"] == "32K_BEGIN" else LOCATOR
    assembly = Assembly("ccb", lambda _row: table.name, lobs=LobFilter(large, chosen))
    assembly.add(LogRow(1, code, "aa", case["sql_redo"], owner=owner, table=name))
    committed = assembly.add(LogRow(2, COMMIT, "aa"))
    assert isinstance(committed, Committed)
    ((_, row),) = LargeRows("ccb", readers, large, chosen).rows(committed)
    assert isinstance(row, LargeRow)
    assert row.parts == {column.name: FETCH}
    read = readers[table.name].read([row.sql_redo or ""]).frame.row(0, named=True)
    assert {one: read[f"before.{one}"] for one in table.key} == {one: image[one] for one in table.key}


@pytest.mark.parametrize(("from_redo", "keep"), [(frozenset({"NOTE"}), True), (frozenset(), False)])
def test_data_behind_an_undecoded_locator_is_kept(from_redo: frozenset[str], keep: bool) -> None:
    """After DDL a locator has a number for its column: which one it is, is known where rows are joined."""
    text = 'BEGIN select "COL 2" into loc_c from "UNKNOWN"."OBJ# 7" where "COL 1" = HEXTORAW(\'c102\'); END;'
    row = LogRow(1, LOCATOR, "aa", text, owner="UNKNOWN", table="OBJ# 7")
    _, located = LobFilter({NAME: (NOTE,)}, {NAME: from_redo}).look(row, NAME, None)
    assert located is not None
    assert located.keep is keep
