"""`docs/add-a-sink.md` is true: its code, taken out of the page, passes the contract suite."""

from __future__ import annotations

import re
import sqlite3
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cdc import kinds
from cdc.kinds import SystemKind, resolve
from cdc.ports import Desired, Sink, SinkKind
from tests.contract.sink_suite import *  # noqa: F403 - the suite
from tests.contract.test_sink_contract import RECHARGES, desired

PAGE = Path(__file__).parents[2] / "docs" / "add-a-sink.md"
BLOCK = re.compile(r"^```python\n# (\S+?)(?:, [^\n]*)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class SqliteTarget:
    """A file with one table, written by the sink of the page."""

    path: Path
    sink: Any
    rejected: str | None = "not a number"
    forgets: bool = True
    token: int = 0

    def open(self) -> Sink:
        self.token += 1
        made: Sink = self.sink("books", self.path, fencing_token=self.token)
        return made

    def desired_rows(self, rows: Mapping[str | None, str | None], *, staged_seq: int) -> Desired:
        return desired(RECHARGES, rows, "amount", staged_seq)

    def held(self) -> dict[str, Decimal]:
        with sqlite3.connect(self.path) as connection:
            rows = connection.execute("select recharge_id, amount from recharge").fetchall()
        connection.close()
        return {key: Decimal(amount) for key, amount in rows}


@pytest.fixture(scope="module")
def package() -> Iterator[dict[str, str]]:
    """The page's modules, importable under their names until the tests are over."""
    code = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    made = ["sinks.sqlite"]
    sys.modules["sinks.sqlite"] = types.ModuleType("sinks.sqlite")
    for name in ("section", "sink", "kind"):
        module = types.ModuleType(f"sinks.sqlite.{name}")
        sys.modules[module.__name__] = module
        made.append(module.__name__)
        path = f"sinks/sqlite/{name}.py"
        exec(compile(code[path], path, "exec"), module.__dict__)  # noqa: S102 - our own page
    yield code
    for name in made:
        del sys.modules[name]


@pytest.fixture
def target(package: dict[str, str], tmp_path: Path) -> SqliteTarget:
    path = tmp_path / "books.db"
    connection = sqlite3.connect(path)
    connection.execute(
        "create table recharge (recharge_id text primary key not null, "
        "amount text not null check (amount glob '[0-9]*'))"
    )
    connection.close()
    return SqliteTarget(path, sys.modules["sinks.sqlite.sink"].SqliteSink)


def test_the_entry_of_the_page_opens_the_sink(package: dict[str, str]) -> None:
    """What stands in the table is what is looked up."""
    entry = eval("{" + package["cdc/kinds.py"] + "}", {"SystemKind": SystemKind})  # noqa: S307 - our own page
    kind = entry["sqlite"]
    assert isinstance(resolve(kind.sinks["sqlite"]), SinkKind)
    assert resolve(kind.section).model_fields["kind"].annotation.__args__ == ("sqlite",)
    assert "sqlite" not in kinds.KINDS
