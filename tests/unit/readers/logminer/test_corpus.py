"""Recorded SQL_REDO texts and internal bytes; see tests/data/README_logminer.md for their sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError
from cdc.readers.logminer.redo_sql.statements import read_set_clause, read_statement
from tests.redo_corpus import wrong

DATA = Path(__file__).parents[3] / "data"


def cases(name: str) -> list[Any]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [pytest.param(case, id=case["id"]) for case in map(json.loads, lines)]


@pytest.mark.parametrize("case", cases("logminer_redo.jsonl"))
def test_redo_text_means_what_was_recorded(case: dict[str, Any]) -> None:
    """Each recorded text is read with the values it means, or refused where it must be."""
    assert wrong(case) == []


@pytest.mark.parametrize("case", cases("logminer_hex_values.jsonl"))
def test_internal_bytes_decode(case: dict[str, Any]) -> None:
    """Values of undecoded rows come out of Oracle's internal bytes exactly."""
    assert wrong(case) == []


def test_what_an_update_sets_is_the_same_without_its_conditions() -> None:
    """The short reading of a statement's last row agrees with the whole one, on every recorded update."""
    texts = [
        case.values[0]["sql_redo"] for case in cases("logminer_redo.jsonl") if "sql_redo" in case.values[0]
    ]
    compared = 0
    for text in texts:
        try:
            whole = read_statement(text)
        except RedoSyntaxError:
            continue
        if whole.operation == "UPDATE":
            assert read_set_clause(text) == whole.values
            compared += 1
    assert compared > 20


@pytest.mark.parametrize(
    "value", ["NULL", "EMPTY_CLOB()", "''", "'it''s \" where \"A\" = 1'", "'a', \"D\" = 1"]
)
def test_what_a_lob_is_set_to_is_read_as_written(value: str) -> None:
    """The form by which nearly every statement of a table with LOBs ends."""
    text = f'update "S"."T" set "C" = {value} where "A" = \'x\' and "B" IS NULL'
    assert read_set_clause(text) == read_statement(text).values
