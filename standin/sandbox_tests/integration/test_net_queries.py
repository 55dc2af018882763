"""Queries through the unmodified oracledb driver, in every dialect of the server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import oracledb
import pytest

from sandbox_tests.integration.net_bench import DIALECTS, Bench, served
from sandbox_tests.unit.fake_oracle import EVERY_TYPE


@pytest.fixture(params=list(DIALECTS.values()), ids=list(DIALECTS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with served(**request.param) as running:
        yield running


@pytest.fixture
def cursor(bench: Bench) -> Iterator[oracledb.Cursor]:
    with bench.connect().cursor() as opened:
        yield opened


def test_every_type_and_null_arrives(cursor: oracledb.Cursor) -> None:
    """Values, the null row and the row behind it come out as they went in."""
    expected = tuple(value for _, value in EVERY_TYPE)
    rows = cursor.execute("select * from types", fetch_decimals=True).fetchall()
    assert rows == [expected, (None,) * len(expected), expected]


def test_a_description_names_types_and_sizes(cursor: oracledb.Cursor) -> None:
    """Names, display size, bytes, precision, scale, nullability."""
    cursor.execute("select * from types")
    described = cursor.description or []
    by_name = {column.name: column for column in described}
    assert by_name["V"][2:4] == (10, 40)
    assert by_name["N"][4:6] == (15, 2)
    assert by_name["A"][4:6] == (0, -127)
    assert by_name["C"].type_code is oracledb.DB_TYPE_CHAR
    assert by_name["TS"].type_code is oracledb.DB_TYPE_TIMESTAMP
    assert by_name["IV"].type_code is oracledb.DB_TYPE_INTERVAL_DS
    assert all(column.null_ok for column in described)


@pytest.mark.parametrize("prefetch", [0, 2, 7, 1000])
@pytest.mark.parametrize("arraysize", [1, 3, 50])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 50, 101])
def test_every_batch_size_gives_every_row_once(prefetch: int, arraysize: int, count: int) -> None:
    """Rows at the edges of batches are neither lost nor given twice."""
    with served() as bench, bench.connect().cursor() as cursor:
        cursor.prefetchrows, cursor.arraysize = prefetch, arraysize
        for _ in range(2):
            rows = cursor.execute(f"select * from numbers_{count}").fetchall()
            assert rows == [(number, f"name {number}") for number in range(1, count + 1)]
            assert cursor.rowcount == count


def test_fetchone_and_fetchmany_may_be_mixed(cursor: oracledb.Cursor) -> None:
    """A cursor keeps its place, and runs again from the start when it was not read to its end."""
    cursor.arraysize = 4
    cursor.execute("select * from numbers_30")
    assert cursor.fetchone() == (1, "name 1")
    assert [row[0] for row in cursor.fetchmany(6)] == [2, 3, 4, 5, 6, 7]
    cursor.execute("select * from numbers_30")
    assert [row[0] for row in cursor] == list(range(1, 31))


def test_binds_of_every_type_come_back(cursor: oracledb.Cursor) -> None:
    """Bytes are neither lost nor changed on their way in and out."""
    values = [
        Decimal("-0.05"),
        "it's ä 😀",
        datetime(2024, 2, 29, 1, 2, 3),  # noqa: DTZ001 (DATE has no zone)
        b"\x00\xff",
        timedelta(days=2, microseconds=5),
        None,
        "x" * 4001,
        7,
    ]
    sql = "select :1, :2, :3, :4, :5, :6, :7, :8 from dual"
    assert cursor.execute(sql, values, fetch_decimals=True).fetchone() == tuple(values)
    values[6:] = ["short", None]
    assert cursor.execute(sql, values, fetch_decimals=True).fetchone() == tuple(values)


def test_timestamps_keep_their_fraction_when_declared(cursor: oracledb.Cursor) -> None:
    """A zone arrives as the same moment."""
    moment = datetime(2024, 2, 29, 1, 2, 3, 456789)  # noqa: DTZ001
    cursor.setinputsizes(oracledb.DB_TYPE_TIMESTAMP, oracledb.DB_TYPE_TIMESTAMP_TZ)
    aware = moment.replace(tzinfo=timezone(timedelta(hours=1)))
    plain, zoned = cursor.execute("select :1, :2 from dual", [moment, aware]).fetchone()
    assert plain == moment
    assert zoned in (moment, aware.astimezone(UTC).replace(tzinfo=None))


def test_numbers_survive_the_round_trip(cursor: oracledb.Cursor) -> None:
    """Money is exact at any magnitude."""
    chosen = random.Random(7)  # noqa: S311 (the same numbers each time)
    numbers = [
        Decimal(chosen.randint(-(10**digits), 10**digits)).scaleb(-chosen.randint(0, 20))
        for digits in range(1, 38)
        for _ in range(8)
    ]
    for number in numbers:
        row = cursor.execute("select :1 from dual", [number], fetch_decimals=True).fetchone()
        assert row == (number,)


def test_repeated_names_and_names_in_literals(cursor: oracledb.Cursor) -> None:
    """A name binds at each place; a colon in a literal, a comment or an identifier is none."""
    sql = "select :a, ':b', :\"c\", :a, q'[:d]' /* :e */ from \"x:f\" -- :g"
    row = cursor.execute(sql, {"a": 1, '"c"': "z"}).fetchone()
    assert row == (1, "z", 1)


def test_strings_beyond_32767_bytes_among_other_binds(cursor: oracledb.Cursor) -> None:
    """Long binds travel behind the others and come back in their place."""
    long, longer = "ä" * 40000, "b" * 70000
    row = cursor.execute(
        "select :1, :2, :3, :4 from dual", [long, 5, longer, "end"], fetch_lobs=False
    ).fetchone()
    assert row == (long, 5, longer, "end")


def test_more_than_255_columns(cursor: oracledb.Cursor) -> None:
    """The number of columns has more than one byte."""
    names = ", ".join(f":{at}" for at in range(1, 301))
    values = list(range(300))
    assert cursor.execute(f"select {names} from dual", values).fetchone() == tuple(values)


def test_errors_carry_code_and_place_and_leave_the_session_usable(cursor: oracledb.Cursor) -> None:
    """The position points into the statement; the next one works."""
    with pytest.raises(oracledb.DatabaseError) as caught:
        cursor.execute("sel !")
    (error,) = caught.value.args
    assert (error.full_code, error.offset) == ("ORA-00900", 5)
    assert cursor.execute("select 1 a, 'x' b from dual").fetchall() == [(1, "x")]


def test_a_slip_of_the_engine_is_an_error_of_its_own(cursor: oracledb.Cursor) -> None:
    """Not a dead connection."""
    with pytest.raises(
        oracledb.DatabaseError, match=r"ORA-20999: fault of the stand-in.*a slip of the engine"
    ):
        cursor.execute("begin crash; end;")
    assert cursor.execute("select 1 a, 'x' b from dual").fetchall() == [(1, "x")]


def test_parse_only_describes_and_runs_nothing(bench: Bench) -> None:
    """The columns are known before the first execution."""
    with bench.connect().cursor() as cursor:
        cursor.parse("select * from numbers_3")
        assert [column.name for column in cursor.description or []] == ["ID", "NAME"]
        cursor.execute("select * from numbers_3")
        assert len(cursor.fetchall()) == 3


def test_many_statements_leave_few_cursors_open(bench: Bench) -> None:
    """Cursors that fall out of the client's cache are closed on the server."""
    connection = bench.connect(stmtcachesize=3)
    with connection.cursor() as cursor:
        for number in range(400):
            cursor.execute(f"select * from numbers_{number % 5} -- {number}").fetchall()
    connection.ping()


def test_data_frames(bench: Bench) -> None:
    """Arrow fetches use the same rows."""
    connection = bench.connect()
    frame = connection.fetch_df_all("select * from numbers_1000", arraysize=300)
    assert frame.num_rows() == 1000
    assert sum(batch.num_rows() for batch in connection.fetch_df_batches("select * from numbers_25")) == 25
