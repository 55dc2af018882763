"""`docs/add-a-sink.md` is true: its code, taken out of the page, passes the contract suite."""

from __future__ import annotations

import sqlite3
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
from tests.support.pages import code_of, importable

PAGE = Path(__file__).parents[2] / "docs" / "add-a-sink.md"


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
def package() -> Iterator[dict[str, Any]]:
    with importable(PAGE, "sinks.sqlite", ("section", "sink", "kind")) as modules:
        yield modules


@pytest.fixture
def target(package: dict[str, Any], tmp_path: Path) -> SqliteTarget:
    path = tmp_path / "books.db"
    connection = sqlite3.connect(path)
    connection.execute(
        "create table recharge (recharge_id text primary key not null, "
        "amount text not null check (amount glob '[0-9]*'))"
    )
    connection.close()
    return SqliteTarget(path, package["sink"].SqliteSink)


def test_the_entry_of_the_page_opens_the_sink(package: dict[str, Any]) -> None:
    """What stands in the table is what is looked up."""
    assert package
    entry = eval("{" + code_of(PAGE)["cdc/kinds.py"] + "}", {"SystemKind": SystemKind})  # noqa: S307 - our own page
    kind = entry["sqlite"]
    assert isinstance(resolve(kind.sinks["sqlite"]), SinkKind)
    assert resolve(kind.section).model_fields["kind"].annotation.__args__ == ("sqlite",)
    assert "sqlite" not in kinds.KINDS
