from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from sandbox.oracle.interface import OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database

TABLES = """
create table CISADM.PER (
  PER_ID char(10) not null, NAME varchar2(20), constraint XPK_PER primary key (PER_ID));
create table CISADM.ACCT (
  ACCT_ID char(10) primary key, PER_ID char(10), AMT number(15,2), D date, TS timestamp(6));
create index CISADM.XF_ACCT on CISADM.ACCT (PER_ID);
create sequence CISADM.NUMBERS start with 5;
"""


@pytest.fixture
def sql() -> Iterator[Sql]:
    database = a_database()
    database.run_script(TABLES)
    session = Sql(database)
    for number, name in enumerate(("Ada", "Bea", "Cyr", None), 1):
        session.run("insert into per values (:1, :2)", f"{number:010d}", name)
    for number in range(1, 7):
        session.run(
            "insert into acct (acct_id, per_id, amt) values (:1, :2, :3)",
            f"{number:010d}",
            f"{number % 3 + 1:010d}",
            Decimal(number * 10),
        )
    session.session.commit()
    yield session
    session.session.close()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("nvl(null, 'x')", "x"),
        ("decode(2, 1, 'a', 2, 'b', 'c')", "b"),
        ("decode(null, null, 'same', 'other')", "same"),
        ("case when 1 = 2 then 'a' when null = 1 then 'b' else 'c' end", "c"),
        ("'a' || null || 'b'", "ab"),
        ("nvl('', 'empty is null')", "empty is null"),
        ("to_char(1234.5, 'FM9G999D00')", "1,234.50"),
        ("to_char(.05)", ".05"),
        ("to_char(date '2024-02-29', 'DD Mon YYYY HH24:MI')", "29 Feb 2024 00:00"),
        (
            "to_char(to_date('31.12.1999 23:59:58', 'DD.MM.YYYY HH24:MI:SS') + 2/86400, 'YYYY-MM-DD"
            " HH24:MI:SS')",
            "2000-01-01 00:00:00",
        ),
        ("to_char(timestamp '2024-01-02 03:04:05.123456789', 'FF9')", "123456789"),
        ("trim('  x ')", "x"),
        ("rtrim('x00', '0')", "x"),
        ("substr('abcdef', -3, 2)", "de"),
        ("lpad('7', 3, '0')", "007"),
        ("upper('ß')", "SS"),
        ("length('ä€')", 2),
        ("round(2.5)", 3),
        ("round(-2.5)", -3),
        ("trunc(-2.567, 2)", Decimal("-2.56")),
        ("mod(-7, 3)", -1),
        ("greatest(1, 3, 2)", 3),
        ("coalesce(null, null, 4)", 4),
        ("10 / 4 - 0.5", 2),
        ("1/3", Decimal("0.3333333333333333333333333333333333333333")),
        ("date '2024-03-01' - date '2024-02-28'", 2),
        ("add_months(date '2024-01-31', 1)", datetime(2024, 2, 29)),  # noqa: DTZ001
        ("to_number('12.50')", Decimal("12.5")),
        ("instr('hello', 'l')", 3),
        ("replace('a-b', '-')", "ab"),
        ("case when 'a ' = 'a' then 'padded' end", "padded"),
        ("(select max(amt) from acct where per_id = (select min(per_id) from per))", 60),
        ("cast(1.005 as number(5,2))", Decimal("1.01")),
        ("sys_context('USERENV', 'SESSION_USER')", "CISADM"),
        ("q'[it's]'", "it's"),
        ("to_char(timestamp '2024-06-01 12:00:00' at time zone 'Europe/Paris', 'HH24:MI TZH')", "14:00 +02"),
        ("numbers.nextval + numbers.nextval * 0", 5),
    ],
)
def test_expressions(sql: Sql, expression: str, expected: Any) -> None:
    """Values and functions give what Oracle gives."""
    assert sql.value(expression) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "select p.name, a.amt from per p join acct a on a.per_id = p.per_id where a.amt > 40"
            " order by 2 desc",
            [("Ada", 60), ("Cyr", 50)],
        ),
        (
            "select p.name, sum(a.amt) s, count(*) from per p, acct a where p.per_id = a.per_id(+)"
            " group by p.name order by s desc nulls last",
            [("Ada", 90, 2), ("Cyr", 70, 2), ("Bea", 50, 2), (None, None, 1)],
        ),
        (
            "select per_id, count(*) from acct group by per_id having sum(amt) >= 70 order by per_id",
            [("0000000001", 2), ("0000000003", 2)],
        ),
        (
            "select name from per where not exists (select 1 from acct where acct.per_id = per.per_id)",
            [(None,)],
        ),
        (
            "select name from per where per_id in (select per_id from acct where amt in (10, 20)) "
            "order by name",
            [("Bea",), ("Cyr",)],
        ),
        (
            "select acct_id from (select acct_id from acct order by amt desc) where rownum <= 2",
            [("0000000006",), ("0000000005",)],
        ),
        (
            "select acct_id from acct order by acct_id offset 1 rows fetch next 2 rows only",
            [("0000000002",), ("0000000003",)],
        ),
        (
            "select name from per where name is null union select 'x' from dual "
            "union all select 'x' from dual",
            [(None,), ("x",), ("x",)],
        ),
        ("select per_id from per minus select per_id from acct", [("0000000004",)]),
        (
            "select distinct per_id from acct where per_id between '0000000002' and '0000000003' order by 1",
            [("0000000002",), ("0000000003",)],
        ),
        (
            "with big as (select * from acct where amt > 30) select count(*), min(amt), avg(amt) from big",
            [(3, 40, 50)],
        ),
        (
            "select acct_id, row_number() over (partition by per_id order by amt desc) n from acct"
            " where per_id = '0000000001' order by n",
            [("0000000006", 1), ("0000000003", 2)],
        ),
        ("select name from per where name like '_e%' or name like 'x#_' escape '#'", [("Bea",)]),
        (
            "select count(*) from acct where (acct_id > '0000000004') or (acct_id = '0000000004' and"
            " amt >= 40)",
            [(3,)],
        ),
        ("select count(*) from acct where (per_id, amt) in (('0000000001', 30), ('0000000002', 99))", [(1,)]),
        ("select (select name from per where per_id = a.per_id) from acct a where amt = 10", [("Bea",)]),
        ("select listagg(name, ',') within group (order by name) from per", [("Ada,Bea,Cyr",)]),
        (
            "select a.per_id, b.per_id from per a left join per b on b.per_id = a.per_id and b.name"
            " = 'Ada' where a.per_id < '0000000003' order by 1",
            [("0000000001", "0000000001"), ("0000000002", None)],
        ),
        ("select count(*) from per where 1 = 0", [(0,)]),
        ("select name from per where (per_id > '5' and per_id = '6') or name = 'Ada'", [("Ada",)]),
    ],
)
def test_queries(sql: Sql, query: str, expected: list[tuple[Any, ...]]) -> None:
    """Joins, groups, subqueries, limits and set operations."""
    assert sql.rows(query) == expected


