"""Types of the stand-in beyond the common ones: intervals, ANSI names, bytes, what LogMiner refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.oracle.interface import OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database


@pytest.fixture
def sql() -> Iterator[Sql]:
    session = Sql(a_database())
    yield session
    session.session.close()


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("dec(7,2)", "NUMBER(7,2)"),
        ("decimal(7)", "NUMBER(7,0)"),
        ("numeric(7, -2)", "NUMBER(7,-2)"),
        ("smallint", "NUMBER(38,0)"),
        ("real", "FLOAT(63)"),
        ("double precision", "FLOAT(126)"),
        ("float", "FLOAT(126)"),
        ("float(20)", "FLOAT(20)"),
        ("character(7)", "CHAR(7 CHAR)"),
        ("character varying(7)", "VARCHAR2(7 CHAR)"),
        ("char varying (7)", "VARCHAR2(7 CHAR)"),
        ("varchar(7)", "VARCHAR2(7 CHAR)"),
        ("national character(7)", "CHAR(7 CHAR)"),
        ("national char varying(7)", "VARCHAR2(7 CHAR)"),
        ("nchar varying(7)", "VARCHAR2(7 CHAR)"),
        ("long raw", "LONG RAW"),
        ("long varchar", "LONG"),
        ("timestamp(3) with local time zone", "TIMESTAMP (3) WITH LOCAL TIME ZONE"),
        ("timestamp with time zone", "TIMESTAMP (6) WITH TIME ZONE"),
        ("interval year to month", "INTERVAL YEAR (2) TO MONTH"),
        ("interval year(4) to month", "INTERVAL YEAR (4) TO MONTH"),
        ("interval day to second", "INTERVAL DAY (2) TO SECOND (6)"),
        ("interval day(3) to second(0)", "INTERVAL DAY (3) TO SECOND (0)"),
        ("interval day to second(9)", "INTERVAL DAY (2) TO SECOND (9)"),
        ("xmltype", "XMLTYPE"),
        ("sys.xmltype", "XMLTYPE"),
        ("json", "JSON"),
    ],
)
def test_types_are_told_as_oracle_tells_them(sql: Sql, written: str, named: str) -> None:
    """By DBMS_METADATA, of which both readers and Debezium's parser think the same."""
    sql.run(f"create table t (c {written})")
    (ddl,) = sql.rows("select dbms_metadata.get_ddl('TABLE', 'T') from dual")[0]
    assert f'"C" {named}\n' in ddl


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("numbr", 902),
        ("date(3)", 907),
        ("number(39)", 1727),
        ("number(5,200)", 1728),
        ("varchar2", 906),
        ("varchar2(0)", 1723),
        ("char(2001)", 910),
        ("float(127)", 1724),
        ("timestamp(10)", 30088),
        ("interval year(10) to month", 30088),
        ("interval day", 905),
        ("interval month to year", 905),
        ("number(1.5)", 2017),
    ],
)
def test_types_there_are_not_are_refused(sql: Sql, written: str, code: int) -> None:
    """None is taken for another one."""
    with pytest.raises(OracleFault, match=f"ORA-{code:05d}"):
        sql.run(f"create table t (c {written})")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("interval '1-2' year to month", "+000000001-02"),
        ("interval '-5' month", "-000000000-05"),
        ("interval '30' month", "+000000002-06"),
        ("interval '1 02:03:04.5' day to second", "+000000001 02:03:04.500000000"),
        ("interval '-0 00:00:00.000000001' day to second", "-000000000 00:00:00.000000001"),
        ("interval '90' minute", "+000000000 01:30:00.000000000"),
        ("interval '10:20' minute to second", "+000000000 00:10:20.000000000"),
        ("to_dsinterval('-3 04:05:06')", "-000000003 04:05:06.000000000"),
        ("to_dsinterval('P1DT2H3M4.5S')", "+000000001 02:03:04.500000000"),
        ("to_yminterval('-10-11')", "-000000010-11"),
        ("to_yminterval('P1Y2M')", "+000000001-02"),
        ("numtodsinterval(1.5, 'day')", "+000000001 12:00:00.000000000"),
        ("numtoyminterval(14, 'month')", "+000000001-02"),
        ("interval '1' day * 1.5 + interval '1' second", "+000000001 12:00:01.000000000"),
        ("- (interval '3' month / 2 - interval '1' year)", "+000000000-10"),
        ("cast('+1 00:00:00.123456' as interval day to second(3))", "+01 00:00:00.123"),
        ("date '2024-01-31' + interval '1' day", "2024-02-01 00:00:00"),
        ("date '2024-01-15' + interval '1-1' year to month", "2025-02-15 00:00:00"),
        ("extract(second from timestamp '2024-01-01 00:00:01.25')", "1.25"),
        ("extract(hour from interval '1 02:03:04' day to second)", "2"),
        ("extract(month from interval '-1-2' year to month)", "-2"),
    ],
)
def test_interval_arithmetic(sql: Sql, expression: str, expected: str) -> None:
    """Written as TO_CHAR writes them."""
    assert sql.rows(f"select to_char({expression}) from dual") == [(expected,)]


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("interval '1:2' day to second", 1867),
        ("interval '1' fortnight", 30089),
        ("interval '0 25:00:00' day to second", 1850),
        ("to_yminterval('1-12')", 1843),
        ("to_dsinterval('yesterday')", 1867),
        ("date '2024-01-31' + interval '1' month", 1839),
        ("interval '1' month + interval '1' day", 932),
        ("extract(year from interval '1' day)", 30076),
        ("extract(hour from date '2024-01-01')", 30076),
        ("numtodsinterval(1, 'week')", 1760),
    ],
)
def test_intervals_there_are_not(sql: Sql, expression: str, code: int) -> None:
    """Each with Oracle's number."""
    with pytest.raises(OracleFault, match=f"ORA-{code:05d}"):
        sql.rows(f"select {expression} from dual")


