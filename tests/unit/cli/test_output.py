"""Results on standard output."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from cdc.cli.output import show

ROWS = [
    {"state": "posted", "amount": Decimal("1500.10"), "oldest_s": 12.345, "held": None, "more": 1},
    {"state": "é", "amount": Decimal("2"), "oldest_s": 0.0, "held": True, "more": 2},
]


def test_a_table_is_aligned_and_ends_lines_without_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns in the order asked for, one line a row, a dash where there is nothing."""
    show(ROWS, ("state", "amount", "oldest_s", "held"), form="table")
    assert capsys.readouterr().out == (
        "state   amount   oldest_s  held\n"
        "posted  1500.10  12.3      -\n"
        "é       2        0.0       yes\n"
    )  # fmt: skip


def test_json_is_one_object_a_line_with_exact_amounts(capsys: pytest.CaptureFixture[str]) -> None:
    """A script gets every key, and money as it is."""
    show(ROWS, ("state",), form="json")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["amount"] for line in lines] == ["1500.10", "2"]
    assert [json.loads(line)["more"] for line in lines] == [1, 2]
