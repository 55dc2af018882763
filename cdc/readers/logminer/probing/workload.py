"""The tables and transactions of a probe: every kind of redo that the reader must understand.

Each transaction is a `Step`; its first statement inserts the step's name into CCBP_STEP, by which its
redo is found. Statements name tables without schema: the session is the scratch schema's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

STEP = "CCBP_STEP"
BEAT = "CCBP_BEAT"
MANY_ROWS = 50


@dataclass(frozen=True)
class ScratchTable:
    """A table of the probe.

    `columns` is what stands in parentheses, `options` what follows. `replayed` tables go through the
    reader; the others have types or forms that it does not capture.
    """

    name: str
    columns: str
    options: str = ""
    replayed: bool = True
    temporary: bool = False

    @property
    def create(self) -> str:
        """The statement that makes it."""
        kind = "global temporary table" if self.temporary else "table"
        return f"create {kind} {self.name} ({self.columns}) {self.options}".rstrip()


@dataclass(frozen=True)
class Step:
    """A transaction.

    Args:
        name: also its row in CCBP_STEP.
        tables: those it changes.
        statements: SQL, or SQL with rows for an array execution. One that begins with `!` fails, and the
            transaction continues.
        commits: how it ends.
        client_id: identifier the session has meanwhile.
        split_at: number of the statement before which the SCN is noted.
    """

    name: str
    tables: tuple[str, ...]
    statements: tuple[str | tuple[str, Sequence[Sequence[Any]]], ...]
    commits: bool = True
    client_id: str = "probe"
    split_at: int | None = None


_PLAIN = "ID number(10) primary key, N varchar2(60), A number(15,2)"
_TYPE = "ID number(10) primary key, "

TABLES = (
    ScratchTable(STEP, "STEP varchar2(60) primary key"),
    ScratchTable(BEAT, "ID number(10) primary key, N number(10)", replayed=False),
    ScratchTable("CCBP_PLAIN", _PLAIN),
    ScratchTable(
        "CCBP_TYPED",
        "ID number(10) primary key, C char(6), V varchar2(200), NU number, NS number(15,2), DT date, "
        "TS timestamp(9), TZ timestamp(6) with time zone, R raw(16)",
    ),
    ScratchTable("CCBP_NATIONAL", _TYPE + "NC nchar(4), NV nvarchar2(60)"),
    ScratchTable("CCBP_FLOATS", _TYPE + "BF binary_float, BD binary_double"),
    ScratchTable(
        "CCBP_INTERVALS",
        _TYPE + "YM interval year(4) to month, DS interval day(3) to second(6)",
    ),
    ScratchTable("CCBP_LOCAL", _TYPE + "LT timestamp(6) with local time zone"),
    ScratchTable("CCBP_LONG", _TYPE + "T varchar2(4000), U varchar2(4000)"),
    ScratchTable("CCBP_LOB", _TYPE + "N varchar2(60), D clob, B blob"),
    ScratchTable("CCBP_ROWDEP", _TYPE + "N varchar2(60)", "rowdependencies"),
    ScratchTable("CCBP_IOT", _TYPE + "N varchar2(60)", "organization index"),
    ScratchTable(
        "CCBP_PART",
        _TYPE + "N number(10)",
        "partition by range (N) (partition P1 values less than (10), "
        "partition P2 values less than (maxvalue)) enable row movement",
    ),
    ScratchTable(
        "CCBP_SUBPART",
        _TYPE + "N number(10)",
        "partition by range (N) subpartition by hash (ID) subpartitions 2 "
        "(partition P1 values less than (10), partition P2 values less than (maxvalue))",
    ),
    ScratchTable("CCBP_DDL", _TYPE + "N varchar2(60)"),
    ScratchTable("CCBP_EMPTIED", _TYPE + "N varchar2(60)", replayed=False),
    ScratchTable("CCBP_IDENTITY", "ID number generated always as identity primary key, N varchar2(60)"),
    ScratchTable("CCBP_TEMPORARY", _PLAIN, "on commit delete rows", replayed=False, temporary=True),
    ScratchTable("CCBP_A_TABLE_WITH_A_NAME_ABOVE_30_CHARACTERS", _PLAIN, replayed=False),
    ScratchTable("CCBP_JSON", _TYPE + "X json", replayed=False),
    ScratchTable("CCBP_BOOLEAN", _TYPE + "X boolean", replayed=False),
    ScratchTable("CCBP_VECTOR", _TYPE + "X vector(3, float32)", replayed=False),
    ScratchTable("CCBP_ROWID", _TYPE + "X rowid", replayed=False),
    ScratchTable("CCBP_UROWID", _TYPE + "X urowid", replayed=False),
    ScratchTable("CCBP_XML", _TYPE + "X xmltype", replayed=False),
    ScratchTable("CCBP_OBJECT", _TYPE + "X sys.odcinumberlist", replayed=False),
    ScratchTable("CCBP_BFILE", _TYPE + "X bfile", replayed=False),
)


def _zoned(text: str) -> str:
    """A moment with its offset."""
    return f"to_timestamp_tz('{text}', 'YYYY-MM-DD HH24:MI:SS.FF TZH:TZM')"


_TYPED = "insert into CCBP_TYPED (ID, C, V, NU, NS, DT, TS, TZ, R) values "
_ODD = "chr(9) || '\"' || chr(39) || chr(10) || '\\.' || chr(13) || ', ' || chr(39) || chr(39) || ' '"
_MANY = [(1000 + number, f"row {number}", number) for number in range(MANY_ROWS)]

STEPS = (
    Step(
        "plain",
        ("CCBP_PLAIN",),
        (
            "insert into CCBP_PLAIN (ID, N, A) values (1, 'one', 1)",
            "insert into CCBP_PLAIN (ID, N, A) values (2, 'two', 2)",
            "insert into CCBP_PLAIN (ID, N, A) values (3, 'three', 3)",
            "update CCBP_PLAIN set N = 'second' where ID = 2",
            "delete from CCBP_PLAIN where ID = 3",
        ),
    ),
    Step("key-update", ("CCBP_PLAIN",), ("update CCBP_PLAIN set ID = ID + 100 where ID = 1",)),
    Step(
        "savepoint",
        ("CCBP_PLAIN",),
        (
            "insert into CCBP_PLAIN (ID, N, A) values (10, 'ten', 10)",
            "savepoint S1",
            "update CCBP_PLAIN set N = 'undone' where ID = 10",
            "insert into CCBP_PLAIN (ID, N, A) values (11, 'undone', 11)",
            "delete from CCBP_PLAIN where ID = 2",
            "rollback to savepoint S1",
            "update CCBP_PLAIN set N = 'kept' where ID = 10",
        ),
    ),
    Step(
        "failed-statement",
        ("CCBP_PLAIN",),
        (
            "insert into CCBP_PLAIN (ID, N, A) values (20, 'twenty', 20)",
            "!insert into CCBP_PLAIN (ID, N, A) "
            "select case when ID = 20 then 20 else ID + 500 end, 'undone', 0 from CCBP_PLAIN",
            "update CCBP_PLAIN set A = 21 where ID = 20",
        ),
    ),
    Step(
        "rolled-back",
        ("CCBP_PLAIN",),
        ("insert into CCBP_PLAIN (ID, N, A) values (30, 'never', 0)", "update CCBP_PLAIN set A = -1"),
        commits=False,
    ),
    Step(
        "many-rows",
        ("CCBP_PLAIN",),
        (
            ("insert into CCBP_PLAIN (ID, N, A) values (:1, :2, :3)", _MANY),
            "update CCBP_PLAIN set A = A + 1000 where ID >= 1000",
            "insert into CCBP_PLAIN (ID, N, A) select ID + 1000, N, A from CCBP_PLAIN where ID >= 1000",
            "delete from CCBP_PLAIN where ID between 1010 and 1999",
        ),
    ),
    Step(
        "merge",
        ("CCBP_PLAIN",),
        (
            "merge into CCBP_PLAIN P using (select ID, ID - 2000 as M from CCBP_PLAIN where ID >= 2040) S "
            "on (P.ID = S.M) when matched then update set P.N = 'merged' "
            "when not matched then insert (ID, N) values (S.M, 'inserted')",
            "merge into CCBP_PLAIN P using (select 10 as ID from DUAL) S on (P.ID = S.ID) "
            "when matched then update set P.N = 'merged'",
        ),
    ),
    Step(
        "locked",
        ("CCBP_PLAIN",),
        ("select ID from CCBP_PLAIN where ID = 2 for update", "update CCBP_PLAIN set A = 22 where ID = 2"),
    ),
    Step(
        "direct-path",
        ("CCBP_PLAIN",),
        (
            "insert /*+ append */ into CCBP_PLAIN (ID, N, A) select ID + 5000, 'direct', A from CCBP_PLAIN "
            "where ID in (2, 10)",
        ),
    ),
    Step(
        "typed",
        ("CCBP_TYPED",),
        (
            f"{_TYPED} (1, 'ab', 'plain', -0.01, 1234.5, date '2024-02-29', "
            f"timestamp '2024-02-29 10:11:12.123456789', {_zoned('2024-02-29 10:11:12.5 +01:00')}, "
            "hextoraw('00FF'))",
            f"{_TYPED} (2, ' ', '', 12345678901234567890123456789012345.6, -0.5, "
            "to_date('0001-01-01 00:00:00', 'YYYY-MM-DD HH24:MI:SS'), timestamp '1999-12-31 23:59:59', "
            f"{_zoned('2024-07-01 00:00:00.0 -11:30')}, hextoraw('7F'))",
            f"{_TYPED} (3, null, {_ODD}, 1e25, 0, date '9999-12-31', null, null, null)",
            f"{_TYPED} (4, 'abcdef', ' ', 1e-30, 100, null, timestamp '2024-01-01 00:00:00.1', "
            f"{_zoned('2024-01-01 00:00:00.0 +00:00')}, hextoraw('0102030405060708090A0B0C0D0E0F10'))",
            ("insert into CCBP_TYPED (ID, V) values (:1, :2)", [(5, "é 😀 𝄞 中文")]),
            "update CCBP_TYPED set V = 'changed', NU = NU + 1 where ID = 1",
            "update CCBP_TYPED set C = null, DT = date '2000-01-01' where ID = 2",
            "delete from CCBP_TYPED where ID = 4",
        ),
    ),
    Step(
        "national",
        ("CCBP_NATIONAL",),
        (
            "insert into CCBP_NATIONAL (ID, NC, NV) values (1, 'ab', 'plain')",
            ("insert into CCBP_NATIONAL (ID, NV) values (:1, :2)", [(2, "é 😀 中文 'x'")]),
        ),
    ),
    Step(
        "floats",
        ("CCBP_FLOATS",),
        (
            "insert into CCBP_FLOATS (ID, BF, BD) values (1, 1.5, -2.5e-300)",
            "insert into CCBP_FLOATS (ID, BF, BD) values (2, 0, 123456789.125)",
        ),
    ),
    Step(
        "intervals",
        ("CCBP_INTERVALS",),
        (
            "insert into CCBP_INTERVALS (ID, YM, DS) values (1, interval '3-2' year to month, "
            "interval '4 05:06:07.5' day to second)",
        ),
    ),
    Step(
        "local-time-zone",
        ("CCBP_LOCAL",),
        ("insert into CCBP_LOCAL (ID, LT) values (1, " + _zoned("2024-02-29 10:11:12.5 +01:00") + ")",),  # noqa: S608
    ),
    Step(
        "long-text",
        ("CCBP_LONG",),
        (
            "insert into CCBP_LONG (ID, T, U) values (1, rpad('a', 3990, 'it''s '), rpad('b', 3990, 'x'))",
            "update CCBP_LONG set T = rpad('c', 3990, '''') where ID = 1",
        ),
    ),
    Step(
        "lob-plain",
        ("CCBP_LOB",),
        (
            "insert into CCBP_LOB (ID, N, D) values (1, 'one', 'short')",
            "insert into CCBP_LOB (ID, N) values (2, 'two')",
            "update CCBP_LOB set N = 'scalar' where ID = 1",
            "update CCBP_LOB set D = 'other' where ID = 1",
            "update CCBP_LOB set N = 'both', D = 'third' where ID = 2",
            ("update CCBP_LOB set D = :1 where ID = :2", [("y" * 12_000, 1)]),
        ),
    ),
    Step(
        "lob-undone",
        ("CCBP_LOB",),
        (
            "insert into CCBP_LOB (ID, N) values (10, 'ten')",
            "savepoint S1",
            "update CCBP_LOB set N = 'undone', D = 'x' where ID = 10",
            "rollback to savepoint S1",
            "update CCBP_LOB set D = rpad('x', 3000, 'x') where ID = 10",
            "rollback to savepoint S1",
        ),
    ),
    Step(
        "lob-kept",
        ("CCBP_LOB",),
        (
            "update CCBP_LOB set N = 'kept' where ID = 10",
            "savepoint S1",
            "update CCBP_LOB set D = empty_clob() where ID = 10",
            "rollback to savepoint S1",
        ),
    ),
    Step(
        "lob-insert-undone",
        ("CCBP_LOB",),
        (
            "savepoint S1",
            "insert into CCBP_LOB (ID, N, D) values (20, 'undone', empty_clob())",
            "rollback to savepoint S1",
            "insert into CCBP_LOB (ID, N, D) values (21, 'kept', 'x')",
        ),
    ),
    Step("lob-deleted", ("CCBP_LOB",), ("delete from CCBP_LOB where ID = 2",)),
    Step("row-scn", ("CCBP_ROWDEP",), ("insert into CCBP_ROWDEP (ID, N) values (1, 'one')",)),
    Step(
        "iot",
        ("CCBP_IOT",),
        (
            "insert into CCBP_IOT (ID, N) values (1, 'one')",
            "insert into CCBP_IOT (ID, N) values (2, 'two')",
            "savepoint S1",
            "update CCBP_IOT set N = 'undone' where ID = 1",
            "rollback to savepoint S1",
            "update CCBP_IOT set N = 'kept' where ID = 1",
            "delete from CCBP_IOT where ID = 2",
        ),
    ),
    Step(
        "partitions",
        ("CCBP_PART",),
        (
            "insert into CCBP_PART (ID, N) values (1, 1)",
            "insert into CCBP_PART (ID, N) values (2, 99)",
            "update CCBP_PART set N = 100 where ID = 2",
            "update CCBP_PART set N = 50 where ID = 1",
        ),
    ),
    Step(
        "subpartitions",
        ("CCBP_SUBPART",),
        ("insert into CCBP_SUBPART (ID, N) values (1, 1)", "insert into CCBP_SUBPART (ID, N) values (2, 99)"),
    ),
    Step("identity", ("CCBP_IDENTITY",), ("insert into CCBP_IDENTITY (N) values ('one')",)),
    Step(
        "temporary",
        ("CCBP_TEMPORARY", "CCBP_PLAIN"),
        (
            "insert into CCBP_TEMPORARY (ID, N) values (1, 'not logged')",
            "update CCBP_PLAIN set A = 23 where ID = 2",
        ),
    ),
    Step(
        "long-name",
        ("CCBP_A_TABLE_WITH_A_NAME_ABOVE_30_CHARACTERS",),
        ("insert into CCBP_A_TABLE_WITH_A_NAME_ABOVE_30_CHARACTERS (ID, N) values (1, 'one')",),
    ),
    Step("type-json", ("CCBP_JSON",), ("insert into CCBP_JSON values (1, '{\"a\": 1}')",)),
    Step("type-boolean", ("CCBP_BOOLEAN",), ("insert into CCBP_BOOLEAN values (1, true)",)),
    Step("type-vector", ("CCBP_VECTOR",), ("insert into CCBP_VECTOR values (1, '[1, 2, 3]')",)),
    Step("type-rowid", ("CCBP_ROWID",), ("insert into CCBP_ROWID values (1, 'AAAAAAAAAAAAAAAAAB')",)),
    Step("type-urowid", ("CCBP_UROWID",), ("insert into CCBP_UROWID values (1, 'AAAAAAAAAAAAAAAAAB')",)),
    Step("type-xml", ("CCBP_XML",), ("insert into CCBP_XML values (1, xmltype('<a>1</a>'))",)),
    Step("type-object", ("CCBP_OBJECT",), ("insert into CCBP_OBJECT values (1, sys.odcinumberlist(1, 2))",)),
    Step("type-bfile", ("CCBP_BFILE",), ("insert into CCBP_BFILE values (1, bfilename('CCBP', 'none'))",)),
    Step(
        "client-id",
        ("CCBP_PLAIN",),
        ("update CCBP_PLAIN set A = 24 where ID = 2",),
        client_id="probe-changed",
    ),
    Step(
        "split",
        ("CCBP_PLAIN",),
        (
            "insert into CCBP_PLAIN (ID, N, A) values (300, 'split', 40)",
            "update CCBP_PLAIN set A = 41 where ID = 300",
        ),
        split_at=1,
    ),
    Step(
        "ddl-before",
        ("CCBP_DDL",),
        ("insert into CCBP_DDL (ID, N) values (1, 'one')", "insert into CCBP_DDL (ID, N) values (2, 'two')"),
    ),
    Step("ddl-after", ("CCBP_DDL",), ("update CCBP_DDL set N = 'after' where ID = 1",)),
    Step("emptied", ("CCBP_EMPTIED",), ("insert into CCBP_EMPTIED (ID, N) values (1, 'one')",)),
)

DDL_BEFORE = {
    "ddl-after": "alter table CCBP_DDL add (X number(10) default 7 not null)",
}
"""DDL that is run before a step."""
DDL_AFTER = {"emptied": "truncate table CCBP_EMPTIED"}
OPEN_STEP = Step(
    "open", ("CCBP_PLAIN",), ("insert into CCBP_PLAIN (ID, N, A) values (50, 'open', 50)",), commits=False
)
"""Is open while the redo is read, and rolled back then."""