def test_columns_round_and_bound_intervals(sql: Sql) -> None:
    """The fraction is rounded, the leading field has its digits."""
    sql.run("create table t (p interval day(1) to second(2), q interval year to month)")
    sql.run("insert into t values (interval '-9 23:59:59.994' day to second, to_yminterval('99-11'))")
    assert sql.rows("select to_char(p), to_char(q) from t") == [("-9 23:59:59.99", "+99-11")]
    for values in (
        "interval '10' day, null",
        "interval '9 23:59:59.996' day to second, null",
        "null, interval '100' year",
    ):
        with pytest.raises(OracleFault, match="ORA-01873"):
            sql.run(f"insert into t values ({values})")
    assert sql.rows("select count(*) from t where p < interval '0' day and q > interval '1' month") == [(1,)]


def test_a_float_keeps_the_digits_of_its_bits(sql: Sql) -> None:
    """REAL: 19 digits; FLOAT(20): 7; a BINARY_FLOAT column takes a BINARY_DOUBLE."""
    sql.run("create table t (r real, f float(20), b binary_float, d binary_double)")
    sql.run("insert into t values (1/3, 123456789, 0.25, 0.25)")
    sql.run("insert into t select r, f, d, b from t")
    assert {row[2:] for row in sql.rows("select r, f, b, d from t")} == {(0.25, 0.25)}
    assert sql.rows("select to_char(r), to_char(f) from t where rownum = 1") == [
        (".3333333333333333333", "123456800")
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rawtohex(hextoraw('00ff'))", "00FF"),
        ("rawtohex('7D')", "3744"),
        ("rawtohex(utl_raw.cast_to_raw('é'))", "C3A9"),
        ("utl_raw.cast_to_varchar2(hextoraw('C3A9'))", "é"),
        ("rawtohex(utl_raw.concat('00', null, 'FF'))", "00FF"),
        ("rawtohex(utl_raw.substr('00112233', 2, 2))", "1122"),
        ("rawtohex(utl_raw.substr('00112233', -1))", "33"),
        ("rawtohex(utl_raw.reverse('001122'))", "221100"),
        ("rawtohex(utl_raw.bit_and('FF0F', '0F'))", "0F0F"),
        ("rawtohex(utl_raw.bit_xor('FF', '0F'))", "F0"),
        ("rawtohex(utl_raw.bit_complement('0F'))", "F0"),
        ("rawtohex(utl_raw.copies('0F', 3))", "0F0F0F"),
        ("to_char(utl_raw.length('0F00'))", "2"),
        ("to_char(utl_raw.compare('0F00', '0F'))", "0"),
        ("to_char(utl_raw.compare('0F01', '0F'))", "2"),
        ("rawtohex(utl_raw.cast_from_number(-12.5))", "3E59336600"[:8]),
        ("to_char(utl_raw.cast_to_number('C102'))", "1"),
        ("to_char(utl_raw.cast_to_binary_integer('FFFFFFFE'))", "-2"),
        ("rawtohex(utl_raw.convert('C3A9', 'WE8ISO8859P1', 'AL32UTF8'))", "E9"),
        ("rawtohex(convert('é', 'WE8ISO8859P1'))", "E9"),
        ("rawtohex(convert('é', 'US7ASCII'))", "3F"),
        ("dump('ab')", "Typ=96 Len=2: 97,98"),
        ("dump(12, 16)", "Typ=2 Len=2: c1,d"),
        ("to_char(vsize(100))", "2"),
    ],
)
def test_functions_of_bytes(sql: Sql, expression: str, expected: str) -> None:
    """RAW in, RAW out; text is taken as hexadecimal digits where a RAW is wanted."""
    assert sql.rows(f"select {expression} from dual") == [(expected,)]


