"""Which column is behind `COL n` of a row that LogMiner could not decode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import oracledb
import pytest

from cdc.changes import TableName
from cdc.ports import ColumnsRead
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.tables.captured import CapturedTables
from cdc.readers.logminer.tables.dictionary import (
    CapturedTable,
    added_columns,
    captured_tables,
    is_extended,
    shape,
)
from cdc.readers.logminer.transactions.events import DdlSeen

NAME = TableName("CISADM", "CI_X")
Column = tuple[str, int | None, str, int | None, str]


class Dictionary:
    """The dictionary of one table; columns as (name, column id, type, segment column id, virtual)."""

    def __init__(self, *columns: Column) -> None:
        self._columns = columns
        self._rows: list[tuple[Any, ...]] = []

    def become(self, *columns: Column) -> None:
        """The table is altered."""
        self._columns = columns

    def cursor(self) -> Dictionary:
        return self

    def __enter__(self) -> Dictionary:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    @property
    def tables_connection(self) -> Dictionary:
        """As a session has it."""
        return self

    def fetchone(self) -> tuple[str]:
        return ("AL32UTF8",)

    def execute(self, statement: str, *binds: Mapping[str, object], **options: object) -> None:
        del binds, options
        self._rows = []
        if "all_tab_cols" in statement:
            self._rows = [
                (
                    *("CISADM", "CI_X", name, number, kind, 10, None, None, "Y", 10, segment, virtual),
                    *(
                        "YES" if name.startswith(HIDDEN_NAMES) else "NO",
                        (name.startswith("SYS_") and "NO") or "YES",
                    ),
                    1 if name.startswith("NEW") else None,
                )
                for name, number, kind, segment, virtual in self._columns
            ]
        elif "all_constraints" in statement:
            self._rows = [("CI_X", "ID", "XC001P0")]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)


def described(*columns: Column) -> CapturedTable:
    connection = cast("oracledb.Connection", Dictionary(*columns))
    return captured_tables(connection, [NAME], "ccb")[NAME]


ID = ("ID", 1, "VARCHAR2", 1, "NO")
UNUSED = ("SYS_C00002_24010112:00:00$", None, "VARCHAR2", 2, "NO")
TOTAL = ("TOTAL", 2, "NUMBER", None, "YES")
HIDDEN = ("SYS_NC00004$", None, "RAW", 3, "NO")
STORAGE = ("SYS_NC00005$", 3, "BLOB", 5, "NO")
"""Of an XMLTYPE or object column, whose COLUMN_ID it has."""
UNSEEN = ("UNSEEN", None, "NUMBER", 6, "NO")
HIDDEN_NAMES = ("SYS_", "UNSEEN")
TEXT = ("NAME", 3, "VARCHAR2", 4, "NO")


def test_hidden_and_unused_columns_count_and_virtual_ones_do_not() -> None:
    """A value is never taken for that of a neighbour."""
    captured = described(ID, UNUSED, TOTAL, HIDDEN, TEXT)
    assert captured.table.column_names == ("ID", "NAME")
    reader = ImageReader(
        captured.table,
        excluded=frozenset(captured.excluded),
        segment_columns=captured.segment_columns,
    )
    values = ", ".join(f"HEXTORAW('{digits}')" for digits in ("31", "6F6C64", "00", "6E6577"))
    text = f'insert into "UNKNOWN"."OBJ# 7"("COL 1","COL 2","COL 3","COL 4") values ({values});'
    row = reader.read([text]).frame.row(0, named=True)
    assert (row["after.ID"], row["after.NAME"]) == ("1", "new")


def test_storage_of_other_columns_is_not_a_column_and_an_invisible_one_is_named() -> None:
    """The redo names the visible column, not those in which Oracle keeps an XML text or an object."""
    captured = described(ID, ("DOC", 2, "XMLTYPE", 2, "NO"), TEXT, STORAGE, UNSEEN)
    assert captured.table.column_names == ("ID", "NAME")
    assert captured.excluded == {"DOC": "XMLTYPE", "UNSEEN": "invisible"}
    assert captured.segment_columns[5] == ("SYS_NC00005$", "BLOB")


def test_columns_added_since_are_known_and_those_with_a_default_reported() -> None:
    """Rows from before have the default, and no redo of their own."""
    then = shape(described(ID, TEXT))
    now = described(ID, TEXT, ("NEW_1", 4, "NUMBER", 5, "NO"), ("PLAIN", 5, "NUMBER", 6, "NO"))
    assert added_columns(then, now) == {"NEW_1", "PLAIN"}
    assert now.defaulted == {"NEW_1"}


def test_only_columns_behind_the_others_keep_older_rows_readable() -> None:
    """A dropped column renumbers those after it; what is added comes last."""
    then = shape(described(ID, TEXT))
    added = ("CITY", 4, "VARCHAR2", 5, "NO")
    assert is_extended(then, described(ID, TEXT))
    assert is_extended(then, described(ID, TEXT, added))
    assert not is_extended(then, described(ID))
    assert not is_extended(then, described(ID, ("NAME", 3, "NUMBER", 4, "NO")))
    assert not is_extended(shape(described(ID, UNUSED, TEXT)), described(ID, TEXT, added))


@pytest.mark.parametrize(
    ("owner", "table", "info", "stops"),
    [
        ("CISADM", "CI_X", "Dictionary Version Mismatch", True),
        ("CISADM", "CI_X", "", False),
        ("CISADM", "CI_OTHER", "Dictionary Version Mismatch", False),
    ],
)
def test_rows_that_todays_dictionary_cannot_decode_stop_their_table(
    owner: str, table: str, info: str, *, stops: bool
) -> None:
    """A row may have its table's name and still be older than its columns; a LONG gives no reason."""
    session = cast("MiningSession", Dictionary(ID, TEXT))
    captured = CapturedTables("ccb", session, [NAME])
    dropped = shape(described(ID, ("GONE", 2, "NUMBER", 2, "NO"), ("NAME", 3, "VARCHAR2", 3, "NO")))
    captured.begin({"committed": 7, "shapes": [["CISADM", "CI_X", dropped]]})
    found = captured.table_of(LogRow(8, 1, "aa", status=2, owner=owner, table=table, info=info))
    assert (NAME in captured.stopped) is stops
    assert found == (NAME if table == "CI_X" and not stops else None)


