"""What the product sends to Oracle while it checks, snapshots, streams and re-selects is in its list."""

from __future__ import annotations

import re
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import oracledb
import pytest

import cdc
from cdc.changes import TableName
from cdc.flows.checks.statements import statements
from cdc.ports import ColumnsRead
from cdc.readers.logminer import LogMinerReader
from cdc.readers.logminer.checks.grants import table_grants
from tests.contract.logminer_source import OracleSource, system_session

ROOT = Path(cdc.__file__).parents[1]
ROOMS = tuple(
    str(ROOT / room) for room in ("cdc/oracle", "cdc/readers/logminer", "cdc/readers/debezium", "sinks")
)
PATIENCE_S = 30.0

_OURS = r"\(seg_owner = '\?' and table_name in \(\.\.\)\)"
_SHAPES = (
    (r"\s+", " "),
    (r'"[^"]+"(\."[^"]+")?', "name"),
    (r"'[^']*'", "'?'"),
    (r":\w+", ":b"),
    (r"\b(to_number|to_date|to_timestamp|to_timestamp_tz|hextoraw)\(:b(, '\?')?\)", ":b"),
    (r"\((:b|'\?')(, (:b|'\?'))*\)", "(..)"),
    (r"\(\(\.\.\)(, \(\.\.\))*\)", "(..)"),
    (r"select (?:(?! from ).)* from name", "select .. from name"),
    (r"where (name|\((name(, )?)+\)) in", "where name in"),
    (rf"({_OURS})( or {_OURS})*", "ours"),
    (r"(select \.\. from name(?: as of scn :b)? where name in \(\.\.\))( union all \1)+", r"\1"),
)


def shape(text: str) -> str:
    """A statement without what differs from table to table and call to call."""
    text = text.strip()
    for found, instead in _SHAPES:
        text = re.sub(found, instead, text, flags=re.IGNORECASE)
    return text.lower()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Statements that modules of the product execute, by module."""
    found: dict[str, str] = {}

    def recorded(name: str) -> None:
        original = getattr(oracledb.Cursor, name)

        def call(cursor: oracledb.Cursor, statement: str, *rest: Any, **named: Any) -> Any:
            file = sys._getframe(1).f_code.co_filename
            if file.startswith(ROOMS):
                found[statement] = file.removeprefix(str(ROOT))
            return original(cursor, statement, *rest, **named)

        monkeypatch.setattr(oracledb.Cursor, name, call)

    recorded("execute")
    recorded("executemany")
    return found


def test_everything_that_a_reader_sends_is_in_the_list(oracle: str, sent: dict[str, str]) -> None:
    """Preflight, description, snapshot, stream with DDL, a re-selected LOB: no statement is missing."""
    source = OracleSource(oracle)
    name = TableName(source.owner, "DOCUMENT")
    with system_session(oracle) as cursor:
        cursor.execute(f"create table {name} (id number(10) primary key, d date, body clob)")
        cursor.execute(f"alter table {name} add supplemental log data (all) columns")
        for grant in table_grants([name], source.settings.user):
            cursor.execute(grant.removesuffix(";"))
        cursor.execute(f"insert into {name} values (1, sysdate, 'one')")
    columns = frozenset(("ID", "D", "BODY"))
    read = {name: ColumnsRead(columns, frozenset())}
    settings = source.settings.model_copy(update={"apply_log": f"{source.owner}.APPLY"})
    deadline = time.monotonic() + PATIENCE_S
    with closing(LogMinerReader("ccb", settings, [name], read)) as reader:
        reader.preflight()
        tables = reader.describe()
        reader.estimates()
        reader.identity()
        batches = list(reader.snapshot(max_rows=100, stop=lambda: False))
        with source.session() as session:
            session.execute(f"insert into {name} values (2, sysdate, 'two')")
            session.execute(f"update {name} set body = 'changed' where id = 1")
            session.commit()
            session.execute(f"alter table {name} add (more varchar2(10))")
        seen: list[int] = []
        for batch in reader.read(
            batches[-1].resume, max_changes=100, stop=lambda: sum(seen) > 1 or time.monotonic() > deadline
        ):
            seen.append(batch.rows)
        reader.source_lag()
        reader.missing_log(batches[-1].resume)
    assert sum(seen) > 1
    known = {shape(one.text) for one in statements(settings, tables)}
    missing = {shape(text): file for text, file in sent.items() if shape(text) not in known}
    assert len(sent) > 30
    assert shape("select banner from v$version") not in known
    assert missing == {}