def test_char_is_padded_and_a_bound_text_is_not(sql: Sql) -> None:
    """A literal compares blank-padded with CHAR, a VARCHAR2 bind does not: Oracle's trap is kept."""
    sql.run("insert into per values ('X', 'short')")
    assert sql.rows("select per_id from per where per_id = 'X'") == [("X" + " " * 9,)]
    assert sql.rows("select name from per where per_id = :1", "X") == []
    assert sql.rows("select name from per where per_id = :1", "X" + " " * 9) == [("short",)]


@pytest.mark.parametrize(
    ("statement", "code", "part"),
    [
        ("insert into per (name) values ('x')", 1400, '("CISADM"."PER"."PER_ID")'),
        ("insert into per values ('0000000001', 'x')", 1, "(CISADM.XPK_PER)"),
        ("insert into per values ('00000000011', 'x')", 12899, "(actual: 11, maximum: 10)"),
        ("update acct set amt = 99999999999999", 1438, "precision"),
        ("update per set per_id = null", 1407, '"PER_ID"'),
        ("insert into per values ('1')", 947, "not enough values"),
        ("update acct set amt = 'abc'", 1722, "invalid number"),
        ("select nope from per", 904, '"NOPE"'),
        ("select per_id from per, acct where 1 = 1", 918, "ambiguously"),
        ("select * from nope", 942, "does not exist"),
        ("select name, count(*) from per", 979, "GROUP BY"),
        ("selec 1 from dual", 900, "invalid SQL"),
        ("select 1 from dual dual dual", 933, "properly ended"),
        ("select to_date('2024-13-01', 'YYYY-MM-DD') from dual", 1843, "month"),
        ("select 1/0 from dual", 1476, "zero"),
        ("select (select name from per) from dual", 1427, "more than one row"),
        ("begin dbms_nothing.at_all; end;", 6550, "not simulated"),
    ],
)
def test_faults_carry_oracle_numbers(sql: Sql, statement: str, code: int, part: str) -> None:
    """What goes wrong is named as Oracle names it, and changes nothing."""
    with pytest.raises(OracleFault) as caught:
        list(sql.run(statement).rows)
    assert (caught.value.code, part in caught.value.text) == (code, True), caught.value
    assert sql.rows("select count(*), sum(amt) from acct") == [(6, 210)]


