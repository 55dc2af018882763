"""Clients of another family read from the same server.

The pure Python `oracle-driver` follows the Go driver, not python-oracledb: other capabilities, the
scale as a variable length integer, the end of a login by message 4. It only reads: it has no binds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import oracledb
import pyora
import pytest

from sandbox_tests.integration.net_bench import DIALECTS, Bench, served
from sandbox_tests.unit.fake_oracle import EVERY_TYPE, PLAIN


@pytest.fixture
def bench() -> Iterator[Bench]:
    with served() as running:
        yield running


@pytest.fixture
def foreign(bench: Bench) -> Iterator[Any]:
    connection = pyora.connect(f"oracle://scott:tiger@127.0.0.1:{bench.server.port}/FAKE")
    yield connection
    connection.close()


def test_another_client_reads_every_plain_type(foreign: Any) -> None:
    """Types, NULLs and batches arrive the same."""
    cursor = foreign.cursor()
    cursor.execute("select * from plain_120")
    rows = cursor.fetchall()
    expected = [value for column, value in EVERY_TYPE if column.name in PLAIN]
    assert len(rows) == 240
    assert [str(value).upper() for value in rows[0]] == [str(value).upper() for value in expected]
    assert set(rows[1]) == {None}


def test_another_client_reads_many_rows(foreign: Any) -> None:
    """Over many fetch calls."""
    cursor = foreign.cursor()
    cursor.execute("select * from numbers_3000")
    assert [row[0] for row in cursor.fetchall()] == list(range(1, 3001))


def test_another_client_sees_errors(bench: Bench, foreign: Any) -> None:
    """And a refused password."""
    cursor = foreign.cursor()
    with pytest.raises(Exception, match="ORA-00900"):
        cursor.execute("select nothing known")
    with pytest.raises(Exception, match="ORA-01017"):
        pyora.connect(f"oracle://scott:wrong@127.0.0.1:{bench.server.port}/FAKE")


@pytest.mark.parametrize("dialect", list(DIALECTS.values()), ids=list(DIALECTS))
def test_the_asynchronous_client(dialect: dict[str, Any]) -> None:
    """asyncio, and a pipeline of statements where the dialect allows one."""

    async def work(dsn: str) -> tuple[int, list[Any]]:
        connection = await oracledb.connect_async(user="scott", password="tiger", dsn=dsn)
        async with connection:
            with connection.cursor() as cursor:
                await cursor.execute("select * from numbers_500")
                rows = await cursor.fetchall()
            pipeline = oracledb.create_pipeline()
            pipeline.add_execute("insert into t values (:1, :2)", [1, "a"])
            pipeline.add_fetchall("select * from numbers_3")
            pipeline.add_commit()
            pipeline.add_fetchone("select count(*) from t")
            results = await connection.run_pipeline(pipeline)
        return len(rows), [result.rows for result in results]

    with served(**dialect) as bench:
        count, results = asyncio.run(work(bench.dsn))
    assert count == 500
    assert len(results[1]) == 3
    assert results[3] == [(1,)]