@pytest.mark.parametrize(
    ("text", "stops"),
    [
        ("alter table ci_x move online", False),
        ("alter table ci_x truncate /* old */ partition p", True),
        ("alter table ci_x move including rows where a = 1", True),
        ("truncate /* all */ table ci_x", True),
        ("comment on table ci_x is 'truncate partition'", False),
        (None, True),
        ("(truncate table ci_x)", True),
    ],
)
def test_ddl_that_may_have_taken_rows_stops_its_table(text: str | None, *, stops: bool) -> None:
    """No row of the log tells of rows that DDL took, and the dictionary is as before."""
    captured = CapturedTables("ccb", cast("MiningSession", Dictionary(ID, TEXT)), [NAME])
    captured.begin_snapshot()
    captured.apply(DdlSeen(LogRow(8, 5, "aa", text, owner="CISADM", table="CI_X"), NAME))
    assert (NAME in captured.stopped) is stops


LOB, ADDED, LATER = ("DOC", 9, "CLOB", 5, "NO"), ("C", 7, "VARCHAR2", 5, "NO"), ("D", 8, "VARCHAR2", 5, "NO")


@pytest.mark.parametrize(
    ("text", "before", "now", "stops"),
    [
        ("alter table ci_x add c varchar2(9)", [ID, TEXT], [ID, TEXT, ADDED], False),
        ("alter table ci_x add c varchar2(9)", [ID, TEXT], [ID, TEXT, ADDED, (*LATER[:3], 6, "NO")], False),
        ("alter table ci_x add (c varchar2(9))", [ID, TEXT], [ID, TEXT, LATER], True),
        ("alter table ci_x add c varchar2(9)", [ID, TEXT], [ID, TEXT], True),
        ("alter table ci_x add c as (id)", [ID, TEXT], [ID, TEXT, ("C", 5, "NUMBER", None, "YES")], False),
        ("alter table ci_x drop column name", [ID, TEXT], [ID, TEXT], True),
        ("alter table ci_x rename column name to name2", [ID, TEXT], [ID, TEXT], True),
        ("alter table ci_x add c varchar2(9)", [ID, (*LOB[:3], 2, "NO"), TEXT], [ID, TEXT, ADDED], True),
        ("alter table ci_x drop column doc", [ID, (*LOB[:3], 2, "NO"), TEXT], [ID, TEXT], False),
        ("alter table ci_x set unused (doc)", [ID, (*LOB[:3], 2, "NO"), TEXT], [ID, UNUSED, TEXT], False),
        ("alter table ci_x drop unused columns", [ID, UNUSED, TEXT], [ID, TEXT], False),
        ("alter table ci_x modify name varchar2(90)", [ID, TEXT], [ID, TEXT], False),
        ("alter table ci_x modify name varchar2(90)", [ID, UNUSED, TEXT], [ID, TEXT], True),
    ],
)
def test_ddl_that_others_followed_stops_its_table_where_the_dictionary_hides_it(
    text: str, before: list[Column], now: list[Column], *, stops: bool
) -> None:
    """A column that came and went gives its number to another; one dropped and added again has lost all."""
    known = Dictionary(*before)
    read = {NAME: ColumnsRead(frozenset(("ID", "NAME")), frozenset())}
    captured = CapturedTables("ccb", cast("MiningSession", known), [NAME], read=read)
    captured.begin_snapshot()
    known.become(*now)
    captured.apply(DdlSeen(LogRow(8, 5, "aa", text, owner="CISADM", table="CI_X"), NAME))
    assert (NAME in captured.stopped) is stops


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (LogRow(8, 1, "aa", owner="UNKNOWN", table="OBJ# 77"), NAME),
        (LogRow(8, 1, "aa", owner="UNKNOWN", table="Objn:77", data_obj=77), NAME),
        (LogRow(8, 1, "aa", owner="UNKNOWN", table="OBJ# ?", data_obj=77), NAME),
        (LogRow(8, 255, "aa", data_obj=77), NAME),
        (LogRow(8, 3, "aa", data_obj=77), NAME),
        (LogRow(8, 0, "aa", data_obj=77), NAME),
        (LogRow(8, 255, "aa", data_obj=78), None),
        (LogRow(8, 10, "aa", data_obj=77), None),
        (LogRow(8, 3, "aa"), None),
    ],
)
def test_a_row_that_names_no_table_is_put_to_it_by_its_number(row: LogRow, found: TableName | None) -> None:
    """A change, or one that LogMiner does not support, is not taken for another table's."""
    captured = CapturedTables("ccb", cast("MiningSession", Dictionary(ID, TEXT)), [NAME])
    captured.begin({"committed": 7, "objects": [["CISADM", "CI_X", [77]]]})
    assert captured.table_of(row) == found