def test_bytes_that_are_no_text_are_kept_and_logged(sql: Sql) -> None:
    """As an application with a wrong character set leaves them."""
    sql.run("create table t (id number primary key, name varchar2(20))")
    sql.run("insert into t values (1, 'caf' || utl_raw.cast_to_varchar2(hextoraw('E9')))")
    sql.session.commit()
    found = sql.run("select name from t").rows
    assert list(found) == [(b"caf\xe9",)]
    assert sql.rows("select rawtohex(name) from t where id = 1") == [("636166E9",)]


def test_json_is_checked(sql: Sql) -> None:
    """ORA-40441; what is stored is text."""
    sql.run("create table t (j json, x xmltype)")
    sql.run("insert into t values ('{\"a\": 1}', xmltype('<a/>'))")
    assert sql.rows("select j, x from t") == [('{"a": 1}', "<a/>")]
    with pytest.raises(OracleFault, match="ORA-40441"):
        sql.run("insert into t (j) values ('{')")


@pytest.mark.parametrize("kind", ["json", "xmltype", "vector", "boolean", "urowid"])
def test_logminer_shows_nothing_of_tables_with_some_types(sql: Sql, kind: str) -> None:
    """Code 255 and no text, for every row of the table; other tables and its DDL are as ever."""
    reader = Sql(sql.database, "CCBRIDGE")
    sql.run(f"create table t (id number primary key, c {kind})")
    sql.run("create table u (id number primary key)")
    sql.run("insert into t (id) values (1)")
    sql.run("update t set id = 2")
    sql.run("insert into u values (7)")
    sql.run("delete from t")
    sql.session.commit()
    member, first = reader.rows(
        "select f.member, l.first_change# from v$logfile f, v$log l "
        "where l.group# = f.group# and l.status = 'CURRENT'"
    )[0]
    reader.run(f"begin dbms_logmnr.add_logfile('{member}', dbms_logmnr.new); end;")
    reader.run(f"begin dbms_logmnr.start_logmnr(startscn => {first}, options => 16); end;")
    shown = reader.rows(
        "select table_name, operation_code, operation, sql_redo, csf from v$logmnr_contents "
        "where operation_code in (1, 2, 3, 255) and seg_owner = 'CISADM'"
    )
    assert [row[:4] for row in shown] == [
        ("T", 255, "UNSUPPORTED", None),
        ("T", 255, "UNSUPPORTED", None),
        ("U", 1, "INSERT", shown[2][3]),
        ("T", 255, "UNSUPPORTED", None),
    ]
    assert "values ('7')" in str(shown[2][3])


