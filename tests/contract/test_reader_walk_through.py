"""`docs/add-a-reader.md` is true: its code, taken out of the page, passes the contract suite."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cdc.changes import TableName
from cdc.errors import OperatorError
from cdc.kinds import KINDS, SystemKind, resolve
from cdc.ports import ChangeReader, ReaderOpening
from sandbox.postgres import PostgresServer
from tests.contract.reader_suite import ReaderSuite, TypeCase
from tests.support.pages import code_of, importable

PAGE = Path(__file__).parents[2] / "docs" / "add-a-reader.md"
NAMES = ("account", "recharge", "typed")
SCHEMA = """
create table account (id bigint primary key, name text not null, amount numeric(15,2), note text);
create table recharge (like account including all);
create table typed (id bigint primary key, n numeric, t text, nothing text, d date);
create table captured (number bigserial, transaction xid8 default pg_current_xact_id(), what jsonb);
create function texts(given jsonb) returns jsonb language sql as
    $$ select jsonb_object_agg(key, value) from jsonb_each_text(given) $$;
create function capture() returns trigger language plpgsql as $$ begin
    insert into captured (what) values (jsonb_build_object('table', 'shop.' || tg_table_name,
        'op', case tg_op when 'INSERT' then 'c' when 'UPDATE' then 'u' else 'd' end) ||
        case when tg_op = 'INSERT' then '{}' else jsonb_build_object('before', texts(to_jsonb(old))) end ||
        case when tg_op = 'DELETE' then '{}' else jsonb_build_object('after', texts(to_jsonb(new))) end);
    return null; end $$;
"""


class Session:
    """A session of the application: what it commits it appends to the file."""

    def __init__(self, source: FeedSource, connection: psycopg.Connection[Any], *, ours: bool) -> None:
        self._source, self._connection, self._ours = source, connection, ours

    def execute(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    def commit(self) -> None:
        with self._source.lock:
            rows = self._connection.execute(
                "select what from captured where transaction = pg_current_xact_id() order by number"
            ).fetchall()
            self._connection.commit()
            self._source.append([what for (what,) in rows], ours=self._ours)

    def rollback(self) -> None:
        self._connection.rollback()


class FeedSource:
    """An application on PostgreSQL that writes a file of changes."""

    type_cases = (
        TypeCase("n", "12345678901234567890.50", "12345678901234567890.50"),
        TypeCase("t", "E'a\\tb\"c\\n é'", 'a\tb"c\n é'),
        TypeCase("nothing", "null", None),
        TypeCase("d", "'2024-02-29'", "2024-02-29"),
    )

    def __init__(self, database: str, directory: Path, module: Any) -> None:
        self._database, self.directory, self._module = database, directory, module
        self.lock = threading.Lock()
        self.file = directory / "changes.jsonl"
        self.file.touch()
        account = {"id": "number", "name": "text", "amount": "number", "note": "text"}
        typed = {"id": "number", "n": "number", "t": "text", "nothing": "text", "d": "date"}
        columns = {"account": account, "recharge": account, "typed": typed}
        tables = {f"shop.{name}": {"key": ["id"], "columns": kinds} for name, kinds in columns.items()}
        (directory / "tables.json").write_text(json.dumps({"feed": "9b1f", "tables": tables}))

    def append(self, changes: list[Any], *, ours: bool = False) -> None:
        line = json.dumps({"at": datetime.now(UTC).isoformat(), "ours": ours, "changes": changes})
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def spelled(self, name: str) -> str:
        return name

    def reader(self) -> ChangeReader:
        tables = [TableName("shop", name) for name in NAMES]
        section = self._module["section"].FeedSystem(kind="feed", directory=self.directory)
        made: ChangeReader = self._module["reader"].open_reader(ReaderOpening("shop", section, tables, {}))
        return made

    @contextmanager
    def session(self, *, ours: bool = False) -> Iterator[Session]:
        with psycopg.connect(self._database) as connection:
            yield Session(self, connection, ours=ours)

    def rows(self, table: str) -> Mapping[str, Mapping[str, str | None]]:
        with psycopg.connect(self._database) as connection:
            found = connection.execute(f"select texts(to_jsonb(r)) from {table} r").fetchall()
        return {row["id"]: row for (row,) in found}

    def cut(self) -> None:
        """The mount went and came back."""
        with self.lock:
            copy = self.file.with_suffix(".copy")
            copy.write_bytes(self.file.read_bytes())
            os.replace(copy, self.file)

    def move_log(self) -> None:
        with self.lock:
            self.append([])


@pytest.fixture(scope="module")
def package() -> Iterator[dict[str, Any]]:
    with importable(PAGE, "cdc.readers.feed", ("section", "frames", "reader")) as modules:
        yield modules


@pytest.fixture(scope="module")
def application(postgres: PostgresServer) -> str:
    database = postgres.create_database("feed")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SCHEMA)
        for name in NAMES:
            connection.execute(
                f"create trigger capture after insert or update or delete on {name} "
                "for each row execute function capture()"
            )
    return database


@pytest.fixture
def source(application: str, package: dict[str, Any], tmp_path: Path) -> FeedSource:
    with psycopg.connect(application, autocommit=True) as connection:
        connection.execute(f"truncate captured, {', '.join(NAMES)}")
    return FeedSource(application, tmp_path, package)


class TestFeed(ReaderSuite):
    """The reader of the page passes the contract."""


def test_a_line_that_is_half_written_is_waited_for(source: FeedSource) -> None:
    """The application writes while it is read; what cannot be understood stops the flow with its place."""
    line = '{"at": "2024-02-29T10:11:12+00:00", "ours": false, "changes": []}'
    source.file.write_text(line[:20])
    asked = iter([False, False, True])
    reader = source.reader()
    assert list(reader.read({"offset": 0}, max_changes=9, stop=lambda: next(asked))) == []
    assert reader.source_lag() == {"lag_bytes": 20}
    source.file.write_text(line + "\n" + '{"ours": true}\n')
    with pytest.raises(OperatorError, match="KeyError in the line before byte"):
        list(reader.read({"offset": 0}, max_changes=9, stop=lambda: False))


def test_what_is_missing_is_found_before_reading(source: FeedSource) -> None:
    """A table that the feed has not, a file that is shorter than what was read, and one that is away."""
    reader = source.reader()
    assert [finding.found for finding in reader.missing_log({"offset": 10})] == ["shorter than what was read"]
    definition = json.loads((source.directory / "tables.json").read_text())
    del definition["tables"]["shop.typed"]
    (source.directory / "tables.json").write_text(json.dumps(definition))
    assert [finding.subject for finding in reader.preflight()] == ["table shop.typed"]
    source.file.unlink()
    assert [finding.found for finding in reader.preflight()] == ["cannot be read"]


def test_the_entry_of_the_page_opens_the_reader(package: dict[str, Any]) -> None:
    """What stands in the table is what is looked up."""
    entry = eval("{" + code_of(PAGE)["cdc/kinds.py"] + "}", {"SystemKind": SystemKind})  # noqa: S307 - our own page
    kind = entry["feed"]
    assert resolve(kind.readers["feed"]) is package["reader"].open_reader
    assert resolve(kind.section) is package["section"].FeedSystem
    assert "feed" not in KINDS