def test_merge_updates_inserts_and_deletes(sql: Sql) -> None:
    """Each joined row takes its branch; a second match of one row is refused."""
    sql.run(
        "merge into acct t using (select '0000000001' id, 5 n from dual union all select"
        " '0000000009', 7 from dual"
        " union all select '0000000002', 0 from dual) s on (t.acct_id = s.id)"
        " when matched then update set amt = s.n delete where amt = 0"
        " when not matched then insert (acct_id, amt) values (s.id, s.n)"
    )
    assert sql.rows("select acct_id, amt from acct where amt < 10 order by 1") == [
        ("0000000001", 5),
        ("0000000009", 7),
    ]
    assert sql.rows("select count(*) from acct") == [(6,)]
    with pytest.raises(OracleFault, match="ORA-30926"):
        sql.run(
            "merge into acct t using (select '0000000003' id from per) s on (t.acct_id = s.id)"
            " when matched then update set amt = 1"
        )


def test_array_dml_reports_each_failing_row(sql: Sql) -> None:
    """With batch errors the good rows stay and every bad one is named; without, those before it stay."""
    rows = [("0000000011", "a"), ("0000000001", "duplicate"), ("0000000012", "b"), ("0000000013", "n" * 21)]
    outcome = sql.many("insert into per values (:1, :2)", rows, batch_errors=True)
    assert outcome.row_counts == [1, 0, 1, 0]
    assert [(fault.row, fault.code) for fault in outcome.batch_faults] == [(1, 1), (3, 12899)]
    with pytest.raises(OracleFault) as caught:
        sql.many("insert into per values (:1, :2)", [("0000000021", "a"), ("0000000001", "duplicate")])
    assert caught.value.row == 1
    assert sql.rows("select count(*) from per where per_id > '0000000010'") == [(3,)]


def test_rights_are_enforced(sql: Sql) -> None:
    """Without a grant a table does not exist; with SELECT only it cannot be written."""
    database = sql.database
    database.run_script("create user GUEST identified by g; grant create session to GUEST")
    guest = Sql(database, "GUEST")
    with pytest.raises(OracleFault, match="ORA-00942"):
        guest.rows("select * from cisadm.per")
    with pytest.raises(OracleFault, match="ORA-00942"):
        guest.rows("select * from v$database")
    with pytest.raises(OracleFault, match="ORA-01031"):
        guest.run("create table mine (a number)")
    sql.run("grant select on per to GUEST")
    assert len(guest.rows("select * from cisadm.per")) == 4
    with pytest.raises(OracleFault, match="ORA-01031"):
        guest.run("delete from cisadm.per")
    assert guest.rows("select table_name from all_tables") == [("PER",)]


def test_columns_are_described_as_declared(sql: Sql) -> None:
    """Names, lengths, precision and nullability reach the client."""
    columns = sql.session.describe(
        "select per_id, name n, amt, ts, count(*) over () from per join acct using (per_id)"
    )
    assert [(c.name, c.type.name, c.chars, c.precision, c.scale) for c in columns] == [
        ("PER_ID", "CHAR", 10, 0, 0),
        ("N", "VARCHAR2", 20, 0, 0),
        ("AMT", "NUMBER", 0, 15, 2),
        ("TS", "TIMESTAMP", 0, 0, 6),
        ("COUNT(*)OVER()", "NUMBER", 0, 0, -127),
    ]


def test_negative_numbers_keep_all_digits(sql: Sql) -> None:
    """A sign in front of a number of many digits does not round it."""
    assert sql.value("to_char(-12345678901234567890.123456789)") == "-12345678901234567890.123456789"