def test_interval_texts_of_the_redo(sql: Sql) -> None:
    """As many digits as the columns have."""
    reader = Sql(sql.database, "CCBRIDGE")
    sql.run("create table t (id number primary key, p interval day to second, q interval year to month)")
    sql.run("insert into t values (1, interval '1 02:03:04.5' day to second, interval '5' year)")
    sql.session.commit()
    member, first = reader.rows(
        "select f.member, l.first_change# from v$logfile f, v$log l "
        "where l.group# = f.group# and l.status = 'CURRENT'"
    )[0]
    reader.run(f"begin dbms_logmnr.add_logfile('{member}', dbms_logmnr.new); end;")
    reader.run(f"begin dbms_logmnr.start_logmnr(startscn => {first}, options => 16); end;")
    ((text,),) = reader.rows("select sql_redo from v$logmnr_contents where operation_code = 1")
    assert "TO_DSINTERVAL('+01 02:03:04.500000'),TO_YMINTERVAL('+05-00')" in text


@pytest.mark.parametrize(
    ("number", "model", "text"),
    [
        ("0.5", "TM9", ".5"),
        ("-0.25", "TM9", "-.25"),
        ("120", "TM9", "120"),
        ("1e63", "TM9", "1" + "0" * 63),
        ("1e64", "TM9", "1E+64"),
        ("-1.5e-70", "TM9", "-1.5E-70"),
        ("1234.5", "TME", "1.2345E+03"),
        ("1e125", "TME", "1E+125"),
        ("12345678901234567890123456789012345678", "TM9", "12345678901234567890123456789012345678"),
    ],
)
def test_text_minimum_of_a_number(sql: Sql, number: str, model: str, text: str) -> None:
    """Fixed up to 64 characters, without a zero before the point."""
    assert sql.value(f"to_char({number}, '{model}', 'NLS_NUMERIC_CHARACTERS=''.,''')") == text


def test_concatenation_has_a_limit(sql: Sql) -> None:
    """4,000 bytes, not characters; a CLOB has none."""
    assert sql.value("lengthb(rpad('x', 2000, 'x') || rpad('x', 2000, 'x'))") == 4000
    with pytest.raises(OracleFault) as raised:
        sql.value("rpad('é', 1500, 'é') || rpad('é', 501, 'é')")
    assert raised.value.code == 1489
    assert sql.value("length(to_clob(rpad('x', 4000, 'x')) || 'y')") == 4001


def test_standard_hash_takes_no_lob(sql: Sql) -> None:
    """Neither CLOB nor BLOB; text and RAW are hashed as their bytes."""
    assert sql.value("rawtohex(standard_hash('abc', 'MD5'))") == "900150983CD24FB0D6963F7D28E17F72"
    for large in ("to_clob('abc')", "to_blob(hextoraw('00'))"):
        with pytest.raises(OracleFault) as raised:
            sql.value(f"standard_hash({large}, 'MD5')")
        assert raised.value.code == 932


def test_moment_in_utc_and_text_by_code_units(sql: Sql) -> None:
    """SYS_EXTRACT_UTC keeps nanoseconds; UNISTR takes surrogates for one character."""
    moment = "to_timestamp_tz('2024-02-29 23:30:00.000000001 -05:30', 'YYYY-MM-DD HH24:MI:SS.FF TZH:TZM')"
    assert (
        sql.value(f"to_char(sys_extract_utc({moment}), 'YYYY-MM-DD HH24:MI:SS.FF9')")
        == "2024-03-01 05:00:00.000000001"
    )
    assert sql.value(r"unistr('\D83D\DE00 a\\b \00e9')") == "\U0001f600 a\\b é"
